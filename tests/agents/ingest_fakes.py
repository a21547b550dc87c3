"""Stand-ins for Kafka around an ingest process: its logs, what it writes, and acknowledgements that are held back."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from agents import ingest as module
from agents.ingest import Ingest, IngestPlan
from agents.sourcepartition import SourcePartition
from schemas.book import parse_book
from schemas.book_model import Book
from schemas.factrecords import decode_fact
from schemas.facts import Fact
from schemas.instants import format_instant, parse_instant
from schemas.markers import marker_headers
from schemas.topics import dlq
from schemas.vectors import VectorMarker, read_vector
from streams.emit import Outgoing
from streams.identity import Identity
from streams.partitions import Committed, Lane
from tests.agents.fakes import HandClock, Record, as_any

NOW = parse_instant("2026-05-01T12:00:00Z", None)
FACTS = "the.facts"
FACTS_PARTITIONS = 4
SHOP, ERP = TP("shop.events", 0), TP("erp.events", 1)
BOOK = """
sources:
  shop: {{topic: shop.events, format: json, id: id, type: type, time: at, settle: 2m{shop}}}
  erp: {{topic: erp.events, format: json, id: id, type: type, time: at, frontier: markers}}
defaults: {{timezone: Europe/Amsterdam, key: order_id, skew: 5m}}
promises:
- {{id: confirm, when: {{event: order.placed}}, due: {{within: 15m}}, expect: {{event: message.sent}}}}
- {{id: book, key: customer_id, when: {{event: order.placed, again: true}}, due: {{within: 1h}},
   expect: {{event: order.booked}}}}
{more}
"""


class Clock(HandClock):
    """A clock that a test sets, as fast as real time."""

    factor = 1.0


class FakeShared:
    """A producer whose writes are kept in order; while `held`, nothing is acknowledged."""

    def __init__(self) -> None:
        self.written: list[tuple[str, dict[int, list[Outgoing]]]] = []
        self.acknowledged = 0
        self._open = asyncio.Event()
        self._open.set()

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    async def write(self, topic: str, records: Mapping[int, Sequence[Outgoing]]) -> None:
        self.written.append((topic, {partition: list(rows) for partition, rows in records.items()}))
        await self._open.wait()
        self.acknowledged += 1

    def on(self, topic: str) -> list[tuple[int, Outgoing]]:
        """Everything written to a topic, in order, with its partition."""
        return [
            (partition, row)
            for written, records in self.written
            if written == topic
            for partition, rows in records.items()
            for row in rows
        ]


class FakeMemory:
    """What ingest processes remember together, without a topic."""

    topics: dict[str, tuple[str, ...]] = {}
    books: list[Book] = []

    def __init__(self, *_: Any) -> None:
        pass

    async def union(self, book: Book) -> Book:
        if book not in self.books:
            self.books.append(book)
        return replace(book, promises=tuple({p.id: p for known in self.books for p in known.promises}.values()))

    def worked(self, topic: str) -> tuple[str, ...]:
        return self.topics.get(topic, ())

    async def work(self, topic: str, topic_id: str) -> None:
        self.topics[topic] = tuple(dict.fromkeys((*self.worked(topic), topic_id)))


class FakeOffsets:
    """Logs as a test sets them: beginnings and ends by partition, partition counts and ids by topic."""

    def __init__(self) -> None:
        self.beginnings: defaultdict[TP, int] = defaultdict(int)
        self.ends: defaultdict[TP, int] = defaultdict(int)
        self.counts = {"shop.events": 1, "erp.events": 2, FACTS: FACTS_PARTITIONS}
        self.ids = {"shop.events": "id-of-shop", "erp.events": "id-of-erp", FACTS: "id-of-facts"}
        self.heard: int | None = None
        """The newest Kafka timestamp that there is."""
        self.meanwhile: Callable[[], Awaitable[None]] | None = None
        """What happens while partitions are counted."""

    async def partition_counts(self, topics: Iterable[str]) -> dict[str, int]:
        if self.meanwhile is not None:
            await self.meanwhile()
        return {topic: self.counts[topic] for topic in topics if topic in self.counts}

    async def ends_of(self, tps: Iterable[TP]) -> dict[TP, int]:
        return {tp: self.ends[tp] for tp in tps}

    async def beginnings_of(self, tps: Iterable[TP]) -> dict[TP, int]:
        return {tp: self.beginnings[tp] for tp in tps}

    async def sent_since(self, tps: Iterable[TP], since: int) -> int | None:
        return None if self.heard is None or self.heard < since else self.heard

    async def identify(self, *topics: str) -> dict[str, Identity]:
        return {topic: Identity(self.counts[topic], self.ids[topic]) for topic in topics}


class Process:
    """One ingest process under test on logs that outlive it, and what it committed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, shop: str = "", more: str = "") -> None:
        monkeypatch.setattr(module, "TextMemory", FakeMemory)
        FakeMemory.topics, FakeMemory.books = {}, []
        self.clock = Clock(NOW)
        self.offsets = FakeOffsets()
        self.logs: defaultdict[TP, list[Record]] = defaultdict(list)
        self.committed: dict[TP, Committed] = {}
        self.producer = FakeShared()
        self.book = parse_book(BOOK.format(shop=shop, more=more), "book.yaml")
        self.start()

    def start(self, book: Book | None = None) -> None:
        """Begin as a new process, with nothing in memory."""
        self.book = book or self.book
        lanes: dict[TP, Lane] = {}
        partitions = SimpleNamespace(openings=0, lanes=lanes, label=lambda tp: f"{tp.topic}-{tp.partition}")
        self.app = as_any(SimpleNamespace(clock=self.clock, offsets=self.offsets, partitions=partitions, services=[]))
        counts = {**self.offsets.counts, dlq("shop.events"): 1, dlq("erp.events"): 1}
        settings = SimpleNamespace(app_id="ingest", client={}, clock=self.clock)
        plan = IngestPlan(FACTS, 0.0, "me", counts)
        self.ingest = Ingest(self.book, plan, as_any(settings), self.clock.now, as_any(self.producer))

    async def open(self, *tps: TP) -> None:
        """Be given these partitions, and no others."""
        for lane in self.app.partitions.lanes.values():
            await lane.handler.close()
        self.app.partitions.lanes.clear()
        self.app.partitions.openings += 1
        for tp in tps:
            handler = await self.ingest.open_source(self.app, tp, self.committed.get(tp))
            self.app.partitions.lanes[tp] = Lane(handler)

    def handler(self, tp: TP = SHOP) -> SourcePartition:
        found = self.app.partitions.lanes[tp].handler
        assert isinstance(found, SourcePartition)
        return found

    def commit(self) -> None:
        """Store how far every partition is, as the group does."""
        for tp, lane in self.app.partitions.lanes.items():
            self.committed[tp] = Committed(lane.handler.next_offset, lane.handler.commit_metadata())

    def append(self, tp: TP, value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()) -> None:
        self.logs[tp].append(Record(tp.topic, tp.partition, self.offsets.ends[tp], b"k", value, tuple(headers), NOW))
        self.offsets.ends[tp] += 1

    def event(self, tp: TP, event_id: str, kind: str, at: int, **fields: Any) -> None:
        event = {"id": event_id, "type": kind, "at": format_instant(at), "order_id": "A", **fields}
        self.append(tp, json.dumps(event).encode())

    def marker(self, tp: TP, until: int) -> None:
        self.append(tp, b"", marker_headers(until))

    def expire(self, tp: TP, beginning: int) -> None:
        """Have everything before an offset expire, also what was never written here."""
        self.offsets.beginnings[tp] = beginning
        self.offsets.ends[tp] = max(self.offsets.ends[tp], beginning)
        self.logs[tp] = [record for record in self.logs[tp] if record.offset >= beginning]

    async def read(self, *tps: TP) -> None:
        """Process what has not been processed."""
        for tp in tps or tuple(self.app.partitions.lanes):
            handler = self.handler(tp)
            records = [record for record in self.logs[tp] if record.offset >= handler.next_offset]
            await handler.process(records, self.offsets.ends[tp])

    async def beat(self) -> None:
        await self.ingest.beat(self.app)

    # What it wrote

    @property
    def vectors(self) -> list[VectorMarker]:
        """Every vector, as it stands on the first facts partition."""
        found = [read_vector(row.value, row.headers) for partition, row in self.producer.on(FACTS) if partition == 0]
        return [vector for vector in found if vector is not None]

    @property
    def facts(self) -> list[tuple[bytes | None, Fact]]:
        rows = [row for _, row in self.producer.on(FACTS) if row.value]
        return [(row.key, decode_fact(row.value)) for row in rows if row.value]

    @property
    def kinds(self) -> list[str]:
        """What was written to the facts topic, in order: `vector` or `facts`."""
        return [
            "facts" if any(row.value for rows in records.values() for row in rows) else "vector"
            for topic, records in self.producer.written
            if topic == FACTS
        ]
