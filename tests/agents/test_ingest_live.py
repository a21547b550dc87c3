"""An ingest process on Apache Kafka: every fact in its place, nothing lost by kills, no vector that promises more."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from aiokafka import AIOKafkaProducer

from promisewatch.brokers import ApacheKafka
from schemas.exits import ExitCode
from schemas.topics import dlq
from tests.agents.ingesting import (
    ERP_PARTITIONS,
    PATIENCE_SECONDS,
    SHOP_PARTITIONS,
    Sent,
    Stage,
    broken_promises,
    erp_event,
    now_ms,
    shop_event,
    stage,
    told,
)

pytestmark = [pytest.mark.kafka]

GARBAGE: list[tuple[str, bytes, list[tuple[str, bytes]], str]] = [
    ("shop", b"\xff\xfe no json", [], "bad_json"),
    ("shop", b'{"id": "1"', [("traceparent", b"00-1-2-3")], "bad_json"),
    ("shop", b'{"id":"1","type":"paid","at":"2026-05-01T10:00:00Z"}', [], "missing_key"),
    ("shop", b'{"id":"1","type":"paid","order_id":"A","at":"yesterday"}', [], "unreadable_time"),
    ("shop", b'{"id":"1","type":"paid","order_id":"A","at":"2999-01-01T00:00:00Z"}', [], "future"),
    ("shop", b"", [], "empty"),
    ("shop", b"", [("promisewatch-migrate", b"{}")], "bad_migration"),
    ("erp", b'{"customer_id": "C"}', [("ce_specversion", b"1.0"), ("ce_id", b"1")], "missing_source"),
    (
        "erp",
        b'{"specversion": "0.3", "id": "1"}',
        [("content-type", b"application/cloudevents+json")],
        "unknown_specversion",
    ),
    ("erp", b"", [("promisewatch-frontier", b"2999-01-01T00:00:00Z")], "future"),
]


async def test_events_of_three_formats_and_two_keys_become_facts_where_kafka_puts_their_subjects(
    kafka: ApacheKafka, tmp_path: Path, unique: Callable[[str], str]
) -> None:
    """JSON and CloudEvents in both modes, from two sources, about orders and customers; what cannot be read is in the
    source's dead letters byte for byte, with its reason."""
    with stage(kafka, tmp_path, unique("formats")) as one:
        one.ingest.start()
        began = now_ms()
        async with one.producer() as producer:
            for number in range(60):
                customer = {"customer_id": f"C-{number % 4}"} if number % 3 else {}
                event = shop_event(number, began - number, number % SHOP_PARTITIONS, **customer)
                await one.send(producer, "shop", number % SHOP_PARTITIONS, event)
                message = shop_event(100 + number, began, 1, type="told", kind="receipt", customer_id="C-1")
                await one.send(producer, "shop", 1, message)
                booking = erp_event(
                    number, began, number % ERP_PARTITIONS, binary=bool(number % 2), customer=f"C-{number % 4}"
                )
                await one.send(producer, "erp", number % ERP_PARTITIONS, booking)
                if number < len(GARBAGE):
                    source, value, headers, _ = GARBAGE[number]
                    await one.send(
                        producer, source, number % 2, Sent(value, headers, []), key=b"of garbage %d" % number
                    )
            await one.send(producer, "shop", 0, Sent(b'{"id":"x","type":"seen","at":"2026-05-01T10:00:00Z"}', [], []))
            await one.mark(producer, began + 1)
        await one.all_sent()
        found = await one.complete(began)
        assert told(found) == set(one.expected)
        fields = {said.type: sorted(data) for held in found.values() for _, said, data in held.facts}
        assert fields == {"paid": [], "told": ["kind"], "booked": []}, "a fact holds what promises look at"
        letters = {
            (name, letter.value, letter.key): {**dict(letter.headers)}
            for name in one.topics
            for records in (await one.read(dlq(one.topics[name]), one.partitions[name])).values()
            for letter in records
        }
    assert len(letters) == len(GARBAGE)
    for number, (source, value, headers, reason) in enumerate(GARBAGE):
        found_headers = letters[source, value, b"of garbage %d" % number]
        assert dict(headers).items() <= found_headers.items()
        assert found_headers["dlq-exception-class"].decode() == reason
        assert found_headers["dlq-original-topic"].decode() == one.topics[source]
        assert found_headers["dlq-original-partition"].decode() == str(number % 2)


async def test_kills_lose_no_fact_and_no_vector_promises_what_is_not_there(
    kafka: ApacheKafka, tmp_path: Path, unique: Callable[[str], str], rng: Random
) -> None:
    """kill -9 four times while both sources tell: the facts are those that were told, some more than once; on every
    facts partition each fact lies before the first vector that says everything up to its time is there, and behind the
    first that names its source partition."""
    with stage(kafka, tmp_path, unique("killed")) as one:
        one.ingest.start()
        async with one.producer() as producer:
            for kill in range(4):
                known = len(told(await one.held()))
                telling = asyncio.create_task(tell(one, producer, rng, kill))
                await one.until("facts of this round", lambda found, known=known: len(told(found)) > known)  # type: ignore[misc]
                await asyncio.sleep(rng.random() * 0.3)
                one.ingest.kill()
                await telling
                one.ingest.start()
            last = now_ms()
            await one.mark(producer, last)
        await one.all_sent()
        found = await one.complete(last)
        assert one.ingest.stop() == 0
    assert told(found) == set(one.expected)
    problems = broken_promises(found, one.expected)
    assert not problems, f"{len(problems)} problems, the first: " + "\n".join(problems[:10])
    assert sum(len(held.facts) for held in found.values()) >= len(one.expected)


async def tell(one: Stage, producer: AIOKafkaProducer, rng: Random, run: int) -> None:
    """Bursts of events with a marker behind each; the ERP tells in the order of its events, the shop a second late."""
    number = run * 1_000_000
    for _ in range(60):
        began = now_ms()
        for _ in range(rng.randrange(30)):
            number += 1
            partition = rng.randrange(SHOP_PARTITIONS)
            event = shop_event(number, began - rng.randrange(1_000), partition, customer_id=f"C-{rng.randrange(9)}")
            await one.send(producer, "shop", partition, event)
            partition = rng.randrange(ERP_PARTITIONS)
            booking = erp_event(number, began, partition, binary=rng.random() < 0.5, customer=f"C-{rng.randrange(9)}")
            await one.send(producer, "erp", partition, booking)
        await producer.flush()
        await one.mark(producer, began + 1)
        await asyncio.sleep(rng.random() * 0.1)


async def test_a_process_that_is_asked_to_stop_leaves_its_position_so_that_nothing_is_sent_twice(
    kafka: ApacheKafka, tmp_path: Path, unique: Callable[[str], str], rng: Random
) -> None:
    """What it has sent is committed while it drains, with how far all was complete; the next one goes on there."""
    with stage(kafka, tmp_path, unique("stopped")) as one:
        one.ingest.start()
        async with one.producer() as producer:
            await tell(one, producer, rng, 0)
            await one.all_sent()
            assert one.ingest.stop() == 0
            known = sum(len(held.facts) for held in (await one.held()).values())
            one.ingest.start()
            last = now_ms()
            await one.mark(producer, last)
            await one.complete(last)
            assert sum(len(held.facts) for held in (await one.held()).values()) == known
            await tell(one, producer, rng, 1)
            await one.all_sent()


async def test_what_texts_of_earlier_books_look_at_is_still_sent(
    kafka: ApacheKafka, tmp_path: Path, unique: Callable[[str], str]
) -> None:
    """The receipt's promise is taken out of the book, and so is the customers' key: what runs under either in detect
    still needs the receipt, with its kind, and the booking."""
    with stage(kafka, tmp_path, unique("texts")) as one:
        one.ingest.start()
        async with one.producer() as producer:
            await one.send(producer, "shop", 0, shop_event(1, now_ms(), 0, customer_id="C"))
            await one.all_sent()
            assert one.ingest.stop() == 0
            head = one.book.read_text().partition("promises:")[0]
            more = "- {id: sent, when: {event: paid}, due: {within: 1d}, expect: {event: shipped, where: {by: post}}}"
            one.book.write_text(f"{head}promises:\n{more}\n")
            one.ingest.start()
            await one.send(producer, "shop", 1, shop_event(2, now_ms(), 1, type="told", kind="receipt"))
            await one.send(producer, "shop", 2, shop_event(3, now_ms(), 2, type="shipped", by="post"))
            await one.send(producer, "erp", 0, erp_event(4, now_ms(), 0, binary=True, customer="C"))
        found = await one.all_sent()
        books = {vector.book for held in found.values() for _, vector in held.vectors}
    assert told(found) == set(one.expected)
    data = {said.id: data for held in found.values() for _, said, data in held.facts}
    assert data == {"s1": {}, "s2": {"kind": "receipt"}, "s3": {"by": "post"}, "e4": {}}
    assert len(books) == 2, "vectors carry the book that their process was started with"


async def test_a_source_that_is_recreated_ends_the_process_and_is_never_taken_for_the_one_before(
    kafka: ApacheKafka, tmp_path: Path, unique: Callable[[str], str]
) -> None:
    """It ends by what it notices first. Started anew it goes no further and says what to do; or, where Kafka has let go
    of the positions together with the topic, it says that it reads anew what was read before.
    """
    with stage(kafka, tmp_path, unique("recreated")) as one:
        one.ingest.start()
        async with one.producer() as producer:
            await one.send(producer, "shop", 0, shop_event(1, now_ms(), 0))
            await producer.flush()
        await one.all_sent()
        await asyncio.sleep(4)  # two of the intervals at which positions are committed
        one.delete(one.topics["shop"])
        one.create({one.topics["shop"]: SHOP_PARTITIONS})
        assert await asyncio.to_thread(one.ingest.wait, 60) in {ExitCode.CONFIG, ExitCode.RESTART}
        one.ingest.start()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while one.ingest.running and "source partition is read anew" not in one.ingest.log.read_text():
            assert time.monotonic() < deadline, one.ingest.last_words(40)
            await asyncio.sleep(0.1)
        if not one.ingest.running:
            assert one.ingest.exit_code == ExitCode.CONFIG, one.ingest.last_words()
            assert f"--delete-offsets --topic {one.topics['shop']}" in one.ingest.last_words(3)
