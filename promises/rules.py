"""The promise book, made ready to be asked a million times: per version the tests a fact must pass, per promise its
versions, per event type the promises it concerns.

Promises of the simplest kind (`is_simple`) are compiled here, all others in `promises/terms.py`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from promises import borders
from promises.calendars import Calendars
from promises.civil import Civil
from promises.dues import due_of
from promises.gaps import ENDLESS, Gap, unsure_from
from promises.plans import Plan, Role, plan_of
from promises.terms import Clan, Terms, lost_version
from schemas.book_model import Book, DueWithin, Expect, Match, Promise
from schemas.decoding import where_holds
from schemas.editions import NO_EDITIONS, NOTHING_OPENS, ClosedText, Editions
from schemas.errors import StateError
from schemas.facts import Fact
from schemas.records import Cycle

ALWAYS = -(1 << 62)
"""Earlier than every instant: since when a version without `effective_from` applies."""


class Rule:
    """One version of one simple promise, compiled."""

    __slots__ = (
        "_due", "civil", "early", "effective_from", "expect", "expect_event", "known_for_ms", "looks_back_ms",
        "opens_until", "pin", "promise", "release", "release_event", "retention_ms", "skew_ms", "types", "when",
        "when_event",
    )  # fmt: skip

    def __init__(self, promise: Promise, calendars: Calendars, pin: int, until: int = ENDLESS) -> None:
        """`pin` is what cycles under it store as their version; it opens nothing that happened at `until` or later."""
        self.promise = promise
        self.pin = pin
        self.opens_until = until
        self.civil: Civil = calendars.civil(promise.timezone)
        self._due: Callable[[int, dict[str, Any]], int | None] = partial(due_of, promise, self.civil, calendars)
        self.effective_from = ALWAYS if promise.effective_from is None else promise.effective_from
        assert isinstance(promise.goal, Expect), "a simple promise expects one event"
        assert promise.when.match is not None, "a simple promise is opened by an event"
        self.early = promise.goal.early
        self.skew_ms = promise.skew_ms
        self.retention_ms = promise.retention_ms
        # What an early promise waits for may have come, and have been forgotten, up to orphan_ttl before its opening.
        self.known_for_ms = promise.orphan_ttl_ms if self.early else 0
        self.looks_back_ms = max(self.skew_ms, self.known_for_ms)
        self.when = promise.when.match
        self.when_event = self.when.events[0]
        self.expect = promise.goal.match
        self.expect_event = self.expect.events[0]
        self.release: Match | None = promise.release
        self.release_event = None if promise.release is None else promise.release.events[0]
        self.types = {self.when_event, self.expect_event} | ({self.release_event} if self.release_event else set())

    def due(self, opening: Fact) -> int | None:
        """When an opening makes it due, UTC milliseconds; None if the payload names no due. Raises as `due_of`."""
        return self._due(opening.time, opening.data)

    def opens(self, fact: Fact) -> bool:
        """Whether the fact is one that opens this promise."""
        return fact.type == self.when_event and (not self.when.where or where_holds(self.when, fact.data))

    def fulfils(self, fact: Fact) -> bool:
        """Whether the fact is what is expected, whenever it happened."""
        return fact.type == self.expect_event and (not self.expect.where or where_holds(self.expect, fact.data))

    def releases(self, fact: Fact) -> bool:
        """Whether the fact is one that ends this promise without a breach, whenever it happened."""
        release = self.release
        return (
            release is not None
            and fact.type == self.release_event
            and (not release.where or where_holds(release, fact.data))
        )

    def may_serve(self, event: str) -> bool:
        """Whether facts of this type may settle a running cycle."""
        return event in (self.expect_event, self.release_event)

    def serves(self, fact: Fact) -> bool:
        """Whether a running cycle may be settled by this fact."""
        return self.fulfils(fact) or self.releases(fact)

    def first_fulfilment(self, facts: list[Fact], opened_at: int) -> Fact | None:
        """The earliest eligible fulfilment; `facts` in their order."""
        expected = self.expect_event
        for fact in facts:
            if (
                fact.type == expected
                and self.fulfils(fact)
                and (self.early or borders.within_skew(fact.time, opened_at, self.skew_ms))
            ):
                return fact
        return None

    def first_release(self, facts: list[Fact], opened_at: int, due: int) -> Fact | None:
        """The earliest release that still ends the promise without a breach; `facts` in their order."""
        if self.release is None:
            return None
        for fact in facts:
            if self.releases(fact) and borders.within_skew(fact.time, opened_at, self.skew_ms):
                return fact if borders.in_time(fact.time, due) else None
        return None


class Family:
    """All versions of one simple promise. `closed` are those under which cycles run and nothing opens."""

    __slots__ = ("_by_pin", "closed", "id", "rules", "types")

    def __init__(self, promise_id: str, rules: list[Rule], closed: list[Rule]) -> None:
        self.id = promise_id
        opening = [*rules, *(rule for rule in closed if rule.opens_until > NOTHING_OPENS)]
        self.rules = sorted(opening, key=lambda rule: rule.effective_from, reverse=True)
        self.closed = [rule for rule in closed if rule.opens_until == NOTHING_OPENS]
        self._by_pin = {rule.pin: rule for rule in rules + closed}
        self.types = frozenset().union(*(rule.types for rule in rules + closed))

    def at(self, opened_at: int) -> Rule | None:
        """The version in force at an instant."""
        for rule in self.rules:
            if borders.in_force(rule.effective_from, opened_at, rule.opens_until):
                return rule
        return None

    def version(self, pin: int) -> Rule:
        """The version a running cycle is pinned to. Raises StateError if the book has lost it."""
        try:
            return self._by_pin[pin]
        except KeyError:
            raise lost_version(self.id, pin, list(self._by_pin)) from None


class Rules:
    """The compiled book. `families` are the simple promises, `clans` all others, causes before their remedies."""

    def __init__(self, book: Book, editions: Editions = NO_EDITIONS) -> None:
        """Compile the book, and what runs besides under texts that it no longer has. Raises StateError if the two do
        not go together.
        """
        calendars = Calendars(book.calendars)
        versions: dict[str, list[Promise]] = {}
        for promise in book.promises:
            versions.setdefault(promise.id, []).append(promise)
        closed: dict[str, list[ClosedText]] = {}
        for text in editions.closed:
            closed.setdefault(text.promise.id, []).append(text)
        every = [*book.promises, *(text.promise for text in editions.closed)]
        # A withdrawn fact can change every verdict, and a remedy looks at its cause.
        withdrawing = any(source.withdraws is not None for source in book.sources.values())
        general = {promise.when.breach_of for promise in every} | {one.id for one in every if not is_simple(one)}
        self.families: dict[str, Family] = {}
        clans = []
        for promise_id in dict.fromkeys(promise.id for promise in every):
            promises, texts = versions.get(promise_id, []), closed.get(promise_id, [])
            if withdrawing or promise_id in general:
                terms = [Terms(promise, Calendars(specs), pin, until) for promise, specs, pin, until in texts]
                clans.append(Clan(promise_id, promises, calendars, editions, terms))
            else:
                rules = [Rule(promise, calendars, editions.pin(promise)) for promise in promises]
                ending = [Rule(promise, Calendars(specs), pin, until) for promise, specs, pin, until in texts]
                self.families[promise_id] = Family(promise_id, rules, ending)
        self.clans = {clan.id: clan for clan in causes_first(clans)}
        self._remedies = _remedies(self.clans)
        every_version: list[Rule | Terms] = [
            *(rule for family in self.families.values() for rule in family.rules + family.closed),
            *(terms for clan in self.clans.values() for terms in clan.terms + clan.closed),
        ]
        self.looks_back_ms = max((version.looks_back_ms for version in every_version), default=0)
        self.retention_ms = max((version.retention_ms for version in every_version), default=0)
        types: dict[str, set[str]] = {}
        for family in self.families.values():
            for rule in family.rules + family.closed:
                types.setdefault(rule.promise.key, set()).update(rule.types)
        for clan in self.clans.values():
            types.setdefault(clan.key, set()).update(clan.types)
        self.types = frozenset().union(*types.values()) if types else frozenset()
        self.plans = {key: {event: self._plan(key, event) for event in events} for key, events in types.items()}
        # What a fact withdraws concerns every promise; its own type may be one that no promise names.
        self._of_withdrawals = {key: self._withdrawal_plan(key) for key in self.plans} if withdrawing else {}

    def plan(self, key: str, event: str) -> Plan | None:
        """What facts of this type are to the promises about `key`; None if they are nothing."""
        plans = self.plans.get(key)
        return plans.get(event) if plans is not None else None

    def plan_of_withdrawal(self, key: str) -> Plan | None:
        """What facts that take others back are to the promises about `key`."""
        return self._of_withdrawals.get(key)

    def unprovable(self, cycle: Cycle, gaps: tuple[Gap, ...]) -> bool:
        """Whether what absence has to prove of a running cycle may be among what got lost in these gaps."""
        awaited = cycle.due if cycle.general is None else cycle.general.resolve_at
        return borders.unprovable(awaited, unsure_from(gaps, self.looks_from(cycle)))

    def looks_at(self, promise_id: str) -> frozenset[str]:
        """The types of the facts that cycles of a promise look at, but for the one that opened them."""
        clan = self.clans.get(promise_id)
        return self.family(promise_id).types if clan is None else clan.types

    def looks_from(self, cycle: Cycle) -> int:
        """The instant before which nothing counts for a cycle, but for its opening and what was before."""
        clan = self.clans.get(cycle.promise)
        if clan is None:
            return cycle.opened_at - self.family(cycle.promise).version(cycle.version).looks_back_ms
        return cycle.opened_at - clan.version(cycle.version).looks_back_ms

    def looked_at(self, cycle: Cycle) -> list[tuple[frozenset[str], int]]:
        """What is looked at as long as a cycle is there: types of facts, and the instant before which none counts.

        By itself, and by the remedies that its breach may open yet: what they find may have come long before that.
        """
        remedies = self._remedies.get(cycle.promise, [])
        return [
            (self.looks_at(cycle.promise), self.looks_from(cycle)),
            *((clan.types, cycle.opened_at - clan.looks_back_ms) for clan in remedies),
        ]

    def _plan(self, key: str, event: str) -> Plan:
        roles = []
        ttls = [0]
        for family in self.families.values():
            rules = [rule for rule in family.rules if rule.promise.key == key]
            closed = [rule for rule in family.closed if rule.promise.key == key]
            opens = any(rule.when_event == event for rule in rules)
            serves = tuple(rule for rule in rules if rule.may_serve(event))
            settles = bool(serves) or any(rule.may_serve(event) for rule in closed)
            if opens or settles:
                roles.append(Role(family, opens=opens, settles=settles, serves=serves))
                ttls.extend(rule.promise.orphan_ttl_ms for rule in rules + closed)
        clans = tuple(clan for clan in self.clans.values() if clan.key == key and event in clan.types)
        ttls.extend(clan.orphan_ttl_ms for clan in clans)
        return plan_of(event, tuple(roles), clans, max(ttls))

    def _withdrawal_plan(self, key: str) -> Plan:
        clans = tuple(clan for clan in self.clans.values() if clan.key == key)
        return Plan((), clans, max((clan.orphan_ttl_ms for clan in clans), default=0))

    def family(self, promise_id: str) -> Family:
        """The versions of a simple promise that has running cycles. Raises StateError if the book has lost it."""
        try:
            return self.families[promise_id]
        except KeyError:
            raise _lost(promise_id) from None

    def check(self, cycle: Cycle) -> None:
        """Raise StateError if the book has lost the promise version under which a stored cycle runs."""
        if cycle.promise in self.clans:
            self.clans[cycle.promise].version(cycle.version)
        else:
            self.family(cycle.promise).version(cycle.version)


def is_simple(promise: Promise) -> bool:
    """Whether a promise opens once, by an event, and is kept by one event: the hot path knows no more."""
    goal, when = promise.goal, promise.when
    return (
        isinstance(goal, Expect)
        and goal.count == 1
        and goal.distinct is None
        and not goal.shared
        and _is_plain(goal.match)
        and when.match is not None
        and not when.again
        and not when.enter
        and when.breach_of is None
        and _is_plain(when.match)
        and (promise.release is None or _is_plain(promise.release))
        and not (isinstance(promise.due, DueWithin) and promise.due.calendar is not None)
        and promise.not_before is None
        and promise.pause is None
        and promise.repromise is None
        and not promise.warn
        and promise.impact is None
        and not promise.group_by
    )


def _is_plain(match: Match) -> bool:
    return len(match.events) == 1 and match.condition is None and not match.same


def causes_first(clans: list[Clan]) -> list[Clan]:
    """In the book's order, but every remedy after what it is a remedy for. Raises StateError for a circle."""
    ordered: list[Clan] = []
    waiting = {clan.id: clan for clan in clans}
    while waiting:
        ready = [clan for clan in waiting.values() if clan.causes.isdisjoint(waiting)]
        if not ready:  # within one book that is refused when it is loaded
            names = " and ".join(repr(name) for name in sorted(waiting))
            raise StateError(
                f"promises {names} are each other's remedies by the book and by what still runs under earlier texts: "
                "give one of them another id"
            )
        ordered += [waiting.pop(clan.id) for clan in ready]
    return ordered


def _remedies(clans: dict[str, Clan]) -> dict[str, list[Clan]]:
    """By promise its remedies, and theirs; `clans` has causes before their remedies."""
    causes: dict[str, set[str]] = {}
    remedies: dict[str, list[Clan]] = {}
    for clan in clans.values():
        causes[clan.id] = set(clan.causes).union(*(causes.get(cause, ()) for cause in clan.causes))
        for cause in causes[clan.id]:
            remedies.setdefault(cause, []).append(clan)
    return remedies


def _lost(promise_id: str) -> StateError:
    return StateError(
        f"promise {promise_id!r} has running cycles, but the book has lost it and its text was not kept: put it back "
        "into the book until they have ended"
    )
