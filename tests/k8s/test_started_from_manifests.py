"""What the manifests start, started: their arguments, their environment, their files, their probes, their end.

Only what belongs to a cluster is replaced: names of services by loopback, mount paths by folders, the port that all
pods share by a free one, and three replicas by the one broker there is.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from promisewatch.brokers import ApacheKafka
from promisewatch.brokers.leash import leashed
from promisewatch.brokers.processes import free_ports
from tests.brokers import apache_kafka
from tests.k8s.manifests import Manifests

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]  # starting a broker counts as part of the first test

READY_SECONDS = 120.0


@pytest.fixture(scope="module")
def broker() -> Iterator[ApacheKafka]:
    """A broker of its own: the topics that all workers share must have this book's number of partitions."""
    with apache_kafka() as own:
        yield own


@pytest.fixture(scope="module")
def topics(broker: ApacheKafka, base: Manifests, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Run the Job as the manifest has it, the source topic being its own here. Returns what it printed."""
    job = Pod(base, "promisewatch-topics", broker, tmp_path_factory.mktemp("topics"))
    job.environment |= {"PROMISEWATCH_REPLICATION_FACTOR": "1", "PROMISEWATCH_PARTITIONS": "4"}
    job.start()
    code = job.process.wait(READY_SECONDS)
    assert code == 0, job.told()
    return job.told()


class Pod:
    """One container as a process of this machine."""

    def __init__(self, manifests: Manifests, owner: str, broker: ApacheKafka, folder: Path) -> None:
        """Work out arguments, environment and files; nothing runs yet."""
        self._container = manifests.container(owner)
        self._arguments = self._container["args"]
        folder.mkdir(exist_ok=True)
        self._log = folder / "log"
        environment = manifests.environment(owner, f"{owner}-0")
        (self.port,) = free_ports(1)
        environment["PROMISEWATCH_BOOTSTRAP_SERVER"] = broker.bootstrap_server
        if "PROMISEWATCH_HTTP_PORT" in environment:
            environment |= {"PROMISEWATCH_HTTP_HOST": "127.0.0.1", "PROMISEWATCH_HTTP_PORT": str(self.port)}
        mounts = manifests.mount(owner, folder / "mounts")
        for name, value in environment.items():
            for path, place in mounts.items():
                if value == path or value.startswith(f"{path}/"):
                    environment[name] = str(place) + value.removeprefix(path)
        self.environment = environment
        self.state = mounts.get("/var/lib/promisewatch")

    def start(self) -> None:
        """Start it with no variable of ours but the manifest's."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PROMISEWATCH_")}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                leashed([sys.executable, "-m", "promisewatch.main", *self._arguments]),
                env=inherited | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def told(self) -> str:
        """What it has printed and logged."""
        return self._log.read_text()

    def probe(self, name: str) -> tuple[int, str]:
        """Ask a probe of the manifest as a kubelet does: status and text; status 0 when nothing answers."""
        return self.get(self._container[f"{name}Probe"]["httpGet"]["path"])

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of a page."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def until(self, name: str) -> None:
        """Poll a probe until it says yes, as a kubelet would."""
        deadline = time.monotonic() + READY_SECONDS
        while (answer := self.probe(name))[0] != 200:
            assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.told()}"
            assert time.monotonic() < deadline, f"{name}: {answer} after {READY_SECONDS} s:\n{self.told()}"
            time.sleep(0.1)

    def end(self, patience: float) -> int:
        """End it as a kubelet does; returns its exit code. Fails when it must be killed."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            pytest.fail(f"still there {patience} s after SIGTERM:\n{self.told()}")


@pytest.mark.parametrize("owner", ["promisewatch-detect", "promisewatch-notifier"])
def test_a_pod_of_the_manifests_becomes_ready_and_ends_in_time(
    owner: str, topics: str, base: Manifests, broker: ApacheKafka, tmp_path: Path
) -> None:
    """Started and live, then ready, with metrics; after SIGTERM it ends by itself within its grace period, with 0."""
    del topics
    grace = base.pods()[owner]["spec"]["terminationGracePeriodSeconds"]
    pod = Pod(base, owner, broker, tmp_path)
    pod.start()
    try:
        pod.until("startup")
        pod.until("readiness")
        assert pod.probe("liveness")[0] == 200
        status, page = pod.get(base.one("PodMonitor", "promisewatch")["spec"]["podMetricsEndpoints"][0]["path"])
        assert status == 200
        assert "\npromise_ready 1.0\n" in page
        assert "\npromise_partitions 4.0\n" in page
        assert pod.state is not None
        assert any(pod.state.iterdir()), "the state is where the volume is"
        assert pod.end(grace) == 0, pod.told()
    finally:
        if pod.process.poll() is None:
            pod.process.kill()
            pod.process.wait()


def test_the_topics_of_the_book_are_made(topics: str) -> None:
    """The Job's own table names the source, what is published and the changelogs."""
    for name in ("shop.events.dlq", "promisewatch.breaches", "promisewatch-records-changelog"):
        assert name in topics


def test_an_ingest_pod_of_the_manifests_reads_every_source_and_ends_in_time(
    topics: str, sources: Manifests, broker: ApacheKafka, tmp_path: Path
) -> None:
    """With the topics of the Job's own making; it needs no folder of state."""
    del topics  # the shared ones have four partitions by now, as these sources will have
    job = Pod(sources, "promisewatch-topics", broker, tmp_path / "job")
    pod = Pod(sources, "promisewatch-ingest", broker, tmp_path / "ingest")
    for each in (job, pod):  # the example's cluster asks for a login, this one does not
        for name in ("PROMISEWATCH_SECURITY_PROTOCOL", "PROMISEWATCH_SASL_MECHANISM"):
            del each.environment[name]
    job.environment |= {"PROMISEWATCH_REPLICATION_FACTOR": "1", "PROMISEWATCH_PARTITIONS": "4"}
    job.start()
    assert job.process.wait(READY_SECONDS) == 0, job.told()
    pod.start()
    try:
        pod.until("startup")
        pod.until("readiness")
        _, page = pod.get("/metrics")
        assert "\npromise_ready 1.0\n" in page
        assert "\npromise_partitions 12.0\n" in page
        assert pod.state is None
        assert pod.end(sources.pods()["promisewatch-ingest"]["spec"]["terminationGracePeriodSeconds"]) == 0, pod.told()
    finally:
        if pod.process.poll() is None:
            pod.process.kill()
            pod.process.wait()
