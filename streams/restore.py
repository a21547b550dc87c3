"""Filling a partition store from its changelog, in batches and exactly to the end."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas import metrics
from schemas.errors import StateError
from streams.clock import SystemClock
from streams.offsets import LogOffsets
from streams.stopping import stop_consumer
from streams.store import PartitionStore

log = structlog.get_logger("promisewatch.restore")

STALLED_SECONDS = 60.0
"""A restore that reads nothing for this long is broken: the process ends and starts again."""


async def restore(
    client: Mapping[str, Any],
    offsets: LogOffsets,
    store: PartitionStore,
    changelog: str,
    partitions: set[int],
    progressed: Callable[[], None] = lambda: None,
) -> int:
    """Bring `store` up to the end of the changelog for `partitions`; return how many records were read.

    `progressed` is called whenever that has come further.

    To be called after the partitions' earlier producers were fenced: the end can then move no more. A commit marker
    is the last thing in such a log, so what counts is the consumer's position, not the last record's offset.
    """
    if not partitions:
        return 0
    ends = await offsets.ends(changelog, partitions)
    beginnings = await offsets.beginnings(changelog, partitions)
    starts = {p: _start(store, changelog, p, beginnings[p], ends[p]) for p in partitions}
    missing = {p for p in partitions if starts[p] < ends[p]}
    if not missing:
        return 0
    consumer = AIOKafkaConsumer(
        **client, isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 << 20, fetch_max_bytes=32 << 20, fetch_max_wait_ms=50,
    )  # fmt: skip
    await consumer.start()
    started = time.monotonic()
    try:
        consumer.assign([TopicPartition(changelog, p) for p in missing])
        for p in missing:
            consumer.seek(TopicPartition(changelog, p), starts[p])
        read = await _read_to_end(consumer, store, changelog, {p: ends[p] for p in missing}, progressed)
    finally:
        metrics.RESTORE_REMAINING.set(0)
        await stop_consumer(consumer)
    log.info("state restored", records=read, partitions=len(missing), seconds=round(time.monotonic() - started, 2))
    return read


def _start(store: PartitionStore, changelog: str, partition: int, beginning: int, end: int) -> int:
    """Return the changelog offset to read from; local state that cannot be caught up is wiped."""
    applied = store.applied(partition, SystemClock().now_ms())
    if applied is not None and applied >= end:
        raise StateError(
            f"local state of partition {partition} is ahead of its changelog: it holds offset {applied}, but "
            f"{changelog} ends at {end}; the topic was recreated: remove the state directory to start from the topic"
        )
    if applied is None or applied + 1 < beginning:
        store.wipe(partition)
        return beginning
    return applied + 1


async def _read_to_end(
    consumer: AIOKafkaConsumer,
    store: PartitionStore,
    changelog: str,
    ends: Mapping[int, int],
    progressed: Callable[[], None],
) -> int:
    open_partitions = set(ends)
    read, moved_at = 0, time.monotonic()
    positions: dict[int, int] = {}
    while open_partitions:
        fetched = await consumer.getmany(timeout_ms=200)
        for tp, records in fetched.items():
            store.write(tp.partition, {r.key: r.value for r in records}, records[-1].offset, SystemClock().now_ms())
            read += len(records)
            metrics.RESTORED.inc(len(records))
        for partition in list(open_partitions):
            position = await consumer.position(TopicPartition(changelog, partition))
            if position != positions.get(partition):
                positions[partition] = position
                moved_at = time.monotonic()
                progressed()
            if position >= ends[partition]:
                open_partitions.discard(partition)
        metrics.RESTORE_REMAINING.set(sum(max(0, end - positions.get(p, 0)) for p, end in ends.items()))
        if time.monotonic() - moved_at > STALLED_SECONDS:
            raise TimeoutError(f"{changelog}: nothing read for {STALLED_SECONDS:.0f} s, partitions {open_partitions}")
    return read
