"""Dues: every form, its options, and how it is explained."""

import pytest

from promises.calendars import Calendars
from promises.civil import INSTANT_MAX
from promises.dues import Dued, compute_due
from schemas.errors import EventError
from tests.promises.builders import DAY, at, book, fact


def due(spelled: str, opened: str, *, explain: bool = False, zone: str = "Europe/Amsterdam", **data: object) -> Dued:
    """The due of a promise with `due: {spelled}` for an opening at a local time in Amsterdam."""
    made = book(
        f"- {{id: p, timezone: {zone}, when: {{event: e}}, due: {{{spelled}}}, expect: {{event: d, early: true}}}}"
    )
    return compute_due(made.promises[0], Calendars(made.calendars), fact("e", opened, "1", **data), explain=explain)


def test_within_is_elapsed_time() -> None:
    """Two days over a change of clocks are 48 hours."""
    assert due("within: 2d", "2026-03-28 12:00").due == at("2026-03-28 12:00") + 2 * DAY


def test_a_day_is_the_same_local_time_on_the_next() -> None:
    """One civil day over a change of clocks is 23 hours."""
    assert due("plus: 1, unit: day", "2026-03-28 12:00:01.005").due == at("2026-03-29 12:00:01.005")


def test_the_same_local_time_moves_forward_where_it_does_not_exist() -> None:
    """Opened at 02:30 on the day before the clocks go forward: due at 03:30."""
    assert due("plus: 1, unit: day", "2026-03-28 02:30").due == at("2026-03-29 03:30")


def test_the_same_local_time_is_the_earlier_where_it_comes_twice() -> None:
    """Opened at 02:30 on the day before the clocks go back: due 24 hours later, not 25."""
    assert due("plus: 1, unit: day", "2026-10-24 02:30").due == at("2026-10-24 02:30") + DAY


def test_at_a_time_of_day() -> None:
    """By noon on the second day."""
    assert due('plus: 2, unit: day, at: "12:00"', "2026-05-01 18:00").due == at("2026-05-03 12:00")


def test_leap_day_and_the_turn_of_the_year_are_days_like_others() -> None:
    """28 February 2028 plus a day is the 29th; New Year's Eve plus a day is next year."""
    assert due("plus: 1, unit: day, at: end_of_day", "2028-02-28 10:00").due == at("2028-02-29 23:59:59.999")
    assert due("plus: 1, unit: day, at: end_of_day", "2026-12-31 10:00").due == at("2027-01-01 23:59:59.999")


def test_the_cutoff_of_a_closed_day_counts_for_the_next_open_one() -> None:
    """Ordered on Sunday morning: counts for Monday, so due on Tuesday."""
    spelled = 'cutoff: "18:00", of: warehouse, plus: 1, unit: day, calendar: warehouse, at: end_of_day'
    assert due(spelled, "2026-05-03 09:00").due == at("2026-05-05 23:59:59.999")


def test_a_cutoff_is_read_where_its_calendar_is() -> None:
    """18:00 at an office in Amsterdam, also for a promise made in New York."""
    spelled = 'cutoff: "18:00", of: office, plus: 0, unit: day, at: end_of_day'
    before = due(spelled, "2026-05-04 17:59", zone="America/New_York").due
    after = due(spelled, "2026-05-04 18:00", zone="America/New_York").due
    assert (before, after) == (at("2026-05-05 05:59:59.999"), at("2026-05-06 05:59:59.999"))


def test_closing_over_midnight_is_on_the_next_day() -> None:
    """The night shift of Thursday closes on Friday at 06:00."""
    assert due("plus: 1, unit: day, calendar: night, at: closing", "2026-04-22 10:00").due == at("2026-04-24 06:00")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-05-06T09:00:00+02:00", "2026-05-06 09:00"),
        ("2026-05-06T07:00:00Z", "2026-05-06 09:00"),
        ("2026-05-06T09:00:00", "2026-05-06 09:00"),
        ("2026-05-06", "2026-05-06 23:59:59.999"),
        ("2026-03-29T02:30:00", "2026-03-29 03:30"),
    ],
)
def test_an_instant_in_the_payload(value: str, expected: str) -> None:
    """With an offset, without one (the promise's zone), a date alone (its end), a time that does not exist."""
    assert due("field: slot", "2026-03-01 10:00", slot=value).due == at(expected)


def test_a_date_in_the_payload_takes_at_and_an_instant_does_not() -> None:
    """`at` says when on a date; an instant says so itself."""
    assert due('field: slot, at: "12:00"', "2026-05-01 10:00", slot="2026-05-06").due == at("2026-05-06 12:00")
    instant = due('field: slot, at: "12:00"', "2026-05-01 10:00", slot="2026-05-06T15:00:00").due
    assert instant == at("2026-05-06 15:00")


def test_an_offset_moves_the_instant_of_the_payload() -> None:
    """A day before the end of the slot's date."""
    assert due("field: slot, offset: -24h", "2026-05-01 10:00", slot="2026-05-06").due == at("2026-05-05 23:59:59.999")


@pytest.mark.parametrize("data", [{}, {"slot": None}])
def test_no_instant_in_the_payload_is_no_due(data: dict[str, object]) -> None:
    """Missing and null are the same: the promise does not open."""
    assert due("field: slot", "2026-05-01 10:00", **data).due is None


@pytest.mark.parametrize("value", ["soon", 5, True, "2026-02-30"])
def test_an_instant_that_cannot_be_read_is_an_error(value: object) -> None:
    """It names the field and what was found; the event goes to the dead letters."""
    with pytest.raises(EventError, match="slot: found") as caught:
        due("field: slot", "2026-05-01 10:00", slot=value)
    assert caught.value.reason == "unreadable_due"


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Pacific/Kiritimati"])
def test_never_is_a_due_that_can_be_written(zone: str) -> None:
    """9999-12-31 is in RFC 3339 in every zone: what lies beyond is kept at the last instant there is."""
    found = due("field: slot, offset: 2d", "2026-05-01 10:00", zone=zone, slot="9999-12-31").due
    assert found == INSTANT_MAX


def test_every_step_is_explained() -> None:
    """Cut-off, holiday, target day and its end, in local time."""
    spelled = 'cutoff: "18:00", of: warehouse, plus: 1, unit: day, calendar: warehouse, at: end_of_day'
    assert due(spelled, "2026-04-24 18:00", explain=True).steps == [
        "opened by e at Fri 24 Apr 2026 18:00",
        "not before the cut-off at 18:00: counts for the next open day of 'warehouse', Sat 25 Apr 2026",
        "plus 1 open days of 'warehouse': Tue 28 Apr 2026",
        "Sun 26 Apr 2026 is closed: a Sunday",
        "Mon 27 Apr 2026 is closed: King's Day",
        "at the end of that day",
        "due Tue 28 Apr 2026 23:59; at that instant still counts as kept",
    ]


def test_a_missing_due_is_explained() -> None:
    """So that somebody can see which field was looked for."""
    steps = due("field: slot", "2026-05-01 10:00", explain=True).steps
    assert steps[1:] == ["the payload has no slot", "so there is no due, and the promise does not open"]
