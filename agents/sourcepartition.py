"""One owned partition of a source: its events become facts, and what is acknowledged of them moves its frontier."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from faust.types import TP
from msgspec.structs import replace

from agents.deadletters import DeadLetters
from agents.mapping import Mapped, SourceMapper
from agents.origins import Origin
from agents.vectoring import VectorSender
from schemas import metrics
from schemas.book_model import Source
from schemas.errors import EventError, RestartNeeded, StateError
from schemas.markers import read_marker
from schemas.migrations import HEADER as MIGRATION_HEADER
from schemas.sourcepositions import SourcePosition, encode_position
from schemas.topics import dlq
from schemas.vectors import Hold, SourceMark, source_partition
from streams.app import BatchApp
from streams.doubt import Doubt
from streams.frontier import Marks
from streams.sharedproducer import SharedProducer

SLICE_FACTS = 5_000
"""A write holds at most about this many facts and dead letters of one partition."""
LOOK_EVERY = 64
"""Records mapped between two looks at whether a slice is full."""
YIELD_EVERY = 500
"""Records mapped before other lanes and the heartbeat get a turn."""
OUTDATED_SECONDS = 240.0
"""So long a partition is left alone that somebody works with another, newer book. Then the process ends, to begin anew:
whatever took it over may be gone by then."""
OUTDATED = "outdated_book"


@dataclass(frozen=True)
class Shared:
    """What the source partitions of a process have in common: the topic `facts` go to, and how many partitions each
    topic of dead `letters` has.
    """

    producer: SharedProducer
    vectors: VectorSender
    facts: str
    letters: Mapping[str, int]
    skew_ms: int


class SourcePartition:
    """Reads one partition of a source; opened by `agents.ingest`."""

    def __init__(
        self,
        app: BatchApp,
        tp: TP,
        source: Source,
        mapper: SourceMapper,
        shared: Shared,
        origin: Origin,
        position: SourcePosition,
        kept: str = "",
    ) -> None:
        """Go on from `origin`. `position` says what is the same of every position of this partition from now on; `kept`
        is the metadata of the one that an outdated process must not touch.
        """
        self._app = app
        self._tp = tp
        self.source = source
        self._mapper = mapper
        self._shared = shared
        self._origin = origin
        self._position = position
        self._kept = kept
        self._label = app.partitions.label(tp)
        self.name = source_partition(source.name, tp.partition)
        self._next_offset = origin.next_offset
        self._known_since = origin.known_since
        self._gap = origin.gap
        self._gap_from = origin.gap_from
        self._frontier = origin.frontier
        self._floor: int | None = None
        self._marks = Marks(source.settle_ms) if source.frontier == "clock" else None
        self._read_marker = self._told = origin.marker
        self._doubt = Doubt(source.doubt, origin.doubt, origin.frontier)
        self._hold: Hold | None = None
        self._opened_at = app.clock.now_ms()
        self._letters = DeadLetters("promisewatch.ingest")
        self._clear()
        shared.vectors.open(self)

    def _clear(self) -> None:
        self._mapped = Mapped()
        self._ignored = 0
        self._tombstones = 0

    # -- what a lane asks for ----------------------------------------------------------------------------------------

    @property
    def next_offset(self) -> int:
        """The next offset to read: what lies below is acknowledged."""
        return self._next_offset

    async def process(self, records: Sequence[Any], next_offset: int) -> None:
        """Send the facts of a batch, and its dead letters, slice by slice."""
        if self._origin.outdated:
            return
        now = self._app.clock.now_ms()
        latest, late_before = now + self._shared.skew_ms, self._doubt.late_before
        begin, looked, written, count = 0, 0, 0, len(records)
        while begin < count:
            end = min(begin + LOOK_EVERY, count)
            begin, error = self._mapper.take_in(records, begin, end, latest, late_before, self._mapped)
            if begin < end:
                self._take_in_other(records[begin], error, latest)
                begin += 1
            if self._mapped.count + len(self._letters) >= SLICE_FACTS or self._letters.are_full:
                await self._write(records[written:begin], records[begin - 1].offset + 1)
                written = begin
            if begin - looked >= YIELD_EVERY:
                looked = begin
                await asyncio.sleep(0)
        await self._write(records[written:], next_offset)

    async def tick(self) -> None:
        """Nothing is asked for by time alone: `mark` looks at all partitions together."""

    def hurry(self) -> None:
        """Go on: a batch takes milliseconds."""

    async def close(self) -> None:
        """Say no more about the partition."""
        self._shared.vectors.close(self)

    def commit_metadata(self) -> str:
        """What is kept with the group's offset, which is `next_offset`."""
        if self._origin.outdated:
            return self._kept
        return encode_position(
            replace(
                self._position,
                frontier=self._frontier,
                marker=self._told,
                known_since=self._known_since,
                gap=self._gap,
                gap_from=self._gap_from,
                doubt=self._doubt.stored(),
            )
        )

    # -- what vectors ask for ----------------------------------------------------------------------------------------

    def mark(self) -> SourceMark | None:
        """How far the partition is complete; None while it is not known since when it is."""
        if self._origin.outdated or self._known_since is None:
            return None
        return SourceMark(self._frontier, self._floor, self._known_since, self._gap)

    def hold(self) -> Hold | None:
        """Why the frontier stands still on purpose."""
        return Hold(OUTDATED, self._opened_at) if self._origin.outdated else self._hold

    @property
    def frontier(self) -> int | None:
        """Every fact dated before it is acknowledged on the facts topic."""
        return self._frontier

    # -- the frontier ------------------------------------------------------------------------------------------------

    def complete(self) -> int | None:
        """The instant up to which the source's own markers say that it is complete, as far as that is acknowledged."""
        return self._told

    def look(self, clock_ms: int, end_offset: int, told: int | None, silent: Hold | None) -> None:
        """Move the frontier past what is acknowledged.

        The clock and `told` (what `complete` said) were read first, then the partitions of the source were counted and
        the log was asked for its `end_offset`; `silent` is the doubt there is about the source as a whole. Raises
        StateError when the log has shrunk, RestartNeeded when somebody else has had the partition for long.
        """
        if self._origin.outdated:
            if clock_ms - self._opened_at > OUTDATED_SECONDS * 1_000 * self._app.clock.factor:
                raise RestartNeeded(
                    f"{self._tp.topic}/{self._tp.partition} was taken over by a process that was started later, with "
                    "another book; this one begins anew, with its own"
                )
            return
        proved = self._proved(clock_ms, end_offset, told)
        if proved is not None and self._known_since is None:
            # Nothing was there to be read: what has expired lies before the mark.
            self._know_since(proved + self.source.settle_ms)
        if self._known_since is None:
            return
        self._hold = self._doubt.holds(clock_ms) or silent
        frontier = self._doubt.announce(clock_ms, proved, silent)
        if frontier is not None and (self._frontier is None or frontier > self._frontier):
            self._frontier = frontier
        if self._frontier is not None:
            metrics.FRONTIER_LAG.labels(partition=self._label).set((clock_ms - self._frontier) / 1_000)

    def _proved(self, clock_ms: int, end_offset: int, told: int | None) -> int | None:
        if self._marks is None:
            return told  # and no floor: the source's word, and not a clock, says what is on its way
        try:
            self._marks.add(clock_ms, end_offset)
        except ValueError as error:
            where = f"{self._tp.topic}/{self._tp.partition}"
            raise StateError(f"{where}: {error}: the topic was recreated") from error
        self._floor = clock_ms
        return self._marks.passed(self._next_offset)

    def _know_since(self, instant: int) -> None:
        """All facts dated from `instant` on can be read: it is the first one's time and `settle`."""
        self._known_since = instant
        if self._gap_from is not None:
            since, until = self._gap_from, instant
            if self._gap is not None:
                since, until = min(since, self._gap[0]), max(until, self._gap[1])
            self._gap, self._gap_from = (since, until), None

    # -- records -----------------------------------------------------------------------------------------------------

    def _take_in_other(self, record: Any, error: EventError | None, latest: int) -> None:
        """A record that is no event that can be used: a marker, or a dead letter."""
        try:
            if error is not None:
                raise error
            if any(name == MIGRATION_HEADER for name, _ in record.headers):
                raise EventError("bad_migration", "found a migration on a source topic, expected it on the facts topic")
            instant = read_marker(record.value, record.headers)
            if instant is None and self._mapper.has_tombstones:
                self._tombstones += 1
                return
            if instant is None:
                raise EventError("empty", "a record without a value and without a frontier header")
            if instant > latest:  # nobody knows yet what happens then; taken, it would break every promise
                raise EventError("future", f"a marker for {instant}, more than the skew ahead of the clock: {latest}")
        except EventError as unusable:
            self._letters.add(record, unusable)
            return
        if self._marks is not None:
            self._ignored += 1
        elif self._read_marker is None or instant > self._read_marker:
            self._read_marker = instant

    async def _write(self, records: Sequence[Any], next_offset: int) -> None:
        """Have everything acknowledged that was taken in, which is `records`; then go on at `next_offset`."""
        mapped, shared = self._mapped, self._shared
        if mapped.first_time is not None:
            if self._known_since is None:
                self._know_since(mapped.first_time + self.source.settle_ms)
            # Who reads facts knows by then of the partition, and since when everything is known.
            await shared.vectors.announce(self)
        writes = []
        if mapped.count:
            writes.append(shared.producer.write(shared.facts, mapped.records))
        if self._letters:
            letters = dlq(self._tp.topic)
            partition = self._tp.partition % shared.letters[letters]
            writes.append(shared.producer.write(letters, {partition: self._letters.records}))
        if writes:
            await asyncio.gather(*writes)
        self._next_offset = next_offset
        self._told = self._read_marker
        self._count(records)
        self._letters.written(self._tp.topic)
        self._clear()

    def _count(self, records: Sequence[Any]) -> None:
        mapped, topic = self._mapped, self._tp.topic
        if not records:
            return
        arrived = max(record.timestamp for record in records)
        now = self._app.clock.now_ms()
        self._doubt.read(now, len(records), len(self._letters), mapped.late, arrived)
        metrics.RECORDS.labels(topic=topic).inc(len(records))
        metrics.FACTS.labels(source=self.source.name).inc(mapped.count)
        noticed = {"unknown_type": mapped.unknown, "marker_ignored": self._ignored, "tombstone": self._tombstones}
        for outcome, count in noticed.items():
            if count:
                metrics.EVENTS.labels(topic=topic, outcome=outcome).inc(count)
