"""The promise book, made ready to be asked a million times: per version the tests a fact must pass, per promise its
versions, per event type the promises it concerns.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from promises import borders
from promises.calendars import Calendars
from promises.civil import Civil
from promises.dues import due_of
from schemas.book_model import Book, Match, Promise
from schemas.decoding import where_holds
from schemas.errors import StateError
from schemas.facts import Fact

ALWAYS = -(1 << 62)
"""Earlier than every instant: since when a version without `effective_from` applies."""


class Rule:
    """One version of one promise, compiled."""

    __slots__ = (
        "civil", "due", "early", "effective_from", "expect", "expect_event", "known_for_ms", "promise", "release",
        "retention_ms", "skew_ms", "when", "when_event",
    )  # fmt: skip

    def __init__(self, promise: Promise, calendars: Calendars) -> None:
        self.promise = promise
        self.civil: Civil = calendars.civil(promise.timezone)
        self.due: Callable[[Fact], int | None] = partial(due_of, promise, self.civil, calendars)
        """When an opening makes it due, UTC milliseconds; None if the payload names no due. Raises as `due_of`."""
        self.effective_from = ALWAYS if promise.effective_from is None else promise.effective_from
        self.early = promise.early
        self.skew_ms = promise.skew_ms
        self.retention_ms = promise.retention_ms
        # What an early promise waits for may have come, and have been forgotten, up to orphan_ttl before its opening.
        self.known_for_ms = promise.orphan_ttl_ms if promise.early else 0
        self.when, self.when_event = promise.when, promise.when.event
        self.expect, self.expect_event = promise.expect, promise.expect.event
        self.release: Match | None = promise.release

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
            and fact.type == release.event
            and (not release.where or where_holds(release, fact.data))
        )

    def may_serve(self, event: str) -> bool:
        """Whether facts of this type may settle a running cycle."""
        return event == self.expect_event or (self.release is not None and event == self.release.event)

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
    """All versions of one promise."""

    __slots__ = ("_by_version", "id", "rules")

    def __init__(self, promise_id: str, rules: list[Rule]) -> None:
        self.id = promise_id
        self.rules = sorted(rules, key=lambda rule: rule.effective_from, reverse=True)
        self._by_version = {rule.promise.version: rule for rule in rules}

    def at(self, opened_at: int) -> Rule | None:
        """The version in force at an instant."""
        for rule in self.rules:
            if borders.in_force(rule.effective_from, opened_at):
                return rule
        return None

    def version(self, version: int) -> Rule:
        """The version a running cycle is pinned to. Raises StateError if the book has lost it."""
        try:
            return self._by_version[version]
        except KeyError:
            raise StateError(
                f"promise {self.id!r} runs under version {version}, but the book has only "
                f"{sorted(self._by_version)}: keep version {version} in the book until its cycles have ended"
            ) from None


class Role(NamedTuple):
    """What facts of one type are to one promise: whether they may open it, and which versions they may settle."""

    family: Family
    opens: bool
    serves: tuple[Rule, ...]


class Plan(NamedTuple):
    """What facts of one type are to the whole book, in the book's order."""

    roles: tuple[Role, ...]
    orphan_ttl_ms: int


class Rules:
    """The compiled book."""

    def __init__(self, book: Book) -> None:
        calendars = Calendars(book.calendars)
        versions: dict[str, list[Rule]] = {}
        for promise in book.promises:
            versions.setdefault(promise.id, []).append(Rule(promise, calendars))
        self.families = {promise_id: Family(promise_id, rules) for promise_id, rules in versions.items()}
        types: dict[str, set[str]] = {}
        for promise in book.promises:
            events = (promise.when.event, promise.expect.event, *([promise.release.event] if promise.release else ()))
            types.setdefault(promise.key, set()).update(events)
        self.types = frozenset().union(*types.values()) if types else frozenset()
        self.plans = {key: {event: self._plan(key, event) for event in events} for key, events in types.items()}

    def plan(self, key: str, event: str) -> Plan | None:
        """What facts of this type are to the promises about `key`; None if they are nothing."""
        plans = self.plans.get(key)
        return plans.get(event) if plans is not None else None

    def _plan(self, key: str, event: str) -> Plan:
        roles = []
        ttls = [0]
        for family in self.families.values():
            rules = [rule for rule in family.rules if rule.promise.key == key]
            opens = any(rule.when_event == event for rule in rules)
            serves = tuple(rule for rule in rules if rule.may_serve(event))
            if opens or serves:
                roles.append(Role(family, opens, serves))
                ttls.extend(rule.promise.orphan_ttl_ms for rule in rules)
        return Plan(tuple(roles), max(ttls))

    def family(self, promise_id: str) -> Family:
        """The versions of a promise that has running cycles. Raises StateError if the book has lost it."""
        try:
            return self.families[promise_id]
        except KeyError:
            raise StateError(
                f"promise {promise_id!r} has running cycles, but the book has lost it: keep it until they have ended"
            ) from None
