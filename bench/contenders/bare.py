"""Bare consumption: aiokafka's `getmany`, msgspec into a typed struct, nothing kept and nothing written.

`python -m bench.contenders.bare SERVER TOPIC RECORDS`
"""

import asyncio
import json
import sys
import time

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.kafka import PARTITIONS


class Event(msgspec.Struct, gc=False):
    """What the five promises look at."""

    event_id: str
    order_id: str
    type: str
    occurred_at: str
    kind: str | None = None
    speed: str | None = None
    method: str | None = None
    slot_end: str | None = None


async def consume(server: str, topic: str, wanted: int) -> None:
    """Read and decode `wanted` records; print what it took."""
    decode = msgspec.json.Decoder(Event).decode
    consumer = AIOKafkaConsumer(bootstrap_servers=server, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    consumer.assign([TopicPartition(topic, partition) for partition in range(PARTITIONS)])
    seen: dict[str, int] = {}
    count, first, started = 0, 0, 0.0
    try:
        while count < wanted:
            for records in (await consumer.getmany(timeout_ms=1_000)).values():
                for record in records:
                    kind = decode(record.value).type
                    seen[kind] = seen.get(kind, 0) + 1
                count += len(records)
                if not started:
                    first, started = count, time.time()
    finally:
        ended = time.time()
        await consumer.stop()
    print(json.dumps({"records": count - first, "started": started, "ended": ended}))


if __name__ == "__main__":
    asyncio.run(consume(sys.argv[1], sys.argv[2], int(sys.argv[3])))
