"""`promisewatch status`: what an operator asks first."""

import asyncio
from contextlib import nullcontext
from typing import Annotated

import typer
from rich.console import Console, RenderableType
from rich.console import Group as Lines
from rich.live import Live
from rich.text import Text

from promisewatch.configuring import configured
from promisewatch.console import OutputFormat, print_json, stdout
from promisewatch.direct import reads_facts
from promisewatch.settings.commands import StatusSettings
from promisewatch.status_documents import sources_json, status_json
from promisewatch.status_reading import Observer
from promisewatch.status_sources import SourcesStatus
from promisewatch.status_sources_reading import SourcesObserver
from promisewatch.status_sources_tables import rendered_sources
from promisewatch.status_tables import rendered
from promisewatch.statuses import Status
from schemas.book import load_book
from schemas.book_model import Book
from schemas.errors import BrokerUnavailable
from schemas.exits import ExitCode
from schemas.instants import format_instant
from streams.logs import configure_logging

REFRESH_S = 2.0
TABLE_WIDTH = 200


@configured(StatusSettings)
def status(
    settings: StatusSettings,
    watch: Annotated[bool, typer.Option("--watch", help="Show it live, every 2 s, until Ctrl-C.")] = False,
    promises: Annotated[
        bool,
        typer.Option("--promises", help="Count running promises too, for which the whole changelog is read."),
    ] = False,
) -> None:
    """Show how far a detector is, and what holds it up: asked from Kafka, whether workers run or not.

    For each partition of the source: end, processed offset, lag, up to when its events are known to be complete, what
    that waits for and which worker has it; and the last breach and the dead letters. Where an ingest reads several
    sources: the same of each source and of the facts, which sources are in doubt since when, and which promises wait
    for them. Give it the settings of the worker. It reads only: it joins no group and writes nothing.

    Exit codes: 0 shown, also after Ctrl-C; 1 topics are missing, or their partitions differ; 65, 66 the book is wrong
    or absent; 69 no broker; 78 a setting is wrong, Kafka refuses the login or a permission, or the stored state is of
    another version.
    """
    if watch and (promises or settings.output is OutputFormat.JSON):
        other = "--promises" if promises else "--output json"
        raise typer.BadParameter(f"found {other} with it, expected it alone", param_hint="--watch")
    configure_logging("console", "warning")
    book = load_book(settings.book)
    if watch:
        try:
            asyncio.run(watched(settings, book))
        except KeyboardInterrupt:
            raise typer.Exit(ExitCode.OK) from None
    found = asyncio.run(looked(settings, book, count_promises=promises))
    if settings.output is OutputFormat.JSON:
        print_json(sources_json(found) if isinstance(found, SourcesStatus) else status_json(found))
    else:
        screen().print(shown(found), crop=False)
    raise typer.Exit(found.code)


def observer_of(settings: StatusSettings, book: Book) -> Observer | SourcesObserver:
    """What looks at the application that works this book. Raises SettingsError for a book that cannot be worked so."""
    return (SourcesObserver if reads_facts(book, settings.input) else Observer)(settings, book)


def shown(status: Status | SourcesStatus) -> RenderableType:
    """A look as people see it."""
    return rendered_sources(status) if isinstance(status, SourcesStatus) else rendered(status)


async def looked(settings: StatusSettings, book: Book, *, count_promises: bool) -> Status | SourcesStatus:
    """One look."""
    async with observer_of(settings, book).connected() as observer:
        return await observer.look(count_promises=count_promises)


async def watched(settings: StatusSettings, book: Book) -> None:
    """Look again and again until it is cancelled; a broker that goes away meanwhile is waited for.

    Raises what a single look raises as long as none has succeeded.
    """
    console, last = Console(highlight=False, markup=False), None
    live = Live(console=console, screen=True, auto_refresh=False) if console.is_terminal else None
    with live or nullcontext():
        while True:
            try:
                async with observer_of(settings, book).connected() as observer:
                    while True:
                        last = await observer.look()
                        put(live, shown(last))
                        await asyncio.sleep(REFRESH_S)
            except BrokerUnavailable as error:
                if last is None:
                    raise
                since = f"{error}; waiting, and this is from {format_instant(last.at)}:"
                put(live, Lines(Text(since, "red"), Text(), shown(last)))
                await asyncio.sleep(REFRESH_S)


def put(live: Live | None, shown: RenderableType) -> None:
    """On the live screen, or below what was printed before where there is none."""
    if live is None:
        screen().print(shown, crop=False)
    else:
        live.update(shown, refresh=True)


def screen() -> Console:
    """Wide enough for the table even where nobody looks."""
    console = Console(highlight=False, markup=False)
    return console if console.is_terminal else Console(width=max(stdout.width, TABLE_WIDTH), markup=False)
