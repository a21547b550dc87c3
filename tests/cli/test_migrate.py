"""`promisewatch migrate` with a worker on Apache Kafka: told before it is done, and done only by one that can."""

import datetime as dt
import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from prometheus_client.parser import text_string_to_metric_families

from promisewatch.brokers import ApacheKafka
from promisewatch.brokers.processes import free_ports
from promisewatch.demonstration.processes import Child
from schemas import topics
from schemas.book import parse_book
from tests.cli.running import Run, promisewatch

PARTITIONS = 8
"""As many as the other tests of the session give to the topics that all books share."""
BOOK = """
sources: {{shop: {{topic: {topic}, format: json, id: id, type: type, time: at, settle: 100ms}}}}
defaults: {{timezone: Europe/Amsterdam, key: order}}
promises:
- {{id: answer, when: {{event: asked}}, due: {{within: 5h}}, expect: {{event: answered}}}}
"""
SECOND = """
- {id: answer, version: 2, effective_from: "2040-01-01", when: {event: asked}, due: {within: 5m},
   expect: {event: answered}}
"""
PATIENCE_SECONDS = 100.0


class Worker:
    """A worker on topics of its own, whose book may be changed between two starts."""

    def __init__(self, broker: ApacheKafka, folder: Path, name: str) -> None:
        self.name, self.topic, self.server = name, f"{name}.events", broker.bootstrap_server
        self.book = folder / "book.yaml"
        self.book.write_text(BOOK.format(topic=self.topic))
        self.port = free_ports(1)[0]
        own = [self.topic, topics.dlq(self.topic), topics.changelog(name), topics.BREACHES, topics.OUTCOMES]
        admin = AdminClient({"bootstrap.servers": self.server})
        for future in admin.create_topics([NewTopic(topic, PARTITIONS, 1) for topic in own]).values():
            future.exception(30)  # the shared ones may be there
        self.child = Child(
            name,
            ["worker", "--book", str(self.book), "--bootstrap-server", self.server, "--app-id", name,
             "--state-dir", str(folder / "state"), "--http-port", str(self.port)],
            folder,
        )  # fmt: skip

    def ask(self, count: int) -> None:
        """Questions of ten minutes ago that nobody has answered."""
        producer = Producer({"bootstrap.servers": self.server})
        at = (dt.datetime.now(dt.UTC) - dt.timedelta(minutes=10)).isoformat()
        for number in range(count):
            event = {"id": f"event-{number}", "order": f"order-{number}", "type": "asked", "at": at}
            producer.produce(self.topic, json.dumps(event), key=f"order-{number}")
        producer.flush()

    def metric(self, name: str) -> dict[tuple[str, ...], float]:
        """A metric's values by the values of its labels, in their order of names."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as response:
                text = response.read().decode()
        except OSError:
            return {}
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return {
            tuple(sample.labels[label] for label in sorted(sample.labels)): sample.value
            for sample in samples
            if sample.name == name
        }  # fmt: skip

    def until(self, what: str, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not true():
            assert self.child.running, self.child.last_words(20)
            assert time.monotonic() < deadline, f"waited for {what}\n{self.child.last_words(20)}"
            time.sleep(0.1)

    def migrate(self, *arguments: str, book: Path | None = None) -> Run:
        options = ("--promise", "answer", "--to", "2", "--bootstrap-server", self.server, "--app-id", self.name)
        return promisewatch("migrate", "--book", str(book or self.book), *options, *arguments)

    def forecast(self, *arguments: str, book: Path | None = None) -> dict[str, Any]:
        """What it tells programs."""
        done = self.migrate("--output", "json", *arguments, book=book)
        assert done.code == 0, done.err
        found: dict[str, Any] = json.loads(done.out)
        return found


@pytest.fixture
def worker(kafka: ApacheKafka, tmp_path: Path, unique: Callable[[str], str]) -> Iterator[Worker]:
    worker = Worker(kafka, tmp_path, unique("moving"))
    yield worker
    worker.child.stop()


@pytest.mark.kafka
def test_running_promises_are_moved_after_a_dry_run_and_only_once_the_workers_have_the_book(
    worker: Worker, tmp_path: Path
) -> None:
    """Deploy, try, send: until then nothing is sent; then the workers do what was told, and tell of another book."""
    worker.child.start()
    worker.ask(6)
    worker.until("the records", lambda: sum(worker.metric("promise_records_total").values()) == 6)

    newer = tmp_path / "newer.yaml"
    newer.write_text(BOOK.format(topic=worker.topic) + SECOND)
    told = worker.forecast(book=newer)
    (version,) = told["versions"]
    assert (version["version"], version["running"], version["reasons"]) == (1, 6, {"moved": 6})
    assert (version["due"], version["overdue"]) == ({"earlier": 6, "later": 0, "same": 0}, 6)
    assert len(told["examples"]) == 3
    assert set(told["unready"]) == {str(partition) for partition in range(PARTITIONS)}
    refused = worker.migrate("--yes", book=newer)
    assert (refused.code, "nothing was sent: partition 0: its worker has book" in refused.err) == (78, True)

    worker.child.stop()
    worker.book.write_text(newer.read_text())
    worker.child.start()
    worker.until("the new book on the changelog", lambda: worker.forecast()["unready"] == {})
    digest = parse_book(newer.read_text()).digest[:12]
    assert worker.metric("promisewatch_book_info") == {(digest,): 1.0}
    assert "partition was last worked with another book" in worker.child.last_words(200)
    assert worker.forecast("--dry-run", "--yes")["sent"] is False
    assert worker.metric("promise_migrated_total") == {}

    shown = worker.migrate("--yes")
    assert shown.code == 0, shown.err
    assert "answer version 1: 6 running" in shown.out
    assert "6 would be overdue" in shown.out
    assert f"sent to {PARTITIONS} partitions" in shown.out
    worker.until("the move", lambda: worker.metric("promise_migrated_total").get(("moved", "answer")) == 6)
    worker.until("the breaches", lambda: worker.metric("promise_breaches_total").get(("answer", "medium")) == 6)
    assert worker.forecast()["versions"] == []


def test_what_the_book_does_not_have_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    """With what there is instead; the command line is wrong, so 2."""
    book = tmp_path / "book.yaml"
    book.write_text(BOOK.format(topic="t") + SECOND)
    options = ("--book", str(book), "--bootstrap-server", "127.0.0.1:1")
    no_promise = promisewatch("migrate", *options, "--promise", "anser", "--to", "2")
    assert (no_promise.code, "found no promise 'anser', expected one of answer" in no_promise.err) == (2, True)
    no_version = promisewatch("migrate", *options, "--promise", "answer", "--to", "3")
    assert (no_version.code, "found no version 3 of 'answer', expected one of 1, 2" in no_version.err) == (2, True)


def test_without_a_broker_it_says_so(tmp_path: Path) -> None:
    """One message and 69, as every one-shot command."""
    book = tmp_path / "book.yaml"
    book.write_text(BOOK.format(topic="t") + SECOND)
    done = promisewatch(
        "migrate", "--book", book, "--bootstrap-server", "127.0.0.1:1", "--promise", "answer", "--to", "2"
    )
    assert (done.code, done.out) == (69, "")
    assert "127.0.0.1:1" in done.err


@pytest.mark.kafka
def test_an_application_without_a_changelog_is_no_worker(kafka: ApacheKafka, tmp_path: Path) -> None:
    """Most often a misspelt --app-id."""
    book = tmp_path / "book.yaml"
    book.write_text(BOOK.format(topic="t") + SECOND)
    options = ("--bootstrap-server", kafka.bootstrap_server, "--app-id", "nobody", "--promise", "answer", "--to", "2")
    done = promisewatch("migrate", "--book", book, *options)
    assert (done.code, "there is no changelog nobody-records-changelog" in done.err) == (2, True)
