"""Stopping a consumer: at once where it can, and never without bound."""

import asyncio
import contextlib

import pytest

from streams import stopping


class Client:
    """Notes that it was closed."""

    closed = False

    async def close(self) -> None:
        self.closed = True


class Deaf:
    """A consumer whose fetch loop misses its first cancellation, as aiokafka's can."""

    def __init__(self) -> None:
        self._client = Client()
        self.loop_ended = False

    async def _fetch(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):  # swallowed, once
            await asyncio.sleep(3600)
        try:
            await asyncio.sleep(3600)
        finally:
            self.loop_ended = True

    async def stop(self) -> None:
        fetching = asyncio.create_task(self._fetch())
        await asyncio.sleep(0)
        fetching.cancel()
        await fetching


async def test_a_consumer_that_misses_its_cancellation_is_stopped_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker must not hang on closing a reader; its connections are closed too."""
    monkeypatch.setattr(stopping, "STOP_SECONDS", 0.05)
    deaf = Deaf()
    await asyncio.wait_for(stopping.stop_consumer(deaf), 5)
    assert deaf.loop_ended
    assert deaf._client.closed
