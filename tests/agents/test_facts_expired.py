"""Facts mode when facts expired while the worker was away: it goes on, what it cannot prove is held in every group."""

import msgspec
import pytest
import structlog

from promises.gaps import Gap
from promises.vector import Vector
from schemas import metrics
from schemas.book import parse_book
from schemas.editions import text_digest
from schemas.errors import StateError
from schemas.groups import checkpoint_key
from schemas.migrations import Migration, migration_headers
from schemas.records import Checkpoint, decode_checkpoint
from schemas.topics import FACTS
from schemas.vectors import KNOWN_FOR_EVER, VECTOR_FORMAT, SourceMark, VectorMarker, encode_vector
from tests.agents.factsworker import NOW, FactsWorker, Offsets
from tests.agents.fakes import Crash

MINUTE = 60_000
HOUR = 60 * MINUTE
SKEW = 5 * MINUTE
BACK = NOW + SKEW + 1
"""From this instant on everything is known again: what was lost had come by NOW."""
BOOK = """
sources:
  shop: {topic: shop.events, format: json, id: id, type: type, time: at, events: [paid, told]}
  erp: {topic: erp.events, format: json, id: id, type: type, time: at, events: [booked, refunded], settle: 10m}
defaults: {timezone: Europe/Amsterdam, key: order_id, settle: 0s, skew: 5m}
promises:
- {id: told, when: {event: paid}, due: {within: 1h}, expect: {event: told}}
- {id: booked, when: {event: paid}, due: {within: 2h}, expect: {event: booked}}
- {id: made-good, when: {breach_of: told}, due: {within: 1h}, expect: {event: refunded}}
"""
SECOND = """
- {id: told, version: 2, effective_from: "2040-01-01", when: {event: paid}, due: {within: 30m}, expect: {event: told}}
"""
THIRD = """
- {id: thanked, when: {event: paid, again: true}, due: {within: 10m}, expect: {event: told}}
"""
OTHER = THIRD.replace("told", "posted")
POST = "  post: {topic: post.events, format: json, id: id, type: type, time: at, events: [posted]}\n"


@pytest.fixture
async def worker() -> FactsWorker:
    """B's due has passed and A's has not, when the worker stops; everything until half an hour ago is known."""
    one = FactsWorker()
    await one.open(parse_book(BOOK))
    one.vector({"shop": NOW - 3 * HOUR, "erp": NOW - 3 * HOUR})
    one.event("shop", "paid", NOW - 100 * MINUTE, order_id="B")
    one.event("shop", "paid", NOW - 40 * MINUTE, order_id="A")
    one.vector({"shop": NOW - 30 * MINUTE, "erp": NOW - 90 * MINUTE})
    await one.run()
    assert one.outcomes() == [("told", "B", "breached")]
    return one


async def lose(worker: FactsWorker, book: str = BOOK) -> None:
    """What has come since the worker stopped expires, and it starts again."""
    worker.app.offsets = Offsets(len(worker.log), 1_000_000)
    await worker.open(parse_book(book))


def stored(worker: FactsWorker, group: int) -> Checkpoint:
    value = worker.store.reader(0)(checkpoint_key(group))
    assert value is not None
    return decode_checkpoint(value, "test")


def gaps(worker: FactsWorker) -> list[tuple[Gap, ...]]:
    return [judged.core.gaps for judged in worker.handler.core.groups]


def expired() -> float:
    return float(metrics.EXPIRED.labels(topic=FACTS)._value.get())


async def test_what_waited_for_expired_facts_is_held_in_every_group_and_later_promises_are_judged(
    worker: FactsWorker,
) -> None:
    """A was told and booked in time, and nobody will ever read it; C was paid meanwhile."""
    worker.event("shop", "told", NOW - 20 * MINUTE, order_id="A")
    worker.event("shop", "paid", NOW - 19 * MINUTE, order_id="C")
    worker.event("erp", "booked", NOW - 10 * MINUTE, order_id="A")
    before = expired()
    lost = len(worker.log) - stored(worker, 0).next_offset
    with structlog.testing.capture_logs() as logs:
        await lose(worker)
    (told,) = [entry for entry in logs if entry["event"] == "records expired unread"]
    # The group of the remedy follows `told` too, of A and of B; it is counted by its own group alone.
    assert (told["log_level"], told["topic"], told["records"]) == ("error", FACTS, lost)
    assert told["held"] == {"told": 1, "booked": 2}
    assert expired() == before + lost

    worker.event("shop", "paid", BACK - 1, order_id="D")
    worker.event("shop", "paid", BACK + SKEW, order_id="E")
    worker.event("shop", "paid", BACK + SKEW, order_id="F")
    worker.event("shop", "told", BACK + SKEW + HOUR, order_id="F")
    worker.event("erp", "booked", BACK + SKEW + HOUR, order_id="F")
    worker.vector({"shop": NOW + 9 * HOUR, "erp": NOW + 9 * HOUR})
    await worker.run()
    assert sorted(worker.outcomes()[1:]) == [
        ("booked", "A", "held"), ("booked", "B", "held"), ("booked", "E", "breached"), ("booked", "F", "kept"),
        ("made-good", "E", "breached"), ("told", "A", "held"), ("told", "E", "breached"),
        ("told", "F", "kept"),
    ]  # fmt: skip


async def test_an_event_that_comes_again_keeps_what_is_held(worker: FactsWorker) -> None:
    """The source told it once more."""
    await lose(worker)
    worker.vector({"shop": NOW, "erp": NOW - 90 * MINUTE})
    worker.vector({"shop": NOW + 2 * HOUR, "erp": NOW - 90 * MINUTE})
    await worker.run()
    worker.event("shop", "told", NOW - 20 * MINUTE, order_id="A")
    await worker.run()
    assert worker.outcomes()[1:] == [("told", "A", "held"), ("told", "A", "kept")]


async def test_the_gap_begins_in_each_group_where_its_own_sources_were_and_is_stored_at_once(
    worker: FactsWorker,
) -> None:
    """A crash before that finds it anew; afterwards nobody speaks of it again, and it grows no more."""
    await lose(worker)
    worker.producer.fail_at = len(worker.producer.transactions) + 1
    with pytest.raises(Crash):
        await worker.handler.tick()
    worker.producer.fail_at = None
    worker.clock.now = NOW + MINUTE
    await lose(worker)
    await worker.handler.tick()
    until = BACK + MINUTE
    assert gaps(worker) == [((NOW - 30 * MINUTE, until),), ((NOW - 90 * MINUTE, until),)]
    assert [stored(worker, index).gaps for index in (0, 1)] == gaps(worker)
    assert stored(worker, 0).next_offset == len(worker.log)
    worker.clock.now = NOW + HOUR
    before = expired()
    await lose(worker)
    assert (gaps(worker)[0], expired()) == (((NOW - 30 * MINUTE, until),), before)


async def test_what_was_proved_by_what_had_been_read_is_broken_although_the_worker_had_not_come_to_it(
    worker: FactsWorker,
) -> None:
    """It died with the vector stored and the breach not published yet: the gap begins where the vector ends."""
    worker.vector({"shop": NOW - 30 * MINUTE, "erp": NOW - 90 * MINUTE})
    await worker.run()
    worker.store.write(0, {checkpoint_key(0): _earlier(worker, 0)}, 0, 0)
    await lose(worker)
    assert gaps(worker)[0] == ((NOW - 30 * MINUTE, BACK),)


def _earlier(worker: FactsWorker, group: int) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(stored(worker, group), fire=NOW - 2 * HOUR, subject=b""))


async def test_a_new_group_of_a_later_book_opens_nothing_before_the_end_of_the_gap(worker: FactsWorker) -> None:
    """It waits for another source, and knows no more of what was lost than the groups that there were."""
    await lose(worker)
    await worker.handler.tick()
    book = BOOK.replace("defaults:", POST + "defaults:") + OTHER
    worker.clock.now = NOW + HOUR
    await worker.open(parse_book(book))
    new = worker.handler.core.groups[-1]
    assert (new.group.sources, new.core.known_since) == (("shop", "post"), BACK)


async def test_a_migration_that_was_lost_is_not_done_and_asked_for_again_it_moves_what_came_later() -> None:
    """It went to every facts partition, and this one has not read it. What runs across the gap stays where it is: the
    new version would look at events that are not known.
    """
    book = parse_book(BOOK + SECOND)
    worker = FactsWorker()
    await worker.open(book)
    worker.vector({"shop": NOW - HOUR, "erp": NOW - HOUR})
    worker.event("shop", "paid", NOW - 40 * MINUTE, order_id="A")
    worker.vector({"shop": NOW - 39 * MINUTE, "erp": NOW - 39 * MINUTE})
    await worker.run()
    target = next(one for one in book.promises if one.version == 2)
    migration = Migration("told", 2, text_digest(target, book.calendars), book.digest)
    worker.append(None, b"", migration_headers(migration))
    await lose(worker, BOOK + SECOND)
    worker.event("shop", "paid", BACK + SKEW, order_id="B")
    worker.vector({"shop": BACK + SKEW + 31 * MINUTE, "erp": NOW - 39 * MINUTE})
    await worker.run()
    assert worker.outcomes() == [("told", "A", "held")]
    with structlog.testing.capture_logs() as logs:
        worker.append(None, b"", migration_headers(migration))
        worker.event("shop", "paid", BACK + SKEW, order_id="C")
        await worker.run()
    (told,) = [entry for entry in logs if entry["event"] == "promises migrated"]
    assert (told["moved"], told["offset"]) == (1, len(worker.log) - 2)
    worker.vector({"shop": BACK + SKEW + 32 * MINUTE, "erp": NOW - 39 * MINUTE})
    await worker.run()
    assert worker.outcomes()[1:] == [("told", "B", "breached")]


async def test_a_new_partition_without_its_beginning_is_refused_all_the_same(worker: FactsWorker) -> None:
    """Since when nothing is missing nobody knows there; see `--since`."""
    fresh = FactsWorker()
    fresh.app.offsets = Offsets(len(worker.log), 1_000_000)
    with pytest.raises(StateError, match=r"begins at offset 4.*--since"):
        await fresh.open(parse_book(BOOK))


async def test_a_gap_of_a_source_that_a_lost_vector_told_of_is_told_by_the_next_one(worker: FactsWorker) -> None:
    """Vectors repeat everything that holds: partitions, since when they are known, gaps and floors."""
    lost = (NOW - 5 * HOUR, NOW - 4 * HOUR)
    marks = {
        "shop/0": SourceMark(NOW - HOUR, NOW - HOUR, KNOWN_FOR_EVER),
        "shop/1": SourceMark(NOW - HOUR, NOW - HOUR, NOW - 6 * HOUR, lost),
        "erp/0": SourceMark(NOW, NOW, KNOWN_FOR_EVER),
    }
    later = {name: msgspec.structs.replace(mark, frontier=NOW, floor=NOW) for name, mark in marks.items()}
    counts = {"shop": 2, "erp": 1}
    first, second = (
        VectorMarker(VECTOR_FORMAT, worker.book.digest, "test", counts, one, {}) for one in (marks, later)
    )  # fmt: skip
    both, one = Vector(worker.book.digest), Vector(worker.book.digest)
    both.take(first)
    both.take(second)
    one.take(second)
    assert both.stored() == one.stored()
    worker.append(None, b"", encode_vector(first))
    await lose(worker)
    worker.append(None, b"", encode_vector(second))
    await worker.run()
    assert lost in worker.handler.vector.gaps(("shop",))
    assert worker.handler.vector.known_since(("shop",)) == NOW - 6 * HOUR
