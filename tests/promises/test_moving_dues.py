"""What moves a due: re-promises and pauses. And `not_before`, `enter`, `leave`, `holds`, which look at instants too."""

import pytest

from tests.promises.builders import HOUR, MINUTE, Partition, at, book, fact, kinds

OPENED = at("2026-05-04 10:00")
DUE = OPENED + 2 * HOUR


def world(text: str) -> Partition:
    return Partition(book(f"- {{id: p, {text}}}"))


MOVED = "when: {event: o}, due: {within: 2h}, expect: {event: f}, repromise: {event: m, field: to, max: 1}"
PAUSED = "when: {event: o}, due: {within: 2h}, expect: {event: f}, pause: {event: wait, until: go, max: 1h}"
HOLDS = 'due: {within: 1h}, expect: {holds: "x.n == y.n", from: {x: a, y: b}}'


def test_a_repromise_at_the_due_still_moves_it() -> None:
    """Dated at or before the due it moves; the breach tells both dues."""
    p = world(MOVED)
    p.learn(fact("o", OPENED), fact("m", DUE, to="2026-05-04T15:00:00"))
    (one,) = p.frontier(OPENED + 9 * HOUR)
    assert (one.first_due, one.due, one.breached_at) == (DUE, DUE + 3 * HOUR, DUE + 3 * HOUR)
    assert "first promised" in one.explain


@pytest.mark.parametrize(("time", "to"), [(DUE + 1, "2026-05-04T15:00:00"), (OPENED - 1, "2026-05-04T15:00:00")])
def test_a_repromise_outside_the_cycle_moves_nothing(time: int, to: str) -> None:
    """Moved after it was due stays breached; before the opening nothing was promised."""
    p = world(MOVED)
    p.learn(fact("o", OPENED), fact("m", time, to=to))
    (one,) = p.frontier(OPENED + 9 * HOUR)
    assert one.breached_at == DUE


def test_at_most_max_repromises_count() -> None:
    """The second one is an excuse."""
    p = world(MOVED)
    p.learn(fact("o", OPENED), fact("m", OPENED + 1, to="2026-05-04T15:00:00"))
    p.learn(fact("m", OPENED + 2, to="2026-05-04T18:00:00"))
    assert [one.due for one in p.frontier(OPENED + 9 * HOUR)] == [at("2026-05-04 15:00")]


def test_a_repromise_learnt_late_takes_the_breach_back_until_its_own_due() -> None:
    """It was published for the first due; the moved one is still to come."""
    p = world(MOVED)
    p.learn(fact("o", OPENED))
    assert kinds(p.frontier(DUE + MINUTE)) == ["breached"]
    (one,) = p.learn(fact("m", OPENED + HOUR, to="2026-05-04T15:00:00"))
    assert (one.kind, one.status, one.reason) == ("retracted", "open", "due_moved")
    assert kinds(p.frontier(OPENED + 9 * HOUR)) == ["breached"]
    assert len({one.id for one in p.published}) == 3


def test_an_earlier_due_learnt_late_is_not_lost() -> None:
    """A due behind the checkpoint fires once what was on its way has been read."""
    p = world(MOVED)
    p.learn(fact("o", OPENED))
    p.frontier(DUE - MINUTE)
    p.learn(fact("m", OPENED + 1, to="2026-05-04T11:00:00"))
    (one,) = p.frontier(DUE)
    assert (one.kind, one.due) == ("breached", at("2026-05-04 11:00"))


def test_a_repromise_before_itself_releases_and_is_counted() -> None:
    """Nobody can keep what was promised for yesterday."""
    p = world(MOVED)
    (one,) = p.learn(fact("o", OPENED), fact("m", OPENED + HOUR, to="2026-05-04T10:30:00"))
    assert one.status == "released"
    assert p.counted["moved_before_itself"] == 1


def test_not_before_turns_an_early_call_away() -> None:
    """At the instant itself it counts; a re-promise says it anew."""
    text = "when: {event: o}, due: {field: end}, not_before: start, expect: {event: f}"
    p = world(text)
    p.learn(fact("o", OPENED, start="2026-05-04T11:00:00", end="2026-05-04T12:00:00"))
    p.learn(fact("f", at("2026-05-04 10:59")))
    assert p.published == []
    p.learn(fact("f", at("2026-05-04 11:00")))
    assert p.kinds() == ["kept"]


def test_a_pause_moves_the_due_by_its_length() -> None:
    """Half an hour of waiting for the customer."""
    p = world(PAUSED)
    p.learn(fact("o", OPENED), fact("wait", OPENED + HOUR), fact("go", OPENED + HOUR + 30 * MINUTE))
    (one,) = p.frontier(OPENED + 9 * HOUR)
    assert (one.first_due, one.due, one.paused_ms) == (DUE, DUE + 30 * MINUTE, 30 * MINUTE)
    assert "paused for 30 min" in one.explain


def test_an_open_pause_ends_by_itself_at_its_max() -> None:
    """Nobody waits for ever."""
    p = world(PAUSED)
    p.learn(fact("o", OPENED), fact("wait", OPENED + HOUR))
    assert p.frontier(DUE + HOUR) == []
    assert [one.breached_at for one in p.frontier(DUE + HOUR + 1)] == [DUE + HOUR]


def test_nothing_is_broken_while_a_pause_lasts() -> None:
    """Also where the paused time does not count: what comes within the pause is in time."""
    text = "when: {event: o}, due: {field: to}, expect: {event: f}, pause: {event: wait, until: go, max: 1h}"
    p = world(text)
    p.learn(fact("o", OPENED, to="2026-05-04T12:00:00"), fact("wait", OPENED + HOUR))
    assert p.frontier(DUE + MINUTE) == []
    assert kinds(p.learn(fact("f", OPENED + HOUR + 59 * MINUTE))) == ["kept"]


def test_at_the_due_no_pause_starts() -> None:
    """A breach stays a breach; a millisecond earlier it does start."""
    for time, moved in ((DUE, 0), (DUE - 1, HOUR)):
        p = world(PAUSED)
        p.learn(fact("o", OPENED), fact("wait", time))
        assert [one.breached_at for one in p.frontier(OPENED + 9 * HOUR)] == [DUE + moved]


def test_working_time_stands_still_at_night() -> None:
    """Four hours of an office that closes at five."""
    p = world("when: {event: o}, due: {within: 4h, calendar: office}, expect: {event: f}")
    p.learn(fact("o", "2026-05-04 15:00"))
    assert [one.due for one in p.frontier("2026-05-08 00:00")] == [at("2026-05-05 11:00")]


def test_entering_is_coming_from_another_status() -> None:
    """Paid again is not entered again; a late fact in between changes that."""
    p = world("when: {event: s, field: v, enter: [paid], again: true}, due: {within: 1h}, expect: {leave: v}")
    p.learn(fact("s", OPENED, "a", v="paid"), fact("s", OPENED + 2 * MINUTE, "c", v="paid"))
    assert [one.cycle for one in p.frontier(OPENED + 2 * HOUR)] == ["a"]
    p.learn(fact("s", OPENED + MINUTE, "b", v="new"))
    p.frontier(OPENED + 3 * HOUR)
    assert p.final() == {("p", "A-17", "a"): ("kept", OPENED + MINUTE), ("p", "A-17", "c"): ("breached", None)}


def test_a_breach_of_leave_says_what_was_not_left() -> None:
    """In words: the field and the value in which it is stuck."""
    p = world("when: {event: s, field: v, enter: [paid]}, due: {within: 1h}, expect: {leave: v}")
    p.learn(fact("s", OPENED, v="paid"))
    (one,) = p.frontier(OPENED + 2 * HOUR)
    assert one.expected == "v to leave paid"
    assert "v was still paid by then" in one.explain


def test_values_that_agree_once_stay_kept() -> None:
    """A quote changed later breaks nothing."""
    p = world(f"when: {{event: a}}, {HOLDS}")
    p.learn(fact("b", OPENED - HOUR, n=1), fact("a", OPENED, "a", n=1), fact("b", OPENED + MINUTE, n=2))
    assert [(one.status, one.fulfilled_at) for one in p.published] == [("kept", OPENED)]
    assert p.frontier(OPENED + 9 * HOUR) == []


def test_a_further_opening_joins_and_gives_fresh_time() -> None:
    """The due is that of the last one, the cycle that of the first."""
    p = world(f"when: {{event: [a, b], again: true}}, {HOLDS}")
    p.learn(fact("a", OPENED, "a", n=1), fact("b", OPENED + 30 * MINUTE, "b", n=2))
    (one,) = p.frontier(OPENED + 9 * HOUR)
    assert (one.cycle, one.first_due, one.due) == ("a", OPENED + HOUR, OPENED + 90 * MINUTE)
    assert one.expected == "x.n == y.n"


def test_values_that_agree_at_the_due_are_kept_and_later_are_late() -> None:
    """At the deadline counts as kept."""
    for time, status in ((OPENED + HOUR, "kept"), (OPENED + HOUR + 1, "fulfilled_late")):
        p = world(f"when: {{event: a}}, {HOLDS}")
        p.learn(fact("a", OPENED, "a", n=1), fact("b", time, n=1))
        p.frontier(OPENED + 9 * HOUR)
        assert p.final() == {("p", "A-17", "a"): (status, time)}
