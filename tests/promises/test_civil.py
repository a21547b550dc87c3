"""Civil time: what the clock on the wall shows, and the instants it stands for, around changes of clocks."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promises.civil import INSTANT_MAX, Civil, date_of, day_of
from schemas.instants import DAY_MS, HOUR_MS, MINUTE_MS, parse_instant

ZONES = ["Europe/Amsterdam", "America/Sao_Paulo", "Africa/Cairo", "America/New_York", "Asia/Kolkata", "Pacific/Apia",
         "Australia/Lord_Howe", "America/Havana", "America/Nuuk", "UTC"]  # fmt: skip


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


@pytest.mark.parametrize("zone", ZONES)
def test_the_last_day_there_is_does_not_fail(zone: str) -> None:
    """9999-12-31, which systems write for "never", has an end like any other day."""
    civil = Civil(zone)
    end = civil.end_of_day(day_of(date(9999, 12, 31)))
    assert abs(end - INSTANT_MAX) <= DAY_MS
    assert date_of(civil.local(end)[0]) == date(9999, 12, 31)
