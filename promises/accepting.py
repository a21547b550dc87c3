"""Which facts open a promise of the whole language, and which breaches open its remedies."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from promises import borders
from promises.gaps import ENDLESS, NO_GAPS, Gap, unsure_from
from promises.terms import Clan, Terms
from schemas.book_model import Holds, Scalar
from schemas.errors import EventError
from schemas.facts import Fact
from schemas.records import Cycle

Name = tuple[str, str]
"""A cycle within its promise: source and id of the fact that opened it."""


class View(NamedTuple):
    """What openings are judged by: the instant before which nothing opens, the frontier, the running cycles, and when
    facts may have happened that will never be known.
    """

    known_since: int
    frontier: int
    running: dict[Name, Cycle]
    gaps: tuple[Gap, ...] = NO_GAPS


class Opening(NamedTuple):
    """An accepted opening. The time of `fact` is when the cycle opens, also where a breach opens it.

    From `unsure_from` on facts that its cycle looks at may never be known.
    """

    terms: Terms
    fact: Fact
    due: int
    unsure_from: int = ENDLESS


def openings(clan: Clan, facts: list[Fact], view: View) -> list[Opening]:
    """Every accepted opening of a promise, in order; without `again` the earliest, but all where values agree."""
    found: list[Opening] = []
    for terms, fact in candidates(clan, facts, view):
        if found and not terms.promise.when.again and not isinstance(terms.goal, Holds):
            continue
        opening = accept(terms, fact, view)
        if opening is not None:
            found.append(opening)
    return found


def candidates(clan: Clan, facts: list[Fact], view: View) -> Iterator[tuple[Terms, Fact]]:
    """Every fact that opens the promise by what it says, under the version in force; `facts` in their order."""
    previous: dict[str, Scalar] = {}
    for fact in facts:
        if fact.type not in clan.types:
            continue
        terms = in_force(clan, fact, view)
        if terms is None or fact.type not in terms.opening_types:
            continue
        if terms.opens(fact, previous):
            yield terms, fact
        field = terms.promise.when.field
        if field is not None and field in fact.data:
            previous[field] = fact.data[field]


def reopens(terms: Terms, facts: list[Fact], fact: Fact) -> bool:
    """Whether a fact opens the promise by what it says, going by the version of a cycle that runs."""
    if fact.type not in terms.opening_types:
        return False
    previous: dict[str, Scalar] = {}
    field = terms.promise.when.field
    if field is not None:
        for earlier in facts:
            if earlier is fact:
                break
            if earlier.type in terms.opening_types and field in earlier.data:
                previous[field] = earlier.data[field]
    return terms.opens(fact, previous)


def in_force(clan: Clan, fact: Fact, view: View) -> Terms | None:
    """The version under which a fact opens: the one its running cycle is pinned to, or else the one then in force."""
    stored = view.running.get(fact.member)
    if stored is not None and stored.opened_at == fact.time:
        return clan.version(stored.version)
    return clan.at(fact.time)


def accept(terms: Terms, fact: Fact, view: View, refuse: Callable[[str], None] | None = None) -> Opening | None:
    """The opening if it is accepted; `refuse` is told why it is not. A running cycle keeps its version and its due.

    With `refuse` it raises EventError if the due cannot be told.
    """
    stored = view.running.get(fact.member)
    if stored is not None and stored.opened_at == fact.time and stored.version == terms.pin:
        return _opening(terms, fact, stored.base_due, view)
    reason = ""
    due: int | None = None
    if borders.before_known(fact.time, view.known_since + terms.known_for_ms):
        reason = "before_known"
    elif borders.too_old(fact.time, view.frontier, terms.retention_ms):
        reason = "too_old"
    else:
        try:
            due = terms.due(fact)
        except EventError:
            if refuse is not None:
                raise
        if due is None:
            reason = "no_due"
        elif borders.born_overdue(due, fact.time) and not terms.early:
            reason = "born_overdue"
    if reason or due is None:
        if refuse is not None:
            refuse(reason)
        return None
    return _opening(terms, fact, due, view)


def _opening(terms: Terms, fact: Fact, due: int, view: View) -> Opening:
    if not view.gaps:
        return Opening(terms, fact, due)
    return Opening(terms, fact, due, unsure_from(view.gaps, fact.time - terms.looks_back_ms))


def remedies(clan: Clan, causes: list[tuple[Fact, int]], view: View) -> list[Opening]:
    """What breaches open: `causes` are the fact that opened each broken cycle and when it was broken."""
    found = []
    for cause, breached_at in causes:
        fact = msgspec.structs.replace(cause, time=breached_at)
        terms = in_force(clan, fact, view)
        if terms is None or terms.promise.when.breach_of is None:
            continue
        opening = accept(terms, fact, view)
        if opening is not None:
            found.append(opening)
    return sorted(found, key=lambda one: borders.place(one.fact))
