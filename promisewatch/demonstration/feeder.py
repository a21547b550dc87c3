"""Publishes the week on the scaled clock, and holds the shop to its word: published within `settle`."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from promisewatch.demonstration.week import SENT_WITHIN_MS, Message
from schemas.errors import PromisewatchError
from schemas.exits import ExitCode
from streams.clock import Clock

NEAR_SECONDS = 0.002
"""What is due sooner than this is sent at once: a shorter sleep costs more than it waits."""


class TooSlow(PromisewatchError):
    """The machine could not publish in time, so that the detector would rightly call kept promises broken."""

    exit_code = ExitCode.RESTART


class Feeder:
    """Sends messages when their time has come. `settle_ms` is what the promise book grants the sources.

    `topic_of` says where a message goes; `acknowledged` is told of every record that is in the log: its partition and
    offset.
    """

    def __init__(
        self,
        producer: Any,
        topic_of: Callable[[Message], str],
        clock: Clock,
        settle_ms: int,
        acknowledged: Callable[[int, int], None],
    ) -> None:
        self._producer = producer
        self._topic_of = topic_of
        self._clock = clock
        self._settle_ms = settle_ms
        self._acknowledged = acknowledged
        self._in_flight: set[asyncio.Future[Any]] = set()
        self._too_slow: TooSlow | None = None
        self.sent = 0

    async def play(self, messages: Iterable[Message], before: Callable[[Message], None] = lambda _: None) -> None:
        """Send all messages, each at its `at`; `before` is called with every message just before it is sent.

        Raises TooSlow as soon as a prompt message was acknowledged too late, and whatever the broker refused.
        """
        for message in messages:
            wait = (message.at - self._clock.now_ms()) / self._clock.factor / 1000
            if wait > NEAR_SECONDS:
                await asyncio.sleep(wait)
            before(message)
            await self._send(message)
            if self._too_slow:
                raise self._too_slow
        await asyncio.gather(*self._in_flight)
        if self._too_slow:
            raise self._too_slow

    async def _send(self, message: Message) -> None:
        sent = await self._producer.send(self._topic_of(message), message.value, key=message.key.encode())
        self.sent += 1
        self._in_flight.add(sent)
        sent.add_done_callback(lambda done: self._done(message, done))

    def _done(self, message: Message, done: asyncio.Future[Any]) -> None:
        self._in_flight.discard(done)
        if done.cancelled() or done.exception() is not None:
            return
        self._acknowledged(done.result().partition, done.result().offset)
        if not message.prompt:
            return
        late_ms = self._clock.now_ms() - message.at
        if late_ms > self._settle_ms - SENT_WITHIN_MS and self._too_slow is None:
            real = late_ms / self._clock.factor
            self._too_slow = TooSlow(
                f"this machine was too slow for the demo's clock: an event was acknowledged {real:.0f} ms after it was "
                f"due to be sent, {late_ms / 60_000:.0f} minutes on the demo's clock, more than the book's `settle` "
                "leaves room for. The detector would rightly call kept promises broken, so nothing is compared. "
                "Try again with less load on the machine, or with a lower --speed."
            )
