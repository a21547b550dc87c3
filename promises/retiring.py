"""What leaves the record of a subject whose cycles are of the whole language: a retention after their due.

Cycles of one promise share their facts: without a cycle, what fulfilled it might fulfil another. So a cycle leaves
only when its leaving changes nothing for those that stay; otherwise it waits for the next of them.
"""

from collections.abc import Callable

import msgspec

from promises import borders
from promises.courses import Course
from promises.general import Scene, courses_of
from promises.judging import effective
from promises.rules import Rules
from promises.verdicts import OPEN, VOID
from schemas.facts import Fact
from schemas.records import Cycle, Record

_Told = dict[tuple[str, str, str], tuple[object, ...]]


def retire(
    rules: Rules, scene: Scene, record: Record, upto: int, forget_at: Callable[[Fact], int]
) -> tuple[list[Fact], list[Cycle]]:
    """The facts and cycles that stay after `upto`; `forget_at` says until when a fact may still meet an opening."""
    stay = [cycle for cycle in record.cycles if not _is_over(cycle, upto)]
    if len(stay) == len(record.cycles):
        return record.facts, record.cycles
    before = _told(rules, scene, record, record.facts, record.cycles)
    facts = _needed(rules, record.facts, stay, upto, forget_at)
    for kept in (facts, record.facts) if stay else (facts,):
        if _told(rules, scene, record, kept, stay) == before:
            return kept, stay
    ends = [cycle.expires for cycle in stay] + [forget_at(fact) for fact in record.facts]
    later = min((instant for instant in ends if instant > upto), default=None)
    if later is None:
        return facts, stay
    return record.facts, [_postponed(cycle, later) if _is_over(cycle, upto) else cycle for cycle in record.cycles]


def _needed(
    rules: Rules, facts: list[Fact], stay: list[Cycle], upto: int, forget_at: Callable[[Fact], int]
) -> list[Fact]:
    """What running cycles, and openings to come, may look at."""
    if not stay:
        return [fact for fact in facts if forget_at(fact) > upto]
    names = {(cycle.source, cycle.opening) for cycle in stay}
    newest = {fact.type: fact for fact in facts}
    needed = _needed_by_simple(rules, stay)
    return [
        fact
        for fact in facts
        if fact.member in names or newest[fact.type] is fact or fact.type in needed or forget_at(fact) > upto
    ]


def _is_over(cycle: Cycle, upto: int) -> bool:
    return cycle.general is not None and cycle.status != OPEN and cycle.expires <= upto


def _postponed(cycle: Cycle, expires: int) -> Cycle:
    assert cycle.general is not None, "only cycles of the whole language wait for others"
    general = msgspec.structs.replace(cycle.general, next_at=expires)
    return msgspec.structs.replace(cycle, expires=expires, general=general)


def _needed_by_simple(rules: Rules, cycles: list[Cycle]) -> set[str]:
    """Types of the facts that running cycles of simple promises look at: those are kept as long as these run."""
    needed: set[str] = set()
    for cycle in cycles:
        if cycle.promise in rules.families:
            rule = rules.families[cycle.promise].version(cycle.version)
            needed |= {rule.when_event, rule.expect_event}
            if rule.release_event is not None:
                needed.add(rule.release_event)
    return needed


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
