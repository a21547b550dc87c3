"""What facts of one type are to the book: which promises they concern, without asking each of them.

A book may have a promise for every shop, country or product, told apart by `where`. Where many promises name one type,
the field that tells most of them apart is looked up, so that a fact costs what the promises cost that it concerns.
"""

from collections import Counter
from typing import TYPE_CHECKING

from promises.terms import Clan, Terms
from schemas.book_model import Leave, Match, Scalar
from schemas.facts import Fact

if TYPE_CHECKING:
    from promises.rules import Family, Rule

LOOKED_UP_FROM = 8
"""Promises of one type that a field has to tell apart before it is looked up: fewer are asked faster."""

_Value = tuple[bool, Scalar]
"""A value as `where` compares it: `true` is not 1."""


class Role:
    """What facts of one type are to one promise: whether they may open it, whether they may settle a cycle that runs,
    and the versions they may settle a cycle of that is still to open.
    """

    __slots__ = ("family", "opens", "serves", "settles")

    def __init__(self, family: "Family", *, opens: bool, settles: bool, serves: tuple["Rule", ...]) -> None:
        self.family = family
        self.opens = opens
        self.settles = settles
        self.serves = serves


class Plan:
    """What facts of one type are to the whole book, in the book's order: to its simple promises, and to the others.

    `narrowed`, where there is one, has the plans of fewer promises by what the facts say.
    """

    __slots__ = ("clans", "narrowed", "orphan_ttl_ms", "roles")

    def __init__(
        self, roles: tuple[Role, ...], clans: tuple[Clan, ...], orphan_ttl_ms: int, narrowed: "Narrowed | None" = None
    ) -> None:
        self.roles = roles
        self.clans = clans
        self.orphan_ttl_ms = orphan_ttl_ms
        self.narrowed = narrowed


class Narrowed:
    """The plans of one type, by the value of one payload field."""

    def __init__(self, field: str, plans: dict[_Value, Plan], rest: Plan) -> None:
        """`rest` has the promises that facts with none of these values may concern."""
        self.field = field
        self._plans = plans
        self._rest = rest

    def plan(self, fact: Fact) -> Plan:
        """What this fact is to the book."""
        value = fact.data.get(self.field)
        if isinstance(value, list | dict):
            return self._rest
        return self._plans.get((isinstance(value, bool), value), self._rest)


def plan_of(event: str, roles: tuple[Role, ...], clans: tuple[Clan, ...], orphan_ttl_ms: int) -> Plan:
    """The plan of one type, narrowed where that is worth it."""
    plan = Plan(roles, clans, orphan_ttl_ms)
    wanted_by_role = [_wanted(_of_family(role.family, event)) for role in roles]
    wanted_by_clan = [_wanted(_of_clan(clan, event)) for clan in clans]
    wanted = wanted_by_role + wanted_by_clan
    fields = Counter(field for one in wanted for field in one)
    if not fields:
        return plan
    field, told_apart = fields.most_common(1)[0]
    if told_apart < LOOKED_UP_FROM:
        return plan

    def fewer(value: _Value | None) -> Plan:
        return Plan(
            tuple(role for role, one in zip(roles, wanted_by_role, strict=True) if _fits(one, field, value)),
            tuple(clan for clan, one in zip(clans, wanted_by_clan, strict=True) if _fits(one, field, value)),
            orphan_ttl_ms,
        )

    values = {value for one in wanted for value in one.get(field, ())}
    return Plan(roles, clans, orphan_ttl_ms, Narrowed(field, {value: fewer(value) for value in values}, fewer(None)))


def _fits(wanted: dict[str, set[_Value]], field: str, value: _Value | None) -> bool:
    return field not in wanted or value in wanted[field]


def _wanted(matches: list[Match] | None) -> dict[str, set[_Value]]:
    """By field the values of which a fact must have one to mean anything; none if any fact may (`matches` is None)."""
    if not matches:
        return {}
    fields = set.intersection(*({path for path, _ in match.where} for match in matches))
    return {
        field: {(isinstance(value, bool), value) for match in matches for path, value in match.where if path == field}
        for field in fields
    }


def _of_family(family: "Family", event: str) -> list[Match]:
    """Every match of a simple promise that facts of this type may meet."""
    found = []
    for rule in family.rules + family.closed:
        matches = (rule.when, rule.expect, *([rule.release] if rule.release is not None else ()))
        found += [match for match in matches if event in match.events]
    return found


def _of_clan(clan: Clan, event: str) -> list[Match] | None:
    """The same of any other promise; None if facts of this type may mean something without meeting one."""
    found: list[Match] = []
    for terms in [*clan.terms, *clan.closed]:
        if _is_heard_anyway(terms, event):
            return None
        when = terms.promise.when.match
        found += [match for match in ([when] if when is not None else []) if event in match.events]
        found += [match for match in terms.served if event in match.events]
    return found


def _is_heard_anyway(terms: Terms, event: str) -> bool:
    """Whether such a fact says something by its type alone: a value that has to agree, or a status."""
    by_status = terms.promise.when.field is not None or isinstance(terms.goal, Leave)
    return event in terms.alias_types or (by_status and event in terms.opening_types)
