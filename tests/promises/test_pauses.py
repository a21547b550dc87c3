"""Pauses: how much of one counts, and where the due lands."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promises.calendars import Calendars
from promises.civil import INSTANT_MAX
from promises.dues import compute_due
from promises.pauses import moved_due
from schemas.book_model import Promise
from tests.promises.builders import DAY, HOUR, MINUTE, at, book, fact

COMPLAINT = "plus: 10, unit: day, calendar: office, at: closing"
ALL_WEEK = "plus: 2, unit: day"
SHAPES = [
    "within: 4h", "field: slot", "within: 4h, calendar: office", "within: 30h, calendar: night", COMPLAINT, ALL_WEEK,
    "plus: 3, unit: day, calendar: carrier, at: end_of_day", "plus: 3, unit: day, calendar: office, at: '12:00'",
    "plus: 3, unit: day, calendar: night", "plus: 3, unit: day, calendar: night, at: end_of_day",
    f"{ALL_WEEK}, at: end_of_day", f"{ALL_WEEK}, at: '12:00'",
]  # fmt: skip


def moved(spelled: str, due: str | int, *paused: tuple[str, str]) -> int:
    """Where pauses move the due of a promise with `due: {spelled}` in Amsterdam."""
    spans = [(at(start), at(end)) for start, end in paused]
    return moved_by_instants(spelled, at(due) if isinstance(due, str) else due, spans)


def moved_by_instants(spelled: str, due: int, spans: list[tuple[int, int]]) -> int:
    promise, calendars = made_for(spelled)
    return moved_due(promise, calendars.civil("Europe/Amsterdam"), calendars, due, spans)


@cache
def made_for(spelled: str) -> tuple[Promise, Calendars]:
    made = book(f"- {{id: p, when: {{event: e}}, due: {{{spelled}}}, expect: {{event: d}}}}")
    return made.promises[0], Calendars(made.calendars)


def test_a_complaint_paused_for_three_working_days_is_due_three_working_days_later() -> None:
    """Received on Friday 24 April 2026: Monday 11 May becomes Friday the 15th, for Ascension Day is skipped."""
    due = compute_due(*made_for(COMPLAINT), fact("e", "2026-04-24 16:50", "1")).due
    assert due == at("2026-05-11 17:00")
    assert moved(COMPLAINT, due, ("2026-04-28 09:00", "2026-04-30 17:00")) == at("2026-05-15 17:00")


@pytest.mark.parametrize(
    ("start", "end", "due"),
    [
        ("2026-04-28 09:00", "2026-04-28 09:01", "2026-05-12 17:00"),  # a minute: the next closing
        ("2026-04-28 09:00", "2026-04-28 17:00", "2026-05-12 17:00"),  # a day
        ("2026-04-28 17:00", "2026-04-29 17:00", "2026-05-12 17:00"),  # a day, from one closing to the next
        ("2026-04-28 09:00", "2026-04-29 09:01", "2026-05-13 17:00"),  # a day and a minute
        ("2026-04-24 17:00", "2026-04-28 09:00", "2026-05-11 17:00"),  # a long weekend on which nobody works
    ],
)
def test_a_due_at_closing_is_rounded_up_to_the_next_closing(start: str, end: str, due: str) -> None:
    """What is paused while the office is closed moves nothing."""
    assert moved(COMPLAINT, "2026-05-11 17:00", (start, end)) == at(due)


def test_pauses_are_added_up_before_they_are_rounded() -> None:
    """Two quarters of an hour cost the customer no more than one half."""
    pauses = ("2026-04-28 09:00", "2026-04-28 09:15"), ("2026-04-29 16:00", "2026-04-29 16:15")
    assert moved(COMPLAINT, "2026-05-11 17:00", *pauses) == at("2026-05-12 17:00")
    assert moved("within: 4h, calendar: office", "2026-05-11 16:45", *pauses) == at("2026-05-12 09:15")


def test_working_time_moves_by_the_working_time_of_the_pause() -> None:
    """Paused overnight from 16:00 to 10:00: two hours."""
    pause = ("2026-04-28 16:00", "2026-04-29 10:00")
    assert moved("within: 4h, calendar: office", "2026-04-29 11:00", pause) == at("2026-04-29 13:00")
    assert moved("within: 4h, calendar: office", "2026-04-29 15:00", pause) == at("2026-04-29 17:00")
    assert moved("within: 4h, calendar: office", "2026-04-29 16:00", pause) == at("2026-04-30 10:00")


@pytest.mark.parametrize("spelled", ["within: 4h", "field: slot"])
def test_elapsed_time_moves_by_elapsed_time(spelled: str) -> None:
    """A night in which the clocks go forward is an hour shorter."""
    assert moved(spelled, "2026-04-01 12:00", ("2026-03-28 20:00", "2026-03-29 20:00")) == at("2026-04-02 11:00")


@pytest.mark.parametrize(
    ("at_what", "due", "expected"),
    [
        ("", "2026-11-02 20:00", "2026-11-05 20:00"),
        (", at: end_of_day", "2026-11-02 23:59:59.999", "2026-11-05 23:59:59.999"),
        (", at: '20:00'", "2026-11-02 20:00", "2026-11-05 20:00"),
    ],
)
@pytest.mark.parametrize(
    "pause", [("2026-10-24", "2026-10-27"), ("2026-10-20", "2026-10-23"), ("2026-03-28", "2026-03-31")]
)
def test_three_civil_days_are_three_days_also_when_the_clocks_change(
    at_what: str, due: str, expected: str, pause: tuple[str, str]
) -> None:
    """From noon to noon, whether that is 71, 72 or 73 hours."""
    assert moved(ALL_WEEK + at_what, due, (f"{pause[0]} 12:00", f"{pause[1]} 12:00")) == at(expected)


@pytest.mark.parametrize(
    ("spelled", "due", "expected"),
    [
        (f"{ALL_WEEK}, at: end_of_day", "2026-05-02 23:59:59.999", "2026-05-03 23:59:59.999"),  # Sunday, a civil day
        (f"{ALL_WEEK}, at: '12:00'", "2026-05-02 12:00", "2026-05-03 12:00"),
        (ALL_WEEK, "2026-05-02 12:00", "2026-05-02 13:00"),
        ("plus: 2, unit: day, calendar: carrier, at: end_of_day", "2026-05-02 23:59:59.999", "2026-05-04 23:59:59.999"),
        ("plus: 2, unit: day, calendar: office, at: '12:00'", "2026-05-01 12:00", "2026-05-04 12:00"),
        ("plus: 2, unit: day, calendar: office, at: '20:00'", "2026-05-01 20:00", "2026-05-04 20:00"),
        ("plus: 2, unit: day, calendar: office", "2026-05-01 12:00", "2026-05-01 13:00"),
        ("plus: 2, unit: day, calendar: office", "2026-05-01 16:30", "2026-05-04 09:30"),
    ],
)
def test_a_due_stays_of_its_kind(spelled: str, due: str, expected: str) -> None:
    """An hour's pause moves an end of day to an end of day, noon to noon; with a calendar, to one of an open day. A due
    at the opening's own time of day may be at any, so it moves by the hour.
    """
    assert moved(spelled, due, ("2026-04-29 10:00", "2026-04-29 11:00")) == at(expected)


def test_a_whole_open_day_moves_an_end_of_day_by_one_open_day() -> None:
    """The last millisecond of a day that is open until midnight is a part of it."""
    spelled = "plus: 2, unit: day, calendar: carrier, at: end_of_day"
    pause = ("2026-04-29 00:00", "2026-04-30 00:00")
    assert moved(spelled, "2026-05-02 23:59:59.999", pause) == at("2026-05-04 23:59:59.999")
    closing = "plus: 2, unit: day, calendar: carrier, at: closing"
    assert moved(closing, "2026-05-02 23:59:59.999", pause) == at("2026-05-04 23:59:59.999")


def test_a_pause_in_the_hour_that_comes_twice_never_moves_a_due_back() -> None:
    """By the clock on the wall it ended before it began: nothing has passed."""
    start = at("2026-10-25 02:50")
    assert moved_by_instants(ALL_WEEK, at("2026-10-26 12:00"), [(start, start + 20 * MINUTE)]) == at("2026-10-26 12:00")
    counted = (start - 3 * HOUR, start - 2 * HOUR)
    both = moved_by_instants(ALL_WEEK, at("2026-10-26 12:00"), [counted, (start, start + 20 * MINUTE)])
    assert both == at("2026-10-26 13:00")
    # A due in the second of the two hours stays there, and is not taken for the first.
    second = at("2026-10-25 02:30") + HOUR
    assert moved_by_instants(ALL_WEEK, second, [(start - DAY, start - DAY + MINUTE)]) >= second


@pytest.mark.parametrize(
    ("at_what", "due", "expected"),
    [
        ("end_of_day", "2026-05-08 23:59:59.999", "2026-05-11 23:59:59.999"),
        ("'12:00'", "2026-05-08 12:00", "2026-05-11 12:00"),
    ],
)
def test_a_due_on_an_open_day_is_not_moved_onto_a_closed_one(at_what: str, due: str, expected: str) -> None:
    """Friday's shift goes on until Saturday morning, but Saturday is no day of this calendar."""
    spelled = f"plus: 1, unit: day, calendar: night, at: {at_what}"
    assert moved(spelled, due, ("2026-05-05 22:00", "2026-05-06 01:00")) == at(expected)


def test_never_stays_never() -> None:
    """A due at the end of time is not moved out of it."""
    for spelled in SHAPES:
        assert moved(spelled, INSTANT_MAX, ("2026-04-28 09:00", "2026-04-30 17:00")) == INSTANT_MAX


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(SHAPES),
    st.integers(0, 400 * 24 * 60),
    st.lists(st.integers(0, 280 * 24 * 60), min_size=4, max_size=4, unique=True),
)
def test_a_pause_in_two_halves_is_one_pause_and_longer_is_never_earlier(
    spelled: str, due_min: int, minutes: list[int]
) -> None:
    """Whatever the form of the due, until October's hour that comes twice; no pause leaves it as it is."""
    origin = at("2026-01-01 00:00")
    due = origin + due_min * MINUTE
    first, second, third, fourth = (origin + minute * MINUTE for minute in sorted(minutes))
    whole = moved_by_instants(spelled, due, [(first, third)])
    longer = moved_by_instants(spelled, due, [(first, third), (third, fourth)])
    assert moved_by_instants(spelled, due, []) == due
    assert moved_by_instants(spelled, due, [(first, second), (second, third)]) == whole
    assert due <= whole
    # 02:30 in the night when it does not exist is 03:30, and 03:00 is 03:00.
    assert whole <= longer + (HOUR if spelled == ALL_WEEK else 0)
