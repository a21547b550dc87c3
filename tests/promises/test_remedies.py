"""`breach_of`: what is promised when another promise was broken, named by the cycle that was."""

from tests.promises.builders import HOUR, MINUTE, Partition, at, book, fact, kinds

OPENED = at("2026-05-04 10:00")
BROKEN = OPENED + HOUR
BOOK = """
- {id: cause, when: {event: o, again: true}, due: {within: 1h}, expect: {event: f, match: [m]}}
- {id: refund, when: {breach_of: cause}, due: {within: 2h}, expect: {event: paid}, release: {event: waived}}
- {id: sorry, when: {breach_of: refund}, due: {within: 1h}, expect: {event: letter}}
"""


def world() -> Partition:
    p = Partition(book(BOOK))
    p.learn(fact("o", OPENED, "o", m=1))
    return p


def said(p: Partition) -> list[tuple[str, str]]:
    return [(one.promise, kind) for one, kind in zip(p.published, p.kinds(), strict=True)]


def test_a_breach_opens_its_remedy() -> None:
    """At the instant of the breach, under the name of the cause's cycle."""
    p = world()
    p.frontier(BROKEN + 1)
    p.learn(fact("paid", BROKEN + HOUR))
    assert said(p) == [("cause", "breached"), ("refund", "kept")]
    one = p.published[-1]
    assert (one.cycle, one.opening.id, one.opened_at, one.due) == ("o", "o", BROKEN, BROKEN + 2 * HOUR)


def test_a_remedy_can_be_broken_and_have_its_own() -> None:
    """All in one jump of the frontier, as in a backtest."""
    p = world()
    p.frontier(OPENED + 20 * HOUR)
    assert said(p) == [("cause", "breached"), ("refund", "breached"), ("sorry", "breached")]
    assert p.published[-1].breached_at == BROKEN + 3 * HOUR
    assert "no letter by then" in p.published[-1].explain


def test_each_broken_cycle_has_a_remedy() -> None:
    p = world()
    p.learn(fact("o", OPENED + MINUTE, "o2", m=2))
    p.frontier(BROKEN + HOUR)
    p.learn(fact("paid", BROKEN + HOUR + 1))
    p.frontier(OPENED + 20 * HOUR)
    assert p.final()["refund", "A-17", "o"] == ("kept", BROKEN + HOUR + 1)
    assert p.final()["refund", "A-17", "o2"] == ("breached", None)


def test_a_cause_that_is_taken_back_releases_what_is_running() -> None:
    p = world()
    p.frontier(BROKEN + 1)
    p.learn(fact("f", OPENED + 1, m=1))
    assert said(p) == [("cause", "breached"), ("cause", "retracted"), ("refund", "released")]
    assert p.frontier(OPENED + 20 * HOUR) == []


def test_a_cause_that_is_taken_back_retracts_the_remedys_breach() -> None:
    """Whenever that is learnt, down the whole chain."""
    p = world()
    p.frontier(OPENED + 20 * HOUR)
    p.published.clear()
    p.learn(fact("f", OPENED + 1, m=1))
    assert said(p) == [("cause", "retracted"), ("refund", "retracted"), ("sorry", "retracted")]
    assert [one.reason for one in p.published] == ["fulfilled_in_time", "cause_retracted", "cause_retracted"]


def test_a_fulfilment_of_the_cause_that_comes_late_changes_nothing_for_the_remedy() -> None:
    """Broken is broken: the money is owed."""
    p = world()
    p.frontier(BROKEN + 1)
    assert kinds(p.learn(fact("f", BROKEN + MINUTE, m=1))) == ["fulfilled_late"]
    p.frontier(BROKEN + 2 * HOUR + 1)
    assert said(p)[-1] == ("refund", "breached")


def test_a_released_remedy_is_not_opened_again_by_what_its_opening_no_longer_says() -> None:
    """The content that counts names no due for it; what becomes known later of its cause does not bring it back."""
    p = Partition(
        book("""
- {id: cause, when: {event: o}, due: {within: 1h}, expect: {event: f}}
- {id: refund, when: {breach_of: cause}, due: {field: slot}, expect: {event: paid}}
- {id: other, when: {event: o, where: {a: 7}}, due: {within: 1h}, expect: {event: g}}
""")
    )
    p.learn(fact("o", OPENED, "o", a=8, slot="2026-05-04T12:00:00"))
    p.frontier(OPENED + 3 * HOUR)
    p.learn(fact("o", OPENED, "o", a=7))
    p.learn(fact("f", OPENED + 4 * HOUR))
    p.frontier(OPENED + 20 * HOUR)
    assert p.final()["cause", "A-17", "o"] == ("fulfilled_late", OPENED + 4 * HOUR)
    assert p.final()["refund", "A-17", "o"] == ("released", None)
