"""`python -m bench PART...`: measure, print, keep the figures in results/latest.json and write them into README.md."""

import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from bench import rendering
from bench.kafka import Broker, broker
from bench.parts import (
    before,
    burst,
    calendars,
    conditions,
    delay,
    profile,
    promises,
    recovery,
    running,
    sources,
    state,
    throughput,
    transactions,
)
from bench.processes import OURS
from bench.results import Part, save, show

stdout = Console(highlight=False)


class Output(StrEnum):
    """How figures are printed."""

    TABLE = "table"
    JSON = "json"


MEASURES: dict[str, Callable[[Broker, float, int | None], Part]] = {
    "throughput": throughput.measure,
    "transactions": transactions.measure,
    "burst": burst.measure,
    "running": running.measure,
    "recovery": recovery.measure,
    "delay": delay.measure,
    "sources": sources.measure,
    "profile": profile.measure,
    "before": before.measure,
}
CORE_MEASURES: dict[str, Callable[[float, int | None], Part]] = {
    "promises": promises.measure,
    "conditions": conditions.measure,
    "state": state.measure,
    "calendars": calendars.measure,
}
"""Parts that need no broker: the core by itself, in this process."""
ALL = [*MEASURES, *CORE_MEASURES]


def main(
    parts: Annotated[list[str] | None, typer.Argument(help=f"Any of {', '.join(ALL)}; default: all.")] = None,
    size: Annotated[float, typer.Option("--size", min=0.01, help="Multiplies every number of events.")] = 1.0,
    rounds: Annotated[int | None, typer.Option("--rounds", min=1, help="Rounds, of which medians are taken.")] = None,
    output: Annotated[
        Output, typer.Option("--output", help="For people (table) or for programs (json).")
    ] = Output.TABLE,
    against: Annotated[
        str, typer.Option("--against", metavar="COMMIT", help="What `before` compares the worker with.")
    ] = before.COMMIT,
    keep: Annotated[bool, typer.Option("--save/--no-save", help="Keep the figures in bench/results.")] = True,
) -> None:
    """Measure ratios between contenders in one run, on an Apache Kafka of its own."""
    unknown = sorted(set(parts or ()) - set(ALL))
    if unknown:
        raise typer.BadParameter(f"found {', '.join(unknown)}, expected any of {', '.join(ALL)}")
    names = parts or ALL
    measures = dict(MEASURES)
    if "before" in names:
        measures["before"] = partial(before.measure, built=before.build(against))
    os.sched_setaffinity(0, OURS)  # the broker inherits it
    measured = []
    with ExitStack() as stack:
        kafka: Broker | None = None
        for name in names:
            if name in CORE_MEASURES:
                part = CORE_MEASURES[name](size, rounds)
            else:
                kafka = kafka or stack.enter_context(broker(new_folder(stack)))
                part = measures[name](kafka, size, rounds)
            measured.append(part)
            if output is Output.TABLE:
                show(part, stdout)
            if keep:
                save([part])
                rendering.write()
    if output is Output.JSON:
        sys.stdout.write(msgspec.json.encode(measured).decode() + "\n")


def new_folder(stack: ExitStack) -> Path:
    """A folder that goes with the stack."""
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="promisewatch-bench-")))


if __name__ == "__main__":
    typer.run(main)
