"""A worker that can be asked about its subjects by HTTP, with stand-ins for Kafka and one real HTTP server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple

import aiohttp
from faust.types import TP

from agents.answering import SubjectPage
from schemas.book_model import Book
from streams.health import Health
from streams.http import HttpServer
from streams.partitions import Lane, Partitions
from streams.store import MemoryStore
from tests.agents.fakes import FakeApp, HandClock, as_any
from tests.agents.test_detect import NOW, Partition

COUNT = 4
"""Partitions of the topic; the worker has those that a test says."""


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: dict[str, Any]
    headers: Any


def fake_app(clock: HandClock | None = None, store: MemoryStore | None = None) -> Any:
    """What the page needs of an app that has its partitions."""
    app = FakeApp(clock or HandClock(NOW), store or MemoryStore())
    app.settings = SimpleNamespace(
        topic="shop.events",
        partitions=COUNT,
        app_id="watch",
        bootstrap_server="127.0.0.1:9092",
        changelog="the-changelog",
    )
    app.conf = SimpleNamespace(table_standby_replicas=0)
    app.tables = None
    app.services = []
    app.rebalancing = app.should_stop = False
    app.partitions = Partitions(["shop.events"], as_any(None), lambda _: None)
    app.partitions.opened = True
    return app


def worker_with(partition: Partition, *numbers: int) -> Any:
    """A worker whose partitions have these numbers; the first one holds what `partition` has processed."""
    app = fake_app(partition.clock)
    for number in numbers:
        handler = partition.handler if number == numbers[0] else Partition().handler
        app.partitions.lanes[TP("shop.events", number)] = Lane(handler)
    readers = {numbers[0]: partition.store.reader(0)}
    app.store = SimpleNamespace(reader=lambda number: readers.get(number, {}.get))
    return app


class Asked:
    """A served page."""

    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        self.address = address
        self._session = session

    async def get(self, headers: dict[str, str] | None = None, **query: str) -> Answer:
        """Ask, as `promisewatch subject` does."""
        async with self._session.get(f"http://{self.address}/subject", params=query, headers=headers) as response:
            return Answer(response.status, await response.json(), response.headers)


@asynccontextmanager
async def served(
    app: Any | None, book: Book, tokens: list[str] | None = None, host: str = "127.0.0.1", *, from_facts: bool = False
) -> AsyncIterator[Asked]:
    """A worker's page while the block runs; without an app it has not come so far."""
    page = SubjectPage(tokens or [])
    server = HttpServer(Health(), host, "auto", [page])
    server.start()
    try:
        if app is not None:
            page.serve(app, book, from_facts=from_facts)
            (desk,) = app.services
            desk.asyncio_loop = asyncio.get_running_loop()
        async with aiohttp.ClientSession() as session:
            yield Asked(server.address, session)
    finally:
        server.stop()
