"""The sentence an employee reads: what was promised, until when, and what came of it."""

from tests.promises.builders import Partition, at, book, cancelled, confirmed, fact, placed

NEXT_DAY = """
- {id: next-day, title: Delivered the next working day, when: {event: order.placed},
   due: {cutoff: "18:00", of: warehouse, plus: 1, unit: day, calendar: carrier, at: end_of_day},
   expect: {event: parcel.delivered}, release: {event: order.cancelled}}
"""


def explained(*after: object) -> list[str]:
    """The sentences about an order of Friday 24 April 2026, 10:12, judged in May, and what came in then."""
    partition = Partition(book(NEXT_DAY))
    partition.learn(placed("2026-04-24 10:12", "o"))
    partition.frontier("2026-05-01 00:00")
    partition.learn(*after)  # type: ignore[arg-type]
    return [one.explain for one in partition.published]


def test_a_breach_says_what_did_not_come_and_what_was_seen_last() -> None:
    """In the local time of the promise's zone."""
    (breach,) = explained()
    assert breach == (
        "Order A-17: 'Delivered the next working day' was due Sat 25 Apr 2026 23:59 (Europe/Amsterdam); "
        "no parcel.delivered by then. Last seen: order.placed Fri 24 Apr 10:12."
    )


def test_a_late_fulfilment_says_how_late() -> None:
    """In the two largest units."""
    assert explained(fact("parcel.delivered", "2026-04-28 10:00"))[1] == (
        "Order A-17: 'Delivered the next working day' was due Sat 25 Apr 2026 23:59 (Europe/Amsterdam); "
        "parcel.delivered came Tue 28 Apr 2026 10:00, 2 d 10 h late."
    )


def test_a_retraction_says_why() -> None:
    """In time after all, or cancelled in time, or another event that opened it."""
    start = (
        "Order A-17: 'Delivered the next working day' is no longer broken "
        "(it was due Sat 25 Apr 2026 23:59 (Europe/Amsterdam)); "
    )
    assert explained(fact("parcel.delivered", "2026-04-25 20:00"))[1] == (
        start + "parcel.delivered came in time, Sat 25 Apr 2026 20:00, but was known late."
    )
    assert explained(cancelled("2026-04-25 09:00"))[1] == (
        start + "order.cancelled ended it in time, Sat 25 Apr 2026 09:00, but was known late."
    )
    assert explained(placed("2026-04-23 09:00"))[1] == start + "it was not order.placed o that opened it."


def test_a_breach_names_the_last_step_before_the_due_not_after_it() -> None:
    """What came too late was not seen by then."""
    partition = Partition(book(NEXT_DAY))
    partition.learn(placed("2026-04-24 10:12"), fact("parcel.delivered", at("2026-04-26 00:00")))
    breach, late = partition.frontier("2026-05-01 00:00")
    assert breach.explain.endswith("Last seen: order.placed Fri 24 Apr 10:12.")
    assert late.explain.endswith("parcel.delivered came Sun 26 Apr 2026 00:00, 1 ms late.")


def test_a_promise_without_a_title_is_called_by_its_id() -> None:
    """Something has to stand there."""
    partition = Partition(book("- {id: p, when: {event: order.placed}, due: {within: 1h}, expect: {event: d}}"))
    partition.learn(placed("2026-05-04 10:00"))
    assert partition.frontier("2026-05-05 00:00")[0].explain.startswith("Order A-17: 'p' was due")


def test_outcomes_are_not_explained() -> None:
    """They are for reports: thousands of kept promises need no sentence."""
    partition = Partition(book())
    (kept,) = partition.learn(placed("2026-05-04 10:00"), confirmed("2026-05-04 10:01"))
    assert kept.explain == ""
