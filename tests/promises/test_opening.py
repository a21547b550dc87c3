"""Working time: the opening hours of a calendar, counted through closed days, nights and changes of clocks."""

from datetime import date, timedelta
from random import Random

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from promises.calendars import Calendar, Calendars
from promises.civil import day_of
from promises.opening import BLOCK_DAYS, BLOCKS_REMEMBERED_MAX, BLOCKS_SEARCHED_MAX, OpenTime
from schemas.book_model import CALENDAR_SEARCH_DAYS_MAX, CalendarSpec
from schemas.errors import EventError
from schemas.instants import DAY_MS, HOUR_MS, MINUTE_MS, parse_instant
from tests.promises.minutes import OutOfSight, Watched, civil, instants, specs, watched

EVERY_DAY = frozenset(range(7))
WORKING_WEEK = frozenset(range(5))
YEAR = 365 * DAY_MS


def calendar(
    opens: str = "09:00",
    closes: str = "17:00",
    days: frozenset[int] = WORKING_WEEK,
    holidays: str | None = None,
    zone: str = "Europe/Amsterdam",
    closed: frozenset[date] = frozenset(),
) -> Calendar:
    open_min, close_min = (int(text[:2]) * 60 + int(text[3:]) for text in (opens, closes))
    if close_min <= open_min:
        close_min += 1440
    spec = CalendarSpec("c", days, open_min, close_min, holidays, closed, frozenset(), None)
    return Calendar(spec, civil(zone))


def at(text: str, zone: str = "Europe/Amsterdam") -> int:
    """UTC milliseconds of a local time, `2026-04-24 17:59`, seconds and fractions as they come."""
    return parse_instant(text.replace(" ", "T") + (":00" if len(text) == 16 else ""), civil(zone).zone)


# What people say


def test_four_hours_go_on_when_the_office_opens_again() -> None:
    """Friday 16:00 plus four hours: an hour on Friday, three on Tuesday, for Monday is King's Day."""
    office = calendar(holidays="NL")
    assert office.add_open(at("2026-04-24 16:00"), 4 * HOUR_MS) == at("2026-04-28 12:00")
    assert office.open_between(at("2026-04-24 16:00"), at("2026-04-28 12:00")) == 4 * HOUR_MS


def test_what_is_used_up_at_closing_time_is_due_at_closing_time() -> None:
    """Not when the office opens again: an answer at 17:00 is in time, one on the next morning is not."""
    assert calendar().add_open(at("2026-05-04 13:00"), 4 * HOUR_MS) == at("2026-05-04 17:00")
    assert calendar().add_open(at("2026-05-04 13:00"), 4 * HOUR_MS + 1) == at("2026-05-05 09:00:00.001")


@pytest.mark.parametrize(
    "opened", ["2026-05-01 17:00", "2026-05-02 12:00", "2026-05-04 08:59:59.999", "2026-05-04 09:00"]
)
def test_outside_opening_hours_time_begins_at_the_next_opening(opened: str) -> None:
    """From Friday at closing until Monday at nine, nothing has passed."""
    assert calendar().add_open(at(opened), HOUR_MS) == at("2026-05-04 10:00")
    assert calendar().open_between(at(opened), at("2026-05-04 10:00")) == HOUR_MS


def test_no_time_at_all_is_due_at_once_also_on_a_sunday() -> None:
    """`within: 0m` says "immediately", not "when we are back"."""
    assert calendar().add_open(at("2026-05-03 12:00"), 0) == at("2026-05-03 12:00")


def test_notice_in_working_time_is_counted_back() -> None:
    """Four hours before Tuesday 11:00 is Monday 15:00; what reaches back just to an opening stops there."""
    assert calendar().add_open(at("2026-05-05 11:00"), -4 * HOUR_MS) == at("2026-05-04 15:00")
    assert calendar().add_open(at("2026-05-05 11:00"), -2 * HOUR_MS) == at("2026-05-05 09:00")
    assert calendar().add_open(at("2026-05-05 11:00"), -2 * HOUR_MS - 1) == at("2026-05-04 16:59:59.999")
    assert calendar().open_between(at("2026-05-05 11:00"), at("2026-05-04 15:00")) == -4 * HOUR_MS


def test_a_night_shift_belongs_to_the_day_on_which_it_starts() -> None:
    """Friday's lasts until Saturday 06:00; on a closed Friday none starts, and Thursday's ends as usual."""
    night = calendar("22:00", "06:00")
    assert night.open_between(at("2026-05-08 21:00"), at("2026-05-10 21:00")) == 8 * HOUR_MS
    closed = calendar("22:00", "06:00", closed=frozenset({date(2026, 5, 8)}))
    assert closed.open_between(at("2026-05-08 00:00"), at("2026-05-10 21:00")) == 6 * HOUR_MS
    assert closed.add_open(at("2026-05-08 05:00"), 2 * HOUR_MS) == at("2026-05-11 23:00")


@pytest.mark.parametrize(("night", "hours"), [("2026-03-28", 7), ("2026-10-24", 9), ("2026-05-09", 8)])
def test_the_night_of_a_change_of_clocks_is_as_long_as_it_lasts(night: str, hours: int) -> None:
    """Opening time is what passes between opening and closing."""
    open_all_week = calendar("22:00", "06:00", days=EVERY_DAY)
    opens = at(f"{night} 22:00")
    assert open_all_week.open_between(opens, opens + 12 * HOUR_MS) == hours * HOUR_MS
    assert open_all_week.add_open(opens, hours * HOUR_MS) == opens + hours * HOUR_MS


def test_an_opening_that_the_clocks_jump_over_moves_forward() -> None:
    """Open from 02:30: in the night in which it does not exist from 03:30, and to 03:00 not at all."""
    assert calendar("02:30", "04:00", days=EVERY_DAY).add_open(at("2026-03-29 00:00"), 1) == at("2026-03-29 03:30") + 1
    assert calendar("02:30", "03:00", days=EVERY_DAY).add_open(at("2026-03-29 00:00"), 1) == at("2026-03-30 02:30") + 1


def test_a_shift_that_the_clocks_push_into_the_next_is_not_counted_twice() -> None:
    """Closing at 02:30, which is 03:30 in the night in which it does not exist, and opening again at 03:00."""
    shop = calendar("03:00", "02:30", days=EVERY_DAY)
    start, end = at("2026-03-28 12:00"), at("2026-03-29 12:00")
    assert shop.open_between(start, end) == end - start == 23 * HOUR_MS
    assert [(part.start, part.end) for part in shop.worked(start, end)] == [
        (start, at("2026-03-29 03:30")),
        (at("2026-03-29 03:30"), end),
    ]


def test_open_day_and_night_is_elapsed_time() -> None:
    """No gap at midnight: a day has all of its milliseconds."""
    always = calendar("00:00", "24:00", days=EVERY_DAY)
    for start in ("2026-03-28 12:00", "2026-10-24 12:00", "2026-12-31 23:59:59.999"):
        assert always.add_open(at(start), 30 * HOUR_MS) == at(start) + 30 * HOUR_MS
        assert always.open_between(at(start), at(start) + 3 * YEAR) == 3 * YEAR


def test_working_time_until_midnight_is_due_at_midnight() -> None:
    """A due that is counted, not said: just so much time has passed at 00:00, and at the deadline counts as kept."""
    evening = calendar("16:00", "24:00", days=EVERY_DAY)
    assert evening.add_open(at("2026-05-04 20:00"), 4 * HOUR_MS) == at("2026-05-05 00:00")
    assert evening.hours(day_of(date(2026, 5, 4)))[1] == at("2026-05-04 23:59:59.999")


@pytest.mark.parametrize(
    ("instant", "closing"),
    [
        ("2026-05-04 08:00", "2026-05-04 17:00"),
        ("2026-05-04 17:00", "2026-05-04 17:00"),
        ("2026-05-04 17:00:00.001", "2026-05-05 17:00"),
        ("2026-05-08 20:00", "2026-05-11 17:00"),
    ],
)
def test_the_next_closing_is_today_or_on_the_next_open_day(instant: str, closing: str) -> None:
    """At closing time it is that closing."""
    assert calendar().next_closing(at(instant)) == at(closing)


def test_the_next_closing_of_a_calendar_open_until_midnight_is_the_last_millisecond() -> None:
    """And at midnight that of the new day."""
    always = calendar("00:00", "24:00", days=EVERY_DAY)
    assert always.next_closing(at("2026-05-04 23:59:59.999")) == at("2026-05-04 23:59:59.999")
    assert always.next_closing(at("2026-05-05 00:00")) == at("2026-05-05 23:59:59.999")


def test_the_next_closing_in_a_night_shift_is_in_the_morning() -> None:
    """Also on a Saturday, when none starts."""
    assert calendar("22:00", "06:00").next_closing(at("2026-05-09 03:00")) == at("2026-05-09 06:00")
    assert calendar("22:00", "06:00").next_closing(at("2026-05-09 07:00")) == at("2026-05-12 06:00")


def test_a_day_that_a_zone_skipped_has_no_opening_hours() -> None:
    """Samoa had no 30 December 2011: Thursday's next working day is Saturday, where Saturdays are worked."""
    shop = calendar(days=EVERY_DAY, zone="Pacific/Apia")
    thursday, friday = day_of(date(2011, 12, 29)), day_of(date(2011, 12, 30))
    assert shop.why_closed(friday) == "a day that Pacific/Apia skipped"
    assert shop.next_open_day(thursday) == friday + 1
    start = at("2011-12-29 16:00", "Pacific/Apia")
    assert shop.add_open(start, 2 * HOUR_MS) == at("2011-12-31 10:00", "Pacific/Apia") == start + 18 * HOUR_MS


def test_offsets_with_seconds_shift_openings_by_seconds() -> None:
    """Amsterdam was 19 minutes 32 seconds ahead until 1937: in 1920 nine o'clock was 08:40:28 UTC."""
    opens = at("1920-01-05 09:00")
    if opens % MINUTE_MS == 0:  # a zone database without times before 1970 has Amsterdam as Brussels
        pytest.skip("this zone database has no Amsterdam time")
    assert (
        calendar().add_open(at("1920-01-04 12:00"), 1_000)
        == opens + 1_000
        == parse_instant("1920-01-05T08:40:29Z", None)
    )


def test_years_of_working_time_are_counted_like_hours() -> None:
    """Twenty years of forty hours a week: Friday's closing; counted back from Monday's opening, the same start."""
    office, start = calendar(), at("2026-05-04 09:00")
    amount = 20 * 52 * 40 * HOUR_MS
    assert office.add_open(start, amount) == at("2046-04-06 17:00")
    assert office.open_between(start, at("2046-04-09 09:00")) == amount
    assert office.add_open(at("2046-04-09 09:00"), -amount) == start


@pytest.mark.parametrize(("opens", "closes"), [("00:00", "24:00"), ("09:00", "17:00"), ("22:00", "06:00")])
def test_what_is_used_up_at_the_end_of_a_block_is_due_there(opens: str, closes: str) -> None:
    """Time is cut every 400 days, wherever that is: nobody sees it, also not who is due at that instant."""
    shop = calendar(opens, closes, zone="UTC")
    for block in range(45, 60):
        cut = block * BLOCK_DAYS * DAY_MS
        for start, end in ((cut - 9 * DAY_MS, cut), (cut - 500 * DAY_MS, cut)):
            amount = shop.open_between(start, end)
            assert shop.open_between(start, shop.add_open(start, amount) - 1) == amount - 1
            assert shop.open_between(shop.add_open(end, -amount) + 1, end) == amount - 1
        later = cut + 9 * DAY_MS
        amount = shop.open_between(cut, later)
        assert shop.open_between(shop.add_open(later, -amount) + 1, later) == amount - 1


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
@pytest.mark.parametrize(
    ("opens", "closes", "hours"), [("00:00", "24:00", 24), ("22:00", "06:00", 8), ("12:00", "11:00", 23)]
)
def test_a_shift_over_the_end_of_a_block_is_whole(zone: str, opens: str, closes: str, hours: int) -> None:
    """Wherever the day begins, and whichever day the shift is from."""
    shop = calendar(opens, closes, days=EVERY_DAY, zone=zone)
    for cut in (51 * BLOCK_DAYS * DAY_MS, 52 * BLOCK_DAYS * DAY_MS):
        assert shop.open_between(cut - 2 * DAY_MS, cut + DAY_MS) == 3 * hours * HOUR_MS
        assert shop.add_open(cut - 2 * DAY_MS, 3 * hours * HOUR_MS) <= cut + DAY_MS


# Limits


def closed_for(days: int) -> Calendar:
    first = date(2026, 1, 1)
    shut = frozenset(first + timedelta(days=number) for number in range(days))
    return calendar("00:00", "24:00", days=EVERY_DAY, zone="UTC", closed=shut)


@pytest.mark.parametrize("ahead", [HOUR_MS, -HOUR_MS])
@pytest.mark.parametrize("from_within", [0, 13 * HOUR_MS])
def test_a_calendar_that_does_not_open_is_an_error_with_a_name(ahead: int, from_within: int) -> None:
    """After 400 closed days the search ends; 400 closed days are still passed."""
    for days, fits in ((CALENDAR_SEARCH_DAYS_MAX, True), (CALENDAR_SEARCH_DAYS_MAX + 2, False)):
        shut = closed_for(days)
        first, last = at("2026-01-01 00:00", "UTC"), at("2026-01-01 00:00", "UTC") + days * DAY_MS
        start = first + from_within if ahead > 0 else last - from_within
        if fits:
            assert shut.add_open(start, ahead) == (last if ahead > 0 else first) + ahead
            continue
        with pytest.raises(EventError, match=r"'c' does not open for 400 days around 202[67]-") as caught:
            shut.add_open(start, ahead)
        assert caught.value.reason == "calendar_closed"


def test_more_time_than_two_centuries_have_is_refused() -> None:
    """A minute a week does not make a year of working time in any life."""
    short = calendar("09:00", "09:01", days=frozenset({0}))
    for amount in (YEAR, -YEAR):
        with pytest.raises(EventError, match="'c' does not have 365d of open time within 80000 days") as caught:
            short.add_open(at("2026-05-04 09:00"), amount)
        assert caught.value.reason == "calendar_closed"


def test_open_time_until_never_is_counted_for_two_centuries() -> None:
    """9999-12-31 means "never"; nobody waits for eight thousand years of holidays to be looked up."""
    office, start = calendar(), at("2026-05-04 09:00")
    block_ms = BLOCK_DAYS * DAY_MS
    found = office.open_between(start, at("9999-12-31 00:00"))
    assert found == office.open_between(start, (start // block_ms + BLOCKS_SEARCHED_MAX) * block_ms)
    assert found > 200 * 52 * 40 * HOUR_MS


def test_memory_is_bounded() -> None:
    """Odd times from all centuries do not pile up, and are answered alike when they come again."""
    office = OpenTime("c", lambda day: (day * DAY_MS, day * DAY_MS + 1))
    first = office.after(0, 5)
    for block in range(BLOCKS_REMEMBERED_MAX + 5):
        office.after(block * BLOCK_DAYS * DAY_MS, 5)
    assert len(office._blocks) <= BLOCKS_REMEMBERED_MAX
    assert office.after(0, 5) == first


@pytest.mark.parametrize("year", ["0001-06-01", "9999-06-01"])
def test_the_first_and_the_last_year_there_is_do_not_fail(year: str) -> None:
    """Whatever an event's clock says."""
    office, start = calendar(holidays="NL"), at(f"{year} 10:00", "UTC")
    assert office.open_between(start, office.add_open(start, 500 * HOUR_MS)) == 500 * HOUR_MS
    assert office.open_between(office.add_open(start, -500 * HOUR_MS), start) == 500 * HOUR_MS
    assert office.next_closing(start) >= start


# Against the notes of a man with a watch


@settings(max_examples=80, deadline=None)
@given(watched(), st.data())
def test_open_time_is_what_a_watch_says(shop: Watched, data: st.DataObject) -> None:
    """How much of a time is open, minute by minute."""
    start, end = sorted((data.draw(instants(shop.wall)), data.draw(instants(shop.wall))))
    assert shop.calendar.open_between(start, end) == shop.open_between(start, end)
    parts = list(shop.calendar.worked(start, end))
    assert sum(part.end - part.start for part in parts) == shop.open_between(start, end)
    assert all(start <= part.start < part.end <= end for part in parts)


@settings(max_examples=80, deadline=None)
@given(
    watched(),
    st.data(),
    st.one_of(st.integers(1, 60 * 60), st.sampled_from([480, 450, 1440, 2880])),
    st.sampled_from([0, 1, -1]),
)
def test_working_time_is_added_as_a_watch_says(shop: Watched, data: st.DataObject, minutes: int, more: int) -> None:
    """Forth and back, from wherever it starts."""
    start, amount = data.draw(instants(shop.wall)), minutes * MINUTE_MS + more
    for signed in (amount, -amount):
        try:
            expected = shop.add_open(start, signed)
        except OutOfSight:
            continue
        assert shop.calendar.add_open(start, signed) == expected


@settings(max_examples=80, deadline=None)
@given(watched(), st.data())
def test_the_next_closing_is_what_a_watch_says(shop: Watched, data: st.DataObject) -> None:
    """From anywhere, and from a closing itself or the millisecond after it."""
    start = data.draw(st.one_of(instants(shop.wall), st.sampled_from(shop.closings or [0])))
    for instant in (start, start + 1):
        try:
            expected = shop.next_closing(instant)
        except OutOfSight:
            continue
        assume(shop.closings[0] < instant)
        assert shop.calendar.next_closing(instant) == expected


@settings(max_examples=80, deadline=None)
@given(watched(), st.data(), st.integers(0, 6))
def test_the_next_open_day_is_what_an_almanac_says(shop: Watched, data: st.DataObject, count: int) -> None:
    """Day by day through those that there were."""
    start = data.draw(st.sampled_from(shop.wall.days[3:20]))
    later = [day for day in shop.open_days if day > start]
    if count == 0 and start in shop.open_days:
        later = [start]
    assume(len(later) >= max(count, 1))
    assert shop.calendar.next_open_day(day_of(start), count) == day_of(later[max(count, 1) - 1])


# Laws

ZONES = ["Europe/Amsterdam", "America/St_Johns", "Pacific/Apia", "Australia/Lord_Howe", "Africa/Casablanca",
         "Pacific/Kwajalein", "Asia/Manila", "America/Juneau", "Africa/Monrovia", "UTC"]  # fmt: skip
ERAS = [date(1844, 12, 31), date(1867, 10, 18), date(1900, 1, 1), date(1969, 9, 30), date(1972, 1, 7),
        date(1993, 8, 21), date(2011, 12, 30), date(2026, 3, 29), date(2120, 2, 29)]  # fmt: skip
"""Around these days some of ZONES changed sides of the date line or left their own seconds behind."""

calendars = st.builds(lambda spec, zone: Calendar(spec, civil(zone)), specs(), st.sampled_from(ZONES))
_block_ends = [0, *(day_of(era) // BLOCK_DAYS * BLOCK_DAYS for era in ERAS)]
anywhen = st.one_of(
    st.builds(
        lambda era, near: day_of(era) * DAY_MS + near, st.sampled_from(ERAS), st.integers(-30 * DAY_MS, 30 * DAY_MS)
    ),
    st.builds(lambda day, near: day * DAY_MS + near, st.sampled_from(_block_ends), st.integers(-DAY_MS, DAY_MS)),
)
near = st.one_of(st.integers(0, 20 * DAY_MS), st.integers(0, 2 * YEAR))
amounts = st.one_of(st.integers(-20 * DAY_MS, 20 * DAY_MS), st.integers(-80, 80).map(lambda n: n * HOUR_MS))


@settings(max_examples=50, deadline=None)
@given(calendars, anywhen, amounts)
def test_what_was_added_lies_between_and_not_a_millisecond_less(made: Calendar, start: int, amount: int) -> None:
    """The earliest instant at which it has passed, or the latest from which it passes."""
    try:
        found = made.add_open(start, amount)
    except EventError:
        return
    assert made.open_between(start, found) == amount
    if amount:
        nearer = -1 if amount > 0 else 1
        assert made.open_between(start, found + nearer) == amount + nearer


@settings(max_examples=50, deadline=None)
@given(calendars, anywhen, amounts, amounts)
@example(
    Calendars({"c": CalendarSpec("c", EVERY_DAY, 0, 1440, None, frozenset(), frozenset(), None)}).calendar("c", "UTC"),
    0,
    DAY_MS,
    DAY_MS,
)
def test_two_additions_in_one_direction_are_one(made: Calendar, start: int, one: int, other: int) -> None:
    """A due may be moved in steps."""
    assume((one >= 0) == (other >= 0))
    assert made.add_open(made.add_open(start, one), other) == made.add_open(start, one + other)


@settings(max_examples=50, deadline=None)
@given(calendars, anywhen, near, near, st.randoms(use_true_random=False))
def test_open_time_adds_up_and_is_never_more_than_what_elapses(
    made: Calendar, start: int, one: int, other: int, random: Random
) -> None:
    """Whichever way round the instants are."""
    instants = [start, start + one, start + one + other]
    random.shuffle(instants)
    first, middle, last = instants
    assert made.open_between(first, last) == made.open_between(first, middle) + made.open_between(middle, last)
    assert 0 <= made.open_between(min(instants), max(instants)) <= max(instants) - min(instants)


@settings(max_examples=50, deadline=None)
@given(calendars, anywhen, st.integers(0, 3 * DAY_MS), amounts, st.integers(0, 3 * DAY_MS))
def test_later_and_more_is_never_due_earlier(made: Calendar, start: int, later: int, amount: int, more: int) -> None:
    """Monotonic in both."""
    due = made.add_open(start, amount)
    assert made.add_open(start + later, amount) >= due
    assert made.add_open(start, amount + more) >= due or amount < 0 <= amount + more


@settings(max_examples=50, deadline=None)
@given(calendars, anywhen)
def test_a_closing_is_followed_by_no_other_until_it_comes(made: Calendar, instant: int) -> None:
    """The next closing seen from it, and from any instant before it, is itself."""
    closing = made.next_closing(instant)
    assert closing >= instant
    assert made.next_closing(closing) == closing
    assert made.next_closing((instant + closing) // 2) == closing
    assert made.next_closing(closing + 1) > closing
