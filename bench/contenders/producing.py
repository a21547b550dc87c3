"""A bare transactional producer: records of given sizes, as fast as it can.

`python -m bench.contenders.producing SERVER TOPIC SIZES KIND`: SIZES is a file of lines "key bytes,value bytes,count";
KIND is `batches` (aiokafka, whole batches of our making), `sends` (aiokafka, one at a time) or `records` (librdkafka,
one at a time).
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from aiokafka import AIOKafkaProducer
from confluent_kafka import Producer

from bench.kafka import PARTITIONS

A_TRANSACTION = 5_000
BATCH_BYTES = 800_000


def made(file: Path) -> list[tuple[bytes, bytes]]:
    """The records: as many as the file says, of the sizes it says."""
    found = []
    for line in file.read_text().splitlines():
        key, value, count = map(int, line.split(","))
        found += [(b"k" * key, b"v" * value)] * count
    return found


def slices(records: list[tuple[bytes, bytes]]) -> Iterator[tuple[int, list[tuple[bytes, bytes]]]]:
    """Partition and records of each transaction."""
    for number, start in enumerate(range(0, len(records), A_TRANSACTION)):
        yield number % PARTITIONS, records[start : start + A_TRANSACTION]


async def batches(server: str, topic: str, records: list[tuple[bytes, bytes]]) -> tuple[float, float]:
    """One transactional aiokafka producer, whole batches."""
    producer = AIOKafkaProducer(
        bootstrap_servers=server, transactional_id=topic, max_batch_size=1 << 20, max_request_size=8 << 20, linger_ms=0
    )
    await producer.start()
    started = time.time()
    for partition, part in slices(records):
        await producer.begin_transaction()
        sent, batch, size = [], producer.create_batch(), 0
        for key, value in part:
            length = len(key) + len(value) + 80
            if size + length > BATCH_BYTES:
                batch.close()
                sent.append(await producer.send_batch(batch, topic, partition=partition))
                batch, size = producer.create_batch(), 0
            batch.append(key=key, value=value, timestamp=None)
            size += length
        batch.close()
        sent.append(await producer.send_batch(batch, topic, partition=partition))
        for future in sent:
            await future
        await producer.commit_transaction()
    ended = time.time()
    await producer.stop()
    return started, ended


async def sends(server: str, topic: str, records: list[tuple[bytes, bytes]]) -> tuple[float, float]:
    """One transactional aiokafka producer, a call a record."""
    producer = AIOKafkaProducer(bootstrap_servers=server, transactional_id=topic, linger_ms=5)
    await producer.start()
    started = time.time()
    for partition, part in slices(records):
        await producer.begin_transaction()
        sent = [await producer.send(topic, value, key, partition) for key, value in part]
        for future in sent:
            await future
        await producer.commit_transaction()
    ended = time.time()
    await producer.stop()
    return started, ended


def one_by_one(server: str, topic: str, records: list[tuple[bytes, bytes]]) -> tuple[float, float]:
    """One transactional librdkafka producer, a call a record."""
    producer = Producer({"bootstrap.servers": server, "transactional.id": topic, "linger.ms": 5})
    producer.init_transactions(30)
    started = time.time()
    for partition, part in slices(records):
        producer.begin_transaction()
        for key, value in part:
            producer.produce(topic, value, key, partition)
        producer.commit_transaction(30)
    return started, time.time()


def main() -> None:
    server, topic, sizes, kind = sys.argv[1:]
    records = made(Path(sizes))
    if kind == "batches":
        started, ended = asyncio.run(batches(server, topic, records))
    elif kind == "sends":
        started, ended = asyncio.run(sends(server, topic, records))
    else:
        started, ended = one_by_one(server, topic, records)
    print(json.dumps({"records": len(records), "started": started, "ended": ended}))


if __name__ == "__main__":
    main()
