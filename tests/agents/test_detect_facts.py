"""The detect agent in facts mode: groups that wait for their own sources, restarts, and what is no fact."""

import msgspec
import pytest
import structlog

from agents import committing
from promises.partition import CHECKPOINT_KEY
from schemas import metrics
from schemas.book import parse_book
from schemas.book_model import Book
from schemas.editions import text_digest
from schemas.errors import StateError
from schemas.groups import GROUPS_KEY
from schemas.markers import marker_headers
from schemas.migrations import HEADER, Migration, migration_headers
from schemas.records import RECORD_FORMAT, Checkpoint, encode_checkpoint
from schemas.topics import FACTS
from schemas.vectors import VECTOR_HEADER, VECTOR_KEY, decode_stored_vector
from tests.agents.factsworker import NOW, FactsWorker, Offsets
from tests.agents.fakes import Crash, Record

MINUTE = 60_000
TWO = """
sources:
  shop: {topic: shop.events, format: json, id: id, type: type, time: at, events: [paid, told]}
  erp: {topic: erp.events, format: json, id: id, type: type, time: at, events: [booked, refunded], settle: 10m}
defaults: {timezone: Europe/Amsterdam, key: order_id, settle: 0s, skew: 5m}
promises:
- {id: told, when: {event: paid}, due: {within: 15m}, expect: {event: told}}
- {id: booked, key: customer_id, when: {event: paid, again: true}, due: {within: 30m}, expect: {event: booked}}
- {id: made-good, when: {breach_of: told}, due: {within: 1h}, expect: {event: refunded}}
"""


def two() -> Book:
    return parse_book(TWO, "book.yaml")


@pytest.fixture
async def worker() -> FactsWorker:
    one = FactsWorker()
    await one.open(two())
    return one


async def test_a_promise_waits_for_the_sources_that_can_send_its_events_and_no_others(worker: FactsWorker) -> None:
    """The ERP is an hour behind: what waits for it is not judged, and what the shop alone can say is."""
    worker.event("shop", "paid", NOW - 120 * MINUTE, order_id="A", customer_id="C")
    worker.vector({"shop": NOW, "erp": NOW - 110 * MINUTE})
    await worker.run()
    assert worker.outcomes() == [("told", "A", "breached")]
    worker.vector({"erp": NOW})
    await worker.run()
    assert worker.outcomes()[1:] == [("booked", "C", "breached"), ("made-good", "A", "breached")]


async def test_a_source_partition_of_which_nothing_is_known_holds_what_waits_for_its_source(
    worker: FactsWorker,
) -> None:
    """It was counted, and nobody vouches for it yet."""
    worker.event("shop", "paid", NOW - 120 * MINUTE, order_id="A", customer_id="C")
    worker.vector({"shop": NOW, "erp": NOW}, counts={"shop": 1, "erp": 2})
    await worker.run()
    assert worker.outcomes() == [("told", "A", "breached")]


async def test_what_no_vector_vouches_for_is_not_published(worker: FactsWorker) -> None:
    """Facts alone move no time."""
    worker.event("shop", "paid", NOW - 120 * MINUTE, order_id="A", customer_id="C")
    await worker.run()
    await worker.handler.tick()
    assert worker.outcomes() == []


async def test_the_remedy_of_a_breach_is_told_once_and_its_cause_too(worker: FactsWorker) -> None:
    """Two groups follow the cause; one of them tells of it."""
    worker.event("shop", "paid", NOW - 120 * MINUTE, order_id="A", customer_id="C")
    worker.event("erp", "refunded", NOW - 60 * MINUTE, order_id="A")
    worker.event("erp", "booked", NOW - 119 * MINUTE, customer_id="C")
    worker.vector({"shop": NOW, "erp": NOW})
    await worker.run()
    assert sorted(worker.outcomes()) == [
        ("booked", "C", "kept"), ("made-good", "A", "kept"), ("told", "A", "breached"),
    ]  # fmt: skip
    worker.event("shop", "told", NOW - 110 * MINUTE, order_id="A")
    await worker.run()
    assert [one for one in worker.outcomes() if one[0] != "booked"][2:] == [
        ("told", "A", "kept"), ("made-good", "A", "released"),
    ]  # fmt: skip


async def test_a_vector_of_another_book_proves_nothing_and_is_told_of_once(worker: FactsWorker) -> None:
    """Its sender may not have sent what this book asks for."""
    other = parse_book(TWO.replace("15m", "16m"), "book.yaml")
    before = metrics.VECTORS_IGNORED._value.get()  # type: ignore[attr-defined]
    worker.event("shop", "paid", NOW - 120 * MINUTE, order_id="A", customer_id="C")
    with structlog.testing.capture_logs() as lines:
        worker.vector({"shop": NOW, "erp": NOW}, mapped=other)
        worker.vector({"shop": NOW, "erp": NOW}, mapped=other)
        await worker.run()
    assert worker.outcomes() == []
    told = [line for line in lines if line["event"] == "vector of another book"]
    assert [(line["book"], line["other_book"]) for line in told] == [(worker.book.digest[:12], other.digest[:12])]
    assert metrics.VECTORS_IGNORED._value.get() == before + 2  # type: ignore[attr-defined]


async def test_what_is_no_fact_goes_to_the_dead_letters_and_what_follows_is_judged(worker: FactsWorker) -> None:
    """With its bytes and a reason, whatever it is."""
    worker.append(b"order_id\x1fA", b"{}")
    worker.append(b"A", b"[1]")
    worker.append(b"order_id\x1fA", None)
    worker.append(None, b"", marker_headers(NOW))
    worker.append(None, b"", [(VECTOR_HEADER, b"{}")])
    worker.append(None, b"", [(HEADER, b"{}")])
    worker.append(None, b"x", [(VECTOR_HEADER, b"{}")])
    worker.event("shop", "paid", NOW - 120 * MINUTE, order_id="A", customer_id="C")
    worker.vector({"shop": NOW, "erp": NOW})
    await worker.run()
    assert worker.letters() == [
        "bad_fact", "bad_fact", "empty", "empty", "bad_marker", "bad_migration", "bad_fact",
    ]  # fmt: skip
    assert len(worker.outcomes()) == 3


async def test_the_vector_is_stored_with_what_it_proves_and_alone_about_once_a_second(worker: FactsWorker) -> None:
    """A restart then goes on without hearing of every source again; an idle partition costs a transaction a second."""
    await worker.handler.tick()
    for milliseconds in range(0, 5_000, 250):
        worker.clock.now = NOW + milliseconds
        worker.vector({"shop": NOW + milliseconds, "erp": NOW + 60 * MINUTE + milliseconds})
        await worker.run()
    assert len(worker.producer.transactions) == 1 + 5
    stored = worker.store.reader(0)(VECTOR_KEY)
    assert stored is not None
    assert decode_stored_vector(stored, "test").marks["erp/0"].frontier == NOW + 60 * MINUTE + 4_000
    worker.event("shop", "paid", NOW, order_id="A", customer_id="C")
    await worker.run()
    await worker.open(worker.book)
    worker.vector({"shop": NOW + 60 * MINUTE})
    await worker.run()
    assert worker.outcomes() == [("told", "A", "breached"), ("booked", "C", "breached")]


async def test_a_burst_is_published_in_slices_and_a_crash_in_between_repeats_nothing(
    worker: FactsWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each breach once, whichever slice was the last that was committed."""
    monkeypatch.setattr(committing, "SLICE_RECORDS", 4)
    for number in range(20):
        worker.event("shop", "paid", NOW - 120 * MINUTE, order_id=f"A{number}", customer_id=f"C{number}")
    await worker.run()
    worker.vector({"shop": NOW, "erp": NOW})
    for crash in range(1, 6):
        worker.producer.fail_at = len(worker.producer.transactions) + crash
        with pytest.raises(Crash):
            await worker.run()
        await worker.open(worker.book)
    worker.producer.fail_at = None
    await worker.run()
    assert sorted(worker.outcomes()) == sorted(
        (promise, f"{subject}{number}", "breached")
        for number in range(20)
        for promise, subject in (("told", "A"), ("booked", "C"), ("made-good", "A"))
    )


async def test_a_migration_moves_what_runs_in_every_group_that_follows_the_promise(worker: FactsWorker) -> None:
    """The cause in its own group and the copy beside its remedy: both then know of one due."""
    second = TWO.replace(
        "- {id: booked",
        '- {id: told, version: 2, effective_from: "2030-01-01", when: {event: paid}, due: {within: 3h},'
        " expect: {event: told}}\n- {id: booked",
    )
    book = parse_book(second, "book.yaml")
    worker = FactsWorker()
    await worker.open(book)
    worker.vector({"shop": NOW - 180 * MINUTE, "erp": NOW - 180 * MINUTE})
    worker.event("shop", "paid", NOW - 120 * MINUTE, order_id="A", customer_id="C")
    target = next(one for one in book.promises if one.version == 2)
    migration = Migration("told", 2, text_digest(target, book.calendars), book.digest)
    worker.append(None, b"", migration_headers(migration))
    worker.append(None, b"", migration_headers(msgspec.structs.replace(migration, promise="tolt")))
    worker.vector({"shop": NOW, "erp": NOW})
    await worker.run()
    assert worker.outcomes() == [("booked", "C", "breached")]
    assert worker.letters() == ["unknown_promise"]


async def test_facts_that_expired_before_the_first_start_are_refused_unless_an_operator_says_since_when() -> None:
    """Nobody knows what they said."""
    worker = FactsWorker()
    worker.app.offsets = Offsets(5, 10)
    with pytest.raises(StateError, match=r"begins at offset 5.*--since"):
        await worker.open(two())
    worker.log = [Record(FACTS, 0, offset, None, None) for offset in range(5)]
    await worker.open(two(), NOW - 60 * MINUTE)
    worker.event("shop", "paid", NOW - 61 * MINUTE, order_id="A", customer_id="C")
    worker.event("shop", "paid", NOW - 60 * MINUTE, order_id="B", customer_id="D")
    worker.vector({"shop": NOW, "erp": NOW})
    await worker.run()
    assert ("told", "B", "breached") in worker.outcomes()
    assert not any(subject in {"A", "C"} for _, subject, _ in worker.outcomes())


async def test_a_facts_topic_that_was_recreated_is_refused(worker: FactsWorker) -> None:
    """It ends before what was processed: the same offsets mean other facts."""
    worker.event("shop", "paid", NOW - 120 * MINUTE, order_id="A", customer_id="C")
    await worker.run()
    worker.app.offsets = Offsets(0, 1)
    with pytest.raises(StateError, match="recreated"):
        await worker.open(two())


async def test_the_state_of_direct_mode_is_refused() -> None:
    """Its records are under other keys; who changes the mode takes another application id."""
    worker = FactsWorker()
    book = two()
    state = Checkpoint(RECORD_FORMAT, ("shop",), 0, b"", 0, 0, 0, {}, book.digest)
    worker.store.write(0, {CHECKPOINT_KEY: encode_checkpoint(state)}, 0, 0)
    with pytest.raises(StateError, match="start under another --app-id"):
        await worker.open(book)


async def test_a_new_partition_stores_its_groups_at_once(worker: FactsWorker) -> None:
    """Before anything has happened: the next owner must find the same groups."""
    assert worker.store.reader(0)(GROUPS_KEY) is None
    await worker.handler.tick()
    assert worker.store.reader(0)(GROUPS_KEY) is not None
    assert len(worker.producer.transactions) == 1
    await worker.handler.tick()
    assert len(worker.producer.transactions) == 1
