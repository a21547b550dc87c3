"""`promise.at_risk`: warnings before the due. Each once, the latest of several, none once it is due."""

from tests.promises.builders import HOUR, MINUTE, Partition, at, book, fact, kinds

OPENED = at("2026-05-04 10:00")
DUE = OPENED + 2 * HOUR
WARN = """
- {id: p, title: T, when: {event: o}, due: {within: 2h}, expect: {event: f}, warn: [-30m, 50%],
   repromise: {event: m, field: to, max: 1}}
"""


def world() -> Partition:
    p = Partition(book(WARN))
    p.learn(fact("o", OPENED, "o"))
    return p


def test_each_warning_is_published_when_its_instant_has_passed() -> None:
    """Half of the time, then thirty minutes before; each with an id of its own."""
    p = world()
    assert p.frontier(OPENED + HOUR) == []
    (first,) = p.frontier(OPENED + HOUR + 1)
    assert (first.kind, first.status, first.warn, first.risk_at) == ("at_risk", "open", "50%", OPENED + HOUR)
    assert first.breached_at is None
    assert first.explain.startswith("Order A-17: 'T' is due Mon 4 May 2026 12:00 (Europe/Amsterdam); so far no f.")
    (second,) = p.frontier(DUE)
    assert (second.warn, second.revision) == ("-30m", 2)
    assert first.id != second.id


def test_what_is_kept_is_not_at_risk() -> None:
    p = world()
    p.learn(fact("f", OPENED + MINUTE))
    assert p.frontier(OPENED + 9 * HOUR) == []


def test_opened_inside_several_warnings_publishes_only_the_latest() -> None:
    """It is learnt after both: one warning says it all."""
    p = Partition(book(WARN))
    p.frontier(OPENED + 100 * MINUTE)
    p.learn(fact("o", OPENED, "o"))
    assert [one.warn for one in p.frontier(OPENED + 101 * MINUTE)] == ["-30m"]


def test_none_once_it_is_due() -> None:
    """A frontier that jumps past the due has no time for warnings."""
    p = world()
    assert kinds(p.frontier(DUE + 1)) == ["breached"]


def test_a_new_due_has_warnings_of_its_own() -> None:
    p = world()
    p.frontier(OPENED + HOUR + 1)
    p.learn(fact("m", OPENED + HOUR, to="2026-05-04T15:00:00"))
    found = p.frontier(at("2026-05-04 14:59"))
    assert [(one.warn, one.due) for one in found] == [("50%", at("2026-05-04 15:00")), ("-30m", at("2026-05-04 15:00"))]


def test_nothing_is_announced_twice() -> None:
    """Across a restart, and a settled verdict that is taken back."""
    p = world()
    p.frontier(OPENED + HOUR + 1)
    p.restart()
    assert p.frontier(OPENED + HOUR + 2) == []
