"""Decisions at the edges of the language, each as docs/semantics.md tells it."""

import pytest

from schemas.publications import Publication
from tests.promises.builders import DAY, HOUR, MINUTE, OPENED, Partition, book, fact, start

DUE = OPENED + HOUR
END = OPENED + 20 * DAY
AWAITED = "when: {event: o}, due: {within: 1h}, expect: {event: f}"
HOLDS = 'expect: {holds: "x.n == y.n", from: {x: a, y: b}}'


def world(*versions: str) -> Partition:
    return Partition(book("".join(f"- {{id: p, {text}}}\n" for text in versions)))


def ends(p: Partition) -> dict[str, Publication]:
    """The last word on each cycle, long after."""
    p.frontier(END)
    newest = sorted((one for one in p.published if one.kind != "at_risk"), key=lambda one: one.revision)
    return {one.cycle: one for one in newest if one.status != "void"}


def statuses(p: Partition) -> dict[str, str]:
    return {name: one.status for name, one in ends(p).items()}


def test_values_that_agree_are_looked_for_only_where_earlier_ones_are_known() -> None:
    """What a value was may have been told, and have expired, up to orphan_ttl (30 days here) before."""
    promises = f"- {{id: p, when: {{event: a, again: true}}, due: {{within: 1h}}, {HOLDS}}}"
    p = Partition(book(promises), start(known_since=OPENED))
    p.learn(fact("a", OPENED + 30 * DAY - 1, "early", n=1), fact("a", OPENED + 30 * DAY + 2 * HOUR, "known", n=1))
    p.frontier(OPENED + 40 * DAY)
    assert [one.cycle for one in p.published] == ["known"]
    assert p.counted["before_known"] == 1


def test_at_one_instant_a_release_beats_a_repromise() -> None:
    """Whatever their ids are: it ends with the due as it was."""
    for release, moved in (("x", "y"), ("y", "x")):
        p = world(f"{AWAITED}, release: {{event: c}}, repromise: {{event: m, field: to, max: 1}}")
        p.learn(fact("o", OPENED, "o"), fact("c", DUE, release), fact("m", DUE, moved, to="2026-05-05T10:00:00"))
        end = ends(p)["o"]
        assert (end.status, end.due) == ("released", DUE)


@pytest.mark.parametrize(("release", "bad", "status"), [("x", "y", "released"), ("y", "x", "breached")])
def test_at_one_instant_release_and_forbidden_go_by_id(release: str, bad: str, status: str) -> None:
    """Neither is a better claim than the other, so the order of facts decides."""
    p = world("when: {event: o}, due: {within: 1h}, forbid: {event: bad}, release: {event: c}")
    p.learn(fact("o", OPENED, "o"), fact("c", OPENED + MINUTE, release), fact("bad", OPENED + MINUTE, bad))
    assert statuses(p) == {"o": status}


@pytest.mark.parametrize(("goal", "status"), [("leave: s", "breached"), ("event: f", "released")])
def test_no_release_from_before_the_opening_where_a_status_is_to_be_left(goal: str, status: str) -> None:
    """Skew is for events that belong to the opening; a status is what it is only from then on."""
    p = world(f"when: {{event: o}}, due: {{within: 1h}}, expect: {{{goal}}}, release: {{event: c}}")
    p.learn(fact("o", OPENED, "o", s=1), fact("c", OPENED - MINUTE))
    assert statuses(p) == {"o": status}


@pytest.mark.parametrize(("after", "status"), [(-1, "breached"), (0, "kept")])
def test_until_counts_from_the_openings_instant_on(after: int, status: str) -> None:
    """Not before it, however near: what allowed the last one does not allow this one."""
    p = world("when: {event: o}, due: {within: 1h}, forbid: {event: bad}, until: {event: u}")
    p.learn(fact("o", OPENED, "o"), fact("u", OPENED + after, "a"), fact("bad", OPENED + MINUTE))
    assert statuses(p) == {"o": status}


def test_a_further_opening_counts_if_its_own_version_says_again() -> None:
    """The first one opened under a version that opens once; the second under one that does not."""
    p = world(
        "when: {event: o}, due: {within: 1h}, expect: {event: f}",
        "version: 2, effective_from: 2026-05-05, when: {event: o, again: true}, due: {within: 1h}, expect: {event: f}",
        "version: 3, effective_from: 2026-05-07, when: {event: o}, due: {within: 1h}, expect: {event: f}",
    )
    p.learn(*(fact("o", OPENED + day * DAY, name) for day, name in enumerate(("a", "b", "c", "d"))))
    assert statuses(p) == {"a": "breached", "b": "breached", "c": "breached"}


def test_a_status_of_another_listed_type_is_where_one_comes_from() -> None:
    """Two systems tell one status; the one that repeats the other enters nothing, and null is a status."""
    p = world("when: {event: [o, q], field: s, enter: [paid], again: true}, due: {within: 1h}, expect: {event: f}")
    p.learn(fact("o", OPENED, "first", s="paid"), fact("q", OPENED + MINUTE, "same", s="paid"))
    p.learn(fact("q", OPENED + 2 * MINUTE, "silent"), fact("o", OPENED + 3 * MINUTE, "still", s="paid"))
    p.learn(fact("q", OPENED + 4 * MINUTE, "null", s=None), fact("o", OPENED + 5 * MINUTE, "anew", s="paid"))
    assert statuses(p).keys() == {"first", "anew"}


def test_what_joins_a_cycle_is_judged_by_the_cycles_own_version() -> None:
    """An hour more, as promised when it opened, and not the ten minutes of the version in force by now."""
    p = world(
        f"when: {{event: a, again: true}}, due: {{within: 2h}}, {HOLDS}",
        f"version: 2, effective_from: 2026-05-04T11:00:00, when: {{event: b}}, due: {{within: 10m}}, {HOLDS}",
    )
    p.learn(fact("a", OPENED, "a", n=1), fact("a", OPENED + 90 * MINUTE, "c", n=2))
    (end,) = ends(p).values()
    assert (end.cycle, end.version, end.due) == ("a", 1, OPENED + 90 * MINUTE + 2 * HOUR)


def test_what_opened_an_earlier_version_joins_its_cycle_though_it_opens_nothing_any_more() -> None:
    """Also where its values are none of those that have to agree."""
    p = world(
        f"when: {{event: o}}, due: {{within: 2h}}, {HOLDS}",
        f"version: 2, effective_from: 2026-05-04T11:00:00, when: {{event: q}}, due: {{within: 10m}}, {HOLDS}",
    )
    p.learn(fact("o", OPENED, "o"), fact("o", OPENED + 90 * MINUTE, "again"))
    (end,) = ends(p).values()
    assert (end.cycle, end.version, end.due) == ("o", 1, OPENED + 90 * MINUTE + 2 * HOUR)


def test_a_paused_cycle_comes_last_in_the_choice_of_a_fulfilment() -> None:
    """It has no due as long as the pause lasts, so whoever has one is served first."""
    p = world(
        "when: {event: o, again: true}, due: {within: 1h}, expect: {event: f}, "
        "pause: {event: w, until: g, max: 1d, match: [n]}"
    )
    p.learn(fact("o", OPENED, "paused", n=1), fact("o", OPENED + MINUTE, "runs", n=2), fact("w", OPENED + MINUTE, n=1))
    p.learn(fact("f", OPENED + 2 * MINUTE))
    assert statuses(p) == {"paused": "breached", "runs": "kept"}


def test_null_is_a_distinct_value_and_missing_is_none() -> None:
    """One with null and one with a value are two; one without the field counts for nothing."""
    p = world("when: {event: o}, due: {within: 1h}, expect: {event: f, count: 2, distinct: n}")
    p.learn(fact("o", OPENED, "o"), fact("f", OPENED + 1, n=None), fact("f", OPENED + 2), fact("f", OPENED + 3, n=None))
    assert p.published == []
    p.learn(fact("f", OPENED + 4, n=0))
    assert ends(p)["o"].fulfilled_at == OPENED + 4


def test_a_repromise_without_a_beginning_lifts_the_old_one() -> None:
    """The old slot's beginning says nothing about the new one."""
    p = world(f"{AWAITED}, not_before: begin, repromise: {{event: m, field: to, max: 1}}")
    p.learn(fact("o", OPENED, "o", begin="2026-05-04T10:30:00"), fact("f", OPENED + MINUTE))
    p.learn(fact("m", OPENED + 2 * MINUTE, to="2026-05-04T11:30:00"), fact("f", OPENED + 3 * MINUTE))
    assert ends(p)["o"].fulfilled_at == OPENED + 3 * MINUTE


def test_a_status_is_left_by_its_own_type_and_for_every_cycle() -> None:
    """Another type speaks of something else; leaving is not used up by the first cycle that it keeps."""
    p = world("when: {event: [o, q], again: true}, due: {within: 1h}, expect: {leave: s}")
    p.learn(fact("o", OPENED, "a", s=1), fact("o", OPENED + MINUTE, "b", s=1), fact("q", OPENED + 2 * MINUTE, "c", s=2))
    p.learn(fact("o", OPENED + 3 * MINUTE, "d", s=3))
    found = ends(p)
    assert {name: one.fulfilled_at for name, one in found.items() if one.status == "kept"} == {
        "a": OPENED + 3 * MINUTE, "b": OPENED + 3 * MINUTE,
    }  # fmt: skip


def test_the_fact_that_makes_values_agree_opens_no_cycle_of_its_own() -> None:
    """It ends the cycle that ran; only a later change opens one."""
    p = world(f"when: {{event: [a, b], again: true}}, due: {{within: 1h}}, {HOLDS}")
    p.learn(fact("a", OPENED, "a", n=1), fact("b", OPENED + MINUTE, "b", n=1))
    assert statuses(p) == {"a": "kept"}


def test_a_forbidden_event_breaks_every_running_cycle() -> None:
    """It is not shared out: each promised that it would not come."""
    p = world("when: {event: o, again: true}, due: {within: 1h}, forbid: {event: bad}")
    p.learn(fact("o", OPENED, "a"), fact("o", OPENED + MINUTE, "b"), fact("bad", OPENED + 2 * MINUTE))
    assert statuses(p) == {"a": "breached", "b": "breached"}


def test_a_repromise_without_a_due_uses_up_no_turn() -> None:
    """The message that it will be later is no new promise until it says when."""
    p = world(f"{AWAITED}, repromise: {{event: m, field: to, max: 1}}")
    p.learn(fact("o", OPENED, "o"), fact("m", OPENED + 1), fact("m", OPENED + 2, to=None))
    p.learn(fact("m", OPENED + 3, to="2026-05-04T15:00:00"))
    assert ends(p)["o"].due == OPENED + 5 * HOUR


def test_a_second_start_within_a_pause_is_ignored() -> None:
    """The pause counts from its first question to the answer, and `max` from there."""
    p = world(f"{AWAITED}, pause: {{event: w, until: g, max: 40m}}")
    p.learn(fact("o", OPENED, "o"), fact("w", OPENED + 10 * MINUTE), fact("w", OPENED + 30 * MINUTE))
    assert ends(p)["o"].due == DUE + 40 * MINUTE


def test_a_pause_that_lasts_when_the_cycle_ends_has_moved_nothing() -> None:
    """Whatever is learnt of its end later."""
    p = world(f"{AWAITED}, pause: {{event: w, until: g, max: 1d}}")
    p.learn(fact("o", OPENED, "o"), fact("w", OPENED + 10 * MINUTE), fact("f", OPENED + 3 * HOUR))
    p.learn(fact("g", OPENED + 4 * HOUR))
    end = ends(p)["o"]
    assert (end.status, end.fulfilled_at, end.due, end.paused_ms) == ("kept", OPENED + 3 * HOUR, DUE, 0)


@pytest.mark.parametrize("data", [{}, {"n": "2"}, {"n": None}])
def test_a_condition_that_cannot_be_told_is_false_and_counted(data: dict[str, object]) -> None:
    """A field that is missing, and one of another kind: nothing opens, nothing keeps, and it shows in the metrics."""
    p = world('when: {event: o, if: "data.n > 1"}, due: {within: 1h}, expect: {event: f, if: "data.n > 1"}')
    p.learn(fact("o", OPENED, "unclear", **data))
    assert (p.published, p.counted["condition_unclear"]) == ([], 1)
    p.learn(fact("o", OPENED, "o", n=2), fact("f", OPENED + 1, **data))
    assert p.counted["condition_unclear"] == 2
    assert statuses(p) == {"o": "breached"}
