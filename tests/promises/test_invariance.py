"""What must not matter: the order of arrival, repetitions, the borders of batches and slices, and restarts."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.facts import Fact
from tests.promises.builders import CONFIRM, MINUTE, OPENED, Partition, book, kinds

BOOK = book(
    CONFIRM
    + """
- {id: handover, when: {event: order.placed}, due: {field: slot}, expect: {event: parcel.handed, early: true},
   release: {event: order.cancelled}}
- {id: day, when: {event: parcel.handed}, due: {plus: 1, unit: day, at: end_of_day}, expect: {event: parcel.delivered}}
"""
)
TYPES = ["order.placed", "message.sent", "order.cancelled", "parcel.handed", "parcel.delivered"]
SUBJECTS = ["A", "B"]

Known = tuple[str, Fact]


@st.composite
def stories(draw: st.DrawFn) -> list[Known]:
    """Facts about two subjects, dated around quarters of an hour; ids repeat, with the same content or another."""
    story = []
    for _ in range(draw(st.integers(1, 9))):
        time = OPENED + draw(st.integers(-4, 8)) * 15 * MINUTE + draw(st.sampled_from([-1, 0, 0, 1]))
        data: dict[str, object] = {}
        if draw(st.booleans()):
            data["kind"] = "confirmation"
        if draw(st.booleans()):
            data["slot"] = draw(st.sampled_from(["2026-05-04T10:30:00", "2026-05-04T11:00:00", "2026-05-04"]))
        name = f"{draw(st.sampled_from('abcdefgh'))}"
        story.append((draw(st.sampled_from(SUBJECTS)), Fact("shop", name, draw(st.sampled_from(TYPES)), time, data)))
    return story


def run(steps: list[tuple[str, object]]) -> Partition:
    """Facts, frontier steps, commits, slices and restarts in some order; then everything is judged."""
    partition = Partition(BOOK)
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
    partition.frontier("2026-05-09 00:00")
    return partition


@given(stories(), st.randoms(use_true_random=False))
def test_order_and_repetitions_do_not_change_the_final_verdicts(story: list[Known], chance: object) -> None:
    """Whatever arrives when and how often: the highest revisions say the same."""
    straight = run([("fact", known) for known in story])
    again = story + [known for known in story if chance.random() < 0.5]  # type: ignore[attr-defined]
    chance.shuffle(again)  # type: ignore[attr-defined]
    steps: list[tuple[str, object]] = [("fact", known) for known in again]
    for _ in range(3):
        steps.insert(chance.randrange(len(steps) + 1), ("frontier", OPENED + chance.randrange(-60, 200) * MINUTE))  # type: ignore[attr-defined]
    assert run(steps).final() == straight.final()


@given(stories(), st.lists(st.tuples(st.integers(0, 12), st.integers(-60, 200)), max_size=4), st.data())
def test_borders_of_batches_and_restarts_change_nothing_that_is_published(
    story: list[Known], marks: list[tuple[int, int]], data: st.DataObject
) -> None:
    """The same facts and frontier steps with commits, slices of one and restarts anywhere: the very same events."""
    plain: list[tuple[str, object]] = [("fact", known) for known in story]
    for place, minute in marks:
        plain.insert(place, ("frontier", OPENED + minute * MINUTE))
    cut: list[tuple[str, object]] = []
    for word, what in plain:
        cut.append(("sliced" if word == "frontier" and data.draw(st.booleans()) else word, what))
        cut += [(extra, None) for extra in data.draw(st.lists(st.sampled_from(["commit", "restart"]), max_size=2))]
    one, other = run(plain), run(cut)
    assert other.published == one.published
    ids = [published.outcome_id for published in one.published]
    assert len(set(ids)) == len(ids)
    assert other.store == one.store
    assert other.checkpoint == one.checkpoint


@given(stories())
def test_a_replay_of_everything_publishes_nothing(story: list[Known]) -> None:
    """Read again from the start, after a restart: membership in the set of facts is the guard."""
    partition = run([("fact", known) for known in story])
    published = list(partition.published)
    partition.restart()
    for about, fact in story:
        partition.learn(fact, about=about)
    partition.frontier("2026-05-10 00:00")
    assert partition.published == published


@given(stories(), st.integers(-60, 200))
def test_nothing_is_published_before_its_proof(story: list[Known], minute: int) -> None:
    """With the frontier at F no breach with a due at or after F is out, and every one before it is."""
    frontier = OPENED + minute * MINUTE
    partition = Partition(BOOK)
    for about, fact in story:
        partition.learn(fact, about=about)
    assert not {"breached", "fulfilled_late", "retracted"} & set(kinds(partition.published))
    early = partition.frontier(frontier)
    assert all(one.due < frontier for one in early)
    assert all(one.due >= frontier for one in partition.frontier("2026-05-09 00:00"))
