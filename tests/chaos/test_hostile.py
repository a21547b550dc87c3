"""What no one should send, sent to a worker process on Apache Kafka: it goes on, and every such event is a dead letter
byte by byte.
"""

import asyncio
import base64
import json
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from promisewatch.brokers import ApacheKafka
from promisewatch.demonstration.processes import Child
from schemas import topics
from schemas.exits import ExitCode
from schemas.instants import format_instant
from schemas.markers import marker_headers
from tests.chaos.cluster import PARTITIONS
from tests.cli.running import promisewatch
from tests.streams.headernames import name, send_named

pytestmark = pytest.mark.kafka

BASE_MS = 1_777_000_000_000
SOURCE_BYTES = 8 << 20
LARGE = 5_000_000
PATIENCE_SECONDS = 180.0
BOOK = """
sources: {{shop: {{topic: {topic}, format: json, id: id, type: type, time: at, frontier: markers,
  doubt: {{dead_letters: never}}}}}}
defaults: {{timezone: Europe/Amsterdam, key: order_id, skew: 5m, retention: 36500d}}
promises: [{{id: told, when: {{event: placed}}, due: {{within: 15m}}, expect: {{event: told, where: {{kind: mail}}}}}}]
"""
HEADERS = [("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), ("empty", None), ("é", b"\xff")]


def placed(order: str, **more: Any) -> bytes:
    fields = {"id": f"placed-{order}", "type": "placed", "at": format_instant(BASE_MS), "order_id": order}
    return json.dumps({**fields, **more}).encode()


class Place:
    """A source topic that takes 8 MiB, the topics that belong to it, and a worker."""

    def __init__(self, broker: ApacheKafka, folder: Path, run: str) -> None:
        self.run = run
        self.topic = f"{run}.events"
        self.server = broker.bootstrap_server
        self.state = folder / "state"
        book = folder / "book.yaml"
        book.write_text(BOOK.format(topic=self.topic))
        source = NewTopic(self.topic, PARTITIONS, 1, config={topics.LARGEST: str(SOURCE_BYTES)})
        admin = AdminClient({"bootstrap.servers": self.server})
        admin.create_topics([source])[self.topic].result(30)
        common = ["--book", str(book), "--app-id", run, "--bootstrap-server", self.server]
        created = promisewatch("topics", "create", *common)
        assert created.code == 0, created
        worker = ["worker", *common, "--state-dir", str(self.state), "--http-port", "off"]
        self.worker = Child("hostile", worker, folder)

    def send(self, events: Iterable[bytes | None], compression: str = "none", headers: Any = None) -> None:
        """Publish with one compression, over all partitions, each event under a key of its own."""
        settings = {"bootstrap.servers": self.server, "compression.type": compression, "message.max.bytes": 64 << 20}
        producer = Producer(settings)
        for number, value in enumerate(events):
            producer.produce(self.topic, value, key=b"key-%d" % number, headers=headers)
        assert producer.flush(30) == 0

    def mark(self, hours: int) -> None:
        """Say on every partition that everything is there up to so many hours after the base."""
        producer = Producer({"bootstrap.servers": self.server})
        for partition in range(PARTITIONS):
            headers: Any = marker_headers(BASE_MS + hours * 3_600_000)
            producer.produce(self.topic, b"", partition=partition, headers=headers)
        assert producer.flush(30) == 0

    def read(self, topic: str, enough: Callable[[Sequence[Message]], bool]) -> list[Message]:
        """Everything on a topic, as soon as it is enough."""
        consumer = Consumer(
            {"bootstrap.servers": self.server, "group.id": self.run, "fetch.message.max.bytes": 64 << 20}
        )
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
        found: list[Message] = []
        deadline = time.monotonic() + PATIENCE_SECONDS
        try:
            while not enough(found):
                assert self.worker.running, self.worker.last_words(30)
                assert time.monotonic() < deadline, f"{len(found)} on {topic}\n{self.worker.last_words(30)}"
                message = consumer.poll(0.2)
                if message is not None and message.error() is None:
                    found.append(message)
        finally:
            consumer.close()
        return found

    def broken(self, orders: set[str]) -> None:
        """Wait until the promise is proved broken for all these orders."""

        waiting, seen = set(orders), 0

        def enough(found: Sequence[Message]) -> bool:
            nonlocal seen
            waiting.difference_update(json.loads(message.value() or b"{}")["subject"] for message in found[seen:])
            seen = len(found)
            return not waiting

        self.read(topics.BREACHES, enough)

    def drained(self) -> None:
        self.worker.signal(signal.SIGTERM)
        assert self.worker.wait(40) == ExitCode.OK, self.worker.last_words(30)


@contextmanager
def place(broker: ApacheKafka, folder: Path, run: str) -> Iterator[Place]:
    one = Place(broker, folder, run)
    one.worker.start()
    try:
        yield one
    finally:
        one.worker.stop()


@pytest.mark.timeout(300)  # two starts of a worker and 40 MB, perhaps on a busy machine
def test_hostile_events_of_any_size_and_compression_are_dead_letters_and_the_rest_is_judged(
    broker: ApacheKafka, tmp_path: Path, unique: Callable[[str], str], rng: Random
) -> None:
    """The source takes 8 MiB, so its dead letter topic is made to take more.

    5 MB that are an event are judged, 5 MB that are none arrive in the dead letters, and so does what a producer had
    compressed below its topic's limit. An event under a header whose name is no text is judged. Local state that is
    damaged then is read again from the changelog.
    """
    run = unique("hostile")[:60]
    noise = base64.b64encode(rng.randbytes(LARGE * 3 // 4))
    hostile = [
        b"x", b"\xff\xfe\x00", b"[]", b"{" * 100_000, placed("a\x1fb"), placed("N" * 1_000_000),
        placed("T", at="9" * 1_000_000), placed("F", at="9999-12-31T23:59:59Z"), placed("Y", at="0000-01-01T00:00:00Z"),
        placed("I", id=10**600),
        placed("S").replace(b'"S"', b'"\\ud800"'), None,
    ]  # fmt: skip
    squeezed = b"not json " * 1_500_000  # 13.5 MB that take some kilobytes on their way
    large = {"none": [noise], "zstd": [noise, squeezed]}
    compressions = ("none", "gzip", "lz4", "snappy", "zstd")
    orders = {f"{run}-{compression}" for compression in compressions}
    bad = len(hostile) * len(compressions) + 3
    with place(broker, tmp_path, run) as one:
        for compression in compressions:
            one.send([*hostile, *large.get(compression, [])], compression, HEADERS)
            note = noise.decode() if compression in large else ""
            one.send([placed(f"{run}-{compression}", note=note)], compression)
        named = f"{run}-named"
        asyncio.run(send_named(one.server, one.topic, 0, placed(named), name(b"\xff\xfe")))
        one.mark(1)
        one.broken({*orders, named})
        sent = one.read(one.topic, lambda found: len(found) >= bad + len(orders) + 1 + PARTITIONS)
        values = {(message.partition(), message.offset()): message for message in sent}
        letters = one.read(topics.dlq(one.topic), lambda found: len(found) >= bad)
        assert len(letters) == bad
        for letter in letters:
            headers = letter.headers() or []
            why = dict(headers)
            record = values[letter.partition(), int(why["dlq-original-offset"])]
            assert letter.value() == record.value()
            assert letter.key() == record.key()
            assert headers[: len(HEADERS)] == HEADERS
            assert why["dlq-exception-class"]
        assert sum(len(letter.value() or b"") == len(noise) for letter in letters) == 2
        assert sum(len(letter.value() or b"") == len(squeezed) for letter in letters) == 1
        one.drained()
        for current in one.state.rglob("CURRENT"):
            current.write_bytes(b"?")
        one.worker.start()
        again = f"{run}-again"
        one.send([placed(again, at=format_instant(BASE_MS + 1)), placed(f"{run}-none")])
        one.mark(2)
        one.broken({again})
        assert one.worker.log.read_text().count("local state is damaged") == PARTITIONS
        one.drained()
