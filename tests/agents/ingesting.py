"""An ingest process on Apache Kafka, what its sources tell it, and what is on the facts topic then."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.partitioner import murmur2
from confluent_kafka.admin import AdminClient, NewTopic

from promisewatch.brokers import ApacheKafka
from promisewatch.demonstration.processes import Child
from schemas.factrecords import decode_fact
from schemas.instants import format_instant
from schemas.markers import marker_headers
from schemas.topics import dlq, texts_changelog
from schemas.vectors import VectorMarker, read_vector

FACTS_PARTITIONS = 5
SHOP_PARTITIONS, ERP_PARTITIONS = 3, 2
SETTLE_MS = 3_000
PATIENCE_SECONDS = 90.0

BOOK = f"""
sources:
  shop: {{{{topic: {{run}}.shop, format: json, id: id, type: type, time: at, settle: {SETTLE_MS}ms}}}}
  erp: {{{{topic: {{run}}.erp, format: cloudevents, frontier: markers}}}}
defaults: {{{{timezone: Europe/Amsterdam, key: order_id, skew: 5m}}}}
promises:
- {{{{id: told, when: {{{{event: paid}}}}, due: {{{{within: 1h}}}},
   expect: {{{{event: told, where: {{{{kind: receipt}}}}}}}}}}}}
- {{{{id: booked, key: customer_id, when: {{{{event: paid, again: true}}}}, due: {{{{within: 2h}}}},
   expect: {{{{event: booked}}}}}}}}
"""


class Said(NamedTuple):
    """A fact: what was said, about whom, by which source partition, and where it has to be."""

    source: str
    id: str
    type: str
    time: int
    key: bytes
    partition: int


class Sent(NamedTuple):
    """A record of a source partition, and the facts that it holds."""

    value: bytes
    headers: list[tuple[str, bytes]]
    facts: list[tuple[Said, str]]
    """Each with the source partition it is read from, as vectors name it."""


class Held(NamedTuple):
    """What is on one facts partition, in order: offset, and a fact or a vector."""

    facts: list[tuple[int, Said, dict[str, Any]]]
    vectors: list[tuple[int, VectorMarker]]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def home(key: bytes) -> int:
    """The facts partition of a subject, as Kafka's own partitioner has it."""
    return (murmur2(key) & 0x7FFFFFFF) % FACTS_PARTITIONS


def shop_event(number: int, at: int, partition: int, **fields: Any) -> Sent:
    """A payment or message in JSON: about an order, and about a customer where it names one."""
    event = {"id": f"s{number}", "at": format_instant(at), "type": "paid", "order_id": f"O-{number % 7}", **fields}
    facts = []
    for key in ("order_id", "customer_id"):
        if event.get(key) and not (key == "customer_id" and event["type"] != "paid"):
            stored_as = f"{key}\x1f{event[key]}".encode()
            facts.append(
                (Said("shop", event["id"], event["type"], at, stored_as, home(stored_as)), f"shop/{partition}")
            )
    return Sent(json.dumps(event).encode(), [], facts)


def erp_event(number: int, at: int, partition: int, *, binary: bool, customer: str) -> Sent:
    """A booking as a CloudEvent."""
    attributes = {
        "specversion": "1.0",
        "id": f"e{number}",
        "source": "/erp",
        "type": "booked",
        "time": format_instant(at),
    }
    data = {"customer_id": customer, "ledger": 4}
    stored_as = f"customer_id\x1f{customer}".encode()
    facts = [(Said("/erp", f"e{number}", "booked", at, stored_as, home(stored_as)), f"erp/{partition}")]
    if binary:
        headers = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
        return Sent(json.dumps(data).encode(), [*headers, ("content-type", b"application/json")], facts)
    value = json.dumps({**attributes, "data": data}).encode()
    return Sent(value, [("content-type", b"application/cloudevents+json")], facts)


class Stage:
    """Two sources, the topics of an ingest, and its process."""

    def __init__(self, broker: ApacheKafka, folder: Path, run: str) -> None:
        self.broker = broker
        self.run = run
        self.admin = AdminClient({"bootstrap.servers": broker.bootstrap_server})
        self.facts = f"{run}.facts"
        self.topics = {"shop": f"{run}.shop", "erp": f"{run}.erp"}
        self.partitions = {"shop": SHOP_PARTITIONS, "erp": ERP_PARTITIONS}
        self.book = folder / "book.yaml"
        self.book.write_text(BOOK.format(run=run))
        self.expected: dict[Said, str] = {}
        self.create({self.topics[name]: count for name, count in self.partitions.items()})
        self.create({dlq(self.topics[name]): count for name, count in self.partitions.items()})
        self.create({self.facts: FACTS_PARTITIONS, texts_changelog(run): 1})
        arguments = ("--book", str(self.book), "--app-id", run, "--facts-topic", self.facts, "--marker-interval", "0.1")
        server = ("--bootstrap-server", broker.bootstrap_server, "--session-timeout", "6", "--instance-id", "one")
        self.ingest = Child("ingest", ["ingest", *arguments, *server], folder)

    def create(self, topics: dict[str, int]) -> None:
        for name, count in topics.items():
            deadline = time.monotonic() + 30
            while (error := self.admin.create_topics([NewTopic(name, count, 1)])[name].exception(30)) is not None:
                assert time.monotonic() < deadline, error  # one that is being deleted is in the way for a moment
                time.sleep(0.1)

    def delete(self, topic: str) -> None:
        self.admin.delete_topics([topic])[topic].result(30)

    async def send(
        self, producer: AIOKafkaProducer, source: str, partition: int, sent: Sent, key: bytes = b"k"
    ) -> None:
        """Write to a source partition; its facts are expected from then on."""
        self.expected.update(sent.facts)
        await producer.send(self.topics[source], sent.value, key=key, headers=sent.headers, partition=partition)

    async def mark(self, producer: AIOKafkaProducer, complete_until: int) -> None:
        """Have the ERP promise that it is complete."""
        for partition in range(ERP_PARTITIONS):
            await producer.send(self.topics["erp"], b"", partition=partition, headers=marker_headers(complete_until))

    def producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(bootstrap_servers=self.broker.bootstrap_server, acks="all")

    async def read(self, topic: str, count: int) -> dict[int, list[Any]]:
        """Everything on a topic now, by partition and in order."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.broker.bootstrap_server, fetch_max_wait_ms=50)
        await consumer.start()
        try:
            places = [TopicPartition(topic, partition) for partition in range(count)]
            consumer.assign(places)
            await consumer.seek_to_beginning()
            found: dict[int, list[Any]] = {partition: [] for partition in range(count)}
            ends = await consumer.end_offsets(places)
            while any([await consumer.position(place) < end for place, end in ends.items()]):
                for place, records in (await consumer.getmany(timeout_ms=200)).items():
                    found[place.partition] += records
            return found
        finally:
            await consumer.stop()

    async def held(self) -> dict[int, Held]:
        """What is on the facts topic, by partition."""
        found = {}
        for partition, records in (await self.read(self.facts, FACTS_PARTITIONS)).items():
            one = found[partition] = Held([], [])
            for record in records:
                vector = read_vector(record.value, record.headers)
                if vector is not None:
                    one.vectors.append((record.offset, vector))
                    continue
                fact = decode_fact(record.value)
                said = Said(fact.source, fact.id, fact.type, fact.time, record.key, partition)
                one.facts.append((record.offset, said, fact.data))
        return found

    async def until(self, what: str, true: Callable[[dict[int, Held]], bool]) -> dict[int, Held]:
        """Wait until what is on the facts topic is as it should be."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not true(found := await self.held()):
            assert time.monotonic() < deadline, f"waited for {what}\n{self.ingest.last_words(40)}"
            assert self.ingest.running, self.ingest.last_words(40)
            await asyncio.sleep(0.2)
        return found

    async def all_sent(self) -> dict[int, Held]:
        """Wait for every fact that is expected."""
        return await self.until("every fact", lambda found: told(found) >= set(self.expected))

    async def complete(self, instant: int) -> dict[int, Held]:
        """Wait until vectors on every facts partition say that every source partition is complete up to `instant`."""
        names = {f"{source}/{partition}" for source, count in self.partitions.items() for partition in range(count)}

        def reached(found: dict[int, Held]) -> bool:
            return all(names <= passed(one, instant) for one in found.values())

        return await self.until(f"vectors past {instant}", reached)


def told(found: dict[int, Held]) -> set[Said]:
    """Every fact on the facts topic."""
    return {said for one in found.values() for _, said, _ in one.facts}


def passed(one: Held, instant: int) -> set[str]:
    """The source partitions that a vector on this facts partition has passed an instant with."""
    return {
        name
        for _, vector in one.vectors
        for name, mark in vector.marks.items()
        if mark.frontier is not None and mark.frontier >= instant
    }


def broken_promises(found: dict[int, Held], expected: dict[Said, str]) -> list[str]:
    """Where a vector says that a source partition is complete up to an instant, and a fact dated before lies behind it;
    and where a fact lies before the first vector that names its source partition.
    """
    problems = []
    for partition, one in found.items():
        first: dict[Said, int] = {}
        for offset, said, _ in one.facts:
            first.setdefault(said, offset)
        for said, name in expected.items():
            if said.partition != partition:
                continue
            offset = first.get(said)
            named = min((at for at, vector in one.vectors if name in vector.marks), default=None)
            if offset is not None and (named is None or named > offset):
                problems.append(f"{said} at {offset}, and {name} was first named at {named}")
            for at, vector in one.vectors:
                mark = vector.marks.get(name)
                if mark is None or mark.frontier is None or mark.frontier <= said.time:
                    continue
                if offset is None or offset > at:
                    problems.append(f"{said} at {offset}, and {name} was complete up to {mark.frontier} at {at}")
    return problems


@contextmanager
def stage(broker: ApacheKafka, folder: Path, run: str) -> Iterator[Stage]:
    """A stage whose process has ended afterwards."""
    one = Stage(broker, folder, run)
    try:
        yield one
    finally:
        one.ingest.stop()
