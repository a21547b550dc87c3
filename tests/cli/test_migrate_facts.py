"""`promisewatch migrate` where workers read facts: what it would do, told from their state, and what it does."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from promisewatch.brokers import ApacheKafka
from promisewatch.migrating import Forecast, State, add_partition, asked_for
from schemas.book import parse_book
from schemas.book_model import Book
from schemas.instants import format_instant
from schemas.topics import dlq
from streams.clock import SystemClock
from streams.store import MemoryStore
from tests.agents.factsworker import NOW, FactsWorker
from tests.agents.stage import PARTITIONS, PATIENCE_SECONDS, Stage
from tests.cli.running import promisewatch

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


LIVE = """
sources:
  shop: {{topic: {run}.shop, format: json, id: id, type: type, time: at, frontier: markers, events: [paid, told]}}
  wms: {{topic: {run}.wms, format: json, id: id, type: type, time: at, frontier: markers, events: [packed]}}
defaults: {{timezone: Europe/Amsterdam, key: order_id, skew: 1s}}
promises:
- {{id: packed, when: {{event: paid}}, due: {{within: 5h}}, expect: {{event: packed}}}}
"""
STRICTER = """
- {id: packed, version: 2, effective_from: "2040-01-01", when: {event: paid}, due: {within: 5m},
   expect: {event: packed}}
"""


@pytest.fixture
def stage(kafka: ApacheKafka, tmp_path: Path, unique: Callable[[str], str]) -> Iterator[Stage]:
    one = Stage(kafka, tmp_path, unique("moving"), LIVE)
    topics = {f"{one.run}.shop": 1, f"{one.run}.wms": 1, one.facts: PARTITIONS}
    one.create(topics | {dlq(name): count for name, count in topics.items()})
    yield one
    one.stop()


def forecast_told(stage: Stage, *options: str) -> dict[str, Any]:
    """What the command tells programs."""
    where = ("--bootstrap-server", stage.broker.bootstrap_server, "--app-id", f"{stage.run}-detect")
    asked = ("--book", str(stage.book), "--promise", "packed", "--to", "2", "--facts-topic", stage.facts)
    done = promisewatch("migrate", *asked, *where, "--output", "json", *options)
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def until(stage: Stage, what: str, true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        told = "\n".join(child.last_words(20) for child in stage.children)
        assert all(child.running for child in stage.children), told
        assert time.monotonic() < deadline, f"waited for {what}\n{told}"
        time.sleep(0.2)


@pytest.mark.kafka
def test_what_runs_is_judged_by_the_version_it_was_moved_to(stage: Stage) -> None:
    """The book is deployed to ingest and worker, then the migration is ordered: of what was paid, one is packed in time
    for the old version and too late for the new one, one never, and one had been packed before.
    """
    paid = SystemClock().now_ms() - 60 * MINUTE

    def event(kind: str, order: str, at: int) -> dict[str, Any]:
        return {"id": f"{kind}-{order}", "type": kind, "at": format_instant(at), "order_id": f"{stage.run}-{order}"}

    def tell(shop: list[dict[str, Any]], wms: list[dict[str, Any]], complete_until: int) -> None:
        stage.tell(f"{stage.run}.shop", 1, shop, complete_until)
        stage.tell(f"{stage.run}.wms", 1, wms, complete_until)

    def verdicts(**wanted: str) -> dict[tuple[str, str, str], str]:
        return {("packed", f"{stage.run}-{order}", f"paid-{order}"): status for order, status in wanted.items()}

    stage.ingest(f"{stage.run}-ingest")
    stage.worker(f"{stage.run}-detect")
    orders = [event("paid", order, paid) for order in ("late", "never", "before")]
    tell(orders, [event("packed", "before", paid + MINUTE)], paid + 30 * MINUTE)
    assert {one["data"]["version"] for one in stage.until(verdicts(before="kept"))} == {1}
    stage.stop()

    stage.book.write_text(stage.book.read_text() + STRICTER)
    assert set(forecast_told(stage)["unready"]) == {str(partition) for partition in range(PARTITIONS)}
    stage.ingest(f"{stage.run}-ingest")
    stage.worker(f"{stage.run}-detect")
    until(stage, "the new book in every partition", lambda: forecast_told(stage)["unready"] == {})
    (running,) = forecast_told(stage)["versions"]
    assert (running["version"], running["reasons"], running["overdue"]) == (1, {"moved": 2}, 2)
    assert forecast_told(stage, "--yes")["sent"]
    tell([], [event("packed", "late", paid + 6 * MINUTE)], paid + 40 * MINUTE)
    published = stage.until(verdicts(before="kept", late="fulfilled_late", never="breached"))
    breaches = [one["data"] for one in published if one["type"] == "promise.breached.v1"]
    assert {(one["subject"], one["version"], one["breached_at"]) for one in breaches} == {
        (f"{stage.run}-{order}", 2, format_instant(paid + 5 * MINUTE)) for order in ("late", "never")
    }
    assert forecast_told(stage)["versions"] == []
