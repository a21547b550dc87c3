"""The versions of one promise of the whole language, compiled: what each kind of fact means to them.

The counterpart of `Rule` and `Family` in `promises/rules.py`, which know simple promises only. Everything here is asked
again for every fact of a subject each time a new one comes, so it answers from the fact alone.
"""

from collections.abc import Callable
from typing import Any

from promises import borders
from promises.calendars import Calendars
from promises.civil import Civil
from promises.dues import due_from, due_of, earliest_from
from promises.gaps import ENDLESS
from promises.pauses import Span, moved_due
from promises.warns import warn_instants, working_calendar
from schemas.book_model import Expect, Forbid, Holds, Leave, Match, Promise, Scalar
from schemas.decoding import same_value, where_holds
from schemas.editions import NO_EDITIONS, NOTHING_OPENS, Editions, version_of
from schemas.errors import EventError, StateError
from schemas.facts import Fact
from schemas.records import Cycle

ALWAYS = -(1 << 62)
"""Earlier than every instant."""

UNCLEAR = "condition_unclear"
"""Counted when a condition could not be told of a fact: a key is missing, or the evaluation failed."""


class Terms:
    """One version of one promise."""

    def __init__(self, promise: Promise, calendars: Calendars, pin: int | None = None, until: int = ENDLESS) -> None:
        """`pin` is what cycles under it store as their version, if it is not the version's number; it opens nothing
        that happened at `until` or later.
        """
        self.promise = promise
        self.opens_until = until
        self.pin: int = promise.version if pin is None else pin
        self.civil: Civil = calendars.civil(promise.timezone)
        self._calendars = calendars
        self.goal = promise.goal
        self.effective_from = ALWAYS if promise.effective_from is None else promise.effective_from
        self.early = isinstance(promise.goal, Expect) and promise.goal.early
        # What a status or a value was before the opening is no fulfilment, however near.
        self.skew_ms = 0 if isinstance(promise.goal, Leave | Holds) else promise.skew_ms
        self.retention_ms = promise.retention_ms
        # What such a promise looks at may have come, and have been forgotten, up to orphan_ttl before its opening.
        self.known_for_ms = promise.orphan_ttl_ms if self.early or isinstance(promise.goal, Holds) else 0
        self.looks_back_ms = max(self.skew_ms, self.known_for_ms)
        self.aliases: tuple[tuple[str, str], ...] = ()
        self.alias_types: frozenset[str] = frozenset()
        if isinstance(promise.goal, Holds):
            self.aliases = promise.goal.aliases
            self.alias_types = frozenset(event for _, event in self.aliases)
        self.opening_types = frozenset(promise.when.match.events if promise.when.match is not None else ())
        # By type, which facts do what to a running cycle: fulfil it, allow the forbidden, end it, move its due.
        goal = promise.goal
        self.awaited = _types(goal.match) if isinstance(goal, Expect) else frozenset()
        if isinstance(goal, Leave):
            self.awaited = self.opening_types
        self.allowing = _types(goal.until) if isinstance(goal, Forbid) else frozenset()
        self.ending = _types(promise.release) | (_types(goal.match) if isinstance(goal, Forbid) else frozenset())
        self.changing = _types(promise.repromise.match) if promise.repromise is not None else frozenset()
        if promise.pause is not None:
            self.changing |= _types(promise.pause.start) | _types(promise.pause.until)
        self.served = tuple(_served(promise))
        types = {event for match in self.served for event in match.events}
        self.types = frozenset(types | self.alias_types | self.opening_types)

    def hears(self, event: str) -> bool:
        """Whether facts of this type do anything to a running cycle."""
        return event in self.awaited or event in self.allowing or event in self.ending or event in self.changing

    def due(self, opening: Fact) -> int | None:
        """When an opening makes it due; None if its payload names no due. Raises EventError as `due_of`."""
        return due_of(self.promise, self.civil, self._calendars, opening.time, opening.data)

    def due_or_none(self, opening: Fact) -> int | None:
        """As `due`, and None where it cannot be told."""
        return _readable(lambda: self.due(opening))

    def new_due(self, moving: Fact) -> int | None:
        """The due to which a re-promise moves a running cycle; None if it names none that can be read."""
        return _readable(lambda: due_from(self.promise, self.civil, self._calendars, moving.data))

    def not_before(self, fact: Fact) -> int | None:
        """The instant before which a fulfilment does not count, by an opening or a re-promise."""
        return _readable(lambda: earliest_from(self.promise, self.civil, fact.data))

    def moved(self, due: int, paused: list[Span]) -> int:
        """Where pauses move a due. A calendar that never opens again moves nothing."""
        found = _readable(lambda: moved_due(self.promise, self.civil, self._calendars, due, paused))
        return due if found is None else found

    def warnings(self, opened_at: int, due: int) -> list[tuple[str, int]]:
        """When a running cycle is at risk, by warning as the book spells it."""
        if not self.promise.warn:
            return []
        calendar = working_calendar(self.promise, self.civil, self._calendars)
        try:
            return warn_instants(opened_at, due, self.promise.warn, calendar)
        except EventError:
            return []

    def opens(self, fact: Fact, previous: dict[str, Scalar]) -> bool:
        """Whether a fact opens the promise. `previous` has the last status said before, by field."""
        when = self.promise.when
        if when.match is None or not matches(when.match, fact, None):
            return False
        if not when.enter:
            return True
        assert when.field is not None, "the book is refused when `enter` has no field"
        if when.field not in fact.data:
            return False
        status = fact.data[when.field]
        if not any(same_value(status, entered) for entered in when.enter):
            return False
        return when.field not in previous or not same_value(previous[when.field], status)

    def fulfils(self, fact: Fact, opening: Fact) -> bool:
        """Whether a fact is what an expectation waits for, whenever it happened."""
        goal = self.goal
        if isinstance(goal, Expect):
            return matches(goal.match, fact, opening)
        if isinstance(goal, Leave):
            return (
                fact.type == opening.type
                and goal.field in fact.data
                and not same_value(fact.data[goal.field], opening.data.get(goal.field))
                and borders.place(fact) > borders.place(opening)
            )
        return False

    def forbidden(self, fact: Fact, opening: Fact) -> bool:
        """Whether a fact is what must not happen."""
        return isinstance(self.goal, Forbid) and matches(self.goal.match, fact, opening)

    def until(self, fact: Fact, opening: Fact) -> bool:
        """Whether from this fact on the forbidden is allowed."""
        goal = self.goal
        return isinstance(goal, Forbid) and goal.until is not None and matches(goal.until, fact, opening)

    def releases(self, fact: Fact, opening: Fact) -> bool:
        """Whether a fact ends the promise without a breach, whenever it happened."""
        release = self.promise.release
        return release is not None and matches(release, fact, opening)

    def moves(self, fact: Fact, opening: Fact) -> bool:
        """Whether a fact promises again."""
        repromise = self.promise.repromise
        return repromise is not None and matches(repromise.match, fact, opening)

    def pauses(self, fact: Fact, opening: Fact) -> bool:
        """Whether from this fact on the due stands still."""
        pause = self.promise.pause
        return pause is not None and matches(pause.start, fact, opening)

    def resumes(self, fact: Fact, opening: Fact) -> bool:
        """Whether from this fact on the due no longer stands still."""
        pause = self.promise.pause
        return pause is not None and matches(pause.until, fact, opening)

    def may_concern(self, fact: Fact, counted: list[str]) -> bool:
        """Whether a fact may mean anything to this version but as an opening, whatever else becomes known.

        What depends on the opening is taken to fit. Conditions that cannot be told are counted.
        """
        goal, field = self.goal, self.promise.when.field
        if fact.type in self.alias_types:
            return True
        when = self.promise.when.match
        if isinstance(goal, Holds) and when is not None and _may_match(when, fact, counted):
            return True  # it may join a cycle of this version though another is in force
        if fact.type in self.opening_types and (
            (field is not None and field in fact.data) or (isinstance(goal, Leave) and goal.field in fact.data)
        ):
            return True  # a status that keeps a later one from being entered anew, or ends an earlier one
        return any(_may_match(match, fact, counted) for match in self.served)


class Clan:
    """All versions of one promise, of any kind. `closed` are those under which cycles run and nothing opens."""

    def __init__(
        self,
        promise_id: str,
        promises: list[Promise],
        calendars: Calendars,
        editions: Editions = NO_EDITIONS,
        closed: list[Terms] | None = None,
    ) -> None:
        """Compile the book's versions; `editions` knows their pins."""
        terms = [Terms(promise, calendars, editions.pin(promise)) for promise in promises]
        every = [*terms, *(closed or [])]
        self.closed: list[Terms] = [one for one in closed or [] if one.opens_until == NOTHING_OPENS]
        self.id = promise_id
        self.key = every[0].promise.key
        opening = [one for one in every if one.opens_until > NOTHING_OPENS]
        self.terms = sorted(opening, key=lambda one: one.effective_from, reverse=True)
        self._by_pin = {one.pin: one for one in every}
        self.types = frozenset().union(*(one.types for one in every))
        self.opening_types = frozenset().union(*(one.opening_types for one in every))
        self.orphan_ttl_ms = max(one.promise.orphan_ttl_ms for one in every)
        self.looks_back_ms = max(one.looks_back_ms for one in every)
        causes = {one.promise.when.breach_of for one in every}
        self.causes = frozenset(cause for cause in causes if cause is not None)

    def at(self, opened_at: int) -> Terms | None:
        """The version in force at an instant."""
        for terms in self.terms:
            if borders.in_force(terms.effective_from, opened_at, terms.opens_until):
                return terms
        return None

    def version(self, pin: int) -> Terms:
        """The version a running cycle is pinned to. Raises StateError if the book has lost it."""
        try:
            return self._by_pin[pin]
        except KeyError:
            raise lost_version(self.id, pin, list(self._by_pin)) from None

    def may_concern(self, fact: Fact, counted: list[str]) -> bool:
        """Whether a fact may mean anything to any version but as an opening."""
        return any(terms.may_concern(fact, counted) for terms in self.terms)

    def concerns_closed(self, fact: Fact, runs: list[Cycle], counted: list[str]) -> bool:
        """Whether a fact may mean anything to a cycle that runs under a version under which nothing opens any more."""
        pins = {cycle.version for cycle in runs if cycle.promise == self.id}
        return any(terms.pin in pins and terms.may_concern(fact, counted) for terms in self.closed)


def lost_version(promise_id: str, pin: int, pins: list[int]) -> StateError:
    """What is told of a cycle whose version is neither in the book nor among the texts that were kept."""
    found = sorted({version_of(one) for one in pins})
    version = version_of(pin)
    return StateError(
        f"promise {promise_id!r} runs under version {version}, but the book has only {found} and its text was not "
        f"kept: put version {version} back into the book until its cycles have ended"
    )


def matches(match: Match, fact: Fact, opening: Fact | None) -> bool:
    """Whether a fact is one of those meant; `opening` is what its fields and conditions are compared with."""
    if fact.type not in match.events or (match.where and not where_holds(match, fact.data)):
        return False
    if match.same:
        assert opening is not None, "the book is refused when `match` stands under `when`"
        for path in match.same:
            if path not in fact.data or path not in opening.data:
                return False
            if not same_value(fact.data[path], opening.data[path]):
                return False
    return match.condition is None or match.condition.holds(_seen(fact, opening)) is True


def unclear(match: Match, fact: Fact, opening: Fact | None) -> bool:
    """Whether a fact would be one of those meant but for a condition that cannot be told of it."""
    condition = match.condition
    if condition is None or fact.type not in match.events or not where_holds(match, fact.data):
        return False
    return condition.holds(_seen(fact, opening)) is None


def _may_match(match: Match, fact: Fact, counted: list[str]) -> bool:
    if fact.type not in match.events or (match.where and not where_holds(match, fact.data)):
        return False
    condition = match.condition
    if condition is None or "opened" in condition.fields:
        return True
    holds = condition.holds(_seen(fact, None))
    if holds is None:
        counted.append(UNCLEAR)
    return holds is True


def _seen(fact: Fact, opening: Fact | None) -> dict[str, Any]:
    """What a condition sees."""
    seen: dict[str, Any] = {"data": fact.data, "type": fact.type, "time": fact.time}
    if opening is not None:
        seen["opened"] = opening.data
    return seen


def _types(match: Match | None) -> frozenset[str]:
    return frozenset(match.events if match is not None else ())


def _served(promise: Promise) -> list[Match]:
    """Every match of facts that do something to a running cycle."""
    found: list[Match | None] = [promise.release]
    goal = promise.goal
    if isinstance(goal, Expect):
        found.append(goal.match)
    elif isinstance(goal, Forbid):
        found += [goal.match, goal.until]
    if promise.pause is not None:
        found += [promise.pause.start, promise.pause.until]
    if promise.repromise is not None:
        found.append(promise.repromise.match)
    return [match for match in found if match is not None]


def _readable(read: Callable[[], int | None]) -> int | None:
    """What cannot be read was refused when its event came; where it was not looked at then, it says nothing."""
    try:
        return read()
    except EventError:
        return None
