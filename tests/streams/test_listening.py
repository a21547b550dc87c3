"""Listening to sources: how far their logs have grown, asked of whole sources, and how long they were silent."""

import time
from collections.abc import Iterable
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from faust.types import TP

from schemas.book import parse_book
from schemas.vectors import Hold
from streams.doubt import SILENT
from streams.listening import Listening
from streams.offsets import LogOffsets
from tests.brokers import apache_kafka

BOOK = parse_book("""
sources:
  wms: {topic: scans, format: json, id: id, type: type, time: at, heartbeat: 30m, settle: 0s}
  crm: {topic: calls, format: json, id: id, type: type, time: at}
defaults: {timezone: UTC, key: order_id}
promises: [{id: p, when: {event: a}, due: {within: 1h}, expect: {event: b}}]
""")
MINUTE = 60_000
NOW = 1_800_000_000_000
TWO = {"scans": 2, "calls": 3}


class Logs:
    """Logs as a test sets them: the timestamps of each partition's records."""

    def __init__(self, *partitions: list[int]) -> None:
        self.partitions = list(partitions)
        self.asked: list[TP] = []

    async def ends_of(self, tps: Iterable[TP]) -> dict[TP, int]:
        self.asked += tps
        return {tp: len(self.partitions[tp.partition]) for tp in self.asked}

    async def sent_since(self, tps: Iterable[TP], since: int) -> int | None:
        firsts = (next((sent for sent in self.partitions[tp.partition] if sent >= since), None) for tp in tps)
        return max((first for first in firsts if first is not None), default=None)


def listening(**more: Any) -> Listening:
    return Listening(BOOK.sources.values(), **more)


async def test_only_sources_with_a_heartbeat_are_listened_to() -> None:
    """All partitions of theirs, and none of others."""
    logs, ears = Logs([], []), listening()
    await ears.listen(NOW, TWO, logs)
    assert (ears.topics, set(logs.asked)) == (["scans"], {TP("scans", 0), TP("scans", 1)})
    assert ears.hold("calls", NOW + 99 * MINUTE) is None


async def test_a_source_that_sent_lately_is_heard_at_start() -> None:
    """Its newest record is what counts, though Kafka tells of the first one since an instant."""
    ears = listening()
    await ears.listen(NOW, TWO, Logs([NOW - 29 * MINUTE, NOW - MINUTE], []))
    assert ears.hold("scans", NOW) is None
    assert ears.hold("scans", NOW + 27 * MINUTE) is None
    assert ears.hold("scans", NOW + 31 * MINUTE) is not None


@pytest.mark.parametrize("sent", [[[], []], [[NOW - 31 * MINUTE], [NOW - 99 * MINUTE]]])
async def test_a_source_that_did_not_is_silent_at_start(sent: list[list[int]]) -> None:
    """A restart proves nothing about the source."""
    ears = listening()
    await ears.listen(NOW, TWO, Logs(*sent))
    assert ears.hold("scans", NOW) == Hold(SILENT, NOW - 30 * MINUTE - 1)


async def test_timestamps_say_nothing_where_the_clock_is_another() -> None:
    """A simulated clock is not the one of Kafka's records."""
    ears = listening(real_time=False)
    await ears.listen(NOW, TWO, Logs([], []))
    assert ears.hold("scans", NOW + 30 * MINUTE) is None
    assert ears.hold("scans", NOW + 30 * MINUTE + 1) is not None


async def test_a_log_that_grows_is_a_sound_and_a_new_partition_is_listened_to() -> None:
    """Silence begins anew with each of them."""
    logs, ears = Logs([NOW], []), listening()
    await ears.listen(NOW, TWO, logs)
    logs.partitions[1].append(NOW)
    await ears.listen(NOW + 20 * MINUTE, TWO, logs)
    assert ears.hold("scans", NOW + 50 * MINUTE) is None
    logs.partitions.append([NOW])
    await ears.listen(NOW + 40 * MINUTE, {"scans": 3}, logs)
    assert ears.hold("scans", NOW + 70 * MINUTE) is None
    assert ears.hold("scans", NOW + 70 * MINUTE + 1) is not None


async def test_a_topic_that_is_not_known_just_now_says_nothing() -> None:
    """It is neither silent nor heard: whoever counts partitions sees to that."""
    logs, ears = Logs([NOW], []), listening()
    await ears.listen(NOW, {}, logs)
    assert logs.asked == []
    assert ears.hold("scans", NOW) is None
    await ears.listen(NOW, TWO, logs)
    await ears.listen(NOW + 40 * MINUTE, {"scans": 0}, logs)
    assert ears.hold("scans", NOW + 40 * MINUTE) == Hold(SILENT, NOW)


@pytest.mark.kafka
async def test_kafka_tells_when_a_source_has_sent() -> None:
    """By the timestamps of its records, whoever wrote them."""
    now = time.time_ns() // 1_000_000
    with apache_kafka() as kafka:
        broker = kafka.bootstrap_server
        admin = AIOKafkaAdminClient(bootstrap_servers=broker)
        await admin.start()
        await admin.create_topics([NewTopic("scans", 2, 1)])
        await admin.close()
        producer = AIOKafkaProducer(bootstrap_servers=broker)
        await producer.start()
        for partition, minutes in ((0, 40), (1, 20), (1, 10)):
            await producer.send_and_wait("scans", b"x", partition=partition, timestamp_ms=now - minutes * MINUTE)
        await producer.stop()
        offsets = LogOffsets({"bootstrap_servers": broker})
        await offsets.start()
        tps = [TP("scans", 0), TP("scans", 1)]
        found = [await offsets.sent_since(tps, now - minutes * MINUTE) for minutes in (50, 30, 15, 5)]
        ears = listening()
        await ears.listen(now, {"scans": 2}, offsets)
        await offsets.stop()
    assert found == [now - 20 * MINUTE, now - 20 * MINUTE, now - 10 * MINUTE, None]
    assert ears.hold("scans", now + 20 * MINUTE) is None
    assert ears.hold("scans", now + 20 * MINUTE + 1) is not None
