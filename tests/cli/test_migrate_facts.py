"""What a migration would do, told from the state of a worker that reads facts."""

import pytest

from promisewatch.migrating import Forecast, State, add_partition, asked_for
from schemas.book import parse_book
from schemas.book_model import Book
from streams.store import MemoryStore
from tests.agents.factsworker import NOW, FactsWorker

MINUTE = 60_000
BOOK = """
sources:
  shop: {topic: shop.events, format: json, id: id, type: type, time: at, events: [paid, told]}
  wms: {topic: wms.events, format: json, id: id, type: type, time: at, events: [packed]}
defaults: {timezone: Europe/Amsterdam, key: order_id, settle: 0s, skew: 0s}
promises:
- {id: told, when: {event: paid}, due: {within: 3h}, expect: {event: told}}
- {id: packed, when: {event: paid}, due: {within: 5h}, expect: {event: packed}}
"""
SECOND = """
- {id: told, version: 2, effective_from: "2040-01-01", when: {event: paid}, due: {within: 5m}, expect: {event: told}}
"""
LOOKING = SECOND.replace("expect: {event: told}", "expect: {event: told, where: {kind: mail}}")


def forecast(book: Book, store: MemoryStore) -> Forecast:
    migration = asked_for(book, "told", 2, (), assume_known=False)
    found = Forecast(migration, 1)
    add_partition(found, State(book, migration), store, "test", 0, 3)
    return found


@pytest.fixture
async def worker() -> FactsWorker:
    """A worker on which four promises run."""
    one = FactsWorker()
    await one.open(parse_book(BOOK))
    one.vector({"shop": NOW - 60 * MINUTE, "wms": NOW - 60 * MINUTE})
    for order in ("A", "B"):
        one.event("shop", "paid", NOW - 10 * MINUTE, order_id=order)
    one.vector({"shop": NOW, "wms": NOW})
    await one.run()
    return one


async def test_every_running_promise_is_told_of_once_and_what_the_vector_proves_is_known(worker: FactsWorker) -> None:
    """By the stored vector, without any worker; nothing is ready before the workers have the book."""
    second = parse_book(BOOK + SECOND)
    found = forecast(second, worker.store)
    assert found.reads_facts
    assert found.versions[1].reasons == {"moved": 2}
    assert "its worker has book" in found.unready[0]
    await worker.open(second)
    worker.vector({"shop": NOW, "wms": NOW})
    await worker.run()
    await worker.handler.tick()
    found = forecast(second, worker.store)
    assert (found.unready, found.versions[1].running, found.versions[1].overdue) == ({}, 2, 2)
    assert {example.subject.value for example in found.examples} == {"A", "B"}


async def test_nothing_is_ready_before_every_source_is_mapped_with_the_book(worker: FactsWorker) -> None:
    """What the new text looks at may not be sent yet."""
    second = parse_book(BOOK + LOOKING)
    await worker.open(second)
    await worker.handler.tick()
    assert forecast(second, worker.store).unready == {0: "not every source is mapped with the book yet"}
    worker.vector({"shop": NOW, "wms": NOW})
    await worker.run()
    found = forecast(second, worker.store)
    assert (found.unready, found.versions[1].reasons) == ({}, {"unseen": 2})


def test_a_partition_that_nobody_has_opened_is_not_ready() -> None:
    """There may be workers that read it for the first time just now."""
    found = forecast(parse_book(BOOK + SECOND), MemoryStore())
    assert found.unready == {0: "no worker has opened it yet"}
