"""What the logs hold: end offsets, beginnings and partition counts, asked outside the consumer group."""

from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.protocol.metadata import MetadataRequest
from faust.types import TP

from streams.identity import Identity, identify_topics
from streams.stopping import stop_consumer

METADATA_MAX_AGE_MS = 10_000
"""How old a consumer's picture of the topics may get. A broker that has just come back tells of none for a moment; a
group that forms then has no partitions, and forms anew only when it hears of them: after five minutes by default.
"""


class LogOffsets:
    """A group-less consumer that asks for offsets *uncommitted*.

    The end that counts is the real one: a read-committed end stops at an open transaction and hides facts already
    written behind it.
    """

    def __init__(
        self, client: Mapping[str, Any], isolation_level: str = "read_uncommitted", **consumer_options: Any
    ) -> None:
        """Keep the connection settings; with "read_committed", ends stop at the first open transaction."""
        self._options = {
            **client, **consumer_options, "isolation_level": isolation_level, "metadata_max_age_ms": METADATA_MAX_AGE_MS
        }  # fmt: skip
        self._consumer: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        """Connect."""
        consumer = AIOKafkaConsumer(**self._options)
        try:
            await consumer.start()
        except BaseException:
            await stop_consumer(consumer)
            raise
        self._consumer = consumer

    async def stop(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            await stop_consumer(self._consumer)

    async def ends(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """Return the end offset of each partition (the offset the next record will get)."""
        found = await self.ends_of([TP(topic, partition) for partition in partitions])
        return {tp.partition: offset for tp, offset in found.items()}

    async def beginnings(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """Return the first offset each partition still holds."""
        found = await self.beginnings_of([TP(topic, partition) for partition in partitions])
        return {tp.partition: offset for tp, offset in found.items()}

    async def ends_of(self, tps: Iterable[TP]) -> dict[TP, int]:
        """Return the end offset of partitions of several topics."""
        found = await self._ready.end_offsets([TopicPartition(*tp) for tp in tps])
        return {TP(*tp): offset for tp, offset in found.items()}

    async def beginnings_of(self, tps: Iterable[TP]) -> dict[TP, int]:
        """Return the first offset that partitions of several topics still hold."""
        found = await self._ready.beginning_offsets([TopicPartition(*tp) for tp in tps])
        return {TP(*tp): offset for tp, offset in found.items()}

    async def sent_since(self, tps: Iterable[TP], since: int) -> int | None:
        """Return the latest timestamp of each partition's first record since `since` (UTC ms); None: there are none."""
        found = await self._ready.offsets_for_times({TopicPartition(*tp): max(0, since) for tp in tps})
        return max((first.timestamp for first in found.values() if first is not None), default=None)

    async def partition_counts(self, topics: Iterable[str]) -> dict[str, int]:
        """Return how many partitions each topic has now, in one request to the cluster; 0 where there is no such topic.

        Those are left out of which it cannot say just now.
        """
        found = await identify_topics(self._ready._client, list(topics))
        return {topic: identity.partitions for topic, identity in found.items()}

    async def partition_count(self, topic: str) -> int:
        """Return how many partitions the topic has, 0 when there is no such topic."""
        await self._ready._client.force_metadata_update()
        return len(self._ready._client.cluster.partitions_for_topic(topic) or ())

    def known_partition_count(self, topic: str) -> int:
        """Return the partition count of the newest metadata, without asking (refreshed every 10 s)."""
        return len(self._ready._client.cluster.partitions_for_topic(topic) or ())

    async def identify(self, *topics: str) -> dict[str, Identity]:
        """Return which topics these are now, asking the cluster itself; those are left out of which it cannot say."""
        return await identify_topics(self._ready._client, topics)

    async def forbidden(self, topics: Iterable[str]) -> set[str]:
        """Return those of the topics that exist, or may, but that we have no permission to see."""
        client = self._ready._client
        response = await client.send(
            client.get_random_node(), MetadataRequest(list(topics), allow_auto_topic_creation=False)
        )
        return {entry[1] for entry in response.topics if entry[0] == TopicAuthorizationFailedError.errno}

    @property
    def _ready(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise RuntimeError(f"{type(self).__name__} is used before start()")
        return self._consumer
