"""Before a worker joins its group: is there a broker that lets us in, and are the topics what they must be?"""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from schemas.errors import RestartNeeded, TopicsError
from streams.offsets import LogOffsets
from streams.refusals import diagnose, likely_mismatch, refusal

log = structlog.get_logger("promisewatch.preflight")

BROKER_WAIT_SECONDS = 30.0
TOPICS_WAIT_SECONDS = 10.0
"""Topics made a moment ago may not be in every broker's metadata yet."""


async def connect(client: Mapping[str, Any], wait: float = BROKER_WAIT_SECONDS) -> LogOffsets:
    """Return a started offset reader, given the connection settings.

    Raises SettingsError when the broker refuses us for good, RestartNeeded when none answers within `wait` seconds.
    """
    deadline = time.monotonic() + wait
    server = client["bootstrap_servers"]
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it would log is raised, in our words
    try:
        while True:
            offsets = LogOffsets({**client, "client_id": "promisewatch-preflight"})
            try:
                await offsets.start()
            except (KafkaError, OSError) as error:
                await offsets.stop()
                refused = refusal(error, client) or await diagnose(client)
                if refused is not None:
                    raise refused from error
                if time.monotonic() > deadline:
                    raise RestartNeeded(
                        f"no Kafka broker answers at {server} ({error}); waited {wait:.0f} s"
                        + await likely_mismatch(client)
                    ) from error
                log.warning("waiting for the broker", bootstrap_server=server)
                await asyncio.sleep(1.0)
            else:
                return offsets
    finally:
        logging.getLogger("aiokafka").setLevel(logging.WARNING)


async def partition_counts(offsets: LogOffsets, topics: list[str]) -> dict[str, int]:
    """Return the partition count of each topic.

    Raises TopicsError naming those that do not exist, and TopicAuthorizationFailedError for those we may not see.
    """
    deadline = time.monotonic() + TOPICS_WAIT_SECONDS
    while True:
        counts = {topic: await offsets.partition_count(topic) for topic in topics}
        missing = sorted(topic for topic, count in counts.items() if not count)
        if not missing:
            return counts
        forbidden = await offsets.forbidden(missing)
        if forbidden:
            raise TopicAuthorizationFailedError(forbidden)
        if time.monotonic() > deadline:
            raise TopicsError(
                f"missing topics: {', '.join(missing)}; 'promisewatch topics create' makes them with the right settings"
            )
        await asyncio.sleep(0.5)


async def check_group(client: Mapping[str, Any], group: str) -> None:
    """Ask for the group's coordinator, as a member would. Raises GroupAuthorizationFailedError without permission.

    Faust's consumer would ask again without end.
    """
    admin = AIOKafkaAdminClient(**client)
    await admin.start()
    try:
        await admin.find_coordinator(group)
    finally:
        await admin.close()


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
