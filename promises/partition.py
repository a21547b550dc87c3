"""One partition's facts and timers, without its input and output: what the worker, the backtest and tests all run.

Facts go in one by one, in offset order; the frontier moves; `take` hands out what has to be written together. Between
`take` and the next call, the shell writes: the published events and the changed records in one transaction, then the
records to the store that `read` reads.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Any, Final

from promises import borders
from promises.cycles import awaits_fire, wake
from promises.detector import SEPARATOR, Detector, subject_key, subject_of
from promises.gaps import ENDLESS, Gap
from promises.known import Known
from promises.migrating import Fate, Migrating
from promises.steps import Bounds, Step
from promises.stored import encode_record, foreign, read_head, read_record, unreadable, with_facts
from schemas.decoding import SourceDecoder
from schemas.errors import EventError
from schemas.facts import Fact, Subject
from schemas.publications import Mode, Publication
from schemas.records import RECORD_FORMAT, Checkpoint, Record

CHECKPOINT_KEY: Final = b"\x00checkpoint"
"""Where the shell keeps the checkpoint beside the records. No subject is stored under a key starting with a zero."""

_RESERVED = b"\x00"

UNKNOWN: Final = ENDLESS
"""`known_since` of a log that has lost its beginning and whose first fact has not been seen yet; `until` of a gap at
whose end that is so.
"""

RECENT_RECORDS_MAX = 4_096
"""Records kept decoded after they were taken: the next fact of a busy order often comes soon."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What happened since the last `take`, to be written as one. A change to None removes the record."""

    publications: list[Publication]
    changes: dict[bytes, bytes | None]
    checkpoint: Checkpoint
    counted: Counter[str]


class PartitionDetector:
    """The detector applied to one partition. Not for use by several threads or tasks at once."""

    def __init__(
        self,
        detector: Detector,
        read: Callable[[bytes], bytes | None],
        checkpoint: Checkpoint,
        *,
        partition: int | None = None,
    ) -> None:
        """Go on from `checkpoint`; `read` gets a stored record; `partition` is named in errors and checkpoints.

        Raises StateError if the checkpoint is of another format.
        """
        self._name = "" if partition is None else f"partition {partition}, "
        if checkpoint.format != RECORD_FORMAT:
            raise foreign(self._name, "the checkpoint", checkpoint.format)
        self.detector = detector
        self._read = read
        self._sources = checkpoint.sources
        self._vector = list(checkpoint.vector)
        if not self._vector and partition is not None:
            self._vector = [f"{source}/{partition}" for source in checkpoint.sources]
        self._checkpoint: borders.Moment = (checkpoint.fire, checkpoint.subject)
        # Inside a slice the frontier had come further; until it does again, only the floor has to remember that.
        self._frontier = checkpoint.fire
        self._floor = max(checkpoint.floor, checkpoint.fire)
        self._next_offset = checkpoint.next_offset
        self._known = Known(checkpoint.known_since, checkpoint.gaps)
        self._opens_from = self._known.opens_from
        self._bounds: Bounds | None = None
        self.live_since = checkpoint.live_since
        self._heap: list[tuple[int, bytes]] = []
        self._changed: dict[bytes, Record | None] = {}
        self._recent: dict[bytes, Record | None] = {}
        self._publications: list[Publication] = []
        self._counted: Counter[str] = Counter()
        self.late_before: int = -(1 << 62)
        """Facts dated before this instant are counted in `late`, whatever becomes of them."""
        self.late = 0
        self.pinned: set[tuple[str, int]] = set()
        """Promises, and the versions of theirs, that the stored cycles were found to run under by `rebuild`."""

    @property
    def frontier(self) -> int:
        """Every fact dated before this instant is known."""
        return self._frontier

    @property
    def floor(self) -> int:
        """No due learnt now is published before this instant; never below the frontier."""
        return self._floor

    @floor.setter
    def floor(self, instant: int) -> None:
        self._floor = max(instant, self._frontier)
        self._bounds = None

    @property
    def known_since(self) -> int:
        """Nothing opens before this instant."""
        return self._opens_from

    @known_since.setter
    def known_since(self, instant: int) -> None:
        self._known.since = instant
        self._see_through()

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """When facts may have happened that will never be known, as far as anything is kept that looks there."""
        return self._known.gaps

    def add_gap(self, since: int, until: int = UNKNOWN) -> bool:
        """Facts dated from `since` to before `until` (UTC ms) may never become known; whether that is news.

        What runs across it is held: it is never published as broken. Nothing opens before `until`; UNKNOWN: before a
        settle after the first fact that comes now.
        """
        fire, subject = self._checkpoint
        since = max(since, fire + 1 if subject else fire)  # what has been published was proved
        news = self._known.lose(since, until)
        self._see_through()
        return news

    def begin_at(self, instant: int) -> None:
        """From `instant` on everything is known, now that the first fact after what was lost has been seen."""
        self._known.begin_at(instant)
        self._see_through()

    def held(self) -> Counter[str]:
        """How many promises run across a gap, by promise. It looks at every record."""
        found: Counter[str] = Counter()
        unprovable, gaps = self.detector.rules.unprovable, self._known.gaps
        for stored_as in self.subjects() if gaps else ():
            record = self._record(stored_as)
            for cycle in record.cycles if record is not None else ():
                if awaits_fire(cycle, stored_as, self._checkpoint) and unprovable(cycle, gaps):
                    found[cycle.promise] += 1
        return found

    @property
    def next_offset(self) -> int:
        """The next input offset to process."""
        return self._next_offset

    @property
    def timers(self) -> int:
        """Entries on the heap: about one for each subject of which anything is kept."""
        return len(self._heap)

    @property
    def pending(self) -> int:
        """How much `take` would hand out: published events and changed records."""
        return len(self._publications) + len(self._changed)

    @property
    def next_timer(self) -> int | None:
        """The instant at which a timer may next have something to do; None if nothing runs."""
        return self._heap[0][0] if self._heap else None

    def count(self, reason: str) -> None:
        """Count something the shell noticed, so that it is reported with the batch."""
        self._counted[reason] += 1

    def set_next_offset(self, offset: int) -> None:
        """Everything below `offset` has been processed, or there is nothing there to process."""
        self._next_offset = offset

    def mode(self, publication: Publication) -> Mode:
        """Whether a publication is about now or about history that was read again."""
        about = publication.breached_at if publication.breached_at is not None else publication.due
        if publication.kind == "fulfilled_late" and publication.fulfilled_at is not None:
            about = publication.fulfilled_at
        return "replay" if about < self.live_since else "live"

    def rebuild(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        """Find every timer again from the stored records. Keys of other things than subjects are skipped.

        Raises StateError for a record of another format, or of a promise version that the book has lost.
        """
        check = self.detector.rules.check
        seen = self.pinned
        oldest = UNKNOWN
        heap = []
        for stored_as, value in items:
            if stored_as.startswith(_RESERVED):
                continue
            head = read_head(self._name, stored_as, value)
            if SEPARATOR not in stored_as:
                raise unreadable(self._name, stored_as, stored_as)
            for cycle in head.cycles:
                if (cycle.promise, cycle.version) not in seen:
                    check(cycle)
                    seen.add((cycle.promise, cycle.version))
                oldest = min(oldest, cycle.opened_at)
            if head.cycles:
                instant: int | None = wake(head.cycles, stored_as, self._checkpoint)
            else:
                record = with_facts(head)
                instant = self.detector.wake(subject_of(stored_as), stored_as, record, self._checkpoint)
            if instant is not None:
                heap.append(self._after_checkpoint(instant, stored_as))
        heapify(heap)
        self._heap = heap
        self._forget_gaps(oldest)

    def fact(self, subject: Subject, fact: Fact, offset: int) -> None:
        """Process the fact read at `offset`. Raises EventError if it cannot be used; nothing has changed then."""
        stored_as = subject_key(subject)
        self.accept(stored_as, self.judge(subject, stored_as, fact))
        self._next_offset = offset + 1

    def judge(self, subject: Subject, stored_as: bytes, fact: Fact) -> Step:
        """What a fact would do; `accept` does it. Raises EventError if it cannot be used."""
        record = self._record(stored_as)
        bounds = self._bounds
        if bounds is None:
            bounds = self._bounds = self._current_bounds()
        return self.detector.apply(subject, stored_as, record, fact, bounds)

    def accept(self, stored_as: bytes, step: Step) -> None:
        """Do what a fact was judged to do, before anything else is done."""
        for reason in step.counted:
            self._counted[reason] += 1
        if not step.changed:
            return
        if step.wake is not None:
            heappush(self._heap, self._after_checkpoint(step.wake, stored_as))
        self._changed[stored_as] = step.record
        if step.publications:
            self._publications += step.publications

    def subjects(self) -> list[bytes]:
        """Every subject of which anything is kept, as stored and in order."""
        return sorted({stored_as for _, stored_as in self._heap})

    def migrate(self, stored_as: bytes, migrating: Migrating) -> list[Fate]:
        """Move what runs about one subject to another version; what became of each of its cycles that was meant."""
        known = self._changed.get(stored_as)
        if known is None and stored_as not in self._changed:
            value = self._read(stored_as)
            if value is None or not any(map(migrating.concerns, read_head(self._name, stored_as, value).cycles)):
                return []
            known = read_record(self._name, stored_as, value)
        if known is None:
            return []
        moved = migrating.move(subject_of(stored_as), stored_as, known, self._current_bounds())
        if moved.record is not None:
            self._changed[stored_as] = moved.record
            self._publications += moved.publications
            if moved.wake is not None:
                heappush(self._heap, self._after_checkpoint(moved.wake, stored_as))
        return moved.fates

    def take_in(
        self, decoder: SourceDecoder, records: Sequence[Any], begin: int, end: int, latest: int, settle_ms: int
    ) -> tuple[int, EventError | None]:
        """Process the events `records[begin:end]` (each with `value`, `offset` and, where the decoder looks at them,
        `headers`) up to one that is not for the core.

        Returns the index of that record, and why it cannot be used (dated after `latest`, UTC ms, is one reason) or
        None if it has no value; `end` if all were processed. One loop here costs a tenth less than one in the shell.
        """
        in_headers, late_before = decoder.in_headers, self.late_before
        for index in range(begin, end):
            record = records[index]
            value = record.value
            if not value:
                return index, None
            try:
                decoded = decoder.decode_record(value, record.headers) if in_headers else decoder.decode(value)
                subject, fact = decoded.subject, decoded.fact
                if fact is None or subject is None:
                    self._counted["unknown_type"] += 1
                    continue
                if fact.time > latest:
                    message = f"time {fact.time} lies more than the skew ahead of the clock: after {latest}"
                    return index, EventError("future", message)
                if fact.time < late_before:
                    self.late += 1
                if self._opens_from == UNKNOWN:
                    self.begin_at(fact.time + settle_ms)
                self.fact(subject, fact, record.offset)
            except EventError as error:
                return index, error
        return end, None

    def advance_to(self, frontier: int) -> None:
        """Move the frontier. What has become due is published by `fire_due`. Raises ValueError if it would go back."""
        if frontier < self._frontier:
            raise ValueError(f"found frontier {frontier}, expected at least {self._frontier}: time never goes back")
        self._frontier = frontier
        self._floor = max(self._floor, frontier)
        self._bounds = None

    def fire_due(self, limit: int) -> bool:
        """Do what the timers owe before the frontier, at most `limit` subjects of it; whether some is left."""
        heap = self._heap
        self._bounds = None
        while heap and borders.overdue(heap[0][0], self._frontier):
            if limit <= 0:
                return True
            limit -= 1
            instant, stored_as = heappop(heap)
            while heap and heap[0] == (instant, stored_as):
                heappop(heap)
            assert not borders.published((instant, stored_as), self._checkpoint), "a checkpoint never goes back"
            self._fire(instant, stored_as)
            self._checkpoint = (instant, stored_as)
        # No subject sorts before the empty one: everything before the frontier is done, nothing at it.
        self._checkpoint = max(self._checkpoint, (self._frontier, b""))
        return False

    def take(self) -> Batch:
        """Everything since the last `take`. The shell makes it durable before it calls anything else."""
        changes = {
            stored_as: None if record is None else encode_record(record) for stored_as, record in self._changed.items()
        }
        if len(self._recent) > RECENT_RECORDS_MAX:
            self._recent = {}
        self._recent.update(self._changed)
        batch = Batch(self._publications, changes, self._current_checkpoint(), self._counted)
        self._publications, self._changed, self._counted = [], {}, Counter()
        return batch

    def _fire(self, instant: int, stored_as: bytes) -> None:
        record = self._record_if_due(instant, stored_as)
        if record is None:
            return
        step = self.detector.fire(
            subject_of(stored_as), stored_as, record, self._checkpoint, instant,
            known_since=self._opens_from, frontier=self._frontier, gaps=self._known.gaps,
        )  # fmt: skip
        if step.wake is not None:
            assert step.wake > instant, "what was due by now is done"
            heappush(self._heap, (step.wake, stored_as))
        if step.changed:
            self._changed[stored_as] = step.record
        if step.publications:
            self._publications += step.publications

    def _record_if_due(self, instant: int, stored_as: bytes) -> Record | None:
        """The record if a timer has to do with it by `instant`. If that moved later, the timer is put there."""
        record = self._changed.get(stored_as)
        if record is None:
            value = None if stored_as in self._changed else self._read(stored_as)
            if value is None:
                return None
            head = read_head(self._name, stored_as, value)
            # Most timers of settled cycles only have to move: the facts need not be looked at for that.
            if head.cycles and self._later(wake(head.cycles, stored_as, self._checkpoint), instant, stored_as):
                return None
            record = with_facts(head)
            if head.cycles:
                return record
        due = self.detector.wake(subject_of(stored_as), stored_as, record, self._checkpoint)
        return None if due is not None and self._later(due, instant, stored_as) else record

    def _later(self, due: int, instant: int, stored_as: bytes) -> bool:
        if due <= instant:
            return False
        heappush(self._heap, (due, stored_as))
        return True

    def _record(self, stored_as: bytes) -> Record | None:
        for known in (self._changed, self._recent):
            if stored_as in known:
                return known[stored_as]
        value = self._read(stored_as)
        return None if value is None else read_record(self._name, stored_as, value)

    def _after_checkpoint(self, instant: int, stored_as: bytes) -> tuple[int, bytes]:
        """A heap entry that the timers have not passed yet."""
        if borders.published((instant, stored_as), self._checkpoint):
            return (self._checkpoint[0] + 1, stored_as)
        return (instant, stored_as)

    def _current_checkpoint(self) -> Checkpoint:
        fire, subject = self._checkpoint
        return Checkpoint(
            format=RECORD_FORMAT,
            sources=self._sources,
            fire=fire,
            subject=subject,
            next_offset=self._next_offset,
            known_since=self._known.since,
            live_since=self.live_since,
            vector=dict.fromkeys(self._vector, self._frontier),
            book=self.detector.book.digest,
            floor=self._floor,
            gaps=self._known.gaps,
        )

    def _current_bounds(self) -> Bounds:
        return Bounds(self._frontier, self._floor, self._opens_from, self._checkpoint, self._known.gaps)

    def _see_through(self) -> None:
        self._opens_from = self._known.opens_from
        self._bounds = None

    def _forget_gaps(self, oldest: int) -> None:
        """Let go of gaps that nothing looks back to which is kept, opened at `oldest` or later, or may still open."""
        rules = self.detector.rules
        self._known.forget(min(oldest, self._frontier - rules.retention_ms) - rules.looks_back_ms)
        self._see_through()
