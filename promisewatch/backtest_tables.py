"""How `promisewatch backtest` shows the verdicts of one book, and what became of the lines."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from heapq import nsmallest

import msgspec
from rich.console import Console
from rich.table import Table

from promises.verdicts import BREACHED, KEPT, LATE, OPEN, RELEASED
from promises.wording import span_text
from promisewatch.backtesting import BAD_LINES_SHOWN_MAX, CycleName, Judge, Reading, Verdict
from promisewatch.console import stderr, stdout
from schemas.book_model import Book
from schemas.instants import format_instant

WORST_SHOWN_MAX = 10
TABLE_WIDTH = 200
STATUSES = (OPEN, KEPT, LATE, BREACHED, RELEASED)


class Row(msgspec.Struct, frozen=True):
    """A line of `--output json`. Instants are RFC 3339."""

    promise: str
    subject: str
    cycle: str
    opened_at: str
    due: str
    status: str
    fulfilled_at: str | None


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


def report(reading: Reading, judges: Sequence[Judge], seconds: float) -> None:
    """On standard error: the first bad lines, and what became of the events."""
    for example in reading.examples:
        stderr.print(example)
    if reading.bad > BAD_LINES_SHOWN_MAX:
        stderr.print(f"... and {reading.bad - BAD_LINES_SHOWN_MAX:,} more")
    notes = [f"{reading.later:,} after the as-of instant", f"{reading.unknown:,} of types no promise names"]
    notes += noticed([(judge.book.path, judge.counted) for judge in judges])
    if reading.bad:
        notes.append(f"{reading.bad:,} bad lines" if reading.bad > 1 else "1 bad line")
    shown = ", ".join(note for note in notes if not note.startswith("0 "))
    speed = f"{reading.events:,} events in {seconds:.1f} s ({reading.events / max(seconds, 1e-9):,.0f}/s)"
    stderr.print(f"{speed}{': ' if shown else ''}{shown}")


def noticed(counted: Sequence[tuple[str, Counter[str]]]) -> list[str]:
    """What else was counted, by reason; with the book's path where books differ in it."""
    notes = []
    for reason in sorted(set().union(*(counts for _, counts in counted))):
        counts = [counts[reason] for _, counts in counted]
        if len(set(counts)) == 1:
            notes.append(f"{counts[0]:,} {reason}")
        else:
            notes += [f"{counts[reason]:,} {reason} by {path}" for path, counts in counted]
    return notes
