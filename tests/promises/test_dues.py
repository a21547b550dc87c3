"""Dues: every form, its options, and how it is explained."""

import pytest

from promises.calendars import Calendars
from promises.civil import INSTANT_MAX
from promises.dues import Dued, compute_due, due_from, due_of, earliest_from
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


# Working time


@pytest.mark.parametrize(
    ("opened", "expected"),
    [
        ("2026-04-24 09:30", "2026-04-24 13:30"),
        ("2026-04-24 13:00", "2026-04-24 17:00"),
        ("2026-04-24 16:50", "2026-04-28 12:50"),  # Monday is King's Day
        ("2026-04-25 23:00", "2026-04-28 13:00"),
        ("2026-12-31 16:00", "2027-01-04 12:00"),
        ("2028-02-28 16:00", "2028-02-29 12:00"),
    ],
)
def test_working_time_is_counted_while_the_office_is_open(opened: str, expected: str) -> None:
    """Within four working hours; nights, weekends and holidays do not count."""
    assert due("within: 4h, calendar: office", opened).due == at(expected)


def test_a_day_of_working_time_is_24_hours_of_it() -> None:
    """`within: 1d` with a calendar is three days of eight hours. The next working day is `plus: 1, unit: day`."""
    assert due("within: 1d, calendar: office", "2026-05-04 09:00").due == at("2026-05-06 17:00")
    assert due("plus: 1, unit: day, calendar: office", "2026-05-04 09:00").due == at("2026-05-05 09:00")


def test_notice_in_working_time_lies_before_the_opening() -> None:
    """Eight working hours before Tuesday noon: Friday noon, for Monday is King's Day."""
    assert due("within: -8h, calendar: office", "2026-04-28 12:00").due == at("2026-04-24 12:00")


def test_working_time_is_that_of_the_place_that_works() -> None:
    """A promise made in New York, kept by an office in Amsterdam; a calendar without a zone works in the promise's."""
    opened = "2026-05-04 20:00"
    assert due("within: 4h, calendar: office", opened, zone="America/New_York").due == at("2026-05-05 13:00")
    assert due("within: 4h, calendar: night", opened, zone="America/New_York").due == at("2026-05-05 08:00")
    assert due("within: 4h, calendar: night", opened).due == at("2026-05-05 02:00")


def test_no_working_time_at_all_is_due_at_once() -> None:
    """On a Sunday as well."""
    assert due("within: 0m, calendar: office", "2026-05-03 12:00").due == at("2026-05-03 12:00")


def test_working_time_is_explained_part_by_part() -> None:
    """What passed on which day, and why the days between did not count."""
    assert due("within: 4h, calendar: office", "2026-04-24 16:50", explain=True).steps == [
        "opened by e at Fri 24 Apr 2026 16:50",
        "within 4h of open time of 'office'",
        "10 min on Fri 24 Apr 2026, 16:50-17:00",
        "3 h 50 min on Tue 28 Apr 2026, 09:00-12:50",
        "Sat 25 Apr 2026 is closed: a Saturday",
        "Sun 26 Apr 2026 is closed: a Sunday",
        "Mon 27 Apr 2026 is closed: King's Day",
        "due Tue 28 Apr 2026 12:50; at that instant still counts as kept",
    ]


def test_notice_in_working_time_is_explained_from_its_due_on() -> None:
    """In the order of time, up to the opening, which may lie on a closed day itself."""
    assert due("within: -9h, calendar: office", "2026-05-02 12:00", explain=True).steps == [
        "opened by e at Sat 2 May 2026 12:00",
        "within -9h of open time of 'office'",
        "1 h on Thu 30 Apr 2026, 16:00-17:00",
        "8 h on Fri 1 May 2026, 09:00-17:00",
        "Sat 2 May 2026 is closed: a Saturday",
        "due Thu 30 Apr 2026 16:00; at that instant still counts as kept",
    ]


def test_a_night_shift_is_explained_by_the_day_to_which_it_belongs() -> None:
    """Two in the morning of Tuesday is in Monday's shift."""
    assert due("within: 4h, calendar: night", "2026-05-05 02:00", explain=True).steps[2:4] == [
        "4 h on Mon 4 May 2026, 02:00-06:00",
        "due Tue 5 May 2026 06:00; at that instant still counts as kept",
    ]


def test_another_zone_is_named() -> None:
    """Where the hours are not those of the promise's own clock."""
    steps = due("within: 2d, calendar: office", "2026-05-04 08:00", explain=True, zone="America/New_York").steps
    assert steps[:3] == [
        "opened by e at Mon 4 May 2026 02:00",
        "within 2d (48 h) of open time of 'office', by the clock of Europe/Amsterdam",
        "8 h on Mon 4 May 2026, 09:00-17:00",
    ]


@pytest.mark.parametrize("spelled", ["within: 2000h, calendar: office", "plus: 250, unit: day, calendar: office"])
def test_a_long_way_is_explained_in_short(spelled: str) -> None:
    """A year of working days is a dozen lines or so, and says what it leaves out."""
    steps = due(spelled, "2026-05-04 09:00", explain=True).steps
    assert len(steps) < 20
    assert any(step.endswith("more closed days on the way") for step in steps)


def test_the_middle_of_a_long_way_is_summed_up() -> None:
    """Days with the same hours are not told one by one."""
    assert due("within: 40h, calendar: office", "2026-05-04 10:00", explain=True).steps[1:6] == [
        "within 1d16h (40 h) of open time of 'office'",
        "7 h on Mon 4 May 2026, 10:00-17:00",
        "8 h on Tue 5 May 2026, 09:00-17:00",
        "24 h on 3 days up to Fri 8 May 2026",
        "1 h on Mon 11 May 2026, 09:00-10:00",
    ]


def test_nothing_to_tell_about_no_working_time() -> None:
    """Due at once: no part, no day."""
    assert due("within: 0m, calendar: office", "2026-05-03 12:00", explain=True).steps[1:] == [
        "within 0s of open time of 'office'",
        "due Sun 3 May 2026 12:00; at that instant still counts as kept",
    ]


# What opens and what moves


def test_a_promise_opened_by_a_breach_counts_from_the_breach() -> None:
    """A refund within 14 days of the breach; there is no payload."""
    made = book(
        "- {id: a, when: {event: e}, due: {within: 1h}, expect: {event: d}}\n"
        "- {id: p, when: {breach_of: a}, due: {plus: 14, unit: day, at: end_of_day}, expect: {event: r}}"
    )
    calendars = Calendars(made.calendars)
    found = due_of(made.promises[1], calendars.civil("Europe/Amsterdam"), calendars, at("2026-05-04 11:00"), {})
    assert found == at("2026-05-18 23:59:59.999")


def again(spelled: str, value: object, *, explain: bool = False, not_before: str = "") -> Dued:
    """The due to which a re-promise with `until: value` moves a promise with `due: {spelled}`."""
    made = book(
        f"- {{id: p, when: {{event: e}}, due: {{{spelled}}}, {not_before} expect: {{event: d}},"
        " repromise: {event: m, field: until, max: 1}}"
    )
    calendars, steps = Calendars(made.calendars), []
    civil = calendars.civil("Europe/Amsterdam")
    found = due_from(made.promises[0], civil, calendars, {} if value is ... else {"until": value}, steps)
    return Dued(found, steps if explain else [])


@pytest.mark.parametrize(
    ("spelled", "value", "expected"),
    [
        ("within: 4h", "2026-05-06T15:00:00", "2026-05-06 15:00"),
        ("within: 4h", "2026-05-06T15:00:00Z", "2026-05-06 17:00"),
        ("within: 4h, calendar: office", "2026-05-06", "2026-05-06 23:59:59.999"),
        ("field: slot", "2026-05-06", "2026-05-06 23:59:59.999"),
        ("field: slot, at: '12:00'", "2026-05-06", "2026-05-06 12:00"),
        ("field: slot, offset: -24h", "2026-05-06T15:00:00", "2026-05-05 15:00"),
        ("field: slot, offset: -24h, at: '12:00'", "2026-05-06", "2026-05-05 12:00"),
        ("plus: 1, unit: day", "2026-05-06", "2026-05-06 23:59:59.999"),
        ("plus: 1, unit: day, at: '20:00'", "2026-05-06", "2026-05-06 20:00"),
        ("plus: 1, unit: day, at: '20:00'", "2026-05-06T15:00:00", "2026-05-06 15:00"),
        ("plus: 1, unit: day, calendar: office, at: closing", "2026-05-06", "2026-05-06 17:00"),
        ("plus: 1, unit: day, calendar: office, at: closing", "2026-05-09", "2026-05-09 17:00"),  # a Saturday
        ("plus: 1, unit: day, calendar: night, at: closing", "2026-05-06", "2026-05-07 06:00"),
        ("plus: 1, unit: day, calendar: carrier, at: closing", "2026-05-06", "2026-05-06 23:59:59.999"),
    ],
)
def test_a_promise_made_again_is_due_when_it_says(spelled: str, value: str, expected: str) -> None:
    """An instant is one; a date alone takes the promise's `at`, and the offset of a due from the payload applies again.

    The day is the one that the customer was told, also where the calendar is closed.
    """
    assert again(spelled, value).due == at(expected)


def test_a_due_moved_to_never_is_one_that_can_be_written() -> None:
    """9999-12-31, in whatever zone."""
    assert again("field: slot, offset: 2d", "9999-12-31").due == INSTANT_MAX


def test_a_re_promise_is_explained() -> None:
    """Field, value and offset."""
    assert again("field: slot, offset: -24h", "2026-05-06T15:00:00", explain=True).steps == [
        "until in the payload is 2026-05-06T15:00:00",
        "moved by -1d",
    ]


@pytest.mark.parametrize("value", [..., None])
def test_a_re_promise_without_an_instant_names_no_due(value: object) -> None:
    """It moves nothing."""
    assert again("within: 4h", value).due is None
    assert again("field: slot, offset: -24h", value).due is None


def test_a_re_promise_that_cannot_be_read_is_an_error() -> None:
    """It names the field of the re-promise, not that of the due."""
    with pytest.raises(EventError, match="until: found 'soon'") as caught:
        again("field: slot", "soon")
    assert caught.value.reason == "unreadable_due"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-05-06T15:00:00", "2026-05-06 15:00"),
        ("2026-05-06T15:00:00Z", "2026-05-06 17:00"),
        ("2026-05-06", "2026-05-06 00:00"),
        (None, None),
    ],
)
def test_a_fulfilment_counts_from_an_instant_of_the_payload(value: str | None, expected: str | None) -> None:
    """`not_before`: a date alone begins with its first instant, whatever `at` says about when it ends."""
    made = book(
        "- {id: p, when: {event: e}, due: {field: slot_end, at: '12:00'}, not_before: slot_start, expect: {event: d}}"
    )
    civil = Calendars(made.calendars).civil("Europe/Amsterdam")
    found = earliest_from(made.promises[0], civil, {"slot_start": value})
    assert found == (None if expected is None else at(expected))


def test_without_not_before_every_fulfilment_counts() -> None:
    """There is nothing to read."""
    made = book()
    assert earliest_from(made.promises[0], Calendars(made.calendars).civil("UTC"), {"slot_start": "2026-05-06"}) is None


def test_not_before_that_cannot_be_read_is_an_error() -> None:
    """Like a due."""
    made = book("- {id: p, when: {event: e}, due: {within: 1h}, not_before: slot_start, expect: {event: d}}")
    with pytest.raises(EventError, match="slot_start: found 5") as caught:
        earliest_from(made.promises[0], Calendars(made.calendars).civil("UTC"), {"slot_start": 5})
    assert caught.value.reason == "unreadable_due"
