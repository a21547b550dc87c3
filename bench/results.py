"""What was measured: figures, where they are kept, and how they are shown."""

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from bench.processes import compiled

FOLDER = Path(__file__).parent / "results"
LATEST = FOLDER / "latest.json"

stderr = Console(stderr=True, highlight=False)


class Goal(msgspec.Struct):
    """A ratio that was to be reached. `at_least` False means that smaller is better."""

    what: str
    found: float
    wanted: float
    at_least: bool = True

    @property
    def reached(self) -> bool:
        return self.found >= self.wanted if self.at_least else self.found <= self.wanted


class Part(msgspec.Struct):
    """One part's figures: rows of a table, goals, and remarks. All numbers are medians over `rounds` unless named."""

    name: str
    title: str
    columns: list[str]
    rows: list[list[str]]
    goals: list[Goal] = []
    notes: list[str] = []
    samples: dict[str, Any] = {}
    rounds: int = 1
    at: str = ""
    machine: str = ""
    load: list[float] = []
    commit: str = ""


def finish(part: Part, load_before: float) -> Part:
    """Say when and on what machine a part was measured. `load_before` is the load average before it began."""
    part.at = time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime())
    core = "compiled" if compiled() else "not compiled"
    part.machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, core {core}"
    part.load = [round(load_before, 1), round(os.getloadavg()[0], 1)]
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    changed = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=False)
    part.commit = done.stdout.strip() + ("+" if changed.stdout.strip() else "")
    return part


def save(parts: Sequence[Part]) -> None:
    """Put these parts in place of the earlier ones of the same name."""
    FOLDER.mkdir(exist_ok=True)
    known: dict[str, Any] = json.loads(LATEST.read_text()) if LATEST.exists() else {}
    known.update({part.name: msgspec.to_builtins(part) for part in parts})
    LATEST.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


def load() -> dict[str, Part]:
    """Every part that was ever measured, newest figures."""
    if not LATEST.exists():
        return {}
    return msgspec.json.decode(LATEST.read_bytes(), type=dict[str, Part])


def show(part: Part, console: Console) -> None:
    """Print a part as a table."""
    table = Table(title=part.title, title_justify="left")
    for index, column in enumerate(part.columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    for row in part.rows:
        table.add_row(*row)
    console.print(table)
    for goal in part.goals:
        console.print(f"  {goal_line(goal)}")
    for note in part.notes:
        console.print(f"  {note}", style="dim")
    console.print(
        f"  load average before and after: {part.load[0]}, {part.load[1]}; rounds: {part.rounds}", style="dim"
    )


def goal_line(goal: Goal) -> str:
    """One goal as a sentence."""
    bound = "at least" if goal.at_least else "at most"
    return (
        f"{goal.what}: {goal.found:.2f} (goal {bound} {goal.wanted:g}: {'reached' if goal.reached else 'NOT reached'})"
    )


def interleaved(
    rounds: int, contenders: Mapping[str, Callable[[], dict[str, float]]]
) -> dict[str, list[dict[str, float]]]:
    """Run every contender once a round, in an order that turns; return what each said, by name."""
    names = list(contenders)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for turn in range(rounds):
        start = turn % len(names)
        for name in names[start:] + names[:start]:
            stderr.print(f"round {turn + 1}/{rounds}: {name} ...", end=" ")
            sample = contenders[name]()
            found[name].append(sample)
            stderr.print(", ".join(f"{key} {value:,.1f}" for key, value in sample.items()))
    return found


def median(samples: Sequence[Mapping[str, float]], key: str) -> float:
    """The middle one of a figure's samples."""
    return statistics.median(sample[key] for sample in samples)


def median_ratio(ours: Sequence[Mapping[str, float]], theirs: Sequence[Mapping[str, float]], key: str) -> float:
    """The middle one of the ratios within a round: what disturbs a round disturbs both sides of it."""
    return statistics.median(one[key] / other[key] for one, other in zip(ours, theirs, strict=True))


def count(value: float) -> str:
    """A number for people: 12,345 or 3.21."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value < 10 else f"{value:.1f}"
