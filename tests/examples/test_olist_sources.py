"""The Olist orders as four systems tell of them: through ingest and detect on Apache Kafka, and compared with SQL.

Without the shared data or without Apache Kafka these tests are skipped, visibly.
"""

import asyncio
import gzip
import heapq
import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from promisewatch.brokers import ApacheKafka
from promisewatch.demonstration.processes import Child
from schemas.markers import marker_headers
from schemas.topics import BREACHES, OUTCOMES
from tests.brokers import apache_kafka
from tests.cli.running import ROOT, promisewatch
from tests.examples.test_olist import AS_OF, EVENTS, database, milliseconds, truth
from tests.examples.test_olist_live import PARTITIONS, final, read, settled

__all__ = ["database"]

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]
BOOK = ROOT / "examples" / "olist" / "four-systems.yaml"
DAY_MS = 86_400_000
PATIENCE_SECONDS = 200


class System(NamedTuple):
    """One of the four: its partitions, which member its records are keyed by, and how late it tells."""

    partitions: int
    key: str | None
    delay_ms: int


SYSTEMS = {
    "orders": System(4, "order_id", 0),
    "payments": System(3, "event_id", DAY_MS // 24),
    "shipments": System(6, None, 2 * DAY_MS),
    "reviews": System(2, "event_id", DAY_MS // 2),
}
OF_TYPE = {
    "order_placed": "orders",
    "payment_approved": "payments",
    "handed_to_carrier": "shipments",
    "delivered": "shipments",
    "review_requested": "reviews",
    "review_answered": "reviews",
}


@pytest.fixture
def broker() -> Iterator[ApacheKafka]:
    """Apache Kafka for one test: the names of the output topics are fixed."""
    with apache_kafka() as broker:
        yield broker


class Told(NamedTuple):
    """One record as its system tells it: when (its time and the system's delay), an event or a marker."""

    at: int
    system: str
    key: bytes | None
    value: bytes
    complete_until: int | None


def events(recording: Path) -> Iterator[Told]:
    with gzip.open(recording, "rb") as lines:
        for line in lines:
            event = json.loads(line)
            name = OF_TYPE[event["type"]]
            system = SYSTEMS[name]
            happened = round(datetime.fromisoformat(event["occurred_at"]).timestamp() * 1000)
            key = None if system.key is None else event[system.key].encode()
            yield Told(happened + system.delay_ms, name, key, line.strip(), None)


def markers(first: int, last: int) -> Iterator[Told]:
    """Once a day each system says how far it is complete, and in the end that it is."""
    for name, system in SYSTEMS.items():
        instants = [*range(first, last, DAY_MS), last]
        yield from (Told(instant + system.delay_ms, name, None, b"", instant) for instant in instants)


async def tell(server: str, recording: Path, as_of: int) -> None:
    """Let the four systems tell everything, each at its own pace."""
    told = sorted(events(recording), key=lambda one: one.at)
    everything = heapq.merge(told, sorted(markers(told[0].at, as_of), key=lambda one: one.at), key=lambda one: one.at)
    producer = AIOKafkaProducer(bootstrap_servers=server, acks="all", linger_ms=5)
    await producer.start()
    pending = []
    for one in everything:
        topic = f"olist.{one.system}"
        if one.complete_until is None:
            pending.append(await producer.send(topic, one.value, key=one.key))
            continue
        headers = marker_headers(one.complete_until)
        partitions = range(SYSTEMS[one.system].partitions)
        pending += [await producer.send(topic, b"", partition=each, headers=headers) for each in partitions]
    await asyncio.gather(*pending)
    await producer.stop()


async def make_sources(server: str) -> None:
    """The topics of the four systems, which are theirs to make."""
    admin = AIOKafkaAdminClient(bootstrap_servers=server)
    await admin.start()
    await admin.create_topics([NewTopic(f"olist.{name}", one.partitions, 1) for name, one in SYSTEMS.items()])
    await admin.close()


async def published(server: str, expected: dict[tuple[str, str], Any], workers: list[Child]) -> list[dict[str, Any]]:
    """The outcomes, once they say what is expected; or whatever they say when patience ends."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        outcomes = await read(server, OUTCOMES)
        if final(outcomes) == expected or time.monotonic() > deadline:
            return outcomes
        for worker in workers:
            assert worker.running, worker.last_words()
        await asyncio.sleep(2)


def test_four_systems_with_keys_and_delays_of_their_own_give_the_verdicts_of_one_stream(
    broker: ApacheKafka, database: duckdb.DuckDBPyConnection, shared_data: Path, tmp_path: Path
) -> None:
    """23,628 verdicts, 6,599 breaches each before its late fulfilment, nothing taken back, though parcels are told of
    two days late."""
    server = ("--bootstrap-server", broker.bootstrap_server)
    book = ("--book", str(BOOK))
    asyncio.run(make_sources(broker.bootstrap_server))
    made = promisewatch("topics", "create", *book, *server, "--facts-partitions", str(PARTITIONS))
    assert made.code == 0, made.err
    ingest = Child("ingest", ["ingest", *book, *server, "--marker-interval", "0.2"], tmp_path)
    worker = Child("worker", ["worker", *book, *server, "--state-dir", str(tmp_path / "state")], tmp_path)
    expected = settled(truth(database, AS_OF))
    as_of = milliseconds(AS_OF)
    assert as_of is not None
    ingest.start()
    worker.start()
    try:
        asyncio.run(tell(broker.bootstrap_server, shared_data / EVENTS, as_of))
        outcomes = asyncio.run(published(broker.bootstrap_server, expected, [ingest, worker]))
    finally:
        codes = [child.stop(60) for child in (ingest, worker)]
    assert codes == [0, 0], ingest.last_words() + worker.last_words()
    breaches = asyncio.run(read(broker.bootstrap_server, BREACHES))
    assert final(outcomes) == expected
    assert len(expected) == 23_628
    kinds = Counter(event["type"] for event in breaches)
    assert kinds == {"promise.breached.v1": 6_599, "promise.fulfilled_late.v1": 1_461 + 606 + 415}
    ids = [event["id"] for event in (*outcomes, *breaches)]
    assert len(ids) == len(set(ids))
