"""Prints the demo: its lines while it plays, and the table at its end."""

from collections.abc import Iterator
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from promisewatch.demonstration.expected import local
from promisewatch.demonstration.report import EXAMPLES_MAX, Report, percentile
from promisewatch.demonstration.watch import BREACHED, FULFILLED_LATE, Breach

LABELS = {BREACHED: ("PROMISE BROKEN", "bold red"), FULFILLED_LATE: ("kept late", "yellow")}


def moment(instant_ms: int) -> str:
    """A simulated instant as the shop's clock shows it."""
    return f"{local(instant_ms):%a %d %b %H:%M}"


class Voice:
    """Says what happens, each line with the time on the shop's clock."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False)

    def at(self, instant_ms: int, label: str, text: str, style: str = "") -> None:
        self._console.print(f"{moment(instant_ms)}  ", end="", highlight=False)
        self._console.print(f"{label:<15}", style=style, end="", highlight=False, markup=False)
        self._console.print(f" {text}", highlight=False, markup=False)

    def breach(self, breach: Breach) -> None:
        label, style = LABELS.get(breach.type, ("taken back", "green"))
        self.at(breach.detected_at, label, f"[{breach.promise}] {breach.explain}", style)

    def report(self, report: Report) -> None:
        self._console.print()
        self._console.print(_table(report))
        for line in _lines(report):
            self.say(line)
        for problem in report.problems[:EXAMPLES_MAX]:
            self._console.print(f"DIFFERENT: {problem}", style="bold red", highlight=False, markup=False)
        if len(report.problems) > EXAMPLES_MAX:
            self.say(f"... and {len(report.problems) - EXAMPLES_MAX} more differences")
        if not report.problems:
            self._console.print("Everything published agrees with the independent calculation.", style="bold green")


def _table(report: Report) -> Table:
    table = Table(
        title="How the week's promises ended (calculated independently), and their breaches",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("promise", no_wrap=True)
    for column in ("kept", "released", "late", "never", "expected", "published", "false", "missed"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in report.rows:
        statuses = (row.expected[status] for status in ("kept", "released", "fulfilled_late", "breached"))
        wrong = (_red(row.false), _red(row.missed))
        table.add_row(row.promise, *map(str, statuses), str(row.breaches_expected), str(row.breaches_published), *wrong)
    return table


def _red(count: int) -> str:
    return f"[bold red]{count}[/]" if count else "0"


def _lines(report: Report) -> Iterator[str]:
    yield f"duplicate ids         {report.duplicate_ids}"
    yield f"taken back            {report.retracted} (evidence that came long after the proof)"
    yield f"dead letters          {report.dead_letters} of {report.dead_letters_expected} expected"
    yield f"events told to people {report.notified} of {report.notify_expected}"
    for label, delays in (
        ("delay beyond settle", report.delays_ms),
        ("  while it was killed", report.delays_outage_ms),
    ):
        if delays:
            p50, p99 = percentile(delays, 0.5), percentile(delays, 0.99)
            yield f"{label:<21} p50 {p50:.0f} ms, p99 {p99:.0f} ms of real time, {len(delays)} breaches"


def as_json(report: Report) -> dict[str, Any]:
    """The report for programs."""
    return {
        "promises": [
            {
                "promise": row.promise,
                "verdicts": dict(row.expected),
                "expected": row.breaches_expected,
                "published": row.breaches_published,
                "false": row.false,
                "missed": row.missed,
            }
            for row in report.rows
        ],
        "duplicate_ids": report.duplicate_ids,
        "retracted": report.retracted,
        "dead_letters": report.dead_letters,
        "dead_letters_expected": report.dead_letters_expected,
        "notified": report.notified,
        "delay_p50_ms": percentile(report.delays_ms, 0.5) if report.delays_ms else None,
        "delay_p99_ms": percentile(report.delays_ms, 0.99) if report.delays_ms else None,
        "problems": report.problems,
    }
