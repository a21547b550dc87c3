"""The notify agent when deliveries fail, wait, or are cut short: order kept, nothing lost, dead letters tried again."""

import asyncio

import pytest

from agents.channels import Failure
from agents.decisions import NotifyReason
from agents.notify import WINDOW_RECORDS
from schemas.topics import NOTIFICATIONS, dlq
from tests.agents.fakes import Crash
from tests.agents.notifying import Partition, RecordingChannel, encode, of
from tests.agents.test_decisions import breach, late, retracted


def webhook_like(attempts_max: int = 1) -> Partition:
    """A partition whose channel recognises repetitions."""
    return Partition(RecordingChannel(idempotent=True), attempts_max)


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_what_cannot_be_delivered_goes_to_the_dead_letters_with_its_bytes_and_the_reason() -> None:
    """The record tells the attempts and the last reason; what follows is told."""
    partition = webhook_like(attempts_max=3)
    partition.channel.answers["x"] = [Failure.SERVER_ERROR, Failure.SERVER_ERROR, Failure.TIMEOUT]
    partition.channel.answers["y"] = [Failure.REJECTED]
    for name in ("x", "y", "z"):
        partition.append(encode(of(breach(), name.upper(), name)))
    await partition.run()
    letters = {letter.value: dict(letter.headers) for letter in partition.producer.published(dlq(NOTIFICATIONS))}
    assert list(letters) == [partition.log[0].value, partition.log[1].value]
    first = letters[partition.log[0].value]
    assert first["dlq-original-topic"] == b"promisewatch.breaches"
    assert (first["dlq-exception-class"], first["dlq-exception-message"]) == (b"timeout", b"no (attempts: 3)")
    assert {name: (n.outcome, n.attempts, n.error) for name, n in partition.notifications().items()} == {
        "x": ("failed", 3, "timeout: no"),
        "y": ("failed", 1, "rejected: no"),
        "z": ("sent", 1, None),
    }
    assert partition.handler.next_offset == 3


async def test_a_dead_letter_that_is_sent_back_is_tried_again_and_one_that_is_only_read_again_is_not() -> None:
    """A crash before the position moved must not turn one dead letter into many; a redrive must work."""
    partition = webhook_like()
    partition.channel.answers["b"] = [Failure.REJECTED]
    partition.append(encode(breach()))
    await partition.run()
    await partition.handler.process(partition.log, 1)
    assert len(partition.channel.told) == 1
    partition.start()
    partition.append(partition.log[0].value or b"")
    await partition.run()
    assert [reason for _, reason in partition.channel.told] == [NotifyReason.FIRST_BREACH] * 2
    assert partition.records() == {"b": ("sent", "first_breach")}
    partition.append(partition.log[0].value or b"")
    await partition.run()
    assert len(partition.channel.told) == 2


async def test_after_a_breach_that_nobody_could_be_told_of_its_late_end_is_told_instead() -> None:
    """The late end says both; a redriven older revision would turn the receiver back."""
    partition = webhook_like()
    partition.channel.answers["b"] = [Failure.REJECTED]
    partition.append(encode(breach()))
    partition.append(encode(late()))
    await partition.run()
    partition.append(encode(breach()))
    await partition.run()
    assert [told for told, _ in partition.channel.told] == ["b", "l"]
    assert partition.records() == {"b": ("skipped", "outdated"), "l": ("sent", "fulfilled_late")}


@pytest.mark.parametrize(("failure", "told"), [(Failure.REJECTED, ["b"]), (Failure.TIMEOUT, ["b", "r"])])
async def test_a_retraction_is_told_to_whoever_may_have_heard_of_the_breach(failure: Failure, told: list[str]) -> None:
    """A receiver that said no has not; one that did not answer may have."""
    partition = webhook_like()
    partition.channel.answers["b"] = [failure]
    partition.append(encode(breach()))
    partition.append(encode(retracted()))
    await partition.run()
    assert [event for event, _ in partition.channel.told] == told


async def test_subjects_do_not_wait_for_one_another_and_a_subjects_events_keep_their_order() -> None:
    """While A's first event is under way, B's is delivered, and A's second is not begun."""
    partition = webhook_like()
    gate = partition.channel.gates["a1"] = asyncio.Event()
    for event in (of(breach(), "A", "a1"), of(late(), "A", "a2"), of(breach(), "B", "b1")):
        partition.append(encode(event))
    running = asyncio.create_task(partition.run())
    await settle()
    assert [told for told, _ in partition.channel.told] == ["a1", "b1"]
    gate.set()
    await running
    assert [told for told, _ in partition.channel.told] == ["a1", "b1", "a2"]


async def test_a_partition_that_is_taken_away_ends_what_is_under_way_and_leaves_the_rest() -> None:
    """What was delivered is recorded, the position stands before the first event that was not."""
    partition = webhook_like(attempts_max=100)
    partition.channel.answers["b1"] = [Failure.UNREACHABLE] * 100
    gate = partition.channel.gates["a1"] = asyncio.Event()
    partition.channel.gates["b1"] = asyncio.Event()
    for name in ("a1", "b1"):
        partition.append(encode(of(breach(), name[0].upper(), name)))
    partition.append(encode(of(late(), "A", "a2")))
    running = asyncio.create_task(partition.run())
    await settle()
    partition.handler.hurry()
    await settle()
    assert not running.done()  # an attempt under way is never cut off: its outcome would be unknown
    gate.set()
    partition.channel.gates["b1"].set()
    await running
    assert partition.handler.next_offset == 1
    assert partition.records() == {"a1": ("sent", "first_breach")}
    assert [told for told, _ in partition.channel.told] == ["a1", "b1"]
    partition.start()
    partition.channel.answers.clear()
    await partition.run()
    assert [told for told, _ in partition.channel.told] == ["a1", "b1", "b1", "a2"]


async def test_an_intent_that_was_not_begun_is_taken_back() -> None:
    """Otherwise the next owner would take it for a delivery that may have happened, and tell nobody."""
    partition = Partition()
    partition.append(encode(breach()))
    partition.handler.hurry()
    await partition.run()
    assert partition.channel.told == []
    partition.start()
    await partition.run()
    assert partition.records() == {"b": ("sent", "first_breach")}


async def test_where_nobody_recognises_repetitions_only_what_surely_did_not_arrive_is_offered_again() -> None:
    """The rest is recorded as unknown."""
    partition = Partition()
    partition.channel.answers = {"x": [Failure.TIMEOUT], "y": [Failure.REJECTED]}
    for name in ("x", "y"):
        partition.append(encode(of(breach(), name.upper(), name)))
    await partition.run()
    assert partition.records() == {"x": ("unknown", "first_breach"), "y": ("failed", "first_breach")}
    assert len(partition.producer.published(dlq(NOTIFICATIONS))) == 1


async def test_a_partition_whose_deliveries_are_tried_again_says_so_to_the_health_check() -> None:
    """Its position does not move meanwhile; the partition is named, since others do not move by it."""
    partition = webhook_like(attempts_max=3)
    partition.channel.answers["b"] = [Failure.SERVER_ERROR] * 2
    rests: list[str] = []
    partition.app.health.patient = lambda partition, _seconds: rests.append(partition)
    partition.append(encode(breach()))
    await partition.run()
    assert len(rests) >= 3
    assert set(rests) == {"0"}


async def test_a_crash_tells_again_no_more_than_a_window() -> None:
    """Progress is recorded window by window, however many records came at once."""
    partition = webhook_like()
    for number in range(3 * WINDOW_RECORDS):
        partition.append(encode(of(breach(), f"S{number}", f"e{number}")))
    partition.producer.fail_at = 3
    with pytest.raises(Crash):
        await partition.run()
    partition.producer.fail_at = None
    partition.start()
    assert partition.handler.next_offset == 2 * WINDOW_RECORDS
    await partition.run()
    assert len(partition.channel.told) == 4 * WINDOW_RECORDS
    assert {outcome for outcome, _ in partition.records().values()} == {"sent"}


async def test_an_unreadable_event_behind_one_that_waits_is_not_put_aside_before_its_turn() -> None:
    """Otherwise reading again after a crash would put it aside twice."""
    partition = webhook_like()
    partition.append(encode(of(breach(), "A", "a1")))
    partition.append(encode(of(late(), "A", "a2")))
    partition.append(b"garbage")
    partition.producer.fail_at = 2
    with pytest.raises(Crash):
        await partition.run()
    assert partition.producer.published(dlq("promisewatch.breaches")) == []
    partition.producer.fail_at = None
    partition.start()
    await partition.run()
    assert len(partition.producer.published(dlq("promisewatch.breaches"))) == 1
