"""One partition: slices, restarts, retention, replays, and state that does not fit."""

import msgspec
import pytest

from promises.detector import subject_key, subject_of
from promises.partition import CHECKPOINT_KEY, PartitionDetector
from schemas.errors import EventError, StateError
from schemas.facts import Subject
from schemas.publications import Publication
from schemas.records import RECORD_FORMAT, Record
from tests.promises.builders import (
    ALWAYS,
    CONFIRM,
    DAY,
    DUE,
    HOUR,
    MINUTE,
    OPENED,
    SLOT,
    Partition,
    book,
    cancelled,
    confirmed,
    fact,
    kinds,
    placed,
    start,
)


def test_the_frontier_never_goes_back(partition: Partition) -> None:
    """The core raises; it is the shell's business not to ask."""
    partition.frontier(DUE)
    partition.core.advance_to(DUE)
    with pytest.raises(ValueError, match="time never goes back"):
        partition.core.advance_to(DUE - 1)


def test_the_floor_is_never_below_the_frontier(partition: Partition) -> None:
    """Otherwise a due learnt now could lie behind the checkpoint and never be published."""
    partition.core.advance_to(DUE)
    partition.core.floor = DUE - HOUR
    assert partition.core.floor == DUE


def test_a_burst_at_one_instant_is_published_in_slices_in_order(partition: Partition) -> None:
    """A hundred promises due at one instant: ten at a time, each once, by subject, with a checkpoint in between."""
    names = [f"s{number:03d}" for number in range(100)]
    for name in reversed(names):
        partition.learn(placed(OPENED, f"o-{name}"), about=name)
    partition.core.advance_to(DUE + 1)
    slices = []
    more = True
    while more:
        more = partition.core.fire_due(10)
        slices.append([one.subject for one in partition.commit()])
        if more:
            last = subject_key(Subject("order_id", slices[-1][-1]))
            assert (partition.checkpoint.fire, partition.checkpoint.subject) == (DUE, last)
    assert [len(part) for part in slices if part] == [10] * 10
    assert [name for part in slices for name in part] == names


def test_a_restart_within_a_burst_goes_on_where_it_stopped(partition: Partition) -> None:
    """Killed after any slice: each breach is published once, none is missed, whatever arrives in between."""
    names = [f"s{number:02d}" for number in range(20)]
    for name in names:
        partition.learn(placed(OPENED, f"o-{name}"), about=name)
    partition.core.advance_to(DUE + DAY)
    for _ in range(3):
        assert partition.core.fire_due(3)
        partition.commit()
        assert partition.core.fire_due(3)  # this slice is lost with the process
        partition.restart()
        partition.core.advance_to(DUE + DAY)
    partition.frontier(DUE + DAY)
    assert [one.subject for one in partition.published] == names


def test_after_a_restart_within_a_burst_the_same_frontier_can_be_given_again(partition: Partition) -> None:
    """The last marker of a recording is read again: what is still due must not be taken for published."""
    for name in ("a", "b"):
        partition.learn(placed(OPENED), about=name)
    partition.core.advance_to(DUE + 1)
    assert partition.core.fire_due(1)
    partition.commit()
    partition.restart()
    assert partition.core.frontier < DUE + 1
    assert [one.subject for one in partition.frontier(DUE + 1)] == ["b"]


def test_a_due_learnt_after_a_restart_within_a_burst_is_not_behind_the_checkpoint(partition: Partition) -> None:
    """It sorts before the last subject published, at the same instant or earlier: it is published all the same."""
    for name in ("m", "n"):
        partition.learn(placed(OPENED), about=name)
    partition.core.advance_to(DUE + 1)
    assert partition.core.fire_due(1)
    partition.commit()
    partition.restart()
    partition.learn(placed(OPENED), about="a")
    partition.learn(placed(OPENED - DAY), about="b")
    assert sorted(one.subject for one in partition.frontier(DUE + DAY)) == ["a", "b", "n"]


def test_a_restart_keeps_the_floor(partition: Partition) -> None:
    """A due learnt right after a restart waits as long as one learnt right before it."""
    partition.frontier(DUE + DAY)
    partition.core.floor = DUE + DAY + HOUR
    partition.commit()
    partition.restart()
    partition.learn(placed(OPENED))
    assert partition.frontier(DUE + DAY + HOUR) == []
    assert kinds(partition.frontier(DUE + DAY + HOUR + 1)) == ["breached"]


def test_timers_write_no_records(partition: Partition) -> None:
    """A breach is published and covered by the checkpoint; the record is as it was."""
    partition.learn(placed(OPENED))
    partition.core.advance_to(DUE + 1)
    partition.core.fire_due(10)
    batch = partition.core.take()
    assert (len(batch.publications), batch.changes) == (1, {})
    assert (batch.checkpoint.fire, batch.checkpoint.subject) == (DUE + 1, b"")


def test_a_fact_after_a_restart_knows_what_the_timers_had_published(partition: Partition) -> None:
    """The record says open, the checkpoint says published: the fact retracts, with the next revision."""
    partition.learn(placed(OPENED))
    partition.frontier(DUE + 1)
    partition.restart()
    (one,) = partition.learn(confirmed(DUE))
    assert (one.kind, one.revision) == ("retracted", 2)


def test_a_replay_of_facts_already_applied_publishes_nothing(partition: Partition) -> None:
    """Membership in the set of facts is the guard: no offset is."""
    story = [placed(OPENED), confirmed(DUE + 1), cancelled(DUE + 2)]
    partition.learn(*story)
    partition.frontier(DUE + DAY)
    assert partition.kinds() == ["breached", "fulfilled_late"]
    partition.restart()
    partition.core.set_next_offset(0)
    partition.learn(*story)
    partition.frontier(DUE + 2 * DAY)
    assert partition.kinds() == ["breached", "fulfilled_late"]
    assert partition.counted == {"duplicate": 3}


def test_a_replay_of_facts_long_forgotten_opens_nothing(partition: Partition) -> None:
    """After retention the record is gone; the opening is too old, and what follows it is an orphan past its time."""
    story = [placed(OPENED), confirmed(DUE + 1)]
    partition.learn(*story)
    partition.frontier(DUE + 401 * DAY)
    assert not partition.store
    partition.learn(*story)
    assert partition.counted == {"too_old": 2}
    assert not partition.store
    assert partition.kinds() == ["breached", "fulfilled_late"]


def test_an_orphan_leaves_after_its_time_with_a_tombstone(partition: Partition) -> None:
    """A fact that may still meet its opening is kept for `orphan_ttl`, not longer."""
    partition.learn(confirmed(OPENED))
    partition.frontier(OPENED + 30 * DAY)
    assert partition.store
    partition.core.advance_to(OPENED + 30 * DAY + 1)
    partition.core.fire_due(10)
    assert partition.core.take().changes == {subject_key(Subject("order_id", "A-17")): None}


def test_facts_that_a_running_cycle_needs_outlive_orphan_ttl(partition: Partition) -> None:
    """After a year the fact that kept a promise is still known: a duplicate of it changes nothing."""
    partition.learn(placed(OPENED, "o"), confirmed(OPENED + 1, "c"))
    partition.frontier(OPENED + 365 * DAY)
    partition.learn(confirmed(OPENED + 1, "c"))
    assert partition.counted == {"duplicate": 1}


def test_a_breached_promise_may_be_fulfilled_until_its_retention_ends(partition: Partition) -> None:
    """After 399 days it is a late fulfilment, after 401 it is nobody's."""
    partition.learn(placed(OPENED), about="in")
    partition.learn(placed(OPENED), about="out")
    partition.frontier(OPENED + 399 * DAY)
    assert kinds(partition.learn(confirmed(OPENED + 399 * DAY), about="in")) == ["fulfilled_late"]
    partition.frontier(OPENED + 401 * DAY)
    assert kinds(partition.learn(confirmed(OPENED + 401 * DAY), about="out")) == []


def test_cycles_leave_one_by_one() -> None:
    """Each has a retention of its own; the record goes with the last."""
    short = CONFIRM.replace("id: confirm,", "id: short, retention: 1d,")
    partition = Partition(book(CONFIRM + short))
    partition.learn(placed(OPENED))
    partition.frontier(DUE + 2 * DAY)
    (stored,) = partition.store.values()
    assert [cycle.promise for cycle in msgspec.json.decode(stored, type=Record).cycles] == ["confirm"]
    partition.frontier(DUE + 401 * DAY)
    assert not partition.store


def test_a_promise_fires_before_its_retention_ends_however_short_that_is() -> None:
    """A floor after the end of the retention: the breach is published first, then the cycle leaves."""
    partition = Partition(book(CONFIRM.replace("id: confirm,", "id: confirm, retention: 1h,")))
    partition.core.floor = DUE + DAY
    partition.learn(placed(OPENED))
    assert kinds(partition.frontier(DUE + DAY + 1)) == ["breached"]
    (stored,) = partition.store.values()
    assert msgspec.json.decode(stored, type=Record).cycles == []


def test_a_cycle_that_still_has_to_fire_does_not_leave_with_another_of_its_subject() -> None:
    """Its due was learnt late, so that its floor lies behind the end of its short retention: it is breached first."""
    short = (
        "- {id: short, retention: 1h, when: {event: order.paid}, due: {within: 15m}, expect: {event: order.shipped}}"
    )
    partition = Partition(book(CONFIRM + short))
    partition.learn(placed(OPENED))
    partition.core.floor = OPENED + HOUR
    partition.learn(fact("order.paid", OPENED - 61 * MINUTE))
    partition.frontier(OPENED + DAY)
    assert [(one.kind, one.promise) for one in partition.published] == [("breached", "confirm"), ("breached", "short")]


def test_retention_is_counted_from_the_opening_where_the_due_lies_before_it() -> None:
    """Notice three days before: a late one is still late a day after the debit."""
    notice = "- {id: n, retention: 2d, when: {event: debit}, due: {within: -3d}, expect: {event: notice, early: true}}"
    partition = Partition(book(notice))
    partition.learn(fact("debit", OPENED))
    partition.frontier(OPENED + DAY)
    assert kinds(partition.learn(fact("notice", OPENED + DAY))) == ["fulfilled_late"]


def test_a_promise_that_is_open_again_after_a_restart_has_a_timer(partition: Partition) -> None:
    """It was kept when its timer was rebuilt; then what kept it turned out to be something else."""
    partition.learn(placed(OPENED), confirmed(OPENED + 2, "c"))
    partition.restart()
    partition.learn(fact("order.placed", OPENED + 1, "c"))
    assert kinds(partition.frontier(DUE + 1)) == ["breached"]


def test_a_settled_cycle_keeps_one_timer(partition: Partition) -> None:
    """Thousands of kept promises leave one entry each, for the end of their retention."""
    for number in range(50):
        partition.learn(placed(OPENED), confirmed(OPENED + 1), about=f"s{number}")
    partition.frontier(DUE + DAY)
    assert partition.core.timers == 50


def test_reads_see_what_has_not_been_taken_yet(partition: Partition) -> None:
    """Two facts of one subject in one batch: the second one knows the first."""
    partition.learn(placed(OPENED, "o"), commit=False)
    partition.learn(confirmed(OPENED + 1), commit=False)
    assert kinds(partition.commit()) == ["kept"]


def test_a_batch_is_handed_out_once(partition: Partition) -> None:
    """After `take` there is nothing left to take but where we are."""
    partition.learn(placed(OPENED), confirmed(OPENED + 1), fact("unheard", OPENED))
    again = partition.core.take()
    assert (again.publications, again.changes, dict(again.counted)) == ([], {}, {})
    assert again.checkpoint.next_offset == 3


def test_the_checkpoint_says_how_far_the_partition_is(partition: Partition) -> None:
    """Frontier, next offset, bounds and the book, for whoever goes on."""
    partition.core.set_next_offset(7)
    partition.frontier(DUE)
    checkpoint = partition.checkpoint
    assert (checkpoint.format, checkpoint.sources, checkpoint.next_offset) == (RECORD_FORMAT, ("shop",), 7)
    assert (checkpoint.fire, checkpoint.subject, checkpoint.vector) == (DUE, b"", {"shop/0": DUE})
    assert checkpoint.book == partition.detector.book.digest
    partition.restart()
    assert (partition.core.frontier, partition.core.next_offset) == (DUE, 7)


def test_an_event_that_cannot_be_used_changes_nothing() -> None:
    """Its due cannot be read: the caller sends it to the dead letters and goes on."""
    partition = Partition(book(SLOT))
    with pytest.raises(EventError):
        partition.learn(fact("visit.made", OPENED, slot="soon"))
    assert (partition.core.pending, partition.core.next_offset) == (0, 0)


def test_what_is_about_history_is_marked_as_replay(partition: Partition) -> None:
    """By the instant it is about: the breach, the late fulfilment, or else the due."""
    partition.core.live_since = DUE + 1
    partition.learn(placed(OPENED), confirmed(DUE + 1))
    late = partition.frontier(DUE + DAY)
    kept = partition.learn(placed(OPENED + 1), confirmed(OPENED + 1), about="kept")
    assert [partition.core.mode(one) for one in [*late, *kept]] == ["replay", "live", "live"]


def test_a_record_of_another_format_is_refused_by_name(partition: Partition) -> None:
    """Guessing at state would publish nonsense."""
    partition.learn(placed(OPENED))
    (key,) = partition.store
    partition.store[key] = b'[2,"whatever"]'
    expected = "partition 0, the record of 'order_id A-17': found state of format 2, expected format 1"
    with pytest.raises(StateError, match=expected):
        partition.restart()
    with pytest.raises(StateError, match=expected):
        partition.learn(confirmed(OPENED))


@pytest.mark.parametrize("value", [b"", b"\xff\xfe", b"{}", b"[1,2,3]", b"null"])
def test_a_record_that_is_none_is_refused(partition: Partition, value: bytes) -> None:
    """Whatever lies there: an error with a name, not a crash."""
    partition.store[subject_key(Subject("order_id", "A-17"))] = value
    with pytest.raises(StateError, match="the record of 'order_id A-17'"):
        partition.restart()


def test_a_checkpoint_of_another_format_is_refused(partition: Partition) -> None:
    """So is where to go on from."""
    checkpoint = msgspec.structs.replace(start(), format=9)
    with pytest.raises(StateError, match="found state of format 9, expected format 1"):
        PartitionDetector(partition.detector, {}.get, checkpoint)


def test_a_promise_that_the_book_has_lost_is_refused_while_it_runs(partition: Partition) -> None:
    """The customer was promised it: the message says what to keep, and until when."""
    partition.learn(placed(OPENED))
    with pytest.raises(StateError, match="promise 'confirm' has running cycles, but the book has lost it"):
        partition.restart(book(CONFIRM.replace("id: confirm", "id: other")))
    with pytest.raises(StateError, match="put version 1 back into the book until its cycles have ended"):
        partition.restart(book(CONFIRM.replace("id: confirm", "id: confirm, version: 2")))


def test_a_rebuild_skips_what_is_not_a_subject(partition: Partition) -> None:
    """The checkpoint lies beside the records."""
    partition.learn(placed(OPENED))
    partition.store[CHECKPOINT_KEY] = b"not a record"
    partition.restart()
    assert partition.core.timers == 1


def test_a_shorter_orphan_ttl_in_a_new_book_clears_what_is_over_it(partition: Partition) -> None:
    """The time an orphan has is read off the book of today: what is past it leaves at the next tick."""
    partition.learn(confirmed(OPENED))
    partition.frontier(OPENED + 10 * DAY)
    partition.restart(book(CONFIRM.replace("id: confirm,", "id: confirm, orphan_ttl: 1d,")))
    partition.frontier(OPENED + 10 * DAY + 10)
    assert not partition.store


def test_a_subject_is_stored_under_a_key_that_says_who_it_is() -> None:
    """The key name and the value, and back."""
    subject = Subject("order_id", "Ä-17\x1f!")
    assert subject_of(subject_key(subject)) == subject
    assert not subject_key(subject).startswith(CHECKPOINT_KEY[:1])


def test_the_first_checkpoint_publishes_nothing_by_itself() -> None:
    """An empty partition with a frontier far back has nothing to say."""
    partition = Partition(book(), start(frontier=ALWAYS))
    published: list[Publication] = partition.frontier(DUE)
    assert published == []
