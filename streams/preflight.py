"""Before a worker joins its group: is there a broker, and are the topics what they must be?"""

import asyncio
import time

import structlog
from aiokafka.errors import KafkaError

from schemas.errors import RestartNeeded, TopicsError
from streams.offsets import LogOffsets

log = structlog.get_logger("promisewatch.preflight")

BROKER_WAIT_SECONDS = 30.0
TOPICS_WAIT_SECONDS = 10.0
"""Topics made a moment ago may not be in every broker's metadata yet."""


async def connect(bootstrap_server: str, wait: float = BROKER_WAIT_SECONDS) -> LogOffsets:
    """Return a started offset reader, or raise RestartNeeded when no broker answers within `wait` seconds."""
    deadline = time.monotonic() + wait
    while True:
        offsets = LogOffsets({"bootstrap_servers": bootstrap_server, "client_id": "promisewatch-preflight"})
        try:
            await offsets.start()
        except (KafkaError, OSError) as error:
            await offsets.stop()
            if time.monotonic() > deadline:
                raise RestartNeeded(
                    f"no Kafka broker answers at {bootstrap_server} ({error}); waited {wait:.0f} s"
                ) from error
            log.warning("waiting for the broker", bootstrap_server=bootstrap_server)
            await asyncio.sleep(1.0)
        else:
            return offsets


async def partition_counts(offsets: LogOffsets, topics: list[str]) -> dict[str, int]:
    """Return the partition count of each topic. Raises TopicsError naming those that do not exist."""
    deadline = time.monotonic() + TOPICS_WAIT_SECONDS
    while True:
        counts = {topic: await offsets.partition_count(topic) for topic in topics}
        missing = sorted(topic for topic, count in counts.items() if not count)
        if not missing:
            return counts
        if time.monotonic() > deadline:
            raise TopicsError(
                f"missing topics: {', '.join(missing)}; 'promisewatch topics create' makes them with the right settings"
            )
        await asyncio.sleep(0.5)


def check_copartitioned(source: str, counts: dict[str, int]) -> int:
    """Return the source's partition count. Raises TopicsError when an output topic has another one.

    A subject's facts, record and events share one partition number; that only works with equal counts.
    """
    expected = counts[source]
    wrong = {topic: count for topic, count in counts.items() if count != expected}
    if wrong:
        found = ", ".join(f"{topic} has {count}" for topic, count in sorted(wrong.items()))
        raise TopicsError(f"{source} has {expected} partitions, but {found}; they must be equal")
    return expected
