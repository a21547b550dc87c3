"""Changed books in facts mode: nothing is broken because an event was not asked for when it was mapped."""

import pytest
import structlog

from schemas.book import parse_book
from schemas.book_model import Book
from schemas.groups import GROUPS_KEY, decode_groups
from schemas.records import TEXTS_KEY, StoredText, decode_texts
from tests.agents.factsworker import NOW, FactsWorker

MINUTE = 60_000
DAY = 86_400_000
HEAD = """
sources:
  shop: {topic: shop.events, format: json, id: id, type: type, time: at, events: [paid, told]}
  wms: {topic: wms.events, format: json, id: id, type: type, time: at, events: [packed, shipped]}
defaults: {timezone: Europe/Amsterdam, key: order_id, settle: 0s, skew: 0s}
promises:
"""
TOLD = "- {id: told, when: {event: paid}, due: {within: 30m}, expect: {event: told}}\n"
PACKED = "- {id: packed, when: {event: paid}, due: {within: 20m}, expect: {event: packed}}\n"


def book(promises: str) -> Book:
    return parse_book(HEAD + promises, "book.yaml")


@pytest.fixture
async def worker() -> FactsWorker:
    """A worker with the first book, up to NOW."""
    one = FactsWorker()
    await one.open(book(TOLD))
    one.vector({"shop": NOW - 60 * MINUTE, "wms": NOW - 60 * MINUTE})
    one.event("shop", "paid", NOW - 10 * MINUTE, order_id="A")
    one.vector({"shop": NOW, "wms": NOW})
    await one.run()
    return one


async def test_a_new_promise_opens_once_every_source_is_mapped_with_the_book_that_has_it(worker: FactsWorker) -> None:
    """The parcels of B and C were packed in time, which nobody was asked to send: that is no breach."""
    first, second = worker.book, book(TOLD + PACKED)
    await worker.open(second)
    worker.event("shop", "paid", NOW + 1 * MINUTE, order_id="B", mapped=first)
    worker.event("wms", "packed", NOW + 2 * MINUTE, order_id="B", mapped=first)
    worker.vector({"shop": NOW + 5 * MINUTE, "wms": NOW + 5 * MINUTE}, mapped=first)
    worker.vector({"shop": NOW + 5 * MINUTE})
    worker.event("shop", "paid", NOW + 6 * MINUTE, order_id="C")
    worker.event("wms", "packed", NOW + 7 * MINUTE, order_id="C", mapped=first)
    await worker.run()
    worker.clock.now = NOW + 10 * MINUTE
    worker.vector({"shop": NOW + 10 * MINUTE, "wms": NOW + 10 * MINUTE})
    await worker.run()
    worker.event("shop", "paid", NOW + 9 * MINUTE, order_id="D")
    worker.event("shop", "paid", NOW + 12 * MINUTE, order_id="E")
    worker.clock.now = NOW + 120 * MINUTE
    worker.vector({"shop": NOW + 120 * MINUTE, "wms": NOW + 120 * MINUTE})
    await worker.run()
    assert [one for one in worker.outcomes() if one[0] == "packed"] == [("packed", "E", "breached")]
    assert {subject for promise, subject, _ in worker.outcomes() if promise == "told"} == {"A", "B", "C", "D", "E"}


async def test_who_waits_for_the_ingest_goes_on_waiting_after_a_restart(worker: FactsWorker) -> None:
    """What had been done by then is stored: the groups and the texts, and since when they count."""
    second = book(TOLD + PACKED)
    for _ in range(3):
        await worker.open(second)
        await worker.handler.tick()
    worker.event("shop", "paid", NOW + 1 * MINUTE, order_id="B")
    worker.vector({"shop": NOW + 5 * MINUTE})
    await worker.run()
    await worker.open(second)
    with structlog.testing.capture_logs() as lines:
        worker.clock.now = NOW + 10 * MINUTE
        worker.vector({"wms": NOW + 10 * MINUTE, "shop": NOW + 10 * MINUTE})
        await worker.run()
        await worker.handler.tick()
    assert [line["since"] for line in lines if line["event"] == "changed book in full effect"] == [NOW + 11 * MINUTE]
    read = worker.store.reader(0)
    texts = decode_texts(read(TEXTS_KEY) or b"", "test")
    assert {one.promise: one.since for one in texts.texts}["packed"] == NOW + 11 * MINUTE
    groups = decode_groups(read(GROUPS_KEY) or b"", "test")
    assert [group.promises for group in groups.groups] == [["told"], ["packed"]]
    before = len(worker.producer.transactions)
    await worker.open(second)
    await worker.handler.tick()
    assert len(worker.producer.transactions) == before, "nothing is left to be done"


async def test_a_text_that_looks_at_nothing_new_counts_at_once_and_what_runs_keeps_its_own(
    worker: FactsWorker,
) -> None:
    """A promises thirty minutes and has ten minutes left; B is promised five."""
    await worker.open(book(TOLD.replace("30m", "5m")))
    worker.event("shop", "paid", NOW + 1 * MINUTE, order_id="B")
    worker.vector({"shop": NOW + 10 * MINUTE, "wms": NOW + 10 * MINUTE})
    await worker.run()
    assert worker.outcomes() == [("told", "B", "breached")]
    worker.event("shop", "told", NOW + 20 * MINUTE, order_id="A")
    worker.vector({"shop": NOW + 60 * MINUTE, "wms": NOW + 60 * MINUTE})
    await worker.run()
    assert worker.outcomes() == [("told", "B", "breached"), ("told", "A", "kept")]


async def test_what_runs_under_a_text_that_the_book_has_no_longer_is_judged_by_it(worker: FactsWorker) -> None:
    """The ingest goes on sending what it looks at."""
    first, second = worker.book, book(PACKED)
    await worker.open(second)
    both = book(TOLD + PACKED)
    worker.event("shop", "paid", NOW + 1 * MINUTE, order_id="B", mapped=both)
    worker.vector({"shop": NOW + 15 * MINUTE, "wms": NOW + 15 * MINUTE}, mapped=second)
    worker.event("shop", "told", NOW + 15 * MINUTE, order_id="A", mapped=both)
    worker.vector({"shop": NOW + 90 * MINUTE, "wms": NOW + 90 * MINUTE}, mapped=second)
    await worker.run()
    assert worker.outcomes() == [("told", "A", "kept")]
    assert first.digest != second.digest


async def test_a_promise_stays_with_its_records_when_its_book_has_it_wait_for_another_source(
    worker: FactsWorker,
) -> None:
    """A is kept by a message of either system; its cycle is where it was opened, and now waits for both."""
    both = TOLD.replace("expect: {event: told}", "expect: {event: told}, release: {event: packed}")
    await worker.open(book(both))
    worker.vector({"shop": NOW + 60 * MINUTE, "wms": NOW + 15 * MINUTE})
    await worker.run()
    assert worker.outcomes() == []
    worker.vector({"wms": NOW + 60 * MINUTE})
    await worker.run()
    assert worker.outcomes() == [("told", "A", "breached")]


async def test_what_happened_before_a_changed_text_counts_is_promised_by_the_text_before(worker: FactsWorker) -> None:
    """B and C are told in the old way, which keeps them; D was placed when all systems had the new book, and is not."""
    first, second = (
        worker.book,
        book(TOLD.replace("expect: {event: told}", "expect: {event: told, where: {kind: mail}}")),
    )
    await worker.open(second)
    worker.event("shop", "paid", NOW + 1 * MINUTE, order_id="B", mapped=first)
    worker.event("shop", "told", NOW + 2 * MINUTE, order_id="B", mapped=first)
    await worker.run()
    await worker.open(second)
    worker.clock.now = NOW + 10 * MINUTE
    worker.vector({"shop": NOW + 5 * MINUTE, "wms": NOW + 5 * MINUTE})
    await worker.run()
    worker.event("shop", "paid", NOW + 6 * MINUTE, order_id="C")
    worker.event("shop", "told", NOW + 7 * MINUTE, order_id="C", kind="letter")
    worker.event("shop", "paid", NOW + 12 * MINUTE, order_id="D")
    worker.event("shop", "told", NOW + 13 * MINUTE, order_id="D", kind="letter")
    worker.clock.now = NOW + 60 * MINUTE
    worker.vector({"shop": NOW + 60 * MINUTE, "wms": NOW + 60 * MINUTE})
    await worker.run()
    assert sorted(worker.outcomes()) == [
        ("told", "A", "breached"), ("told", "B", "kept"), ("told", "C", "kept"), ("told", "D", "breached"),
    ]  # fmt: skip


async def test_the_text_before_is_kept_as_long_as_it_may_have_to_open_something() -> None:
    """Also where nothing runs under it; it leaves when the frontier has passed the change."""
    changed = TOLD.replace("expect: {event: told}", "expect: {event: told, where: {kind: mail}}")
    worker = FactsWorker()
    await worker.open(book(TOLD))
    worker.vector({"shop": NOW, "wms": NOW})
    await worker.run()
    for _ in range(2):
        await worker.open(book(changed))
        await worker.handler.tick()
    worker.clock.now = NOW + 10 * MINUTE
    worker.vector({"shop": NOW + 5 * MINUTE, "wms": NOW + 5 * MINUTE})
    await worker.run()
    await worker.open(book(changed))
    await worker.handler.tick()
    worker.event("shop", "paid", NOW + 6 * MINUTE, order_id="B")
    worker.event("shop", "told", NOW + 7 * MINUTE, order_id="B", kind="letter")
    worker.vector({"shop": NOW + 7 * MINUTE, "wms": NOW + 7 * MINUTE})
    await worker.run()
    assert worker.outcomes() == [("told", "B", "kept")]
    assert len(stored_texts(worker)) == 2
    worker.vector({"shop": NOW + 500 * DAY, "wms": NOW + 500 * DAY})
    await worker.run()
    await worker.open(book(changed))
    await worker.handler.tick()
    assert len(stored_texts(worker)) == 1


def stored_texts(worker: FactsWorker) -> list[StoredText]:
    return decode_texts(worker.store.reader(0)(TEXTS_KEY) or b"", "test").texts


async def test_a_text_of_the_whole_language_is_followed_by_its_successor_in_the_same_way(worker: FactsWorker) -> None:
    """By the date of each opening; the ingest goes on sending what the earlier text looks at."""
    again = TOLD.replace("when: {event: paid}", "when: {event: paid}, warn: [-5m]")
    await worker.open(book(again))
    worker.vector({"shop": NOW, "wms": NOW})
    await worker.run()
    changed = again.replace("expect: {event: told}", "expect: {event: packed}")
    worker.clock.now = NOW + 1 * MINUTE
    await worker.open(book(changed))
    worker.event("shop", "paid", NOW + 1 * MINUTE, order_id="B")
    worker.event("shop", "told", NOW + 2 * MINUTE, order_id="B", mapped=book(again))
    worker.vector({"shop": NOW + 2 * MINUTE, "wms": NOW + 2 * MINUTE})
    await worker.run()
    worker.event("shop", "paid", NOW + 30 * MINUTE, order_id="C")
    worker.event("wms", "packed", NOW + 31 * MINUTE, order_id="C")
    worker.clock.now = NOW + 90 * MINUTE
    worker.vector({"shop": NOW + 90 * MINUTE, "wms": NOW + 90 * MINUTE})
    await worker.run()
    assert {subject: status for _, subject, status in worker.outcomes()} == {
        "A": "breached", "B": "kept", "C": "kept",
    }  # fmt: skip
