"""A pause together with what else may happen to a promise: warnings, re-promises, values that agree, the forbidden."""

from tests.promises.builders import HOUR, MINUTE, Partition, at, book, fact, kinds

OPENED = at("2026-05-04 10:00")
DUE = OPENED + 2 * HOUR
PAUSE = "pause: {event: wait, until: go, max: 4h}"
AWAITED = f"when: {{event: o}}, due: {{within: 2h}}, expect: {{event: f}}, {PAUSE}"
WARNED = f"{AWAITED}, warn: [50%, -30m]"
MOVED = f"{AWAITED}, repromise: {{event: m, field: to, max: 1}}"
AGREEING = (
    "when: {event: [a, b], again: true}, due: {within: 2h}, "
    f'expect: {{holds: "x.n == y.n", from: {{x: a, y: b}}}}, {PAUSE}'
)
FORBIDDEN = f"when: {{event: o}}, due: {{within: 2h}}, forbid: {{event: bad}}, {PAUSE}"


def world(text: str) -> Partition:
    return Partition(book(f"- {{id: p, title: T, {text}}}"))


def warned(p: Partition, frontier: int) -> list[tuple[str | None, int | None, int]]:
    return [(one.warn, one.risk_at, one.due) for one in p.frontier(frontier)]


def test_no_warning_while_a_pause_lasts_and_the_latest_that_has_passed_when_it_ends() -> None:
    """Paused from 10:30 to 12:45 it is due at 14:15: half of that has passed, the other warning is to come."""
    p = world(WARNED)
    p.learn(fact("o", OPENED), fact("wait", OPENED + 30 * MINUTE))
    assert warned(p, OPENED + 165 * MINUTE) == []
    p.learn(fact("go", OPENED + 165 * MINUTE))
    due = DUE + 135 * MINUTE
    assert warned(p, OPENED + 165 * MINUTE + 1) == [("50%", OPENED + (due - OPENED) // 2, due)]
    assert warned(p, due) == [("-30m", due - 30 * MINUTE, due)]


def test_a_warning_given_before_a_pause_is_given_again_for_the_due_that_the_pause_moved() -> None:
    """Another due is another promise to the customer."""
    p = world(WARNED)
    p.learn(fact("o", OPENED))
    assert warned(p, OPENED + HOUR + 1) == [("50%", OPENED + HOUR, DUE)]
    p.learn(fact("wait", OPENED + 61 * MINUTE), fact("go", OPENED + 91 * MINUTE))
    due = DUE + 30 * MINUTE
    assert warned(p, due) == [("50%", OPENED + 75 * MINUTE, due), ("-30m", due - 30 * MINUTE, due)]


def test_a_warning_before_the_opening_waits_for_the_opening() -> None:
    """Known ahead of the frontier: nothing is at risk before it was promised."""
    p = world("when: {event: o}, due: {within: 2h}, expect: {event: f}, warn: [-1d]")
    p.learn(fact("o", OPENED))
    assert warned(p, OPENED) == []
    assert warned(p, OPENED + 1) == [("-1d", DUE - 24 * HOUR, DUE)]


def test_a_due_promised_within_a_pause_moves_by_the_whole_pause() -> None:
    """Paused 10:30-11:30, promised again at 11:00 for 15:00: due at 16:00, the first due is told."""
    p = world(MOVED)
    p.learn(
        fact("o", OPENED), fact("wait", OPENED + 30 * MINUTE), fact("m", OPENED + HOUR, to="2026-05-04T15:00:00"),
        fact("go", OPENED + 90 * MINUTE),
    )  # fmt: skip
    (one,) = p.frontier(OPENED + 9 * HOUR)
    assert (one.first_due, one.due, one.paused_ms) == (DUE, at("2026-05-04 16:00"), HOUR)


def test_a_due_promised_after_a_pause_is_not_moved_by_it() -> None:
    """Whoever promised it knew of the pause."""
    p = world(MOVED)
    p.learn(
        fact("o", OPENED), fact("wait", OPENED + 30 * MINUTE), fact("go", OPENED + HOUR),
        fact("m", OPENED + 61 * MINUTE, to="2026-05-04T15:00:00"),
    )  # fmt: skip
    (one,) = p.frontier(OPENED + 9 * HOUR)
    assert (one.due, one.paused_ms) == (at("2026-05-04 15:00"), 0)


def test_a_further_change_that_is_due_no_later_leaves_a_pause_as_it_was() -> None:
    """A pause of two hours has moved the end of Tuesday to that of Wednesday; the change would be due on Tuesday."""
    p = world(AGREEING.replace("within: 2h", "plus: 1, unit: day, at: end_of_day"))
    p.learn(
        fact("a", OPENED, "a", n=1), fact("wait", OPENED + MINUTE), fact("go", OPENED + 121 * MINUTE),
        fact("b", OPENED + 3 * HOUR, "b", n=2),
    )  # fmt: skip
    (one,) = p.frontier("2026-05-08 00:00")
    assert (one.cycle, one.due, one.paused_ms) == ("a", at("2026-05-07 00:00") - 1, 2 * HOUR)


def test_what_is_forbidden_stays_forbidden_within_a_pause_and_for_as_much_longer() -> None:
    """A pause of one hour: forbidden until 13:00."""
    for time, status in ((DUE + HOUR, "breached"), (DUE + HOUR + 1, "kept")):
        p = world(FORBIDDEN)
        p.learn(fact("o", OPENED), fact("wait", OPENED + MINUTE), fact("go", OPENED + 61 * MINUTE))
        p.learn(fact("bad", time))
        assert kinds(p.frontier(OPENED + 9 * HOUR)) == [status]


def test_a_broken_prohibition_whose_due_moves_is_told_anew_as_an_outcome_only() -> None:
    """The breach stays what it was and nobody is told twice; the outcome has the due as last promised."""
    p = world(FORBIDDEN)
    p.learn(fact("o", OPENED), fact("bad", OPENED + HOUR))
    (breach,) = p.frontier(OPENED + HOUR + 1)
    (again,) = p.learn(fact("wait", OPENED + MINUTE), fact("go", OPENED + 31 * MINUTE))
    assert (breach.kind, breach.due, breach.revision) == ("breached", DUE, 1)
    assert (again.kind, again.status, again.breached_at, again.due) == (
        "outcome", "breached", OPENED + HOUR, DUE + 30 * MINUTE,
    )  # fmt: skip
    assert again.revision > breach.revision
    assert breach.id != again.id
    assert p.frontier(OPENED + 9 * HOUR) == []
