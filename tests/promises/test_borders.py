"""Every border has one function and one test. Flip `<=` and `<` in `promises/borders.py` and one of these goes red."""

from promises import borders
from tests.promises.builders import (
    CONFIRM,
    DAY,
    DUE,
    MINUTE,
    OPENED,
    Partition,
    at,
    book,
    cancelled,
    confirmed,
    fact,
    kinds,
    placed,
    start,
)
from tests.promises.kept import Kept


def test_fulfilled_at_the_deadline_counts_as_kept(partition: Partition) -> None:
    """A fact dated exactly at the due keeps the promise."""
    assert kinds(partition.learn(placed(OPENED), confirmed(DUE))) == ["kept"]


def test_fulfilled_a_millisecond_after_the_deadline_is_late(partition: Partition) -> None:
    """The first millisecond after the due is too late: breached, then fulfilled late."""
    partition.learn(placed(OPENED), confirmed(DUE + 1))
    assert kinds(partition.frontier(DUE + 2)) == ["breached", "fulfilled_late"]


def test_nothing_is_overdue_at_the_frontier(partition: Partition) -> None:
    """A frontier at the due says nothing about a fact dated exactly then; a millisecond later it does."""
    partition.learn(placed(OPENED))
    assert kinds(partition.frontier(DUE)) == []
    assert kinds(partition.frontier(DUE + 1)) == ["breached"]


def test_the_cutoff_itself_is_too_late() -> None:
    """17:59:59.999 is before an 18:00 cut-off, 18:00:00.000 is not."""
    assert borders.before_cutoff(18 * 60 * MINUTE - 1, 18 * 60 * MINUTE)
    assert not borders.before_cutoff(18 * 60 * MINUTE, 18 * 60 * MINUTE)


def test_a_fulfilment_dated_exactly_skew_before_the_opening_counts(partition: Partition) -> None:
    """Two systems' clocks may differ by `skew`, not by a millisecond more."""
    assert kinds(partition.learn(placed(OPENED), confirmed(OPENED - 5 * MINUTE), about="in")) == ["kept"]
    assert kinds(partition.learn(placed(OPENED), confirmed(OPENED - 5 * MINUTE - 1), about="out")) == []
    assert kinds(partition.frontier(DUE + 1)) == ["breached"]


def test_a_release_dated_exactly_skew_before_the_opening_counts(partition: Partition) -> None:
    """Skew is for releases as for fulfilments."""
    assert kinds(partition.learn(placed(OPENED), cancelled(OPENED - 5 * MINUTE), about="in")) == ["released"]
    assert kinds(partition.learn(placed(OPENED), cancelled(OPENED - 5 * MINUTE - 1), about="out")) == []


def test_a_release_at_the_deadline_ends_the_promise_and_one_after_it_does_not(partition: Partition) -> None:
    """Cancelled at the due is released; cancelled a millisecond later is a breach all the same."""
    assert kinds(partition.learn(placed(OPENED), cancelled(DUE), about="in")) == ["released"]
    assert kinds(partition.learn(placed(OPENED), cancelled(DUE + 1), about="out")) == []
    assert kinds(partition.frontier(DUE + 1)) == ["breached"]


def test_at_one_instant_the_fulfilment_beats_the_release(partition: Partition) -> None:
    """Delivered and cancelled in the same millisecond is kept; cancelled a millisecond before is released."""
    partition.learn(placed(OPENED), cancelled(OPENED + 1), confirmed(OPENED + 1), about="same")
    partition.learn(placed(OPENED, "o"), cancelled(OPENED), confirmed(OPENED + 1), about="before")
    final = {name[1]: status for name, (status, _) in partition.final().items()}
    assert final == {"same": "kept", "before": "released"}


def test_an_opening_at_the_first_known_instant_opens() -> None:
    """`known_since` is the first instant of which everything is known; a millisecond before it opens nothing."""
    partition = Partition(book(), start(known_since=OPENED))
    partition.learn(placed(OPENED), about="in")
    partition.learn(placed(OPENED - 1), about="out")
    assert [one.subject for one in partition.frontier(DUE + 1)] == ["in"]
    assert partition.counted["before_known"] == 1


def test_an_opening_exactly_retention_before_the_frontier_is_too_old() -> None:
    """What it opened could have been forgotten already; a millisecond younger it opens."""
    partition = Partition(book(), start(frontier=OPENED + 400 * DAY))
    partition.learn(placed(OPENED), about="out")
    partition.learn(placed(OPENED + 1), about="in")
    assert partition.counted["too_old"] == 1
    assert [one.subject for one in partition.frontier(OPENED + 400 * DAY + 1)] == ["in"]


def test_a_due_at_the_opening_itself_is_not_born_overdue() -> None:
    """Due at the opening opens; due a millisecond before opens nothing."""
    promise = "- {id: visit, when: {event: visit.made}, due: {field: slot}, expect: {event: visit.done}}"
    partition = Partition(book(promise))
    partition.learn(fact("visit.made", at("2026-05-04 10:00"), slot="2026-05-04T10:00:00"), about="in")
    partition.learn(fact("visit.made", at("2026-05-04 10:00") + 1, slot="2026-05-04T10:00:00"), about="out")
    assert partition.counted["born_overdue"] == 1
    assert [one.subject for one in partition.frontier("2026-05-04 10:01")] == ["in"]


def test_a_version_applies_from_its_first_instant() -> None:
    """An order placed exactly at `effective_from` is promised the new text."""
    versions = """
- {id: p, version: 1, when: {event: order.placed}, due: {within: 1h}, expect: {event: message.sent}}
- {id: p, version: 2, effective_from: "2026-05-04T10:00:00", when: {event: order.placed}, due: {within: 2h},
   expect: {event: message.sent}}
"""
    partition = Partition(book(versions))
    partition.learn(placed(OPENED), about="new")
    partition.learn(placed(OPENED - 1), about="old")
    assert {one.subject: one.version for one in partition.frontier("2026-05-05 00:00")} == {"new": 2, "old": 1}


def test_a_text_has_seen_what_is_dated_after_the_partition_was_told_of_it() -> None:
    """What is dated at that very instant may have been processed before, by a book that did not look at it."""
    text = CONFIRM.replace("id: confirm", "id: confirm, version: 2, effective_from: 2030-01-01")
    partition = Kept(book(CONFIRM))
    partition.latest = OPENED - 5 * MINUTE  # the skew: a fulfilment may be dated so long before the opening
    partition.restart(book(CONFIRM + text.replace("kind: confirmation", "kind: letter")))
    partition.learn(placed(OPENED), about="at")
    partition.learn(placed(OPENED + 1), about="after")
    fates = partition.migrate(partition.migration("confirm", 2))
    assert [fate.reason for fate in fates] == ["moved", "unseen"]


def test_what_lies_exactly_at_the_checkpoint_has_been_published() -> None:
    """The checkpoint is the last thing the timers published, not the first they have not."""
    assert borders.published((5, b"b"), (5, b"b"))
    assert borders.published((5, b"a"), (5, b"b"))
    assert not borders.published((5, b"c"), (5, b"b"))
    assert not borders.published((6, b"a"), (5, b"b"))


def test_a_fact_right_after_a_slice_knows_that_its_breach_is_out() -> None:
    """Late evidence for the very subject at the checkpoint retracts: its breach was in the slice just written."""
    partition = Partition(book())
    for name in ("a", "b"):
        partition.learn(placed(OPENED, f"o-{name}"), about=name)
    partition.core.advance_to(DUE + 1)
    assert partition.core.fire_due(1)
    assert kinds(partition.commit()) == ["breached"]
    assert kinds(partition.learn(confirmed(DUE), about="a")) == ["retracted"]
    assert kinds(partition.learn(confirmed(DUE), about="b")) == ["kept"]


def test_the_earlier_of_two_openings_opens_and_at_one_instant_the_smaller_id() -> None:
    """Order of arrival is nothing: time decides, then the id."""
    partition = Partition(book())
    partition.learn(placed(OPENED, "b"), placed(OPENED, "c"), placed(OPENED, "a"), placed(OPENED + 1, "0"))
    assert [one.cycle for one in partition.frontier(DUE + 1)] == ["a"]


def test_the_opening_known_already_is_not_earlier_than_itself() -> None:
    """A fact is not an earlier opening than itself."""
    place = (OPENED, "a", "shop")
    assert not borders.opens_earlier(place, place)
    assert borders.opens_earlier((OPENED, "a", "app"), place)


def test_of_two_contents_under_one_id_the_smallest_counts() -> None:
    """First by time, then by bytes; equal content wins nothing."""
    assert borders.wins((1, b"z"), (2, b"a"))
    assert borders.wins((1, b"a"), (1, b"b"))
    assert not borders.wins((1, b"a"), (1, b"a"))


def test_a_cycle_leaves_only_when_its_last_instant_is_proved_past() -> None:
    """Retention is a fire time like any other: at the frontier it is still there, a millisecond on it is not."""
    partition = Partition(book(CONFIRM))
    partition.learn(placed(OPENED), confirmed(OPENED + 1))
    expires = DUE + 400 * DAY
    partition.frontier(expires)
    assert partition.store
    partition.frontier(expires + 1)
    assert not partition.store
