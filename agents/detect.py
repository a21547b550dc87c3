"""The detect agent: facts and the frontier in, differences between verdicts out.

One `DetectPartition` an owned partition. It feeds the pure core (`promises.partition`) in offset order and writes what
the core says in transactions; it decides nothing itself.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

import structlog

from agents.takeover import Cores, DetectSettings, take_over
from promises.migrating import Migrating
from promises.partition import CHECKPOINT_KEY, Batch, PartitionDetector
from schemas import metrics
from schemas.book_model import Book, Source
from schemas.decoding import SourceDecoder
from schemas.encoding import encode_event, encode_outcome
from schemas.errors import EventError, StateError, TopicsError
from schemas.markers import read_marker
from schemas.migrations import read_migration
from schemas.publications import EVENT_HEADERS, Publication
from schemas.records import encode_checkpoint
from schemas.topics import BREACHES, OUTCOMES, dlq
from streams.app import BatchApp, StreamSettings, build_app
from streams.deadletters import dead_letter
from streams.emit import Outgoing, PartitionProducer
from streams.frontier import Marks
from streams.logs import trace_id

log_name = "promisewatch.detect"
log = structlog.get_logger(log_name)

SLICE_RECORDS = 5_000
"""A transaction holds at most about this many published events and changed records."""
SLICE_BAD_BYTES = 16 << 20
"""And about this much of dead letters: there may be thousands of them, of megabytes each."""
LOOK_EVERY = 64
"""Records processed between two looks at whether a slice is full."""
YIELD_EVERY = 500
"""Records processed before other lanes and the heartbeat get a turn."""
CHECKPOINT_EVERY = 50_000
"""Offsets that may pass without anything worth storing before the position is stored all the same."""


class DetectPartition:
    """One owned partition of the source topic."""

    def __init__(
        self,
        app: BatchApp,
        partition: int,
        producer: PartitionProducer,
        core: PartitionDetector,
        decoder: SourceDecoder,
        source: Source,
        skew_ms: int,
        owed: Sequence[Outgoing] = (),
    ) -> None:
        """Take over a partition whose state is restored and whose earlier producers are fenced.

        `owed` is stored with the first commit, which does not wait for anything to happen.
        """
        self._app = app
        self._partition = partition
        self._producer = producer
        self._core = core
        self._decoder = decoder
        self._source = source
        self._skew_ms = skew_ms
        self._owed = list(owed)
        self._marks = Marks(source.settle_ms) if source.frontier == "clock" else None
        self._next_offset = core.next_offset
        self._stored_offset = self._next_offset
        self._bad: list[Outgoing] = []
        self._bad_bytes = 0
        self._bad_reasons: Counter[str] = Counter()
        self.closed = False

    @property
    def next_offset(self) -> int:
        """The next offset to read."""
        return self._next_offset

    async def process(self, records: Sequence[Any], next_offset: int) -> None:
        """Process a batch: facts, markers and bad events, in offset order."""
        core, now = self._core, self._app.clock.now_ms()
        begin, looked, count = 0, 0, len(records)
        while begin < count:
            end = min(begin + LOOK_EVERY, count)
            begin, error = core.take_in(self._decoder, records, begin, end, now + self._skew_ms, self._source.settle_ms)
            if begin < end:
                if error is None:
                    await self._marker(records[begin], now)
                else:
                    self._dead_letter(records[begin], error)
                begin += 1
            if core.pending + len(self._bad) >= SLICE_RECORDS or self._bad_bytes >= SLICE_BAD_BYTES:
                await self._commit(records[begin - 1].offset + 1)
            if begin - looked >= YIELD_EVERY:
                looked = begin
                await asyncio.sleep(0)
        await self._commit(next_offset)
        metrics.RECORDS.labels(topic=self._source.topic).inc(count)

    async def _marker(self, record: Any, now: int) -> None:
        try:
            migration = read_migration(record.headers)
            if migration is not None:
                await self._migrate(record, Migrating(self._core.detector, migration))
                return
            instant = read_marker(record.value, record.headers)
            if instant is None:
                raise EventError("empty", "a record without a value and without a frontier header")
            if instant > now + self._skew_ms:  # nobody knows yet what happens then; taken, it would break every promise
                raise EventError("future", f"a marker for {instant}, more than the skew ahead of the clock {now}")
        except EventError as error:
            self._dead_letter(record, error)
            return
        if self._marks is not None:
            self._core.count("marker_ignored")
            return
        if instant <= self._core.frontier:
            return
        self._core.advance_to(instant)
        await self._drain(record.offset)
        self._core.floor = instant

    async def _migrate(self, record: Any, migrating: Migrating) -> None:
        """Move running promises to another version, slice by slice. After a crash in between it is done once more: what
        has moved stays where it is.
        """
        core, asked = self._core, migrating.migration
        fates: Counter[str] = Counter()
        for done, stored_as in enumerate(core.subjects()):
            fates.update(fate.reason for fate in core.migrate(stored_as, migrating))
            if core.pending >= SLICE_RECORDS:
                await self._commit(record.offset)
            if done % YIELD_EVERY == 0:
                await asyncio.sleep(0)
        for reason, count in fates.items():
            metrics.MIGRATED.labels(promise=asked.promise, outcome=reason).inc(count)
        log.info(
            "promises migrated",
            promise=asked.promise,
            version=asked.to,
            partition=self._partition,
            offset=record.offset,
            **fates,
        )

    def _dead_letter(self, record: Any, error: EventError) -> None:
        self._bad.append(dead_letter(record, error.reason, error.message))
        self._bad_bytes += len(record.value or b"")
        self._bad_reasons[error.reason] += 1
        log.warning(
            "event sent to dead letters",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=error.reason,
            trace_id=trace_id(record.headers),
        )

    def mark(self, clock_ms: int, end_offset: int) -> None:
        """Note that at `clock_ms` (read first) the log ended at `end_offset`. Raises StateError when it shrank."""
        if self._marks is None:
            return
        try:
            self._marks.add(clock_ms, end_offset)
        except ValueError as error:
            raise StateError(f"{self._source.topic}/{self._partition}: {error}: the topic was recreated") from error
        self._core.floor = max(self._core.floor, clock_ms)

    async def tick(self) -> None:
        """Move the frontier past what is processed and publish what that proves."""
        if self._owed and not self.closed:
            await self._commit(self._next_offset)
        if self._marks is None or self.closed:
            return
        frontier = self._marks.passed(self._next_offset)
        if frontier is None:
            return
        if frontier > self._core.frontier:
            self._core.advance_to(frontier)
        await self._drain(self._next_offset)
        lag_ms = self._app.clock.now_ms() - frontier
        metrics.FRONTIER_LAG.labels(partition=str(self._partition)).set(lag_ms / 1_000)
        metrics.TIMERS.labels(partition=str(self._partition)).set(self._core.timers)

    async def _drain(self, next_offset: int) -> None:
        """Publish everything whose fire time the frontier has passed, slice by slice."""
        while True:
            more = self._core.fire_due(SLICE_RECORDS)
            if self._core.pending:
                await self._commit(next_offset)
            if not more:
                return
            await asyncio.sleep(0)

    async def _commit(self, next_offset: int) -> None:
        """Write everything since the last commit as one transaction, then bring the local store up to it."""
        core = self._core
        idle = not core.pending and not self._bad and not self._owed
        if idle and next_offset - self._stored_offset < CHECKPOINT_EVERY:
            self._next_offset = next_offset
            return
        core.set_next_offset(next_offset)
        batch = core.take()
        now = self._app.clock.now_ms()
        breaches: list[Outgoing] = []
        outcomes: list[Outgoing] = []
        for publication in batch.publications:
            key, mode = publication.subject.encode(), core.mode(publication)
            if publication.kind != "outcome":
                breaches.append(Outgoing(key, encode_event(publication, now, mode), EVENT_HEADERS))
            if publication.kind != "at_risk":
                outcomes.append(Outgoing(key, encode_outcome(publication, now, mode), EVENT_HEADERS))
        changes = [Outgoing(key, value) for key, value in batch.changes.items()]
        changes += self._owed
        changes.append(Outgoing(CHECKPOINT_KEY, encode_checkpoint(batch.checkpoint)))
        offset = await self._producer.write(
            {BREACHES: breaches, OUTCOMES: outcomes, dlq(self._source.topic): self._bad},
            self._app.settings.changelog,
            changes,
        )
        if offset is None:
            raise RuntimeError("a checkpoint was written but no offset came back")
        self._app.remember(self._partition, changes, offset)
        self._next_offset = self._stored_offset = next_offset
        self._owed = []
        self._measure(batch, now)
        self._bad = []
        self._bad_bytes = 0
        self._bad_reasons.clear()

    def _measure(self, batch: Batch, now: int) -> None:
        topic = self._source.topic
        for outcome, count in batch.counted.items():
            metrics.EVENTS.labels(topic=topic, outcome=outcome).inc(count)
        for reason, count in self._bad_reasons.items():
            metrics.DEAD_LETTERS.labels(topic=topic, reason=reason).inc(count)
        self._measure_publications(batch, now)

    def _measure_publications(self, batch: Batch, now: int) -> None:
        statuses: Counter[tuple[str, str]] = Counter()
        breaches: dict[tuple[str, str], list[Publication]] = {}
        for publication in batch.publications:
            if publication.kind != "at_risk":
                statuses[publication.promise, publication.status] += 1
            if publication.kind == "breached":
                breaches.setdefault((publication.promise, publication.severity), []).append(publication)
        for (promise, status), count in statuses.items():
            metrics.OUTCOMES.labels(promise=promise, status=status).inc(count)
        talkative = logging.getLogger(log_name).isEnabledFor(logging.DEBUG)
        for (promise, severity), published in breaches.items():
            # An exemplar of OpenMetrics: the way from a graph to an event. One a batch will do.
            example: dict[str, str] | None = {"event_id": published[-1].id}
            metrics.BREACHES.labels(promise=promise, severity=severity).inc(len(published), exemplar=example)
            for publication in published:
                if publication.breached_at is not None and self._core.mode(publication) == "live":
                    delay_ms = now - publication.breached_at - self._source.settle_ms
                    metrics.DETECTION_DELAY.observe(max(0, delay_ms) / 1_000, exemplar=example)
                    example = None
                if talkative:
                    log.debug(
                        "breach published",
                        promise=publication.promise,
                        subject=publication.subject,
                        event_id=publication.id,
                        partition=self._partition,
                    )

    def hurry(self) -> None:
        """Go on: a batch takes milliseconds."""

    async def close(self) -> None:
        """Let go of the partition."""
        self.closed = True
        await self._producer.stop()


def build_detector(book: Book, settings: StreamSettings, detect: DetectSettings) -> BatchApp:
    """Wire the detect agent: one app, reading the book's source topic."""
    source = next(iter(book.sources.values()))
    cores = Cores(book)

    async def open_partition(app: BatchApp, partition: int, producer: PartitionProducer) -> DetectPartition:
        core, decoder, owed = await take_over(app, book, source, cores, detect, partition)
        return DetectPartition(app, partition, producer, core, decoder, source, book.defaults.skew_ms, owed)

    async def beat(app: BatchApp) -> None:
        if source.frontier == "clock":
            await take_marks(app, source.topic)
        await app.partitions.tick()

    return build_app(settings, open_partition, beat)


async def take_marks(app: BatchApp, topic: str) -> None:
    """Mark every owned partition: the clock is read first, then the ends are asked."""
    count = app.offsets.known_partition_count(topic)
    if not count:
        return  # gone, or not known just now: the frontier stands still, and streams/topicwatch.py sees to the rest
    if count != app.settings.partitions:
        raise TopicsError(
            f"{topic} has {count} partitions now, and had {app.settings.partitions} "
            "at start: subjects have moved between partitions, which direct mode cannot follow"
        )
    lanes = dict(app.partitions.lanes)
    clock_ms = app.clock.now_ms()
    ends = await app.offsets.ends(topic, lanes)
    for partition, lane in lanes.items():
        if isinstance(lane.handler, DetectPartition):
            lane.handler.mark(clock_ms, ends[partition])
