"""Transactional emit on Apache Kafka: all or nothing, and one writer a partition."""

import asyncio
import os
from collections.abc import Callable

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from promisewatch.brokers import ApacheKafka
from schemas.errors import TopicsError
from streams.emit import Outgoing, PartitionProducer
from streams.offsets import LogOffsets
from streams.restore import restore
from streams.store import MemoryStore

pytestmark = pytest.mark.kafka
Unique = Callable[[str], str]


async def create(bootstrap: str, *topics: str, partitions: int = 2) -> None:
    """Create topics."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, partitions, 1) for topic in topics])
    await admin.close()


async def read_all(bootstrap: str, topic: str, partition: int = 0, isolation: str = "read_committed") -> list[bytes]:
    """Return the values of a partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level=isolation)
    await consumer.start()
    tp = TopicPartition(topic, partition)
    consumer.assign([tp])
    await consumer.seek_to_beginning(tp)
    end, values = (await consumer.end_offsets([tp]))[tp], []
    while await consumer.position(tp) < end:
        for records in (await consumer.getmany(timeout_ms=500)).values():
            values += [record.value for record in records]
    await consumer.stop()
    return values


def producer(bootstrap: str, transactional_id: str | None) -> PartitionProducer:
    """Make the producer of partition 0."""
    return PartitionProducer({"bootstrap_servers": bootstrap}, 0, transactional_id=transactional_id, ack_timeout=60.0)


async def test_events_and_changes_become_visible_together(kafka: ApacheKafka, unique: Unique) -> None:
    """A read-committed consumer sees a whole transaction; the offset returned is the last change's."""
    events, changelog = unique("events"), unique("changelog")
    await create(kafka.bootstrap_server, events, changelog)
    one = producer(kafka.bootstrap_server, unique("id"))
    await one.start()
    changes = [Outgoing(b"k%d" % n, b"v%d" % n) for n in range(10)]
    offset = await one.write({events: [Outgoing(b"k", b"e")]}, changelog, changes)
    await one.stop()
    assert offset == 9
    assert await read_all(kafka.bootstrap_server, events) == [b"e"]
    assert len(await read_all(kafka.bootstrap_server, changelog)) == 10


async def test_a_worker_that_lost_its_partition_can_write_no_more(kafka: ApacheKafka, unique: Unique) -> None:
    """Starting the new owner's producer fences the old one, whatever it believes; nothing of it becomes visible."""
    events, changelog, shared_id = unique("events"), unique("changelog"), unique("id")
    await create(kafka.bootstrap_server, events, changelog)
    old, new = producer(kafka.bootstrap_server, shared_id), producer(kafka.bootstrap_server, shared_id)
    await old.start()
    await old.write({events: [Outgoing(b"k", b"old")]}, changelog, [Outgoing(b"k", b"1")])
    await new.start()
    with pytest.raises(Exception, match=r"(?i)fenced|epoch|newer"):
        await old.write({events: [Outgoing(b"k", b"zombie")]}, changelog, [Outgoing(b"k", b"2")])
    await new.write({events: [Outgoing(b"k", b"new")]}, changelog, [Outgoing(b"k", b"3")])
    await new.stop()
    assert await read_all(kafka.bootstrap_server, events) == [b"old", b"new"]


async def test_an_unfinished_transaction_is_never_seen(kafka: ApacheKafka, unique: Unique) -> None:
    """A worker killed before its commit leaves nothing: the next owner's start aborts what it had written."""
    events, changelog, shared_id = unique("events"), unique("changelog"), unique("id")
    await create(kafka.bootstrap_server, events, changelog)
    killed, owner = producer(kafka.bootstrap_server, shared_id), producer(kafka.bootstrap_server, shared_id)
    await killed.start()
    await killed._producer.begin_transaction()
    posted = await killed._post(events, [Outgoing(b"k", b"half")])
    await asyncio.gather(*(future for future, _ in posted))
    await owner.start()
    await owner.write({events: [Outgoing(b"k", b"whole")]}, changelog, [Outgoing(b"k", b"1")])
    await owner.stop()
    assert await read_all(kafka.bootstrap_server, events) == [b"whole"]
    assert await read_all(kafka.bootstrap_server, events, isolation="read_uncommitted") == [b"half", b"whole"]


async def test_many_and_large_records_are_split_into_batches(kafka: ApacheKafka, unique: Unique) -> None:
    """Nothing is lost at the borders of Kafka's batches, in order."""
    events, changelog = unique("events"), unique("changelog")
    await create(kafka.bootstrap_server, events, changelog)
    one = producer(kafka.bootstrap_server, unique("id"))
    await one.start()
    values = [b"%06d" % n + b"x" * (n % 700) for n in range(6_000)]
    await one.write({events: [Outgoing(b"k", value) for value in values]}, changelog, [Outgoing(b"k", b"1")])
    await one.stop()
    assert await read_all(kafka.bootstrap_server, events) == values


@pytest.mark.parametrize("transactional", [True, False])
async def test_a_record_larger_than_its_topic_takes_is_written_as_small_as_it_came(
    kafka: ApacheKafka, unique: Unique, transactional: bool
) -> None:
    """3 MB that a producer had compressed below the limit of 1 MB fit as a dead letter too; headers may be null."""
    events, changelog = unique("events"), unique("changelog")
    await create(kafka.bootstrap_server, events, changelog)
    one = producer(kafka.bootstrap_server, unique("id") if transactional else None)
    await one.start()
    large = b"not json " * 350_000
    letters = [
        Outgoing(None, b"a", (("h", None),)),
        Outgoing(b"k", large, (("h", b""), ("é", b"\xff"))),
        Outgoing(b"k", b"b"),
    ]
    assert await one.write({events: letters}, changelog, [Outgoing(b"k", b"1")]) == 0
    await one.stop()
    assert await read_all(kafka.bootstrap_server, events) == [b"a", large, b"b"]


async def test_a_record_that_its_topic_does_not_take_is_told_with_the_topic(kafka: ApacheKafka, unique: Unique) -> None:
    """No restart mends that: somebody has to raise the topic's limit. Nothing of the transaction is to be seen."""
    events, changelog = unique("events"), unique("changelog")
    await create(kafka.bootstrap_server, events, changelog)
    one = producer(kafka.bootstrap_server, unique("id"))
    await one.start()
    with pytest.raises(TopicsError, match=rf"{events} takes no record as large .* expected a larger max.message.bytes"):
        await one.write({events: [Outgoing(b"k", os.urandom(2_000_000))]}, changelog, [Outgoing(b"k", b"1")])
    await one.stop()
    assert await read_all(kafka.bootstrap_server, changelog) == []


async def test_without_transactions_the_same_records_arrive(kafka: ApacheKafka, unique: Unique) -> None:
    """The order of a broker without transactions: events acknowledged first, then the changelog."""
    events, changelog = unique("events"), unique("changelog")
    await create(kafka.bootstrap_server, events, changelog)
    one = producer(kafka.bootstrap_server, None)
    await one.start()
    assert await one.write({events: [Outgoing(b"k", b"e")]}, changelog, [Outgoing(b"k", b"1")]) == 0
    await one.stop()
    assert await read_all(kafka.bootstrap_server, events) == [b"e"]


async def test_restore_ends_behind_a_trailing_commit_marker(kafka: ApacheKafka, unique: Unique) -> None:
    """The last offset of a transactional log belongs to no record; tombstones delete, aborted writes never count."""
    events, changelog, shared_id = unique("events"), unique("changelog"), unique("id")
    await create(kafka.bootstrap_server, events, changelog)
    one = producer(kafka.bootstrap_server, shared_id)
    await one.start()
    await one.write({}, changelog, [Outgoing(b"a", b"1"), Outgoing(b"b", b"2")])
    await one.write({}, changelog, [Outgoing(b"a", None), Outgoing(b"c", b"3")])
    await one._producer.begin_transaction()
    await asyncio.gather(*(future for future, _ in await one._post(changelog, [Outgoing(b"b", b"aborted")])))
    await one._producer.abort_transaction()
    await one.stop()
    store, client = MemoryStore(), {"bootstrap_servers": kafka.bootstrap_server}
    offsets = LogOffsets(client)
    await offsets.start()
    read = await restore(client, offsets, store, changelog, {0, 1})
    again = await restore(client, offsets, store, changelog, {0, 1})
    await offsets.stop()
    assert dict(store.scan(0)) == {b"b": b"2", b"c": b"3"}
    assert (read, again) == (4, 0)
