"""`promisewatch redrive`: dead letters go back once, as they were, however often and with whatever filter it is run."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata
from confluent_kafka.admin import AdminClient, NewTopic

from promisewatch.brokers import ApacheKafka
from promisewatch.redriving import Position, Request, redrive
from schemas.errors import StateError, TopicsError
from schemas.exits import ExitCode
from streams.deadletters import dead_letter
from tests.agents.fakes import Record
from tests.cli.running import Run, promisewatch

PARTITIONS = 3


class Topic:
    """A topic with its dead letter topic on a real broker."""

    def __init__(self, broker: ApacheKafka, name: str) -> None:
        self.address, self.name, self.dlq = broker.bootstrap_server, name, f"{name}.dlq"
        admin = AdminClient({"bootstrap.servers": self.address})
        wanted = [NewTopic(self.name, PARTITIONS, 1), NewTopic(self.dlq, PARTITIONS, 1)]
        for future in admin.create_topics(wanted).values():
            future.result(30)

    async def bury(self, *letters: tuple[int, str], foreign: bool = False) -> None:
        """Write dead letters (partition, reason), with bytes, key and headers of their own; or what is none."""
        producer = AIOKafkaProducer(bootstrap_servers=self.address)
        await producer.start()
        for number, (partition, reason) in enumerate(letters):
            headers = (("traceparent", b"00-1"),)
            record = Record(self.name, partition, number, f"k{number}".encode(), f"\xff{number}".encode(), headers)
            letter = dead_letter(record, reason, "because")
            await producer.send_and_wait(
                self.dlq,
                letter.value,
                key=letter.key,
                partition=partition,
                headers=[] if foreign else list(letter.headers),
            )
        await producer.stop()

    async def read(self) -> list[Any]:
        """What is in the original topic, committed."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.address, isolation_level="read_committed")
        await consumer.start()
        places = [TopicPartition(self.name, partition) for partition in range(PARTITIONS)]
        consumer.assign(places)
        await consumer.seek_to_beginning()
        ends, records = await consumer.end_offsets(places), []
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            for fetched in (await consumer.getmany(timeout_ms=200)).values():
                records += fetched
        await consumer.stop()
        return sorted(records, key=lambda record: (record.partition, record.offset))

    def run(self, *arguments: str) -> Run:
        """The command on this topic."""
        return promisewatch("redrive", self.dlq, "--bootstrap-server", self.address, *arguments)

    async def counts(self, *arguments: str) -> tuple[int, int, int, int]:
        """Run it: sent back, earlier, left, unusable."""
        done = await asyncio.to_thread(self.run, "--output", "json", *arguments)
        assert done.code == 0, done.err
        (row,) = done.rows()
        return row["redriven"], row["already_redriven"], row["left"], row["unusable"]


@pytest.fixture
def topic(kafka: ApacheKafka, unique: Callable[[str], str]) -> Topic:
    return Topic(kafka, unique("orders"))


@pytest.mark.kafka
async def test_letters_go_back_as_they_were_and_only_once(topic: Topic) -> None:
    """Bytes, key, own headers and partition; a second run finds them done, and new letters only are sent."""
    await topic.bury((0, "bad_json"), (2, "future"))
    assert await topic.counts() == (2, 0, 0, 0)
    assert await topic.counts() == (0, 0, 0, 0)
    records = await topic.read()
    assert [(r.partition, r.key, r.value, r.headers) for r in records] == [
        (0, b"k0", "\xff0".encode(), (("traceparent", b"00-1"),)),
        (2, b"k1", "\xff1".encode(), (("traceparent", b"00-1"),)),
    ]
    await topic.bury((0, "bad_json"))
    assert await topic.counts() == (1, 0, 0, 0)
    assert len(await topic.read()) == 3


@pytest.mark.kafka
async def test_a_filter_leaves_the_others_for_later_and_nothing_is_sent_twice(topic: Topic) -> None:
    """A position alone could not say this: what is done lies on both sides of what is not."""
    await topic.bury((0, "a"), (0, "b"), (0, "a"), (0, "b"), (1, "b"))
    assert await topic.counts("--reason", "a") == (2, 0, 3, 0)
    assert await topic.counts("--reason", "a") == (0, 1, 3, 0)
    assert await topic.counts("--limit", "1") == (1, 1, 2, 0)
    assert await topic.counts() == (2, 0, 0, 0)
    assert await topic.counts() == (0, 0, 0, 0)
    assert sorted(record.value for record in await topic.read()) == sorted(f"\xff{n}".encode() for n in range(5))


@pytest.mark.kafka
async def test_a_dry_run_lists_and_sends_nothing(topic: Topic) -> None:
    """For people and for programs; afterwards everything is still to be done."""
    await topic.bury((1, "bad_json"))
    shown = await asyncio.to_thread(topic.run, "--dry-run")
    assert shown.code == 0
    assert "bad_json  because" in shown.out
    assert "1 would be sent back" in shown.out
    listed = await asyncio.to_thread(topic.run, "--dry-run", "--output", "json")
    assert json.loads(listed.out)["letters"] == [
        {
            "partition": 1, "offset": 0, "original_partition": 1, "original_offset": 0, "key": "k0",
            "reason": "bad_json", "message": "because", "bytes": 3,
        }
    ]  # fmt: skip
    assert await topic.read() == []
    assert await topic.counts() == (1, 0, 0, 0)


@pytest.mark.kafka
async def test_a_record_that_is_no_dead_letter_is_counted_and_stays(topic: Topic) -> None:
    """Nobody knows where it came from: it is neither sent anywhere nor forgotten."""
    await topic.bury((0, "x"), foreign=True)
    await topic.bury((0, "bad_json"))
    assert await topic.counts() == (1, 0, 0, 1)
    assert await topic.counts() == (0, 1, 0, 1)


@pytest.mark.kafka
async def test_a_run_that_ends_in_the_middle_leaves_no_letter_half_done(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Letters and position are one transaction: after a crash before its commit, nothing has been sent."""
    await topic.bury((0, "a"), (1, "a"))

    class Crash(Exception):
        pass

    async def crash(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(AIOKafkaProducer, "commit_transaction", crash)
        with pytest.raises(Crash):
            await redrive(topic.address, Request(topic.dlq))
    assert await topic.counts() == (2, 0, 0, 0)
    assert len(await topic.read()) == 2


@pytest.mark.kafka
async def test_a_missing_topic_is_not_made_by_sending_to_it(kafka: ApacheKafka, unique: Callable[[str], str]) -> None:
    """It would have the wrong settings."""
    name = unique("nowhere")
    run = await asyncio.to_thread(promisewatch, "redrive", f"{name}.dlq", "--bootstrap-server", kafka.bootstrap_server)
    assert run.code == ExitCode.CONFIG
    assert f"missing topics: {name}.dlq, {name}" in run.err


def test_a_topic_that_is_no_dead_letter_topic_is_refused() -> None:
    """Exit code 2, before anything is asked of a broker."""
    run = promisewatch("redrive", "orders", "--bootstrap-server", "127.0.0.1:1")
    assert run.code == ExitCode.USAGE
    assert "found 'orders', expected a dead letter topic such as promisewatch.notifications.dlq" in run.err


def test_deliveries_that_failed_go_back_to_the_breaches() -> None:
    """The notifier reads them there and tries again; every other dead letter topic is named after its origin."""
    assert Request("promisewatch.notifications.dlq").original == "promisewatch.breaches"
    assert Request("promisewatch.breaches.dlq").original == "promisewatch.breaches"
    assert Request("shop.events.dlq").original == "shop.events"
    with pytest.raises(TopicsError):
        _ = Request(".dlq").original


def test_a_position_remembers_what_is_done_beyond_it() -> None:
    """Ranges merge, the position moves up to the first letter that is left, and reading back gives the same."""
    position = Position(10)
    for offset in (12, 13, 20):
        position.add(offset)
    position.advance(10)
    assert position.encode() == OffsetAndMetadata(10, "redriven1:2-4,10-11")
    assert Position.decode(position.encode()) == position
    assert [offset in position for offset in (9, 10, 12, 13, 14, 20, 21)] == [
        True, False, True, True, False, True, False,
    ]  # fmt: skip
    position.advance(13)
    assert position.encode() == OffsetAndMetadata(13, "redriven1:0-1,7-8")
    position.advance(21)
    assert position.encode() == OffsetAndMetadata(21, "")


def test_a_position_that_cannot_be_remembered_or_read_is_refused() -> None:
    """Better than sending letters twice."""
    position = Position(0, [(2 * n, 2 * n + 1) for n in range(1, 2_000)])
    with pytest.raises(StateError, match="found 1999 gaps"):
        position.encode()
    for metadata in ("other", "redriven1:x", "redriven9:1-2"):
        with pytest.raises(StateError, match="expected redriven1"):
            Position.decode(OffsetAndMetadata(3, metadata))
