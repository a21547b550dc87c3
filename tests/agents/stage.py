"""Ingest and detector as processes on Apache Kafka, for one test: its topics, its book, and what they publish."""

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from promisewatch.brokers import ApacheKafka
from promisewatch.demonstration.processes import Child
from schemas.instants import format_instant
from schemas.markers import marker_headers
from schemas.topics import BREACHES, FACTS, OUTCOMES, changelog, texts_changelog
from tests.brokers import wait_until_known
from tests.cli.running import promisewatch

PARTITIONS = 8
"""As many as the other tests of the session give to the topics that all books share."""
PATIENCE_SECONDS = 120.0
PLACES = [(topic, partition) for topic in (BREACHES, OUTCOMES) for partition in range(PARTITIONS)]


class Stage:
    """The topics and processes of one run."""

    def __init__(self, broker: ApacheKafka, folder: Path, run: str, book: str) -> None:
        self.broker, self.folder, self.run = broker, folder, run
        self.facts = f"{run}.{FACTS}"
        self.book = folder / "book.yaml"
        self.book.write_text(book.format(run=run))
        self.children: list[Child] = []
        self.begin = dict.fromkeys(PLACES, 0)
        self.create({BREACHES: PARTITIONS, OUTCOMES: PARTITIONS})

    def create(self, topics: dict[str, int]) -> None:
        admin = AdminClient({"bootstrap.servers": self.broker.bootstrap_server})
        for future in admin.create_topics([NewTopic(name, count, 1) for name, count in topics.items()]).values():
            future.exception(30)  # the shared ones may be there
        wait_until_known(admin, topics)

    def process(self, command: str, app: str, *options: str) -> Child:
        """Start a process of this run under an application id."""
        self.create({changelog(app): PARTITIONS, texts_changelog(app): 1, BREACHES: PARTITIONS, OUTCOMES: PARTITIONS})
        arguments = ("--book", str(self.book), "--bootstrap-server", self.broker.bootstrap_server, "--app-id", app)
        child = Child(app, [command, *arguments, "--session-timeout", "6", *options], self.folder)
        child.start()
        self.children.append(child)
        return child

    def worker(self, app: str, *options: str) -> Child:
        return self.process("worker", app, "--state-dir", str(self.folder / app), "--facts-topic", self.facts, *options)

    def ingest(self, app: str) -> Child:
        return self.process("ingest", app, "--facts-topic", self.facts, "--marker-interval", "0.1")

    def feed(self, *recordings: str) -> None:
        server = self.broker.bootstrap_server
        done = promisewatch("feed", "--book", self.book, "--bootstrap-server", server, *recordings)
        assert done.code == 0, done.err

    def tell(self, topic: str, partitions: int, events: Iterable[dict[str, Any]], complete_until: int) -> None:
        """Put events about orders on a source topic, and behind them on each partition how far it is complete."""
        producer = Producer({"bootstrap.servers": self.broker.bootstrap_server})
        for event in events:
            producer.produce(topic, json.dumps(event), key=event["order_id"])
        producer.flush()  # nothing may come after what says that everything has come
        for partition in range(partitions):
            producer.produce(topic, b"", partition=partition, headers=list(marker_headers(complete_until)))
        producer.flush()

    def verdicts(self, as_of: int, *recordings: str) -> dict[tuple[str, str, str], str]:
        """Status by promise, subject and cycle, as a backtest of the recordings tells it."""
        options = ["--book", self.book, "--as-of", format_instant(as_of), "--output", "json"]
        done = promisewatch("backtest", *options, *recordings)
        return {
            (row["promise"], row["subject"], row["cycle"]): row["status"]
            for row in done.rows()
            if row["status"] != "open"
        }  # fmt: skip

    def ends(self, places: Iterable[tuple[str, int]] = PLACES) -> dict[tuple[str, int], int]:
        """Where partitions end, if not told otherwise those that are published to. A topic made just now may have no
        leader yet.
        """
        consumer, deadline = self.consumer(), time.monotonic() + PATIENCE_SECONDS
        try:
            while True:
                try:
                    return {
                        place: consumer.get_watermark_offsets(TopicPartition(*place), timeout=30)[1] for place in places
                    }
                except KafkaException:
                    assert time.monotonic() < deadline
                    time.sleep(0.2)
        finally:
            consumer.close()

    def consumer(self) -> Consumer:
        server = self.broker.bootstrap_server
        return Consumer({"bootstrap.servers": server, "group.id": "r", "enable.auto.commit": False, "log_level": 0})

    def published(self) -> list[dict[str, Any]]:
        """Every event of this run since its beginning, or since `forget`."""
        ends, consumer, found = self.ends(), self.consumer(), []
        consumer.assign([TopicPartition(*place, self.begin[place]) for place in ends])
        deadline = time.monotonic() + PATIENCE_SECONDS
        while any(self.at(consumer, place) < end for place, end in ends.items()):
            assert time.monotonic() < deadline
            found += [json.loads(record.value()) for record in consumer.consume(500, 0.2)]
        consumer.close()
        return [event for event in found if event["subject"].startswith(f"{self.run}-")]

    def at(self, consumer: Consumer, place: tuple[str, int]) -> int:
        """Where the consumer is: transactions' markers have offsets, and are never seen."""
        position = consumer.position([TopicPartition(*place)])[0].offset
        return self.begin[place] if position < 0 else position

    def until(
        self, wanted: dict[tuple[str, str, str], str], promises: tuple[str, ...] | None = None
    ) -> list[dict[str, Any]]:
        """Wait for these verdicts (of some promises only); everything that was published by then."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            found = self.published()
            of_these = [event for event in found if promises is None or event["data"]["promise"] in promises]
            wrong = set(wanted.items() ^ folded(of_these).items())
            if not wrong:
                return found
            told = "\n".join(child.last_words(20) for child in self.children)
            assert time.monotonic() < deadline, f"{sorted(wrong)[:10]}\n{told}"
            assert all(child.running for child in self.children), told
            time.sleep(0.3)

    def forget(self) -> None:
        """Leave out of `published` what is there by now."""
        self.begin = dict.fromkeys(PLACES, 0)
        self.create({BREACHES: PARTITIONS, OUTCOMES: PARTITIONS})

    def stop(self) -> None:
        for child in self.children:
            child.stop()
        self.children = []


def folded(events: list[dict[str, Any]]) -> dict[tuple[str, str, str], str]:
    """The newest status of each cycle."""
    newest: dict[tuple[str, str, str], dict[str, Any]] = {}
    for event in events:
        data = event["data"]
        name = (data["promise"], data["subject"], data["cycle"])
        if name not in newest or newest[name]["revision"] <= data["revision"]:
            newest[name] = data
    return {name: data["status"] for name, data in newest.items()}
