"""`promisewatch backtest`: judges recordings of events as of an instant, through the same core as the live worker."""

import time
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from promisewatch.backtest_tables import print_rows, print_table, report
from promisewatch.backtesting import Judge, no_garbage_collection, read_all
from promisewatch.comparing import compare
from promisewatch.comparison_tables import comparison_json, print_comparison
from promisewatch.console import BookOption, OutputFormat, OutputOption, print_json
from schemas.book import load_book
from schemas.book_model import Book
from schemas.exits import ExitCode
from schemas.instants import parse_instant


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
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="OTHER_BOOK",
                     help="Judge by this promise book too, and count what would change with it.", show_default=False),
    ] = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:  # fmt: skip
    """Judge recordings of events as of an instant, without Kafka: the verdicts are those of the live worker.

    With `--output json`, a line a cycle: promise, subject, cycle (the opening event's id), opened_at, due, status and
    fulfilled_at; status is open, kept, breached (and never fulfilled), fulfilled_late or released. Lines that cannot be
    used are reported and left out.

    With `--against`, what would change if that book took the place of this one: verdicts by promise (status now, status
    then), dues that differ, and how many subjects a breach would be told about, by the audience of its promise; with
    `--output json` as one document. Books that judge everything alike are no error.

    Exit codes: 0 all lines were used, 65 some could not be (results are printed all the same) or a book has errors, 66
    a file cannot be read (nothing is printed).
    """
    books = [load_book(path) for path in (book, against) if path is not None]
    as_of_ms = read_as_of(as_of, books[0])
    judges = [Judge(each, files, as_of_ms) for each in books]
    started = time.monotonic()
    with no_garbage_collection():
        reading = read_all(judges)
        verdicts = [judge.verdicts() for judge in judges]
    if against is not None:
        found = compare(books[0], books[1], verdicts[0], verdicts[1])
        if output is OutputFormat.JSON:
            print_json(comparison_json(found, reading, as_of_ms))
        else:
            print_comparison(found)
    elif output is OutputFormat.JSON:
        print_rows(verdicts[0])
    else:
        print_table(books[0], verdicts[0], as_of_ms)
    report(reading, judges, time.monotonic() - started)
    raise typer.Exit(ExitCode.DATA if reading.bad else ExitCode.OK)


def read_as_of(text: str, book: Book) -> int:
    """UTC milliseconds; without an offset it is in the book's zone."""
    try:
        return parse_instant(text, ZoneInfo(book.timezone) if book.timezone else None)
    except ValueError as problem:
        raise typer.BadParameter(str(problem), param_hint="--as-of") from None
