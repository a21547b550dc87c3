"""Accounts of subjects: they say what the verdicts say, and each step is put down to a fact that means it."""

import random
from typing import Any

import pytest

from promises.accounts import Story, clans_of, gather, published, tell
from promises.detector import Detector
from promises.listening import ENDINGS, Lived
from schemas.facts import Fact, Subject
from tests.promises.builders import ALWAYS, HOUR, MINUTE, OPENED, SECOND, at, book, fact
from tests.reference.facts import fields_of
from tests.reference.made_books import PAIRS, make_book
from tests.reference.playing import as_fact, as_yaml, expectation
from tests.reference.shrinking import parsed
from tests.reference.worlds import make_world

BOOKS, WORLDS_PER_BOOK = 12, 6
SUBJECT = Subject("order_id", "A-17")
ENDED_BY = {
    "kept": {"fulfilled", "agreed", "allowed"},
    "fulfilled_late": {"fulfilled_late", "agreed_late"},
    "released": {"released", "moved_before_itself"},
}


def account(promises: str, *facts: Fact, frontier: int, known_since: int = ALWAYS) -> dict[str, Story]:
    made = book(promises)
    gathered = gather(Detector(made), SUBJECT, list(facts), known_since)
    assert not gathered.unusable
    return {story.clan.id: story for story in tell(clans_of(made), gathered, frontier, known_since)}


def test_accounts_say_what_the_reference_says(rng: random.Random) -> None:
    """On worlds made by chance, of all constructs: the same cycles, with the same verdicts, dues and instants."""
    steps: set[str] = set()
    for number in range(BOOKS):
        spelled = make_book(rng, PAIRS[number::BOOKS][:6], lambda made: parsed(as_yaml(made)) is not None)
        made = parsed(as_yaml(spelled))
        assert made is not None
        detector, clans, fields = Detector(made), clans_of(made), fields_of(spelled["promises"])
        for _ in range(WORLDS_PER_BOOK):
            world = make_world(rng, spelled)
            expected = expectation(world)
            for subject, story in world.events.items():
                facts = [as_fact(event, fields) for event in story]
                gathered = gather(detector, Subject("id", subject), facts, world.known_since)
                for told in tell(clans, gathered, world.frontier, world.known_since):
                    wanted = {one.cycle: judged(one) for one in expected[told.clan.id, subject]}
                    assert {one.course.opening.id: stands(one) for one in told.cycles} == wanted
                    for lived in told.cycles:
                        check_steps(lived)
                        steps |= {step.kind for step in lived.steps}
    assert {"moved", "paused", "counted", "ignored", "forbidden"} <= steps


def judged(one: Any) -> dict[str, Any]:
    late = one.status in ("breached", "fulfilled_late")
    if one.status == "open":  # its due is still to come about
        return {"status": one.status, "first_due": one.first_due}
    return {
        "status": one.status, "due": one.due, "first_due": one.first_due, "fulfilled_at": one.fulfilled_at,
        "breached_at": one.breached_at if late else None,
    }  # fmt: skip


def stands(one: Lived) -> dict[str, Any]:
    found, course = one.standing, one.course
    if found.status == "open":
        return {"status": found.status, "first_due": course.due_base}
    return {
        "status": found.status, "due": course.due, "first_due": course.due_base, "fulfilled_at": found.fulfilled_at,
        "breached_at": found.breached_at,
    }  # fmt: skip


def check_steps(lived: Lived) -> None:
    """A cycle opens once, ends at most once and then with its verdict, and every event that did something is named."""
    kinds = [step.kind for step in lived.steps]
    assert kinds.count("opened") == 1
    ends = [kind for kind in kinds if kind in ENDINGS]
    assert len(ends) <= 1
    status = lived.standing.status
    if status in ENDED_BY and not (status == "kept" and lived.standing.fulfilled_at is None and not ends):
        assert set(ends) <= ENDED_BY[status]
        assert ends
    for step in lived.steps:
        if step.kind not in ("pause_ran_out", "agreed", "agreed_late"):
            assert step.fact is not None, step
            assert step.fact.time == step.at, step
    last = [step.due for step in lived.steps if step.kind != "ignored"][-1]
    assert last == lived.course.due or lived.paused_since is not None


CONFIRM = "- {id: p, when: {event: a}, due: {within: 15m}, expect: {event: b}, release: {event: c}}"


@pytest.mark.parametrize(
    ("promise", "facts", "frontier", "expected"),
    [
        (CONFIRM, [("b", 15 * MINUTE, {})], 0, "kept"),
        (CONFIRM, [("b", 15 * MINUTE + 1, {})], 15 * MINUTE, "open"),
        (CONFIRM, [("b", 15 * MINUTE + 1, {})], 15 * MINUTE + 1, "fulfilled_late"),
        (CONFIRM, [], 15 * MINUTE, "open"),
        (CONFIRM, [], 15 * MINUTE + 1, "breached"),
        (CONFIRM, [("c", 15 * MINUTE, {})], 0, "released"),
    ],
)  # fmt: skip
def test_a_simple_promise_has_an_account_as_any_other(
    promise: str, facts: list[tuple[str, int, dict[str, Any]]], frontier: int, expected: str
) -> None:
    """Its hot path is another; its borders are the same."""
    told = account(
        promise, fact("a", OPENED), *(fact(kind, OPENED + after, **data) for kind, after, data in facts),
        frontier=OPENED + frontier,
    )  # fmt: skip
    assert [one.standing.status for one in told["p"].cycles] == [expected]


def test_a_fulfilment_is_put_down_to_the_cycle_that_it_keeps() -> None:
    """Two at one instant keep two cycles, one each; a third keeps none."""
    told = account(
        "- {id: p, when: {event: a, again: true}, due: {within: 1h}, expect: {event: b}}",
        fact("a", OPENED, "a1"), fact("a", OPENED + MINUTE, "a2"),
        fact("b", OPENED + 2 * MINUTE, "b1"), fact("b", OPENED + 2 * MINUTE, "b2"),
        fact("b", OPENED + 3 * MINUTE, "b3"),
        frontier=OPENED + 2 * HOUR,
    )  # fmt: skip
    by = [next(step.fact for step in one.steps if step.kind == "fulfilled") for one in told["p"].cycles]
    assert [one.id for one in by if one is not None] == ["b1", "b2"]
    assert not any(step.kind == "ignored" for one in told["p"].cycles for step in one.steps)


def test_of_two_at_one_instant_the_first_keeps_the_cycle_that_is_due_first() -> None:
    """As the core shares them out, whichever cycle opened first."""
    told = account(
        "- {id: p, when: {event: a, again: true}, due: {field: f}, expect: {event: b}}",
        fact("a", OPENED, "later", f="2026-05-04T12:00:00"), fact("a", OPENED + 1, "sooner", f="2026-05-04T11:00:00"),
        fact("b", OPENED + MINUTE, "b1"), fact("b", OPENED + MINUTE, "b2"),
        frontier=OPENED + 3 * HOUR,
    )  # fmt: skip
    by = {one.course.opening.id: one.steps[-1].fact for one in told["p"].cycles}
    assert {name: one.id for name, one in by.items() if one is not None} == {"later": "b2", "sooner": "b1"}


def test_of_two_that_join_at_one_instant_the_one_that_moves_the_due_is_named() -> None:
    """The other gives no fresh time."""
    told = account(
        "- {id: p, when: {event: [a, b]}, due: {field: f}, expect: {holds: x.n == y.n, from: {x: a, y: b}}}",
        fact("a", OPENED, "o", n=1, f="2026-05-04T11:00:00"),
        fact("a", OPENED + MINUTE, "j1", n=2, f="2026-05-04T12:00:00"),
        fact("b", OPENED + MINUTE, "j2", n=3, f="2026-05-04T11:30:00"), frontier=OPENED + 3 * HOUR,
    )["p"]  # fmt: skip
    (lived,) = told.cycles
    assert [step.fact.id for step in lived.steps if step.kind == "joined" and step.fact is not None] == ["j1"]
    assert lived.course.due == at("2026-05-04 12:00")


def test_steps_are_told_in_the_order_in_which_they_happened() -> None:
    """Notice comes before what it is about."""
    told = account(
        "- {id: p, when: {event: a}, due: {within: -1h}, expect: {event: b, early: true}}",
        fact("a", OPENED), fact("b", OPENED - 2 * HOUR), frontier=OPENED,
    )  # fmt: skip
    assert [step.kind for step in told["p"].cycles[0].steps] == ["fulfilled", "opened"]


def test_what_belongs_to_a_running_cycle_is_no_refused_opening() -> None:
    """The fact that makes values agree, and one that joins: both are steps of the cycle or its end."""
    told = account(
        "- {id: p, when: {event: [a, b], again: true}, due: {within: 1h}, "
        "expect: {holds: x.n == y.n, from: {x: a, y: b}}}",
        fact("a", OPENED, "o", n=1), fact("a", OPENED + 1, "joins", n=2), fact("b", OPENED + 2, "agrees", n=2),
        frontier=OPENED,
    )["p"]  # fmt: skip
    assert ([one.standing.status for one in told.cycles], told.refusals) == (["kept"], [])


def test_what_was_taken_back_is_no_refused_opening() -> None:
    """It never was."""
    gone = fact("a", OPENED + 1, "gone")
    back = Fact("shop", "back", "a", OPENED + 2, {}, withdraws="gone")
    told = account("- {id: p, when: {event: a}, due: {within: 1h}, expect: {event: b}}", fact("a", OPENED), gone, back,
                   frontier=OPENED)["p"]  # fmt: skip
    assert (len(told.cycles), told.refusals) == (1, [])


def test_a_due_in_the_past_is_published_once_what_was_on_its_way_has_been_read() -> None:
    """As a worker does: at the opening's own instant nobody knows whether the notice is still to come."""
    made = book("- {id: p, when: {event: a}, due: {within: -3d}, expect: {event: b, early: true}}")
    for frontier, kinds in ((OPENED, []), (OPENED + 1, ["breached"])):
        said = published(Detector(made), SUBJECT, [fact("a", OPENED, "a1")], frontier, 2 * MINUTE)
        assert [one.kind for one in said] == kinds


def test_a_pause_that_nothing_ends_runs_out_when_the_frontier_has_passed() -> None:
    """Before that it lasts, and there is no due."""
    promise = "- {id: p, when: {event: a}, due: {within: 1h}, expect: {event: b}, pause: {event: c, until: d, max: 2h}}"
    facts = [fact("a", OPENED, "a1"), fact("c", OPENED + 30 * MINUTE, "c1")]
    ends = OPENED + 150 * MINUTE
    during = account(promise, *facts, frontier=ends)["p"].cycles[0]
    assert (during.paused_since, during.runs_out_at) == (OPENED + 30 * MINUTE, ends)
    after = account(promise, *facts, frontier=ends + 1)["p"].cycles[0]
    assert (after.paused_since, after.runs_out_at) == (None, None)
    assert [(step.kind, step.at) for step in after.steps][-1] == ("pause_ran_out", ends)
    assert (after.course.due, after.standing.status) == (OPENED + 3 * HOUR, "open")


@pytest.mark.parametrize(("after", "kept"), [(170, "kept"), (181, "fulfilled_late")])
def test_a_pause_that_ran_out_is_told_also_if_the_next_thing_ends_the_cycle(after: int, kept: str) -> None:
    """Otherwise nothing says why it was due later."""
    promise = "- {id: p, when: {event: a}, due: {within: 1h}, expect: {event: b}, pause: {event: c, until: d, max: 2h}}"
    facts = [fact("a", OPENED), fact("c", OPENED + 30 * MINUTE), fact("b", OPENED + after * MINUTE)]
    lived = account(promise, *facts, frontier=OPENED + 9 * HOUR)["p"].cycles[0]
    last = "fulfilled" if kept == "kept" else kept
    assert [step.kind for step in lived.steps] == ["opened", "paused", "pause_ran_out", last]
    assert (lived.standing.status, lived.course.due) == (kept, OPENED + 3 * HOUR)


def test_what_is_published_comes_when_a_worker_would_know_it() -> None:
    """A warning that is not yet due when the fulfilment is known is not published; a second later it is."""
    made = book("- {id: p, when: {event: a}, due: {within: 1h}, expect: {event: b}, warn: [-30m]}")
    opened, settle = fact("a", OPENED, "a1"), 2 * MINUTE
    for after, kinds in ((0, ["outcome"]), (SECOND, ["at_risk", "outcome"])):
        done = fact("b", OPENED + 30 * MINUTE + settle + after, "b1")
        said = published(Detector(made), SUBJECT, [done, opened], OPENED + 3 * HOUR, settle)
        assert [one.kind for one in said] == kinds


def test_warnings_are_published_though_no_fact_comes_between_them_and_the_due() -> None:
    """The frontier of a worker passes every instant, also where nothing happens."""
    made = book("- {id: p, when: {event: a}, due: {within: 2h}, expect: {event: b}, warn: [50%, -30m]}")
    facts = [fact("a", OPENED, "a1"), fact("b", OPENED + 9 * HOUR, "b1")]
    said = published(Detector(made), SUBJECT, facts, OPENED + 10 * HOUR, MINUTE)
    assert [one.kind for one in said] == ["at_risk", "at_risk", "breached", "fulfilled_late"]


@pytest.mark.parametrize(
    ("promise", "facts", "reason"),
    [
        ("when: {event: a}, due: {field: slot}", [fact("a", OPENED, "x")], "no_due"),
        ("when: {event: a}, due: {field: slot}", [fact("a", OPENED, "x", slot="2026-05-03T10:00:00")], "born_overdue"),
        ("effective_from: 2027-01-01, when: {event: a}, due: {within: 1h}", [fact("a", OPENED, "x")], "not_effective"),
        ("when: {event: a}, due: {within: 1h}", [fact("a", OPENED - 8 * HOUR, "x")], "before_known"),
        ("when: {event: a}, due: {within: 1h}", [fact("a", OPENED - MINUTE), fact("a", OPENED, "x")], "opened_already"),
        ("when: {event: a, if: data.n > 1}, due: {within: 1h}", [fact("a", OPENED, "x")], "condition_unclear"),
        ("when: {event: a, if: data.n > 1}, due: {within: 1h}", [fact("a", OPENED, "x", n="2")], "condition_unclear"),
        (
            "when: {event: a, field: s, enter: [on], again: true}, due: {within: 1h}",
            [fact("a", OPENED - MINUTE, s="on"), fact("a", OPENED, "x", s="on")],
            "not_entered",
        ),
    ],
)  # fmt: skip
def test_why_an_event_opened_nothing_is_told(promise: str, facts: list[Fact], reason: str) -> None:
    """With the fact, once each."""
    told = account(
        f"- {{id: p, {promise}, expect: {{event: b}}}}", *facts, frontier=OPENED, known_since=at("2026-05-04 03:00")
    )
    assert [(refusal.fact.id, refusal.reason) for refusal in told["p"].refusals] == [("x", reason)]


def test_an_event_that_means_something_else_opens_nothing_silently() -> None:
    """Only what might have opened the promise is told of."""
    told = account(
        "- {id: p, when: {event: a, where: {n: 1}}, due: {within: 1h}, expect: {event: b}}",
        fact("a", OPENED, n=2), fact("b", OPENED), frontier=OPENED,
    )  # fmt: skip
    assert told["p"] == (told["p"].clan, [], [])


PAUSED = "pause: {event: q, until: r, max: 3h}"


@pytest.mark.parametrize(
    ("promise", "later", "why"),
    [
        ("release: {event: c}", ("c", 2 * HOUR, {}), "release: after_due"),
        ("repromise: {event: m, field: f, max: 1}", ("m", 2 * HOUR, {"f": "2027-01-01"}), "repromise: after_due"),
        ("repromise: {event: m, field: f, max: 1}", ("m", MINUTE, {}), "repromise: no_due"),
        ("repromise: {event: m, field: f, max: 1}", ("m", -MINUTE, {"f": "2027-01-01"}), "repromise: before_opening"),
        (PAUSED, ("q", HOUR, {}), "pause: after_due"),
        ("not_before: f", ("b", MINUTE, {}), "expect: before_not_before"),
        ("release: {event: c, if: data.n > opened.n}", ("c", MINUTE, {"n": 1}), "release: condition_unclear"),
        ("", ("b", -5 * MINUTE - 1, {}), "expect: before_opening"),
    ],
)  # fmt: skip
def test_why_an_event_did_nothing_to_a_running_cycle_is_told(
    promise: str, later: tuple[str, int, dict[str, Any]], why: str
) -> None:
    """It was meant for the cycle and changed nothing."""
    kind, after, data = later
    text = f"- {{id: p, when: {{event: a}}, due: {{within: 1h}}, expect: {{event: b}}, {promise}}}".replace(", }", "}")
    told = account(
        text, fact("a", OPENED, f="2026-05-04T10:30:00"), fact(kind, OPENED + after, "x", **data),
        frontier=OPENED,
    )  # fmt: skip
    assert [(step.why, step.fact.id) for step in told["p"].cycles[0].steps if step.why and step.fact] == [(why, "x")]


def test_a_promise_moved_as_often_as_it_may_be_says_so() -> None:
    """The second promise of a later day counts for nothing."""
    told = account(
        "- {id: p, when: {event: a}, due: {within: 1h}, expect: {event: b}, repromise: {event: m, field: f, max: 1}}",
        fact("a", OPENED), fact("m", OPENED + 1, f="2026-05-04T13:00:00"),
        fact("m", OPENED + 2, f="2026-05-04T14:00:00"), frontier=OPENED,
    )["p"]  # fmt: skip
    assert [step.why for step in told.cycles[0].steps] == [None, None, "repromise: moved_enough"]


def test_what_came_before_a_recurring_cycle_is_not_told_of_it() -> None:
    """It belongs to the cycle before, or to none."""
    told = account(
        "- {id: p, when: {event: a, again: true}, due: {within: 1h}, expect: {event: b}}",
        fact("b", OPENED - HOUR), fact("a", OPENED), frontier=OPENED,
    )["p"]  # fmt: skip
    assert [step.kind for step in told.cycles[0].steps] == ["opened"]
