"""The Olist example through the whole pipeline on Apache Kafka: feed, worker, topics, read back and compared with SQL.

Without the shared data or without Apache Kafka these tests are skipped, visibly.
"""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from promisewatch.brokers import ApacheKafka
from promisewatch.demonstration.processes import Child
from schemas.topics import BREACHES, OUTCOMES
from tests.brokers import apache_kafka
from tests.cli.running import promisewatch
from tests.examples.test_olist import (
    AS_OF,
    BOOK,
    EARLIER,
    EVENTS,
    Verdict,
    Verdicts,
    database,
    milliseconds,
    shuffle,
    truth,
)

__all__ = ["database"]

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]
PARTITIONS = 8
TOPIC = "olist.events"
GROUP = "promisewatch"


@pytest.fixture
def broker() -> Iterator[ApacheKafka]:
    """Apache Kafka for one test: the names of the output topics are fixed."""
    with apache_kafka() as broker:
        yield broker


def play(broker: ApacheKafka, folder: Path, recording: Path, as_of: str) -> None:
    """Run a worker, feed the recording up to `as_of`, and wait until all of it is processed."""
    server = ("--bootstrap-server", broker.bootstrap_server)
    made = promisewatch("topics", "create", "--book", BOOK, *server, "--partitions", str(PARTITIONS))
    assert made.code == 0, made.err
    arguments = ["worker", "--book", str(BOOK), *server, "--state-dir", str(folder / "state")]
    worker = Child("worker", arguments, folder)
    worker.start()
    try:
        fed = promisewatch("feed", "--book", BOOK, *server, "--as-of", as_of, f"olist={recording}")
        assert fed.code == 0, fed.err
        asyncio.run(processed(broker.bootstrap_server, worker))
    finally:
        assert worker.stop(60) == 0, worker.last_words()


async def processed(server: str, worker: Child) -> None:
    """Wait until the worker has processed everything in the source topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=server)
    admin = AIOKafkaAdminClient(bootstrap_servers=server)
    await consumer.start()
    await admin.start()
    partitions = [TopicPartition(TOPIC, partition) for partition in range(PARTITIONS)]
    ends = await consumer.end_offsets(partitions)
    deadline = time.monotonic() + 120
    while True:
        try:
            reached = await admin.list_consumer_group_offsets(GROUP)
        except KafkaError:
            reached = {}  # the group is not there before the worker is
        if all(tp in reached and reached[tp].offset >= end for tp, end in ends.items()):
            break
        assert worker.running, worker.last_words()
        assert time.monotonic() < deadline, f"found {reached}, expected {ends}\n{worker.last_words()}"
        await asyncio.sleep(0.2)
    await admin.close()
    await consumer.stop()


async def read(server: str, topic: str) -> list[dict[str, Any]]:
    """Every event of an output topic, read committed, in the order of each partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=server, isolation_level="read_committed")
    await consumer.start()
    partitions = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
    consumer.assign(partitions)
    await consumer.seek_to_beginning()
    ends, found = await consumer.end_offsets(partitions), []
    while any([await consumer.position(tp) < end for tp, end in ends.items()]):
        for records in (await consumer.getmany(timeout_ms=300)).values():
            found += [json.loads(record.value) for record in records]
    await consumer.stop()
    return found


def final(outcomes: list[dict[str, Any]]) -> Verdicts:
    """The verdicts in force: of each cycle the highest revision; none where it is void."""
    newest: dict[tuple[str, str, str], dict[str, Any]] = {}
    for event in outcomes:
        data = event["data"]
        cycle = (data["promise"], data["subject"], data["cycle"])
        if cycle not in newest or data["revision"] > newest[cycle]["revision"]:
            newest[cycle] = data
    return {
        (promise, subject): Verdict(milliseconds(data["due"]) or 0, data["status"], milliseconds(data["fulfilled_at"]))
        for (promise, subject, _), data in newest.items()
        if data["status"] not in ("void", "open")
    }


def settled(verdicts: Verdicts) -> Verdicts:
    """All but the open ones, about which nothing is published."""
    return {cycle: verdict for cycle, verdict in verdicts.items() if verdict.status != "open"}


def test_in_order_every_settled_row_is_published_once_and_nothing_is_taken_back(
    broker: ApacheKafka, database: duckdb.DuckDBPyConnection, shared_data: Path, tmp_path: Path
) -> None:
    """23,628 verdicts, 6,599 breaches each before its late fulfilment, no retraction, no event id twice."""
    play(broker, tmp_path, shared_data / EVENTS, AS_OF)
    outcomes = asyncio.run(read(broker.bootstrap_server, OUTCOMES))
    breaches = asyncio.run(read(broker.bootstrap_server, BREACHES))
    assert final(outcomes) == settled(truth(database, AS_OF))
    assert len(final(outcomes)) == 23_628
    kinds = Counter(event["type"] for event in breaches)
    assert kinds == {"promise.breached.v1": 6_599, "promise.fulfilled_late.v1": 1_461 + 606 + 415}
    known: set[tuple[str, str]] = set()
    for event in breaches:
        cycle = (event["data"]["promise"], event["data"]["cycle"])
        if event["type"] == "promise.breached.v1":
            known.add(cycle)
        else:
            assert cycle in known
    ids = [event["id"] for event in (*outcomes, *breaches)]
    assert len(ids) == len(set(ids))


def test_shuffled_within_an_hour_and_with_duplicates_the_final_verdicts_are_the_same(
    broker: ApacheKafka,
    database: duckdb.DuckDBPyConnection,
    shared_data: Path,
    tmp_path: Path,
    rng: random.Random,
) -> None:
    """Arrival order and repetition change nothing that remains."""
    shuffled, _ = shuffle(shared_data / EVENTS, tmp_path, rng)
    play(broker, tmp_path, shuffled, AS_OF)
    assert final(asyncio.run(read(broker.bootstrap_server, OUTCOMES))) == settled(truth(database, AS_OF))


@pytest.mark.full
@pytest.mark.parametrize("as_of", EARLIER)
def test_fed_up_to_an_earlier_instant_the_topics_hold_what_was_settled_then(
    broker: ApacheKafka, database: duckdb.DuckDBPyConnection, shared_data: Path, tmp_path: Path, as_of: str
) -> None:
    """Also where dues equal the instant: those are still open."""
    play(broker, tmp_path, shared_data / EVENTS, as_of)
    assert final(asyncio.run(read(broker.bootstrap_server, OUTCOMES))) == settled(truth(database, as_of))
