"""Somebody changes the topics under a worker: it ends with one message and 78, and takes nothing for what it is not."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from promisewatch.brokers import ApacheKafka
from promisewatch.demonstration.processes import Child
from schemas import topics
from schemas.exits import ExitCode
from tests.chaos.cluster import PARTITIONS

pytestmark = [pytest.mark.kafka]

PATIENCE_S = 120
BOOK = """
sources: {{shop: {{topic: {topic}, format: json, id: id, type: type, time: at, frontier: markers}}}}
defaults: {{timezone: UTC, key: order}}
promises: [{{id: confirm, when: {{event: placed}}, due: {{within: 1h}}, expect: {{event: sent}}}}]
"""


def wait_until(what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"did not happen in time: {what}"
        time.sleep(0.02)


class Run:
    """One worker, its topics, and what an operator does to them."""

    def __init__(self, broker: ApacheKafka, folder: Path, name: str) -> None:
        self.source, self.changelog = f"{name}.events", topics.changelog(name)
        self._client = {"bootstrap.servers": broker.bootstrap_server, "log_level": 0}
        self._admin = AdminClient(self._client)
        there = self._admin.list_topics(timeout=PATIENCE_S).topics
        for topic in (self.source, *(spec.name for spec in topics.required((self.source,), name))):
            if topic not in there:
                with suppress(KafkaException):  # the last run has made those they share a moment ago
                    self.create(topic)
        folder.mkdir()
        book = folder / "book.yaml"
        book.write_text(BOOK.format(topic=self.source))
        arguments = ["--book", str(book), "--state-dir", str(folder / "state"), "--app-id", name, "--http-port", "off"]
        server = ["--bootstrap-server", broker.bootstrap_server, "--session-timeout", "6"]
        self.worker = Child("worker", ["worker", *arguments, *server], folder)

    def create(self, topic: str) -> None:
        self._admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(PATIENCE_S)

    def delete(self, topic: str) -> None:
        self._admin.delete_topics([topic])[topic].result(PATIENCE_S)

    def grow(self, topic: str) -> None:
        self._admin.create_partitions([NewPartitions(topic, PARTITIONS + 4)])[topic].result(PATIENCE_S)

    def feed(self, count: int) -> None:
        """Events of one partition."""
        producer = Producer({**self._client, "topic.metadata.refresh.interval.ms": 100})
        for number in range(count):
            event = {"id": f"{number}", "order": f"o{number}", "type": "placed", "at": "2026-04-24T18:00:00Z"}
            producer.produce(self.source, json.dumps(event), b"key", 0)
        assert producer.flush(PATIENCE_S) == 0

    def stored(self) -> int:
        """How far the changelog of that partition has grown."""
        consumer = Consumer({**self._client, "group.id": "nobody"})
        try:
            return int(consumer.get_watermark_offsets(TopicPartition(self.changelog, 0), PATIENCE_S)[1])
        finally:
            consumer.close()

    def ended(self, *words: str) -> None:
        """The worker ends by itself with 78, and its last line says why, in these words."""
        assert self.worker.wait(PATIENCE_S) == ExitCode.CONFIG, self.worker.last_words()
        reason = self.worker.last_words(1)
        assert all(word in reason for word in ("worker ends", *words)), self.worker.last_words()


@pytest.fixture
def runs(broker: ApacheKafka, tmp_path: Path, unique: Callable[[str], str]) -> Iterator[dict[str, Run]]:
    """Four workers that have each processed and stored something."""
    with ExitStack() as stack:
        found = {}
        for name in ("grown", "deleted", "forgotten", "recreated"):
            found[name] = Run(broker, tmp_path / name, unique(name))
            found[name].feed(3)
            found[name].worker.start()
            stack.callback(found[name].worker.stop)
        for name, run in found.items():
            wait_until(f"state of {name}", lambda run=run: run.stored() > 0)  # type: ignore[misc]
        yield found


def test_topics_that_change_under_a_worker_end_it_with_one_message(runs: dict[str, Run]) -> None:
    """Whatever it is doing, also nothing: Faust would wait for ever, or go on with the partitions that are left."""
    grown, deleted, forgotten, recreated = (runs[name] for name in ("grown", "deleted", "forgotten", "recreated"))
    recreated.worker.stop()
    grown.grow(grown.source)
    deleted.delete(deleted.source)
    forgotten.delete(forgotten.changelog)
    recreated.delete(recreated.source)
    recreated.create(recreated.source)
    recreated.feed(10)  # past the offset that the worker has processed: only the topic's id tells them apart
    stored = recreated.stored()
    recreated.worker.start()

    grown.ended(f"{grown.source} has {PARTITIONS + 4} partitions now, and had {PARTITIONS} at start")
    deleted.ended(f"there is no topic {deleted.source} any more")
    forgotten.ended(f"there is no topic {forgotten.changelog} any more")
    recreated.ended(f"{recreated.source} was recreated: it has the id")
    assert recreated.stored() == stored
