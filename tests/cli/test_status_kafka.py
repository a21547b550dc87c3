"""`promisewatch status` of a detector on Apache Kafka: while a worker runs, when it is dead, and where topics lack."""

import datetime as dt
import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from promisewatch.brokers import ApacheKafka
from promisewatch.demonstration.processes import Child
from schemas import topics
from tests.cli.running import Run, promisewatch

pytestmark = pytest.mark.kafka

PARTITIONS = 8
"""As many as the other tests of the session give to the topics that all books share."""
BOOK = """
sources: {{shop: {{topic: {topic}, format: json, id: id, type: type, time: at, settle: 100ms}}}}
defaults: {{timezone: UTC, key: order}}
promises:
- {{id: {name}, when: {{event: asked}}, due: {{within: 5m}}, expect: {{event: answered}}}}
- {{id: {name}-5h, when: {{event: asked}}, due: {{within: 5h}}, expect: {{event: answered}}}}
"""
PATIENCE_SECONDS = 100.0


class Detector:
    """A book on topics of its own, and a worker for it."""

    def __init__(self, broker: ApacheKafka, folder: Path, name: str) -> None:
        self.name, self.topic, self.server = name, f"{name}.events", broker.bootstrap_server
        self.book = folder / "book.yaml"
        self.book.write_text(BOOK.format(topic=self.topic, name=name))
        self._options = ["--book", str(self.book), "--bootstrap-server", self.server, "--app-id", name]
        worker = ["--state-dir", str(folder / "state"), "--http-port", "off", "--instance-id", "detect-0"]
        self.worker = Child(name, ["worker", *self._options, *worker], folder)

    def create(self, *names: str) -> None:
        admin = AdminClient({"bootstrap.servers": self.server})
        for future in admin.create_topics([NewTopic(topic, PARTITIONS, 1) for topic in names]).values():
            future.exception(30)  # the shared ones may be there

    def create_all(self) -> None:
        own = [self.topic, topics.dlq(self.topic), topics.changelog(self.name)]
        self.create(*own, topics.BREACHES, topics.OUTCOMES)

    def send(self, count: int, *, minutes_ago: int = 10) -> None:
        """Questions that nobody has answered, and something that is no event, all on partition 3."""
        producer = Producer({"bootstrap.servers": self.server})
        at = (dt.datetime.now(dt.UTC) - dt.timedelta(minutes=minutes_ago)).isoformat()
        for number in range(count):
            event = {"id": f"event-{number}", "order": f"order-{number}", "type": "asked", "at": at}
            producer.produce(self.topic, json.dumps(event), partition=3)
        producer.produce(self.topic, b"no event", partition=3)
        producer.flush()

    def status(self, *arguments: str) -> Run:
        return promisewatch("status", *self._options, *arguments)

    def found(self, *arguments: str) -> dict[str, Any]:
        """The document for programs."""
        run = self.status("--output", "json", *arguments)
        assert run.code == 0, run.err
        document: dict[str, Any] = json.loads(run.out)
        return document

    def until(self, what: str, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not true(found := self.found()):
            assert self.worker.running, self.worker.last_words(20)
            assert time.monotonic() < deadline, f"waited for {what}\n{found}\n{self.worker.last_words(20)}"
            time.sleep(0.1)
        return found


@pytest.fixture
def detector(kafka: ApacheKafka, tmp_path: Path, unique: Callable[[str], str]) -> Iterator[Detector]:
    detector = Detector(kafka, tmp_path, unique("seen"))
    yield detector
    detector.worker.stop()


def test_a_detector_is_seen_before_its_first_start_while_it_runs_and_when_it_is_dead(detector: Detector) -> None:
    """Offsets, lag, frontier and what it waits for, the worker, the last breach, dead letters and what is running."""
    detector.create_all()
    detector.send(5)
    before = detector.found()
    assert [each["frontier"]["waits_for"] for each in before["partitions"]] == ["no_checkpoint"] * PARTITIONS
    assert before["partitions"][3]["end"] == 6
    assert (before["lag"], before["last_breach"], before["group"]["members"]) == (None, None, [])

    detector.worker.start()
    alive = detector.until(
        "everything to be processed",
        lambda found: found["lag"] == 0 and found["last_breach"] is not None and found["frontier"] is not None,
    )
    third = alive["partitions"][3]
    assert (third["processed"], third["lag"]) == (6, 0)
    assert third["frontier"] | {"instant": "", "behind_ms": 0} == {
        "instant": "", "behind_ms": 0, "inferred": True, "source_partition": "shop/3", "waits_for": "clock"
    }  # fmt: skip
    assert third["frontier"]["behind_ms"] == 100
    (member,) = alive["group"]["members"]
    assert (member["name"], member["partitions"]) == ("detect-0", list(range(PARTITIONS)))
    assert third["worker"] == member
    assert alive["last_breach"]["promise"] == third["last_breach"]["promise"] == detector.name
    assert third["dead_letters"] | {"newest": None} == {"count": 1, "exact": True, "newest": None}
    assert alive["dead_letters"]["newest"]["reason"] == "bad_json"
    assert alive["notes"] == []

    detector.worker.kill()
    detector.send(2)
    found = detector.found("--promises")
    dead = found["partitions"][3]
    assert (dead["end"], dead["processed"], dead["lag"]) == (9, 6, 3)
    assert dead["running"] == {"subjects": 5, "promises": {f"{detector.name}-5h": 5}}
    # With a static id the group keeps the partitions for a worker that may come back.
    assert dead["frontier"]["waits_for"] in {"lag", "no_owner"}
    assert dead["frontier"]["inferred"] is False
    assert dead["frontier"]["instant"] < found["at"]
    table = detector.status()
    assert table.code == 0, table.err
    assert f"topic {detector.topic}, 8 partitions, frontier by clock, settle 100ms" in table.out


def test_a_transaction_of_the_source_is_named_as_what_holds_its_partition(detector: Detector) -> None:
    """What lies behind it cannot be read: the lag is not the worker's."""
    detector.create_all()
    detector.send(1)
    detector.worker.start()
    detector.until("the worker", lambda found: found["lag"] == 0)
    producer = Producer({"bootstrap.servers": detector.server, "transactional.id": detector.name})
    producer.init_transactions()
    producer.begin_transaction()
    producer.produce(detector.topic, b"{}", partition=3)
    producer.flush()
    held = detector.found()["partitions"]
    assert held[3]["frontier"]["waits_for"] == "open_transaction"
    assert (held[3]["readable"], held[3]["end"], held[3]["lag"]) == (2, 3, 1)
    assert held[4]["frontier"]["waits_for"] == "clock"
    producer.abort_transaction()
    detector.until("its end", lambda found: found["lag"] == 0)


def test_doubt_about_the_source_is_named_as_what_holds_its_partition(detector: Detector) -> None:
    """Too many dead letters: everything is processed, and yet its frontier does not follow the clock."""
    detector.create_all()
    detector.worker.start()
    detector.until("the worker", lambda found: found["lag"] == 0)
    producer = Producer({"bootstrap.servers": detector.server})
    for _ in range(9):
        producer.produce(detector.topic, b"no event", partition=3)
    producer.flush()
    found = detector.until("doubt", lambda found: found["partitions"][3]["frontier"]["waits_for"] == "doubt")
    third, fourth = found["partitions"][3:5]
    assert third["doubt"]["reason"] == "dead_letters"
    assert third["doubt"]["since"] <= found["at"]
    assert third["frontier"]["inferred"] is False
    assert (fourth["doubt"], fourth["frontier"]["waits_for"]) == (None, "clock")
    assert "source shop is in doubt (dead_letters) since" in detector.status().out


def test_a_source_that_is_silent_past_its_heartbeat_is_named(detector: Detector) -> None:
    """By the time of its newest record; a source that has none yet is not silent."""
    detector.create_all()
    detector.book.write_text(detector.book.read_text().replace("settle: 100ms", "settle: 100ms, heartbeat: 1s"))
    detector.worker.start()
    detector.until("the worker", lambda found: found["lag"] == 0)
    assert {each["doubt"] for each in detector.found()["partitions"]} == {None}
    detector.send(1)
    found = detector.until("silence", lambda found: found["partitions"][5]["doubt"] is not None)
    assert {each["doubt"]["reason"] for each in found["partitions"]} == {"silent"}
    assert {each["frontier"]["waits_for"] for each in found["partitions"]} <= {"doubt", "no_owner"}


def test_missing_topics_are_named_and_the_rest_is_shown(detector: Detector) -> None:
    """With what makes them; the exit code is that of `topics check`, and none comes into being by being asked for."""
    detector.create(detector.topic)
    for _ in range(2):
        run = detector.status("--output", "json")
        assert run.code == 1, run.err
        found = json.loads(run.out)
        assert set(found["missing"]) >= {topics.changelog(detector.name), topics.dlq(detector.topic)}
        assert [each["frontier"]["waits_for"] for each in found["partitions"]] == ["no_checkpoint"] * PARTITIONS
    table = detector.status()
    assert f"there is no topic {topics.changelog(detector.name)}; 'promisewatch topics create' makes it" in table.out


def test_without_a_source_topic_there_are_no_partitions(detector: Detector) -> None:
    """A document all the same."""
    run = detector.status("--output", "json")
    assert run.code == 1, run.err
    found = json.loads(run.out)
    assert detector.topic in found["missing"]
    assert (found["partitions"], found["lag"], found["frontier"]) == ([], None, None)


def test_looking_leaves_no_trace(detector: Detector) -> None:
    """No member, no position, no record: the group does not even exist afterwards."""
    detector.create_all()
    detector.found()
    admin = AdminClient({"bootstrap.servers": detector.server})
    assert detector.name not in {group.group_id for group in admin.list_consumer_groups().result(30).valid}
    assert all(each["end"] == 0 for each in detector.found()["partitions"])


def test_the_live_screen_is_redrawn_and_ends_with_0_on_ctrl_c(
    detector: Detector, promisewatch_command: list[str]
) -> None:
    """On a terminal, until somebody presses Ctrl-C; the terminal is then as it was."""
    detector.create_all()
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200", "LINES": "50"}
    options = ["--book", str(detector.book), "--bootstrap-server", detector.server, "--app-id", detector.name]
    live = subprocess.Popen(
        [*promisewatch_command, "status", "--watch", *options],
        stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env=environment,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        while shown.count(b"consumer group") < 2:  # drawn, and drawn again
            assert time.monotonic() < deadline, shown
            shown += os.read(ours, 65_536)
        live.send_signal(signal.SIGINT)
        _, said = live.communicate(timeout=PATIENCE_SECONDS)
    finally:
        live.kill()
        shown += drained(ours)
    assert (live.returncode, said) == (0, b"")
    assert b"\x1b[?1049h" in shown, "the screen beside"
    assert shown.rindex(b"\x1b[?1049l") > shown.rindex(b"\x1b[?1049h"), "and back"


def drained(descriptor: int) -> bytes:
    """What is left to be read of a terminal whose other side has ended."""
    found = b""
    try:
        while piece := os.read(descriptor, 65_536):
            found += piece
    except OSError:  # how Linux says that nobody is there any more
        pass
    os.close(descriptor)
    return found
