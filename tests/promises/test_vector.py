"""What a facts partition knows of its sources: whoever says it, in whichever order, as often as they like."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promises.vector import Vector
from schemas.errors import StateError
from schemas.vectors import KNOWN_FOR_EVER, KNOWN_NEVER, VECTOR_FORMAT, Hold, SourceMark, VectorMarker

SOURCES = ("shop", "erp")
NAMES = ("shop/0", "shop/1", "erp/0", "erp/1", "erp/2")
INSTANTS = st.integers(0, 50)
MARKS = st.builds(
    SourceMark,
    st.none() | INSTANTS,
    st.none() | INSTANTS,
    st.sampled_from([KNOWN_FOR_EVER, KNOWN_NEVER, 5, 10]),
    st.none() | st.tuples(st.integers(0, 9), st.integers(10, 20)),
)
MARKERS = st.builds(
    VectorMarker,
    st.just(VECTOR_FORMAT),
    st.just("book"),
    st.sampled_from(["one", "two"]),
    st.dictionaries(st.sampled_from(SOURCES), st.integers(1, 3)),
    st.dictionaries(st.sampled_from(NAMES), MARKS, max_size=3),
)


def said(counts: dict[str, int], marks: dict[str, int | SourceMark | None], **other: Any) -> VectorMarker:
    """A marker; a number is a frontier of a log that was read from its first record."""
    full = {
        name: mark if isinstance(mark, SourceMark) else SourceMark(mark, mark, KNOWN_FOR_EVER)
        for name, mark in marks.items()
    }
    return VectorMarker(VECTOR_FORMAT, other.pop("book", "book"), other.pop("sender", "one"), counts, full, **other)


def vector(*markers: VectorMarker) -> Vector:
    made = Vector("book")
    for one in markers:
        assert made.take(one)
    return made


def known(one: Vector) -> tuple[object, ...]:
    """Everything that judging asks for."""
    sets = [frozenset(sources) for sources in (("shop",), ("erp",), SOURCES)]
    return tuple(
        (one.frontier(sources), one.floor(sources), one.known_since(sources), one.gaps(sources), one.complete(sources),
         one.waits_for(sorted(sources)))
        for sources in sets
    )  # fmt: skip


@given(st.lists(MARKERS, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_markers_and_their_repetition_change_nothing(markers: list[VectorMarker], chance: Any) -> None:
    """They come from many senders, and again after a crash."""
    other = markers + [one for one in markers if chance.random() < 0.5]
    chance.shuffle(other)
    assert known(vector(*other)) == known(vector(*markers))


@given(st.lists(MARKERS, max_size=6), MARKERS)
def test_a_marker_never_takes_back_what_was_known(markers: list[VectorMarker], late: VectorMarker) -> None:
    """An old one, of a sender that is gone, say; only a partition that nobody had counted holds."""
    before, after = vector(*markers), vector(*markers, late)
    if after.counts == before.counts and after.complete(SOURCES) == before.complete(SOURCES):
        for source in SOURCES:
            old, new = before.frontier([source]), after.frontier([source])
            assert old is None or (new is not None and new >= old)
    assert (after.floor(SOURCES) or 0) >= (before.floor(SOURCES) or 0)


def test_the_frontier_is_that_of_the_partition_that_is_furthest_behind() -> None:
    made = vector(said({"shop": 2, "erp": 1}, {"shop/0": 30, "shop/1": 20, "erp/0": 10}))
    assert made.frontier(["shop"]) == 20
    assert made.frontier(SOURCES) == 10
    assert made.waits_for(SOURCES) == [("erp/0", 10), ("shop/1", 20), ("shop/0", 30)]


def test_a_partition_that_is_counted_but_named_by_nobody_holds() -> None:
    """No ingest process has got it yet."""
    made = vector(said({"shop": 2}, {"shop/0": 30}))
    assert made.frontier(["shop"]) is None
    assert not made.complete(["shop"])
    assert made.waits_for(["shop"]) == [("shop/1", None), ("shop/0", 30)]


def test_a_partition_that_is_added_holds_until_it_is_known() -> None:
    made = vector(said({"shop": 1}, {"shop/0": 30}))
    made.take(said({"shop": 2}, {"shop/0": 40}))
    assert made.frontier(["shop"]) is None
    made.take(said({"shop": 2}, {"shop/1": 35}))
    assert made.frontier(["shop"]) == 35


def test_a_partition_count_never_shrinks() -> None:
    """A marker that was on its way when partitions were added knows fewer."""
    made = vector(said({"shop": 2}, {"shop/0": 30}), said({"shop": 1}, {"shop/0": 40}))
    assert made.counts == {"shop": 2}
    assert made.frontier(["shop"]) is None


def test_a_source_that_nobody_named_holds() -> None:
    made = vector(said({"shop": 1}, {"shop/0": 30}))
    assert made.frontier(SOURCES) is None
    assert made.known_since(SOURCES) == KNOWN_NEVER
    assert made.waits_for(SOURCES) == [("erp/0", None), ("shop/0", 30)]


def test_without_sources_nothing_is_known() -> None:
    """A promise that no source can open waits for nothing, and nothing is told of it."""
    made = vector(said({"shop": 1}, {"shop/0": 30}))
    assert made.frontier([]) is None
    assert made.known_since([]) == KNOWN_NEVER


def test_markers_of_another_book_change_nothing() -> None:
    """By another book facts are mapped otherwise: what it vouches for may lack what this one needs."""
    made = vector(said({"shop": 1}, {"shop/0": 30}))
    before = made.stored()
    assert not made.take(said({"shop": 3}, {"shop/0": 90}, book="another"))
    assert made.stored() == before


def test_known_since_is_the_latest_of_all_partitions_once_each_is_known() -> None:
    unknown = SourceMark(None, 1, KNOWN_NEVER)
    made = vector(said({"shop": 2}, {"shop/0": SourceMark(None, 1, 20), "shop/1": unknown}))
    assert made.known_since(["shop"]) == KNOWN_NEVER
    made.take(said({}, {"shop/1": SourceMark(None, 1, 10)}))
    assert made.known_since(["shop"]) == 20
    made.take(said({}, {"shop/1": unknown}))
    assert made.known_since(["shop"]) == 20


def test_gaps_of_all_partitions_are_told_in_order_and_those_that_touch_as_one() -> None:
    made = vector(
        said({"shop": 2}, {"shop/0": SourceMark(30, 30, 0, (10, 20)), "shop/1": SourceMark(30, 30, 0, (20, 25))}),
        said({}, {"shop/0": SourceMark(40, 40, 0, (1, 5))}),
        said({}, {"shop/0": SourceMark(50, 50, 0)}),
    )
    assert made.gaps(["shop"]) == ((1, 5), (10, 25))
    assert made.gaps(["erp"]) == ()


def test_a_hold_lasts_until_the_partition_is_named_without_one() -> None:
    made = vector(said({"shop": 2}, {"shop/0": 30}, holds={"shop/0": Hold("silent", 25)}))
    made.take(said({}, {"shop/1": 30}))
    assert made.holds == {"shop/0": Hold("silent", 25)}
    made.take(said({}, {"shop/0": 31}))
    assert made.holds == {}


@given(st.lists(MARKERS, max_size=6))
def test_what_is_stored_is_gone_on_from(markers: list[VectorMarker]) -> None:
    made = vector(*markers)
    again = Vector("book", made.stored())
    assert known(again) == known(made)
    assert again.stored() == made.stored()


def test_what_was_stored_under_another_book_is_not_gone_on_from() -> None:
    """It is to be said again, by processes that have this book."""
    made = vector(said({"shop": 1}, {"shop/0": 30}))
    other = Vector("another", made.stored())
    assert other.frontier(["shop"]) is None
    assert other.counts == {}


def test_stored_state_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(StateError, match="facts/3: found a vector of format 9"):
        Vector("book", b'[9,"book",{},{},{}]', "facts/3")
