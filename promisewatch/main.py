"""The command line. Each command is one module of this package with a function of the same name.

A command's module is imported when that command runs, so `promisewatch --help` stays fast and one command's
dependencies never burden another.
"""

import importlib
import sys
import traceback
from typing import Annotated, Any

import typer
import typer.core
import typer.main

from promisewatch import __version__

SUMMARIES = {
    "lint": "Check a promise book; shows every error at once.",
    "diff": "Show what differs between two promise books, in words.",
    "explain": "Show how a due comes about, or what became of a subject's promises.",
    "backtest": "Judge a recording of events as of an instant, without Kafka.",
    "topics": "Create the topics of a book on Kafka, or check them.",
    "feed": "Send a recording of events to Kafka, with frontier markers.",
    "ingest": "Run an ingest: events of any number of sources in, facts out.",
    "worker": "Run a detector: events in, proved breaches out.",
    "notifier": "Run a notifier: breaches in, somebody told.",
    "status": "Show how far a detector is, and what holds it up.",
    "subject": "Show what is known and promised about one order or customer.",
    "redrive": "Send dead letters back to the topic they came from.",
    "migrate": "Move running promises to another version, after a dry run.",
    "config": "Show the settings in force, and where each comes from.",
    "kafka": "Run a local single-node Apache Kafka in the foreground.",
    "demo": "Play a web shop's week through the whole pipeline.",
}
"""Every command in the order of `--help`, with its one line there."""


class LazyCommands(typer.core.TyperGroup):
    """A group that knows its commands' names and summaries, and imports a command only to run it."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(SUMMARIES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in SUMMARIES:
            return None
        return typer.core.TyperCommand(cmd_name, help=SUMMARIES[cmd_name])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, found, rest = super().resolve_command(ctx, args)
        return name, load(name) if found is not None and name is not None else found, rest


def load(name: str) -> Any:
    """The command `name`, built from the function of that name in `promisewatch/<name>.py`."""
    module = importlib.import_module(f"promisewatch.{name}")
    app = typer.Typer(add_completion=False, rich_markup_mode="rich")
    app.command(name)(getattr(module, name))
    return typer.main.get_command(app)


def print_version(wanted: bool) -> None:
    if wanted:
        print(f"promisewatch {__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=LazyCommands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Detect broken promises to customers in a stream of events."""


def main() -> None:
    """Entry point of the console script: errors of ours end as one message on stderr and a documented exit code."""
    from promisewatch.console import fail
    from schemas.errors import PromisewatchError
    from schemas.exits import ExitCode

    try:
        app()
    except PromisewatchError as error:
        fail(error)
    except Exception:  # noqa: BLE001 -- the last line of defence: an exit code that supervisors can tell from a crash
        traceback.print_exc()
        print("promisewatch: internal error; the traceback above belongs in a bug report", file=sys.stderr)
        sys.exit(int(ExitCode.INTERNAL))


if __name__ == "__main__":
    main()
