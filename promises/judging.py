"""The verdict on every cycle of one promise of the whole language: a pure function of its facts.

    facts of a subject -> courses, one a cycle -> standing, given whether the cycle's fire time has passed

All cycles of a promise are judged together, since they share their fulfilments.
"""

from collections.abc import Callable
from typing import NamedTuple

from promises import borders
from promises.accepting import Opening, View, openings, reopens
from promises.courses import Course
from promises.running import Running
from promises.terms import Clan
from promises.verdicts import BREACHED, HELD, KEPT, LATE, OPEN, RELEASED
from schemas.book_model import Expect, Forbid, Holds, Leave
from schemas.facts import Fact
from schemas.publications import Status

Watch = Callable[[list[Fact], list[Course]], None]
"""Is told, once an instant is over, the facts of that instant and the courses so far."""


class Standing(NamedTuple):
    """How a cycle stands, when it was fulfilled and when it was broken (UTC ms) if it was; of one that ended before its
    due also that due, as first promised and as last: they may still turn out to have been others.
    """

    status: Status
    fulfilled_at: int | None = None
    breached_at: int | None = None
    met: tuple[int, int] | None = None


def standing(course: Course, *, passed: bool) -> Standing:
    """How a cycle stands; `passed`: the fire time after which absence is proved has been published.

    Evidence of fulfilment or release needs no proof. That something did not happen does, also that nothing forbidden
    did; and before a forbidden event breaks a promise, it is to be known that nothing allowed it earlier.
    """
    if course.fulfilled_at is not None:
        return Standing(KEPT, course.fulfilled_at, None, (course.due_base, course.due))
    if course.released is not None:
        return Standing(RELEASED, None, None, (course.due_base, course.due))
    if not passed:
        return Standing(OPEN)
    return Standing(HELD) if course.unprovable else _proved(course)


def _proved(course: Course) -> Standing:
    if isinstance(course.terms.goal, Forbid):
        if course.forbidden_at is None:
            return Standing(KEPT, None, None, (course.due_base, course.due))
        return Standing(BREACHED, None, course.forbidden_at, (course.due_base, course.due))
    if course.late_at is None:
        return Standing(BREACHED, None, course.due)
    return Standing(LATE, course.late_at, course.due)


def judge_family(clan: Clan, facts: list[Fact], view: View) -> list[Course]:
    """The course of every cycle that events open; `facts` in their order, without those that were taken back."""
    return run(openings(clan, facts, view), facts)


def run(opened: list[Opening], facts: list[Fact], watch: Watch | None = None) -> list[Course]:
    """What becomes of cycles with these openings, in their order."""
    holding = [opening for opening in opened if isinstance(opening.terms.goal, Holds)]
    if not holding:
        return _run_events(opened, facts, watch)
    # Versions may differ in kind: what expects an event shares nothing with what wants values to agree.
    others = [opening for opening in opened if not isinstance(opening.terms.goal, Holds)]
    is_first = not others or borders.place(holding[0].fact) < borders.place(others[0].fact)
    courses = _run_events(others, facts, watch) + _run_holds(holding, facts, watch, is_first=is_first)
    return sorted(courses, key=lambda course: course.place)


def _run_events(opened: list[Opening], facts: list[Fact], watch: Watch | None) -> list[Course]:
    courses = [Course(*opening) for opening in opened]
    running = Running(courses)
    for group in _instants(facts) if courses else ():
        if running.hears(group):
            running.begin(group[0].time)
            _fulfil(running, group)
            _go_on(running, group)
            running.end(group[0].time)
        if watch is not None:
            watch(group, courses)
        elif running.over:
            break
    return courses


def effective(facts: list[Fact]) -> list[Fact]:
    """The facts without those that others of their source take back, whichever came first.

    One that takes another back says nothing else.
    """
    withdrawn = {(fact.source, fact.withdraws) for fact in facts if fact.withdraws is not None}
    if not withdrawn:
        return facts
    return [fact for fact in facts if fact.withdraws is None and fact.member not in withdrawn]


def _instants(facts: list[Fact]) -> list[list[Fact]]:
    """The facts by instant: at one instant it counts what they are before it counts what they are called."""
    groups: list[list[Fact]] = []
    time: int | None = None
    for fact in facts:
        if fact.time == time:
            groups[-1].append(fact)
        else:
            time = fact.time
            groups.append([fact])
    return groups


def _go_on(running: Running, group: list[Fact]) -> None:
    """What besides fulfilments happens to cycles at one instant: until beats forbid, release beats re-promise."""
    for fact in group:
        for course in running.allowing(fact):
            course.until(fact)
    for fact in group:
        for course in running.ending(fact):
            course.release_or_forbid(fact)
    for fact in group:
        for course in running.changing(fact):
            course.change(fact)


def _fulfil(running: Running, group: list[Fact]) -> None:
    """Give each fulfilment to the cycle with the earliest due that it still meets, or else to the earliest overdue."""
    for fact in group:
        takers = running.takers(fact)
        if not takers:
            continue
        alone = [course for course in takers if not _is_shared(course)]
        if alone:
            _best(alone, fact.time).take(fact)
        for course in takers:
            if _is_shared(course):
                course.take(fact)


def _best(courses: list[Course], time: int) -> Course:
    # What may have been fulfilled by something that nobody will ever know of comes after what surely was not.
    return min(
        courses,
        key=lambda course: (
            not course.meets(time), borders.unprovable(time, course.unsure_from), course.due_at(time), course.place,
        ),
    )  # fmt: skip


def _is_shared(course: Course) -> bool:
    """Whether one fact may keep several such cycles."""
    goal = course.terms.goal
    return isinstance(goal, Leave) or (isinstance(goal, Expect) and goal.shared)


def _run_holds(opened: list[Opening], facts: list[Fact], watch: Watch | None, *, is_first: bool) -> list[Course]:
    """Cycles that are kept when values agree. An opening while a cycle runs joins it and gives it a new due.

    `is_first`: the first of them is the first of the promise, so it counts also without `again`.
    """
    starting = {opening.fact.member: opening for opening in opened}
    courses: list[Course] = []
    newest: dict[str, Fact] = {}
    for group in _instants(facts):
        newest.update((fact.type, fact) for fact in group)
        running = [course for course in courses if not course.ended and course.meets(group[0].time)]
        _converge(courses, newest, group)
        for fact in group:
            joined = [course for course in running if course.released is None and reopens(course.terms, facts, fact)]
            for course in joined:
                course.join(fact)
            opening = starting.get(fact.member)
            first = is_first and not courses
            if opening is not None and not joined and (first or opening.terms.promise.when.again):
                running.append(Course(*opening))
                courses.append(running[-1])
                _converge(running[-1:], newest, group)
            for course in courses:
                if not course.ended:
                    course.change(fact)
        if watch is not None:
            watch(group, courses)
    return courses


def _converge(courses: list[Course], newest: dict[str, Fact], group: list[Fact]) -> None:
    """What the newest values make of cycles once an instant is over. They agree first, then something ends them."""
    for course in courses:
        if not course.ended and _agree(course, newest):
            course.agree(group[0].time)
        for fact in group:
            if not course.ended:
                course.release(fact)


def _agree(course: Course, newest: dict[str, Fact]) -> bool:
    goal = course.terms.goal
    if not isinstance(goal, Holds) or any(event not in newest for _, event in goal.aliases):
        return False
    seen = {alias: newest[event].data for alias, event in goal.aliases}
    return goal.condition.holds(seen) is True
