"""`promisewatch demo`: a web shop's week through the whole pipeline, checked against an independent calculation."""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from promisewatch.brokers.choice import BrokerChoice
from promisewatch.console import OutputFormat, OutputOption, print_json, stderr
from schemas.exits import ExitCode

BOOK = Path(__file__).parent / "demonstration" / "book.yaml"
"""The web shop of the examples. It lies here so that the wheel has it; `examples/webshop/book.yaml` is a link to it."""
SYSTEMS_BOOK = BOOK.with_name("systems.yaml")
"""The same promises, of which four systems tell."""
SEED = 2026
SPEED = 7200.0


def demo(
    broker: Annotated[
        BrokerChoice,
        typer.Option(help="auto: Apache Kafka where Java 17 and Maven are there, else embedded.", envvar="BROKER"),
    ] = BrokerChoice.AUTO,
    book: Annotated[Path | None, typer.Option(help="The web shop's promise book.", show_default="its own")] = None,
    sources: Annotated[bool, typer.Option("--sources", help="Four systems, of which one falls silent.")] = False,
    seed: Annotated[int, typer.Option(help="Another seed plays another week.")] = SEED,
    speed: Annotated[float, typer.Option(min=1, help="How many times as fast as in life.")] = SPEED,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Play a web shop's week through Kafka, a worker and a notifier, in about two minutes.

    Prints each broken promise as it is proved and each notification, kills the worker half-way and starts it again,
    and compares everything published with a calculation of its own. With --sources four systems tell of the orders; one
    falls silent and comes back, and the process that reads them all is killed. Exit code 0 if they agree, 1 if they
    differ, 69 if no broker could be started, 75 if this machine was too slow for the clock.
    """
    from rich.console import Console

    from promisewatch.demonstration.stage import Options, play
    from promisewatch.demonstration.systems import write_systems_week
    from promisewatch.demonstration.systems_stage import SystemsScene
    from promisewatch.demonstration.table import Voice, as_json

    # Both end the demo alike: the processes it started are ended first. (A shell's background job ignores SIGINT.)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, interrupt)
    console = Console(stderr=True, soft_wrap=True) if output is OutputFormat.JSON else Console(soft_wrap=True)
    voice = Voice(console)
    try:
        if sources:
            report = play(
                Options(book or SYSTEMS_BOOK, broker, seed, speed), voice, scene=SystemsScene, week=write_systems_week
            )
        else:
            report = play(Options(book or BOOK, broker, seed, speed), voice)
    except KeyboardInterrupt:
        stderr.print("demo interrupted; everything it started has been ended")
        raise typer.Exit(128 + signal.SIGINT) from None
    voice.report(report)
    if output is OutputFormat.JSON:
        print_json(as_json(report))
        sys.stdout.flush()
    raise typer.Exit(int(ExitCode.DIFFERENT if report.problems else ExitCode.OK))


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """Treat a request to end like Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)
