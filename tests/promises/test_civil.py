"""Civil time: what the clock on the wall shows, and the instants it stands for, around changes of clocks."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promises.civil import INSTANT_MAX, Civil, date_of, day_of
from schemas.instants import DAY_MS, HOUR_MS, MINUTE_MS, parse_instant
from tests.promises.minutes import WATCHES, wall

ZONES = ["Europe/Amsterdam", "America/Sao_Paulo", "Africa/Cairo", "America/New_York", "Asia/Kolkata", "Pacific/Apia",
         "Australia/Lord_Howe", "America/Havana", "America/Nuuk", "UTC", "Africa/Casablanca", "Pacific/Kiritimati",
         "Pacific/Kwajalein", "Africa/Monrovia"]  # fmt: skip


def utc(text: str) -> int:
    return parse_instant(text, None)


def test_a_local_time_that_does_not_exist_moves_forward() -> None:
    """In the night of 29 March 2026, 02:30 in Amsterdam is 03:30."""
    civil = Civil("Europe/Amsterdam")
    assert civil.instant(day_of(date(2026, 3, 29)), 150 * MINUTE_MS) == utc("2026-03-29T01:30:00Z")
    assert civil.local(utc("2026-03-29T01:30:00Z"))[1] == 210 * MINUTE_MS


def test_an_ambiguous_local_time_is_the_earlier() -> None:
    """In the night of 25 October 2026, 02:30 in Amsterdam comes twice: the first, in summer time, counts."""
    civil = Civil("Europe/Amsterdam")
    assert civil.instant(day_of(date(2026, 10, 25)), 150 * MINUTE_MS) == utc("2026-10-25T00:30:00Z")


def test_a_change_of_clocks_in_the_evening_is_seen_from_the_west() -> None:
    """In Nuuk on 26 March 2022, already the 27th in UTC, clocks went from 22:00 to 23:00: 22:30 is 23:30."""
    civil = Civil("America/Nuuk")
    assert civil.instant(day_of(date(2022, 3, 26)), 1350 * MINUTE_MS) == utc("2022-03-27T01:30:00Z")
    assert civil.instant(day_of(date(2022, 3, 26)), 1410 * MINUTE_MS) == utc("2022-03-27T01:30:00Z")


def test_the_end_of_a_day_is_its_last_millisecond() -> None:
    """23:59:59.999 belongs to the day, 00:00:00.000 does not."""
    civil = Civil("Europe/Amsterdam")
    end = civil.end_of_day(day_of(date(2026, 4, 25)))
    assert end == utc("2026-04-25T21:59:59.999Z")
    assert civil.local(end)[0] == day_of(date(2026, 4, 25))
    assert civil.local(end + 1) == (day_of(date(2026, 4, 26)), 0)


def test_a_day_whose_midnight_does_not_exist_begins_when_its_clocks_do() -> None:
    """In Sao Paulo on 4 November 2018 clocks went from 24:00 to 01:00: the day before ends there."""
    civil = Civil("America/Sao_Paulo")
    assert civil.end_of_day(day_of(date(2018, 11, 3))) == utc("2018-11-04T02:59:59.999Z")


def test_a_day_with_a_midnight_that_comes_twice_ends_at_the_first() -> None:
    """In Havana on 1 November 2026 clocks go from 01:00 back to 00:00: both hours belong to that day."""
    civil = Civil("America/Havana")
    assert civil.end_of_day(day_of(date(2026, 10, 31))) == utc("2026-11-01T03:59:59.999Z")


@given(st.sampled_from(ZONES), st.dates(date(1900, 1, 1), date(2100, 1, 1)))
def test_the_remembered_offsets_say_what_the_zone_says(zone: str, when: date) -> None:
    """Conversions by remembered offsets are those of the standard library, hour by hour over two days."""
    civil = Civil(zone)
    base = day_of(when) * DAY_MS + 17 * MINUTE_MS
    for instant in range(base, base + 2 * DAY_MS, HOUR_MS):
        there = datetime.fromtimestamp(instant // 1_000, ZoneInfo(zone))
        day, time_ms = civil.local(instant)
        assert date_of(day) == there.date()
        assert time_ms == (there.hour * 3600 + there.minute * 60 + there.second) * 1_000
        expected = there.replace(fold=0)
        assert civil.instant(day, time_ms) == int(expected.timestamp()) * 1_000


@pytest.mark.parametrize("number", range(len(WATCHES)))
def test_civil_time_is_what_a_watch_says(number: int) -> None:
    """Through some weeks in which clocks changed, there and back; and at times that the clocks jumped over."""
    on = wall(number)
    civil = Civil(on.zone)
    for minute in range(0, len(on.shown), 10):
        shown = on.shown[minute]
        day, time_ms = civil.local((on.first + minute) * MINUTE_MS)
        assert day * DAY_MS + time_ms == shown * MINUTE_MS
        assert civil.instant(day, time_ms) == (on.first + on.seen[shown]) * MINUTE_MS
    for jump in on.jumps:
        for shown in range(on.shown[jump] + 1, on.shown[jump + 1], 10):
            expected = (on.first + jump + shown - on.shown[jump]) * MINUTE_MS
            assert civil.instant(shown // 1440, shown % 1440 * MINUTE_MS) == expected
    for day in range(day_of(on.days[1]), day_of(on.days[-1])):
        assert civil.has_day(day) == (date_of(day) in on.days)


def test_offsets_of_local_time_have_seconds() -> None:
    """Liberia was 44 minutes and 30 seconds behind until 7 January 1972."""
    civil = Civil("Africa/Monrovia")
    assert civil.local(utc("1972-01-06T12:00:00Z"))[1] == (11 * 3600 + 15 * 60 + 30) * 1_000
    assert civil.instant(day_of(date(1972, 1, 6)), 0) == utc("1972-01-06T00:44:30Z")
    assert civil.end_of_day(day_of(date(1972, 1, 6))) == utc("1972-01-07T00:44:29.999Z")


def test_a_zone_that_changed_sides_of_the_date_line_skipped_a_day() -> None:
    """Samoa went from 29 to 31 December 2011; the end of the 30th is that of the 29th."""
    civil = Civil("Pacific/Apia")
    thursday = day_of(date(2011, 12, 29))
    assert [civil.has_day(thursday + more) for more in range(3)] == [True, False, True]
    assert civil.end_of_day(thursday + 1) == civil.end_of_day(thursday) == utc("2011-12-30T09:59:59.999Z")
    assert civil.instant(thursday + 1, 12 * HOUR_MS) == civil.instant(thursday + 2, 12 * HOUR_MS)


@pytest.mark.parametrize("zone", ZONES)
def test_the_last_day_there_is_does_not_fail(zone: str) -> None:
    """9999-12-31, which systems write for "never", has an end like any other day."""
    civil = Civil(zone)
    end = civil.end_of_day(day_of(date(9999, 12, 31)))
    assert abs(end - INSTANT_MAX) <= DAY_MS
    assert date_of(civil.local(end)[0]) == date(9999, 12, 31)
