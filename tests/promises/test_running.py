"""Which cycles of a promise are told which facts."""

import pytest

from promises.accepting import View, openings
from promises.courses import Course
from promises.detector import Detector
from promises.judging import judge_family
from promises.running import Running
from promises.terms import Clan
from schemas.facts import Fact
from tests.promises.builders import ALWAYS, DAY, HOUR, MINUTE, OPENED, book, fact

EACH = """
- {id: each, when: {event: asked, again: true}, due: {within: 1h}, expect: {event: answered, match: [ref]},
   release: {event: cancelled}, retention: 400d}
"""
NEVER = (
    "- {id: never, when: {event: asked, again: true}, due: {within: 1h}, forbid: {event: bad}, until: {event: mended}}"
)


def running(promises: str, *facts: Fact) -> Running:
    """The cycles that these facts open, none of them begun."""
    clan = clan_of(promises)
    return Running([Course(*opening) for opening in openings(clan, list(facts), View(ALWAYS, ALWAYS, {}))])


def clan_of(promises: str) -> Clan:
    return next(iter(Detector(book(promises)).rules.clans.values()))


def asked(number: int) -> Fact:
    return fact("asked", OPENED + number * MINUTE, f"asked-{number}", ref=number)


def names(courses: list[Course]) -> list[str]:
    return [course.opening.id for course in courses]


def test_a_fulfilment_is_told_to_the_cycles_with_its_values():
    """Of three cycles it is one, and none where the field is missing or has the value of another type."""
    cycles = running(EACH, asked(0), asked(1), asked(2))
    cycles.begin(OPENED + HOUR)
    late = OPENED + HOUR
    assert names(cycles.takers(fact("answered", late, ref=1))) == ["asked-1"]
    assert names(cycles.takers(fact("answered", late, ref=1.0))) == ["asked-1"]
    for data in ({"ref": True}, {"ref": "1"}, {"ref": None}, {}):
        assert cycles.takers(fact("answered", late, **data)) == []


def test_a_cycle_begins_a_skew_before_its_opening():
    """Before that nothing says anything to it."""
    cycles = running(EACH, asked(0), asked(10))
    cycles.begin(OPENED - 5 * MINUTE - 1)
    assert names(cycles.courses) == []
    cycles.begin(OPENED - 5 * MINUTE)
    assert names(cycles.courses) == ["asked-0"]
    assert not cycles.over
    cycles.begin(OPENED + 5 * MINUTE)
    assert names(cycles.courses) == ["asked-0", "asked-10"]


@pytest.mark.parametrize(("event", "heard"), [("answered", True), ("cancelled", True), ("asked", False), ("x", False)])
def test_facts_of_other_types_are_not_told(event, heard):
    """What only opens the promise does nothing to a cycle that runs."""
    assert running(EACH, asked(0)).hears([fact(event, OPENED)]) is heard


def test_nothing_is_left_to_be_forbidden_after_the_due():
    """At the due it still is, a millisecond later it is not."""
    cycles = running(NEVER, asked(0))
    cycles.begin(OPENED)
    cycles.end(OPENED + HOUR)
    assert names(cycles.courses) == ["asked-0"]
    cycles.end(OPENED + HOUR + 1)
    assert (cycles.courses, cycles.over) == ([], True)


def test_what_is_late_is_still_told_to_what_is_overdue():
    """A breached promise may be fulfilled a day later."""
    answer = fact("answered", OPENED + DAY, ref=0)
    (course,) = judge_family(clan_of(EACH), [asked(0), answer], View(ALWAYS, ALWAYS, {}))
    assert (course.fulfilled_at, course.late_at) == (None, OPENED + DAY)
