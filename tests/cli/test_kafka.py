"""The local brokers and `promisewatch kafka`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from promisewatch.brokers import ApacheKafka, BrokerChoice, EmbeddedBroker, apache, choose_broker, jars
from promisewatch.brokers.processes import ChildProcess
from schemas.errors import BrokerUnavailable
from schemas.exits import ExitCode

WAIT_S = 60


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def create(broker: ApacheKafka, topic: str, partitions: int = 1) -> None:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_server, "log_level": 0})
    admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(WAIT_S)


def send(address: str, topic: str, values: list[bytes]) -> None:
    producer = Producer({"bootstrap.servers": address, "log_level": 0})
    for value in values:
        producer.produce(topic, value, partition=0)
    assert producer.flush(WAIT_S) == 0


def receive(address: str, topic: str, count: int) -> list[bytes | None]:
    consumer = Consumer(
        {"bootstrap.servers": address, "group.id": f"reads-{topic}", "auto.offset.reset": "earliest", "log_level": 0}
    )
    consumer.subscribe([topic])
    found: list[bytes | None] = []
    deadline = time.monotonic() + WAIT_S
    while len(found) < count and time.monotonic() < deadline:
        found += [message.value() for message in consumer.consume(count - len(found), 0.5) if message.error() is None]
    consumer.close()
    return found


@pytest.mark.kafka
@pytest.mark.usefixtures("kafka")  # skips where Apache Kafka cannot run
class TestApacheKafka:
    def test_keeps_address_and_data_over_an_orderly_restart_and_a_crash(self) -> None:
        """An outage can be simulated: the broker comes back where it was with what it had."""
        with ApacheKafka() as broker:
            address = broker.bootstrap_server
            create(broker, "events")
            send(address, "events", [b"before"])
            broker.stop()
            assert not broker.running
            broker.start()
            assert broker.bootstrap_server == address
            send(address, "events", [b"between"])
            broker.kill()
            broker.start()
            send(address, "events", [b"after"])
            assert receive(address, "events", 3) == [b"before", b"between", b"after"]

    def test_refuses_topics_nobody_created(self, kafka: ApacheKafka, unique: Callable[[str], str]) -> None:
        """A misspelt topic name is an error, not a new topic."""
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap_server, "log_level": 0})
        name = unique("misspelt")
        metadata = admin.list_topics(name, timeout=WAIT_S).topics[name]
        assert metadata.error is not None
        assert name not in admin.list_topics(timeout=WAIT_S).topics

    def test_a_kept_data_folder_serves_one_broker_at_a_time_and_the_next_goes_on(self, tmp_path: Path) -> None:
        """A second broker is refused in words; a later one has the records, on whatever port."""
        with ApacheKafka(data_dir=tmp_path) as broker:
            create(broker, "events")
            with pytest.raises(BrokerUnavailable, match=f"{tmp_path} is in use by process {os.getpid()};"):
                ApacheKafka(data_dir=tmp_path).start()
            send(broker.bootstrap_server, "events", [b"kept"])
        with ApacheKafka(data_dir=tmp_path) as broker:
            assert receive(broker.bootstrap_server, "events", 1) == [b"kept"]

    def test_a_taken_port_is_one_clear_error(self, kafka: ApacheKafka) -> None:
        """Asking for a port that somebody listens on names the port."""
        port = int(kafka.bootstrap_server.rpartition(":")[2])
        with pytest.raises(BrokerUnavailable, match=f"port {port} of 127.0.0.1 is in use"), ApacheKafka(port=port):
            pass

    def test_the_command_prints_its_address_and_ends_java_and_its_data(
        self, promisewatch_command: list[str], tmp_path: Path
    ) -> None:
        """SIGTERM ends the command with 0, the Java process with it, and the temporary folder is gone."""
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        command = subprocess.Popen(
            [*promisewatch_command, "kafka", "--output", "json"], stdout=subprocess.PIPE, env=environment
        )
        assert command.stdout is not None
        said = json.loads(command.stdout.readline())
        assert alive(said["pid"])
        assert list(tmp_path.iterdir())
        command.send_signal(signal.SIGTERM)
        assert command.wait(WAIT_S) == ExitCode.OK
        assert not alive(said["pid"])
        assert list(tmp_path.iterdir()) == []


class TestJava:
    def test_missing_java_says_what_is_needed(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Without java on the PATH the message names the version that is needed."""
        monkeypatch.delenv("JAVA_HOME", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(BrokerUnavailable, match="found no `java`.*needs Java 17"):
            apache.find_java()

    @pytest.mark.parametrize(
        ("said", "found"), [('openjdk version "11.0.2" 2019-01-15', "11"), ('java version "1.8.0_212"', "8")]
    )
    def test_an_old_java_is_named(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, found: str) -> None:
        """The message says which version was found and where, in the old way of counting too."""
        self.pretend(tmp_path, f"echo '{said}' >&2")
        monkeypatch.setenv("JAVA_HOME", str(tmp_path))
        with pytest.raises(BrokerUnavailable, match=f"found Java {found} at {tmp_path}/bin/java; .*needs Java 17"):
            apache.find_java()

    def test_a_newer_java_is_taken(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """JAVA_HOME decides, and newer versions are welcome."""
        self.pretend(tmp_path, "echo 'openjdk version \"21\" 2023-09-19' >&2")
        monkeypatch.setenv("JAVA_HOME", str(tmp_path))
        assert apache.find_java() == str(tmp_path / "bin" / "java")

    def test_a_java_home_without_java_is_named(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """A wrong JAVA_HOME is not silently ignored."""
        monkeypatch.setenv("JAVA_HOME", str(tmp_path))
        with pytest.raises(BrokerUnavailable, match=f"cannot run {tmp_path}/bin/java"):
            apache.find_java()

    @staticmethod
    def pretend(home: Path, script: str) -> None:
        (home / "bin").mkdir()
        (home / "bin" / "java").write_text(f"#!/bin/sh\n{script}\n")
        (home / "bin" / "java").chmod(0o755)


class TestJars:
    @pytest.fixture(autouse=True)
    def empty_cache(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """A cache of this test's own, and a Maven that brings two small files."""
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        checksums = tmp_path / "list.sha256"
        checksums.write_text(f"{self.sum_of(b'one')}  a.jar\n{self.sum_of(b'two')}  b.jar\n")
        monkeypatch.setattr(jars, "CHECKSUMS", checksums)
        self.calls = 0

        def maven(work: Path) -> None:
            self.calls += 1
            (work / "jars").mkdir()
            for name, content in self.brought.items():
                (work / "jars" / name).write_bytes(content)

        self.brought = {"a.jar": b"one", "b.jar": b"two"}
        monkeypatch.setattr(jars, "run_maven", maven)

    @staticmethod
    def sum_of(content: bytes) -> str:
        import hashlib

        return hashlib.sha256(content).hexdigest()

    def test_are_fetched_once(self, tmp_path: Path) -> None:
        """The second caller finds them in the cache of the XDG folder."""
        assert not jars.cached()
        folder = jars.resolve_jars()
        assert folder == tmp_path / "cache" / "promisewatch" / f"kafka-{jars.KAFKA_VERSION}"
        assert sorted(path.name for path in folder.iterdir()) == ["a.jar", "b.jar"]
        assert jars.resolve_jars() == folder
        assert self.calls == 1

    def test_are_fetched_by_one_of_those_who_want_them_at_once(self) -> None:
        """The others wait and find them."""
        with ThreadPoolExecutor(8) as pool:
            folders = list(pool.map(lambda _: jars.resolve_jars(), range(8)))
        assert set(folders) == {jars.jars_folder()}
        assert self.calls == 1

    def test_a_wrong_sum_is_one_error_that_names_all_and_leaves_no_cache(self) -> None:
        """A changed jar, a missing one and a foreign one are all listed, and nothing of it is used later."""
        self.brought = {"a.jar": b"ONE", "c.jar": b"three"}
        with pytest.raises(BrokerUnavailable) as error:
            jars.resolve_jars()
        assert f"a.jar: found SHA-256 {self.sum_of(b'ONE')}, expected {self.sum_of(b'one')}" in str(error.value)
        assert "b.jar: not downloaded" in str(error.value)
        assert "c.jar: not on the list" in str(error.value)
        assert not jars.cached()
        assert [path.name for path in jars.cache_folder().iterdir()] == ["kafka.lock"]

    def test_an_incomplete_cache_is_replaced(self) -> None:
        """A jar that somebody removed is fetched again."""
        (jars.resolve_jars() / "a.jar").unlink()
        assert not jars.cached()
        assert (jars.resolve_jars() / "a.jar").read_bytes() == b"one"

    def test_maven_is_named_where_it_is_missing(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Without mvn on the PATH the message says what it is for."""
        monkeypatch.undo()
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(BrokerUnavailable, match="found no `mvn`.*Maven 3.6"):
            jars.run_maven(tmp_path)

    def test_maven_failing_shows_what_it_said(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Maven's own words are in the message."""
        monkeypatch.undo()
        (tmp_path / "mvn").write_text("#!/bin/sh\necho no route to repository >&2\nexit 1\n")
        (tmp_path / "mvn").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        with pytest.raises(BrokerUnavailable, match="no route to repository"):
            jars.run_maven(tmp_path)


class TestChoice:
    def test_without_java_the_embedded_broker_is_chosen_and_says_why(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """`auto` never fails, and the reason names what was missing, in one line."""
        monkeypatch.delenv("JAVA_HOME", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
        chosen = choose_broker(BrokerChoice.AUTO)
        assert chosen.broker is BrokerChoice.EMBEDDED
        assert "found no `java`" in chosen.reason
        assert "\n" not in chosen.reason

    def test_asking_for_kafka_without_java_is_an_error(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """BROKER=kafka is not silently replaced by something lesser."""
        monkeypatch.delenv("JAVA_HOME", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(BrokerUnavailable, match="needs Java 17"):
            choose_broker(BrokerChoice.KAFKA)

    def test_asking_for_the_embedded_broker_gives_it(self) -> None:
        """BROKER=embedded needs nothing."""
        assert choose_broker(BrokerChoice.EMBEDDED).broker is BrokerChoice.EMBEDDED


class TestEmbedded:
    def test_has_the_topics_it_was_given_and_keeps_what_it_is_sent(self) -> None:
        """Topics have the asked number of partitions, and a record comes back."""
        with EmbeddedBroker({"events": 16, "other": 3}) as broker:
            admin = AdminClient({"bootstrap.servers": broker.bootstrap_server, "log_level": 0})
            topics = admin.list_topics(timeout=WAIT_S).topics
            assert {name: len(topic.partitions) for name, topic in topics.items()} == {"events": 16, "other": 3}
            send(broker.bootstrap_server, "events", [b"one"])
            assert receive(broker.bootstrap_server, "events", 1) == [b"one"]
            assert broker.dropped() == {}
            pid = broker.pid
        assert not alive(pid)

    def test_tells_what_it_dropped(self, rng) -> None:
        """A partition past its 5 MiB loses its oldest records, and `dropped` counts exactly those."""
        with EmbeddedBroker({"events": 2}) as broker:
            values = [rng.randbytes(10_000) for _ in range(700)]
            send(broker.bootstrap_server, "events", values)
            dropped = broker.dropped()
            assert set(dropped) == {("events", 0)}
            left = receive(broker.bootstrap_server, "events", 700 - dropped["events", 0])
            assert left == values[dropped["events", 0] :]


class TestChild:
    def test_that_ends_early_gives_its_exit_code_and_last_words(self, tmp_path: Path) -> None:
        """The error holds what a person needs to mend it."""
        child = ChildProcess([sys.executable, "-c", "print('out of luck'); raise SystemExit(3)"], tmp_path / "log")
        with pytest.raises(BrokerUnavailable, match="exit code 3.*\nout of luck"):
            child.wait_until(lambda: False, "it", WAIT_S)

    def test_that_never_gets_ready_is_given_up(self, tmp_path: Path) -> None:
        """Waiting has a bound."""
        child = ChildProcess(["sleep", "60"], tmp_path / "log")
        with pytest.raises(BrokerUnavailable, match="not ready within 0.1 s"):
            child.wait_until(lambda: False, "it", 0.1)
        child.end(WAIT_S)
        assert not alive(child.pid)

    def test_that_ignores_sigterm_is_killed(self, tmp_path: Path) -> None:
        """Ending has a bound too."""
        script = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
        child = ChildProcess([sys.executable, "-c", script], tmp_path / "log")
        child.wait_until(lambda: child.last_words() == "deaf", "it", WAIT_S)
        child.end(0.1)
        assert child.exit_code == -signal.SIGKILL

    @pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
    def test_dies_with_a_parent_that_was_killed(self, tmp_path: Path) -> None:
        """kill -9 of the parent leaves nothing behind, and the child's id is the program's own."""
        script = (
            "import pathlib, sys, time; from promisewatch.brokers.processes import ChildProcess;"
            "child = ChildProcess(['sleep', '60'], pathlib.Path(sys.argv[1]));"
            "print(child.pid, flush=True); time.sleep(60)"
        )
        parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "log")], stdout=subprocess.PIPE)
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        wait_until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n")
        parent.kill()
        parent.wait(WAIT_S)
        wait_until(lambda: not alive(pid))
