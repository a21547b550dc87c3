"""Gaps: facts that expired unread. What runs across one is held, never broken; what opens later is judged as ever."""

import json
from collections import Counter
from types import SimpleNamespace

import msgspec
import pytest

from promises.borders import unprovable
from promises.gaps import ENDLESS, ended, unsure_from, with_gap
from promises.partition import UNKNOWN
from schemas.decoding import Decoder
from schemas.instants import format_instant
from schemas.records import decode_checkpoint, encode_checkpoint
from tests.promises.builders import (
    CONFIRM,
    DAY,
    DUE,
    HOUR,
    MINUTE,
    OPENED,
    Partition,
    book,
    confirmed,
    fact,
    kinds,
    placed,
    start,
)

SINCE, UNTIL = OPENED + 10 * MINUTE, OPENED + 2 * HOUR
SKEW = 5 * MINUTE
GENERAL = """
- {id: confirm, title: Confirmed, when: {event: order.placed, again: true}, due: {within: 15m}, warn: [-2m],
   expect: {event: message.sent, where: {kind: confirmation}}, release: {event: order.cancelled}}
- {id: sorry, title: Told that it is late, when: {breach_of: confirm}, due: {within: 1h}, expect: {event: told}}
"""
KINDS = pytest.mark.parametrize("promises", [CONFIRM, GENERAL], ids=["simple", "general"])


def running(promises: str, *, restart: bool = True) -> Partition:
    """An order runs, everything until SINCE is known, and what happened from then until UNTIL got lost."""
    p = Partition(book(promises))
    p.learn(placed(OPENED, "order"))
    p.frontier(SINCE)
    assert p.core.add_gap(SINCE, UNTIL)
    p.commit()
    if restart:
        p.restart()
    return p


@KINDS
def test_what_runs_across_a_gap_is_held_instead_of_broken(promises: str) -> None:
    """Its confirmation may be among what was lost: neither a breach nor a warning nor a remedy, but it is listed."""
    p = running(promises)
    assert p.core.held() == Counter(confirm=1)
    (one,) = p.frontier(UNTIL)
    assert (one.kind, one.status, one.promise, one.revision) == ("outcome", "held", "confirm", 1)
    assert (one.breached_at, one.due) == (None, DUE)
    p.restart()
    assert p.core.held() == Counter()
    assert p.frontier(UNTIL + DAY) == []


@KINDS
def test_nothing_is_said_of_what_is_held_before_its_due_is_proved(promises: str) -> None:
    p = running(promises)
    assert p.frontier(DUE) == []
    assert kinds(p.frontier(DUE + 1)) == ["held"]


@KINDS
def test_evidence_keeps_what_is_held(promises: str) -> None:
    """Before it is listed and after."""
    p = running(promises)
    assert kinds(p.learn(confirmed(DUE))) == ["kept"]
    assert p.frontier(UNTIL + DAY) == []
    p = running(promises)
    p.frontier(UNTIL)
    (one,) = p.learn(confirmed(DUE))
    assert (one.kind, one.status, one.revision) == ("outcome", "kept", 2)


@KINDS
def test_what_is_held_is_never_late(promises: str) -> None:
    """It may have been kept before."""
    p = running(promises)
    p.learn(confirmed(DUE + 1))
    assert kinds(p.frontier(UNTIL)) == ["held"]
    assert p.learn(confirmed(DUE + 2)) == []
    p.restart()
    assert p.learn(confirmed(DUE + 3)) == []


@KINDS
def test_what_was_due_before_the_gap_is_broken(promises: str) -> None:
    """Everything that happened until then is known. What is due as it begins is held: that instant belongs to it."""
    for since, expected in ((DUE, "held"), (DUE + 1, "breached")):
        p = Partition(book(promises))
        p.learn(placed(OPENED, "order"))
        p.frontier(DUE)
        p.core.add_gap(since, UNTIL)
        p.restart() if since == 0 else p.commit()
        assert [one.status for one in p.frontier(UNTIL) if one.promise == "confirm" and one.kind != "at_risk"] == [
            expected
        ]


@KINDS
def test_what_was_broken_before_a_gap_stays_so(promises: str) -> None:
    """Also if its breach was the last thing published, and what comes then is judged as ever."""
    p = Partition(book(promises))
    p.learn(placed(OPENED, "order"))
    p.frontier(DUE + 1)
    p.core.add_gap(OPENED, UNTIL)
    p.commit()
    p.restart()
    assert "retracted" not in kinds(p.frontier(UNTIL))
    assert [one.kind for one in p.learn(confirmed(DUE))][:1] == ["retracted"]


@KINDS
def test_a_breach_published_with_the_very_slice_before_a_gap_stays(promises: str) -> None:
    """Of two orders due at one instant only the first was told of; all is known of that instant."""
    p = Partition(book(promises))
    p.learn(placed(OPENED, "a"), about="A")
    p.learn(placed(OPENED, "b"), about="B")
    p.core.advance_to(DUE + 1)
    p.core.fire_due(1 if promises == CONFIRM else 3)
    first = [one.subject for one in p.commit() if one.kind == "breached"]
    assert first == ["A"]
    p.restart()
    assert p.core.frontier == DUE
    p.core.add_gap(p.core.frontier, UNTIL)
    assert [(one.subject, one.kind) for one in p.frontier(DUE + 1) if one.kind != "at_risk"] == [("B", "breached")]
    assert [one.kind for one in p.learn(confirmed(DUE), about="A")][:1] == ["retracted"]


@KINDS
def test_nothing_opens_before_the_end_of_a_gap_and_after_it_all_is_as_ever(promises: str) -> None:
    """What opens within the skew after it may have been kept by something lost, and is held too."""
    p = Partition(book(promises))
    p.frontier(SINCE)
    p.core.add_gap(SINCE, UNTIL)
    p.learn(placed(UNTIL - 1), about="lost")
    p.learn(placed(UNTIL), about="first")
    p.learn(placed(UNTIL + SKEW - 1), about="last")
    p.learn(placed(UNTIL + SKEW), about="other")
    assert p.counted["before_known"] == 1
    found = [
        (one.subject, one.status)
        for one in p.frontier(UNTIL + DAY)
        if one.promise == "confirm" and one.kind != "at_risk"
    ]
    assert found == [("first", "held"), ("last", "held"), ("other", "breached")]


def test_what_may_have_been_kept_already_leaves_a_fulfilment_to_what_surely_was_not() -> None:
    """Of two orders one runs across the gap: given to that one, the confirmation would break the other for nothing."""
    p = running(GENERAL.replace("15m", "5h"))
    p.learn(placed(UNTIL + HOUR, "later"), confirmed(UNTIL + 2 * HOUR))
    found = {one.cycle: one.status for one in [*p.published, *p.frontier(UNTIL + DAY)] if one.promise == "confirm"}
    assert found == {"order": "held", "later": "kept"}


def test_what_was_not_to_happen_is_held_also_if_it_happens_after_the_gap() -> None:
    """It may have been allowed by then; and that it did not happen is not known either."""
    text = "- {id: p, when: {event: o}, due: {within: 5h}, forbid: {event: f}, until: {event: u}}"
    for later in ([], [fact("f", UNTIL + HOUR)]):
        p = Partition(book(text))
        p.learn(fact("o", OPENED, "a"))
        p.frontier(SINCE)
        p.core.add_gap(SINCE, UNTIL)
        p.learn(*later)
        assert kinds(p.frontier(UNTIL + DAY)) == ["held"]


def test_a_due_moved_beyond_the_gap_is_held_and_one_moved_before_it_is_broken() -> None:
    """The re-promise is known either way; whether the visit came is known only before the gap."""
    text = """
- {id: p, when: {event: o}, due: {field: slot}, expect: {event: f}, repromise: {event: r, field: slot, max: 9}}
"""
    for slot, expected in (("2026-05-04T10:09:59+02:00", "breached"), ("2026-05-04T19:00:00+02:00", "held")):
        p = Partition(book(text))
        p.learn(fact("o", OPENED, "a", slot="2026-05-04T10:05:00+02:00"))
        p.frontier(OPENED)
        p.core.add_gap(SINCE, UNTIL)
        p.learn(fact("r", OPENED + MINUTE, slot=slot))
        assert [one.status for one in p.frontier(UNTIL + DAY)] == [expected]


def test_a_gap_ends_a_settle_after_the_first_fact_that_comes() -> None:
    """Until that is there nothing opens, and what runs is held; a restart in between changes nothing."""
    p = Partition(book())
    p.learn(placed(OPENED, "order"))
    p.frontier(SINCE)
    p.core.add_gap(SINCE)
    p.commit()
    assert p.core.gaps == ((SINCE, UNKNOWN),)
    assert p.core.known_since == UNKNOWN
    p.restart()
    assert kinds(p.frontier(DUE + 1)) == ["held"]
    first = {"event_id": "x", "type": "order.placed", "occurred_at": format_instant(UNTIL - MINUTE), "order_id": "B"}
    records = [SimpleNamespace(value=json.dumps(first).encode(), offset=7, headers=[])]
    decoder = Decoder(p.detector.book).source("shop")
    assert p.core.take_in(decoder, records, 0, 1, UNTIL, MINUTE) == (1, None)
    p.commit()
    p.restart()
    assert p.core.gaps == ((SINCE, UNTIL),)
    assert p.core.known_since == UNTIL


def test_a_gap_leaves_with_the_last_cycle_that_looks_back_to_it_once_no_other_can_open() -> None:
    """That nothing opens before its end stays."""
    p = running(
        "- {id: p, retention: 10d, orphan_ttl: 2h, when: {event: order.placed}, due: {within: 15m}, expect: {event: f}}"
    )
    p.frontier(DUE + 10 * DAY + 1)
    assert p.store == {}
    p.restart()
    assert p.core.gaps == ((SINCE, UNTIL),)
    p.learn(placed(UNTIL), about="just after it")
    p.frontier(UNTIL + SKEW + 10 * DAY)
    p.restart()
    assert p.core.gaps == ((SINCE, UNTIL),)
    p.frontier(UNTIL + 15 * MINUTE + 10 * DAY + 1)
    assert p.store == {}
    p.restart()
    p.commit()
    assert (*p.core.gaps, *p.checkpoint.gaps) == ()
    assert p.core.known_since == p.checkpoint.known_since == UNTIL


def test_a_gap_that_is_told_again_is_no_news() -> None:
    p = running(CONFIRM)
    assert not p.core.add_gap(SINCE, UNTIL)
    assert p.core.add_gap(SINCE, UNTIL + 1)
    assert p.core.gaps == ((SINCE, UNTIL + 1),)
    p.frontier(UNTIL)
    assert not p.core.add_gap(SINCE, UNTIL + 1)
    assert p.core.gaps == ((SINCE, UNTIL + 1),)


def test_a_gap_before_everything_that_is_judged_only_says_since_when_all_is_known() -> None:
    p = Partition(book(), start(known_since=5))
    p.frontier(SINCE)
    assert p.core.add_gap(10, SINCE)
    assert (p.core.gaps, p.core.known_since) == ((), SINCE)


def test_gaps_that_touch_are_one() -> None:
    assert with_gap(((1, 5), (20, 30)), 5, 8) == ((1, 8), (20, 30))
    assert with_gap(((1, 5), (20, 30)), 6, 8) == ((1, 5), (6, 8), (20, 30))
    assert with_gap(((1, 5), (20, 30)), 2, 25) == ((1, 30),)


def test_a_gap_holds_what_looks_at_something_before_its_end() -> None:
    gaps = ((10, 20), (30, 40))
    assert [unsure_from(gaps, instant) for instant in (19, 20, 39, 40)] == [10, 30, 30, ENDLESS]


def test_at_the_beginning_of_a_gap_nothing_is_proved() -> None:
    """Before it all is known: what was due a millisecond earlier is settled."""
    assert unprovable(10, 10)
    assert not unprovable(9, 10)


def test_a_gap_does_not_end_before_it_begins() -> None:
    assert ended(((1, 5), (10, ENDLESS)), 7) == ((1, 5), (10, 10))


def test_a_checkpoint_of_before_there_were_gaps_is_read() -> None:
    p = running(CONFIRM)
    stored = encode_checkpoint(p.checkpoint)
    assert decode_checkpoint(stored, "test") == p.checkpoint
    older = msgspec.json.encode(msgspec.json.decode(stored)[:-1])
    assert decode_checkpoint(older, "test").gaps == ()
