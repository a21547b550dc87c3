"""The cases checked by hand against a real calendar: what a business analyst would answer."""

import itertools

import pytest

from promises.calendars import Calendars
from promises.dues import compute_due
from schemas.facts import Fact
from tests.promises.builders import Partition, at, book, cancelled, confirmed, fact, kinds, placed

PROMISES = """
- id: next-day
  when: {event: order.placed, where: {speed: next}}
  due: {cutoff: "18:00", of: warehouse, plus: 1, unit: day, calendar: carrier, at: end_of_day}
  expect: {event: parcel.delivered}
  release: {event: order.cancelled}
- id: pickup-2d
  when: {event: order.shipped, where: {method: pickup}}
  due: {plus: 2, unit: day, calendar: carrier, at: end_of_day}
  expect: {event: parcel.at_pickup}
- id: confirm-15m
  when: {event: order.placed}
  due: {within: 15m}
  expect: {event: message.sent, where: {kind: confirmation}}
- id: told-before-visit
  when: {event: appointment.made}
  due: {field: slot_start, offset: -24h}
  expect: {event: message.sent, where: {kind: visit_info}}
- id: debit-notice
  when: {event: debit.executed}
  due: {within: -3d}
  expect: {event: message.sent, where: {kind: debit_notice}, early: true}
- id: complaint-ack
  when: {event: complaint.received}
  due: {plus: 1, unit: day, calendar: office, at: closing}
  expect: {event: complaint.acked}
- id: complaint-10bd
  when: {event: complaint.received}
  due: {plus: 10, unit: day, calendar: office, at: closing}
  expect: {event: complaint.resolved}
- {id: four-hours, when: {event: order.status}, due: {within: 4h}, expect: {event: order.left}}
"""


def due(promise: str, opening: Fact) -> int | None:
    made = book(PROMISES)
    (found,) = (one for one in made.promises if one.id == promise)
    return compute_due(found, Calendars(made.calendars), opening).due


@pytest.mark.parametrize(
    ("ordered", "last_day"),
    [
        ("2026-04-24 17:59:59", "2026-04-25"),  # Friday before the cut-off: Saturday
        ("2026-04-24 18:00:00", "2026-04-28"),  # Friday at the cut-off: counts for Saturday; Monday is King's Day
        ("2026-04-25 18:00:00", "2026-04-29"),  # Saturday at the cut-off: counts for Tuesday
        ("2026-12-24 18:30:00", "2026-12-29"),  # Christmas on Friday and Saturday, then a Sunday
        ("2026-04-02 12:00:00", "2026-04-03"),  # Good Friday: a public holiday on which this carrier delivers
        ("2026-12-30 12:00:00", "2027-01-02"),  # New Year's Eve is closed by the book, New Year's Day by law
        ("2026-04-04 23:00:00", "2026-04-08"),  # Easter: Sunday and Monday are closed
    ],
)
def test_next_day_is_due_at_the_end_of_the_right_day(ordered: str, last_day: str) -> None:
    """Cut-off, weekend and holiday together; the due is the day's last millisecond."""
    assert due("next-day", placed(ordered, speed="next")) == at(f"{last_day} 23:59:59.999")


def test_pickup_within_two_days_skips_what_is_closed() -> None:
    """Shipped on Friday 24 April 2026: Saturday is the first day, Tuesday the second."""
    shipped = fact("order.shipped", "2026-04-24 12:00", method="pickup")
    assert due("pickup-2d", shipped) == at("2026-04-28 23:59:59.999")


def test_four_hours_are_elapsed_hours_when_the_clocks_go_forward() -> None:
    """Entered at 00:30 in the night of 29 March 2026: four hours later the clock shows 05:30."""
    assert due("four-hours", fact("order.status", "2026-03-29 00:30")) == at("2026-03-29 05:30")


def test_a_complaint_is_acknowledged_by_the_next_closing_time() -> None:
    """Friday before King's Day: Tuesday at 17:00."""
    assert due("complaint-ack", fact("complaint.received", "2026-04-24 16:50")) == at("2026-04-28 17:00")


def test_ten_working_days_skip_kings_day_and_weekends() -> None:
    """Received on Friday 24 April 2026 at 16:50: due on Monday 11 May at closing (Liberation Day is worked)."""
    assert due("complaint-10bd", fact("complaint.received", "2026-04-24 16:50")) == at("2026-05-11 17:00")


def test_a_visit_is_announced_a_day_before_its_slot() -> None:
    """The slot is in the promise's zone where it does not say."""
    visit = fact("appointment.made", "2026-05-01 10:00", slot_start="2026-05-06T09:00:00")
    assert due("told-before-visit", visit) == at("2026-05-05 09:00")


def test_a_confirmation_at_exactly_fifteen_minutes_is_kept() -> None:
    """At the deadline counts as kept."""
    partition = Partition(book(PROMISES))
    assert kinds(partition.learn(placed("2026-04-24 12:00"), confirmed("2026-04-24 12:15"))) == ["kept"]


def test_a_confirmation_a_second_late_is_breached_and_then_late() -> None:
    """Both are published, in that order, when it is proved."""
    partition = Partition(book(PROMISES))
    partition.learn(placed("2026-04-24 12:00"), confirmed("2026-04-24 12:15:01"))
    assert kinds(partition.frontier("2026-05-01 00:00")) == ["breached", "fulfilled_late"]
    assert partition.published[-1].late_by_ms == 1_000


@pytest.mark.parametrize(("days", "expected"), [(4, ["kept"]), (2, ["breached", "fulfilled_late"])])
def test_a_debit_is_announced_at_least_three_days_before(days: int, expected: list[str]) -> None:
    """Four days' notice keeps the promise, two days' is a day late."""
    partition = Partition(book(PROMISES))
    debit = at("2026-05-20 12:00")
    notice = fact("message.sent", debit - days * 86_400_000, kind="debit_notice")
    partition.learn(notice, fact("debit.executed", debit))
    partition.frontier("2026-05-21 00:00")
    assert partition.kinds() == expected
    if days == 2:
        assert partition.published[-1].late_by_ms == 86_400_000


def test_a_cancelled_order_is_released() -> None:
    """The customer does not want it any more: no breach."""
    partition = Partition(book(PROMISES))
    partition.learn(placed("2026-04-24 17:00", speed="next"), cancelled("2026-04-25 09:00"))
    partition.frontier("2026-05-01 00:00")
    assert partition.final()["next-day", "A-17", partition.published[0].cycle] == ("released", None)


def test_any_order_and_any_duplicates_give_the_same_verdicts() -> None:
    """All orders of arrival of one story, each fact twice."""
    story = [
        placed("2026-04-24 17:00", "o", speed="next"),
        confirmed("2026-04-24 17:20", "c"),
        fact("parcel.delivered", "2026-04-28 10:00", "d"),
        cancelled("2026-04-28 11:00", "x"),
    ]
    finals = set()
    for order in itertools.permutations(story):
        partition = Partition(book(PROMISES))
        partition.learn(*order, *order)
        partition.frontier("2026-05-01 00:00")
        finals.add(tuple(sorted(partition.final().items())))
    assert finals == {
        (
            (("confirm-15m", "A-17", "o"), ("fulfilled_late", at("2026-04-24 17:20"))),
            (("next-day", "A-17", "o"), ("fulfilled_late", at("2026-04-28 10:00"))),
        )
    }
