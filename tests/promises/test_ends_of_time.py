"""Dues at the ends of time: whatever the calendar and the zone, an instant that can be written, and no error."""

import warnings

import pytest

from promises.calendars import Calendars
from promises.civil import INSTANT_MAX, INSTANT_MIN
from promises.dues import compute_due
from schemas.book import parse_book
from schemas.facts import Fact
from schemas.instants import format_instant, parse_instant

BOOK = """
sources: {{shop: {{topic: t, format: json, id: id, type: type, time: at}}}}
defaults: {{timezone: {zone}, key: order_id}}
calendars: {{c: {{days: [mon, tue, wed, thu, fri], holidays: {country}, hours: "09:00-17:00"}}}}
promises:
- {{id: days, when: {{event: e}}, due: {{cutoff: "18:00", of: c, plus: 5, unit: day, calendar: c, at: closing}}, expect: {{event: f}}}}
- {{id: years, when: {{event: e}}, due: {{within: 100y}}, expect: {{event: f}}}}
- {{id: back, when: {{event: e}}, due: {{within: -100y}}, expect: {{event: f, early: true}}}}
- {{id: payload, when: {{event: e}}, due: {{field: end, offset: -100y}}, expect: {{event: f}}}}
- {{id: civil, when: {{event: e}}, due: {{plus: 3650, unit: day, at: end_of_day}}, expect: {{event: f}}}}
"""  # noqa: E501 - a promise stays one line
TIMES = ["0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00Z", "1582-10-15T00:00:00Z", "9999-12-31T23:59:60-23:59"]
ENDS = ["0001-01-01", "9999-12-31", "0001-01-01T00:00:00", "9999-12-31T23:59:59", "9999-12-31T23:59:60-23:59"]


@pytest.mark.parametrize("zone", ["Europe/Amsterdam", "Pacific/Kiritimati", "America/Los_Angeles"])
@pytest.mark.parametrize("country", ["NL", "TR", "IL", "CN", "IN"])
def test_every_due_is_an_instant_that_can_be_written(country: str, zone: str) -> None:
    """Also with holidays that follow the moon or a decree, of which the calendars know few years: others are worked
    days there, and the calendar says so in a warning.
    """
    book = parse_book(BOOK.format(country=country, zone=zone))
    calendars = Calendars(book.calendars)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for promise in book.promises:
            for time in TIMES:
                for end in ENDS:
                    opening = Fact("shop", "1", "e", parse_instant(time, None), {"end": end})
                    due = compute_due(promise, calendars, opening, explain=True).due
                    assert due is not None
                    assert INSTANT_MIN <= due <= INSTANT_MAX
                    assert parse_instant(format_instant(due), None) == due
