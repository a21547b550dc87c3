"""The notify agent: delivered once, recorded always, also across crashes."""

import io

import msgspec
import pytest

from agents.channels import Message
from agents.channels.console import ConsoleChannel
from agents.decisions import NotifyReason
from agents.delivery import Deliverer
from agents.notify import POSITION_KEY, NotifyPartition, NotifySettings
from schemas.errors import StateError
from schemas.topics import BREACHES, dlq
from streams.store import MemoryStore
from tests.agents.fakes import Crash, FakeApp, FakeProducer, HandClock, as_any
from tests.agents.notifying import Partition, RecordingChannel
from tests.agents.test_decisions import DAY, DUE_MS, breach, late, retracted

encode = msgspec.json.Encoder().encode


async def test_a_breach_and_what_follows_it_are_told_once_and_recorded() -> None:
    """In order; a repeated event is told to nobody and leaves its record alone."""
    partition = Partition()
    for event in (breach(), breach(), late(), retracted()):
        partition.append(encode(event))
    await partition.run()
    assert [told for told, _ in partition.channel.told] == ["b", "l", "r"]
    assert partition.records() == {
        "b": ("sent", "first_breach"),
        "l": ("sent", "fulfilled_late"),
        "r": ("sent", "retracted"),
    }


async def test_after_a_restart_nothing_is_told_again() -> None:
    """Also when the same events come once more under new offsets."""
    partition = Partition()
    partition.append(encode(breach()))
    await partition.run()
    partition.start()
    partition.append(encode(breach()))
    await partition.run()
    assert len(partition.channel.told) == 1
    assert partition.records() == {"b": ("sent", "first_breach")}


async def test_a_crash_between_delivery_and_record_does_not_deliver_again() -> None:
    """The intent is recorded first; what became of it is unknown, and said to be."""
    partition = Partition()
    partition.append(encode(breach()))
    partition.producer.fail_at = 2
    with pytest.raises(Crash):
        await partition.run()
    partition.producer.fail_at = None
    partition.start()
    await partition.run()
    assert len(partition.channel.told) == 1
    assert partition.records() == {"b": ("unknown", "interrupted")}


async def test_a_channel_that_recognises_repeats_is_asked_again_after_a_crash() -> None:
    """There, telling twice is better than not telling."""
    partition = Partition(RecordingChannel(idempotent=True))
    partition.append(encode(breach()))
    partition.producer.fail_at = 1
    with pytest.raises(Crash):
        await partition.run()
    partition.producer.fail_at = None
    partition.start()
    await partition.run()
    assert [told for told, _ in partition.channel.told] == ["b", "b"]
    assert partition.records() == {"b": ("sent", "first_breach")}


async def test_an_old_breach_is_recorded_as_skipped_with_its_reason() -> None:
    """Reprocessed history informs nobody."""
    partition = Partition()
    partition.app.clock.now = DUE_MS + 8 * DAY
    partition.append(encode(breach()))
    await partition.run()
    assert partition.channel.told == []
    assert partition.records() == {"b": ("skipped", "too_old")}


async def test_an_unreadable_breach_event_goes_to_the_dead_letters() -> None:
    """Whoever wrote it: its bytes are kept, and what follows is told."""
    partition = Partition()
    partition.append(b"garbage")
    partition.append(encode(breach()))
    await partition.run()
    (letter,) = partition.producer.published(dlq(BREACHES))
    assert letter.value == b"garbage"
    assert len(partition.channel.told) == 1


def test_memory_of_another_version_is_refused() -> None:
    """Guessing at it could tell everybody everything again."""
    store = MemoryStore()
    store.write(0, {POSITION_KEY: b"[99,5]"}, 0, 0)
    app = FakeApp(HandClock(0), store)
    with pytest.raises(StateError, match="another version"):
        NotifyPartition(as_any(app), 0, as_any(FakeProducer()), Deliverer(RecordingChannel()), NotifySettings(0))


async def test_the_console_tells_in_an_employees_words() -> None:
    """One line: what happened, how bad, and the event's own explanation."""
    stream = io.StringIO()
    await ConsoleChannel(stream).deliver(Message(breach(), b"", NotifyReason.FIRST_BREACH))
    assert stream.getvalue() == "PROMISE BROKEN [high] e\n"
