"""The same book and the same events, read by a worker itself or as facts: the same published events, byte by byte.

The books and stories are those of tests/reference: all of the promise language, borders met often, in any order.
"""

import json
import random
from typing import Any

import pytest

from agents import committing
from agents.detect import DetectPartition
from agents.takeover import Cores, DetectSettings, take_over
from schemas.book import parse_book
from schemas.book_model import Book
from schemas.errors import BookError, EventError
from schemas.instants import format_instant
from schemas.markers import marker_headers
from schemas.topics import BREACHES, FACTS, OUTCOMES, dlq
from schemas.vectors import KNOWN_FOR_EVER
from streams.emit import Outgoing
from streams.store import MemoryStore
from tests.agents.factsworker import FactsWorker, Offsets
from tests.agents.fakes import Crash, FakeApp, FakeProducer, HandClock, Record, as_any
from tests.reference.made_books import PAIRS, make_book
from tests.reference.playing import as_yaml
from tests.reference.worlds import ALWAYS, Arrival, World, make_arrival, make_world

LATER_MS = 20 * 366 * 86_400_000
BOOKS, WORLDS = 12, 6


class DirectWorker:
    """One partition of a worker that reads its source itself."""

    def __init__(self, now: int, since: int | None) -> None:
        self.store = MemoryStore()
        self.producer = FakeProducer()
        self.app = FakeApp(HandClock(now), self.store)
        self.app.offsets = Offsets(0, 1_000_000)
        self.since = since
        self.log: list[Record] = []

    async def open(self, book: Book) -> None:
        source = book.sources["s"]
        settings = DetectSettings(self.since)
        core, decoder, owed, _ = await take_over(as_any(self.app), book, source, Cores(book), settings, 0)
        app, producer = as_any(self.app), as_any(self.producer)
        self.handler = DetectPartition(app, 0, producer, core, decoder, source, book.defaults.skew_ms, owed)

    async def run(self) -> None:
        await self.handler.process(self.log[self.handler.next_offset :], len(self.log))


def in_json(subject: str, event: dict[str, Any]) -> dict[str, Any]:
    told = {name: event[name] for name in ("id", "type", "withdraws") if name in event}
    return {**told, "time": format_instant(event["time"]), "data": {**event["data"], "id": subject}}


def book_of(made: dict[str, Any]) -> Book | None:
    """The book with events that have their payload under `data`, and markers."""
    source = {**made["sources"]["s"], "data": "data", "frontier": "markers"}
    try:
        return parse_book(as_yaml({**made, "sources": {"s": source}}), "world.yaml")
    except BookError:
        return None


class Both:
    """A world on its way into both workers."""

    def __init__(self, book: Book, world: World, arrival: Arrival) -> None:
        self.book = book
        self.world = world
        self.steps = arrival.steps
        instants = [event["time"] for story in world.events.values() for event in story]
        now = max([*instants, world.frontier]) + LATER_MS
        known = world.known_since
        self.direct = DirectWorker(now, None if known == ALWAYS else known)
        self.facts = FactsWorker()
        self.facts.clock.now = now
        self.known_since = KNOWN_FOR_EVER if known == ALWAYS else known

    async def play(self) -> None:
        for word, what in [("open", None), *self.steps]:
            if word in ("commit", "restart"):
                await self.direct.run()
                await self.facts.run()
            if word in ("open", "restart"):
                await self.direct.open(self.book)
                await self.facts.open(self.book)
            if word == "open":
                self.facts.vector({"s": None}, known_since=self.known_since)
            elif word == "event":
                self.happens(*what)
            elif word == "frontier":
                self.direct.log.append(
                    Record("t", 0, len(self.direct.log), None, None, tuple(marker_headers(what)))
                )  # fmt: skip
                self.facts.vector({"s": what}, known_since=self.known_since)
        await self.direct.run()
        await self.facts.run()

    def happens(self, subject: str, event: dict[str, Any]) -> None:
        told = in_json(subject, event)
        self.direct.log.append(Record("t", 0, len(self.direct.log), b"k", json.dumps(told).encode()))
        try:
            self.facts.append_event("s", told)
        except EventError:
            return  # a dead letter of the source, in either way


def made(chance: random.Random, books: int, worlds: int) -> Any:
    """(book, world, arrival) of many books and worlds, the same for one seed."""
    for _ in range(books):
        spelled = make_book(chance, chance.sample(PAIRS, 3), lambda one: book_of(one) is not None)
        book = book_of(spelled)
        assert book is not None
        for _ in range(worlds):
            world = make_world(chance, spelled)
            yield book, world, make_arrival(chance, world)


async def test_facts_mode_publishes_what_direct_mode_publishes(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids, verdicts, revisions and bytes, in the same order, whatever the slices and restarts."""
    published = 0
    for book, world, arrival in made(rng, BOOKS, WORLDS):
        monkeypatch.setattr(committing, "SLICE_RECORDS", arrival.slice_size)
        both = Both(book, world, arrival)
        await both.play()
        for topic in (BREACHES, OUTCOMES):
            assert both.facts.published(topic) == both.direct.producer.published(topic)
            published += len(both.facts.published(topic))
    assert published > BOOKS * WORLDS, "the worlds have become too tame to show anything"


async def test_a_crash_at_any_commit_changes_nothing_that_is_published(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not committed is done again, and comes to the same; what was is not done twice."""
    for book, world, arrival in made(rng, BOOKS // 2, WORLDS):
        monkeypatch.setattr(committing, "SLICE_RECORDS", arrival.slice_size)
        both = Both(book, world, arrival)
        await both.play()
        undisturbed = both.facts
        one = FactsWorker()
        one.clock.now, one.log = undisturbed.clock.now, undisturbed.log
        await one.open(book)
        while one.handler.next_offset < len(one.log):
            one.producer.fail_at = len(one.producer.transactions) + rng.choice([1, 2, 3, 5])
            try:
                await one.run(step=rng.choice([1, 2, 5, 100]))
            except Crash:
                one.producer.fail_at = None
                await one.open(book)
                await one.handler.tick()
                await one.run(upto=min(one.handler.next_offset + 1, len(one.log)))
        for topic in (BREACHES, OUTCOMES, dlq(FACTS)):
            assert in_any_order(one.published(topic)) == in_any_order(undisturbed.published(topic))


def in_any_order(records: list[Outgoing]) -> list[tuple[bytes, bytes]]:
    return sorted((record.key or b"", record.value or b"") for record in records)
