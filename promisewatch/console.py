"""What the commands share at the terminal: output formats, options, progress bars, and how errors are shown."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from schemas.errors import PromisewatchError

stdout = Console(markup=False, highlight=False, soft_wrap=True)
"""For results. Nothing else is written to standard output, so that it can be piped."""
stderr = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
"""For progress and messages."""


class OutputFormat(StrEnum):
    """How a command prints its data."""

    TABLE = "table"
    JSON = "json"


BookOption = Annotated[Path, typer.Option("--book", help="Promise book (YAML).", show_default=False)]
BootstrapOption = Annotated[
    str, typer.Option("--bootstrap-server", metavar="HOST:PORT", help="Kafka broker to connect to.", show_default=False)
]
OutputOption = Annotated[
    OutputFormat, typer.Option("--output", help="Print for people (table) or for programs (json).")
]


def fail(error: PromisewatchError) -> NoReturn:
    """Show the error as one message on standard error and end with its exit code."""
    stderr.print(f"promisewatch: {error}")
    sys.exit(int(error.exit_code))


def print_json(value: Any) -> None:
    """Print one JSON document as one line."""
    print(orjson.dumps(value).decode(), flush=True)


def a_table(*headings: str) -> Table:
    """A plain table that cuts nothing off."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    return table


@contextmanager
def progress(description: str, total: float | None, *, bar: bool = True) -> Iterator["Meter"]:
    """A progress bar on standard error while the block runs; silent where that is no terminal, or without `bar`."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    shown = Progress(*columns, TimeRemainingColumn(), console=stderr, transient=True, disable=not (bar and is_live()))
    with shown:
        task = shown.add_task(description, total=total)
        yield Meter(shown, task)


class Meter:
    """Moves one progress bar. Cheap to call often: rich redraws ten times a second at most."""

    def __init__(self, shown: Progress, task: Any) -> None:
        self._shown = shown
        self._task = task

    def at(self, completed: float) -> None:
        """Set how far the work is, in the unit of `total`."""
        self._shown.update(self._task, completed=completed)


def is_live() -> bool:
    """Whether a person is watching standard error."""
    return sys.stderr.isatty()
