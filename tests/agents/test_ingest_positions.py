"""Where an ingest process goes on, with stand-ins for Kafka: after lost records, another book, a topic made again."""

import pytest
from faust.types import TP

from agents.sourcepartition import OUTDATED_SECONDS
from schemas.errors import RestartNeeded, StateError, TopicsError
from schemas.sourcepositions import decode_position
from schemas.vectors import KNOWN_FOR_EVER, SourceMark
from streams.partitions import Committed
from tests.agents.ingest_fakes import ERP, FACTS, FACTS_PARTITIONS, NOW, SHOP, FakeMemory, Process

SETTLE = 120_000
HOUR = 3_600_000


@pytest.fixture
def one(monkeypatch: pytest.MonkeyPatch) -> Process:
    return Process(monkeypatch)


# -- known since, and gaps -------------------------------------------------------------------------------------------


async def test_a_log_without_its_beginning_is_known_since_its_first_fact_and_settle(one: Process) -> None:
    """Nothing is said of the partition before that is known; garbage and unknown types tell nothing about it."""
    one.expire(SHOP, 10)
    one.append(SHOP, b"garbage")
    one.event(SHOP, "0", "page.viewed", NOW - 2 * HOUR)
    await one.open(SHOP)
    await one.read()
    await one.ingest.vectors.send()
    assert one.vectors == []
    one.event(SHOP, "1", "order.placed", NOW - HOUR)
    one.event(SHOP, "2", "order.placed", NOW - 3 * HOUR)
    await one.read()
    assert one.kinds == ["vector", "facts"]
    assert one.vectors[0].marks["shop/0"] == SourceMark(None, None, NOW - HOUR + SETTLE)


async def test_a_log_that_has_nothing_left_is_known_since_the_first_mark(one: Process) -> None:
    """An idle source whose records have all expired holds nobody up."""
    one.expire(SHOP, 10)
    await one.open(SHOP)
    await one.beat()
    assert one.vectors[0].marks["shop/0"] == SourceMark(NOW - SETTLE, NOW, NOW)


async def test_records_that_expire_unread_are_a_gap_up_to_the_first_fact(one: Process) -> None:
    """From the frontier that was committed; told before that fact, again after a restart, and known since is raised."""
    await one.open(SHOP)
    one.event(SHOP, "1", "order.placed", NOW - HOUR)
    await one.read()
    await one.beat()
    one.commit()
    one.expire(SHOP, 20)
    one.clock.now = NOW + 50 * HOUR
    one.start()
    await one.open(SHOP)
    assert one.handler().next_offset == 20
    one.commit()
    one.start()
    await one.open(SHOP)
    before = len(one.vectors)
    one.event(SHOP, "2", "order.placed", NOW + 40 * HOUR)
    await one.read()
    expected = (NOW - SETTLE, NOW + 40 * HOUR + SETTLE)
    mark = one.vectors[before].marks["shop/0"]
    assert (mark.gap, mark.known_since) == (expected, expected[1])
    assert mark.frontier == NOW - SETTLE
    assert one.kinds[-2:] == ["vector", "facts"]
    one.commit()
    one.start()
    await one.open(SHOP)
    await one.beat()
    assert one.vectors[-1].marks["shop/0"].gap == expected


async def test_offsets_that_the_group_has_lost_are_a_gap_where_the_log_has_lost_something_too(one: Process) -> None:
    """A group that was away for days has no offsets any more; a log that still begins at 0 is read once more."""
    await one.open(SHOP)
    one.event(SHOP, "1", "order.placed", NOW - HOUR)
    await one.read()
    one.start()
    await one.open(SHOP)
    assert one.handler().mark() == SourceMark(None, None, KNOWN_FOR_EVER)
    one.expire(SHOP, 7)
    one.start()
    await one.open(SHOP)
    one.event(SHOP, "2", "order.placed", NOW)
    await one.read()
    assert one.vectors[-1].marks["shop/0"].gap == (KNOWN_FOR_EVER, NOW + SETTLE)


# -- other books, other topics ---------------------------------------------------------------------------------------


async def test_a_partition_that_a_later_process_works_with_another_book_is_left_alone(
    one: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a rolling deployment the old process may be given back what the new one has: it reads nothing and commits what
    it found; after a while it begins anew, as the later of the two."""
    newer = Process(monkeypatch, more="- {id: more, when: {event: x}, due: {within: 1h}, expect: {event: y}}").book
    older = one.book
    one.event(SHOP, "1", "order.placed", NOW)
    old = one.ingest
    one.clock.now = NOW + 1_000
    one.start(newer)
    await one.open(SHOP)
    await one.read()
    one.commit()
    committed = one.committed[SHOP]
    one.ingest, one.book = old, older
    one.event(SHOP, "2", "order.placed", NOW)
    await one.open(SHOP)
    sent = len(one.facts)
    await one.read()
    assert len(one.facts) == sent
    assert Committed(one.handler().next_offset, one.handler().commit_metadata()) == committed
    await one.beat()
    assert one.vectors[-1].holds["shop/0"].reason == "outdated_book"
    assert "shop/0" not in one.vectors[-1].marks
    one.clock.now += int(OUTDATED_SECONDS * 1_000) + 1
    with pytest.raises(RestartNeeded, match="taken over"):
        await one.beat()
    one.start(older)
    await one.open(SHOP)
    await one.read()
    assert [fact.id for _, fact in one.facts[sent:]] == ["2"]


async def test_a_later_process_takes_over_from_an_earlier_book(one: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors then carry its own book, and what was known of the log before."""
    newer = Process(monkeypatch, more="- {id: more, when: {event: x}, due: {within: 1h}, expect: {event: y}}").book
    await one.open(SHOP)
    await one.beat()
    one.commit()
    one.clock.now = NOW + 1_000
    one.start(newer)
    await one.open(SHOP)
    await one.ingest.vectors.send()
    assert one.vectors[-1].book == newer.digest != one.vectors[0].book
    assert one.vectors[-1].marks["shop/0"] == SourceMark(NOW - SETTLE, None, KNOWN_FOR_EVER)


async def test_what_another_process_began_to_need_is_sent_from_the_next_handing_out_on(
    one: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process with the newer book may be gone before it has committed anything: nobody reads those events again."""
    newer = Process(monkeypatch, more="- {id: more, when: {event: x}, due: {within: 1h}, expect: {event: y}}").book
    await one.open(SHOP)
    one.event(SHOP, "1", "x", NOW)
    await one.read()
    assert one.facts == []
    one.commit()
    FakeMemory.books.append(newer)
    await one.open(SHOP)
    one.event(SHOP, "2", "x", NOW)
    await one.read()
    assert [fact.id for _, fact in one.facts] == ["2"]
    assert {vector.book for vector in one.vectors} == {one.book.digest}


async def test_a_position_says_since_when_its_book_is_used(one: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """By that it is told who came later: restarts with the same book change nothing, another book begins anew."""
    newer = Process(monkeypatch, more="- {id: more, when: {event: x}, due: {within: 1h}, expect: {event: y}}").book

    async def begun(at: int) -> int | None:
        one.clock.now = at
        one.start()
        await one.open(SHOP)
        one.commit()
        position = decode_position(one.committed[SHOP].metadata, "")
        return position and position.at

    assert await begun(NOW) == NOW
    assert await begun(NOW + 1) == NOW
    one.book = newer
    assert await begun(NOW + 2) == NOW + 2


async def test_a_source_that_was_recreated_is_refused(one: Process) -> None:
    """The same offsets mean other events; the message says what to do."""
    await one.open(SHOP)
    one.event(SHOP, "1", "order.placed", NOW)
    await one.read()
    one.commit()
    one.offsets.ids["shop.events"] = "another"
    one.start()
    with pytest.raises(StateError, match=r"shop\.events/0 is not the log .*--delete-offsets --topic shop\.events"):
        await one.open(SHOP)
    one.offsets.ids["shop.events"] = "id-of-shop"
    one.offsets.ends[SHOP] = 0
    one.start()
    with pytest.raises(StateError, match="ends at offset 0, and was processed up to 1"):
        await one.open(SHOP)


async def test_after_its_offsets_were_let_go_of_a_recreated_source_is_read_anew_behind_a_gap(one: Process) -> None:
    """What the old topic had still to say is not known: nothing that waited for it may be broken."""
    await one.open(SHOP)
    one.event(SHOP, "1", "order.placed", NOW)
    await one.read()
    one.offsets.ids["shop.events"] = "another"
    one.logs.clear()
    one.offsets.ends[SHOP] = 0
    one.start()
    await one.open(SHOP)
    one.event(SHOP, "2", "order.placed", NOW + HOUR)
    one.clock.now = NOW + HOUR
    await one.read()
    mark = one.vectors[-1].marks["shop/0"]
    assert (mark.gap, mark.known_since) == ((KNOWN_FOR_EVER, NOW + HOUR + SETTLE), NOW + HOUR + SETTLE)


async def test_every_partition_of_a_recreated_source_is_behind_a_gap_whoever_opens_it_first_or_again(
    one: Process,
) -> None:
    """Also where the one that was opened before had nothing committed yet, and where that is another partition."""
    other = TP(ERP.topic, 0)
    await one.open(ERP, other)
    one.marker(ERP, NOW - HOUR)
    await one.read()
    one.offsets.ids["erp.events"] = "another"
    one.logs.clear()
    one.offsets.ends[ERP] = 0
    one.start()
    await one.open(ERP)
    for tp in (ERP, other):
        await one.open(tp)
        one.event(tp, f"of-{tp.partition}", "order.booked", NOW, customer_id="C")
        await one.read()
        mark = one.vectors[-1].marks[f"erp/{tp.partition}"]
        assert (mark.gap, mark.known_since) == ((KNOWN_FOR_EVER, NOW + SETTLE), NOW + SETTLE)


async def test_a_log_that_shrinks_meanwhile_ends_the_process(one: Process) -> None:
    """No topic id is needed to see that."""
    await one.open(SHOP)
    one.event(SHOP, "1", "order.placed", NOW)
    await one.beat()
    one.offsets.ends[SHOP] = 0
    with pytest.raises(StateError, match="shop.events/0: the log ended at offset 1 before"):
        await one.beat()


async def test_another_facts_topic_under_the_same_name_is_refused(one: Process) -> None:
    """It lacks what was sent to the first; more partitions put subjects in two places."""
    await one.open(SHOP)
    one.commit()
    one.offsets.ids[FACTS] = "another"
    one.start()
    with pytest.raises(StateError, match="the.facts was recreated"):
        await one.open(SHOP)
    one.offsets.ids[FACTS] = "id-of-facts"
    one.offsets.counts[FACTS] = FACTS_PARTITIONS + 1
    with pytest.raises(TopicsError, match="the.facts has 5 partitions now, and had 4 at start"):
        await one.beat()
    one.start()
    with pytest.raises(StateError, match="the.facts has 5 partitions, and had 4"):
        await one.open(SHOP)


async def test_metadata_of_somebody_else_is_refused(one: Process) -> None:
    """A consumer group is one application's."""
    one.committed[SHOP] = Committed(0, "something")
    with pytest.raises(StateError, match="group ingest, shop.events/0: found an offset with the metadata 'something'"):
        await one.open(SHOP)


async def test_what_is_committed_says_the_frontier_of_that_position(one: Process) -> None:
    """Whoever goes on knows how far everything was complete, and sends that first."""
    await one.open(SHOP, ERP)
    one.marker(ERP, NOW - HOUR)
    await one.read()
    await one.beat()
    one.commit()
    positions = {tp: decode_position(one.committed[tp].metadata, "") for tp in (SHOP, ERP)}
    assert {tp: position and position.frontier for tp, position in positions.items()} == {
        SHOP: NOW - SETTLE, ERP: NOW - HOUR,
    }  # fmt: skip
    one.start()
    await one.open(ERP)
    await one.ingest.vectors.send()
    assert one.vectors[-1].marks["erp/1"].frontier == NOW - HOUR


async def test_a_marker_below_the_committed_position_outlives_its_reader(one: Process) -> None:
    """Nobody reads it again: a nightly source would otherwise hold for a day what waits for it."""
    await one.open(ERP)
    one.marker(ERP, NOW - HOUR)
    await one.read()
    one.commit()  # before any beat has moved the frontier
    one.start()
    await one.open(ERP)
    await one.beat()
    assert one.vectors[-1].marks["erp/1"].frontier == NOW - HOUR
