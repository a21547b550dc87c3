"""Lanes: order within a partition, timers apart from batches, and nothing lost or done twice around a rebalance."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from streams import partitions
from streams.partitions import Lane, PartitionHandler, Partitions

ZERO, ONE = TP("events", 0), TP("events", 1)


class Handler:
    """Keeps the offsets it processed; waits for `gate` in the middle of each batch."""

    def __init__(self) -> None:
        self.next_offset = 0
        self.batches: list[list[int]] = []
        self.ticks = 0
        self.busy = False
        self.closed = False
        self.hurried = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def process(self, records: Sequence[Any], next_offset: int) -> None:
        assert not self.busy
        assert not self.closed
        self.busy = True
        await self.gate.wait()
        await asyncio.sleep(0)
        self.batches.append([record.offset for record in records])
        self.next_offset = next_offset
        self.busy = False

    async def tick(self) -> None:
        assert not self.busy
        assert not self.closed
        self.ticks += 1

    def hurry(self) -> None:
        self.hurried = True

    async def close(self) -> None:
        assert not self.busy
        self.closed = True


class Fixture:
    """Partitions over such handlers, with a count of records that are done."""

    def __init__(self) -> None:
        self.handlers: dict[int, Handler] = {}
        self.done = 0
        self.partitions = Partitions(["events"], self.open, self.finish)

    async def open(self, owned: set[TP]) -> dict[TP, PartitionHandler]:
        self.handlers = {tp.partition: Handler() for tp in owned}
        return {tp: self.handlers[tp.partition] for tp in owned}

    def finish(self, batches: Any) -> None:
        self.done += sum(len(batch.value) for batch in batches)

    def feed(self, partition: int, first: int, count: int) -> None:
        records = [SimpleNamespace(offset=offset) for offset in range(first, first + count)]
        message = SimpleNamespace(tp=TP("events", partition), value=records, next_offset=first + count)
        self.partitions.feed(message)


async def settle() -> None:
    """Let every ready task run."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_batches_that_wait_are_processed_as_one_and_in_order() -> None:
    """The busier the lane, the larger its batches."""
    one = Fixture()
    await one.partitions.open({ZERO})
    handler = one.handlers[0]
    handler.gate.clear()
    for first in (0, 2, 4):
        one.feed(0, first, 2)
        await settle()
    handler.gate.set()
    await settle()
    assert handler.batches == [[0, 1], [2, 3, 4, 5]]
    assert one.done == 6


async def test_records_that_come_twice_after_a_seek_are_processed_once() -> None:
    """The handler's position decides, not the fetch."""
    one = Fixture()
    await one.partitions.open({ZERO})
    one.feed(0, 0, 4)
    await settle()
    one.feed(0, 2, 4)
    one.feed(0, 0, 3)
    await settle()
    assert [offset for batch in one.handlers[0].batches for offset in batch] == [0, 1, 2, 3, 4, 5]
    assert one.done == 11


async def test_a_timer_never_runs_beside_a_batch() -> None:
    """The handler asserts it; here a batch is held open while a tick is asked for."""
    one = Fixture()
    await one.partitions.open({ZERO, ONE})
    one.handlers[0].gate.clear()
    one.feed(0, 0, 1)
    await settle()
    ticking = asyncio.create_task(one.partitions.tick())
    await settle()
    assert (one.handlers[0].ticks, one.handlers[1].ticks) == (0, 1)
    one.handlers[0].gate.set()
    await ticking
    assert one.handlers[0].ticks == 1


async def test_a_rebalance_waits_for_what_runs_and_drops_what_waits() -> None:
    """What was dropped is read again from the checkpoint; its room is given back."""
    one = Fixture()
    await one.partitions.open({ZERO})
    handler = one.handlers[0]
    handler.gate.clear()
    one.feed(0, 0, 2)
    await settle()
    one.feed(0, 2, 5)
    closing = asyncio.create_task(one.partitions.close())
    await settle()
    assert handler.hurried
    assert not handler.closed
    handler.gate.set()
    await closing
    assert handler.batches == [[0, 1]]
    assert handler.closed
    assert one.done == 7


async def test_a_timer_that_waited_through_a_rebalance_finds_its_lane_gone() -> None:
    """It must not write with a producer that is being closed."""
    one = Fixture()
    await one.partitions.open({ZERO})
    handler = one.handlers[0]
    handler.gate.clear()
    one.feed(0, 0, 1)
    await settle()
    ticking = asyncio.create_task(one.partitions.tick())
    await settle()
    closing = asyncio.create_task(one.partitions.close())
    await settle()
    handler.gate.set()
    await asyncio.gather(ticking, closing)
    assert handler.ticks == 0


async def test_a_batch_for_a_partition_that_is_not_ours_any_more_is_dropped() -> None:
    """Its room is given back, nobody processes it."""
    one = Fixture()
    await one.partitions.open({ZERO})
    one.feed(3, 0, 4)
    await settle()
    assert one.done == 4
    assert one.handlers[0].batches == []


async def test_reading_starts_at_the_handlers_positions() -> None:
    """Not at the group's offsets."""
    one = Fixture()
    await one.partitions.open({ZERO, TP("events", 5)})
    one.feed(5, 0, 3)
    await settle()
    assert await one.partitions.start_positions() == {TP("events", 0): 0, TP("events", 5): 3}


async def test_partitions_of_several_topics_are_apart_and_are_told_apart() -> None:
    """Equal numbers of two topics are two lanes; in metrics the number says enough only where there is one topic."""
    orders, parcels = TP("orders", 0), TP("parcels", 0)
    two = Partitions(["orders", "parcels"], Fixture().open, lambda _: None)
    await two.open({orders, parcels, TP("parcels", 3)})
    assert set(two.of_topic("orders")) == {0}
    assert set(two.of_topic("parcels")) == {0, 3}
    assert two.of_topic("orders")[0] is two.lanes[orders]
    assert two.label(parcels) == "parcels-0"
    assert Fixture().partitions.label(ONE) == "1"


async def test_what_is_committed_is_how_far_a_handler_is_with_what_it_adds() -> None:
    """Also before its first record. Handlers with state of their own have nothing to add."""
    one = Fixture()
    await one.partitions.open({ZERO, ONE})
    one.feed(1, 0, 3)
    await settle()
    source = Handler()
    one.partitions.lanes[TP("events", 2)] = Lane(source)
    source.commit_metadata = lambda: "frontier"  # type: ignore[attr-defined]
    assert one.partitions.reached() == {ZERO: (0, ""), ONE: (3, ""), TP("events", 2): (0, "frontier")}
    assert one.partitions.committable() == {ONE: 3}


async def test_a_timer_whose_write_fails_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever failed, also the broker's silence: what it was about to publish would otherwise never be."""
    one = Fixture()
    await one.partitions.open({ZERO})
    ended: list[tuple[str, BaseException]] = []
    monkeypatch.setattr(partitions, "end_process", lambda where, error: ended.append((where, error)))

    async def fail() -> None:
        raise TimeoutError

    monkeypatch.setattr(one.handlers[0], "tick", fail)
    with pytest.raises(TimeoutError):
        await one.partitions.tick()
    assert [(where, type(error)) for where, error in ended] == [("timer", TimeoutError)]
