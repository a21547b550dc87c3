"""Ingest and detector as two processes on Apache Kafka: together they publish what one alone does, and what is true."""

import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from promisewatch.brokers import ApacheKafka
from promisewatch.demonstration.processes import Child
from schemas.instants import format_instant, parse_instant
from schemas.topics import BREACHES, FACTS, OUTCOMES, changelog, dlq, texts_changelog
from tests.cli.running import promisewatch

pytestmark = [pytest.mark.kafka]

PARTITIONS = 8
"""As many as the other tests of the session give to the topics that all books share."""
PATIENCE_SECONDS = 120.0
PLACES = [(topic, partition) for topic in (BREACHES, OUTCOMES) for partition in range(PARTITIONS)]
BEGAN = parse_instant("2026-03-02T09:00:00Z", None)
MINUTE = 60_000

ONE = """
sources: {{shop: {{topic: {run}.shop, format: json, id: id, type: type, time: at, frontier: markers}}}}
defaults: {{timezone: Europe/Amsterdam, key: order_id, skew: 5m}}
promises:
- {{id: told, when: {{event: paid}}, due: {{within: 15m}}, expect: {{event: told}}}}
- {{id: shipped, when: {{event: paid}}, due: {{within: 2h}}, expect: {{event: shipped}}, release: {{event: cancelled}}}}
- {{id: made-good, when: {{breach_of: shipped}}, due: {{within: 3h}}, expect: {{event: refunded}}}}
"""
TWO = """
sources:
  shop: {{topic: {run}.shop, format: json, id: id, type: type, time: at, frontier: markers,
          events: [paid, told, cancelled]}}
  post: {{topic: {run}.post, format: cloudevents, frontier: markers, events: [shipped, refunded]}}
defaults: {{timezone: Europe/Amsterdam, key: order_id, skew: 5m}}
promises:
- {{id: told, when: {{event: paid}}, due: {{within: 15m}}, expect: {{event: told}}}}
- {{id: shipped, when: {{event: paid}}, due: {{within: 2h}}, expect: {{event: shipped}}, release: {{event: cancelled}}}}
- {{id: made-good, when: {{breach_of: shipped}}, due: {{within: 3h}}, expect: {{event: refunded}}}}
- {{id: thanked, key: customer_id, when: {{event: paid, again: true}}, due: {{within: 1h}}, expect: {{event: told}}}}
"""


def story(chance: random.Random, run: str, orders: int) -> list[dict[str, Any]]:
    """What happened to some orders, in order of time: half of it in time, some too late, some never."""
    events = []
    for number in range(orders):
        paid = BEGAN + chance.randrange(600) * MINUTE
        told = {"order_id": f"{run}-{number}", "customer_id": f"{run}-c{number % 5}"}
        events.append({"type": "paid", "at": paid, **told})
        for kind, minutes in (("told", 15), ("shipped", 120), ("cancelled", 120), ("refunded", 320)):
            if chance.random() < (0.2 if kind == "cancelled" else 0.7):
                events.append({"type": kind, "at": paid + chance.randrange(minutes * 2) * MINUTE, **told})
    events.sort(key=lambda event: event["at"])
    return [{"id": f"e{number}", **event, "at": format_instant(event["at"])} for number, event in enumerate(events)]


def as_cloudevent(event: dict[str, Any]) -> dict[str, Any]:
    data = {name: event[name] for name in ("order_id", "customer_id")}
    return {
        "specversion": "1.0",
        "id": event["id"],
        "source": "/post",
        "type": event["type"],
        "time": event["at"],
        "data": data,
    }


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

    def verdicts(self, as_of: int, *recordings: str) -> dict[tuple[str, str, str], str]:
        """Status by promise, subject and cycle, as a backtest of the recordings tells it."""
        options = ["--book", self.book, "--as-of", format_instant(as_of), "--output", "json"]
        done = promisewatch("backtest", *options, *recordings)
        return {
            (row["promise"], row["subject"], row["cycle"]): row["status"]
            for row in done.rows()
            if row["status"] != "open"
        }  # fmt: skip

    def ends(self) -> dict[tuple[str, int], int]:
        """Where the topics that are published to end. A topic made just now may have no leader yet."""
        consumer, deadline = self.consumer(), time.monotonic() + PATIENCE_SECONDS
        try:
            while True:
                try:
                    return {
                        place: consumer.get_watermark_offsets(TopicPartition(*place), timeout=30)[1] for place in PLACES
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


def timeless(events: list[dict[str, Any]]) -> list[str]:
    """The events without when they were published."""
    told = []
    for event in events:
        data = {name: value for name, value in event["data"].items() if name != "detected_at"}
        told.append(json.dumps({**event, "time": "", "data": data}, sort_keys=True))
    return sorted(told)


@pytest.fixture
def stage(kafka: ApacheKafka, tmp_path: Path, unique: Callable[[str], str]) -> Iterator[Callable[[str], Stage]]:
    """stage(book) -> a stage of its own, cleared afterwards."""
    made: list[Stage] = []

    def make(book: str) -> Stage:
        made.append(Stage(kafka, tmp_path, unique("sources"), book))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def test_direct_mode_and_facts_mode_publish_the_same_events(stage: Callable[[str], Stage], rng: random.Random) -> None:
    """Byte for byte but for when they were published: ids, revisions, evidence."""
    one = stage(ONE)
    topic = f"{one.run}.shop"
    one.create({topic: PARTITIONS, dlq(topic): PARTITIONS, one.facts: PARTITIONS, dlq(one.facts): PARTITIONS})
    recording = one.folder / "shop.jsonl"
    events = story(rng, one.run, 60)
    recording.write_text("".join(json.dumps(event) + "\n" for event in events))
    end = BEGAN + 3_000 * MINUTE
    wanted = one.verdicts(end, f"shop={recording}")
    assert set(wanted.values()) == {"kept", "released", "breached", "fulfilled_late"}
    one.feed(f"shop={recording}", "--as-of", format_instant(end))
    one.worker(f"{one.run}-direct")
    direct = one.until(wanted)
    one.stop()
    one.forget()
    one.worker(f"{one.run}-facts", "--input", "facts")
    one.ingest(f"{one.run}-ingest")
    facts = one.until(wanted)
    assert timeless(facts) == timeless(direct)


def test_promises_across_two_systems_and_two_keys_are_judged_as_in_a_backtest(
    stage: Callable[[str], Stage], rng: random.Random
) -> None:
    """The post is fed a while after the shop: until then what waits for it is not judged, and nothing is false."""
    one = stage(TWO)
    for source, count in (("shop", 3), ("post", 2)):
        one.create({f"{one.run}.{source}": count, dlq(f"{one.run}.{source}"): count})
    one.create({one.facts: PARTITIONS, dlq(one.facts): PARTITIONS})
    shop, post = one.folder / "shop.jsonl", one.folder / "post.jsonl"
    told: dict[Path, list[dict[str, Any]]] = {shop: [], post: []}
    for event in story(rng, one.run, 60):
        if event["type"] in ("shipped", "refunded"):
            told[post].append(as_cloudevent(event))
        else:
            told[shop].append(event)
    for path, events in told.items():
        path.write_text("".join(json.dumps(event) + "\n" for event in events))
    end = BEGAN + 3_000 * MINUTE
    wanted = one.verdicts(end, f"shop={shop}", f"post={post}")
    one.ingest(f"{one.run}-ingest")
    one.worker(f"{one.run}-detect")
    one.feed(f"shop={shop}", "--as-of", format_instant(end))
    by_shop = ("told", "thanked")
    found = one.until({name: status for name, status in wanted.items() if name[0] in by_shop}, by_shop)
    assert {event["data"]["promise"] for event in found if event["data"]["status"] == "breached"} <= set(by_shop)
    one.feed(f"post={post}", "--as-of", format_instant(end))
    one.until(wanted)
