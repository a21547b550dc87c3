"""`promisewatch backtest`: judges a recording of events as of an instant, through the same core as the live worker.

The whole recording is read before the frontier moves, so its order does not matter. What is held in memory is what is
known of each subject and the verdict on each cycle; the events themselves are not.
"""

import gc
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from heapq import nsmallest
from pathlib import Path
from typing import Annotated, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from promises.cycles import awaits_fire
from promises.detector import Detector, subject_of
from promises.partition import PartitionDetector
from promises.rules import ALWAYS
from promises.verdicts import BREACHED, KEPT, LATE, OPEN, RELEASED, VOID
from promises.wording import span_text
from promisewatch.console import BookOption, Meter, OutputFormat, OutputOption, progress, stderr, stdout
from promisewatch.recordings import Recording, parse_recording, read_lines
from schemas.book import load_book
from schemas.book_model import Book
from schemas.decoding import Decoder
from schemas.errors import EventError
from schemas.exits import ExitCode
from schemas.facts import Fact, Subject
from schemas.instants import format_instant, parse_instant
from schemas.publications import Publication
from schemas.records import RECORD_FORMAT, Checkpoint, Record

FACTS_PER_SLICE = 10_000
"""Facts after which the records they changed are packed: unpacked ones take about ten times the memory."""
BAD_LINES_SHOWN_MAX = 10
WORST_SHOWN_MAX = 10
TABLE_WIDTH = 200
STATUSES = (OPEN, KEPT, LATE, BREACHED, RELEASED)

CycleName = tuple[str, str, str]
"""(promise, subject, id of the opening fact)."""


class Verdict(NamedTuple):
    """How one cycle stands. Instants are UTC milliseconds."""

    opened_at: int
    due: int
    status: str
    fulfilled_at: int | None
    breached_at: int | None = None


class Row(msgspec.Struct, frozen=True):
    """A line of `--output json`. Instants are RFC 3339."""

    promise: str
    subject: str
    cycle: str
    opened_at: str
    due: str
    status: str
    fulfilled_at: str | None


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
                    self._verdicts[name] = Verdict(cycle.opened_at, cycle.due, OPEN, None)
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
            self._verdicts[name] = Verdict(said.opened_at, said.due, said.status, said.fulfilled_at, said.breached_at)


@dataclass
class Reading:
    """What became of the lines of the recordings."""

    events: int = 0
    later: int = 0
    unknown: int = 0
    bad: int = 0
    examples: list[str] = field(default_factory=list)

    def refuse(self, path: Path, line: int, error: EventError) -> None:
        """Count an event that cannot be used; remember the first few."""
        self.bad += 1
        if self.bad <= BAD_LINES_SHOWN_MAX:
            self.examples.append(f"{path}:{line}: {error.reason}: {error}")


def backtest(
    book: BookOption,
    as_of: Annotated[
        str,
        typer.Option("--as-of", metavar="INSTANT", help="Judge as of then (RFC 3339); later events are ignored.",
                     show_default=False),
    ],
    files: Annotated[
        list[str],
        typer.Argument(metavar="[SOURCE=]FILE", help="Recordings: .jsonl, .gz, .zst.", show_default=False),
    ],
    output: OutputOption = OutputFormat.TABLE,
) -> None:  # fmt: skip
    """Judge recordings of events as of an instant, without Kafka: the verdicts are those of the live worker.

    With `--output json`, a line a cycle: promise, subject, cycle (the opening event's id), opened_at, due, status and
    fulfilled_at; status is open, kept, breached (and never fulfilled), fulfilled_late or released. Lines that cannot be
    used are reported and left out.

    Exit codes: 0 all lines were used, 65 some could not be (results are printed all the same) or the book has errors,
    66 a file cannot be read (nothing is printed).
    """
    loaded = load_book(book)
    as_of_ms = read_as_of(as_of, loaded)
    recordings = [parse_recording(text, list(loaded.sources)) for text in files]
    started = time.monotonic()
    judge, reading = Backtest(loaded), Reading()
    with no_garbage_collection():
        read_all(loaded, recordings, as_of_ms, judge, reading)
        verdicts = judge.verdicts(as_of_ms)
    if output is OutputFormat.JSON:
        print_rows(verdicts)
    else:
        print_table(loaded, verdicts, as_of_ms)
    report(reading, judge.counted, time.monotonic() - started)
    raise typer.Exit(ExitCode.DATA if reading.bad else ExitCode.OK)


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


def read_as_of(text: str, book: Book) -> int:
    """UTC milliseconds; without an offset it is in the book's zone."""
    try:
        return parse_instant(text, ZoneInfo(book.timezone) if book.timezone else None)
    except ValueError as problem:
        raise typer.BadParameter(str(problem), param_hint="--as-of") from None


def read_all(book: Book, recordings: list[Recording], as_of: int, judge: Backtest, reading: Reading) -> None:
    """Let every event of the recordings that is dated up to `as_of` be known."""
    decoder = Decoder(book)
    total = sum(recording.path.stat().st_size for recording in recordings)
    done = 0
    with progress("reading", total) as meter:
        for source, path in recordings:
            decode = decoder.source(source).decode
            for line in read_lines(path, partial(show_progress, meter, done)):
                reading.events += 1
                try:
                    decoded = decode(line.value)
                    if decoded.subject is None or decoded.fact is None:
                        reading.unknown += 1
                    elif decoded.fact.time > as_of:
                        reading.later += 1
                    else:
                        judge.add(decoded.subject, decoded.fact)
                except EventError as error:
                    reading.refuse(path, line.number, error)
            done += path.stat().st_size


def show_progress(meter: Meter, done: int, position: int) -> None:
    """Files before this one have `done` bytes; this one is read up to `position`."""
    meter.at(done + position)


def print_rows(verdicts: dict[CycleName, Verdict]) -> None:
    """JSON lines, in the order of opening."""
    encode = msgspec.json.Encoder().encode
    sys.stdout.writelines(encode(row_of(*item)).decode() + "\n" for item in in_order(verdicts))


def row_of(name: CycleName, verdict: Verdict) -> Row:
    """A verdict as it is printed."""
    promise, subject, cycle = name
    fulfilled_at = None if verdict.fulfilled_at is None else format_instant(verdict.fulfilled_at)
    opened_at, due = format_instant(verdict.opened_at), format_instant(verdict.due)
    return Row(promise, subject, cycle, opened_at, due, verdict.status, fulfilled_at)


def in_order(verdicts: dict[CycleName, Verdict]) -> Iterator[tuple[CycleName, Verdict]]:
    """By opening, then subject, promise and cycle: the same recording gives the same lines, however it was cut."""
    yield from sorted(verdicts.items(), key=lambda item: (item[1].opened_at, item[0][1], item[0][0], item[0][2]))


def print_table(book: Book, verdicts: dict[CycleName, Verdict], as_of: int) -> None:
    """How many cycles of each promise stand how, and which broken ones are the worst."""
    counts = Counter((name[0], verdict.status) for name, verdict in verdicts.items())
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("promise", no_wrap=True)
    for status in (*STATUSES, "kept rate"):
        table.add_column(status, justify="right", no_wrap=True)
    for promise in dict.fromkeys(promise.id for promise in book.promises):
        numbers = [counts[promise, status] for status in STATUSES]
        settled = sum(counts[promise, status] for status in (KEPT, LATE, BREACHED))
        rate = f"{counts[promise, KEPT] / settled:.1%}" if settled else "-"
        table.add_row(promise, *(f"{number:,}" for number in numbers), rate)
    show(table)
    broken = [(name, verdict) for name, verdict in verdicts.items() if verdict.status in (LATE, BREACHED)]
    if broken:
        print_worst(broken, as_of)


def print_worst(broken: list[tuple[CycleName, Verdict]], as_of: int) -> None:
    """The longest broken promises: how late the fulfilment came, or how long it has been missing."""

    def rank(item: tuple[CycleName, Verdict]) -> tuple[int, CycleName]:
        return (-overrun(item[1], as_of), item[0])

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("longest broken", "subject", "due", "status"):
        table.add_column(heading, no_wrap=True)
    table.add_column("by", justify="right", no_wrap=True)
    for (promise, subject, _), verdict in nsmallest(WORST_SHOWN_MAX, broken, key=rank):
        late_by = span_text(overrun(verdict, as_of))
        table.add_row(promise, subject, format_instant(verdict.due), verdict.status, late_by)
    stdout.print()
    show(table)


def overrun(verdict: Verdict, as_of: int) -> int:
    """Milliseconds between the breach and the fulfilment, or the as-of instant if there is none."""
    broken_at = verdict.due if verdict.breached_at is None else verdict.breached_at
    return (as_of if verdict.fulfilled_at is None else verdict.fulfilled_at) - broken_at


def show(table: Table) -> None:
    """In full: a subject that is cut off helps nobody."""
    Console(width=max(stdout.width, TABLE_WIDTH)).print(table, crop=False)


def report(reading: Reading, counted: Counter[str], seconds: float) -> None:
    """On standard error: the first bad lines, and what became of the events."""
    for example in reading.examples:
        stderr.print(example)
    if reading.bad > len(reading.examples):
        stderr.print(f"... and {reading.bad - len(reading.examples):,} more")
    notes = [f"{reading.later:,} after the as-of instant", f"{reading.unknown:,} of types no promise names"]
    notes += [f"{count:,} {reason}" for reason, count in sorted(counted.items())]
    if reading.bad:
        notes.append(f"{reading.bad:,} bad lines" if reading.bad > 1 else "1 bad line")
    shown = ", ".join(note for note in notes if not note.startswith("0 "))
    speed = f"{reading.events:,} events in {seconds:.1f} s ({reading.events / max(seconds, 1e-9):,.0f}/s)"
    stderr.print(f"{speed}{': ' if shown else ''}{shown}")
