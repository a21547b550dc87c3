"""How long after the earliest possible moment a breach is published at a moderate load, and what bounds that."""

import asyncio
import os
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.partitioner import murmur2

from bench import runs
from bench.kafka import PARTITIONS, Broker, unique
from bench.results import Part, count, finish
from bench.stream import Stream
from schemas.instants import format_instant
from schemas.topics import BREACHES

LOAD_PER_SECOND = 2_000
SECONDS = 12
DUE_AFTER_MS = 3_000
SETTLE_MS = 1_000
BEAT_S = 0.02
VARIANTS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "as shipped": ({}, ()),
    "tick_interval 20 ms (default 100)": ({"tick_interval": 0.02}, ()),
    "tick_interval 500 ms": ({"tick_interval": 0.5}, ()),
    "fetch_max_wait_ms 500 (default 50)": ({"fetch_max_wait_ms": 500}, ()),
    "without transactions": ({}, ("--no-transactions",)),
}


def measure(broker: Broker, size: float = 1.0, rounds: int | None = None) -> Part:
    """A steady load in real time; one event in twenty opens a promise that will be broken three seconds later."""
    load = os.getloadavg()[0]
    samples: dict[str, Any] = {}
    rows = []
    for name, (settings, options) in VARIANTS.items():
        delays: list[float] = []
        for _ in range(rounds or 1):
            delays += asyncio.run(one(broker, settings, options, max(6, int(SECONDS * size))))
        delays.sort()
        p50, p99 = delays[len(delays) // 2], delays[int(len(delays) * 0.99)]
        samples[name] = {"p50": p50, "p99": p99, "max": delays[-1], "breaches": len(delays)}
        rows.append([name, count(len(delays)), f"{p50:.0f}", f"{p99:.0f}", f"{delays[-1]:.0f}"])
    return finish(
        Part(
            name="delay",
            title=f"Detection delay beyond settle, {LOAD_PER_SECOND:,} events a second (ms)",
            columns=["worker", "breaches", "p50", "p99", "longest"],
            rows=rows,
            notes=["from due + settle to the arrival at a consumer that reads committed"],
            samples=samples,
            rounds=rounds or 1,
        ),
        load,
    )


async def one(broker: Broker, settings: dict[str, Any], options: tuple[str, ...], seconds: int) -> list[float]:
    """The delays (ms) of the breaches of one worker under load, the first third of them left out."""
    topic, app_id = unique("delay.events"), unique("delay")
    await asyncio.to_thread(broker.create, topic)
    book = broker.book(topic, settle=f"{SETTLE_MS}ms")
    return await measured(broker, book, topic, topic, app_id, options, settings, seconds)


async def measured(
    broker: Broker,
    book: Path,
    topic: str,
    read: str,
    app_id: str,
    options: tuple[str, ...],
    settings: dict[str, Any] | None = None,
    seconds: int = SECONDS,
) -> list[float]:
    """The same of a worker that reads the topic `read`, while `topic` is fed."""
    with runs.running_worker(broker, book, read, app_id, *options, settings=settings) as contender:
        await asyncio.to_thread(runs.until_opened, contender)
        feeding = asyncio.create_task(feed(broker, topic, seconds))
        delays = await watch(broker, feeding, topic.rpartition("-")[2], contender)
    runs.forget(broker, app_id)
    await asyncio.to_thread(broker.delete, topic)
    return delays


async def feed(broker: Broker, topic: str, seconds: int) -> int:
    """Send events dated now, at a steady rate; return how many promises will be broken."""
    producer = AIOKafkaProducer(bootstrap_servers=broker.server, linger_ms=2)
    await producer.start()
    stream, number, opened = Stream(0, prefix=topic.rpartition("-")[2]), 0, 0
    begun = time.monotonic()
    try:
        while (passed := time.monotonic() - begun) < seconds:
            now_ms = time.time_ns() // 1_000_000
            time_text, due = format_instant(now_ms), format_instant(now_ms + DUE_AFTER_MS)
            while number < passed * LOAD_PER_SECOND:
                number += 1
                if number % 20:
                    key, value = stream.event(number, "page.viewed", time_text, ',"page":"/"')
                else:
                    key, value = stream.event(number, "delivery.planned", time_text, f',"slot_end":"{due}"')
                    opened += 1
                partition = (murmur2(key) & 0x7FFFFFFF) % PARTITIONS
                await producer.send(topic, value, key, partition)
            await asyncio.sleep(BEAT_S)
    finally:
        await producer.stop()
    return opened


async def watch(broker: Broker, feeding: "asyncio.Task[int]", prefix: str, contender: Any) -> list[float]:
    """Read breaches as they come; return their delays once all have come."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker.server,
        isolation_level="read_committed",
        fetch_max_wait_ms=10,
        auto_offset_reset="latest",
    )
    await consumer.start()
    consumer.assign([TopicPartition(BREACHES, partition) for partition in range(PARTITIONS)])
    await consumer.seek_to_end()
    delays: list[float] = []
    deadline = time.monotonic() + 90
    try:
        while not feeding.done() or len(delays) < feeding.result():
            contender.check()
            if time.monotonic() > deadline:
                raise RuntimeError(f"found {len(delays)} breaches after 90 s; the worker said:\n{contender.tail()}")
            for records in (await consumer.getmany(timeout_ms=20)).values():
                now = time.time() * 1_000
                ours = (record.value for record in records if record.key.startswith(prefix.encode()))
                delays += [now - due_of(value) - SETTLE_MS for value in ours]
    finally:
        await consumer.stop()
    return delays[len(delays) // 3 :]


def due_of(event: bytes) -> float:
    """When the breached promise was due (UTC ms)."""
    text = msgspec.json.decode(event)["data"]["breached_at"]
    return datetime.fromisoformat(text).timestamp() * 1_000
