"""What leaves the record, and what stays; and promises whose kind changes while they run."""

import msgspec

from promises.detector import subject_key
from schemas.facts import Subject
from schemas.records import Record
from tests.promises.builders import HOUR, MINUTE, Partition, at, book, fact, kinds

OPENED = at("2026-05-04 10:00")
AGAIN = """
- {id: p, retention: 10h, orphan_ttl: 2h, when: {event: o, again: true}, due: {within: 1h}, expect: {event: f}}
"""


def record(p: Partition) -> Record:
    return msgspec.json.decode(p.store[subject_key(Subject("order_id", "A-17"))], type=Record)


def test_a_settled_cycle_leaves_a_retention_after_its_due_and_the_next_one_stays() -> None:
    """Per cycle: a subject with new promises all the time does not grow for ever."""
    p = Partition(book(AGAIN))
    p.learn(fact("o", OPENED, "a"), fact("f", OPENED + MINUTE, "fa"))
    p.frontier(OPENED + 8 * HOUR)
    p.learn(fact("o", OPENED + 8 * HOUR, "b"), fact("f", OPENED + 8 * HOUR + MINUTE, "fb"))
    p.frontier(OPENED + 11 * HOUR + 1)
    assert [cycle.opening for cycle in record(p).cycles] == ["b"]
    assert [one.id for one in record(p).facts] == ["b", "fb"]
    p.frontier(OPENED + 19 * HOUR + 1)
    assert p.store == {}
    assert p.kinds() == ["kept", "kept"]


def test_a_cycle_whose_leaving_would_change_another_waits_for_it() -> None:
    """Its fulfilment would be free for the one that was broken."""
    p = Partition(book(AGAIN))
    p.learn(fact("o", OPENED, "a"), fact("o", OPENED + 30 * MINUTE, "b"), fact("f", OPENED + 45 * MINUTE, "f"))
    p.frontier(OPENED + 11 * HOUR + 20 * MINUTE)
    assert kinds(p.published) == ["kept", "breached"]
    p.frontier(OPENED + 11 * HOUR + 30 * MINUTE + 1)
    assert p.store == {}
    assert kinds(p.published) == ["kept", "breached"]


def test_an_opening_older_than_retention_opens_nothing() -> None:
    """What it opened may have been forgotten already."""
    p = Partition(book(AGAIN))
    p.frontier(OPENED + 10 * HOUR)
    p.learn(fact("o", OPENED, "a"))
    assert p.counted["too_old"] >= 1
    assert p.store == {}


SIMPLE = "- {id: p, when: {event: o}, due: {within: 1h}, expect: {event: f}}"
WARNED = "- {id: p, when: {event: o}, due: {within: 1h}, expect: {event: f}, warn: [-10m]}"


def test_a_simple_promise_that_gets_a_warning_runs_on() -> None:
    """Its record was written before: what its timer published then counts."""
    p = Partition(book(SIMPLE))
    p.learn(fact("o", OPENED, "a"))
    p.frontier(OPENED + 2 * HOUR)
    p.restart(book(WARNED))
    (one,) = p.learn(fact("f", OPENED + MINUTE))
    assert (one.kind, one.status, one.revision) == ("retracted", "kept", 2)


def test_a_simple_promise_that_gets_a_warning_is_broken_by_its_timer() -> None:
    """Also where no fact comes in between; then nothing is published twice."""
    p = Partition(book(SIMPLE))
    p.learn(fact("o", OPENED, "a"))
    p.restart(book(WARNED))
    assert kinds(p.frontier(OPENED + 2 * HOUR)) == ["breached"]
    p.restart()
    assert p.frontier(OPENED + 3 * HOUR) == []


def test_a_promise_that_becomes_simple_runs_on() -> None:
    p = Partition(book(WARNED))
    p.learn(fact("o", OPENED, "a"))
    p.restart(book(SIMPLE))
    assert kinds(p.frontier(OPENED + 2 * HOUR)) == ["breached"]
    (one,) = p.learn(fact("f", OPENED + 2 * HOUR))
    assert (one.kind, one.revision) == ("fulfilled_late", 2)


def test_records_of_the_first_version_are_read() -> None:
    """Format 1 without the members that came later."""
    p = Partition(book(SIMPLE))
    p.learn(fact("o", OPENED, "a"))
    key = subject_key(Subject("order_id", "A-17"))
    form, facts, cycles = msgspec.json.decode(p.store[key])
    p.store[key] = msgspec.json.encode([form, [one[:5] for one in facts], [one[:12] for one in cycles]])
    p.restart()
    assert kinds(p.frontier(OPENED + 2 * HOUR)) == ["breached"]
