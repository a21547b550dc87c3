"""What is told of a subject: exactly what has been published, and what each promise still waits for."""

# ruff: noqa: E501 - promises on one line each

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promises.detector import Detector, subject_key
from promises.subjects import Kept, SubjectTeller, Topics, facts_told
from schemas.editions import editions_of
from schemas.facts import Fact, Subject
from schemas.instants import format_instant
from schemas.publications import Publication
from schemas.records import Record
from schemas.subjects import SubjectPromise
from tests.promises.builders import (
    CONFIRM,
    DUE,
    MINUTE,
    OPENED,
    Partition,
    at,
    book,
    cancelled,
    confirmed,
    fact,
    placed,
)  # fmt: skip
from tests.promises.test_general_invariance import BOOKS, Known, stories

TOPICS = Topics("breaches", "outcomes")
LASTING = ["pauses", "sharing", "statuses"]
"""Books whose cycles are all still there in the end: what has left the store may come again under the same name."""


def kept(partition: Partition, about: str = "A-17") -> Kept | None:
    """What the store has about a subject."""
    value = partition.store.get(subject_key(Subject("order_id", about)))
    if value is None:
        return None
    checkpoint = partition.checkpoint
    record = msgspec.json.decode(value, type=Record)
    moment, frontier = (checkpoint.fire, checkpoint.subject), partition.core.frontier
    return Kept(record, moment, frontier, checkpoint.known_since, checkpoint.gaps)


def told(partition: Partition, about: str = "A-17", silent: frozenset[str] = frozenset()) -> list[SubjectPromise]:
    found = kept(partition, about)
    teller = SubjectTeller(partition.detector, TOPICS)
    return [] if found is None else teller.promises(Subject("order_id", about), found, silent)


def only(partition: Partition) -> SubjectPromise:
    (found,) = told(partition)
    return found


def opened(promises: str, *facts: Fact, frontier: str | int = OPENED) -> Partition:
    """A partition with an order placed at 10:00 on Monday 4 May, and these facts."""
    partition = Partition(book(promises))
    partition.learn(placed(OPENED, "o1"), *facts)
    partition.frontier(frontier)
    return partition


def published_as(partition: Partition, about: str) -> dict[tuple[str, str], list[Publication]]:
    """What was published about a subject, by promise and cycle."""
    found: dict[tuple[str, str], list[Publication]] = {}
    for one in partition.published:
        if one.subject == about:
            found.setdefault((one.promise, one.cycle), []).append(one)
    return found


def check_as_published(partition: Partition, about: str) -> None:
    """Status, revision and ids of everything told are those of what was published."""
    published = published_as(partition, about)
    for one in told(partition, about):
        said = published.get((one.promise, one.cycle), [])
        verdicts = [each for each in said if each.kind != "at_risk"]
        assert one.status == (max(verdicts, key=lambda each: each.revision).status if verdicts else "open")
        assert one.revision == max((each.revision for each in said), default=0)
        ids = {each.id for each in said if each.kind != "outcome"} | {each.outcome_id for each in verdicts}
        assert {each.id for each in one.published} == ids
        assert len(one.published) == len(ids)


@given(st.sampled_from(LASTING), stories(), st.lists(st.integers(0, 16), max_size=4), st.booleans())
@settings(max_examples=300, deadline=None)
def test_what_is_told_is_what_was_published(made: str, story: list[Known], quarters: list[int], restart: bool) -> None:
    """Whatever came in whatever order, and whether timers or facts made it known: told at every commit."""
    partition = Partition(BOOKS[made])
    for number, (about, one) in enumerate(story):
        partition.learn(one, about=about)
        if number < len(quarters):
            partition.frontier(max(partition.core.frontier, OPENED + quarters[number] * 15 * MINUTE))
        for subject in "AB":
            check_as_published(partition, subject)
    partition.frontier("2026-05-04 16:00")
    if restart:
        partition.restart()
    for subject in "AB":
        check_as_published(partition, subject)


@given(stories(), st.booleans())
@settings(max_examples=100, deadline=None)
def test_a_verdict_is_told_in_words_that_name_it(story: list[Known], settled: bool) -> None:
    """No run of a promise is without a sentence, and it begins with how the run stands."""
    partition = Partition(BOOKS["pauses"])
    for about, one in story:
        partition.learn(one, about=about)
    partition.frontier("2026-05-04 16:00" if settled else OPENED)
    begins = {"breached": "broken", "fulfilled_late": "fulfilled"}
    for one in told(partition, "A"):
        assert one.text.startswith(begins.get(one.status, one.status))


def test_a_running_promise_says_what_it_waits_for() -> None:
    """What is awaited, until when, and up to when everything is known."""
    found = only(opened(CONFIRM, frontier=OPENED + MINUTE))
    assert (found.status, found.awaits, found.revision, found.published) == ("open", "message.sent", 0, [])
    assert found.text == "open: due Mon 4 May 2026 10:15 (Europe/Amsterdam), so far no message.sent"
    assert (found.first_due, found.due) == (format_instant(DUE), format_instant(DUE))
    assert found.judged_at == format_instant(DUE)
    assert found.known_until == format_instant(OPENED + MINUTE)
    assert (found.opened_by.id, found.cycle, found.title) == ("o1", "o1", "Confirmed within 15 minutes")


def test_a_breach_by_a_timer_is_told_though_no_record_was_written_since() -> None:
    """Of simple promises only the checkpoint says that it was published."""
    partition = opened(CONFIRM)
    (breach,) = partition.frontier(DUE + 1)
    found = only(partition)
    assert kept(partition).record.cycles[0].status == "open"
    assert (found.status, found.revision, found.awaits) == ("breached", 1, "message.sent")
    assert [(one.kind, one.topic, one.id) for one in found.published] == [
        ("outcome", "outcomes", breach.outcome_id), ("breached", "breaches", breach.id),
    ]  # fmt: skip
    assert (found.breached_at, found.judged_at) == (format_instant(DUE), None)


def test_a_late_fulfilment_that_is_not_proved_yet_is_not_told_as_a_breach() -> None:
    """Nothing is said that has not been published, and nothing that has come is passed over in silence."""
    found = only(opened(CONFIRM, confirmed(DUE + 2 * MINUTE), frontier=DUE))
    assert found.status == "open"
    assert "message.sent had come 2 min late" in found.text


def test_both_dues_are_told_after_a_promise_was_made_again() -> None:
    """As first promised and as last promised."""
    moved = """
- {id: visit, when: {event: order.placed}, due: {field: slot}, expect: {event: visit.done}, repromise: {event: visit.moved, field: slot, max: 2}}
"""
    partition = Partition(book(moved))
    partition.learn(
        placed(OPENED, "o1", slot="2026-05-04T12:00:00"),
        fact("visit.moved", OPENED + MINUTE, slot="2026-05-05T09:00:00"),
    )
    found = only(partition)
    assert found.first_due == format_instant(at("2026-05-04 12:00"))
    assert found.due == format_instant(at("2026-05-05 09:00"))
    assert found.text == "open: due Tue 5 May 2026 09:00 (Europe/Amsterdam), so far no visit.done"


def test_a_pause_that_lasts_is_told_with_its_end() -> None:
    """Since when, and until when at most."""
    paused = """
- {id: answer, when: {event: order.placed}, due: {within: 2h}, expect: {event: answer.sent}, pause: {event: info.requested, until: info.received, max: 30m}}
"""
    found = only(opened(paused, fact("info.requested", OPENED + 10 * MINUTE), frontier=OPENED + 20 * MINUTE))
    assert found.paused_since == format_instant(OPENED + 10 * MINUTE)
    assert found.paused_until == format_instant(OPENED + 40 * MINUTE)
    assert found.due == format_instant(OPENED + 150 * MINUTE)
    assert "stands still" in found.text
    over = only(opened(paused, fact("info.requested", OPENED + 10 * MINUTE), frontier=OPENED + 50 * MINUTE))
    assert (over.paused_since, over.paused_ms) == (None, 30 * MINUTE)


def test_what_counts_so_far_is_told() -> None:
    """One of two has come: an employee says so."""
    two = "- {id: two, when: {event: order.placed}, due: {within: 2h}, expect: {event: sim.sent, count: 2}}"
    found = only(opened(two, fact("sim.sent", OPENED + MINUTE)))
    assert found.awaits == "2 times sim.sent (1 so far)"
    assert "so far 1 of 2 times sim.sent" in found.text


def test_warnings_are_told_as_given_or_to_come() -> None:
    """One that was passed over in favour of a later one is neither."""
    warned = "- {id: warned, when: {event: order.placed}, due: {within: 2h}, expect: {event: done}, warn: [-90m, -60m, -15m]}"
    partition = Partition(book(warned))
    partition.frontier(OPENED + 61 * MINUTE)
    partition.learn(placed(OPENED, "o1"))
    partition.frontier(OPENED + 62 * MINUTE)
    found = only(partition)
    assert [(one.warn, one.given) for one in found.warnings] == [("-60m", True), ("-15m", False)]
    assert found.warnings[1].at == format_instant(OPENED + 105 * MINUTE)
    assert [(one.kind, one.warn) for one in found.published] == [("at_risk", "-60m")]


def test_a_remedy_names_the_promise_it_makes_good_and_is_released_with_it() -> None:
    """Also the released one is told, as it was published."""
    remedy = CONFIRM + "- {id: sorry, when: {breach_of: confirm}, due: {within: 1d}, expect: {event: voucher.sent}}"
    partition = opened(remedy, frontier=DUE + 1)
    sorry, confirm = told(partition)
    assert (sorry.promise, sorry.breach_of, sorry.status, sorry.awaits) == ("sorry", "confirm", "open", "voucher.sent")
    assert confirm.status == "breached"
    partition.learn(confirmed(DUE - MINUTE))
    sorry = next(one for one in told(partition) if one.promise == "sorry")
    assert (sorry.status, sorry.text) == (
        "released",
        "released: confirm, whose breach it was to make good, is not broken",
    )
    check_as_published(partition, "A-17")


def test_a_run_that_turned_out_to_be_none_says_so() -> None:
    """An earlier opening became known after the breach had been published."""
    partition = opened(CONFIRM, frontier=DUE + 1)
    partition.learn(placed(OPENED - MINUTE, "o0"))
    texts = {one.cycle: (one.status, one.text) for one in told(partition)}
    assert texts["o1"] == ("void", "void: it was not order.placed o1 that opened it")
    assert texts["o0"][0] == "open"


def test_what_runs_comes_first_by_its_due() -> None:
    """What an employee needs is on top; what has ended follows, the newest first."""
    several = """
- {id: early, when: {event: order.placed}, due: {within: 10m}, expect: {event: x}, release: {event: order.cancelled}}
- {id: later, when: {event: order.placed}, due: {within: 3h}, expect: {event: x}}
- {id: soon, when: {event: order.placed}, due: {within: 2h}, expect: {event: x}}
- {id: last, when: {event: order.placed, again: true}, due: {within: 10m}, expect: {event: y}, release: {event: order.cancelled}}
"""
    partition = opened(several, placed(OPENED + MINUTE, "o2"), cancelled(OPENED + 2 * MINUTE))
    assert [(one.promise, one.cycle) for one in told(partition)] == [
        ("soon", "o1"), ("later", "o1"), ("last", "o2"), ("last", "o1"), ("early", "o1"),
    ]  # fmt: skip


@pytest.mark.parametrize("promises", [CONFIRM, CONFIRM.replace("title:", "warn: [-2m], title:")])
def test_what_runs_across_a_gap_is_told_as_held_once_that_is_published(promises: str) -> None:
    """Nothing is to come of its warnings, and what would still keep it is awaited."""
    partition = opened(promises)
    partition.core.add_gap(OPENED + 10 * MINUTE, OPENED + 30 * MINUTE)
    partition.commit()
    found = only(partition)
    assert (found.status, found.warnings) == ("open", [])
    partition.frontier(OPENED + 40 * MINUTE)
    check_as_published(partition, "A-17")
    found = only(partition)
    assert (found.status, found.awaits, found.breached_at) == ("held", "message.sent", None)
    assert found.text == (
        "held: due Mon 4 May 2026 10:15 (Europe/Amsterdam), so far no message.sent; events from before then expired "
        "unread, so nobody can tell"
    )


def test_silent_promises_are_left_out() -> None:
    """Another group of promises tells of them."""
    remedy = CONFIRM + "- {id: sorry, when: {breach_of: confirm}, due: {within: 1d}, expect: {event: voucher.sent}}"
    partition = opened(remedy, frontier=DUE + 1)
    assert [one.promise for one in told(partition, silent=frozenset({"confirm"}))] == ["sorry"]


def test_a_run_is_told_by_the_text_it_was_made_in() -> None:
    """Also where the book has changed that text in place since."""
    partition = opened(CONFIRM)
    before = editions_of(partition.detector.book, None, "test", 0).stored
    changed = book(CONFIRM.replace("15m", "30m").replace("message.sent", "letter.sent"))
    partition.detector = Detector(changed, editions_of(changed, before, "test", 0))
    found = only(partition)
    assert (found.awaits, found.version, found.due) == ("message.sent", 1, format_instant(DUE))


def test_facts_of_several_records_are_told_once_and_in_their_order() -> None:
    """What another event takes back is marked."""
    first, second = fact("a", OPENED, "f1", x=1), fact("b", OPENED + 1, "f2")
    gone = Fact("shop", "f3", "a.cancelled", OPENED + 2, {}, "f1")
    found = facts_told([Record(1, [second, gone], []), Record(1, [first, second], [])])
    assert [(one.id, one.taken_back, one.withdraws, one.data) for one in found] == [
        ("f1", True, None, {"x": 1}), ("f2", False, None, {}), ("f3", False, "f1", {}),
    ]  # fmt: skip
