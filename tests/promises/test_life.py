"""The life of a promise: opened, settled, breached, taken back; and what opens nothing at all."""

import pytest

from tests.promises.builders import (
    CONFIRM,
    DAY,
    DUE,
    HOUR,
    MINUTE,
    OPENED,
    SLOT,
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

EARLY = """
- {id: handover, when: {event: payment.approved}, due: {within: 1h}, expect: {event: parcel.handed, early: true}}
"""


def breached(partition: Partition) -> Partition:
    """An order placed at OPENED whose confirmation did not come."""
    partition.learn(placed(OPENED, "o"))
    assert kinds(partition.frontier(DUE + HOUR)) == ["breached"]
    return partition


def test_opening_publishes_nothing(partition: Partition) -> None:
    """A running promise is not news."""
    assert partition.learn(placed(OPENED)) == []


def test_a_breach_tells_what_was_promised_and_what_is_known(partition: Partition) -> None:
    """Everything a reader of the event needs, with the due as the instant of the breach."""
    partition.learn(placed(OPENED, "o"), cancelled(DUE + 1, "x"))
    (one,) = partition.frontier(DUE + HOUR)
    assert (one.kind, one.status) == ("breached", "breached")
    assert (one.promise, one.version, one.severity) == ("confirm", 1, "medium")
    assert (one.key, one.subject, one.cycle, one.opening.id) == ("order_id", "A-17", "o", "o")
    assert (one.opened_at, one.due, one.breached_at) == (OPENED, DUE, DUE)
    assert (one.fulfilled_at, one.late_by_ms, one.reason) == (None, None, None)
    assert one.expected == "message.sent"
    assert [known.id for known in one.facts] == ["o", "x"]
    assert one.revision == 1


def test_kept_is_published_as_soon_as_it_is_known(partition: Partition) -> None:
    """Evidence needs no waiting; only absence does."""
    (one,) = partition.learn(placed(OPENED), confirmed(OPENED + MINUTE))
    assert (one.kind, one.status, one.fulfilled_at, one.revision) == ("outcome", "kept", OPENED + MINUTE, 1)
    assert partition.frontier(DUE + DAY) == []


def test_a_late_fulfilment_known_before_the_proof_waits_for_it(partition: Partition) -> None:
    """An earlier fulfilment may still come: nothing is late before the frontier has passed the due."""
    assert partition.learn(placed(OPENED), confirmed(DUE + MINUTE)) == []
    assert partition.frontier(DUE) == []
    assert kinds(partition.learn(confirmed(DUE))) == ["kept"]


def test_a_late_fulfilment_after_the_breach_says_how_late(partition: Partition) -> None:
    """Breached first, then fulfilled late, one revision later."""
    (one,) = breached(partition).learn(confirmed(DUE + MINUTE))
    assert (one.kind, one.status, one.revision) == ("fulfilled_late", "fulfilled_late", 2)
    assert (one.breached_at, one.fulfilled_at, one.late_by_ms) == (DUE, DUE + MINUTE, MINUTE)


def test_an_earlier_late_fulfilment_corrects_the_one_published(partition: Partition) -> None:
    """The first fulfilment counts, whichever became known first; each publication has an id of its own."""
    late = breached(partition).learn(confirmed(DUE + 2 * MINUTE), confirmed(DUE + MINUTE), confirmed(DUE + 3 * MINUTE))
    assert [(one.kind, one.late_by_ms, one.revision) for one in late] == [
        ("fulfilled_late", 2 * MINUTE, 2),
        ("fulfilled_late", MINUTE, 3),
    ]
    assert late[0].id != late[1].id


def test_evidence_in_time_that_comes_late_retracts_the_breach(partition: Partition) -> None:
    """What was published is not edited: a retraction with a higher revision follows."""
    (one,) = breached(partition).learn(confirmed(DUE))
    assert (one.kind, one.status, one.reason, one.revision) == ("retracted", "kept", "fulfilled_in_time", 2)
    assert (one.breached_at, one.fulfilled_at) == (None, DUE)


def test_a_release_in_time_that_comes_late_retracts_the_breach(partition: Partition) -> None:
    """The customer had cancelled before it was due."""
    (one,) = breached(partition).learn(cancelled(DUE))
    assert (one.kind, one.status, one.reason) == ("retracted", "released", "released_in_time")


def test_a_late_fulfilment_is_retracted_too(partition: Partition) -> None:
    """Breached, fulfilled late, and then it turns out that it had been in time."""
    breached(partition).learn(confirmed(DUE + 1), confirmed(DUE))
    assert partition.kinds() == ["breached", "fulfilled_late", "retracted"]
    assert [one.revision for one in partition.published] == [1, 2, 3]


def test_an_earlier_fulfilment_of_a_kept_promise_is_a_new_outcome(partition: Partition) -> None:
    """Kept stays kept, but since when has changed; a later fulfilment changes nothing."""
    partition.learn(placed(OPENED), confirmed(OPENED + 2), confirmed(OPENED + 1), confirmed(OPENED + 3))
    assert [(one.status, one.fulfilled_at, one.revision) for one in partition.published] == [
        ("kept", OPENED + 2, 1),
        ("kept", OPENED + 1, 2),
    ]


def test_a_fulfilment_before_the_known_release_turns_released_into_kept(partition: Partition) -> None:
    """Cancelled after it had been confirmed: the promise was kept."""
    partition.learn(placed(OPENED), cancelled(OPENED + 2), confirmed(OPENED + 1))
    assert partition.kinds() == ["released", "kept"]


def test_an_older_opening_voids_the_cycle_and_runs_its_own(partition: Partition) -> None:
    """The breach of an opening that was not the first is taken back, and the first one is judged."""
    breached(partition).learn(placed(OPENED - HOUR, "older"))
    (retracted,) = partition.published[1:]
    assert (retracted.kind, retracted.status, retracted.reason) == ("retracted", "void", "opening_changed")
    assert (retracted.cycle, retracted.opening.id) == ("o", "o")
    (again,) = partition.frontier(DUE + 2 * HOUR)
    assert (again.kind, again.cycle, again.due, again.revision) == ("breached", "older", DUE - HOUR, 1)


def test_an_older_opening_of_an_unpublished_cycle_is_silent(partition: Partition) -> None:
    """Nothing was said, so nothing is taken back."""
    assert partition.learn(placed(OPENED, "o"), placed(OPENED - 1, "older")) == []
    assert [one.cycle for one in partition.frontier(DUE + 1)] == ["older"]


def test_an_older_opening_voids_a_kept_cycle_with_an_outcome(partition: Partition) -> None:
    """Nobody was told of a breach, so nothing is retracted; reports have to know all the same."""
    partition.learn(placed(OPENED, "o"), confirmed(OPENED + 1), placed(OPENED - 1, "older"))
    assert [(one.status, one.cycle) for one in partition.published] == [("kept", "o"), ("void", "o"), ("kept", "older")]


def test_facts_that_came_before_their_opening_count(partition: Partition) -> None:
    """Order of arrival is nothing."""
    assert kinds(partition.learn(confirmed(OPENED + 1), placed(OPENED))) == ["kept"]


def test_early_promises_are_kept_by_what_happened_long_before() -> None:
    """Handed over a week before the payment was approved."""
    partition = Partition(book(EARLY))
    partition.learn(fact("parcel.handed", OPENED - 7 * DAY), fact("payment.approved", OPENED))
    assert partition.kinds() == ["kept"]


def test_a_later_opening_changes_nothing(partition: Partition) -> None:
    """Only the first ever counts."""
    partition.learn(placed(OPENED, "o"), placed(OPENED + MINUTE, "later"), confirmed(DUE + 1))
    partition.frontier(DUE + DAY)
    assert [(one.kind, one.cycle) for one in partition.published] == [("breached", "o"), ("fulfilled_late", "o")]


def test_where_is_equality_of_values_and_types() -> None:
    """`true` is not 1, "1" is not 1, and what is missing is not null."""
    promise = "- {id: p, when: {event: e, where: {v: 1}}, due: {within: 1h}, expect: {event: d}}"
    partition = Partition(book(promise))
    for name, data in {"int": {"v": 1}, "bool": {"v": True}, "text": {"v": "1"}, "none": {"v": None}, "no": {}}.items():
        partition.learn(fact("e", OPENED, **data), about=name)
    assert [one.subject for one in partition.frontier(OPENED + DAY)] == ["int"]


def test_one_fact_may_concern_several_promises() -> None:
    """Each is judged on its own, in the order of the book."""
    second = CONFIRM.replace("id: confirm", "id: hour").replace("within: 15m", "within: 1h")
    partition = Partition(book(CONFIRM + second))
    partition.learn(placed(OPENED), confirmed(DUE + 1))
    assert [(one.promise, one.status) for one in partition.published] == [("hour", "kept")]
    partition.frontier(OPENED + DAY)
    assert [(one.promise, one.kind) for one in partition.published[1:]] == [
        ("confirm", "breached"),
        ("confirm", "fulfilled_late"),
    ]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (fact("visit.made", OPENED), "no_due"),
        (fact("visit.made", OPENED, slot=None), "no_due"),
        (fact("visit.made", OPENED, slot="2026-05-03"), "born_overdue"),
        (fact("visit.unheard", OPENED), "unknown_type"),
    ],
)
def test_what_opens_nothing_is_counted_by_its_reason_and_not_kept(event: object, reason: str) -> None:
    """Nothing is stored about a subject that has no promise."""
    partition = Partition(book(SLOT))
    partition.learn(event)  # type: ignore[arg-type]
    assert partition.counted == {reason: 1}
    assert not partition.store


def test_a_fact_that_no_promise_asks_for_is_irrelevant_and_not_kept(partition: Partition) -> None:
    """A message of another kind than a confirmation."""
    partition.learn(fact("message.sent", OPENED, kind="advert"))
    assert partition.counted == {"irrelevant": 1}
    assert not partition.store


def test_nothing_opens_before_the_first_version_is_in_force() -> None:
    """A promise that did not exist yet was not made."""
    promise = CONFIRM.replace("id: confirm,", 'id: confirm, effective_from: "2026-06-01",')
    partition = Partition(book(promise))
    partition.learn(placed(OPENED))
    assert partition.counted == {"not_effective": 1}
    assert partition.frontier("2026-07-01 00:00") == []


def test_a_running_promise_stays_under_the_version_it_opened_with() -> None:
    """The customer was promised the old text: what comes later is judged by it."""
    versions = """
- {id: p, version: 1, when: {event: e}, due: {within: 2h}, expect: {event: old}}
- {id: p, version: 2, effective_from: "2026-05-04T10:30:00", when: {event: e}, due: {within: 1h}, expect: {event: new}}
"""
    partition = Partition(book(versions))
    partition.learn(fact("e", OPENED), fact("new", OPENED + MINUTE), fact("old", OPENED + HOUR))
    assert [(one.version, one.status, one.fulfilled_at) for one in partition.published] == [(1, "kept", OPENED + HOUR)]


def test_nothing_early_opens_within_orphan_ttl_of_the_first_known_instant() -> None:
    """What such a promise waits for may have come, and have been forgotten, before that."""
    partition = Partition(book(EARLY), start(known_since=OPENED - 30 * DAY + 1))
    partition.learn(fact("payment.approved", OPENED))
    assert partition.counted == {"before_known": 1}
    partition.learn(fact("payment.approved", OPENED + 1), about="later")
    assert [one.subject for one in partition.frontier(OPENED + DAY)] == ["later"]


def test_a_due_learnt_late_waits_for_the_floor(partition: Partition) -> None:
    """An old opening that arrives now is not breached before what was on its way with it has been read."""
    partition.frontier(DUE + DAY)
    partition.core.floor = DUE + DAY + HOUR
    partition.learn(placed(OPENED, "o"))
    assert partition.frontier(DUE + DAY + HOUR) == []
    (one,) = partition.frontier(DUE + DAY + HOUR + 1)
    assert (one.kind, one.due, one.breached_at) == ("breached", DUE, DUE)


def test_a_due_learnt_late_can_still_be_kept(partition: Partition) -> None:
    """Between its due and its floor the confirmation arrives: no breach is ever published."""
    partition.frontier(DUE + DAY)
    partition.core.floor = DUE + DAY + HOUR
    partition.learn(placed(OPENED, "o"))
    partition.frontier(DUE + DAY + HOUR)
    partition.learn(confirmed(OPENED + 1))
    partition.frontier(DUE + 2 * DAY)
    assert partition.kinds() == ["kept"]


class TestTwoContentsUnderOneId:
    """The smallest (time, bytes) wins, whichever came first, and everything published follows from it."""

    def test_the_smaller_content_replaces_the_larger(self, partition: Partition) -> None:
        """The confirmation turns out to be an hour older than was said: since when it is kept moves."""
        partition.learn(placed(OPENED), *(confirmed(OPENED + later, "c") for later in (2, 1, 3)))
        assert [one.fulfilled_at for one in partition.published] == [OPENED + 2, OPENED + 1]
        assert partition.counted == {"conflict": 2}

    def test_a_kept_promise_can_be_open_again_and_then_be_broken(self, partition: Partition) -> None:
        """What kept it becomes a cancellation dated after... nothing: it is open, and its timer is there."""
        partition.learn(placed(OPENED, "o"), confirmed(OPENED + 2, "c"))
        partition.learn(fact("order.placed", OPENED + 1, "c"))
        assert partition.kinds() == ["kept", "open"]
        assert kinds(partition.frontier(DUE + 1)) == ["breached"]
        assert [one.revision for one in partition.published] == [1, 2, 3]

    def test_a_breach_after_a_retraction_is_published_again_under_another_id(self, partition: Partition) -> None:
        """Breached, retracted, and the evidence for that turns out to be something else."""
        breached(partition).learn(confirmed(OPENED + 2, "c"), fact("order.placed", OPENED + 1, "c"))
        assert partition.kinds() == ["breached", "retracted", "breached"]
        assert partition.published[0].id != partition.published[2].id
        assert len({one.outcome_id for one in partition.published}) == 3

    def test_a_late_fulfilment_can_be_taken_back(self, partition: Partition) -> None:
        """What came late was something else: the promise is broken and not fulfilled."""
        breached(partition).learn(confirmed(DUE + 2, "c"), fact("order.cancelled", DUE + 1, "c"))
        assert partition.kinds() == ["breached", "fulfilled_late", "breached"]

    def test_an_opening_with_other_content_starts_its_cycle_anew(self) -> None:
        """Another slot under the same event id: the breach is retracted, the cycle runs to its new due."""
        partition = Partition(book(SLOT))
        partition.learn(fact("visit.made", OPENED, "v", slot="2026-05-04T12:00:00"))
        assert kinds(partition.frontier("2026-05-04 13:00")) == ["breached"]
        partition.learn(fact("visit.made", OPENED, "v", slot="2026-05-04T11:00:00"))
        assert partition.kinds() == ["breached", "retracted", "open"]
        (again,) = partition.frontier("2026-05-04 14:00")
        assert (again.due, again.cycle, again.revision) == (at("2026-05-04 11:00"), "v", 4)
        assert len({one.id for one in partition.published}) == 4

    def test_an_opening_that_becomes_something_else_gives_way_to_the_next(self, partition: Partition) -> None:
        """The second opening counts if the first one turns out not to be one."""
        partition.learn(placed(OPENED, "a"), placed(OPENED + 1, "b"), confirmed(OPENED, "a"))
        (one,) = partition.published
        assert (one.status, one.cycle) == ("kept", "b")

    def test_a_voided_cycle_that_runs_again_goes_on_counting(self, partition: Partition) -> None:
        """Its second breach is not the first one again: another id, a higher revision."""
        breached(partition).learn(placed(OPENED - HOUR, "z"))
        partition.learn(fact("order.cancelled", OPENED - 2 * HOUR, "z"))
        assert partition.kinds()[:2] == ["breached", "retracted"]
        partition.frontier(DUE + 2 * HOUR)
        mine = [one for one in partition.published if one.cycle == "o"]
        assert [one.kind for one in mine] == ["breached", "retracted", "outcome", "breached"]
        assert [one.revision for one in mine] == [1, 2, 3, 4]
        assert len({one.outcome_id for one in mine}) == 4
        assert partition.final() == {("confirm", "A-17", "o"): ("breached", None)}

    def test_the_larger_content_changes_nothing(self, partition: Partition) -> None:
        """It is counted, not stored."""
        partition.learn(placed(OPENED, "o"), confirmed(OPENED + 1, "c"))
        before = dict(partition.store)
        partition.learn(confirmed(OPENED + 2, "c"))
        assert partition.counted == {"conflict": 1}
        assert partition.store == before
