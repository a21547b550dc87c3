"""Judging recordings: the core of the live worker without Kafka, and the reading of recordings into it.

The whole recording is read before the frontier moves, so its order does not matter. What is held in memory is what is
known of each subject and the verdict on each cycle; the events themselves are not.
"""

import gc
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from promises.cycles import awaits_fire
from promises.detector import Detector, subject_of
from promises.partition import PartitionDetector
from promises.rules import ALWAYS
from promises.verdicts import OPEN, VOID
from promisewatch.console import Meter, progress
from promisewatch.recordings import Line, parse_recording, read_lines
from schemas.book_model import Book
from schemas.decoding import Decoder
from schemas.editions import version_of
from schemas.errors import EventError, InputError
from schemas.facts import Fact, Subject
from schemas.publications import Publication
from schemas.records import RECORD_FORMAT, Checkpoint, Record

FACTS_PER_SLICE = 10_000
"""Facts after which the records they changed are packed: unpacked ones take about ten times the memory."""
BAD_LINES_SHOWN_MAX = 10

CycleName = tuple[str, str, str]
"""(promise, subject, id of the opening fact)."""


class Verdict(NamedTuple):
    """How one cycle stands. Instants are UTC milliseconds; `version` is that of the promise under which it runs."""

    opened_at: int
    due: int
    status: str
    fulfilled_at: int | None
    breached_at: int | None
    version: int


class Backtest:
    """The core of the live worker with a dictionary for a store and an instant for a frontier."""

    def __init__(self, book: Book) -> None:
        self._store: dict[bytes, bytes] = {}
        nothing_yet = Checkpoint(
            format=RECORD_FORMAT, sources=tuple(book.sources), fire=ALWAYS, subject=b"", next_offset=0,
            known_since=ALWAYS, live_since=ALWAYS, vector={}, book=book.digest,
        )  # fmt: skip
        self._partition = PartitionDetector(Detector(book), self._store.get, nothing_yet)
        self._verdicts: dict[CycleName, Verdict] = {}
        self._unpacked = 0
        self.counted: Counter[str] = Counter()

    def add(self, subject: Subject, fact: Fact) -> None:
        """Let one fact be known, in any order. Raises EventError if it cannot be used."""
        self._partition.fact(subject, fact, self._partition.next_offset)
        self._unpacked += 1
        if self._unpacked >= FACTS_PER_SLICE:
            self._pack()

    def verdicts(self, as_of: int) -> dict[CycleName, Verdict]:
        """Every cycle as it stands at an instant by which all facts added are known. Ends the backtest."""
        self._pack()
        self._partition.advance_to(as_of)
        while self._partition.fire_due(FACTS_PER_SLICE):
            self._pack()
        checkpoint = self._pack()
        decode = msgspec.json.Decoder(Record).decode
        for stored_as, value in self._store.items():
            for cycle in decode(value).cycles:
                if awaits_fire(cycle, stored_as, (checkpoint.fire, checkpoint.subject)):
                    name = (cycle.promise, subject_of(stored_as).value, cycle.opening)
                    version = version_of(cycle.version)
                    self._verdicts[name] = Verdict(cycle.opened_at, cycle.due, OPEN, None, None, version)
        return self._verdicts

    def _pack(self) -> Checkpoint:
        batch = self._partition.take()
        for publication in batch.publications:
            self._fold(publication)
        for stored_as, value in batch.changes.items():
            if value is None:
                self._store.pop(stored_as, None)
            else:
                self._store[stored_as] = value
        self.counted.update(batch.counted)
        self._unpacked = 0
        return batch.checkpoint

    def _fold(self, said: Publication) -> None:
        """What is published of a cycle comes with rising revisions: the last one holds."""
        name = (said.promise, said.subject, said.cycle)
        if said.kind == "at_risk":
            return
        if said.status in (VOID, OPEN):
            self._verdicts.pop(name, None)
        else:
            self._verdicts[name] = Verdict(
                said.opened_at, said.due, said.status, said.fulfilled_at, said.breached_at, said.version
            )


class Fate(Enum):
    """What one book makes of a line that it can read."""

    USED = "used"
    LATER = "later"
    """Dated after the instant as of which is judged."""
    UNKNOWN = "unknown"
    """Of a type that no promise names."""


class Judge:
    """One book at work on the recordings: what it reads out of a line, and how its cycles come to stand."""

    def __init__(self, book: Book, files: Sequence[str], as_of: int) -> None:
        """Judge `files`, each `[SOURCE=]FILE`, as of an instant (UTC ms). Raises InputError, naming the book."""
        self.book = book
        self._as_of = as_of
        self._backtest = Backtest(book)
        self._decoder = Decoder(book)
        try:
            self.recordings = [parse_recording(text, list(book.sources)) for text in files]
        except InputError as error:
            raise InputError(f"{book.path}: {error}") from None

    def take(self, source: str, value: bytes) -> Fate:
        """Let one line of a source be known, and say what became of it. Raises EventError if it cannot be used."""
        known = self._decoder.facts(source, value)
        if not known:
            return Fate.UNKNOWN
        if known[0][1].time > self._as_of:
            return Fate.LATER
        for subject, fact in known:
            self._backtest.add(subject, fact)
        return Fate.USED

    def verdicts(self) -> dict[CycleName, Verdict]:
        """Every cycle as it stands then. Ends the judging."""
        return self._backtest.verdicts(self._as_of)

    @property
    def counted(self) -> Counter[str]:
        """What else was noticed, by reason."""
        return self._backtest.counted


@dataclass
class Reading:
    """What became of the lines of the recordings; each is counted once, however many books look at it."""

    events: int = 0
    later: int = 0
    unknown: int = 0
    bad: int = 0
    examples: list[str] = field(default_factory=list)

    def refuse(self, path: Path, line: int, errors: Sequence[tuple[Book, EventError]], books: int) -> None:
        """Count a line that cannot be used by some of so many books; remember the first few.

        The book is named where not all of them refuse it, or each for another reason.
        """
        self.bad += 1
        if self.bad > BAD_LINES_SHOWN_MAX:
            return
        reasons = {f"{error.reason}: {error}" for _, error in errors}
        if len(reasons) == 1 and len(errors) == books:
            self.examples.append(f"{path}:{line}: {reasons.pop()}")
        else:
            self.examples += [f"{path}:{line}: by {book.path}: {error.reason}: {error}" for book, error in errors]


def read_all(judges: Sequence[Judge]) -> Reading:
    """Let every event of the recordings that is dated up to the instant be known to each judge."""
    reading, done = Reading(), 0
    total = sum(recording.path.stat().st_size for recording in judges[0].recordings)
    with progress("reading", total) as meter:
        for of_each in zip(*(judge.recordings for judge in judges), strict=True):
            sources = [recording.source for recording in of_each]
            path = of_each[0].path
            for line in read_lines(path, partial(show_progress, meter, done)):
                read_line(judges, sources, path, line, reading)
            done += path.stat().st_size
    return reading


def read_line(judges: Sequence[Judge], sources: Sequence[str], path: Path, line: Line, reading: Reading) -> None:
    """Let each judge have one line; `sources` says by which of its sources each reads the file."""
    reading.events += 1
    used = later = False
    errors = []
    for judge, source in zip(judges, sources, strict=True):
        try:
            fate = judge.take(source, line.value)
        except EventError as error:
            errors.append((judge.book, error))
        else:
            used = used or fate is Fate.USED
            later = later or fate is Fate.LATER
    if errors:
        reading.refuse(path, line.number, errors, len(judges))
    elif not used:
        reading.later += later
        reading.unknown += not later


def show_progress(meter: Meter, done: int, position: int) -> None:
    """Files before this one have `done` bytes; this one is read up to `position`."""
    meter.at(done + position)


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """The collector would walk the verdicts over and over, a sixth of the time; nothing here refers to itself."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
