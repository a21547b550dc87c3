"""Fetching: how much of it waits for the application, and what becomes of a fetch that a rebalance has overtaken."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from faust.types import TP

from streams import intake
from streams.intake import BYTES_IN_HAND_MAX, BatchConsumer, BatchConsumerThread, BatchMessage, Fetched


def consumer(records_max: int) -> BatchConsumer:
    """One that accounts, and cannot fetch."""
    made = cast("Any", BatchConsumer.__new__(BatchConsumer))
    made.app = SimpleNamespace(records_in_hand_max=records_max)
    made._in_hand = made._bytes_in_hand = 0
    made._room = asyncio.Event()
    return cast("BatchConsumer", made)


def batch(values: list[bytes]) -> BatchMessage:
    """What a fetch made of records with these values."""
    records: Any = [SimpleNamespace(key=None, value=value, timestamp=0, timestamp_type=0) for value in values]
    tp: Any = SimpleNamespace(topic="t", partition=0)
    return BatchConsumer._batch_message(cast("Any", None), tp, records, len(values), 1)


@pytest.mark.parametrize(
    ("records_max", "values"),
    [(2, [b"x", b"y", b"z"]), (50_000, [b"x" * (BYTES_IN_HAND_MAX // 2)] * 2 + [b"y"])],
    ids=["by number", "by size"],
)
async def test_nothing_more_is_fetched_while_too_much_is_in_hand(records_max: int, values: list[bytes]) -> None:
    """Fifty thousand small events are little, fifty thousand large ones are not."""
    one = consumer(records_max)
    few, rest = batch(values[:-1]), batch(values[-1:])
    one._account(len(values) - 1, few.size)
    assert one._room.is_set()
    one._account(1, rest.size)
    assert not one._room.is_set()
    one.done([few])
    assert one._room.is_set()


class Fetching:
    """A consumer thread whose fetch is answered by hand: `meanwhile` happens before the answer."""

    def __init__(self, meanwhile: Callable[["Fetching"], None] = lambda _: None) -> None:
        self.app = SimpleNamespace(partitions=SimpleNamespace(openings=1), read_committed=True)
        self.flow = SimpleNamespace(flow_active=True)
        self.sought: dict[TopicPartition, int] = {}
        self.assigned = {TopicPartition("t", 0), TopicPartition("t", 1)}
        self.error: KafkaError | None = None
        self._meanwhile = meanwhile

    async def fetched_records(self, *_: object, **__: object) -> dict[TopicPartition, list[Any]]:
        self._meanwhile(self)
        if self.error is not None:
            raise self.error
        return {TopicPartition("t", p): [SimpleNamespace(offset=20), SimpleNamespace(offset=21)] for p in (0, 1, 7)}

    async def fetch(self) -> Fetched:
        thread = cast("Any", BatchConsumerThread.__new__(BatchConsumerThread))
        thread.app, thread.consumer = self.app, self.flow
        fetcher = SimpleNamespace(
            fetched_records=self.fetched_records, _closed=False, _subscriptions=SimpleNamespace(fetch_context=Context)
        )
        subscription = SimpleNamespace(is_assigned=self.assigned.__contains__, subscription=None)
        consumer = SimpleNamespace(
            _closed=False, _fetcher=fetcher, _subscription=subscription, seek=self.sought.__setitem__
        )
        return cast("Fetched", await thread._fetch_records(consumer, None))


class Context:
    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


def rebalanced(fetching: Fetching) -> None:
    fetching.app.partitions.openings += 1


async def test_what_a_fetch_took_that_a_rebalance_has_overtaken_is_put_back() -> None:
    """It may end after the partitions were sought anew: without this nobody would ever read those records."""
    undisturbed = Fetching()
    assert len(await undisturbed.fetch()) == 3
    assert undisturbed.sought == {}
    overtaken = Fetching(rebalanced)
    assert await overtaken.fetch() == {}
    assert overtaken.sought == {TopicPartition("t", 0): 20, TopicPartition("t", 1): 20}


async def test_errors_from_before_the_seek_are_nobodys_concern() -> None:
    """A new partition has no position until its handler says where it begins; later ones are told."""
    fetching = Fetching()
    fetching.error = NoOffsetForPartitionError("t/0")
    assert await fetching.fetch() == {}
    fetching.error = OffsetOutOfRangeError({TopicPartition("t", 0): 5})
    with pytest.raises(OffsetOutOfRangeError):
        await fetching.fetch()
    fetching.flow.flow_active = True
    overtaken = Fetching(rebalanced)
    overtaken.error = fetching.error
    assert await overtaken.fetch() == {}


class Waiting:
    """A consumer that was asked for records while a rebalance went on, and has them after it."""

    def __init__(self, opening: int) -> None:
        self.app = SimpleNamespace(
            consumer_generation_id=1, partitions=SimpleNamespace(openings=1), records_in_hand_max=9, should_stop=False
        )
        self.consumer = cast("Any", BatchConsumer.__new__(BatchConsumer))
        self.consumer.__dict__.update(
            app=self.app, flow_active=False, _room=asyncio.Event(), _delivered={}, _read_offset={}, _in_hand=0,
            _bytes_in_hand=0, suspend_flow=asyncio.Event(), _wait_next_records=self.records,
            _is_changelog_tp=lambda _: False, _stopped=asyncio.Event(), _crashed=asyncio.Event(),
        )  # fmt: skip
        self.consumer._room.set()
        self._opening = opening

    async def records(self, _: float) -> tuple[Fetched, set[TP]]:
        self.consumer.flow_active = True
        self.app.consumer_generation_id = 2
        self.app.partitions.openings = 2
        found = Fetched({TP("t", 0): [SimpleNamespace(offset=20, timestamp=0, timestamp_type=0, key=None, value=b"x")]})
        found.positions, found.opening = {TP("t", 0): 21}, self._opening
        return found, {TP("t", 0)}

    async def taken(self) -> list[int]:
        return [message.next_offset async for _, message in self.consumer.getmany(1.0)]


async def test_the_first_fetch_after_a_rebalance_is_taken_by_whoever_waited_through_it() -> None:
    """It was asked for before and read after the seek: left out, its records would be gone."""
    assert await Waiting(opening=2).taken() == [21]
    assert await Waiting(opening=1).taken() == []


async def test_what_cannot_be_read_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, with where and why: the position is not in the log."""
    ended: list[BaseException] = []
    monkeypatch.setattr(intake, "end_process", lambda _, error: ended.append(error))
    waiting = Waiting(1)

    async def fail(_: float) -> None:
        raise OffsetOutOfRangeError({TopicPartition("t", 0): 5})

    waiting.consumer._wait_next_records = fail
    with pytest.raises(OffsetOutOfRangeError):
        await waiting.taken()
    assert [str(error).partition(":")[0] for error in ended] == ["cannot read on from t/0 at offset 5"]
