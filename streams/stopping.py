"""Stopping an aiokafka consumer for certain."""

import asyncio
from typing import Any

import structlog

log = structlog.get_logger("promisewatch.stopping")

STOP_SECONDS = 3.0
"""What an orderly stop may take. It is a matter of milliseconds, or it never ends."""


async def stop_consumer(consumer: Any) -> None:
    """Stop `consumer`, also where its fetch loop has missed that it was cancelled.

    aiokafka 0.14 cancels that loop once and waits for it without bound; a loop that was just ending a fetch swallows
    the cancellation and goes on. Giving up the wait cancels it a second time, which it heeds.
    """
    try:
        await asyncio.wait_for(consumer.stop(), STOP_SECONDS)
    except TimeoutError:
        log.warning("a consumer did not stop by itself", seconds=STOP_SECONDS)
        await asyncio.wait_for(consumer._client.close(), STOP_SECONDS)  # noqa: SLF001 - stop() did not get that far
