"""Instants and durations: what text means, and what is refused."""

# ruff: noqa: DTZ001 - local times are naive

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.instants import (
    DURATION_MS_MAX,
    format_duration,
    format_instant,
    local_to_ms,
    parse_date,
    parse_duration,
    parse_instant,
)

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
FIRST_MS = -62_135_596_800_000
LAST_MS = 253_402_300_799_999
instants = st.integers(min_value=FIRST_MS, max_value=LAST_MS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-04-24T17:59:59+02:00", "2026-04-24T15:59:59.000Z"),
        ("2026-04-24T17:59:59Z", "2026-04-24T17:59:59.000Z"),
        ("2026-04-24t17:59:59z", "2026-04-24T17:59:59.000Z"),
        ("2026-04-24 17:59:59-03:30", "2026-04-24T21:29:59.000Z"),
        ("2026-04-24T17:59:59.5Z", "2026-04-24T17:59:59.500Z"),
        ("2026-04-24T17:59:59.123999999Z", "2026-04-24T17:59:59.123Z"),
        ("2026-04-24T23:59:59.9999999Z", "2026-04-24T23:59:59.999Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999Z"),
        ("2016-12-31T23:59:60.5Z", "2016-12-31T23:59:59.999Z"),
        ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
    ],
)
def test_an_instant_with_an_offset_is_read_alike_the_first_and_the_second_time(text, expected):
    """The second reading takes the remembered pieces; it must not differ from the first."""
    assert format_instant(parse_instant(text, None)) == expected
    assert format_instant(parse_instant(text, None)) == expected
    assert format_instant(parse_instant(text, AMSTERDAM)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-04-24T17:59:59", "2026-04-24T15:59:59.000Z"),
        ("2026-01-24T17:59:59.25", "2026-01-24T16:59:59.250Z"),
        ("2026-03-29T02:30:00", "2026-03-29T01:30:00.000Z"),  # does not exist: reads as 03:30 summer time
        ("2026-10-25T02:30:00", "2026-10-25T00:30:00.000Z"),  # comes twice: the first
    ],
)
def test_an_instant_without_offset_is_local_time_in_the_zone(text, expected):
    """A non-existent local time moves forward, an ambiguous one is the earlier."""
    assert format_instant(parse_instant(text, AMSTERDAM)) == expected


def test_an_instant_without_offset_and_without_zone_is_refused():
    """The machine's own zone is never used."""
    with pytest.raises(ValueError, match="expected an instant with an offset such as Z"):
        parse_instant("2026-04-24T17:59:59", None)


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "2026-04-24", "2026-04-24T17:59Z", "2026-04-24T17:59:59 Z", "20260424T175959Z", "2026-W17-5T10:00:00Z",
        "2026-04-24T24:00:00Z", "2026-04-31T10:00:00Z", "2026-13-01T10:00:00Z", "2026-04-24T10:60:00Z",
        "2026-04-24T10:00:61Z", "2026-04-24T10:00:00.Z", "2026-04-24T10:00:00,5Z", "2026-04-24T10:00:00+2:00",
        "2026-04-24T10:00:00+0200", "2026-04-24T10:00:00+24:00", "2026-04-24T10:00:00+02:60", "0000-01-01T00:00:00Z",
        "٢026-04-24T10:00:00Z", "2026-04-24T10:00:00Z ", "2026-04-24T10:00:00.12Z3", "2026-04-24X10:00:00Z",
        "1745500000", "2026-04-24T10:00:00.1234Z5", "2026-04-24T10:00:00.123²Z",
    ],
)  # fmt: skip
def test_what_is_not_rfc_3339_is_refused_and_quoted(text):
    """Pieces of good instants that are already remembered must not let a bad combination through."""
    for good in ("2026-04-24T10:00:00Z", "2026-04-24T17:59:59.12Z", "2026-04-24T10:00:00.123+02:00"):
        parse_instant(good, None)
    for zone in (None, AMSTERDAM):
        with pytest.raises(ValueError, match="^found ") as refusal:
            parse_instant(text, zone)
        assert repr(text) in str(refusal.value)


@given(instants)
def test_formatting_then_parsing_gives_the_same_instant(ms):
    """Whatever this program writes it reads back unchanged, over all years that RFC 3339 can say."""
    assert parse_instant(format_instant(ms), None) == ms


@given(st.datetimes(timezones=st.timezones()), st.sampled_from(["T", " ", "t"]))
def test_parsing_agrees_with_the_standard_library(moment, separator):
    """`datetime` is the oracle, also for odd offsets, seconds apart and microseconds (cut off, not rounded)."""
    offset = moment.utcoffset()
    assert offset is not None
    if offset.seconds % 60:
        return  # RFC 3339 has no seconds in offsets
    text = moment.isoformat(separator)
    expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert parse_instant(text, None) == expected
    assert parse_instant(text, None) == expected


@given(st.datetimes(min_value=datetime(1980, 1, 1), max_value=datetime(2100, 1, 1)))
def test_local_time_is_the_earlier_or_moves_forward_over_all_years(local):
    """Going back to local time gives the same clock reading, or a later one inside a gap."""
    back = datetime.fromtimestamp(local_to_ms(local, AMSTERDAM) / 1000, AMSTERDAM).replace(tzinfo=None)
    assert back >= local.replace(microsecond=local.microsecond // 1000 * 1000)
    assert back - local <= timedelta(hours=1)


def test_instants_beyond_rfc_3339_are_written_as_the_last_or_first_it_has():
    """A due moved past the year 9999 must not stop a worker."""
    assert format_instant(LAST_MS + 1) == "9999-12-31T23:59:59.999Z"
    assert format_instant(FIRST_MS - 1) == "0001-01-01T00:00:00.000Z"
    assert format_instant(10**18) == "9999-12-31T23:59:59.999Z"


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [
        ("15m", 900_000), ("4h", 14_400_000), ("1h30m", 5_400_000), ("2d", 172_800_000), ("-3d", -259_200_000),
        ("0s", 0), ("0", 0), ("500ms", 500), ("1w", 604_800_000), ("1y", 31_536_000_000), ("1m1ms", 60_001),
    ],
)  # fmt: skip
def test_a_duration_is_read_as_prometheus_writes_it(text, expected_ms):
    """Days are 24 hours, years 365 days."""
    assert parse_duration(text) == expected_ms


@pytest.mark.parametrize(
    "text", ["", "-", "15", "m", "15 m", "30m1h", "1h1h", "1.5h", "4hours", "+4h", "4H", "--3d", "٤h"]
)
def test_what_is_not_a_duration_is_refused_and_quoted(text):
    """A unit is never guessed."""
    with pytest.raises(ValueError, match="expected a duration such as 15m, 4h, 1h30m or 2d"):
        parse_duration(text)


def test_an_absurdly_long_duration_is_refused():
    """A hundred years is the limit; longer ones would leave the calendar."""
    assert parse_duration(format_duration(DURATION_MS_MAX)) == DURATION_MS_MAX
    with pytest.raises(ValueError, match="expected a duration of at most 36600d"):
        parse_duration("36600d1ms")


@given(st.integers(min_value=-DURATION_MS_MAX, max_value=DURATION_MS_MAX))
def test_formatting_then_parsing_gives_the_same_duration(ms):
    """The shortest spelling is still exact."""
    assert parse_duration(format_duration(ms)) == ms


def test_a_date_alone_is_told_from_an_instant():
    """Dues may be days; event times may not."""
    assert str(parse_date("2026-04-24")) == "2026-04-24"
    assert [parse_date(text) for text in ("2026-04-31", "20260424", "2026-04-24T", "2026-W17-5")] == [None] * 4
