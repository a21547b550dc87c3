"""Where a source partition goes on, whatever Kafka says of it: nothing is skipped unnoticed, and no gap forgotten."""

from hypothesis import assume, given
from hypothesis import strategies as st

from agents.origins import Found, Origin, origin_of
from schemas.errors import StateError
from schemas.sourcepositions import POSITION_FORMAT, SourcePosition
from schemas.vectors import KNOWN_FOR_EVER

OURS, THEIRS = "our book", "their book"
offsets = st.integers(0, 20)
instants = st.integers(1_000, 9_000)
ids = st.sampled_from([None, "one", "two"])
worked = st.sampled_from([(), ("one",), ("two",), ("one", "two")])


@st.composite
def positions(draw: st.DrawFn) -> SourcePosition:
    known = draw(st.sampled_from([KNOWN_FOR_EVER, None]) | instants)
    gap = draw(st.none() | st.tuples(instants, instants).map(lambda two: (min(two), max(two))))
    return SourcePosition(
        format=POSITION_FORMAT,
        book=draw(st.sampled_from([OURS, THEIRS])),
        at=draw(instants),
        topic=draw(ids),
        facts=draw(ids),
        partitions=4,
        frontier=draw(st.none() | instants),
        known_since=known,
        gap=gap,
        gap_from=draw(st.none() | instants) if known is None else None,
        doubt=draw(st.sampled_from(["", "something"])),
    )


@st.composite
def finds(draw: st.DrawFn, *, committed: bool | None = None) -> Found:
    beginning, end = sorted((draw(offsets), draw(offsets)))
    has_position = draw(st.booleans()) if committed is None else committed
    position = draw(positions()) if has_position else None
    offset = draw(offsets) if has_position else draw(st.none() | offsets)
    return Found(
        topic="shop.events", partition=3, beginning=beginning, end=end, topic_id=draw(ids), facts="the.facts",
        facts_id=draw(ids), facts_partitions=4, worked_ids=draw(worked), offset=offset, position=position,
    )  # fmt: skip


def origin(found: Found, started: int) -> Origin | None:
    """None: it was refused."""
    try:
        return origin_of(found, OURS, started)
    except StateError:
        return None


@given(finds(), instants)
def test_reading_goes_on_within_the_log_and_skips_nothing_that_was_committed_as_unread(
    found: Found, started: int
) -> None:
    """Below the offset everything is acknowledged; between it and the log's beginning nothing is left to be read."""
    got = origin(found, started)
    assume(got is not None and not got.outdated)
    assert got is not None
    assert found.beginning <= got.next_offset <= found.end
    if found.offset is not None and found.offset <= found.end:
        assert got.next_offset == max(found.offset, found.beginning)


@given(finds(), instants)
def test_known_for_ever_is_only_said_of_logs_that_were_read_from_their_first_record(found: Found, started: int) -> None:
    """Either by the process that committed, with nothing expired since, or by one that begins at offset 0."""
    got = origin(found, started)
    assume(got is not None)
    assert got is not None
    if got.known_since != KNOWN_FOR_EVER or got.outdated:
        return
    if found.position is None:
        assert got.next_offset == 0
    else:
        assert found.position.known_since == KNOWN_FOR_EVER
        assert found.offset is not None
        assert found.offset >= found.beginning


@given(finds(committed=True), instants)
def test_what_expired_unread_is_a_gap_from_the_committed_frontier_or_from_an_earlier_gap(
    found: Found, started: int
) -> None:
    """Its end is told by the first fact that can be read; a gap that was known before stays."""
    got = origin(found, started)
    assume(got is not None and not got.outdated)
    assert got is not None
    position = found.position
    assert position is not None
    assert found.offset is not None
    assert got.gap == position.gap
    if found.offset < found.beginning:
        assert got.known_since is None
        assert got.gap_from is not None
        assert got.gap_from <= (KNOWN_FOR_EVER if position.frontier is None else position.frontier)
        assert got.expired == found.beginning - found.offset
    else:
        assert (got.known_since, got.gap_from, got.expired) == (position.known_since, position.gap_from, 0)


@given(finds(committed=True), instants)
def test_a_log_or_a_facts_topic_with_another_id_is_refused(found: Found, started: int) -> None:
    """Not knowing an id says nothing."""
    assert found.position is not None
    known = (found.position.topic, found.topic_id), (found.position.facts, found.facts_id)
    if any(before is not None and now is not None and before != now for before, now in known):
        assert origin(found, started) is None


@given(finds(committed=True), instants)
def test_of_two_processes_with_different_books_the_later_one_works_the_partition(found: Found, started: int) -> None:
    """The order in which partitions come to them decides nothing."""
    got = origin(found, started)
    assume(got is not None)
    assert got is not None
    position = found.position
    assert position is not None
    assert got.outdated == (position.book == THEIRS and position.at > started)
    assert got.at == (started if position.book == THEIRS and not got.outdated else position.at)
