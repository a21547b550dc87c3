"""What the first start on a topic with history may know, and what it must not guess."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from promisewatch.brokers import ApacheKafka
from promisewatch.demonstration.report import verdict_problems
from promisewatch.demonstration.watch import RETRACTED, Seen
from tests.chaos.cluster import PARTITIONS, Cluster, check, cluster, partition_of
from tests.chaos.oracle import BOOK, ORPHAN_TTL_MS, World, iso
from tests.chaos.test_kills import BASE_MS, step

pytestmark = [pytest.mark.kafka]
SETTLE_MS = 2_000
SKEW_MS = 1_000


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


async def test_what_ran_while_events_expired_unread_is_held_and_what_comes_later_is_judged(
    broker: ApacheKafka, tmp_path: Path, unique: Callable[[str], str], seed: int
) -> None:
    """While the worker was away most of what came expired. It goes on: no promise is broken that was kept by what was
    lost, those that waited for it are listed, and those of later orders end as ever.
    """
    run = unique("gap")
    book = BOOK.replace("orphan_ttl: 20s", f"orphan_ttl: 20s, skew: {SKEW_MS}ms")
    async with cluster(broker, tmp_path, run, frontier="markers", settle_ms=SETTLE_MS, book=book) as one:
        world = World(seed, BASE_MS, run, conflicts=False)
        one.start("one")
        await step(one, world)
        await one.until("work on every partition", lambda: one.lag.partitions_processed() == PARTITIONS)
        one.kill("one")
        await step(one, world)
        await step(one, world)
        last_ones = {partition: log[-1] for partition, log in one.log.items()}
        await asyncio.to_thread(truncate, one, {partition: offset for partition, (offset, _) in last_ones.items()})
        for _ in range(4):
            await step(one, world)
        one.start("one")
        last = await one.finish(world)
        assert "records expired unread" in one.workers["one"].log.read_text()
        until = {partition: event.time + SETTLE_MS + SKEW_MS for partition, (_, event) in last_ones.items()}
        nothing_is_broken_by_what_was_lost(await one.published(), world, last + 1, until)


def nothing_is_broken_by_what_was_lost(seen: Seen, world: World, as_of: int, until: dict[int, int]) -> None:
    """The verdicts after a gap, which ended at `until` by partition, against those of the whole world."""
    truth, found = world.verdicts(as_of), seen.last_outcomes()
    broken = {key for key, verdict in truth.items() if verdict.broken}
    said = {(one.promise, one.subject) for one in seen.breaches}
    assert not [one for one in seen.breaches if one.type == RETRACTED]
    assert said <= broken
    held = {key for key, outcomes in found.items() if [one.status for one in outcomes] == ["held"]}
    assert {promise for promise, _ in held} >= {"deliver", "confirm"}
    assert all(truth[key].opened_at < until[partition_of(key[1])] for key in held)
    began: dict[str, int] = {}
    for event in world.told:
        began[event.subject] = min(began.get(event.subject, event.time), event.time)

    def is_later(promise: str, subject: str) -> bool:
        known = until[partition_of(subject)] + (ORPHAN_TTL_MS if promise == "label" else 0)
        return began[subject] >= known

    later = {key: verdict for key, verdict in truth.items() if is_later(*key)}
    assert {promise for promise, _ in later} == {"deliver", "confirm", "label"}
    assert any(verdict.broken for verdict in later.values())
    assert verdict_problems(later, {key: outcomes for key, outcomes in found.items() if is_later(*key)}) == []
    assert {key for key in broken if is_later(*key)} <= said
    print(f"{len(held)} held, {len(held & broken)} of them broken; {len(later)} later ones judged, {len(said)} broken")
