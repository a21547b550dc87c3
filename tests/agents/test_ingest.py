"""One ingest process with stand-ins for Kafka: what it sends in which order, what vectors say, and where it goes on."""

import asyncio

import pytest
from faust.types import TP

from agents.ingest import source_topics, waiting
from agents.sourcepartition import OUTDATED_SECONDS, SLICE_FACTS
from schemas.book import parse_book
from schemas.errors import RestartNeeded, SettingsError, StateError, TopicsError
from schemas.sourcepositions import decode_position
from schemas.topics import dlq
from schemas.vectors import KNOWN_FOR_EVER, Hold, SourceMark
from streams.partitions import Committed
from tests.agents.ingest_fakes import BOOK, ERP, FACTS, FACTS_PARTITIONS, NOW, SHOP, FakeMemory, Process

SETTLE = 120_000
HOUR = 3_600_000


@pytest.fixture
def one(monkeypatch: pytest.MonkeyPatch) -> Process:
    return Process(monkeypatch)


async def test_the_first_thing_sent_of_a_partition_is_a_vector_that_names_it(one: Process) -> None:
    """Whoever reads a fact knows by then of its source partition, and since when everything is known."""
    one.event(SHOP, "1", "order.placed", NOW, customer_id="C")
    await one.open(SHOP)
    await one.read()
    assert one.kinds == ["vector", "facts"]
    (vector,) = one.vectors
    assert vector.marks == {"shop/0": SourceMark(None, None, KNOWN_FOR_EVER)}
    assert vector.book == one.book.digest
    assert vector.counts == {"shop": 1, "erp": 2}
    assert len(one.producer.on(FACTS)) == FACTS_PARTITIONS + 2, "a vector for each facts partition, a fact for each key"


async def test_no_fact_is_sent_before_the_vector_is_acknowledged(one: Process) -> None:
    """Two partitions that are opened together share one vector."""
    one.event(SHOP, "1", "order.placed", NOW, customer_id="C")
    one.event(ERP, "2", "order.booked", NOW, customer_id="C")
    await one.open(SHOP, ERP)
    one.producer.hold()
    reading = [asyncio.create_task(one.read(tp)) for tp in (SHOP, ERP)]
    await asyncio.sleep(0.01)
    assert one.kinds == ["vector"]
    one.producer.release()
    await asyncio.gather(*reading)
    assert one.kinds == ["vector", "facts", "facts"]
    assert set(one.vectors[0].marks) == {"shop/0", "erp/1"}


async def test_the_frontier_waits_until_facts_and_dead_letters_are_acknowledged(one: Process) -> None:
    """While a write is on its way, vectors say what they said before; then the mark's instant less settle."""
    await one.open(SHOP)
    await one.beat()
    assert one.vectors[-1].marks["shop/0"] == SourceMark(NOW - SETTLE, NOW, KNOWN_FOR_EVER)
    one.event(SHOP, "1", "order.placed", NOW, customer_id="C")
    one.append(SHOP, b"garbage")
    one.producer.hold()
    reading = asyncio.create_task(one.read(SHOP))
    await asyncio.sleep(0.01)
    one.clock.now = NOW + 1_000
    beating = asyncio.create_task(one.beat())
    await asyncio.sleep(0.01)
    assert one.vectors[-1].marks["shop/0"] == SourceMark(NOW - SETTLE, NOW + 1_000, KNOWN_FOR_EVER)
    assert one.handler().next_offset == 0
    one.producer.release()
    await asyncio.gather(reading, beating)
    await one.beat()
    assert one.vectors[-1].marks["shop/0"].frontier == NOW + 1_000 - SETTLE
    assert one.handler().next_offset == 2


async def test_a_marker_is_passed_on_once_what_lies_before_it_is_acknowledged_and_partitions_were_counted_since(
    one: Process,
) -> None:
    """A partition that was there when the source wrote the marker is in the counts that are sent with it."""
    await one.open(ERP)
    one.event(ERP, "1", "order.booked", NOW - HOUR, customer_id="C")
    one.marker(ERP, NOW - HOUR)
    one.marker(ERP, NOW - 2 * HOUR)
    one.producer.hold()
    reading = asyncio.create_task(one.read(ERP))
    await asyncio.sleep(0.01)
    assert one.handler(ERP).complete() is None
    one.producer.release()
    await reading
    await one.ingest.vectors.send()
    assert one.vectors[-1].marks["erp/1"].frontier is None, "nobody has counted the partitions since"
    one.offsets.counts["erp.events"] = 3
    await one.beat()
    assert one.vectors[-1].marks["erp/1"] == SourceMark(NOW - HOUR, None, KNOWN_FOR_EVER)
    assert one.vectors[-1].counts["erp"] == 3


async def test_what_is_read_while_partitions_are_counted_waits_for_the_next_count(one: Process) -> None:
    """The marker may have been written when there was one partition more than was counted; so may the events below a
    mark be those that were there when the clock was read."""
    await one.open(ERP)
    one.marker(ERP, NOW - HOUR)
    one.offsets.meanwhile = one.read
    await one.beat()
    assert one.vectors[-1].marks["erp/1"].frontier is None
    await one.beat()
    assert one.vectors[-1].marks["erp/1"].frontier == NOW - HOUR


async def test_a_partition_that_comes_back_is_named_anew_before_its_next_fact(one: Process) -> None:
    """What is known of its log may be another thing by then."""
    await one.open(SHOP)
    one.event(SHOP, "1", "order.placed", NOW)
    await one.read()
    one.commit()
    await one.open(SHOP)
    one.event(SHOP, "2", "order.placed", NOW)
    await one.read()
    assert one.kinds == ["vector", "facts", "vector", "facts"]


async def test_an_event_is_a_fact_for_each_key_that_it_has_and_some_promise_needs(one: Process) -> None:
    """Without a customer it is about the order alone; with neither it is a dead letter; of unknown type nothing."""
    one.event(SHOP, "1", "order.placed", NOW, customer_id="C")
    one.event(SHOP, "2", "order.placed", NOW)
    one.event(SHOP, "3", "order.placed", NOW, order_id=None)
    one.event(SHOP, "4", "message.sent", NOW, customer_id="C")
    one.event(SHOP, "5", "page.viewed", NOW)
    await one.open(SHOP)
    await one.read()
    assert sorted((key, fact.id) for key, fact in one.facts) == [
        (b"customer_id\x1fC", "1"), (b"order_id\x1fA", "1"), (b"order_id\x1fA", "2"), (b"order_id\x1fA", "4"),
    ]  # fmt: skip
    ((partition, letter),) = one.producer.on(dlq("shop.events"))
    assert (partition, dict(letter.headers)["dlq-exception-class"]) == (0, b"missing_key")


async def test_events_and_markers_from_the_future_are_dead_letters_and_move_nothing(one: Process) -> None:
    """Exactly at the skew both are still taken."""
    await one.open(SHOP, ERP)
    one.event(SHOP, "1", "order.placed", NOW + 300_000)
    one.event(SHOP, "2", "order.placed", NOW + 300_001)
    one.marker(ERP, NOW + 300_000)
    one.marker(ERP, NOW + 300_001)
    await one.read()
    assert [fact.id for _, fact in one.facts] == ["1"]
    letters = [*one.producer.on(dlq("shop.events")), *one.producer.on(dlq("erp.events"))]
    assert [dict(letter.headers)["dlq-exception-class"] for _, letter in letters] == [b"future", b"future"]
    assert [partition for partition, _ in letters] == [0, 0], "where the dead letters have fewer partitions too"
    assert one.handler(ERP).complete() == NOW + 300_000


async def test_large_batches_are_sent_in_slices_and_the_position_follows_them(one: Process) -> None:
    """What is sent at once is bounded; what is acknowledged counts at once."""
    await one.open(SHOP)
    for number in range(SLICE_FACTS + 100):
        one.event(SHOP, str(number), "order.placed", NOW)
    await one.read()
    sizes = [
        sum(len(rows) for rows in records.values()) for topic, records in one.producer.written if topic == FACTS
    ]  # fmt: skip
    assert max(sizes) <= SLICE_FACTS + 200
    assert len(one.facts) == SLICE_FACTS + 100
    assert one.kinds == ["vector", "facts", "facts"]


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


# -- counts, doubt ---------------------------------------------------------------------------------------------------


async def test_while_a_source_cannot_be_counted_nothing_moves(one: Process) -> None:
    """A broker that has just come back may know of no topic for a moment."""
    await one.open(SHOP)
    await one.beat()
    one.clock.now += 1_000
    one.offsets.counts["erp.events"] = 0
    await one.beat()
    assert one.handler().frontier == NOW - SETTLE
    one.offsets.counts["erp.events"] = 2
    await one.beat()
    assert one.handler().frontier == NOW + 1_000 - SETTLE


async def test_a_partition_that_is_given_away_is_not_spoken_of_any_more(one: Process) -> None:
    """Its next owner does; what was said of it stays true."""
    await one.open(SHOP, ERP)
    await one.beat()
    await one.open(ERP)
    await one.beat()
    assert set(one.vectors[0].marks) == {"shop/0", "erp/1"}
    assert set(one.vectors[-1].marks) == {"erp/1"}


async def test_too_many_dead_letters_hold_the_frontier_and_vectors_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A schema change must not look like nothing coming; the hold survives a restart, and ends by itself."""
    one = Process(monkeypatch)
    await one.open(SHOP)
    await one.beat()
    for _ in range(200):
        one.append(SHOP, b'{"id": "1", "schema": "new"}')
    one.clock.now += 1_000
    await one.read()
    await one.beat()
    assert one.vectors[-1].holds["shop/0"].reason == "dead_letters"
    assert one.vectors[-1].marks["shop/0"].frontier == NOW - SETTLE
    one.commit()
    one.start()
    await one.open(SHOP)
    await one.beat()
    assert one.vectors[-1].holds["shop/0"].since == NOW + 1_000
    assert one.vectors[-1].marks["shop/0"].frontier == NOW - SETTLE
    one.clock.now += 24 * HOUR
    await one.beat()
    assert one.vectors[-1].holds == {}
    assert one.vectors[-1].marks["shop/0"].frontier == one.clock.now - SETTLE


async def test_a_source_that_is_silent_past_its_heartbeat_holds_its_frontier(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it has been heard for its settle again; no other source is held."""
    one = Process(monkeypatch, shop=", heartbeat: 1h")
    one.offsets.heard = NOW
    await one.open(SHOP, ERP)
    one.marker(ERP, NOW - HOUR)
    await one.read()
    await one.beat()
    assert one.vectors[-1].holds == {}
    one.clock.now = NOW + HOUR + 1
    one.marker(ERP, NOW)
    await one.read()
    await one.beat()
    assert one.vectors[-1].holds == {"shop/0": Hold("silent", NOW)}
    assert one.vectors[-1].marks["shop/0"].frontier == NOW - SETTLE
    assert one.vectors[-1].marks["erp/1"].frontier == NOW
    one.event(SHOP, "1", "order.placed", one.clock.now)
    await one.read()
    await one.beat()
    assert one.vectors[-1].holds == {"shop/0": Hold("silent", NOW)}
    one.clock.now += SETTLE
    await one.beat()
    assert one.vectors[-1].holds == {}
    assert one.vectors[-1].marks["shop/0"].frontier == one.clock.now - SETTLE


def test_promises_wait_for_the_sources_that_can_send_what_they_name() -> None:
    """A source that lists its events holds only those that name one of them."""
    book = parse_book(BOOK.format(shop=", events: [order.placed, message.sent]", more=""), "book.yaml")
    assert waiting(book) == {"shop": ["confirm", "book"], "erp": ["confirm", "book"]}
    listed = BOOK.replace("frontier: markers", "frontier: markers, events: [order.booked]")
    book = parse_book(listed.format(shop=", events: [order.placed, message.sent]", more=""), "book.yaml")
    assert waiting(book) == {"shop": ["confirm", "book"], "erp": ["book"]}


# -- books -----------------------------------------------------------------------------------------------------------


def test_two_sources_on_one_topic_are_refused() -> None:
    """Each would read the other's events."""
    book = parse_book(BOOK.format(shop="", more="").replace("erp.events", "shop.events"), "book.yaml")
    with pytest.raises(SettingsError, match="sources 'shop' and 'erp' are on one topic, shop.events"):
        source_topics(book, FACTS)


def test_a_source_on_the_facts_topic_is_refused() -> None:
    """It would feed itself."""
    book = parse_book(BOOK.format(shop="", more=""), "book.yaml")
    with pytest.raises(SettingsError, match=r"source 'erp' is on erp\.events, the topic that facts are put on"):
        source_topics(book, "erp.events")
    assert source_topics(book, FACTS) == {"shop": SHOP.topic, "erp": TP("erp.events", 0).topic}
