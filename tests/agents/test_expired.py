"""Direct mode when a part of the log expired while the worker was away: it goes on, what it cannot prove is held."""

import pytest
import structlog

from agents.committing import CHECKPOINT_AFTER_MS
from promises.partition import CHECKPOINT_KEY, UNKNOWN
from schemas import metrics
from schemas.records import Checkpoint, decode_checkpoint
from tests.agents.test_takeover import CONFIRM, MINUTE, NOW, Offsets, Worker, book

HOUR = 60 * MINUTE
START = NOW - 10 * HOUR


@pytest.fixture
async def worker() -> Worker:
    """An order was placed at START, and everything until half an hour later has been read; then the worker stopped."""
    found = Worker()
    await found.open(book(CONFIRM))
    found.event("A", "order.placed", START)
    found.marker(START + 30 * MINUTE)
    found.event("Z", "order.placed", START + 30 * MINUTE)
    await found.run()
    return found


async def lose(worker: Worker, records: int) -> None:
    """Let so many records come and expire before a worker starts again."""
    for number in range(records):
        worker.event("A", "message.sent", START + 40 * MINUTE + number, kind="yes")
    worker.app.offsets = Offsets(len(worker.log), 1_000_000)
    await worker.open(book(CONFIRM))


def stored(worker: Worker) -> Checkpoint:
    value = worker.store.reader(0)(CHECKPOINT_KEY)
    assert value is not None
    return decode_checkpoint(value, "test")


def expired() -> float:
    return float(metrics.EXPIRED.labels(topic="shop.events")._value.get())


async def test_what_waited_for_expired_records_is_held_and_later_promises_are_judged(worker: Worker) -> None:
    """The confirmation of A is lost, that of B would have come."""
    before = expired()
    with structlog.testing.capture_logs() as logs:
        await lose(worker, 2)
    (told,) = [entry for entry in logs if entry["event"] == "records expired unread"]
    assert (told["log_level"], told["records"], told["held"]) == ("error", 2, {"confirm": 2})
    assert expired() == before + 2
    worker.event("B", "order.placed", START + 2 * HOUR)
    worker.event("C", "order.placed", START + 2 * HOUR + 10 * MINUTE)
    worker.event("D", "order.placed", START + 2 * HOUR - 1)
    worker.event("C", "message.sent", START + 2 * HOUR + 20 * MINUTE, kind="yes")
    worker.marker(START + 9 * HOUR)
    await worker.run()
    # With no settle all is known from B's opening on; its confirmation may be dated a skew before that, C's may not.
    assert sorted(worker.outcomes()) == [("A", "held", 1), ("B", "held", 1), ("C", "kept", 1), ("Z", "held", 1)]
    worker.event("E", "order.placed", START + 5 * HOUR)
    await worker.run()
    worker.marker(START + 10 * HOUR)
    await worker.run()
    assert worker.outcomes()[-1] == ("E", "breached", 1)


async def test_the_gap_is_stored_and_known_after_the_next_loss(worker: Worker) -> None:
    """Whether the worker was lost before the first record after the gap or after it."""
    await lose(worker, 2)
    worker.marker(START + 70 * MINUTE)
    await worker.run()
    assert stored(worker).gaps == ((START + 30 * MINUTE, UNKNOWN),)
    await worker.open(book(CONFIRM))
    worker.event("B", "order.placed", START + 2 * HOUR)
    worker.marker(START + 9 * HOUR)
    await worker.run()
    assert stored(worker).gaps == ((START + 30 * MINUTE, START + 2 * HOUR),)
    await worker.open(book(CONFIRM))
    worker.event("A", "message.sent", START + 50 * MINUTE, kind="yes")
    await worker.run()
    assert worker.outcomes() == [("A", "held", 1), ("Z", "held", 1), ("B", "held", 1), ("A", "kept", 1)]


async def test_nothing_is_lost_where_the_log_goes_on_where_the_state_ends(worker: Worker) -> None:
    await lose(worker, 0)
    worker.marker(START + 9 * HOUR)
    await worker.run()
    assert worker.outcomes() == [("A", "breached", 1), ("Z", "breached", 1)]
    assert stored(worker).gaps == ()


async def test_a_position_is_stored_after_a_while_though_nothing_happened(worker: Worker) -> None:
    """What nobody needed would otherwise count as unread, once it has expired."""
    worker.event("A", "nothing of ours", START)
    await worker.run()
    await worker.handler.tick()
    assert stored(worker).next_offset == 3
    worker.clock.now += CHECKPOINT_AFTER_MS
    await worker.handler.tick()
    assert stored(worker).next_offset == 4
    written = len(worker.producer.transactions)
    worker.clock.now += CHECKPOINT_AFTER_MS
    await worker.handler.tick()
    assert len(worker.producer.transactions) == written
