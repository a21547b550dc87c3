"""Calendars: open days, holidays with exceptions, closing times; and a search that ends."""

from datetime import date, timedelta

import pytest

from promises.calendars import Calendar, Calendars
from promises.civil import Civil, day_of
from schemas.book_model import CALENDAR_SEARCH_DAYS_MAX, CalendarSpec
from schemas.errors import EventError
from tests.promises.builders import at, book

WEEK = frozenset(range(5))


def calendar(name: str) -> Calendar:
    return Calendars(book().calendars).calendar(name, "Europe/Amsterdam")


def test_weekends_and_public_holidays_are_closed() -> None:
    """The office is closed on Saturdays and on King's Day, and says why."""
    office = calendar("office")
    assert office.why_closed(day_of(date(2026, 4, 25))) == "a Saturday"
    assert office.why_closed(day_of(date(2026, 4, 27))) == "King's Day"
    assert office.is_open_day(day_of(date(2026, 4, 28)))


def test_the_book_opens_a_holiday_and_closes_a_working_day() -> None:
    """`remove` opens Good Friday, `add` closes New Year's Eve."""
    assert not calendar("warehouse").is_open_day(day_of(date(2026, 4, 3)))
    assert calendar("carrier").is_open_day(day_of(date(2026, 4, 3)))
    assert calendar("carrier").why_closed(day_of(date(2026, 12, 31))) == "closed by the book"


def test_holidays_of_a_region_are_known() -> None:
    """Corpus Christi is a holiday in Bavaria, not in all of Germany."""

    def made(holidays: str) -> Calendar:
        spec = CalendarSpec("x", WEEK, 0, 1440, holidays, frozenset(), frozenset(), None)
        return Calendar(spec, Civil("Europe/Berlin"))

    corpus_christi = day_of(date(2026, 6, 4))
    assert not made("DE-BY").is_open_day(corpus_christi)
    assert made("DE").is_open_day(corpus_christi)


def closed_on(holidays: str, day: date, zone: str = "UTC", **more: frozenset[date]) -> str:
    """Why a calendar with the holidays of a country is closed on a day on which it would be open."""
    exceptions = {"add": frozenset(), "remove": frozenset()} | more
    spec = CalendarSpec("x", frozenset(range(7)), 0, 1440, holidays, timezone=None, **exceptions)
    return Calendar(spec, Civil(zone)).why_closed(day_of(day))


@pytest.mark.parametrize(
    ("holidays", "day", "why"),
    [
        ("ES-MD", date(2026, 5, 2), "Madrid Day"),
        ("ES-CT", date(2026, 5, 2), ""),
        ("GB-SCT", date(2026, 1, 2), "New Year Holiday"),
        ("GB-ENG", date(2026, 1, 2), ""),
        ("GB-ENG", date(2026, 4, 6), "Easter Monday"),
        ("GB-SCT", date(2026, 4, 6), ""),
        ("GB-ENG", date(2021, 12, 27), "Christmas Day (observed)"),
        ("US", date(2027, 7, 5), "Independence Day (observed)"),
        ("US", date(2021, 12, 31), "New Year's Day (observed)"),
        ("NL", date(2025, 4, 26), "King's Day"),
        ("NL", date(2025, 4, 27), ""),
        ("NL", date(2026, 5, 5), ""),
        ("NL", date(2025, 5, 5), "Liberation Day"),
    ],
)
def test_public_holidays_are_those_of_country_region_and_year(holidays: str, day: date, why: str) -> None:
    """Also the day on which a holiday is observed that fell on a weekend; if need be in the year before."""
    assert closed_on(holidays, day) == why


def test_exceptions_work_on_a_region_and_on_observed_days() -> None:
    """The book has the last word."""
    assert not closed_on("US", date(2027, 7, 5), remove=frozenset({date(2027, 7, 5)}))
    assert closed_on("ES-MD", date(2026, 5, 4), add=frozenset({date(2026, 5, 4)})) == "closed by the book"


def test_a_removed_holiday_on_a_weekend_opens_nothing() -> None:
    """`remove` makes it a day like any other, and the office works on none of those on Saturdays."""
    spec = CalendarSpec("x", WEEK, 0, 1440, "NL", frozenset(), frozenset({date(2026, 12, 26)}), None)
    assert Calendar(spec, Civil("UTC")).why_closed(day_of(date(2026, 12, 26))) == "a Saturday"


def test_the_next_open_day_is_counted_over_weekends_and_holidays() -> None:
    """From Friday 24 April 2026 the office's first day is Tuesday, its tenth Monday 11 May."""
    office, friday = calendar("office"), day_of(date(2026, 4, 24))
    assert office.next_open_day(friday) == day_of(date(2026, 4, 28))
    assert office.next_open_day(friday, 10) == day_of(date(2026, 5, 11))
    assert office.next_open_day(friday, 10) == day_of(date(2026, 5, 11)), "the remembered answer is the same"


def test_zero_days_on_is_the_day_itself_or_the_first_open_one() -> None:
    """A due on the same day cannot lie on a day on which nobody works."""
    office = calendar("office")
    assert office.next_open_day(day_of(date(2026, 4, 24)), 0) == day_of(date(2026, 4, 24))
    assert office.next_open_day(day_of(date(2026, 4, 25)), 0) == day_of(date(2026, 4, 28))


def test_hours_may_cross_midnight() -> None:
    """Open from 22:00 on Thursday, closing at 06:00 on Friday."""
    assert calendar("night").hours(day_of(date(2026, 4, 23))) == (at("2026-04-23 22:00"), at("2026-04-24 06:00"))


def test_hours_over_a_change_of_clocks_close_by_the_clock_on_the_wall() -> None:
    """In the night in which the clocks go back the shift is an hour longer, and ends at 06:00 all the same."""
    spec = CalendarSpec("x", frozenset(range(7)), 1320, 1800, None, frozenset(), frozenset(), None)
    opens, closes = Calendar(spec, Civil("Europe/Amsterdam")).hours(day_of(date(2026, 10, 24)))
    assert closes == at("2026-10-25 06:00")
    assert closes - opens == 9 * 3_600_000


def test_closing_at_midnight_is_the_last_millisecond_of_the_day() -> None:
    """Open until 24:00: a parcel at 23:59:59.999 is in time, one at 00:00 is not."""
    assert calendar("warehouse").hours(day_of(date(2026, 4, 24)))[1] == at("2026-04-24 23:59:59.999")


def test_a_calendar_with_a_zone_of_its_own_closes_there() -> None:
    """Closing time in New York, whatever the promise's zone is."""
    spec = CalendarSpec("x", WEEK, 540, 1020, None, frozenset(), frozenset(), "America/New_York")
    made = Calendars({"x": spec}).calendar("x", "Europe/Amsterdam")
    assert made.hours(day_of(date(2026, 5, 4)))[1] == at("2026-05-04 23:00")


def test_the_search_for_an_open_day_ends() -> None:
    """A calendar that is closed for more than a year is an error with a name, not an endless loop."""
    start = date(2026, 1, 1)
    shut = frozenset(start + timedelta(days=n) for n in range(CALENDAR_SEARCH_DAYS_MAX + 2))
    spec = CalendarSpec("x", frozenset(range(7)), 0, 1440, None, shut, frozenset(), None)
    with pytest.raises(EventError, match="'x' has no open day within 400 days after 2026-01-01") as caught:
        Calendar(spec, Civil("UTC")).next_open_day(day_of(start))
    assert caught.value.reason == "calendar_closed"
