"""A running worker as a platform team sees it: probes, metrics, and a real Prometheus that scrapes them."""

import datetime as dt
import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from promisewatch.brokers import ApacheKafka
from promisewatch.brokers.processes import free_ports
from promisewatch.demonstration.processes import Child
from schemas import metrics, topics
from schemas.errors import EventError

pytestmark = pytest.mark.kafka

PARTITIONS = 8
"""As many as the other tests of the session give to the topics that all books share."""
BOOK = """
sources: {{shop: {{topic: {topic}, format: json, id: id, type: type, time: at, settle: 100ms,
  doubt: {{dead_letters: never, late: never}}}}}}
defaults: {{timezone: Europe/Amsterdam, key: order}}
promises: [{{id: confirm, when: {{event: placed}}, due: {{within: 1s}}, expect: {{event: sent}}}}]
"""
FIXED_WORD = re.compile(r"[a-z_]+")
PATIENCE_SECONDS = 120.0


class Worker:
    """A worker on topics of its own, and what its HTTP server says."""

    def __init__(self, broker: ApacheKafka, folder: Path, name: str) -> None:
        self.name, self.topic = name, f"{name}.events"
        (folder / "book.yaml").write_text(BOOK.format(topic=self.topic))
        self.port = free_ports(1)[0]
        server = broker.bootstrap_server
        own = [self.topic, topics.dlq(self.topic), topics.changelog(name), topics.BREACHES, topics.OUTCOMES]
        admin = AdminClient({"bootstrap.servers": server})
        for future in admin.create_topics(
            [NewTopic(topic, PARTITIONS, 1) for topic in own]
        ).values():  # fmt: skip
            future.exception(30)  # the shared ones may be there
        self.producer = Producer({"bootstrap.servers": server})
        self.child = Child(
            name,
            ["worker", "--book", str(folder / "book.yaml"), "--bootstrap-server", server, "--app-id", name,
             "--state-dir", str(folder / "state"), "--http-port", str(self.port)],
            folder,
        )  # fmt: skip

    def send(self, first: int, count: int) -> None:
        """Orders that nobody confirms, one event that cannot be read for each ten."""
        at = dt.datetime.now(dt.UTC).isoformat()
        for number in range(first, first + count):
            event = {"id": f"event-{number}", "order": f"order-{number}", "type": "placed", "at": at}
            self.producer.produce(self.topic, json.dumps(event), key=f"order-{number}")
            if number % 10 == 0:
                self.producer.produce(self.topic, f"broken order-{number}", key=f"order-{number}")
        self.producer.flush()

    def get(self, path: str) -> tuple[int, str]:
        """Status (0: nobody listens) and body."""
        headers = {"Accept": "application/openmetrics-text; version=1.0.0"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def samples(self) -> list[Any]:
        """Every sample of our metrics."""
        families = text_string_to_metric_families(self.get("/metrics")[1])
        return [sample for family in families if family.name.startswith("promise_") for sample in family.samples]

    def value(self, name: str) -> float:
        return sum(sample.value for sample in self.samples() if sample.name == name)

    def until(self, what: str, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not true():
            assert self.child.running, self.child.last_words(20)
            assert time.monotonic() < deadline, f"waited for {what}\n{self.child.last_words(20)}"
            time.sleep(0.05)


@pytest.fixture
def worker(kafka: ApacheKafka, tmp_path: Path, unique: Callable[[str], str]) -> Iterator[Worker]:
    worker = Worker(kafka, tmp_path, unique("seen"))
    yield worker
    worker.child.stop()


def test_metrics_tell_what_happened_and_their_number_does_not_grow_with_the_data(worker: Worker) -> None:
    """Ten times the orders, the same series; no label holds an id, and an exemplar leads to a breach event."""
    worker.child.start()
    worker.until("readiness", lambda: worker.get("/readyz")[0] == 200)
    assert worker.get("/livez") == (200, "ok\n")
    worker.send(0, 40)
    worker.until("the breaches", lambda: worker.value("promise_breaches_total") == 40)
    before = {(sample.name, tuple(sorted(sample.labels.items()))) for sample in worker.samples()}
    worker.send(40, 400)
    worker.until("more breaches", lambda: worker.value("promise_breaches_total") == 440)
    samples = worker.samples()
    assert {(sample.name, tuple(sorted(sample.labels.items()))) for sample in samples} == before
    assert {label for sample in samples for label in sample.labels} <= {*metrics.Label, "le"}
    wrong = [sample for sample in samples for value in sample.labels.values() if re.search(r"(order|event)-\d", value)]
    assert not wrong
    assert worker.value("promise_dead_letters_total") == 44
    assert worker.value("promise_records_total") == 484
    assert worker.value("promise_lag_records") == 0
    assert worker.value("promise_partitions") == PARTITIONS
    assert worker.value("promise_build_info") == 1
    exemplars = [s.exemplar.labels for s in samples if s.name == "promise_breaches_total" and s.exemplar]
    assert re.fullmatch(r"[0-9a-f-]{36}", exemplars[0]["event_id"])
    log = worker.child.log.read_text()
    assert "event sent to dead letters" in log
    assert not re.search(r"order-\d", log)


def test_reasons_of_dead_letters_are_fixed_words() -> None:
    """They are label values: a reason made of an event's content would grow without end."""
    root = Path(__file__).resolve().parents[2]
    text = "".join(
        path.read_text() for room in ("schemas", "promises", "agents") for path in (root / room).rglob("*.py")
    )
    reasons = re.findall(r'EventError\(\s*"([^"]*)"', text)
    assert len(reasons) > 5
    assert [reason for reason in reasons if not FIXED_WORD.fullmatch(reason)] == []
    assert EventError("bad_json", "x").reason == "bad_json"


def test_a_worker_without_a_broker_lives_but_is_not_ready(kafka: ApacheKafka, worker: Worker) -> None:
    """Waiting is no reason to be restarted; SIGTERM ends it at once, with 0."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        worker.child._command[worker.child._command.index(kafka.bootstrap_server)] = address
        worker.child.start()
        worker.until("an answer", lambda: worker.get("/livez")[0] == 200)
        worker.until("its phase", lambda: worker.get("/readyz") == (503, "waiting for the broker\n"))
        assert worker.child.stop(PATIENCE_SECONDS) == 0


@pytest.fixture
def prometheus(tmp_path: Path, worker: Worker) -> Iterator[str]:
    """A Prometheus that scrapes the worker; yields its address."""
    program = shutil.which("prometheus")
    if program is None:
        reason = "no prometheus on the PATH (Debian: apt-get install prometheus)"
        if os.environ.get("CI") == "true" or os.environ.get("REQUIRE_TOOLS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    port = free_ports(1)[0]
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s}\nscrape_configs: [{job_name: promisewatch, static_configs: "
        f"[{{targets: ['127.0.0.1:{worker.port}']}}]}}]\n"
    )
    command = [
        program, f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}", "--enable-feature=exemplar-storage", "--log.level=error",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        yield f"http://127.0.0.1:{port}"
        process.terminate()


def ask(url: str) -> Any:
    """The `data` of one of Prometheus's answers, None while it does not answer."""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return json.load(response)["data"]
    except OSError:
        return None


def test_a_real_prometheus_scrapes_a_running_worker(worker: Worker, prometheus: str) -> None:
    """The target is up, the breaches are counted, and the exemplar is kept."""
    worker.child.start()
    worker.until("readiness", lambda: worker.get("/readyz")[0] == 200)
    worker.send(0, 20)

    def query(expression: str) -> float | None:
        found = ask(f"{prometheus}/api/v1/query?query={urllib.parse.quote(expression)}")
        return float(found["result"][0]["value"][1]) if found and found["result"] else None

    worker.until("the target to be up", lambda: query('up{job="promisewatch"}') == 1)
    worker.until("the breaches", lambda: query('sum(promise_breaches_total{promise="confirm"})') == 20)
    assert query("sum(promise_detection_delay_seconds_count)") == 20
    assert query("min(promise_ready)") == 1
    url = f"{prometheus}/api/v1/query_exemplars?query=promise_breaches_total&start=0&end={time.time() + 60}"
    worker.until("an exemplar", lambda: bool(ask(url)))
    assert "event_id" in ask(url)[0]["exemplars"][0]["labels"]
