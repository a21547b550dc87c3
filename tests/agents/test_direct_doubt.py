"""Doubt and its end in the life of a source that a worker reads itself: mended, away, silent, emptied."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from agents.detect import DetectPartition, listen, take_marks
from agents.takeover import Cores, DetectSettings, take_over
from schemas import metrics
from schemas.book import parse_book
from schemas.instants import format_instant, parse_instant
from schemas.topics import OUTCOMES, dlq
from schemas.vectors import Hold
from streams.doubt import DEAD_LETTERS, SILENT
from streams.listening import Listening
from streams.partitions import Lane
from streams.store import MemoryStore
from tests.agents import ingest_fakes
from tests.agents.fakes import FakeApp, FakeOffsets, FakeProducer, HandClock, Record, as_any

NOW = parse_instant("2026-05-01T12:00:00Z", None)
MINUTE = 60_000
JSON = "format: json, id: id, type: type, time: at"
TOPIC = "shop.events"


def book_of(source: str) -> Any:
    return parse_book(f"""
sources: {{shop: {{topic: {TOPIC}, {source}}}}}
defaults: {{timezone: UTC, key: order_id, settle: 2m, skew: 5m}}
promises:
- {{id: confirm, when: {{event: orders.created}}, due: {{within: 15m}},
   expect: {{event: orders.updated, where: {{status: ok}}}}}}
""")


class Offsets(FakeOffsets):
    """Of a broker that tells no topic ids; the log ends where the worker's does."""

    async def identify(self, topic: str) -> dict[str, object]:
        return {}

    async def ends_of(self, tps: list[TP]) -> dict[TP, int]:
        return dict.fromkeys(tps, self._end)

    async def sent_since(self, tps: list[TP], since: int) -> int | None:
        return NOW if since <= NOW else None

    def known_partition_count(self, topic: str) -> int:
        return 1


class Worker:
    """One partition as a worker opens it; what was not stored is lost when it is opened again."""

    def __init__(self, source: str = JSON) -> None:
        self.book = book_of(source)
        self.clock = HandClock(NOW)
        self.producer = FakeProducer()
        self.app = FakeApp(self.clock, MemoryStore())
        self.app.settings.topic, self.app.settings.partitions = TOPIC, 1
        self.log: list[Record] = []
        self.listening = Listening(self.book.sources.values())

    async def open(self) -> None:
        made, source = self.book, self.book.sources["shop"]
        self.app.offsets = Offsets(0, len(self.log))
        core, decoder, owed, doubt = await take_over(as_any(self.app), made, source, Cores(made), DetectSettings(), 0)
        app, producer = as_any(self.app), as_any(self.producer)
        self.handler = DetectPartition(app, 0, producer, core, decoder, source, made.defaults.skew_ms, owed, doubt)
        lanes = {0: Lane(self.handler)}
        self.app.partitions = SimpleNamespace(of_topic=lambda _topic: lanes)

    def append(self, value: bytes | None) -> None:
        self.log.append(Record(TOPIC, 0, len(self.log), None, value, (), self.clock.now))

    def event(self, order: str, kind: str, at_ms: int, **data: object) -> None:
        event = {"id": f"{kind} {order}", "order_id": order, "type": kind, "at": format_instant(at_ms), **data}
        self.append(json.dumps(event).encode())

    async def later(self, ms: int = 0) -> None:
        """Let time pass; then everything is read, and a beat comes."""
        self.clock.now += ms
        await self.handler.process(self.log[self.handler.next_offset :], len(self.log))
        self.app.offsets = Offsets(0, len(self.log))
        await take_marks(as_any(self.app), TOPIC)
        await listen(as_any(self.app), self.listening, TOPIC)
        await self.handler.tick()

    @property
    def frontier(self) -> int:
        return self.handler.core.frontier

    def hold(self) -> Hold | None:
        return self.handler.holds(self.clock.now)

    def outcomes(self) -> list[tuple[str, str]]:
        events = [json.loads(record.value or b"") for record in self.producer.published(OUTCOMES)]
        return sorted((event["subject"], event["data"]["status"]) for event in events)


@pytest.fixture
async def worker() -> Worker:
    made = Worker()
    await made.open()
    await made.later()
    return made


async def test_a_schema_change_that_is_mended_is_as_if_it_had_not_happened(worker: Worker) -> None:
    """All confirmations are dead letters for half an hour; the mapping is mended, they are redriven: all are kept."""
    for order in range(20):
        worker.event(f"O-{order}", "orders.created", worker.clock.now)
    confirmed = worker.clock.now + MINUTE
    await worker.later(MINUTE)
    for order in range(20):
        worker.append(json.dumps({"order": order, "state": "ok"}).encode())
    for _ in range(30):
        worker.append(b'{"schema": "new"}')
        await worker.later(MINUTE)
    assert worker.hold() == Hold(DEAD_LETTERS, confirmed + MINUTE)
    assert worker.frontier == confirmed - 2 * MINUTE
    assert worker.outcomes() == []

    await worker.open()
    assert worker.hold() == Hold(DEAD_LETTERS, confirmed + MINUTE), "a restart forgets no doubt"
    for order in range(20):
        worker.event(f"O-{order}", "orders.updated", confirmed, status="ok")
    await worker.later(MINUTE)
    await worker.later(20 * MINUTE)
    assert worker.hold() is None
    assert worker.frontier == worker.clock.now - 2 * MINUTE
    assert worker.outcomes() == [(f"O-{order}", "kept") for order in sorted(range(20), key=str)]


async def test_our_own_absence_is_no_doubt(worker: Worker) -> None:
    """An hour's facts are read at once after it: old, but not late."""
    for minute in range(60):
        worker.clock.now += MINUTE
        worker.event(f"O-{minute}", "orders.created", worker.clock.now)
        worker.event(f"O-{minute}", "orders.updated", worker.clock.now, status="ok")
    await worker.open()
    await worker.later(MINUTE)
    assert (worker.hold(), worker.frontier) == (None, worker.clock.now - 2 * MINUTE)


async def test_silence_past_the_heartbeat_holds_the_frontier_until_the_source_is_back() -> None:
    """A source that says nothing proves nothing; one that is back is trusted when it has been heard for its settle."""
    worker = Worker(f"{JSON}, heartbeat: 30m")
    await worker.open()
    worker.event("O-1", "orders.created", worker.clock.now)
    for _ in range(31):
        await worker.later(MINUTE)
    stood = worker.frontier
    assert worker.hold() == Hold(SILENT, NOW)
    for _ in range(60):
        await worker.later(MINUTE)
    assert (worker.frontier, worker.hold()) == (stood, Hold(SILENT, NOW))
    for minute in range(3):
        assert worker.frontier == stood
        worker.event(f"O-2{minute}", "orders.created", worker.clock.now)
        await worker.later(MINUTE)
    assert (worker.hold(), worker.frontier) == (None, worker.clock.now - 2 * MINUTE)


async def test_the_rows_of_a_database_are_read_and_the_ends_of_rows_are_no_dead_letters() -> None:
    """Debezium sends a record without a value behind each deletion; elsewhere such a record is a dead letter."""
    worker = Worker("format: debezium")
    await worker.open()
    source = {"ts_ms": NOW, "table": "orders", "lsn": 5}
    row = {"order_id": "A", "status": "new"}
    worker.append(json.dumps({"before": None, "after": row, "source": source, "op": "c", "ts_ms": NOW}).encode())
    source, done = {**source, "ts_ms": NOW + 1, "lsn": 6}, {**row, "status": "ok"}
    worker.append(json.dumps({"payload": {"before": row, "after": done, "source": source, "op": "u"}}).encode())
    counted = metrics.EVENTS.labels(topic=TOPIC, outcome="tombstone")._value.get()
    for _ in range(20):
        worker.append(None)
    await worker.later(MINUTE)
    assert worker.outcomes() == [("A", "kept")]
    assert worker.producer.published(dlq(TOPIC)) == []
    assert worker.hold() is None
    assert metrics.EVENTS.labels(topic=TOPIC, outcome="tombstone")._value.get() == counted + 20


async def test_an_ingest_process_takes_the_ends_of_rows_for_no_dead_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    """They say nothing, and make no doubt."""
    json_source = "topic: shop.events, format: json, id: id, type: type, time: at"
    changed = ingest_fakes.BOOK.replace(json_source, "topic: shop.events, format: debezium")
    monkeypatch.setattr(ingest_fakes, "BOOK", changed.replace("order.placed", "orders.created"))
    one = ingest_fakes.Process(monkeypatch)
    await one.open(ingest_fakes.SHOP)
    source, row = {"ts_ms": ingest_fakes.NOW, "table": "orders", "lsn": 5}, {"order_id": "A", "customer_id": "C"}
    one.append(ingest_fakes.SHOP, json.dumps({"before": None, "after": row, "source": source, "op": "c"}).encode())
    for _ in range(20):
        one.append(ingest_fakes.SHOP, None)
    counted = metrics.EVENTS.labels(topic=TOPIC, outcome="tombstone")._value.get()
    await one.read()
    await one.beat()
    assert [fact.type for _, fact in one.facts] == ["orders.created", "orders.created"]
    assert one.producer.on(dlq(TOPIC)) == []
    assert one.vectors[-1].holds == {}
    assert metrics.EVENTS.labels(topic=TOPIC, outcome="tombstone")._value.get() == counted + 20
