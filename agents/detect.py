"""The detect agent in direct mode: facts and the frontier in, differences between verdicts out.

One `DetectPartition` an owned partition of the source topic. It feeds the pure core (`promises.partition`) in offset
order and writes what the core says in transactions (`committing.py`); it decides nothing itself.
"""

from collections.abc import Sequence
from typing import Any

from agents.committing import CommittingPartition, Taken
from agents.doubting import Doubting
from agents.figures import DirectFigures
from agents.takeover import Cores, DetectSettings, take_over
from promises.migrating import Migrating
from promises.partition import CHECKPOINT_KEY, PartitionDetector
from schemas import metrics
from schemas.book_model import Book, Source
from schemas.decoding import SourceDecoder
from schemas.errors import EventError, StateError, TopicsError
from schemas.markers import read_marker
from schemas.migrations import read_migration
from schemas.publications import Publication
from schemas.records import encode_checkpoint
from schemas.vectors import Hold
from streams.app import BatchApp, StreamSettings, build_app
from streams.clock import SystemClock
from streams.emit import Outgoing, PartitionProducer
from streams.frontier import Marks
from streams.listening import Listening


class DetectPartition(CommittingPartition[PartitionDetector]):
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
        doubt: Doubting | None = None,
    ) -> None:
        """Take over a partition whose state is restored and whose earlier producers are fenced.

        `owed` is stored with the first commit, which does not wait for anything to happen. `doubt` may hold the
        frontier.
        """
        super().__init__(app, partition, producer, core, source.topic, core.next_offset, owed)
        self._decoder = decoder
        self._source = source
        self._skew_ms = skew_ms
        self._marks = Marks(source.settle_ms) if source.frontier == "clock" else None
        self._told: int | None = None
        self._doubt = doubt

    def _take_in(self, records: Sequence[Any], begin: int, end: int, now: int) -> tuple[int, EventError | None]:
        latest, settle_ms = now + self._skew_ms, self._source.settle_ms
        found, error = self._core.take_in(self._decoder, records, begin, end, latest, settle_ms)
        if self._doubt is not None and found > begin:
            self._doubt.note(found - begin, 0, records[found - 1].timestamp)
        return found, error

    def _dead_letter(self, record: Any, error: EventError) -> None:
        super()._dead_letter(record, error)
        if self._doubt is not None:
            self._doubt.note(1, 1, record.timestamp)

    async def _control(self, record: Any, now: int) -> None:
        core = self._core
        migration = read_migration(record.headers)
        if migration is not None:
            migrating = Migrating(core.detector, migration)
            await self._migrate(record, migration, (core.migrate(one, migrating) for one in core.subjects()))
            return
        instant = read_marker(record.value, record.headers)
        if instant is None and self._decoder.has_tombstones:
            core.count("tombstone")
            return
        if instant is None:
            raise EventError("empty", "a record without a value and without a frontier header")
        if instant > now + self._skew_ms:  # nobody knows yet what happens then; taken, it would break every promise
            raise EventError("future", f"a marker for {instant}, more than the skew ahead of the clock {now}")
        if self._marks is not None:
            core.count("marker_ignored")
        elif instant > core.frontier and (self._told is None or instant > self._told):
            self._told = instant
            await self._go_on(now, instant, record.offset)
            core.floor = instant

    @property
    def core(self) -> PartitionDetector:
        """What judges."""
        return self._core

    def mark(self, clock_ms: int, end_offset: int) -> None:
        """Note that at `clock_ms` (read first) the log ended at `end_offset`. Raises StateError when it shrank."""
        if self._marks is None:
            return
        try:
            self._marks.add(clock_ms, end_offset)
        except ValueError as error:
            raise StateError(f"{self._topic}/{self._partition}: {error}: the topic was recreated") from error
        self._core.floor = max(self._core.floor, clock_ms)

    def silence(self, hold: Hold | None) -> None:
        """Take note of whether the source as a whole is in doubt for its silence."""
        if self._doubt is not None:
            self._doubt.silent = hold

    async def tick(self) -> None:
        """Move the frontier past what is processed and publish what that proves."""
        if self.closed:
            return
        now = self._app.clock.now_ms()
        if self._owed or self._is_behind(self._next_offset):
            await self._commit(self._next_offset)
        proved = self._told if self._marks is None else self._marks.passed(self._next_offset)
        frontier = await self._go_on(now, proved, self._next_offset)
        if frontier is None or self._marks is None:
            return
        metrics.FRONTIER_LAG.labels(partition=str(self._partition)).set((now - frontier) / 1_000)
        metrics.TIMERS.labels(partition=str(self._partition)).set(self._core.timers)

    async def _go_on(self, now: int, proved: int | None, next_offset: int) -> int | None:
        """Publish what is due before the frontier, which is `proved` unless doubt holds it; where it is then."""
        frontier = proved
        if self._doubt is not None:
            frontier = self._doubt.announce(now, proved)
            self._owed += self._doubt.take(now)
        if frontier is None:
            return None
        if frontier > self._core.frontier:
            self._core.advance_to(frontier)
        await self._drain(next_offset)
        return frontier

    def holds(self, now: int) -> Hold | None:
        """The doubt about the source that holds the frontier."""
        return None if self._doubt is None else self._doubt.holds(now)

    def _take(self) -> Taken:
        batch = self._core.take()
        changes = [Outgoing(key, value) for key, value in batch.changes.items()]
        if self._doubt is not None:
            changes += self._doubt.take(self._app.clock.now_ms())
        changes.append(Outgoing(CHECKPOINT_KEY, encode_checkpoint(batch.checkpoint)))
        return Taken(batch.publications, changes, batch.counted)

    def _settle_ms(self, publication: Publication) -> int:  # noqa: ARG002 -- facts mode has several sources
        return self._source.settle_ms


def build_detector(book: Book, settings: StreamSettings, detect: DetectSettings) -> BatchApp:
    """Wire the detect agent: one app, reading the book's source topic."""
    source = next(iter(book.sources.values()))
    cores = Cores(book)
    listening = Listening([source], real_time=isinstance(settings.clock, SystemClock))
    figures = DirectFigures(book)

    async def open_partition(app: BatchApp, partition: int, producer: PartitionProducer) -> DetectPartition:
        core, decoder, owed, doubt = await take_over(app, book, source, cores, detect, partition)
        return DetectPartition(app, partition, producer, core, decoder, source, book.defaults.skew_ms, owed, doubt)

    async def beat(app: BatchApp) -> None:
        if source.frontier == "clock":
            await take_marks(app, source.topic)
        await listen(app, listening, source.topic)
        await app.partitions.tick()
        now = app.clock.now_ms()
        figures.look(now, [handler.holds(now) for handler in _open(app, source.topic).values()])

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
    handlers = _open(app, topic)
    clock_ms = app.clock.now_ms()
    ends = await app.offsets.ends(topic, handlers)
    for partition, handler in handlers.items():
        handler.mark(clock_ms, ends[partition])


async def listen(app: BatchApp, listening: Listening, topic: str) -> None:
    """Hear whether the source is silent, before its frontier is moved."""
    clock_ms = app.clock.now_ms()
    await listening.listen(clock_ms, {topic: app.offsets.known_partition_count(topic)}, app.offsets)
    for handler in _open(app, topic).values():
        handler.silence(listening.hold(topic, clock_ms))


def _open(app: BatchApp, topic: str) -> dict[int, DetectPartition]:
    lanes = app.partitions.of_topic(topic)
    return {
        partition: lane.handler for partition, lane in lanes.items() if isinstance(lane.handler, DetectPartition)
    }  # fmt: skip
