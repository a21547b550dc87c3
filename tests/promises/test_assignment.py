"""Several cycles, one fulfilment: which one it keeps. Openings with `again`, `match`, `count`, `distinct`, `shared`."""

from tests.promises.builders import HOUR, MINUTE, Partition, at, book, fact, kinds

OPENED = at("2026-05-04 10:00")


def world(text: str) -> Partition:
    return Partition(book(f"- {{id: p, {text}}}"))


AGAIN = "when: {event: o, again: true}, due: {within: 1h}, expect: {event: f}"


def test_without_again_only_the_first_opening_counts() -> None:
    """The second order of the same number promises nothing of its own."""
    p = world("when: {event: [o, also]}, due: {within: 1h}, expect: {event: f}")
    p.learn(fact("also", OPENED, "a"), fact("o", OPENED + MINUTE, "b"))
    assert [one.cycle for one in p.frontier(OPENED + 3 * HOUR)] == ["a"]


def test_again_starts_a_cycle_each_time() -> None:
    """Two mutations and one confirmation leave one promise unkept."""
    p = world(AGAIN)
    p.learn(fact("o", OPENED, "a"), fact("o", OPENED + MINUTE, "b"), fact("f", OPENED + 2 * MINUTE))
    p.frontier(OPENED + 3 * HOUR)
    assert p.final() == {("p", "A-17", "a"): ("kept", OPENED + 2 * MINUTE), ("p", "A-17", "b"): ("breached", None)}


def test_a_fulfilment_goes_to_the_earliest_due_it_still_meets() -> None:
    """June's notice was missed, July's came in time: June's breach is not healed by it."""
    p = world(AGAIN)
    p.learn(fact("o", OPENED, "june"), fact("o", OPENED + 5 * HOUR, "july"), fact("f", OPENED + 5 * HOUR + MINUTE))
    p.frontier(OPENED + 9 * HOUR)
    assert p.final()["p", "A-17", "june"] == ("breached", None)
    assert p.final()["p", "A-17", "july"] == ("kept", OPENED + 5 * HOUR + MINUTE)


def test_with_none_to_meet_it_goes_to_the_earliest_overdue() -> None:
    """Late for both: the one that has waited longest is served."""
    p = world(AGAIN)
    p.learn(fact("o", OPENED, "a"), fact("o", OPENED + MINUTE, "b"), fact("f", OPENED + 3 * HOUR))
    p.frontier(OPENED + 9 * HOUR)
    assert p.final()["p", "A-17", "a"] == ("fulfilled_late", OPENED + 3 * HOUR)
    assert p.final()["p", "A-17", "b"] == ("breached", None)


def test_an_opening_learnt_late_takes_the_fulfilment_that_was_given_away() -> None:
    """The set decides, not the order of arrival: what was kept is breached when an earlier cycle becomes known."""
    p = world(AGAIN)
    p.learn(fact("o", OPENED, "b"), fact("f", OPENED + 2 * MINUTE))
    assert p.kinds() == ["kept"]
    p.learn(fact("o", OPENED - MINUTE, "a"))
    assert p.kinds() == ["kept", "kept", "open"]
    assert kinds(p.frontier(OPENED + 3 * HOUR)) == ["breached"]


def test_match_demands_equal_fields() -> None:
    """A confirmation of another mutation confirms nothing; `true` is not 1."""
    p = world("when: {event: o, again: true}, due: {within: 1h}, expect: {event: f, match: [m]}")
    p.learn(fact("o", OPENED, "a", m=1), fact("o", OPENED, "b", m=True), fact("f", OPENED + MINUTE, m=True))
    p.frontier(OPENED + 3 * HOUR)
    assert p.final() == {("p", "A-17", "a"): ("breached", None), ("p", "A-17", "b"): ("kept", OPENED + MINUTE)}


def test_count_wants_so_many_and_distinct_different_ones() -> None:
    """One SIM scanned twice is one SIM."""
    p = world("when: {event: o}, due: {within: 1h}, expect: {event: f, count: 2, distinct: sim}")
    p.learn(fact("o", OPENED, "a"), fact("f", OPENED + 1, sim="A"), fact("f", OPENED + 2, sim="A"))
    p.learn(fact("f", OPENED + 3))
    assert p.published == []
    p.learn(fact("f", OPENED + 4, sim="B"))
    assert p.final() == {("p", "A-17", "a"): ("kept", OPENED + 4)}


def test_shared_lets_one_fulfilment_keep_several() -> None:
    """One visit announces both appointments."""
    p = world("when: {event: o, again: true}, due: {within: 1h}, expect: {event: f, shared: true}")
    p.learn(fact("o", OPENED, "a"), fact("o", OPENED + MINUTE, "b"), fact("f", OPENED + 2 * MINUTE))
    assert p.kinds() == ["kept", "kept"]


def test_a_condition_decides_what_opens_and_sees_the_opening() -> None:
    """`if` under when and expect; a missing key is false and counted."""
    p = world('when: {event: o, if: "data.n == 2"}, due: {within: 1h}, expect: {event: f, if: "data.n > opened.n"}')
    p.learn(fact("o", OPENED, "x", n=1), fact("o", OPENED, "y"), fact("o", OPENED, "z", n=2))
    assert p.counted["condition_unclear"] == 1  # of y, which has no n
    p.learn(fact("f", OPENED + 1, n=2), fact("f", OPENED + 2, n=3))
    assert [(one.cycle, one.fulfilled_at) for one in p.published] == [("z", OPENED + 2)]


def test_negative_time_with_early_is_notice_before() -> None:
    """Four days before the debit is notice, two days before is one day late."""
    p = world("when: {event: o, again: true}, due: {within: -3d}, expect: {event: f, early: true}")
    day = 24 * HOUR
    p.learn(fact("f", OPENED - 4 * day), fact("o", OPENED, "a"), fact("o", OPENED + 30 * day, "b"))
    p.learn(fact("f", OPENED + 28 * day))
    p.frontier(OPENED + 60 * day)
    assert p.final()["p", "A-17", "a"] == ("kept", OPENED - 4 * day)
    assert p.final()["p", "A-17", "b"] == ("fulfilled_late", OPENED + 28 * day)
    assert p.published[-1].late_by_ms == day


def test_the_breach_of_a_count_is_told_in_words() -> None:
    """What did not come, and how often it should have."""
    p = world("title: T, when: {event: o}, due: {within: 1h}, expect: {event: f, count: 2, distinct: sim}")
    p.learn(fact("o", OPENED, "a"))
    (one,) = p.frontier(OPENED + 3 * HOUR)
    assert one.expected == "2 times f of different sim"
    assert "not all of 2 times f of different sim by then" in one.explain
