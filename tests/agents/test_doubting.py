"""Doubt about a source that a worker reads itself: it is stored, markers are not believed, operators are told."""

import json

import pytest

from agents.detect import DetectPartition
from agents.doubting import DOUBT_KEY
from agents.figures import DirectFigures
from agents.takeover import Cores, DetectSettings, take_over
from schemas import metrics
from schemas.book import parse_book
from schemas.book_model import Book
from schemas.instants import format_instant, parse_instant
from schemas.markers import marker_headers
from schemas.topics import OUTCOMES
from schemas.vectors import Hold
from streams.store import MemoryStore
from tests.agents.factsworker import Offsets
from tests.agents.fakes import FakeApp, FakeProducer, HandClock, Record, as_any

NOW = parse_instant("2026-05-01T12:00:00Z", None)
MINUTE = 60_000
BOOK = """
sources: {shop: {topic: shop.events, format: json, id: id, type: type, time: at, settle: 1m, FRONTIER
  doubt: {dead_letters: 3, late: 3, share: 50%, window: 10m}}}
defaults: {timezone: Europe/Amsterdam, key: order_id, skew: 5m}
promises:
- {id: told, when: {event: paid}, due: {within: 15m}, expect: {event: told}}
"""


class Worker:
    """One partition of a worker that reads its source itself, with a clock frontier unless markers are asked for."""

    def __init__(self, frontier: str = "") -> None:
        self.book: Book = parse_book(BOOK.replace("FRONTIER", frontier))
        self.clock = HandClock(NOW)
        self.store = MemoryStore()
        self.producer = FakeProducer()
        self.app = FakeApp(self.clock, self.store)
        self.app.offsets = Offsets(0, 1_000_000)
        self.log: list[Record] = []

    async def open(self) -> "Worker":
        source = self.book.sources["shop"]
        taken = await take_over(as_any(self.app), self.book, source, Cores(self.book), DetectSettings(), 0)
        core, decoder, owed, doubt = taken
        app, producer = as_any(self.app), as_any(self.producer)
        self.handler = DetectPartition(app, 0, producer, core, decoder, source, 300_000, owed, doubt)
        return self

    def append(self, value: bytes, headers: tuple[tuple[str, bytes], ...] = ()) -> None:
        self.log.append(Record("shop.events", 0, len(self.log), None, value, headers, self.clock.now))

    def event(self, order: str, kind: str, at_ms: int) -> None:
        event = {"id": f"e{len(self.log)}", "order_id": order, "type": kind, "at": format_instant(at_ms)}
        self.append(json.dumps(event).encode())

    async def run(self) -> None:
        """Read what is there."""
        await self.handler.process(self.log[self.handler.next_offset :], len(self.log))

    async def at(self, instant: int) -> None:
        """Let it be that late: everything has been read by then."""
        self.clock.now = instant
        await self.run()
        self.handler.mark(instant, len(self.log))
        await self.handler.tick()

    def outcomes(self) -> list[tuple[str, str]]:
        events = [json.loads(record.value or b"")["data"] for record in self.producer.published(OUTCOMES)]
        return [(event["subject"], event["status"]) for event in events]


@pytest.fixture
async def worker() -> Worker:
    """An order was paid, and nobody was told yet."""
    one = await Worker().open()
    one.event("A", "paid", NOW)
    await one.at(NOW + MINUTE)
    return one


async def test_doubt_is_remembered_over_a_restart(worker: Worker) -> None:
    """It is stored in the transaction that holds the dead letters."""
    for _ in range(5):
        worker.append(b"<xml/>")
    worker.clock.now = NOW + 14 * MINUTE
    await worker.run()
    assert worker.store.reader(0)(DOUBT_KEY)
    await worker.open()
    await worker.at(NOW + 20 * MINUTE)
    assert worker.outcomes() == []
    await worker.at(NOW + 40 * MINUTE)
    await worker.handler.tick()
    assert worker.outcomes() == [("A", "breached")]


async def test_a_marker_is_not_believed_while_there_is_doubt_and_takes_effect_when_it_is_gone() -> None:
    """Dead letters before it in the same batch count."""
    worker = await Worker("frontier: markers,").open()
    worker.event("A", "paid", NOW)
    for _ in range(5):
        worker.append(b"<xml/>")
    worker.append(b"", tuple(marker_headers(NOW + 30 * MINUTE)))
    worker.clock.now = NOW + 40 * MINUTE
    await worker.run()
    await worker.handler.tick()
    assert worker.outcomes() == []
    worker.clock.now += 11 * MINUTE
    await worker.handler.tick()
    assert worker.outcomes() == [("A", "breached")]


async def test_operators_are_told_which_source_holds_which_promises_since_when(
    worker: Worker, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the metrics as long as it lasts, and in the log once."""
    figures = DirectFigures(worker.book)
    hold = Hold("silent", NOW)
    for seconds in range(5):
        figures.look(NOW + 90_000 + seconds * 1_000, [hold, None])
    held = metrics.SOURCE_HELD.labels(source="shop", reason="silent")._value.get()  # type: ignore[attr-defined]
    assert held == 94
    assert metrics.PROMISE_HELD.labels(promise="told", source="shop")._value.get() == 94  # type: ignore[attr-defined]
    figures.look(NOW + 100_000, [None, None])
    assert [sample for metric in metrics.SOURCE_HELD.collect() for sample in metric.samples] == []
    lines = [line for line in capsys.readouterr().out.splitlines() if "source is in doubt" in line]
    assert [("in doubt no more" in line) for line in lines] == [False, True]
    assert "told" in lines[0]
