"""`promisewatch explain`: how a due comes about for one event, or what became of a subject's promises."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from promisewatch.console import OutputFormat, OutputOption, print_json, stderr
from promisewatch.explaining import choose_source, explain_event, read_event, show
from promisewatch.recordings import parse_recording
from promisewatch.retelling import read_facts, retell
from promisewatch.retelling_words import show_history
from schemas.book import load_book
from schemas.book_model import Book, Source
from schemas.exits import ExitCode
from schemas.instants import parse_instant


def explain(
    book: Annotated[Path, typer.Argument(metavar="BOOK", help="Promise book (YAML).", show_default=False)],
    promise: Annotated[
        str | None,
        typer.Option("--promise", metavar="ID", help="Which promise; all of them if left out with --facts.",
                     show_default=False),
    ] = None,
    event: Annotated[
        str | None,
        typer.Option(
            "--event", metavar="FILE|JSON", help="The opening event, as its source sends it; - reads standard input.",
            show_default=False,
        ),
    ] = None,
    facts: Annotated[
        list[str] | None,
        typer.Option(
            "--facts", metavar="[SOURCE=]FILE", show_default=False,
            help="Recording (.jsonl, .gz, .zst): tell what became of a subject's promises. May be given several times.",
        ),
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option("--subject", metavar="[KEY=]ID", help="Whose facts; needed if the recording has several.",
                     show_default=False),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="INSTANT", help="Say how it stands then (RFC 3339); later facts are left out.",
                     show_default=False),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="INSTANT", help="With --facts: nothing opens before then (default: ever).",
                     show_default=False),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--source", help="The source that sends --event; needed if the book has several.",
                     show_default=False),
    ] = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:  # fmt: skip
    """Show how the due of a promise comes about for one event, or what became of a subject's promises and why.

    With --at everything dated before that instant, less the longest settle of the sources, is taken to be known;
    without it a recording counts as complete up to its last event. Lines that cannot be used are reported and left out.

    Exit codes: 0 the event opens the promise, or the facts are told; 1 the event does not open it; 2 no such promise or
    subject; 65 the book, the event or some lines cannot be used; 66 no such file.
    """
    _check_options(promise, event, facts, {"--subject": subject, "--since": since}, source)
    loaded = load_book(book)
    at_ms = None if at is None else read_instant(at, loaded, "--at")
    if event is not None and promise is not None:
        code = tell_event(loaded, promise, read_event(event), at_ms, choose_source(loaded, source), output)
    else:
        since_ms = None if since is None else read_instant(since, loaded, "--since")
        code = tell_subject(loaded, facts or (), subject, promise, at_ms, since_ms, output)
    raise typer.Exit(code)


def tell_event(
    book: Book, promise: str, event: bytes, at_ms: int | None, source: Source, output: OutputFormat
) -> ExitCode:
    """Print how the due comes about for one event; DIFFERENT if the event does not open the promise."""
    found = explain_event(book, promise, event, at_ms, source)
    if output is OutputFormat.JSON:
        print_json(asdict(found))
    else:
        show(found)
    return ExitCode.OK if found.opens else ExitCode.DIFFERENT


def tell_subject(
    book: Book,
    facts: Sequence[str],
    subject: str | None,
    promise: str | None,
    at_ms: int | None,
    since_ms: int | None,
    output: OutputFormat,
) -> ExitCode:
    """Print what became of a subject's promises; DATA if some lines of the recordings cannot be used."""
    recordings = [parse_recording(text, list(book.sources)) for text in facts]
    key = next((one.key for one in book.promises if one.id == promise), None)
    reading = read_facts(book, recordings, subject, at_ms, key)
    history = retell(book, reading, promise, at_ms, since_ms)
    if output is OutputFormat.JSON:
        print_json(asdict(history))
    else:
        show_history(history)
    for problem in reading.problems:
        stderr.print(problem)
    return ExitCode.DATA if reading.problems else ExitCode.OK


def _check_options(
    promise: str | None, event: str | None, facts: list[str] | None, of_facts: dict[str, str | None], source: str | None
) -> None:
    if (event is None) == (not facts):
        raise typer.BadParameter("expected exactly one of them", param_hint="--event and --facts")
    if event is None:
        if source is not None:
            raise typer.BadParameter("goes with --event; expected --facts SOURCE=FILE", param_hint="--source")
        return
    if promise is None:
        raise typer.BadParameter("expected the id of a promise next to --event", param_hint="--promise")
    for option, value in of_facts.items():
        if value is not None:
            raise typer.BadParameter("goes with --facts", param_hint=option)


def read_instant(text: str, book: Book, option: str) -> int:
    """An instant of the command line, UTC milliseconds; without an offset it is in the book's zone."""
    try:
        return parse_instant(text, ZoneInfo(book.timezone) if book.timezone else None)
    except ValueError as problem:
        raise typer.BadParameter(str(problem), param_hint=option) from None
