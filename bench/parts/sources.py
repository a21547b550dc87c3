"""What many sources cost: ingest and detect as two processes against one that reads its source itself."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]

from bench import runs
from bench.kafka import PARTITIONS, Broker, unique
from bench.parts import delay
from bench.processes import Contender, promisewatch
from bench.results import Goal, Part, count, finish, interleaved, median
from bench.stream import Stream
from schemas import topics

DIRECT, INGEST, DETECT = "worker, direct", "ingest", "worker, from facts"
EVENTS = 300_000
LATTICES = ((4, 16), (16, 96))
"""Source partitions and facts partitions between which markers are sent."""
LOAD_PER_SECOND, LOAD_SECONDS = 2_000, 12
FACTS_WRITTEN, FETCHED = 100_000, 1_000
FACT = b'[1,["shop","W-000000000001","order.placed",1777000000000,{"speed":"next"}]]'


def measure(broker: Broker, size: float = 1.0, rounds: int | None = None) -> Part:
    """The same topic directly and by way of facts; then what of the traffic is markers, and how late breaches are."""
    load, events, rounds = os.getloadavg()[0], int(EVENTS * size), rounds or 3
    topic = broker.shop("sources.events", events)
    found = interleaved(
        rounds,
        {
            DIRECT: lambda: runs.worker(broker, topic, events, "--input", "direct"),
            f"{INGEST} + {DETECT}": lambda: both(broker, topic, events),
        },
    )
    broker.delete(topic)
    direct, two = found[DIRECT], found[f"{INGEST} + {DETECT}"]
    per_core = [
        one["cpu_us"] / (other["ingest_cpu_us"] + other["cpu_us"]) for one, other in zip(direct, two, strict=True)
    ]
    ratio = sorted(per_core)[len(per_core) // 2]
    rows = [
        [DIRECT, count(median(direct, "per_second")), count(median(direct, "cpu_us")), "1.00"],
        [INGEST, count(median(two, "ingest_per_second")), count(median(two, "ingest_cpu_us")), ""],
        [DETECT, count(median(two, "per_second")), count(median(two, "cpu_us")), ""],
        ["both, per core", "", count(median(two, "cpu_us") + median(two, "ingest_cpu_us")), f"{ratio:.2f}"],
    ]
    samples: dict[str, Any] = dict(found)
    notes = ["events of the source, also where facts are read: what no promise names ends at ingest"]
    for sources, facts in LATTICES:
        share = asyncio.run(marker_share(broker, sources, facts))
        samples[f"markers {sources}x{facts}"] = share
        notes.append(
            f"markers between {sources} source and {facts} facts partitions at {LOAD_PER_SECOND:,} events a second: "
            f"{share['records']:.1%} of the records and {share['bytes']:.1%} of the bytes of the facts topic"
        )
    for facts in (16, 96):
        for name, transactional in (("idempotent, as shipped", False), ("a transaction a batch", True)):
            written = asyncio.run(write_facts(broker, facts, int(FACTS_WRITTEN * size), transactional=transactional))
            samples[f"writing {facts} {name}"] = written
            notes.append(
                f"writing facts to {facts} partitions, {name}: {written['per_second']:,.0f} a second, "
                f"{written['cpu_us']:.1f} us of CPU each, {written['control']:.3f} control records each"
            )
    for name, options in (("direct", ("--input", "direct")), ("by way of facts", None)):
        delays = sorted(asyncio.run(breach_delays(broker, options)))
        samples[f"delay {name}"] = delays
        p50, p99 = delays[len(delays) // 2], delays[int(len(delays) * 0.99)]
        notes.append(f"delay beyond settle, {name}: p50 {p50:.0f} ms, p99 {p99:.0f} ms, {len(delays)} breaches")
    return finish(
        Part(
            name="sources",
            title="Ingest and detect as two processes, against one that reads its source itself",
            columns=["process", "events/s", "CPU us/event", "of direct, per core"],
            rows=rows,
            goals=[Goal("ingest and detect against direct, per core", ratio, 0.7)],
            notes=notes,
            samples=samples,
            rounds=rounds,
        ),
        load,
    )


@contextmanager
def running_ingest(broker: Broker, book: Path, app_id: str, facts: str) -> Iterator[Contender]:
    """`promisewatch ingest` as shipped, on the contenders' core."""
    command = [*promisewatch(), "ingest", "--book", str(book), "--bootstrap-server", broker.server]
    command += ["--app-id", app_id, "--facts-topic", facts, "--log-format", "json"]
    with Contender(command, broker.folder / f"{app_id}.log") as contender:
        yield contender


def both(broker: Broker, topic: str, events: int) -> runs.Figures:
    """First ingest over the whole topic, then detect over the facts: each has the core to itself."""
    app_id, book = unique("facts"), broker.book(topic)
    ingest_id, facts = f"{app_id}-ingest", f"{app_id}.facts"
    create(broker, ingest_id, {facts: PARTITIONS})
    with running_ingest(broker, book, ingest_id, facts) as contender:
        runs.until(lambda: broker.committed(ingest_id, topic) >= events, contender)
        first, last, ends = facts_of(broker, facts)
        ingest = runs.rate(contender, events, first, last)
        # Markers go on: the detector gets its frontier from those already there.
    options = ("--input", "facts", "--facts-topic", facts)
    with runs.running_worker(broker, book, facts, app_id, *options) as contender:
        count = sum(broker.all_ends(facts).values())
        runs.until(lambda: broker.committed(app_id, facts) >= count, contender)
        # The vectors behind the last fact let promises fall due, which direct mode does after the measured time too.
        told = broker.checkpoints(app_id)
        reached = [(at, partition, min(offset, ends[partition])) for at, partition, offset in told]
        begin, end, records = runs.span(reached, 0.0)
        detect = runs.rate(contender, events * records / sum(ends.values()), begin, end)
    runs.forget(broker, app_id)
    broker.delete(facts)
    return {**detect, "ingest_per_second": ingest["per_second"], "ingest_cpu_us": ingest["cpu_us"]}


def facts_of(broker: Broker, topic: str) -> tuple[float, float, Counter[int]]:
    """When the first and the last fact were written (seconds since the epoch), and each partition's end of facts."""
    stamps: list[float] = []
    read, ends = Counter[int](), Counter[int]()
    for _, partition, key, value, stamp in broker.read(topic):
        read[partition] += 1
        if key is not None and value:
            stamps.append(stamp / 1_000)
            ends[partition] = read[partition]
    return min(stamps), max(stamps), ends


def create(broker: Broker, ingest_id: str, names: dict[str, int]) -> None:
    """Topics with partitions of their own, and what an ingest remembers."""
    texts = topics.texts_changelog_spec(ingest_id)
    new = [NewTopic(name, partitions, 1) for name, partitions in names.items()]
    broker.create_topics([*new, NewTopic(texts.name, 1, 1, config=texts.configs)])


async def marker_share(broker: Broker, sources: int, facts: int) -> dict[str, float]:
    """What of the facts topic's records and bytes are markers, under a steady load."""
    topic, ingest_id = unique("markers.events"), unique("markers")
    name = f"{ingest_id}.facts"
    await asyncio.to_thread(create, broker, ingest_id, {topic: sources, name: facts, topics.dlq(topic): sources})
    with running_ingest(broker, broker.book(topic), ingest_id, name) as contender:
        await feed(broker, topic)
        contender.check()
    found = {True: [0, 0], False: [0, 0]}
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.server)
    await consumer.start()
    places = [TopicPartition(name, partition) for partition in range(facts)]
    consumer.assign(places)
    await consumer.seek_to_beginning()
    ends = await consumer.end_offsets(places)
    while any([await consumer.position(place) < end for place, end in ends.items()]):
        for records in (await consumer.getmany(timeout_ms=300)).values():
            for record in records:
                size = len(record.key or b"") + len(record.value or b"")
                size += sum(len(header) + len(content or b"") for header, content in record.headers)
                tally = found[not record.value]
                tally[0] += 1
                tally[1] += size
    await consumer.stop()
    await asyncio.to_thread(broker.delete, topic, name)
    (markers, marker_bytes), (others, other_bytes) = found[True], found[False]
    return {"records": markers / (markers + others), "bytes": marker_bytes / (marker_bytes + other_bytes)}


async def write_facts(broker: Broker, partitions: int, facts: int, *, transactional: bool) -> dict[str, float]:
    """What it costs to write facts in batches of what one fetch of one source partition brings."""
    name = unique("writes.facts")
    await asyncio.to_thread(broker.create_topics, [NewTopic(name, partitions, 1)])
    options = {"transactional_id": name} if transactional else {}
    producer = AIOKafkaProducer(
        bootstrap_servers=broker.server, enable_idempotence=True, acks="all", linger_ms=0, **options
    )
    await producer.start()
    begun, cpu = time.monotonic(), time.process_time()
    for start in range(0, facts, FETCHED):
        if transactional:
            await producer.begin_transaction()
        batches = [producer.create_batch() for _ in range(partitions)]
        for number in range(start, min(facts, start + FETCHED)):
            batches[number % partitions].append(key=b"order_id\x1fW-2026-%09d" % number, value=FACT, timestamp=None)
        sent = []
        for partition, batch in enumerate(batches):
            batch.close()
            sent.append(await producer.send_batch(batch, name, partition=partition))
        await asyncio.gather(*sent)
        if transactional:
            await producer.commit_transaction()
    seconds, cpu = time.monotonic() - begun, time.process_time() - cpu
    await producer.stop()
    written = await asyncio.to_thread(broker.ends, name, partitions)
    await asyncio.to_thread(broker.delete, name)
    return {"per_second": facts / seconds, "cpu_us": cpu / facts * 1e6, "control": (written - facts) / facts}


async def feed(broker: Broker, topic: str) -> None:
    """The shop's events at a steady rate."""
    producer = AIOKafkaProducer(bootstrap_servers=broker.server, linger_ms=2)
    await producer.start()
    begun = time.monotonic()
    events = Stream(int(time.time() * 1_000)).events(LOAD_PER_SECOND * LOAD_SECONDS)
    for sent, (key, value) in enumerate(events, 1):
        await producer.send(topic, value, key)
        if (ahead := sent / LOAD_PER_SECOND - (time.monotonic() - begun)) > 0:
            await asyncio.sleep(ahead)
    await producer.stop()


async def breach_delays(broker: Broker, options: tuple[str, ...] | None) -> list[float]:
    """The delays (ms) of the breaches of one worker under load; `options` None: by way of an ingest."""
    topic, app_id = unique("hop.events"), unique("hop")
    facts = f"{app_id}.facts"
    await asyncio.to_thread(broker.create, topic)
    book = broker.book(topic, settle=f"{delay.SETTLE_MS}ms")
    if options is not None:
        return await delay.measured(broker, book, topic, topic, app_id, options)
    await asyncio.to_thread(create, broker, f"{app_id}-ingest", {facts: PARTITIONS, topics.dlq(topic): PARTITIONS})
    with running_ingest(broker, book, f"{app_id}-ingest", facts):
        return await delay.measured(broker, book, topic, facts, app_id, ("--input", "facts", "--facts-topic", facts))
