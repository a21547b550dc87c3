"""The whole language: what must not matter. Order, repetitions, borders of batches and slices, restarts, replays."""

# ruff: noqa: E501 - promises on one line each

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.facts import Fact
from tests.promises.builders import HOUR, MINUTE, Partition, at, book, kinds

OPENED = at("2026-05-04 10:00")

SHARING = """
- {id: mutation, when: {event: a, again: true}, due: {within: 1h}, expect: {event: b, match: [m]}, release: {event: c},
   warn: [-15m, 50%]}
- {id: two, when: {event: a, if: "data.n == 2"}, due: {within: 2h}, not_before: slot,
   expect: {event: b, count: 2, distinct: n}, repromise: {event: d, field: slot, max: 1}}
- {id: shared, when: {event: [a, c], again: true}, due: {within: 1h}, expect: {event: [b, d], shared: true, early: true}}
- {id: simple, when: {event: a}, due: {within: 30m}, expect: {event: b}, release: {event: c}}
"""
STATUSES = """
- {id: stuck, when: {event: a, field: m, enter: [x, y], again: true}, due: {within: 1h}, expect: {leave: m}, warn: [-30m]}
- {id: agree, when: {event: [a, b], again: true}, due: {within: 1h}, expect: {holds: "p.n == q.n", from: {p: a, q: b}}}
- {id: once, when: {event: a, again: true}, forbid: {event: a, count: 2}, until: {event: d}, due: {within: 2h}}
- {id: make-good, when: {breach_of: once}, due: {within: 1h}, expect: {event: b}, release: {event: d}}
- {id: make-good-again, when: {breach_of: make-good}, due: {within: 1h}, expect: {event: c}}
- {id: simple, when: {event: a}, due: {within: 30m}, expect: {event: b}, release: {event: c}}
"""
PAUSES = """
- {id: paused, when: {event: a}, due: {within: 1h}, expect: {event: b}, pause: {event: c, until: d, max: 45m}, warn: [-15m]}
- {id: moved, when: {event: a, again: true}, due: {field: slot, offset: -15m}, expect: {event: b},
   repromise: {event: d, field: slot, max: 2}, pause: {event: c, until: {event: d, where: {m: x}}, max: 1h}}
- {id: sorry, when: {breach_of: moved}, due: {within: 30m}, expect: {event: b}}
"""
WITHDRAWN = SHARING + STATUSES.replace("id: simple", "id: simple-too") + PAUSES
BOOKS = {
    "sharing": book(SHARING),
    "statuses": book(STATUSES),
    "pauses": book(PAUSES),
    "short": book(STATUSES.replace("{id: ", "{retention: 2h, orphan_ttl: 1h, id: ")),
}
TYPES = ["a", "a", "b", "c", "d"]
Known = tuple[str, Fact]


@st.composite
def stories(draw: st.DrawFn, *, withdrawals: bool = False) -> list[Known]:
    """Facts about two subjects, dated around quarters of an hour; ids repeat, with the same content or another."""
    story = []
    for _ in range(draw(st.integers(1, 10))):
        time = OPENED + draw(st.integers(-4, 12)) * 15 * MINUTE + draw(st.sampled_from([-1, 0, 0, 1]))
        data: dict[str, object] = {}
        if draw(st.booleans()):
            data["m"] = draw(st.sampled_from(["x", "y", "z"]))
        if draw(st.booleans()):
            data["n"] = draw(st.sampled_from([1, 2]))
        if draw(st.booleans()):
            data["slot"] = draw(st.sampled_from(["2026-05-04T10:30:00", "2026-05-04T11:00:00", "2026-05-04T12:45:00"]))
        name = draw(st.sampled_from("abcdefghijkl"))
        takes_back = draw(st.sampled_from("abcdefghijkl")) if withdrawals and draw(st.integers(0, 4)) == 0 else None
        fact = Fact("shop", name, draw(st.sampled_from(TYPES)), time, data, takes_back)
        story.append((draw(st.sampled_from(["A", "B"])), fact))
    return story


def run(made: str, steps: list[tuple[str, object]], end: str = "2026-05-05 00:00") -> Partition:
    """Facts, frontier steps, commits, slices and restarts in some order; then everything is judged."""
    partition = Partition(BOOKS[made])
    for word, what in steps:
        if word == "fact":
            about, fact = what  # type: ignore[misc]
            partition.learn(fact, about=about, commit=False)  # type: ignore[has-type]
        elif word == "frontier":
            partition.core.advance_to(max(partition.core.frontier, what))  # type: ignore[type-var]
            while partition.core.fire_due(1000):
                pass
        elif word == "sliced":
            partition.core.advance_to(max(partition.core.frontier, what))  # type: ignore[type-var]
            while partition.core.fire_due(1):
                partition.commit()
        elif word == "commit":
            partition.commit()
        else:
            partition.commit()
            partition.restart()
    partition.frontier(end)
    return partition


def final(partition: Partition) -> dict[object, object]:
    """The newest verdict on each cycle; a remedy whose cause was taken back is as if it had never been."""
    newest: dict[object, object] = {}
    for one in partition.published:
        if one.kind != "at_risk":
            newest[one.promise, one.subject, one.cycle] = one
    return {
        name: (one.status, one.fulfilled_at, one.breached_at, one.due if one.status == "breached" else None)  # type: ignore[attr-defined]
        for name, one in newest.items()
        if one.status not in ("void", "open") and one.reason != "cause_retracted"  # type: ignore[attr-defined]
    }


@pytest.mark.parametrize("made", ["sharing", "statuses", "pauses"])
@settings(max_examples=60, deadline=None)
@given(story=stories(), chance=st.randoms(use_true_random=False))
def test_order_and_repetitions_do_not_change_the_final_verdicts(made: str, story: list[Known], chance: object) -> None:
    """Whatever arrives when and how often: the highest revisions say the same."""
    straight = run(made, [("fact", known) for known in story])
    again = story + [known for known in story if chance.random() < 0.5]  # type: ignore[attr-defined]
    chance.shuffle(again)  # type: ignore[attr-defined]
    steps: list[tuple[str, object]] = [("fact", known) for known in again]
    for _ in range(3):
        steps.insert(chance.randrange(len(steps) + 1), ("frontier", OPENED + chance.randrange(-60, 240) * MINUTE))  # type: ignore[attr-defined]
    assert final(run(made, steps)) == final(straight)


@pytest.mark.parametrize("made", ["sharing", "statuses", "pauses", "short"])
@settings(max_examples=60, deadline=None)
@given(
    story=stories(), marks=st.lists(st.tuples(st.integers(0, 12), st.integers(-60, 400)), max_size=5), data=st.data()
)
def test_borders_of_batches_and_restarts_change_nothing_that_is_published(
    made: str, story: list[Known], marks: list[tuple[int, int]], data: st.DataObject
) -> None:
    """The same facts and frontier steps with commits, slices of one and restarts anywhere: the very same events."""
    plain: list[tuple[str, object]] = [("fact", known) for known in story]
    for place, minute in marks:
        plain.insert(place, ("frontier", OPENED + minute * MINUTE))
    cut: list[tuple[str, object]] = []
    for word, what in plain:
        cut.append(("sliced" if word == "frontier" and data.draw(st.booleans()) else word, what))
        cut += [(extra, None) for extra in data.draw(st.lists(st.sampled_from(["commit", "restart"]), max_size=2))]
    one, other = run(made, plain), run(made, cut)
    assert other.published == one.published
    ids = [published.id for published in one.published if published.kind == "at_risk"]
    ids += [published.outcome_id for published in one.published if published.kind != "at_risk"]
    assert len(set(ids)) == len(ids)
    assert other.store == one.store
    assert other.checkpoint == one.checkpoint


@pytest.mark.parametrize("made", ["sharing", "statuses", "pauses"])
@settings(max_examples=40, deadline=None)
@given(story=stories())
def test_a_replay_of_everything_publishes_nothing(made: str, story: list[Known]) -> None:
    """Read again from the start, after a restart: membership in the set of facts is the guard."""
    partition = run(made, [("fact", known) for known in story])
    published = list(partition.published)
    partition.restart()
    for about, fact in story:
        partition.learn(fact, about=about)
    partition.frontier("2026-05-05 01:00")
    assert partition.published == published


@pytest.mark.parametrize("made", ["sharing", "statuses", "pauses"])
@settings(max_examples=60, deadline=None)
@given(story=stories(), minute=st.integers(-60, 300))
def test_nothing_is_published_before_its_proof(made: str, story: list[Known], minute: int) -> None:
    """With the frontier at F no breach at or after F is out, and every one before it is."""
    frontier = OPENED + minute * MINUTE
    partition = Partition(BOOKS[made])
    for about, fact in story:
        partition.learn(fact, about=about)
    assert not {"breached", "fulfilled_late", "retracted", "at_risk"} & set(kinds(partition.published))
    early = partition.frontier(frontier)
    assert all(one.breached_at < frontier for one in early if one.breached_at is not None)
    late = partition.frontier("2026-05-05 00:00")
    assert all(one.breached_at >= frontier for one in late if one.kind == "breached" and one.breached_at is not None)


@settings(max_examples=60, deadline=None)
@given(story=stories())
def test_everything_leaves_in_the_end(story: list[Known]) -> None:
    """A retention after the last due nothing is kept about anybody."""
    partition = run("short", [("fact", known) for known in story])
    partition.frontier(OPENED + 100 * HOUR)
    assert partition.store == {}
    assert partition.core.timers == 0
