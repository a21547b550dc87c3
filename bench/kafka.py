"""The broker of a run: topics, filling them, and reading afterwards how far a worker was at which instant."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from bench.stream import Stream
from promises.partition import CHECKPOINT_KEY
from promisewatch.brokers import ApacheKafka
from schemas import topics
from schemas.records import decode_checkpoint

PARTITIONS = 8
COMING = {KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE}
"""What a broker says of a group that it is about to know."""
BOOK = Path(__file__).parent / "book.yaml"


class Broker:
    """One Apache Kafka and what a run needs of it."""

    def __init__(self, server: str, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self._admin = AdminClient({"bootstrap.servers": server})

    def create(self, *names: str, compacted: bool = False) -> None:
        """Create topics with the partitions that every topic of a run has."""
        config = topics.changelog_spec("x").configs if compacted else {}
        self.create_topics([NewTopic(name, PARTITIONS, 1, config=config) for name in names])

    def create_for_worker(self, source: str, app_id: str) -> None:
        """Create what a worker needs besides the topic it reads, where it is not there yet."""
        self.create_topics(
            [NewTopic(s.name, PARTITIONS, 1, config=s.configs) for s in topics.required((source,), app_id)]
        )

    def create_topics(self, new: list[NewTopic]) -> None:
        """Create those of the topics that are not there yet."""
        there = self._admin.list_topics(timeout=10).topics
        missing = [topic for topic in new if topic.topic not in there]
        for future in (self._admin.create_topics(missing) if missing else {}).values():
            future.result(30)

    def delete(self, *names: str) -> None:
        """Delete topics, so that a long run does not fill the disk."""
        for future in self._admin.delete_topics(list(names)).values():
            future.result(30)

    def book(self, topic: str, *, frontier: str = "clock", settle: str = "2m") -> Path:
        """Write the book for one source topic."""
        path = self.folder / f"{topic}.yaml"
        path.write_text(shop_book(topic, frontier=frontier, settle=settle))
        return path

    def shop(self, name: str, events: int) -> str:
        """Make a topic filled with so many of the web shop's events, dated from now on; return its name."""
        topic = unique(name)
        self.create(topic)
        self.fill(topic, Stream(int(time.time() * 1_000)).events(events))
        return topic

    def fill(self, topic: str, events: Iterable[tuple[bytes, bytes]]) -> int:
        """Produce events to a topic, partitioned as Java's producer would; return how many."""
        producer = Producer(
            {
                "bootstrap.servers": self.server, "partitioner": "murmur2_random", "linger.ms": 20,
                "batch.size": 1 << 20, "queue.buffering.max.messages": 500_000,
            }
        )  # fmt: skip
        failed: list[KafkaError] = []

        def acknowledged(error: KafkaError | None, _message: object) -> None:
            if error is not None:
                failed.append(error)

        count = 0
        for key, value in events:
            while True:
                try:
                    producer.produce(topic, value, key, on_delivery=acknowledged)
                    break
                except BufferError:
                    producer.poll(0.05)
            count += 1
            if count % 10_000 == 0:
                producer.poll(0)
        producer.flush(60)
        if failed:
            raise RuntimeError(f"{topic}: {len(failed)} records were not acknowledged, the first: {failed[0]}")
        return count

    def all_ends(self, *names: str) -> dict[tuple[str, int], int]:
        """The end offset of each partition of these topics."""
        consumer = self._consumer("uncommitted")
        try:
            places = [TopicPartition(name, partition) for name in names for partition in range(PARTITIONS)]
            ends = [consumer.get_watermark_offsets(place, timeout=10)[1] for place in places]
            return {(place.topic, place.partition): end for place, end in zip(places, ends, strict=True)}
        finally:
            consumer.close()

    def ends(self, topic: str, partitions: int) -> int:
        """How many offsets of a topic are taken, over all partitions."""
        consumer = self._consumer("uncommitted")
        try:
            places = [TopicPartition(topic, partition) for partition in range(partitions)]
            return sum(int(consumer.get_watermark_offsets(place, timeout=10)[1]) for place in places)
        finally:
            consumer.close()

    def committed(self, group: str, topic: str) -> int:
        """How many records a group has committed, over all partitions."""
        consumer = self._consumer("committed", group)
        try:
            places = consumer.committed([TopicPartition(topic, p) for p in range(PARTITIONS)], timeout=10)
            return sum(max(0, place.offset) for place in places)
        except KafkaException as error:
            if not error.args[0].retriable() and error.args[0].code() not in COMING:
                raise
            return 0
        finally:
            consumer.close()

    def read(
        self, *names: str, start: Mapping[tuple[str, int], int] | None = None
    ) -> Iterator[tuple[str, int, bytes | None, bytes | None, int]]:
        """Yield (topic, partition, key, value, timestamp ms) of everything committed to these topics by now.

        `start` tells the offsets to begin at (default: 0).
        """
        consumer = self._consumer("committed")
        begin = start or {}
        places = [TopicPartition(n, p, begin.get((n, p), 0)) for n in names for p in range(PARTITIONS)]
        left = set()
        for place in places:
            low, high = consumer.get_watermark_offsets(place, timeout=10)
            if high > max(low, place.offset):
                left.add((place.topic, place.partition))
        consumer.assign([place for place in places if (place.topic, place.partition) in left])
        try:
            while left:
                for message in consumer.consume(5_000, timeout=1.0):
                    error = message.error()
                    if error is None:
                        stamp = message.timestamp()[1]
                        name, partition = str(message.topic()), int(message.partition() or 0)
                        yield name, partition, message.key(), message.value(), stamp
                    elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 -- its public spelling
                        left.discard((message.topic(), message.partition()))
                    else:
                        raise RuntimeError(f"reading {names}: {error}")
        finally:
            consumer.close()

    def _consumer(self, isolation: str, group: str = "bench") -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self.server, "group.id": group, "enable.auto.commit": False,
                "isolation.level": f"read_{isolation}", "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
            }
        )  # fmt: skip

    def checkpoints(self, app_id: str) -> list[tuple[float, int, int]]:
        """Every checkpoint a worker has written: (instant in s, partition, next offset), oldest first."""
        found = []
        changelog = topics.changelog(app_id)
        for _, partition, key, value, stamp in self.read(changelog):
            if key is not None and key.startswith(CHECKPOINT_KEY) and value is not None:
                found.append((stamp / 1_000, partition, decode_checkpoint(value, changelog).next_offset))
        return sorted(found)


def shop_book(topic: str, *, frontier: str = "clock", settle: str = "2m") -> str:
    """The book of five promises, as YAML."""
    return BOOK.read_text().replace("{topic}", topic).replace("{frontier}", frontier).replace("{settle}", settle)


@contextmanager
def broker(folder: Path) -> Iterator[Broker]:
    """Run an Apache Kafka for the block."""
    with ApacheKafka(heap_mb=1024) as kafka:
        yield Broker(kafka.bootstrap_server, folder)


def unique(name: str) -> str:
    """A name no earlier topic or group of this run has."""
    return f"{name}-{time.time_ns() // 1_000_000:x}"
