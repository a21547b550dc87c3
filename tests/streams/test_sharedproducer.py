"""One producer for many lanes on Apache Kafka: order, what meets in a batch, and what a refusal does to the others."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable

import pytest
from aiokafka.errors import KafkaError, ProducerClosed

from promisewatch.brokers import ApacheKafka
from schemas.errors import TopicsError
from streams import sharedproducer
from streams.emit import Outgoing
from streams.sharedproducer import SharedProducer
from tests.streams.test_emit import create, read_all

pytestmark = pytest.mark.kafka
Unique = Callable[[str], str]


@pytest.fixture
async def producer(kafka: ApacheKafka) -> AsyncIterator[SharedProducer]:
    made = SharedProducer({"bootstrap_servers": kafka.bootstrap_server}, ack_timeout=60.0)
    await made.start()
    yield made
    await made.stop()


async def test_what_comes_after_an_acknowledged_write_lies_behind_it(
    kafka: ApacheKafka, unique: Unique, producer: SharedProducer
) -> None:
    """Eight lanes write to the same four partitions at once, each its next slice after the last was acknowledged."""
    topic = unique("facts")
    await create(kafka.bootstrap_server, topic, partitions=4)

    async def lane(number: int) -> None:
        for step in range(25):
            rows = [Outgoing(b"k", b"%d %d %d" % (number, step, row)) for row in range(7)]
            await producer.write(topic, {partition: rows for partition in range(4) if (partition + step) % 3})

    await asyncio.gather(*(lane(number) for number in range(8)))
    for partition in range(4):
        found = await read_all(kafka.bootstrap_server, topic, partition)
        for number in range(8):
            mine = [tuple(map(int, value.split())) for value in found if value.startswith(b"%d " % number)]
            assert mine == [(number, step, row) for step in range(25) if (partition + step) % 3 for row in range(7)]


async def test_what_waits_while_a_batch_is_on_its_way_makes_the_next_one(
    kafka: ApacheKafka, unique: Unique, producer: SharedProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty writes at once are two batches: the first, and all others."""
    topic = unique("facts")
    await create(kafka.bootstrap_server, topic, partitions=1)
    sent: list[int] = []
    make = sharedproducer.batches

    def counted(*args: object, **options: object):  # type: ignore[no-untyped-def]
        for batch in make(*args, **options):  # type: ignore[arg-type]
            sent.append(batch.records)
            yield batch

    monkeypatch.setattr(sharedproducer, "batches", counted)

    async def write(number: int) -> None:
        for _ in range(number > 0):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await producer.write(topic, {0: [Outgoing(None, b"%d" % number)]})

    await asyncio.gather(*(write(number) for number in range(50)))
    assert sent == [1, 49]
    assert await read_all(kafka.bootstrap_server, topic) == [b"%d" % number for number in range(50)]


async def test_large_records_pass_one_after_the_other_and_none_is_lost(
    kafka: ApacheKafka, unique: Unique, producer: SharedProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is on the way is bounded by its size; a record larger than the bound still passes, alone."""
    monkeypatch.setattr(sharedproducer, "ON_THE_WAY_BYTES_MAX", 1_000_000)
    topic = unique("facts")
    await create(kafka.bootstrap_server, topic, partitions=3)
    rows = [Outgoing(b"k", b"%d" % number + b"x" * 400_000) for number in range(9)]
    rows.append(Outgoing(b"k", b"not json " * 350_000))
    await producer.write(topic, dict.fromkeys(range(3), rows))
    for partition in range(3):
        assert await read_all(kafka.bootstrap_server, topic, partition) == [row.value for row in rows]
    assert producer._on_the_way == 0


async def test_a_record_that_is_refused_fails_its_write_and_all_that_come_later(
    kafka: ApacheKafka, unique: Unique, producer: SharedProducer
) -> None:
    """Whoever called ends the process; nothing is acknowledged that is not there."""
    topic, other = unique("facts"), unique("other")
    await create(kafka.bootstrap_server, topic, other, partitions=1)
    await producer.write(topic, {0: [Outgoing(b"k", b"before")]})
    results = await asyncio.gather(
        producer.write(topic, {0: [Outgoing(b"k", os.urandom(2_000_000))]}),
        producer.write(topic, {0: [Outgoing(b"k", b"beside")]}),
        return_exceptions=True,
    )
    assert isinstance(results[0], TopicsError)
    assert f"{topic} takes no record as large as one that has to be written there" in str(results[0])
    assert isinstance(results[1], TopicsError)
    with pytest.raises(TopicsError):
        await producer.write(other, {0: [Outgoing(b"k", b"after")]})
    assert await read_all(kafka.bootstrap_server, topic) == [b"before"]


async def test_nothing_to_write_is_written_at_once_and_after_the_end_nothing(
    unique: Unique, producer: SharedProducer
) -> None:
    """A slice without a fact asks the broker for nothing."""
    await producer.write(unique("facts"), {})
    await producer.write(unique("facts"), {0: []})
    await producer.stop()
    with pytest.raises(ProducerClosed):
        await producer.write(unique("facts"), {0: [Outgoing(b"k", b"v")]})


async def test_a_topic_that_is_not_there_fails_the_write(unique: Unique, producer: SharedProducer) -> None:
    """Within the time that acknowledgements may take, at most."""
    producer._ack_timeout = 1.0
    with pytest.raises((KafkaError, TimeoutError)):
        await producer.write(unique("facts"), {0: [Outgoing(b"k", b"v")]})
