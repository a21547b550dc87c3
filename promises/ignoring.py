"""Which part of a promise a fact is meant for, and why it did nothing to a running cycle: for accounts only."""

from typing import Final

from promises import borders
from promises.courses import Course
from promises.terms import matches, unclear
from schemas.book_model import Expect, Forbid, Leave, Match
from schemas.facts import Fact

BEFORE_OPENING: Final = "before_opening"
AFTER_DUE: Final = "after_due"

ROLES: Final = ("expect", "release", "repromise", "pause")
"""The parts of which it is told that a fact was meant for them and did nothing."""


def match_of(role: str, course: Course) -> Match | None:
    """What a part of a promise means by an event; None if it does not name one."""
    promise, goal = course.terms.promise, course.terms.goal
    forbid = goal if isinstance(goal, Forbid) else None
    parts = {
        "expect": goal.match if isinstance(goal, Expect) else None,
        "forbid": forbid.match if forbid else None,
        "until": forbid.until if forbid else None,
        "release": promise.release,
        "repromise": promise.repromise.match if promise.repromise else None,
        "pause": promise.pause.start if promise.pause else None,
        "pause.until": promise.pause.until if promise.pause else None,
    }
    return parts[role]


def role_of(role: str, course: Course, facts: list[Fact]) -> Fact | None:
    """The first of these facts that is meant by a part of a promise."""
    if role == "expect" and isinstance(course.terms.goal, Leave):
        return next((fact for fact in facts if course.terms.fulfils(fact, course.opening)), None)
    match = match_of(role, course)
    if match is None:
        return None
    return next((fact for fact in facts if matches(match, fact, course.opening)), None)


def why_ignored(course: Course, fact: Fact, not_before: int | None, *, elsewhere: bool) -> str | None:
    """Why a fact that was meant for a running cycle has done nothing to it; None if it was not meant for it.

    `not_before` is the bound that was in force, `elsewhere` whether the fact kept another cycle.
    """
    if fact.member == course.opening.member:
        return None
    for role in ROLES:
        match = match_of(role, course)
        if match is None:
            continue
        if unclear(match, fact, course.opening):
            return f"{role}: condition_unclear"
        if matches(match, fact, course.opening):
            why = _why(role, course, fact, not_before, elsewhere=elsewhere)
            return None if why is None else f"{role}: {why}"
    return None


def _why(role: str, course: Course, fact: Fact, not_before: int | None, *, elsewhere: bool) -> str | None:
    terms = course.terms
    early = role == "expect" and terms.early
    before = (
        borders.place(fact) <= course.place
        if role in ("repromise", "pause")
        else not borders.within_skew(fact.time, course.opening.time, terms.skew_ms)
    )
    if before and not early:
        # What came before a recurring cycle belongs to the one before it, as a rule.
        return None if elsewhere or terms.promise.when.again else BEFORE_OPENING
    if role == "expect":
        return _why_not_counted(course, fact, not_before, elsewhere=elsewhere)
    if role == "pause":
        return "after_due" if not borders.may_pause(fact.time, course.due_at(fact.time)) else "paused_already"
    if not course.meets(fact.time):
        return AFTER_DUE
    repromise = terms.promise.repromise
    if role == "repromise" and repromise is not None:
        return "moved_enough" if course.moves >= repromise.max else "no_due"
    return None


def _why_not_counted(course: Course, fact: Fact, not_before: int | None, *, elsewhere: bool) -> str | None:
    goal = course.terms.goal
    if not_before is not None and fact.time < not_before:
        return "before_not_before"
    if isinstance(goal, Expect) and goal.distinct is not None:
        if goal.distinct not in fact.data:
            return "no_value"
        if not elsewhere:
            return "counted_already"
    return "kept_another" if elsewhere else None
