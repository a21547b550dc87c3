"""How `promisewatch backtest --against` shows what would change."""

from typing import Any

from rich.table import Table

from promises.wording import span_text
from promisewatch.backtest_tables import show
from promisewatch.backtesting import Reading
from promisewatch.comparing import Comparison, Example, PromiseComparison
from promisewatch.console import a_table, stdout
from schemas.instants import format_instant

NOTHING_CHANGES = "nothing changes: both books judge every cycle alike"


def print_comparison(found: Comparison) -> None:
    """For people: verdicts that change, dues that differ, and who would be told."""
    stdout.print(f"now:  {found.now.path}")
    stdout.print(f"then: {found.then.path}")
    stdout.print()
    if found.equal:
        stdout.print(f"{NOTHING_CHANGES} ({sum(one.alike for one in found.promises):,})")
    else:
        show(verdict_table(found))
    if any(one.dues.cycles for one in found.promises):
        stdout.print()
        show(due_table(found))
    if found.told:
        stdout.print()
        show(told_table(found))


def verdict_table(found: Comparison) -> Table:
    """A row a promise and kind of change."""
    table = a_table("promise", "now", "then")
    table.add_column("cycles", justify="right", no_wrap=True)
    table.add_column("such as", no_wrap=True)
    for one in found.promises:
        name = one.promise if one.presence == "both" else f"{one.promise} ({one.presence})"
        for change in one.changes:
            examples = ", ".join(example.subject for example in change.examples)
            table.add_row(name, change.now, change.then, f"{change.cycles:,}", examples)
            name = ""
        if one.same_status or not one.changes:
            table.add_row(name, "the same status", "", f"{one.same_status:,}")
    return table


def due_table(found: Comparison) -> Table:
    """A row a promise with dues that differ; examples say the dues themselves."""
    table = a_table("dues that differ")
    for heading in ("earlier", "later", "by at most"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("such as", no_wrap=True)
    for one in found.promises:
        if one.dues.cycles:
            furthest = span_text(one.dues.furthest_ms)
            examples = "\n".join(map(due_text, one.dues.examples))
            table.add_row(one.promise, f"{one.dues.earlier:,}", f"{one.dues.later:,}", furthest, examples)
    return table


def due_text(example: Example) -> str:
    """One cycle's dues, now and then."""
    return f"{example.subject}: {instant(example.due_now)} -> {instant(example.due_then)}"


def told_table(found: Comparison) -> Table:
    """A row an audience."""
    table = a_table("told of a breach")
    for heading in ("subjects now", "then", "newly", "no longer"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in found.told:
        table.add_row(one.audience, *(f"{number:,}" for number in (one.now, one.then, one.newly, one.no_longer)))
    return table


def instant(found: int | None) -> str | None:
    """RFC 3339, of an instant that may not be there."""
    return None if found is None else format_instant(found)


def comparison_json(found: Comparison, reading: Reading, as_of: int) -> dict[str, Any]:
    """One document for programs. Instants are RFC 3339."""
    return {
        "equal": found.equal,
        "as_of": format_instant(as_of),
        "now": {"book": found.now.path, "digest": found.now.digest},
        "then": {"book": found.then.path, "digest": found.then.digest},
        "promises": [promise_json(one) for one in found.promises],
        "told": [
            {
                "audience": one.audience,
                "now": one.now,
                "then": one.then,
                "newly": one.newly,
                "no_longer": one.no_longer,
            }
            for one in found.told
        ],
        "lines": {"read": reading.events, "later": reading.later, "unknown": reading.unknown, "bad": reading.bad},
    }


def promise_json(one: PromiseComparison) -> dict[str, Any]:
    """All that changes about one promise."""
    return {
        "promise": one.promise,
        "presence": one.presence,
        "same_status": one.same_status,
        "alike": one.alike,
        "changes": [
            {
                "now": change.now,
                "then": change.then,
                "cycles": change.cycles,
                "examples": [example_json(example) for example in change.examples],
            }
            for change in one.changes
        ],
        "dues": {
            "earlier": one.dues.earlier,
            "later": one.dues.later,
            "furthest_ms": one.dues.furthest_ms,
            "examples": [example_json(example) for example in one.dues.examples],
        },
    }


def example_json(example: Example) -> dict[str, Any]:
    return {
        "subject": example.subject,
        "cycle": example.cycle,
        "due_now": instant(example.due_now),
        "due_then": instant(example.due_then),
    }
