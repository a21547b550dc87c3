"""`promisewatch subject` and workers on Apache Kafka: the one that has the subject answers, whoever is asked first."""

import asyncio
import datetime as dt
import json
import signal
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka.partitioner import murmur2
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from promisewatch.brokers import ApacheKafka
from promisewatch.demonstration.processes import Child
from schemas import topics
from schemas.exits import ExitCode
from streams.observing import Group, Member, read_group
from tests.cli.running import Run, promisewatch

pytestmark = pytest.mark.kafka

PARTITIONS = 8
"""As many as the other tests of the session give to the topics that all books share."""
BOOK = """
sources: {{shop: {{topic: {topic}, format: json, id: id, type: type, time: at, settle: 100ms}}}}
defaults: {{timezone: Europe/Amsterdam, key: order}}
promises:
- {{id: {name}, title: Answered soon, when: {{event: asked}}, due: {{within: 5m}}, expect: {{event: answered}}}}
- {{id: {name}-5h, when: {{event: asked}}, due: {{within: 5h}}, expect: {{event: answered}}, warn: [-295m]}}
"""
PATIENCE_SECONDS = 100.0
ORDERS = [f"order-{number}" for number in range(12)]
ODD = "Zoë & Söhne/17?+#%"


class Shop:
    """A book on topics of its own, and workers for it."""

    def __init__(self, broker: ApacheKafka, folder: Path, name: str) -> None:
        self.name, self.topic, self.server, self.folder = name, f"{name}.events", broker.bootstrap_server, folder
        self.book = folder / "book.yaml"
        self.book.write_text(BOOK.format(topic=self.topic, name=name))
        self.options = ["--book", str(self.book), "--bootstrap-server", self.server, "--app-id", name]
        self.workers: dict[str, Child] = {}
        admin = AdminClient({"bootstrap.servers": self.server})
        own = [self.topic, topics.dlq(self.topic), topics.changelog(name), topics.BREACHES, topics.OUTCOMES]
        for future in admin.create_topics([NewTopic(topic, PARTITIONS, 1) for topic in own]).values():
            future.exception(30)  # the shared ones may be there

    def send(self, *orders: str, kind: str = "asked", minutes_ago: int = 10, **settings: Any) -> None:
        """An event about each order, keyed by it and spread as Java's producer does it."""
        producer = Producer({"bootstrap.servers": self.server, "partitioner": "murmur2_random", **settings})
        at = (dt.datetime.now(dt.UTC) - dt.timedelta(minutes=minutes_ago)).isoformat()
        for order in orders:
            event = {"id": f"{kind}-{order}", "order": order, "type": kind, "at": at}
            producer.produce(self.topic, json.dumps(event), key=order)
        producer.flush()

    def worker(self, name: str, *options: str) -> Child:
        """A worker, started."""
        state = ["--state-dir", str(self.folder / f"state-{name}"), "--session-timeout", "6"]
        self.workers[name] = Child(name, ["worker", *self.options, *state, *options], self.folder)
        self.workers[name].start()
        return self.workers[name]

    def ask(self, order: str, *arguments: str) -> Run:
        return promisewatch("subject", order, *self.options, *arguments)

    def told(self, order: str, *arguments: str) -> dict[str, Any]:
        run = self.ask(order, "--output", "json", "--answer-timeout", "60", *arguments)
        assert run.code == 0, run.err + "".join(child.last_words(20) for child in self.workers.values())
        found: dict[str, Any] = json.loads(run.out)
        return found

    def group(self) -> Group:
        found = asyncio.run(read_group({"bootstrap_servers": self.server}, self.name, self.topic))
        assert found is not None
        return found

    def members(self, count: int) -> tuple[Member, ...]:
        """The members, once there are so many, each with as many partitions as the others."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            members = self.group().members
            if [len(member.partitions) for member in members] == [PARTITIONS // count] * count:
                return members
            assert time.monotonic() < deadline, members
            time.sleep(0.1)

    def until_broken(self, *orders: str) -> None:
        """Wait until the first promise about each order has been published as broken."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        left = list(orders)
        while left:
            run = self.ask(left[0], "--output", "json")
            if run.code == 0 and '"breached"' in run.out:
                left.pop(0)
                continue
            assert time.monotonic() < deadline, run
            time.sleep(0.1)

    def stop(self) -> None:
        for child in self.workers.values():
            child.stop()


@pytest.fixture
def shop(kafka: ApacheKafka, tmp_path: Path, unique: Callable[[str], str]) -> Iterator[Shop]:
    shop = Shop(kafka, tmp_path, unique("asked"))
    yield shop
    shop.stop()


def partition_of(order: str) -> int:
    """Where Kafka's default partitioner puts it, as another library has it."""
    return int((murmur2(order.encode()) & 0x7FFFFFFF) % PARTITIONS)


def get(url: str, order: str) -> tuple[int, dict[str, Any]]:
    """One worker's own answer."""
    query = urllib.parse.urlencode({"key": "order", "id": order})
    try:
        with urllib.request.urlopen(f"{url}/subject?{query}", timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_the_worker_that_has_the_subject_answers_whichever_is_asked_first(shop: Shop) -> None:
    """Found by its group, or named in any order; the other says whose the subject is."""
    shop.send(*ORDERS, ODD)
    shop.worker("one")
    shop.worker("two")
    members = shop.members(2)
    shop.until_broken(*ORDERS, ODD)
    urls = [member.url for member in members]
    assert len(set(urls)) == 2
    for order in [*ORDERS, ODD]:
        told = shop.told(order)
        home = partition_of(order)
        assert (told["id"], told["partition"], told["topic"]) == (order, home, shop.topic)
        assert [(one["promise"], one["status"]) for one in told["promises"]] == [
            (f"{shop.name}-5h", "open"), (shop.name, "breached"),
        ]  # fmt: skip
        assert [fact["id"] for fact in told["facts"]] == [f"asked-{order}"]
        owner = next(member for member in members if home in member.partitions)
        for member in members:
            status, answer = get(member.url, order)
            assert status == (200 if member == owner else 409)
            assert member == owner or answer["partition"] == home
        for listed in (urls, urls[::-1]):
            listed_only = ["--book", str(shop.book), "--worker", ",".join(listed), "--output", "json"]
            run = promisewatch("subject", order, *listed_only)
            assert run.code == 0, run.err
            assert json.loads(run.out)["facts"] == told["facts"]
    people = shop.ask(ODD)
    assert people.code == 0, people.err
    assert people.out.startswith(f"Order {ODD}: 1 event, 1 promise running, 1 ended")
    assert "breached on promisewatch.breaches, id " in people.out
    nobody = shop.ask("order-unknown")
    assert (nobody.code, nobody.out) == (ExitCode.DIFFERENT, "")
    assert "nothing is kept about this order" in nobody.err


def test_what_was_published_can_be_found_by_its_id(shop: Shop) -> None:
    """Other systems know a breach by the id that is told here."""
    from confluent_kafka import Consumer

    shop.send("order-1")
    shop.worker("one")
    shop.members(1)
    shop.until_broken("order-1")
    broken = next(one for one in shop.told("order-1")["promises"] if one["status"] == "breached")
    consumer = Consumer({
        "bootstrap.servers": shop.server, "group.id": shop.name + "-reader", "auto.offset.reset": "earliest",
        "isolation.level": "read_committed", "enable.auto.commit": False,
    })  # fmt: skip
    consumer.subscribe([topics.BREACHES, topics.OUTCOMES])
    wanted = {(one["topic"], one["id"]) for one in broken["published"]}
    assert len(wanted) == 2
    deadline = time.monotonic() + PATIENCE_SECONDS
    while wanted:
        assert time.monotonic() < deadline, wanted
        record = consumer.poll(0.5)
        if record is not None and record.error() is None and record.value():
            wanted.discard((record.topic(), json.loads(record.value())["id"]))
    consumer.close()


def test_answers_go_on_while_partitions_move(shop: Shop) -> None:
    """A second worker comes, the first one is killed: who asks then waits a little, and hears the same."""
    shop.send(*ORDERS)
    first = shop.worker("one")
    shop.members(1)
    shop.until_broken(*ORDERS)
    shop.worker("two")
    before = time.monotonic()
    while len(shop.group().members) < 2 or time.monotonic() - before < 3:
        for order in ORDERS[:4]:
            assert shop.told(order)["facts"][0]["id"] == f"asked-{order}"
        assert time.monotonic() - before < PATIENCE_SECONDS
    shop.members(2)
    first.kill()
    shop.send(*ORDERS, kind="answered", minutes_ago=1)
    for order in ORDERS:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len((told := shop.told(order))["facts"]) < 2:  # who has it has to read on first
            assert time.monotonic() < deadline, told
            time.sleep(0.1)
        assert sorted(one["status"] for one in told["promises"]) == ["fulfilled_late", "kept"]


def test_a_static_member_that_comes_back_under_another_address_is_found_there(shop: Shop) -> None:
    """The group keeps its partitions, and with them the address it had: the worker takes no offence."""
    shop.send("order-1")
    worker = shop.worker("one", "--instance-id", "detect-0", "--session-timeout", "60")
    (member,) = shop.members(1)
    shop.until_broken("order-1")
    worker.stop()
    port = int(member.url.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        worker.start()
        told = shop.told("order-1")
        (back,) = shop.members(1)
        assert back.url != member.url
        assert worker.running, worker.last_words(20)
    assert told["promises"][1]["status"] == "breached"


def test_a_token_opens_what_is_closed_without(shop: Shop) -> None:
    """The same secret file for the workers and for who asks."""
    token = shop.folder / "token"
    token.write_text("a-long-enough-secret\n")
    other = shop.folder / "other"
    other.write_text("another-long-enough-secret\n")
    shop.send("order-1")
    worker = shop.worker("one", "--subject-token-file", str(token))
    shop.members(1)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (run := shop.ask("order-1", "--subject-token-file", str(token))).code != 0:
        assert time.monotonic() < deadline, run.err
        time.sleep(0.1)
    for options in ([], ["--subject-token-file", str(other)]):
        refused = shop.ask("order-1", *options)
        assert (refused.code, refused.out) == (ExitCode.CONFIG, "")
        assert "no token" in refused.err or "another token" in refused.err
        assert "--subject-token-file or PROMISEWATCH_SUBJECT_TOKEN" in refused.err
    log = worker.log.read_text()
    assert "question about a subject" in log
    for secret in ("order-1", "long-enough-secret"):
        assert secret not in log


def test_without_a_worker_it_is_said_that_there_is_none(shop: Shop) -> None:
    """And how; a worker that has just been killed is still a member for a moment."""
    run = shop.ask("order-1", "--answer-timeout", "1")
    assert run.code == ExitCode.UNAVAILABLE
    assert f"no worker of application '{shop.name}' runs" in run.err
    shop.send("order-1")
    worker = shop.worker("one", "--session-timeout", "60")
    (member,) = shop.members(1)
    shop.until_broken("order-1")
    worker.kill()
    run = shop.ask("order-1", "--answer-timeout", "1")
    assert run.code == ExitCode.UNAVAILABLE
    assert f"{member.url} cannot be reached" in run.err


def test_a_worker_that_serves_nothing_is_named(shop: Shop) -> None:
    """With what to do about it."""
    shop.worker("one", "--http-port", "off")
    shop.members(1)
    run = shop.ask("order-1")
    assert run.code == ExitCode.CONFIG
    assert "tells no address: expected it with --http-port" in run.err


def test_a_stopped_worker_is_busy_and_is_asked_again(shop: Shop) -> None:
    """As long as the patience lasts: then it answers as if nothing had been."""
    shop.send("order-1")
    worker = shop.worker("one", "--session-timeout", "60")
    shop.members(1)
    shop.until_broken("order-1")
    worker.signal(signal.SIGSTOP)
    try:
        run = shop.ask("order-1", "--answer-timeout", "1")
        assert (run.code, "no answer in time" in run.err) == (ExitCode.UNAVAILABLE, True), run.err
    finally:
        worker.signal(signal.SIGCONT)
    assert shop.told("order-1")["promises"]


SYSTEMS = """
sources:
  shop: {{topic: {name}.shop, format: json, id: id, type: type, time: at, settle: 100ms, events: [placed]}}
  wms: {{topic: {name}.wms, format: json, id: id, type: type, time: at, settle: 100ms, events: [shipped]}}
defaults: {{timezone: UTC, key: order}}
promises:
- {{id: {name}-ship, when: {{event: placed}}, due: {{within: 5m}}, expect: {{event: shipped}}}}
- {{id: {name}-welcome, key: customer, when: {{event: placed}}, due: {{within: 5h}}, expect: {{event: shipped}}}}
"""


def test_with_many_sources_the_worker_of_the_facts_answers_by_every_key(
    kafka: ApacheKafka, tmp_path: Path, unique: Callable[[str], str]
) -> None:
    """An ingest has re-keyed the events; an order and its customer are both found where their facts are."""
    name = unique("systems")
    book, facts = tmp_path / "book.yaml", f"{name}.facts"
    book.write_text(SYSTEMS.format(name=name))
    at_kafka = ["--book", str(book), "--bootstrap-server", kafka.bootstrap_server]
    options = [*at_kafka, "--app-id", name, "--facts-topic", facts]
    asking = [*options, "--output", "json", "--answer-timeout", "20"]
    ingest_id = f"{name}-ingest"
    created = promisewatch(
        "topics", "create", *options, "--ingest-app-id", ingest_id, "--notifier-app-id", f"{name}-notifier",
        "--partitions", str(PARTITIONS), "--facts-partitions", str(PARTITIONS),
    )  # fmt: skip
    # The topics that all books share may be there already, with other settings.
    assert created.code in {ExitCode.OK, ExitCode.DIFFERENT}, created.err + created.out
    producer = Producer({"bootstrap.servers": kafka.bootstrap_server})
    at = (dt.datetime.now(dt.UTC) - dt.timedelta(minutes=10)).isoformat()
    event = {"id": "e1", "order": "A-17", "customer": "C-3", "type": "placed", "at": at}
    producer.produce(f"{name}.shop", json.dumps(event), key="any")
    producer.flush()
    ingest = Child(
        "ingest", ["ingest", *at_kafka, "--app-id", ingest_id, "--facts-topic", facts, "--http-port", "off"], tmp_path
    )
    workers = [Child(one, ["worker", *options, "--state-dir", str(tmp_path / one)], tmp_path) for one in ("one", "two")]
    children = [ingest, *workers]
    try:
        for child in children:
            child.start()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            run = promisewatch("subject", "A-17", "--key", "order", *asking)
            if run.code == 0 and '"breached"' in run.out:
                break
            assert all(child.running for child in children), [child.last_words(20) for child in children]
            assert time.monotonic() < deadline, run.err + run.out + "".join(one.last_words(20) for one in children)
            time.sleep(0.2)
        told = json.loads(run.out)
        assert told["partition"] == (murmur2(b"order\x1fA-17") & 0x7FFFFFFF) % PARTITIONS
        assert [(one["promise"], one["status"]) for one in told["promises"]] == [(f"{name}-ship", "breached")]
        run = promisewatch("subject", "C-3", "--key", "customer", *asking)
        assert run.code == 0, run.err
        customer = json.loads(run.out)
        assert [(one["promise"], one["status"]) for one in customer["promises"]] == [(f"{name}-welcome", "open")]
        assert [fact["id"] for fact in customer["facts"]] == ["e1"]
    finally:
        for child in children:
            child.stop()
