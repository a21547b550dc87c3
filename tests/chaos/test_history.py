"""What the first start on a topic with history may know, and what it must not guess."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from promisewatch.brokers import ApacheKafka
from schemas.exits import ExitCode
from tests.chaos.cluster import PARTITIONS, PATIENCE_SECONDS, Cluster, check, cluster, partition_of
from tests.chaos.oracle import World, iso
from tests.chaos.test_kills import BASE_MS, step

pytestmark = [pytest.mark.kafka]
SETTLE_MS = 2_000


def truncate(one: Cluster, before: dict[int, int]) -> None:
    """Let the records below these offsets expire, per partition."""
    client = AdminClient({"bootstrap.servers": one.broker.bootstrap_server})
    places = [TopicPartition(one.topic, partition, offset) for partition, offset in before.items()]
    for future in client.delete_records(places).values():
        future.result(30)


def forget(one: Cluster, world: World, before: dict[int, int]) -> dict[str, int]:
    """Take the expired events from the oracle too; returns, per subject, since when its partition is known.

    That is `settle` after the first event the log still holds.
    """
    held = {
        partition: [event for offset, event in log if offset >= before[partition]] for partition, log in one.log.items()
    }
    world.told = [event for events in held.values() for event in events]
    since = {partition: events[0].time + SETTLE_MS for partition, events in held.items() if events}
    return {event.subject: since[partition_of(event.subject)] for event in world.told}


async def test_a_topic_that_still_begins_at_offset_0_is_judged_from_its_first_event(
    broker: ApacheKafka, tmp_path: Path, unique: Callable[[str], str], seed: int
) -> None:
    """The history lay there before the first worker started: it is all known, so all of it is judged."""
    run = unique("history")
    async with cluster(broker, tmp_path, run, frontier="markers", settle_ms=SETTLE_MS) as one:
        world = World(seed, BASE_MS, run)
        for _ in range(3):
            await step(one, world)
        one.start("one")
        await check(one, world, await one.finish(world) + 1)


async def test_nothing_opens_before_what_a_log_without_its_beginning_can_prove(
    broker: ApacheKafka, tmp_path: Path, unique: Callable[[str], str], seed: int
) -> None:
    """The log has lost a different part on each partition: promises open only `settle` after its first event."""
    run = unique("truncated")
    async with cluster(broker, tmp_path, run, frontier="markers", settle_ms=SETTLE_MS) as one:
        # Whether a content that opens nothing any more wins over one that does is not this test's question.
        world = World(seed, BASE_MS, run, conflicts=False)
        for _ in range(6):
            await step(one, world)
        before = {partition: len(log) * (partition + 1) // (2 * PARTITIONS) for partition, log in one.log.items()}
        before = {partition: one.log[partition][index][0] for partition, index in before.items()}
        await asyncio.to_thread(truncate, one, before)
        one.start("one")
        last = await one.finish(world)
        everything = world.verdicts(last + 1)
        known_since = forget(one, world, before)
        await check(one, world, last + 1, known_since=known_since)
        opened = world.verdicts(last + 1, known_since)
        assert len(opened) < len(everything)
        assert {promise for promise, _ in opened} == {"deliver", "confirm", "label"}


async def test_since_says_from_when_promises_open(
    broker: ApacheKafka, tmp_path: Path, unique: Callable[[str], str], seed: int
) -> None:
    """--since overrides what the log can prove: of the whole history, only what was opened from then on is judged."""
    run = unique("since")
    async with cluster(broker, tmp_path, run, frontier="markers", settle_ms=SETTLE_MS) as one:
        world = World(seed, BASE_MS, run, conflicts=False)
        for _ in range(3):
            await step(one, world)
        since = BASE_MS + 12_345
        one.start("one", "--since", iso(since))
        last = await one.finish(world)
        await check(one, world, last + 1, known_since=dict.fromkeys((event.subject for event in world.told), since))


async def test_events_that_expired_unread_stop_the_worker_instead_of_looking_like_broken_promises(
    broker: ApacheKafka, tmp_path: Path, unique: Callable[[str], str], seed: int
) -> None:
    """While the worker was away a part of the log expired: it says so and ends with 78, and publishes nothing."""
    run = unique("gap")
    async with cluster(broker, tmp_path, run, frontier="markers", settle_ms=SETTLE_MS) as one:
        world = World(seed, BASE_MS, run)
        one.start("one")
        await step(one, world)
        await one.until("work on every partition", lambda: one.lag.partitions_processed() == PARTITIONS)
        one.kill("one")
        published = len((await one.published()).outcomes)
        await step(one, world)
        await step(one, world)
        await asyncio.to_thread(truncate, one, {partition: log[-1][0] for partition, log in one.log.items()})
        worker = one.start("one")
        one.expect_end("one")
        assert await asyncio.to_thread(worker.wait, PATIENCE_SECONDS) == ExitCode.CONFIG
        assert "expired unread" in worker.last_words()
        assert len((await one.published()).outcomes) == published
