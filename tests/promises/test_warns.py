"""Warnings: when a running promise is at risk."""

import pytest

from promises.calendars import Calendars
from promises.warns import warn_instants, working_calendar
from tests.promises.builders import at, book


def warned(spelled: str, warn: str, opened: str, due: str) -> list[tuple[str, int]]:
    made = book(f"- {{id: p, when: {{event: e}}, due: {{{spelled}}}, expect: {{event: d}}, warn: [{warn}]}}")
    promise, calendars = made.promises[0], Calendars(made.calendars)
    civil = calendars.civil(promise.timezone)
    return warn_instants(at(opened), at(due), promise.warn, working_calendar(promise, civil, calendars))


def test_an_offset_is_elapsed_time_before_the_due() -> None:
    """Each warning by itself, as the book spells it and in its order."""
    assert warned("within: 2d", "-6h, -1d", "2026-03-28 12:00", "2026-03-30 13:00") == [
        ("-6h", at("2026-03-30 07:00")),
        ("-1d", at("2026-03-29 13:00")),
    ]


@pytest.mark.parametrize("spelled", ["within: 10h", "plus: 1, unit: day, calendar: office", "field: slot"])
def test_a_share_is_of_the_time_that_elapses(spelled: str) -> None:
    """80% of ten hours; also where days of a calendar are counted, for those have nights."""
    assert warned(spelled, "80%", "2026-05-04 10:00", "2026-05-04 20:00") == [("80%", at("2026-05-04 18:00"))]


def test_a_share_of_working_time_passes_only_while_the_office_is_open() -> None:
    """Half of four hours, of which one passes on Friday: Tuesday 10:00, with a weekend and King's Day in between."""
    found = warned("within: 4h, calendar: office", "50%, 25%, -1h", "2026-04-24 16:00", "2026-04-28 12:00")
    assert found == [
        ("50%", at("2026-04-28 10:00")),
        ("25%", at("2026-04-24 17:00")),
        ("-1h", at("2026-04-28 11:00")),
    ]


def test_a_share_is_rounded_down_to_a_millisecond() -> None:
    """A warning never comes after its share has passed."""
    found = warned("within: 1h", "33%", "2026-05-04 10:00", "2026-05-04 10:59:59.999")
    assert found == [("33%", at("2026-05-04 10:19:47.999"))]


def test_no_warnings_are_no_instants() -> None:
    """Most promises have none."""
    made = book("- {id: p, when: {event: e}, due: {within: 1h}, expect: {event: d}}")
    assert warn_instants(0, 1, made.promises[0].warn, None) == []
