"""What leaves the record, and what stays; and promises whose kind changes while they run."""

from collections.abc import Iterator

import msgspec
import pytest

from promises.detector import subject_key
from schemas.book import parse_book
from schemas.facts import Fact, Subject
from schemas.records import Record
from tests.promises.builders import HEAD, HOUR, MINUTE, Partition, at, book, fact, kinds

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


def test_what_a_remedy_may_find_stays_until_its_cause_has_left() -> None:
    """It came before the remedy opened, longer ago than a fact waits for an opening: the cause ran meanwhile."""
    p = Partition(
        book(
            """
- {id: answer, retention: 5h, orphan_ttl: 2h, when: {event: asked, again: true}, due: {within: 10h},
   expect: {event: answered}}
- {id: sorry, retention: 5h, orphan_ttl: 2h, when: {breach_of: answer}, due: {within: 1h},
   expect: {event: refunded, early: true}}
"""
        )
    )
    p.learn(fact("asked", OPENED - 9 * HOUR, "a"), fact("answered", OPENED - 8 * HOUR, "aa"))
    p.learn(fact("asked", OPENED, "b"), fact("refunded", OPENED + MINUTE, "r"))
    p.frontier(OPENED + 7 * HOUR)
    assert [cycle.opening for cycle in record(p).cycles] == ["b"], "the first one has left"
    p.frontier(OPENED + 12 * HOUR)
    assert [(one.promise, one.status) for one in p.published] == [
        ("answer", "kept"),
        ("answer", "breached"),
        ("sorry", "kept"),
    ]


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


SIMPLE_ONES = """
- {id: p, retention: 10h, orphan_ttl: 2h, when: {event: o}, due: {within: 1h}, expect: {event: f}}
- {id: q, retention: 10h, orphan_ttl: 2h, when: {event: r}, due: {within: 1h}, expect: {event: g}}
"""
AGAIN_AND_AGAIN = """
- {id: p, retention: 10h, orphan_ttl: 2h, when: {event: o, again: true}, due: {within: 1h}, expect: {event: f}}
"""
BOTH = f"""
{SIMPLE_ONES}
- {{id: long, retention: 10h, orphan_ttl: 2h, when: {{event: z, again: true}}, due: {{within: 90d}},
   expect: {{event: y}}}}
"""
ENTERING = """
- {id: p, retention: 10h, orphan_ttl: 2h, when: {event: o, field: s, enter: [1], again: true}, due: {within: 1h},
   expect: {event: f}}
"""
HOLDING = """
- {id: p, retention: 10h, orphan_ttl: 2h, when: {event: o, again: true}, due: {within: 1h},
   expect: {holds: "a.s >= b.s", from: {a: o, b: z}}}
"""
SHARING = f"""
{AGAIN_AND_AGAIN}
- {{id: q, retention: 10h, orphan_ttl: 2h, when: {{event: r}}, due: {{within: 1h}}, expect: {{event: f}}}}
"""
STEADY = pytest.mark.parametrize(
    "promises",
    [SIMPLE_ONES, AGAIN_AND_AGAIN, BOTH, ENTERING, HOLDING, SHARING],
    ids=["simple", "general", "both", "entering", "holding", "sharing"],
)


def hourly(hours: int) -> Iterator[list[Fact]]:
    """What happens to a subject that always has a promise: each hour a few things, some of them from later on."""
    yield [fact("z", OPENED, "z", s=0)]
    for hour in range(1, hours):
        kinds = "ofrg" if hour > 6 else "of"
        now = OPENED + hour * HOUR
        yield [fact(kind, now + number, f"{kind}{hour}", s=hour // 2 % 2) for number, kind in enumerate(kinds)]


def lasting(promises: str) -> Partition:
    """With a skew of hours: cycles look back to what was before their opening."""
    return Partition(parse_book(HEAD.replace("skew: 5m", "skew: 200m") + promises))


def live(p: Partition, days: int) -> list[int]:
    """How many facts are kept at the end of each day."""
    seen = []
    for hour, facts in enumerate(hourly(days * 24)):
        p.learn(*facts)
        p.frontier(OPENED + hour * HOUR + MINUTE)
        if hour % 24 == 23:
            seen.append(len(record(p).facts))
    return seen


@STEADY
def test_a_subject_that_always_has_a_promise_keeps_only_what_is_needed(promises: str) -> None:
    """It never has none, so that leaving with the last of them would be never."""
    p = lasting(promises)
    seen = live(p, 6)
    assert max(seen) <= 1.2 * max(seen[:2])
    assert {(one.status, one.revision) for one in p.published} == {("kept", 1)}


@STEADY
def test_what_has_left_a_running_subject_is_too_old_when_it_is_told_again(promises: str) -> None:
    p = lasting(promises)
    live(p, 3)
    before = p.store.copy()
    again = [one for facts in list(hourly(40))[1:] for one in facts]
    assert p.learn(*again) == []
    assert p.store == before
    assert p.counted["too_old"] + p.counted["irrelevant"] + p.counted["unknown_type"] >= len(again)


def test_an_opening_that_opened_nothing_opens_nothing_when_it_is_told_again() -> None:
    """An earlier one had, which has left since: what would open now is kept as long as it would."""
    p = Partition(book(SIMPLE_ONES))
    p.learn(fact("o", OPENED, "a"), fact("f", OPENED + MINUTE), fact("o", OPENED + 9 * HOUR, "b"))
    p.frontier(OPENED + 11 * HOUR + 1)
    assert record(p).cycles == []
    p.frontier(OPENED + 18 * HOUR)
    assert p.learn(fact("o", OPENED + 9 * HOUR, "b")) == []
    assert p.counted["duplicate"] == 1
    p.frontier(OPENED + 19 * HOUR + 1)
    assert p.store == {}


def test_what_kept_an_early_promise_stays_with_it() -> None:
    """It came long before: without it the promise would be broken by the next fact."""
    p = Partition(
        book("""
- {id: p, retention: 30h, orphan_ttl: 9h, when: {event: o}, due: {within: -1h}, expect: {event: f, early: true}}
- {id: q, retention: 20h, orphan_ttl: 9h, when: {event: r}, due: {within: 1h}, expect: {event: f}}
""")
    )
    p.learn(fact("r", OPENED), fact("f", OPENED + 1, "first"), fact("f", OPENED + 2, "more"))
    p.learn(fact("o", OPENED + 15 * HOUR, "a"))
    p.frontier(OPENED + 22 * HOUR)
    assert [cycle.promise for cycle in record(p).cycles] == ["p"]
    assert [one.id for one in record(p).facts] == ["first", "a"]
    assert p.learn(fact("f", OPENED + 21 * HOUR)) == []
