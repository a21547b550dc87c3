"""What would change if one promise book took the place of another: their verdicts on the same recordings, compared.

Pure: verdicts in, differences out. A cycle is the same in both books if its promise, subject and opening fact are.
"Now" is the book in force, "then" the one that would replace it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from promises.verdicts import BREACHED, LATE
from promisewatch.backtesting import CycleName, Verdict
from schemas.book_model import Book

EXAMPLES_MAX = 3
"""Cycles shown of each kind of change: the earliest opened ones."""
NOT_OPENED = "not opened"
"""The status of a cycle by the book under which it does not exist."""
NO_AUDIENCE = "none named"
"""The audience of promises that name none."""
AUDIENCES = ("customer", "employee", "operator", NO_AUDIENCE)

Presence = Literal["both", "added", "removed"]
"""Which of the books have a promise: added is only in the new one."""


class Example(NamedTuple):
    """One cycle that is judged otherwise. The dues are UTC milliseconds, None where a book does not open it."""

    subject: str
    cycle: str
    due_now: int | None
    due_then: int | None


@dataclass
class Change:
    """One kind of change, and how many cycles it happens to."""

    now: str
    then: str
    cycles: int = 0
    examples: list[Example] = field(default_factory=list)


@dataclass
class Dues:
    """Cycles that both books open and whose dues differ, whatever their status. `furthest_ms` is the largest move."""

    earlier: int = 0
    later: int = 0
    furthest_ms: int = 0
    examples: list[Example] = field(default_factory=list)

    @property
    def cycles(self) -> int:
        """How many dues differ."""
        return self.earlier + self.later


@dataclass
class PromiseComparison:
    """All that changes about one promise.

    `same_status`: cycles with the same status in both books; `alike`: those of them whose due is the same too.
    """

    promise: str
    presence: Presence
    same_status: int = 0
    alike: int = 0
    changes: list[Change] = field(default_factory=list)
    dues: Dues = field(default_factory=Dues)


@dataclass(frozen=True)
class Told:
    """Subjects that a breach would be told about, for one audience; `newly` and `no_longer` are those that differ."""

    audience: str
    now: int
    then: int
    newly: int
    no_longer: int


@dataclass(frozen=True)
class Comparison:
    """Everything that would change; `promises` in the order of the book in force, then the added ones."""

    now: Book
    then: Book
    promises: tuple[PromiseComparison, ...]
    told: tuple[Told, ...]

    @property
    def equal(self) -> bool:
        """Whether every cycle is judged alike, and told to the same audience."""
        quiet = all(not one.changes and not one.dues.cycles and one.presence == "both" for one in self.promises)
        return quiet and all(not one.newly and not one.no_longer for one in self.told)


def compare(
    now: Book, then: Book, verdicts_now: Mapping[CycleName, Verdict], verdicts_then: Mapping[CycleName, Verdict]
) -> Comparison:
    """Compare the verdicts of two books on the same recordings."""
    found = {name: PromiseComparison(name, presence) for name, presence in presences(now, then).items()}
    for name in in_order(verdicts_now, verdicts_then):
        add(found[name[0]], name, verdicts_now.get(name), verdicts_then.get(name))
    for one in found.values():
        one.changes.sort(key=lambda change: (-change.cycles, change.now, change.then))
    return Comparison(now, then, tuple(found.values()), told(now, then, verdicts_now, verdicts_then))


def presences(now: Book, then: Book) -> dict[str, Presence]:
    """Every promise by its id, and which of the books have it."""
    before, after = ([promise.id for promise in book.promises] for book in (now, then))
    found: dict[str, Presence] = {}
    for name in [*before, *after]:
        found[name] = "removed" if name not in after else "added" if name not in before else "both"
    return found


def in_order(*verdicts: Mapping[CycleName, Verdict]) -> Iterable[CycleName]:
    """The cycles of all, each once, by opening: the same recordings give the same examples, however they were cut."""
    opened = {name: verdict.opened_at for each in verdicts for name, verdict in each.items()}
    return sorted(opened, key=lambda name: (opened[name], name[1], name[0], name[2]))


def add(found: PromiseComparison, name: CycleName, now: Verdict | None, then: Verdict | None) -> None:
    """Count one cycle, which at least one of the books opens."""
    example = Example(name[1], name[2], None if now is None else now.due, None if then is None else then.due)
    before, after = (NOT_OPENED if verdict is None else verdict.status for verdict in (now, then))
    moved = 0 if now is None or then is None else then.due - now.due
    if moved:
        dues = found.dues
        dues.earlier += moved < 0
        dues.later += moved > 0
        dues.furthest_ms = max(dues.furthest_ms, abs(moved))
        keep(dues.examples, example)
    if before != after:
        change = next((one for one in found.changes if (one.now, one.then) == (before, after)), None)
        if change is None:
            change = Change(before, after)
            found.changes.append(change)
        change.cycles += 1
        keep(change.examples, example)
    else:
        found.same_status += 1
        found.alike += not moved


def keep(examples: list[Example], example: Example) -> None:
    """Take an example if there is room for it."""
    if len(examples) < EXAMPLES_MAX:
        examples.append(example)


def told(
    now: Book, then: Book, verdicts_now: Mapping[CycleName, Verdict], verdicts_then: Mapping[CycleName, Verdict]
) -> tuple[Told, ...]:
    """Whom breaches are told about, by audience: subjects, each once however many of its promises are broken.

    A notifier tells of the first breach of a cycle, and nothing else of one that was not broken
    (`agents/decisions.py`): so these are the subjects with a broken promise.
    """
    before, after = broken_subjects(now, verdicts_now), broken_subjects(then, verdicts_then)
    found = []
    for audience in AUDIENCES:
        told_now, told_then = before[audience], after[audience]
        if told_now or told_then:
            newly, no_longer = len(told_then - told_now), len(told_now - told_then)
            found.append(Told(audience, len(told_now), len(told_then), newly, no_longer))
    return tuple(found)


def broken_subjects(book: Book, verdicts: Mapping[CycleName, Verdict]) -> dict[str, set[tuple[str, str]]]:
    """The subjects (key and value) with a broken promise, by the audiences that its version names."""
    versions = {(promise.id, promise.version): promise for promise in book.promises}
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for (promise_id, subject, _), verdict in verdicts.items():
        if verdict.status in (BREACHED, LATE):
            promise = versions[promise_id, verdict.version]
            for audience in promise.audience or (NO_AUDIENCE,):
                found[audience].add((promise.key, subject))
    return found
