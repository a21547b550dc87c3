"""Retries: which, how often, how long; side by side up to a bound; and cut short without losing track."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace

import pytest

from agents.channels import Delivery, Failure, Message
from agents.channels.webhook import WebhookChannel, WebhookSettings
from agents.decisions import NotifyReason
from agents.delivery import Deliverer, Patience, Report, RetryPolicy
from schemas.errors import SettingsError
from streams.health import Health
from tests.agents.notifying import encode, of
from tests.agents.receiver import KEYS, Receiver, receiving
from tests.agents.test_decisions import breach

POLICY = RetryPolicy(attempts_max=5, retry_max=100, wait_initial=1, wait_max=6, jitter=0.5, retry_after_max=30)
DOWN = Delivery(Failure.UNREACHABLE, "no connection came about")


def about(subject: str) -> Message:
    """A breach of one subject."""
    event = of(breach(), subject, f"id-{subject}")
    return Message(event, encode(event), NotifyReason.FIRST_BREACH)


class HandTime:
    """Time that passes only by being slept through."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.pauses: list[float] = []
        self.look: Callable[[], object] = lambda: None

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        if seconds > 0:
            self.pauses.append(round(seconds, 3))
            self.now += seconds
            self.look()
        await really_sleep(0)


really_sleep = asyncio.sleep


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Iterator[HandTime]:
    """Pauses between attempts take no time and are written down."""
    hand = HandTime()
    monkeypatch.setattr(asyncio, "sleep", hand.sleep)
    return hand


class Scripted:
    """A channel whose attempts end as written down, then well; each takes `takes` seconds."""

    name = "scripted"
    idempotent = True

    def __init__(self, *script: Delivery, time: HandTime | None = None, takes: float = 0.0) -> None:
        self.script = list(script)
        self.attempts = 0
        self.time, self.takes = time, takes

    async def deliver(self, message: Message) -> Delivery:
        self.attempts += 1
        if self.time is not None:
            self.time.now += self.takes
        return self.script.pop(0) if self.script else Delivery()

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


async def test_a_failure_that_may_pass_is_tried_again_with_growing_pauses(time: HandTime) -> None:
    """Doubling from the first, each longer by a random part, none above the bound."""
    channel = Scripted(DOWN, DOWN, DOWN, DOWN)
    report = await Deliverer(channel, POLICY, time).deliver(about("A"), Patience())
    assert report == Report(Delivery(), 5)
    lows, highs = [1, 2, 4, 6], [1.5, 2.5, 4.5, 6]
    assert all(low <= pause <= high for low, pause, high in zip(lows, time.pauses, highs, strict=True))


async def test_attempts_are_bounded_in_number(time: HandTime) -> None:
    """The last failure is the reason."""
    channel = Scripted(*[DOWN] * 9)
    report = await Deliverer(channel, POLICY, time).deliver(about("A"), Patience())
    assert report == Report(DOWN, 5)
    assert channel.attempts == 5


async def test_attempts_are_bounded_in_time(time: HandTime) -> None:
    """The first failure after the bound is the last: slow attempts count as pauses do."""
    channel = Scripted(*[DOWN] * 9, time=time, takes=40)
    report = await Deliverer(channel, POLICY, time).deliver(about("A"), Patience())
    assert report == Report(DOWN, 3)


@pytest.mark.parametrize("failure", [Failure.REJECTED, Failure.REDIRECTED, Failure.BAD_CERTIFICATE])
async def test_a_failure_that_will_not_pass_is_not_tried_again(time: HandTime, failure: Failure) -> None:
    """Asking again is noise at the other side."""
    channel = Scripted(Delivery(failure, "no"))
    report = await Deliverer(channel, POLICY, time).deliver(about("A"), Patience())
    assert report == Report(Delivery(failure, "no"), 1)
    assert time.pauses == []


@pytest.mark.parametrize(("asked", "pause"), [(0.0, []), (7.0, [7.0]), (3_600.0, [30.0])])
async def test_the_other_side_says_how_long_to_wait_within_bounds(
    time: HandTime, asked: float, pause: list[float]
) -> None:
    """Retry-After replaces our own pause; an hour is not waited, since the partition waits too."""
    channel = Scripted(Delivery(Failure.RATE_LIMITED, "HTTP 429", asked))
    report = await Deliverer(channel, POLICY, time).deliver(about("A"), Patience())
    assert report == Report(Delivery(), 2)
    assert time.pauses == pause


async def test_while_the_other_side_wants_to_be_left_alone_nobody_else_tries(time: HandTime) -> None:
    """Ten thousand events must not each find out for themselves, and use up their attempts on it."""
    channel = Scripted(Delivery(Failure.RATE_LIMITED, "HTTP 429", 20.0))
    deliverer = Deliverer(channel, RetryPolicy(attempts_max=1), time)
    began = time.now
    assert await deliverer.deliver(about("A"), Patience()) == Report(
        Delivery(Failure.RATE_LIMITED, "HTTP 429", 20.0), 1
    )
    assert await deliverer.deliver(about("B"), Patience()) == Report(Delivery(), 1)
    assert time.now - began == 20.0
    assert await deliverer.deliver(about("C"), Patience()) == Report(Delivery(), 1)
    assert time.now - began == 20.0


async def test_no_more_attempts_than_the_bound_are_under_way_at_once(receiver: Receiver) -> None:
    """Across all subjects and partitions of the process, and the bound is reached."""
    receiver.gate = asyncio.Event()
    full = asyncio.Event()
    receiver.arrived = lambda: full.set() if receiver.open_now == 4 else None
    channel = WebhookChannel(WebhookSettings(receiver.url, KEYS, concurrency=16))
    deliverer = Deliverer(channel, RetryPolicy(concurrency=4))
    running = [asyncio.create_task(deliverer.deliver(about(f"S{n}"), Patience())) for n in range(20)]
    await full.wait()
    for _ in range(200):  # a fifth one would arrive now
        await really_sleep(0)
    receiver.gate.set()
    assert await asyncio.gather(*running) == [Report(Delivery(), 1)] * 20
    await channel.close()
    assert receiver.open_most == 4


async def test_repeated_attempts_carry_the_same_id_and_body(receiver: Receiver, time: HandTime) -> None:
    """The receiver recognises them: 500, a closed connection and a 429 with a date, then success."""
    receiver.script = [500, "close", (429, {"retry-after": "Thu, 01 Jan 2026 00:00:00 GMT"})]
    channel = WebhookChannel(WebhookSettings(receiver.url, KEYS))
    report = await Deliverer(channel, POLICY, time).deliver(about("A"), Patience())
    await channel.close()
    assert report == Report(Delivery(), 4)
    assert receiver.ids == ["id-A"] * 4
    assert len(set(receiver.bodies)) == 1
    assert len(time.pauses) == 2  # a date that has passed asks for none


async def test_waiting_ends_with_patience_and_an_attempt_under_way_does_not() -> None:
    """The rebalance waits for attempts only: they are bounded by their timeout, back-offs are not."""
    gate = asyncio.Event()

    class Slow(Scripted):
        async def deliver(self, message: Message) -> Delivery:
            if message.event.data.subject == "under way":
                await gate.wait()
            return await super().deliver(message)

    patience = Patience()
    policy = RetryPolicy(wait_initial=3_600, wait_max=3_600, concurrency=2)
    deliverer = Deliverer(Slow(DOWN), policy)
    pausing = asyncio.create_task(deliverer.deliver(about("pausing"), patience))
    await really_sleep(0)
    await really_sleep(0)
    running = asyncio.create_task(deliverer.deliver(about("under way"), patience))
    other = asyncio.create_task(deliverer.deliver(about("under way"), patience))
    queueing = asyncio.create_task(deliverer.deliver(about("queueing"), patience))
    for _ in range(10):
        await really_sleep(0)
    patience.end()
    assert await asyncio.wait_for(pausing, 5) is None
    assert await asyncio.wait_for(queueing, 5) is None
    assert not running.done()
    gate.set()
    assert await asyncio.wait_for(asyncio.gather(running, other), 5) == [Report(Delivery(), 1)] * 2
    assert await deliverer.deliver(about("too late"), patience) is None


async def test_a_failure_under_way_while_patience_ends_decides_nothing() -> None:
    """Another attempt might have helped: whoever owns the partition next makes it."""
    patience = Patience()

    class Ending(Scripted):
        async def deliver(self, message: Message) -> Delivery:
            patience.end()
            return await super().deliver(message)

    assert await Deliverer(Ending(DOWN), POLICY).deliver(about("A"), patience) is None
    assert await Deliverer(Ending(Delivery(Failure.REJECTED, "no")), POLICY).deliver(about("A"), Patience()) == Report(
        Delivery(Failure.REJECTED, "no"), 1
    )


async def test_a_cancellation_from_elsewhere_is_not_swallowed() -> None:
    """Only the end of patience is an outcome."""
    deliverer = Deliverer(Scripted(DOWN), RetryPolicy(wait_initial=3_600, wait_max=3_600))
    task = asyncio.create_task(deliverer.deliver(about("A"), Patience()))
    for _ in range(5):
        await really_sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class Watched:
    """A health check over partitions with lag, asked whenever time has passed."""

    BOUND = 300.0

    def __init__(self, time: HandTime, partitions: int) -> None:
        self.health = Health(self.BOUND, time)
        names = [str(partition) for partition in range(partitions)]
        self.health.observe(dict.fromkeys(names, 0), dict.fromkeys(names, 256))
        self.verdicts: list[str] = []
        time.look = lambda: self.verdicts.append(self.health.alive().reason)

    def patience(self, partition: int = 0) -> Patience:
        return Patience(lambda seconds: self.health.patient(str(partition), seconds))


LONG = RetryPolicy(attempts_max=50, retry_max=7_200, wait_initial=1, wait_max=900, jitter=1, retry_after_max=900)


@pytest.mark.parametrize(
    "answer", [DOWN, Delivery(Failure.RATE_LIMITED, "HTTP 429", 900.0)], ids=["down", "Retry-After"]
)
async def test_retries_that_go_on_as_designed_are_no_standstill(time: HandTime, answer: Delivery) -> None:
    """Each pause is three times what a standstill may last, and nobody must end the process for it."""
    watched = Watched(time, 1)
    report = await Deliverer(Scripted(*[answer] * 20), LONG, time).deliver(about("A"), watched.patience())
    assert report is not None
    assert max(time.pauses) == 900
    assert sum(time.pauses) >= 7_200
    assert set(watched.verdicts) == {"ok"}


async def test_waiting_for_a_slot_while_the_other_side_is_left_alone_is_no_standstill(time: HandTime) -> None:
    """Asked of the first for a quarter of an hour: the second rests in the only slot, the third queues for it."""

    class Answering(Scripted):
        async def deliver(self, message: Message) -> Delivery:
            await really_sleep(0)  # an answer takes a moment, in which the others come
            return await super().deliver(message)

    watched = Watched(time, 3)
    channel = Answering(Delivery(Failure.RATE_LIMITED, "HTTP 429", 900.0))
    deliverer = Deliverer(channel, replace(LONG, attempts_max=1, concurrency=1), time)
    three = [deliverer.deliver(about(name), watched.patience(partition)) for partition, name in enumerate("ABC")]
    reports = await asyncio.gather(*three)
    assert [report and report.last.failure for report in reports] == [Failure.RATE_LIMITED, None, None]
    assert time.pauses == [900.0]
    assert watched.verdicts == ["ok"]


class Hanging(Scripted):
    """A channel that breaks its word: the attempt about `hangs` never ends."""

    async def deliver(self, message: Message) -> Delivery:
        if message.event.data.subject == "hangs":
            await asyncio.Event().wait()
        return await super().deliver(message)


async def test_an_attempt_that_never_ends_is_noticed_while_other_partitions_retries_go_on(time: HandTime) -> None:
    """Their progress is not its own."""
    watched = Watched(time, 2)
    deliverer = Deliverer(Hanging(*[DOWN] * 20), LONG, time)
    hanging = asyncio.create_task(deliverer.deliver(about("hangs"), watched.patience(0)))
    await really_sleep(0)
    assert await deliverer.deliver(about("B"), watched.patience(1)) is not None
    assert watched.verdicts[-1].startswith("partition 0 has 256 records to read and no progress for ")
    assert not [said for said in watched.verdicts if "partition 1" in said]
    hanging.cancel()


async def test_waiting_for_a_slot_that_never_comes_free_is_noticed(time: HandTime) -> None:
    """Where attempts without end hold all slots, every partition stands still."""
    watched = Watched(time, 2)
    deliverer = Deliverer(Hanging(), replace(LONG, concurrency=1), time)
    both = [
        asyncio.create_task(deliverer.deliver(about(name), watched.patience(partition)))
        for partition, name in enumerate(("hangs", "B"))
    ]
    for _ in range(10):
        await really_sleep(0)
    assert watched.health.alive().ok
    time.now += watched.BOUND + 1
    said = watched.health.alive().reason
    assert re.findall(r"partition (\d) has", said) == ["0", "1"]
    for task in both:
        task.cancel()


@pytest.mark.parametrize(
    "wrong", [{"attempts_max": 0}, {"concurrency": 0}, {"retry_max": -1.0}, {"wait_max": float("inf")}]
)
def test_bounds_that_bound_nothing_are_refused(wrong: dict[str, float]) -> None:
    """By name, with what was found and expected."""
    with pytest.raises(SettingsError, match=f"{next(iter(wrong))}: found .*, expected"):
        RetryPolicy(**wrong)  # type: ignore[arg-type]
