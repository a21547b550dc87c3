"""One ingest process with stand-ins for Kafka: what it sends in which order, and what vectors say."""

import asyncio

import pytest
from faust.types import TP

from agents.ingest import source_topics, waiting
from agents.sourcepartition import SLICE_FACTS
from schemas.book import parse_book
from schemas.errors import SettingsError
from schemas.topics import dlq
from schemas.vectors import KNOWN_FOR_EVER, Hold, SourceMark
from tests.agents.ingest_fakes import BOOK, ERP, FACTS, FACTS_PARTITIONS, NOW, SHOP, Process

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
