"""Compares what was published with what had to be."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from promisewatch.demonstration.expected import Expected, Verdict
from promisewatch.demonstration.watch import BREACHED, RETRACTED, Breach, Outcome, Seen

Key = tuple[str, str]
"""(promise, subject)"""

EXAMPLES_MAX = 10
"""How many differences are spelt out; the rest is counted."""


@dataclass(frozen=True)
class Row:
    """One promise in the table: how its cycles had to end, and how that was published."""

    promise: str
    expected: Counter[str]
    breaches_expected: int
    breaches_published: int
    false: int
    missed: int


@dataclass(frozen=True)
class Report:
    """All that the table shows. `problems` are sentences; with any of them the demo has failed."""

    rows: list[Row]
    retracted: int
    duplicate_ids: int
    dead_letters: int
    dead_letters_expected: int
    notified: int
    notify_expected: int
    delays_ms: list[float] = field(default_factory=list)
    delays_outage_ms: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def compare(
    seen: Seen, expected: Expected, *, settle_ms: int, factor: float, outage: tuple[int, int], exactly_once: bool
) -> Report:
    """The report. `outage` is when the worker was down (simulated from, until), `factor` the clock's speed.

    `exactly_once`: the broker has honest transactions, so a second publication under one id is a problem.
    """
    last = seen.last_breaches()
    standing = {key for key, breach in last.items() if breach.type != RETRACTED}
    broken = {key for key, verdict in expected.verdicts.items() if verdict.broken}
    ids = Counter(breach.id for breach in seen.breaches)
    repeated = sum(count - 1 for count in ids.values())
    repeated += sum(count - 1 for count in Counter(outcome.id for outcome in seen.outcomes).values())
    problems = [f"{promise} {subject}: broken, but not published" for promise, subject in sorted(broken - standing)]
    problems += [f"{promise} {subject}: published, but not broken" for promise, subject in sorted(standing - broken)]
    problems += verdict_problems(expected.verdicts, seen.last_outcomes())
    problems += order_problems(seen.breaches)
    if repeated and exactly_once:
        problems.append(f"{repeated} events were published a second time under the same id")
    if len(seen.dead_letters) != expected.dead_letters:
        problems.append(f"{len(seen.dead_letters)} dead letters, expected {expected.dead_letters}")
    unsaid = sum(1 for event_id in ids if not seen.notified[event_id])
    if unsaid:
        problems.append(f"{unsaid} published events of which nobody was told")
    early, late = delays(seen.breaches, settle_ms, factor, outage)
    return Report(
        rows=[_row(promise, expected, standing, broken) for promise in dict.fromkeys(p for p, _ in expected.verdicts)],
        retracted=sum(1 for breach in last.values() if breach.type == RETRACTED),
        duplicate_ids=repeated,
        dead_letters=len(seen.dead_letters),
        dead_letters_expected=expected.dead_letters,
        notified=len(ids) - unsaid,
        notify_expected=len(ids),
        delays_ms=early,
        delays_outage_ms=late,
        problems=problems,
    )


def verdict_problems(expected: Mapping[Key, Verdict], published: Mapping[Key, list[Outcome]]) -> list[str]:
    """Where the outcomes topic, folded by revision, differs from the expected verdicts."""
    problems = []
    for key in sorted(expected.keys() | published.keys()):
        verdict, outcomes = expected.get(key), published.get(key, [])
        wanted = [] if verdict is None or verdict.status == "open" else [_words(verdict)]
        found = [_words(outcome) for outcome in outcomes]
        if wanted != found:
            problems.append(f"{key[0]} {key[1]}: expected {_listed(wanted)}, outcomes say {_listed(found)}")
    return problems


def order_problems(breaches: list[Breach]) -> list[str]:
    """Where a late fulfilment or a retraction was published without the breach it is about before it."""
    problems, known = [], set()
    for breach in breaches:
        cycle = (breach.promise, breach.subject, breach.cycle)
        if breach.type == BREACHED:
            known.add(cycle)
        elif cycle not in known:
            problems.append(f"{breach.promise} {breach.subject}: {breach.type} without a breach before it")
    return problems


def delays(
    breaches: list[Breach], settle_ms: int, factor: float, outage: tuple[int, int]
) -> tuple[list[float], list[float]]:
    """Real milliseconds from proof to publication, sorted: of breaches proved while the worker ran, and of the rest."""
    running: list[float] = []
    stopped: list[float] = []
    for breach in breaches:
        if breach.type == BREACHED:
            proved = breach.due + settle_ms
            delay = (breach.detected_at - proved) / factor
            (stopped if outage[0] <= proved <= outage[1] else running).append(delay)
    return sorted(running), sorted(stopped)


def percentile(ordered: list[float], share: float) -> float:
    """The value below which `share` of the sorted, non-empty list lies."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _row(promise: str, expected: Expected, standing: set[Key], broken: set[Key]) -> Row:
    mine, due = ({key for key in keys if key[0] == promise} for keys in (standing, broken))
    statuses = Counter(verdict.status for key, verdict in expected.verdicts.items() if key[0] == promise)
    return Row(promise, statuses, len(due), len(mine), len(mine - due), len(due - mine))


def _words(verdict: Verdict | Outcome) -> str:
    return f"{verdict.status} (due {verdict.due}, fulfilled at {verdict.fulfilled_at})"


def _listed(words: list[str]) -> str:
    return " and ".join(words) or "nothing"
