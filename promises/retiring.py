"""What leaves the record of a subject whose cycles are of the whole language: a retention after their due.

Cycles of one promise share their facts: without a cycle, what fulfilled it might fulfil another. So a cycle leaves
only when its leaving changes nothing for those that stay; otherwise it waits for the next of them.
"""

from collections.abc import Callable, Iterator

import msgspec

from promises import borders
from promises.courses import Course
from promises.gaps import ENDLESS
from promises.general import Scene, courses_of
from promises.judging import effective
from promises.rules import Rules
from promises.verdicts import OPEN, VOID
from schemas.facts import Fact
from schemas.records import Cycle, Record

_Told = dict[tuple[str, str, str], tuple[object, ...]]


def retire(
    rules: Rules, scene: Scene, record: Record, upto: int, forget_at: Callable[[Fact], int], *, left: bool
) -> tuple[list[Fact], list[Cycle]]:
    """The facts and cycles that stay after `upto`; `forget_at` says until when a fact may still meet an opening.

    `left`: cycles of simple promises have left the record just now.
    """
    stay = [cycle for cycle in record.cycles if not _is_over(cycle, upto)]
    if len(stay) == len(record.cycles) and not left:
        return record.facts, record.cycles
    before = _told(rules, scene, record, record.facts, record.cycles)
    facts = needed(rules, record.facts, stay, upto, forget_at)
    for kept in _attempts(rules, record, facts, stay, upto, forget_at) if stay else (facts,):
        if _told(rules, scene, record, kept, stay) == before:
            return kept, stay
    ends = [cycle.expires for cycle in stay] + [forget_at(fact) for fact in record.facts]
    later = min((instant for instant in ends if instant > upto), default=None)
    if later is None:
        return facts, stay
    return record.facts, [_postponed(cycle, later) if _is_over(cycle, upto) else cycle for cycle in record.cycles]


def _attempts(
    rules: Rules,
    record: Record,
    facts: list[Fact],
    stay: list[Cycle],
    upto: int,
    forget_at: Callable[[Fact], int],
) -> Iterator[list[Fact]]:
    """What might do for those that stay, the likeliest first; `facts` are what they may look at."""
    yield facts
    # What fulfilled those that leave goes with them, or it would fulfil the next, and that one's the next again.
    members = {(cycle.source, cycle.opening) for cycle in stay}
    ended = max((_ended_at(cycle) for cycle in record.cycles if _is_over(cycle, upto)), default=None)
    if ended is not None:
        simple = {kind for one in stay if one.promise in rules.families for kind in rules.looks_at(one.promise)}
        yield [
            fact
            for fact in facts
            if fact.time > ended or fact.member in members or fact.type in simple or forget_at(fact) > upto
        ]
    yield _with_newest(record.facts, facts)
    yield record.facts


def needed(
    rules: Rules, facts: list[Fact], stay: list[Cycle], upto: int, forget_at: Callable[[Fact], int]
) -> list[Fact]:
    """What the cycles that stay, and openings to come, may look at; `facts` in their order."""
    if not stay:
        return [fact for fact in facts if forget_at(fact) > upto]
    since: dict[str, int] = {}
    for cycle in stay:
        for kinds, looks_from in rules.looked_at(cycle):
            for kind in kinds:
                since[kind] = min(looks_from, since.get(kind, looks_from))
    members = {(cycle.source, cycle.opening) for cycle in stay}
    for cycle in stay:
        early = _kept_early(rules, facts, cycle)
        if early is not None:
            members.add(early.member)
    return [
        fact
        for fact in facts
        if fact.time >= since.get(fact.type, ENDLESS) or fact.member in members or forget_at(fact) > upto
    ]


def _with_newest(facts: list[Fact], kept: list[Fact]) -> list[Fact]:
    """The facts that are kept, and how things stood before: the newest of each type that is not."""
    members = {fact.member for fact in kept}
    newest = {fact.type: fact for fact in facts if fact.member not in members}
    members |= {fact.member for fact in newest.values()}
    return [fact for fact in facts if fact.member in members]


def is_needless(rules: Rules, fact: Fact, cycles: list[Cycle]) -> bool:
    """Whether a fact is none that these cycles look at, or from before everything that counts for them."""
    return all(
        fact.time < looks_from or fact.type not in kinds
        for cycle in cycles
        for kinds, looks_from in rules.looked_at(cycle)
    )


def _kept_early(rules: Rules, facts: list[Fact], cycle: Cycle) -> Fact | None:
    """What fulfilled a cycle of a simple promise that may have been fulfilled long before it opened."""
    family = rules.families.get(cycle.promise)
    if family is None:
        return None
    rule = family.version(cycle.version)
    return rule.first_fulfilment(facts, cycle.opened_at) if rule.early else None


def _is_over(cycle: Cycle, upto: int) -> bool:
    return cycle.general is not None and cycle.status != OPEN and cycle.expires <= upto


def _ended_at(cycle: Cycle) -> int:
    """The latest instant that a verdict on a cycle which is over tells of."""
    general = cycle.general
    assert general is not None, "only cycles of the whole language wait for others"
    return max(cycle.due if general.fulfilled_at is None else general.fulfilled_at, general.breached_at or 0)


def _postponed(cycle: Cycle, expires: int) -> Cycle:
    assert cycle.general is not None, "only cycles of the whole language wait for others"
    general = msgspec.structs.replace(cycle.general, next_at=expires)
    return msgspec.structs.replace(cycle, expires=expires, general=general)


def _told(rules: Rules, scene: Scene, record: Record, facts: list[Fact], cycles: list[Cycle]) -> _Told:
    """How the promises of a record stand, going by these facts and cycles; but for cycles that are about to leave."""
    staying = {_name(cycle) for cycle in cycles}
    leaving = {_name(cycle) for cycle in record.cycles if cycle.general is not None and _is_over(cycle, scene.frontier)}
    told: _Told = {}
    scene = scene._replace(facts=facts)
    active = effective(facts)
    for promise in {cycle.promise for cycle in record.cycles if cycle.general is not None}:
        mine = [cycle for cycle in cycles if cycle.promise == promise]
        running = {(cycle.source, cycle.opening): cycle for cycle in mine if cycle.status != VOID}
        for course in courses_of(rules.clans[promise], scene, active, cycles, running):
            name = (promise, *course.opening.member)
            if name not in leaving or (name not in staying):
                told[name] = _summary(course)
    return told


def _name(cycle: Cycle) -> tuple[str, str, str]:
    return (cycle.promise, cycle.source, cycle.opening)


def _summary(course: Course) -> tuple[object, ...]:
    return (
        borders.place(course.opening), course.due, course.resolve_at, course.paused_ms, course.fulfilled_at,
        course.late_at, course.forbidden_at, course.released,
    )  # fmt: skip
