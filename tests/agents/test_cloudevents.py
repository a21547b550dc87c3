"""A source of CloudEvents on a partition: both modes side by side, and dead letters that can be sent again."""

import asyncio
import json

from agents.detect import DetectPartition
from promises.detector import Detector
from promises.partition import PartitionDetector
from schemas.book import parse_book
from schemas.cloudevents import STRUCTURED_HEADERS
from schemas.decoding import Decoder
from schemas.instants import parse_instant
from schemas.markers import marker_headers
from schemas.records import Checkpoint
from schemas.topics import OUTCOMES, dlq
from streams.store import MemoryStore
from tests.agents.fakes import FakeApp, FakeProducer, HandClock, Record, as_any

BOOK = """
sources: {erp: {topic: erp.events, format: cloudevents, frontier: markers}}
defaults: {timezone: UTC, key: order}
promises:
- {id: told, when: {event: placed}, due: {within: 15m}, expect: {event: told}}
"""
AT = "2026-05-01T12:00:00Z"


def attributes(event_id, kind, at=AT):
    return {"specversion": "1.0", "id": event_id, "source": "/shop", "type": kind, "time": at}


def binary(event_id, kind, order, at=AT):
    headers = [(f"ce_{name}", text.encode()) for name, text in attributes(event_id, kind, at).items()]
    return json.dumps({"order": order}).encode(), tuple(headers)


def structured(event_id, kind, order, at=AT):
    return json.dumps({**attributes(event_id, kind, at), "data": {"order": order}}).encode(), STRUCTURED_HEADERS


def processed(*records):
    """What a fresh partition publishes of these values and headers."""
    book = parse_book(BOOK)
    store, producer = MemoryStore(), FakeProducer()
    first = Checkpoint(1, ("erp",), -(1 << 62), b"", 0, -(1 << 62), 0, {}, book.digest)
    core = PartitionDetector(Detector(book), store.reader(0), first)
    app = FakeApp(HandClock(parse_instant("2026-05-01T13:00:00Z", None)), store)
    decoder, source = Decoder(book).source("erp"), book.sources["erp"]
    partition = DetectPartition(as_any(app), 0, as_any(producer), core, decoder, source, 300_000)
    log = [Record("erp.events", 0, offset, b"k", *record, 7) for offset, record in enumerate(records)]
    asyncio.run(partition.process(log, len(log)))
    return producer


def statuses(producer):
    rows = [json.loads(record.value)["data"] for record in producer.published(OUTCOMES)]
    return [(row["subject"], row["status"]) for row in rows]


def test_events_of_both_modes_make_up_one_subject():
    """One system writes headers, the other does not: A is told in time, B is not, and the marker proves it."""
    producer = processed(
        binary("1", "placed", "A"),
        structured("1", "placed", "B"),
        structured("2", "told", "A", "2026-05-01T12:10:00Z"),
        (b"", tuple(marker_headers(parse_instant("2026-05-01T12:30:00Z", None)))),
    )
    assert statuses(producer) == [("A", "kept"), ("B", "breached")]
    assert producer.published(dlq("erp.events")) == []


def test_a_record_that_is_no_cloudevent_keeps_all_its_headers_as_a_dead_letter():
    """So that it can be sent again as it was; what stands behind it is processed."""
    value, headers = binary("1", "placed", "A")
    bare, old = (value, ()), (value, (("ce_specversion", b"0.3"), *headers[1:]))
    producer = processed(bare, old, (None, headers), (value, headers), binary("2", "told", "A"))
    letters = producer.published(dlq("erp.events"))
    assert [letter.value for letter in letters] == [value, value, None]
    for letter, (_, sent) in zip(letters, [bare, old, (None, headers)], strict=True):
        assert letter.headers[: len(sent)] == sent
    reasons = [dict(letter.headers)["dlq-exception-class"] for letter in letters]
    assert reasons == [b"missing_specversion", b"unknown_specversion", b"empty"]
    assert statuses(producer) == [("A", "kept")]
