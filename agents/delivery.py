"""Deliveries with patience: retries with growing pauses, bounded in number and time, for all partitions together.

stamina does the retrying (exponential back-off with jitter, its log lines and its counter `stamina_retries_total`);
here is what it cannot know: which failures may pass, what the other side asked for (Retry-After), how many attempts may
be under way at once, that a partition which is taken away must stop waiting, and that a wait on purpose is no stall.

Whoever waits (between attempts, for a slot, because the other side asked for it) says so to the health check; whoever
makes an attempt says nothing until it has ended. So retries may go on for as long as the policy has it, and an attempt
that never ends is noticed, also when every slot is taken by such attempts.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import stamina

from agents.channels import Channel, Delivery, Message
from schemas.errors import SettingsError


@dataclass(frozen=True)
class RetryPolicy:
    """How long to go on; durations in seconds.

    A delivery ends after `attempts_max` attempts, or with the first failure after `retry_max`. Pauses begin at
    `wait_initial`, double, and are at most `wait_max`; each is longer by a random part of up to `jitter`. A pause that
    the other side asked for is kept up to `retry_after_max`.
    """

    attempts_max: int = 8
    retry_max: float = 120.0
    wait_initial: float = 0.5
    wait_max: float = 30.0
    jitter: float = 1.0
    retry_after_max: float = 60.0
    concurrency: int = 32

    def __post_init__(self) -> None:
        """Refuse bounds that bound nothing. Raises SettingsError."""
        for name in ("attempts_max", "concurrency"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name}: found {getattr(self, name)}, expected at least 1")
        for name in ("retry_max", "wait_initial", "wait_max", "jitter", "retry_after_max"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise SettingsError(f"{name}: found {getattr(self, name)}, expected a number of seconds from 0 on")


class Report(NamedTuple):
    """How a delivery ended: the last attempt and how many there were."""

    last: Delivery
    attempts: int


class AttemptFailed(Exception):
    """One attempt failed; tells stamina how. Its text is the channel's own and holds no secret.

    `pause`: how many seconds stamina would wait at most before the next one.
    """

    def __init__(self, delivery: Delivery, pause: float) -> None:
        """Hold the attempt."""
        super().__init__(f"{delivery.failure}: {delivery.detail}")
        self.delivery = delivery
        self.pause = pause
        self.recoverable = delivery.failure is not None and delivery.failure.recoverable


class Patience:
    """Whether a partition has time left. When it ends, waiting is cut short; attempts under way are let finish."""

    def __init__(self, rests: Callable[[float], None] = lambda _: None) -> None:
        """Have all the time in the world; `rests` is told of every wait on purpose, as the seconds it may take."""
        self.ended = False
        self.rests = rests
        self._waiting: set[asyncio.Task[object]] = set()

    def end(self) -> None:
        """Stop waiting, now and later."""
        self.ended = True
        for task in self._waiting:
            task.cancel()

    def waits(self) -> None:
        """Note that the current task may be cut short from here on. Raises CancelledError when patience has ended."""
        if self.ended:
            raise asyncio.CancelledError
        self._waiting.add(_current())

    def works(self) -> None:
        """Note that the current task must not be cut short from here on."""
        self._waiting.discard(_current())


def _current() -> "asyncio.Task[object]":
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a delivery runs outside of any task")
    return task


class Deliverer:
    """Delivers through one channel, for all partitions of a process."""

    def __init__(
        self, channel: Channel, policy: RetryPolicy | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Deliver through `channel`; `monotonic` tells seconds that only ever grow."""
        self.channel = channel
        self._policy = policy or RetryPolicy()
        self._monotonic = monotonic
        self._slots = asyncio.Semaphore(self._policy.concurrency)
        self._quiet_until = 0.0
        self._queueing: Counter[Patience] = Counter()
        """Whose deliveries wait for a slot."""

    async def deliver(self, message: Message, patience: Patience) -> Report | None:
        """Deliver, with as many attempts as it takes and the policy allows.

        Returns how it ended, or None when patience ended first: then it may or may not have arrived, nothing is
        decided, and it is to be done again under the same event id.
        """
        policy, attempts = self._policy, 0
        pause = partial(self._pause, patience, self._monotonic())
        try:
            async for attempt in stamina.retry_context(
                on=pause, attempts=policy.attempts_max, timeout=None,
                wait_initial=policy.wait_initial, wait_max=policy.wait_max, wait_jitter=policy.jitter,
            ):  # fmt: skip
                with attempt:
                    delivery = await self._attempt(message, patience)
                    attempts += 1
                    if delivery.failure is not None:
                        raise AttemptFailed(delivery, attempt.next_wait + policy.jitter)
                    return Report(delivery, attempts)
        except AttemptFailed as failed:
            return None if patience.ended and failed.recoverable else Report(failed.delivery, attempts)
        except asyncio.CancelledError:
            if patience.ended:
                return None
            raise
        finally:
            patience.works()
        raise AssertionError("stamina neither let an attempt through nor raised its failure")

    def _pause(self, patience: Patience, began: float, error: Exception) -> bool | float:
        """Say whether to try again after `error`: False, True (stamina's own pause), or the pause in seconds."""
        if not isinstance(error, AttemptFailed) or not error.recoverable or patience.ended:
            return False
        if self._monotonic() - began >= self._policy.retry_max:
            return False
        asked = self._asked(error.delivery)
        patience.rests(error.pause if asked is None else asked)
        return True if asked is None else asked

    def _asked(self, delivery: Delivery) -> float | None:
        """Return for how many seconds the other side is left alone after this attempt, None where it did not ask."""
        return None if delivery.retry_after is None else min(delivery.retry_after, self._policy.retry_after_max)

    async def _attempt(self, message: Message, patience: Patience) -> Delivery:
        """Make one attempt when there is a slot, and not while the other side wants to be left alone."""
        patience.waits()
        await self._slot(patience)
        try:
            # Whoever was told to wait waits for all: it is one receiver. Once an attempt, so that all get their turn.
            quiet = self._rest(patience)
            if quiet > 0:
                await asyncio.sleep(quiet)
            patience.works()
            delivery = await self.channel.deliver(message)
            asked = self._asked(delivery)
            if asked is not None:
                self._quiet_until = max(self._quiet_until, self._monotonic() + asked)
        finally:
            self._slots.release()
        for waiting in (patience, *self._queueing):
            self._rest(waiting)  # their turn has come nearer
        if delivery.failure is not None and not patience.ended:
            patience.waits()  # until the next attempt, if there is one
        return delivery

    async def _slot(self, patience: Patience) -> None:
        """Wait until one more attempt may be under way."""
        self._rest(patience)
        self._queueing[patience] += 1
        try:
            await self._slots.acquire()
        finally:
            self._queueing[patience] -= 1
            if not self._queueing[patience]:
                del self._queueing[patience]

    def _rest(self, patience: Patience) -> float:
        """Say that a delivery waits for as long as the other side is left alone; returns how many seconds that is."""
        quiet = max(0.0, self._quiet_until - self._monotonic())
        patience.rests(quiet)
        return quiet
