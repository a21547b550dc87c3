"""What the logs of several topics hold, asked in as few requests as there are questions."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete
from aiokafka.structs import TopicPartition
from faust.types import TP

from promisewatch.brokers import ApacheKafka, EmbeddedBroker
from streams.offsets import LogOffsets
from tests.streams.test_emit import create

Unique = Callable[[str], str]


@pytest.fixture
async def offsets(kafka: ApacheKafka) -> AsyncIterator[LogOffsets]:
    found = LogOffsets({"bootstrap_servers": kafka.bootstrap_server})
    await found.start()
    yield found
    await found.stop()


@pytest.fixture
def embedded() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker({"orders": 2, "parcels": 5}) as broker:
        yield broker


@pytest.mark.kafka
async def test_partition_counts_are_those_of_this_moment(
    kafka: ApacheKafka, offsets: LogOffsets, unique: Unique
) -> None:
    """Of all topics at once, also when some were added just now, long before metadata are refreshed by themselves; 0
    where there is no such topic.
    """
    orders, parcels, gone = unique("orders"), unique("parcels"), unique("gone")
    await create(kafka.bootstrap_server, orders, parcels, partitions=2)
    assert await offsets.partition_counts([orders, parcels, gone]) == {orders: 2, parcels: 2, gone: 0}
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_server)
    await admin.start()
    await admin.create_partitions({parcels: NewPartitions(5)})
    await admin.close()
    async with asyncio.timeout(5):  # a broker hears from the controller what was done a moment later
        while await offsets.partition_counts([orders, parcels]) != {orders: 2, parcels: 5}:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.kafka
async def test_ends_and_beginnings_of_several_topics(kafka: ApacheKafka, offsets: LogOffsets, unique: Unique) -> None:
    """Equal partition numbers are told apart."""
    orders, parcels = unique("orders"), unique("parcels")
    await create(kafka.bootstrap_server, orders, parcels)
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_server)
    await producer.start()
    for _ in range(3):
        await producer.send_and_wait(parcels, b"x", partition=1)
    await producer.send_and_wait(orders, b"x", partition=1)
    await producer.stop()
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_server)
    await admin.start()
    await admin.delete_records({TopicPartition(parcels, 1): RecordsToDelete(2)})
    await admin.close()
    tps = [TP(orders, 0), TP(orders, 1), TP(parcels, 1)]
    assert await offsets.ends_of(tps) == {TP(orders, 0): 0, TP(orders, 1): 1, TP(parcels, 1): 3}
    assert await offsets.beginnings_of(tps) == {TP(orders, 0): 0, TP(orders, 1): 0, TP(parcels, 1): 2}
    assert await offsets.ends(parcels, [0, 1]) == {0: 0, 1: 3}
    assert await offsets.ends_of([]) == {}


async def test_a_broker_of_an_older_kind_tells_counts_and_ends_as_well(embedded: EmbeddedBroker) -> None:
    """It knows no ids of topics."""
    offsets = LogOffsets({"bootstrap_servers": embedded.bootstrap_server})
    await offsets.start()
    try:
        assert await offsets.partition_counts(["orders", "parcels"]) == {"orders": 2, "parcels": 5}
        assert await offsets.ends_of([TP("orders", 1), TP("parcels", 4)]) == {TP("orders", 1): 0, TP("parcels", 4): 0}
    finally:
        await offsets.stop()


async def test_whoever_asks_before_it_is_connected_is_told() -> None:
    """A mistake of ours, not of the network."""
    with pytest.raises(RuntimeError, match=r"LogOffsets is used before start\(\)"):
        await LogOffsets({}).ends_of([])
