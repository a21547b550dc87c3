"""Very many promises due at one instant: publishing them all, against merely producing as many records."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from confluent_kafka import Producer

from bench import runs
from bench.kafka import PARTITIONS, Broker, unique
from bench.processes import Contender, module
from bench.results import Goal, Part, count, finish, interleaved, median, median_ratio
from bench.stream import Stream
from schemas.instants import format_instant
from schemas.markers import marker_headers
from schemas.topics import BREACHES, OUTCOMES

PROMISES = 100_000
FAR_MS = 3_600_000
OURS = "promisewatch worker"
BARE = {
    "aiokafka, record by record": "sends",
    "librdkafka, record by record": "records",
    "aiokafka, whole batches": "batches",
}
"""Three bare transactional producers: the usual way, the usual way in C, and the fastest way we know of."""


def openings(promises: int, due_ms: int) -> Iterator[tuple[bytes, bytes]]:
    """One order each whose delivery slot ends at one and the same instant."""
    stream = Stream(due_ms - FAR_MS, prefix="B")
    time_text, due = format_instant(due_ms - FAR_MS), format_instant(due_ms)
    for number in range(promises):
        yield stream.event(number, "delivery.planned", time_text, f',"slot_end":"{due}"')


def send_markers(broker: Broker, topic: str, instant_ms: int) -> float:
    """Say on every partition that everything before the instant is known; return when that was (s)."""
    producer = Producer({"bootstrap.servers": broker.server})
    sent = time.time()
    headers: list[tuple[str, str | bytes | None]] = [*marker_headers(instant_ms)]
    for partition in range(PARTITIONS):
        producer.produce(topic, None, None, partition, headers=headers)
    producer.flush(10)
    return sent


def measure(broker: Broker, size: float = 1.0, rounds: int | None = None) -> Part:
    """The worker first, since what it published says what has to be produced."""
    load, promises, rounds = os.getloadavg()[0], int(PROMISES * size), rounds or 3
    sizes = broker.folder / "burst.sizes"

    def ours() -> dict[str, float]:
        found, published = publish(broker, promises)
        sizes.write_text("".join(f"{key},{value},{number}\n" for (key, value), number in published.items()))
        return found

    ours()  # a first time, so that the first round's producers know the sizes too
    bare = {name: lambda kind=kind: produce(broker, sizes, kind) for name, kind in BARE.items()}
    found = interleaved(rounds, {OURS: ours, **bare})
    rows = [
        [name, f"{median(found[name], 'seconds'):.2f}", count(median(found[name], "per_second")),
         count(median(found[name], "cpu_us")), f"{median_ratio(found[OURS], found[name], 'seconds'):.2f}"]
        for name in found
    ]  # fmt: skip
    return finish(
        Part(
            name="burst",
            title=f"{promises:,} promises due at one instant",
            columns=["contender", "seconds", "records/s", "CPU us/record", "time of ours / of this"],
            rows=rows,
            goals=[
                Goal(f"time of {name}", median_ratio(found[OURS], found[name], "seconds"), 2, at_least=False)
                for name in BARE
            ],
            notes=[f"each promise is published as two records, a breach and an outcome: {promises * 2:,} records"],
            samples=dict(found),
            rounds=rounds,
        ),
        load,
    )


def publish(
    broker: Broker, promises: int, profile: Path | None = None
) -> tuple[dict[str, float], Counter[tuple[int, int]]]:
    """Have a worker publish the burst; return how long it took, and how many records of which sizes."""
    topic, app_id = unique("burst.events"), unique("burst")
    broker.create(topic)
    due_ms = int(time.time() * 1_000)
    broker.fill(topic, openings(promises, due_ms))
    book = broker.book(topic, frontier="markers")
    with runs.running_worker(broker, book, topic, app_id, profile=profile) as contender:
        runs.until(lambda: broker.committed(app_id, topic) >= promises, contender)
        before = broker.all_ends(BREACHES, OUTCOMES)
        sent = send_markers(broker, topic, due_ms + 1)
        runs.until(lambda: broker.committed(app_id, topic) >= promises + PARTITIONS, contender)
        ended = max(instant for instant, _, _ in broker.checkpoints(app_id))
        cpu = contender.cpu_seconds(sent, ended)
    published: Counter[tuple[int, int]] = Counter()
    for _, _, key, value, _ in broker.read(BREACHES, OUTCOMES, start=before):
        published[len(key or b""), len(value or b"")] += 1
    runs.forget(broker, app_id)
    broker.delete(topic)
    records = published.total()
    if records != 2 * promises:
        raise RuntimeError(f"found {records} published records, expected {2 * promises}")
    figures = {"begin": sent, "end": ended, "seconds": ended - sent, "per_second": records / (ended - sent)}
    return {**figures, "cpu_us": cpu / records * 1e6}, published


def produce(broker: Broker, sizes: Path, kind: str) -> dict[str, float]:
    """Have a bare producer produce as many records of the same sizes."""
    topic = unique("burst.produced")
    broker.create(topic)
    command = module("bench.contenders.producing", broker.server, topic, str(sizes), kind)
    with Contender(command, broker.folder / f"{topic}.log") as contender:
        said = runs.said(contender)
        cpu = contender.cpu_seconds(said["started"], said["ended"])
    broker.delete(topic)
    seconds, records = said["ended"] - said["started"], said["records"]
    return {"seconds": seconds, "per_second": records / seconds, "cpu_us": cpu / records * 1e6}
