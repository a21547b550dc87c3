"""What the logs hold: end offsets, beginnings and partition counts, asked outside the consumer group."""

from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition


class LogOffsets:
    """A group-less consumer that asks for offsets *uncommitted*.

    The end that counts is the real one: a read-committed end stops at an open transaction and hides facts already
    written behind it.
    """

    def __init__(self, client: Mapping[str, Any]) -> None:
        """Keep the connection settings."""
        self._client = client
        self._consumer: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        """Connect."""
        consumer = AIOKafkaConsumer(**self._client, isolation_level="read_uncommitted", metadata_max_age_ms=10_000)
        await consumer.start()
        self._consumer = consumer

    async def stop(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            await self._consumer.stop()

    async def ends(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """Return the end offset of each partition (the offset the next record will get)."""
        found = await self._ready.end_offsets([TopicPartition(topic, partition) for partition in partitions])
        return {tp.partition: offset for tp, offset in found.items()}

    async def beginnings(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """Return the first offset each partition still holds."""
        found = await self._ready.beginning_offsets([TopicPartition(topic, partition) for partition in partitions])
        return {tp.partition: offset for tp, offset in found.items()}

    async def partition_count(self, topic: str) -> int:
        """Return how many partitions the topic has, 0 when there is no such topic."""
        await self._ready._client.force_metadata_update()
        return len(self._ready._client.cluster.partitions_for_topic(topic) or ())

    def known_partition_count(self, topic: str) -> int:
        """Return the partition count of the newest metadata, without asking (refreshed every 10 s)."""
        return len(self._ready._client.cluster.partitions_for_topic(topic) or ())

    @property
    def _ready(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise RuntimeError("LogOffsets is used before start()")
        return self._consumer
