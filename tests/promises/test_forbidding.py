"""What must not happen: `forbid`, `until`, `count`. A breach at its time, proved when its time has passed."""

from tests.promises.builders import DAY, HOUR, MINUTE, Partition, at, book, fact, kinds

OPENED = at("2026-05-04 10:00")
DUE = OPENED + 2 * HOUR
FORBID = """
- {id: p, title: T, when: {event: o}, forbid: {event: bad}, until: {event: ok}, due: {within: 2h},
   release: {event: end}}
"""


def world(text: str = FORBID) -> Partition:
    p = Partition(book(text))
    p.learn(fact("o", OPENED, "o"))
    return p


def test_a_forbidden_event_is_a_breach_at_its_time() -> None:
    """Published once the frontier has passed it: an earlier `until` may still come."""
    p = world()
    assert p.learn(fact("bad", OPENED + HOUR)) == []
    assert p.frontier(OPENED + HOUR) == []
    (one,) = p.frontier(OPENED + HOUR + 1)
    assert (one.kind, one.breached_at, one.due, one.expected) == ("breached", OPENED + HOUR, DUE, "no bad")
    assert "T' promised no bad until" in one.explain
    assert p.frontier(OPENED + 9 * HOUR) == []


def test_nothing_forbidden_by_the_due_is_kept_once_proved() -> None:
    """Absence is proved by the frontier, also where it is good news."""
    p = world()
    assert p.frontier(DUE) == []
    (one,) = p.frontier(DUE + 1)
    assert (one.kind, one.status, one.fulfilled_at) == ("outcome", "kept", None)


def test_at_the_due_it_is_still_forbidden() -> None:
    """A millisecond later it no longer is."""
    for time, said in ((DUE, ["breached"]), (DUE + 1, ["kept"])):
        p = world()
        p.learn(fact("bad", time))
        assert kinds(p.frontier(OPENED + 9 * HOUR)) == said


def test_until_beats_forbid_at_one_instant() -> None:
    """And what comes after it is allowed, what came before is not."""
    for time, said in ((OPENED + HOUR - 1, ["breached"]), (OPENED + HOUR, ["kept"]), (OPENED + HOUR + 1, ["kept"])):
        p = world()
        p.learn(fact("ok", OPENED + HOUR, "z"), fact("bad", time, "a"))
        assert kinds(p.frontier(OPENED + 9 * HOUR)) == said


def test_an_until_learnt_late_takes_the_breach_back() -> None:
    """It was allowed already: retracted, and kept once that is proved (at the same instant it is)."""
    for time, status, later in ((OPENED + HOUR, "kept", []), (OPENED + MINUTE, "open", ["kept"])):
        p = world()
        p.learn(fact("bad", OPENED + HOUR))
        p.frontier(OPENED + HOUR + 1)
        (one,) = p.learn(fact("ok", time))
        assert (one.kind, one.status, one.reason) == ("retracted", status, "evidence_changed")
        assert kinds(p.frontier(OPENED + 9 * HOUR)) == later


def test_an_earlier_forbidden_event_learnt_late_breaks_it_earlier() -> None:
    """Broken all the same: nothing is taken back in between."""
    p = world()
    p.learn(fact("bad", OPENED + HOUR))
    p.frontier(OPENED + HOUR + 1)
    (one,) = p.learn(fact("bad", OPENED + MINUTE))
    assert (one.kind, one.breached_at, one.revision) == ("breached", OPENED + MINUTE, 2)


def test_the_opening_is_never_forbidden_by_itself() -> None:
    """Charged once a month: the second charge breaks the first one's promise, and has one of its own."""
    p = Partition(book("- {id: p, when: {event: c, again: true}, forbid: {event: c}, due: {plus: 27, unit: day}}"))
    p.learn(fact("c", OPENED, "a"), fact("c", OPENED + 19 * DAY, "b"))
    p.frontier(OPENED + 60 * DAY)
    assert p.final() == {("p", "A-17", "a"): ("breached", None), ("p", "A-17", "b"): ("kept", None)}


def test_count_forbids_the_so_manyth() -> None:
    """No third call: the second one after the first is the breach."""
    p = Partition(book("- {id: p, when: {event: c}, forbid: {event: c, count: 2}, due: {within: 2h}}"))
    p.learn(fact("c", OPENED), fact("c", OPENED + 1), fact("c", OPENED + 2))
    assert [one.breached_at for one in p.frontier(OPENED + 9 * HOUR)] == [OPENED + 2]


def test_a_release_ends_it_in_time() -> None:
    """What is over cannot be broken."""
    p = world()
    assert kinds(p.learn(fact("end", OPENED + HOUR))) == ["released"]
    p.learn(fact("bad", OPENED + HOUR + 1))
    assert p.frontier(OPENED + 9 * HOUR) == []
