"""Apache Kafka on this machine: one node that is broker and controller (KRaft), on loopback only.

Made for development and tests: a small heap, few internal partitions, no fsync per record (Kafka's default), and
the JVM's first compiler only, which starts faster and, over the minutes such a broker lives, also runs faster.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from promisewatch.brokers.folders import TemporaryFolder, claim_to_keep
from promisewatch.brokers.jars import resolve_jars
from promisewatch.brokers.local import LocalBroker
from promisewatch.brokers.processes import ChildProcess, accepts, free_ports, is_free
from schemas.errors import BrokerUnavailable

JAVA_VERSION_MIN = 17
START_TIMEOUT_S = 60.0
FORMAT_TIMEOUT_S = 60.0
END_PATIENCE_S = 20.0
START_ATTEMPTS_MAX = 3
CLUSTER_ID = "cHJvbWlzZXdhdGNoMDAwMA"  # any 16 bytes in base 64; nobody else will ever see this cluster
LOG4J2_CONFIG = """Configuration:
  Appenders:
    Console: {name: out, target: SYSTEM_OUT, PatternLayout: {pattern: "%d{ISO8601} %p %c{1}: %m%n"}}
  Loggers:
    Root: {level: WARN, AppenderRef: {ref: out}}
"""


@dataclass(frozen=True)
class Listener:
    """One more address of the broker, of another security protocol. `properties` are this listener's own settings."""

    name: str
    protocol: str
    properties: Mapping[str, str] = field(default_factory=dict)

    def settings(self) -> dict[str, str]:
        """Kafka's spelling of `properties`."""
        return {f"listener.name.{self.name.lower()}.{key}": value for key, value in self.properties.items()}


class ApacheKafka(LocalBroker):
    """A broker that can be stopped and started again on the same address with the same data.

    Besides the plaintext address it serves `listeners`, each on a free port (see `address`); `properties` are further
    settings of the broker, `scram_users` names and passwords that exist from the start.

    `port` 0 picks a free one. Without `data_dir` the data lies in a temporary folder that `close` removes; with it,
    everything stays, and a later broker goes on where this one ended.
    """

    name = "Apache Kafka"
    transactional = True

    def __init__(
        self,
        port: int = 0,
        data_dir: Path | None = None,
        heap_mb: int = 512,
        *,
        listeners: Sequence[Listener] = (),
        properties: Mapping[str, str] | None = None,
        scram_users: Mapping[str, str] | None = None,
    ) -> None:
        self._wanted_port = port
        self._listeners = tuple(listeners)
        self._properties = dict(properties or {})
        self._scram_users = dict(scram_users or {})
        self._heap_mb = heap_mb
        self._temporary: TemporaryFolder | None = None
        if data_dir is None:
            self._temporary = TemporaryFolder("kafka")
            data_dir = self._temporary.path
        self._home = data_dir.absolute()
        self._ports: tuple[int, ...] | None = None
        self._claimed: IO[str] | None = None

    @property
    def bootstrap_server(self) -> str:
        """HOST:PORT, once started; it stays the same over restarts."""
        assert self._ports is not None, "the broker has not been started"
        return f"127.0.0.1:{self._ports[0]}"

    def address(self, listener: str) -> str:
        """HOST:PORT of one of `listeners`, once started; by name, as certificates want it."""
        assert self._ports is not None, "the broker has not been started"
        return f"localhost:{self._ports[2 + [each.name for each in self._listeners].index(listener)]}"

    @property
    def log(self) -> Path:
        """What the broker writes at level WARN and above."""
        return self._home / "broker.log"

    def start(self) -> None:
        """Start, and return once the broker answers. Raises BrokerUnavailable with the reason."""
        if self.running:
            return
        java = find_java()
        jars = resolve_jars()
        if self._temporary is None and self._claimed is None:
            self._claimed = claim_to_keep(self._home)
        (self._home / "log4j2.yaml").write_text(LOG4J2_CONFIG)
        for attempt in range(1, START_ATTEMPTS_MAX + 1):
            chosen = self._ports or self._choose_ports()
            self._format(java, jars, chosen)
            self.log.unlink(missing_ok=True)
            self._process = ChildProcess(self._command(java, jars, "kafka.Kafka", str(self._config)), self.log)
            try:
                self._process.wait_until(lambda port=chosen[0]: answers(port), self.name, START_TIMEOUT_S)  # type: ignore[misc]
            except BrokerUnavailable:
                # A port that was free a second ago may have been taken; only a port we chose can be chosen again.
                taken = "BindException" in self._process.last_words() and self._ports is None and not self._wanted_port
                self.stop()
                if not taken or attempt == START_ATTEMPTS_MAX:
                    raise
                continue
            self._ports = chosen
            return

    def stop(self) -> None:
        """End the broker in good order; data and address stay for the next `start`."""
        self._end(END_PATIENCE_S)

    def kill(self) -> None:
        """End the broker as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def close(self) -> None:
        """End the broker and remove what was temporary; where that is its data, there is no good order to wait for."""
        if self._temporary is None:
            self.stop()
        else:
            self.kill()
        if self._claimed is not None:
            self._claimed.close()
            self._claimed = None
        if self._temporary is not None:
            self._temporary.remove()

    @property
    def _config(self) -> Path:
        return self._home / "server.properties"

    def _choose_ports(self) -> tuple[int, ...]:
        """One port for clients, one for the controller, one for each further listener."""
        if self._wanted_port and not is_free(self._wanted_port):
            raise BrokerUnavailable(f"port {self._wanted_port} of 127.0.0.1 is in use; choose another, or 0 for any")
        own, *others = free_ports(2 + len(self._listeners))
        return (self._wanted_port or own, *others)

    def _format(self, java: str, jars: Path, ports: tuple[int, ...]) -> None:
        """Write the settings, and on first use the identity that KRaft wants to find in its data folder."""
        self._config.write_text(server_properties(self._home / "data", ports, self._listeners, self._properties))
        if (self._home / "data" / "meta.properties").exists():
            return
        tool = ["kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER_ID, "--config", str(self._config)]
        for name, password in self._scram_users.items():
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
                tool += ["--add-scram", f"{mechanism}=[name={name},password={password}]"]
        done = subprocess.run(
            self._command(java, jars, *tool), capture_output=True, text=True, timeout=FORMAT_TIMEOUT_S, check=False
        )
        if done.returncode != 0:
            said = (done.stdout + done.stderr).strip()
            raise BrokerUnavailable(f"{self.name} could not prepare its data folder {self._home}; it said:\n{said}")

    def _command(self, java: str, jars: Path, *arguments: str) -> list[str]:
        return [
            java,
            f"-Xmx{self._heap_mb}m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-XX:-UsePerfData",
            f"-Dlog4j2.configurationFile={self._home / 'log4j2.yaml'}",
            "-cp",
            f"{jars}/*",
            *arguments,
        ]


def answers(port: int) -> bool:
    """Whether the broker there serves metadata, which it does once it has registered with its controller."""
    if not accepts(port):
        return False
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    client = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0})
    try:
        return len(client.list_topics(timeout=2).brokers) > 0
    except KafkaException:
        return False


def find_java() -> str:
    """The `java` to run: of JAVA_HOME if set, else of the PATH. Raises BrokerUnavailable if missing or too old."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    needed = f"Apache Kafka needs Java {JAVA_VERSION_MIN} or newer"
    if java is None:
        raise BrokerUnavailable(f"found no `java` on the PATH and no JAVA_HOME; {needed}")
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False)
    except OSError as error:
        raise BrokerUnavailable(f"cannot run {java} ({error.strerror}); {needed}") from error
    said = done.stderr + done.stdout
    match = re.search(r'version "(?:1\.)?(\d+)', said)
    if match is None:
        raise BrokerUnavailable(f"cannot tell the version of {java}, which said {said.strip()!r}; {needed}")
    if int(match[1]) < JAVA_VERSION_MIN:
        raise BrokerUnavailable(f"found Java {match[1]} at {java}; {needed}")
    return java


def server_properties(
    data: Path, ports: Sequence[int], listeners: Sequence[Listener] = (), properties: Mapping[str, str] | None = None
) -> str:
    """The broker's settings, for the client port, the controller port, and those of further listeners."""
    client, controller, *further = ports
    more = [(each, f"{each.name}://localhost:{port}") for each, port in zip(listeners, further, strict=True)]
    settings = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": ",".join(
            [f"PLAINTEXT://127.0.0.1:{client}", f"CONTROLLER://127.0.0.1:{controller}", *(url for _, url in more)]
        ),
        "advertised.listeners": ",".join([f"PLAINTEXT://127.0.0.1:{client}", *(url for _, url in more)]),
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": ",".join(
            ["CONTROLLER:PLAINTEXT", "PLAINTEXT:PLAINTEXT", *(f"{each.name}:{each.protocol}" for each in listeners)]
        ),
        "log.dirs": data,
        # Topics are made by `promisewatch topics`; a misspelt one shall not come into being by being asked for.
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        # A lone developer waits for nobody else to join the group.
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        # After a crash the node may register again only when its former self has been given up.
        "broker.heartbeat.interval.ms": 500,
        "broker.session.timeout.ms": 3000,
        "offsets.retention.minutes": 60 * 24 * 365,
        "log.cleaner.dedupe.buffer.size": 8 * 1024 * 1024,
        "num.network.threads": 2,
        "num.io.threads": 4,
        **{name: value for each in listeners for name, value in each.settings().items()},
        **(properties or {}),
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())
