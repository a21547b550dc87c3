"""Kafka with logins, TLS and permissions, for real: every client gets in, and who may not is told so once (78)."""

import datetime as dt
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)
from cryptography.hazmat.primitives import serialization

from promisewatch.brokers import ApacheKafka, Listener
from promisewatch.demonstration.processes import Child
from schemas import topics
from tests.brokers import apache_kafka

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

SECRET = "tiger-lily"
BOOK = """
sources: {{shop: {{topic: {topic}, format: json, id: id, type: type, time: at, settle: 100ms}}}}
defaults: {{timezone: Europe/Amsterdam, key: order}}
promises: [{{id: confirm, when: {{event: placed}}, due: {{within: 1s}}, expect: {{event: sent}}}}]
"""
PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


class Secure(NamedTuple):
    """A broker with further listeners, and where our certificates are."""

    broker: ApacheKafka
    folder: Path

    def variables(self, name: str) -> dict[str, str]:
        """The environment of a client for one way of getting in."""
        ca = {"PROMISEWATCH_SSL_CAFILE": str(self.folder / "ca.pem")}
        login = {
            "PROMISEWATCH_SASL_USERNAME": "alice",
            "PROMISEWATCH_SASL_PASSWORD_FILE": str(self.folder / "password"),
        }
        ways = {
            "PLAIN": {"SECURITY_PROTOCOL": "SASL_PLAINTEXT", **login},
            "SCRAM-SHA-256": {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "SCRAM-SHA-256", **login, **ca},
            "SCRAM-SHA-512": {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "SCRAM-SHA-512", **login, **ca},
            "TLS": {
                "SECURITY_PROTOCOL": "SSL",
                "SSL_CERTFILE": str(self.folder / "client.pem"),
                "SSL_KEYFILE": str(self.folder / "client.key"),
                **ca,
            },
        }
        listener = "SCRAM" if name.startswith("SCRAM") else name
        chosen = {"BOOTSTRAP_SERVER": self.broker.address(listener), **ways[name]}
        return {key if key.startswith("PROMISEWATCH_") else f"PROMISEWATCH_{key}": each for key, each in chosen.items()}


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    """A broker of its own, with users alice (who may do all) and bob (who may do nothing)."""
    folder = tmp_path_factory.mktemp("certificates")
    ca = trustme.CA()
    server, client = ca.issue_cert("localhost"), ca.issue_cert("worker@example.org", common_name="worker")
    key = serialization.load_pem_private_key(server.private_key_pem.bytes(), None)
    pkcs8 = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )  # the only form Java reads
    (folder / "server.pem").write_bytes(pkcs8 + b"".join(blob.bytes() for blob in server.cert_chain_pems))
    ca.cert_pem.write_to_path(folder / "ca.pem")
    client.cert_chain_pems[0].write_to_path(folder / "client.pem")
    client.private_key_pem.write_to_path(folder / "client.key")
    (folder / "password").write_text(f"{SECRET}\n")
    tls = {
        "ssl.keystore.type": "PEM", "ssl.keystore.location": str(folder / "server.pem"),
        "ssl.truststore.type": "PEM", "ssl.truststore.location": str(folder / "ca.pem"),
    }  # fmt: skip
    users = f'{PLAIN} user_alice="{SECRET}" user_bob="{SECRET}";'
    scram = {f"scram-sha-{bits}.sasl.jaas.config": SCRAM for bits in (256, 512)}
    listeners = [
        Listener("PLAIN", "SASL_PLAINTEXT", {"sasl.enabled.mechanisms": "PLAIN", "plain.sasl.jaas.config": users}),
        Listener("SCRAM", "SASL_SSL", {"sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512", **scram, **tls}),
        Listener(
            "TLS", "SSL", {"ssl.client.auth": "required", "ssl.principal.mapping.rules": "RULE:^.*$/tls-user/", **tls}
        ),
    ]
    authorizer = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS;User:alice;User:tls-user",
    }
    with apache_kafka(listeners=listeners, properties=authorizer, scram_users={"alice": SECRET}) as broker:
        yield Secure(broker, folder)


@pytest.fixture
def source(secure: Secure, tmp_path: Path, unique: Callable[[str], str]) -> str:
    """The name of a run's source topic and application; its book is tmp_path/book.yaml."""
    name = unique("s")
    (tmp_path / "book.yaml").write_text(BOOK.format(topic=name))
    return name


def run(
    command: Sequence[str], arguments: Sequence[str], variables: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run(
        [*command, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=150
    )


def run_all(
    command: Sequence[str], all_arguments: Sequence[Sequence[str]], variables: Mapping[str, str]
) -> list[subprocess.CompletedProcess[str]]:
    """Run several commands side by side; their results in the same order."""
    with ThreadPoolExecutor(len(all_arguments)) as pool:
        return list(pool.map(lambda arguments: run(command, arguments, variables), all_arguments))


def event(run: str, number: int) -> str:
    at = dt.datetime.now(dt.UTC).isoformat()
    return json.dumps({"id": f"{run}-e{number}", "order": f"{run}-o{number}", "type": "placed", "at": at})


def breaches(broker: ApacheKafka, run: str, wanted: int, patience: float = 120) -> list[dict[str, object]]:
    """The first breach events about orders of this run, read through the plain address."""
    consumer = Consumer({
        "bootstrap.servers": broker.bootstrap_server, "group.id": f"test-{time.time_ns()}",
        "auto.offset.reset": "earliest", "isolation.level": "read_committed",
    })  # fmt: skip
    consumer.subscribe([topics.BREACHES])
    found: list[dict[str, object]] = []
    deadline = time.monotonic() + patience
    while len(found) < wanted and time.monotonic() < deadline:
        record = consumer.poll(0.5)
        if record is not None and record.error() is None:
            read = json.loads(record.value())
            found += [read] if read["subject"].startswith(f"{run}-") else []
    consumer.close()
    return found


@pytest.mark.parametrize("way", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "TLS"])
def test_every_client_gets_in(
    secure: Secure,
    source: str,
    tmp_path: Path,
    promisewatch_command: list[str],
    way: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """topics, feed, worker and notifier: an event becomes a breach, a breach a line, and the password is in no log."""
    variables = {**secure.variables(way), "PROMISEWATCH_BOOK": str(tmp_path / "book.yaml")}
    for name, each in variables.items():
        monkeypatch.setenv(name, each)
    made = run(promisewatch_command, ["topics", "create", "--partitions", "1", "--app-id", source], {})
    assert made.returncode in {0, 1}, made.stderr  # 1: an earlier way has made the shared topics
    state = ["--state-dir", str(tmp_path / "state")]
    worker = Child("worker", ["worker", "--app-id", source, *state], tmp_path)
    notifier = Child("notifier", ["notifier", "--state-dir", str(tmp_path / "told")], tmp_path)
    try:
        worker.start()
        notifier.start()
        recording = tmp_path / "events.jsonl"
        recording.write_text("".join(event(source, number) + "\n" for number in range(3)))
        fed = run(promisewatch_command, ["feed", "--no-markers", str(recording)], {})
        assert fed.returncode == 0, fed.stderr
        assert len(breaches(secure.broker, source, 3)) == 3, worker.last_words()
        deadline = time.monotonic() + 120
        while "PROMISE BROKEN" not in notifier.out.read_text() and time.monotonic() < deadline:
            assert notifier.running, notifier.last_words()
            time.sleep(0.1)
        assert "PROMISE BROKEN" in notifier.out.read_text()
    finally:
        codes = worker.stop(), notifier.stop()
    assert codes == (0, 0), worker.last_words() + notifier.last_words()
    assert SECRET not in worker.log.read_text() + notifier.log.read_text()


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one message of a command that ended with 78."""
    assert done.returncode == 78, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stderr
    return done.stderr.splitlines()[-1]


def commands(folder: Path) -> list[list[str]]:
    recording = folder / "events.jsonl"
    recording.write_text(event("x", 1) + "\n")
    member = ["--http-port", "off", "--state-dir"]
    return [
        ["worker", *member, str(folder / "state")],
        ["notifier", *member, str(folder / "told")],
        ["topics"],
        ["feed", str(recording)],
        ["status"],
    ]


@pytest.mark.parametrize("way", ["PLAIN", "SCRAM-SHA-512"])
def test_wrong_credentials_end_every_command_with_one_message(
    secure: Secure, source: str, tmp_path: Path, promisewatch_command: list[str], way: str
) -> None:
    """At once, not after retries without end; what is wrong is not shown."""
    variables = {**secure.variables(way), "PROMISEWATCH_BOOK": str(tmp_path / "book.yaml")}
    del variables["PROMISEWATCH_SASL_PASSWORD_FILE"]
    variables["PROMISEWATCH_SASL_PASSWORD"] = "wrong-guess"
    for done in run_all(promisewatch_command, commands(tmp_path), variables):
        assert "refuses" in (message := refused(done)), done.args
        assert "'alice'" in message
        assert "wrong-guess" not in done.stderr


def test_a_broker_that_cannot_prove_who_it_is_is_not_trusted(
    secure: Secure, source: str, tmp_path: Path, promisewatch_command: list[str]
) -> None:
    """Its certificate is not vouched for: no password is sent there."""
    variables = {**secure.variables("SCRAM-SHA-512"), "PROMISEWATCH_BOOK": str(tmp_path / "book.yaml")}
    del variables["PROMISEWATCH_SSL_CAFILE"]
    for done in run_all(promisewatch_command, commands(tmp_path)[:3], variables):
        assert "cannot prove who it is" in refused(done)


def grant(secure: Secure, kind: ResourceType, name: str, operation: AclOperation) -> None:
    admin = AdminClient({"bootstrap.servers": secure.broker.bootstrap_server})
    binding = AclBinding(kind, name, ResourcePatternType.LITERAL, "User:bob", "*", operation, AclPermissionType.ALLOW)
    for future in admin.create_acls([binding]).values():
        future.result()


def test_status_shows_what_it_may_read_and_names_the_rest(
    secure: Secure, source: str, tmp_path: Path, promisewatch_command: list[str]
) -> None:
    """Without a permission for the source there is nothing to show; the group and the breaches can be done without."""
    book = {"PROMISEWATCH_BOOK": str(tmp_path / "book.yaml"), "PROMISEWATCH_APP_ID": source}
    alice, bob = secure.variables("PLAIN") | book, secure.variables("PLAIN") | book
    bob["PROMISEWATCH_SASL_USERNAME"] = "bob"
    run(promisewatch_command, ["topics", "create", "--partitions", "1"], alice)
    message = refused(run(promisewatch_command, ["status"], bob))
    assert "gives user 'bob' no permission for a topic" in message
    assert source in message
    for topic in (source, topics.dlq(source), topics.changelog(source)):
        grant(secure, ResourceType.TOPIC, topic, AclOperation.READ)
    for topic in (topics.BREACHES, topics.OUTCOMES):
        grant(secure, ResourceType.TOPIC, topic, AclOperation.DESCRIBE)
    producer = Producer({"bootstrap.servers": secure.broker.bootstrap_server, "log_level": 0})
    producer.produce(topics.BREACHES, b'{"subject": "nobody"}', partition=0)
    assert producer.flush(30) == 0
    done = run(promisewatch_command, ["status", "--output", "json"], bob)
    assert done.returncode == 78, done.stderr
    found = json.loads(done.stdout)
    assert [note.partition(":")[0] for note in found["notes"]] == ["the consumer group", "the last breach"]
    assert all("gives user 'bob' no permission" in note for note in found["notes"])
    assert [each["frontier"]["waits_for"] for each in found["partitions"]] == ["no_checkpoint"]


def test_a_missing_permission_is_told_by_name(
    secure: Secure, source: str, tmp_path: Path, promisewatch_command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """First for topics, then for the group, for writing in transactions, and for what is published: each ends with
    78, none is retried for ever, and whoever has all of them goes on where the others stopped.
    """
    book = {"PROMISEWATCH_BOOK": str(tmp_path / "book.yaml"), "PROMISEWATCH_APP_ID": source}
    alice, bob = secure.variables("PLAIN") | book, secure.variables("PLAIN") | book
    bob["PROMISEWATCH_SASL_USERNAME"] = "bob"
    run(promisewatch_command, ["topics", "create", "--partitions", "1"], alice)
    # Static, as in Kubernetes: whoever comes back under its name does not wait for the session of who ended before.
    worker = ["worker", "--state-dir", str(tmp_path / "state"), "--http-port", "off", "--instance-id", "one"]
    message = refused(run(promisewatch_command, worker, bob))
    assert "gives user 'bob' no permission for a topic" in message
    assert source in message
    grant(secure, ResourceType.TOPIC, "*", AclOperation.READ)
    assert "no permission for the consumer group" in refused(run(promisewatch_command, worker, bob))
    grant(secure, ResourceType.GROUP, "*", AclOperation.READ)
    assert "no permission for the transactional ids" in refused(run(promisewatch_command, worker, bob))
    grant(secure, ResourceType.TRANSACTIONAL_ID, "*", AclOperation.WRITE)
    grant(secure, ResourceType.TOPIC, topics.changelog(source), AclOperation.WRITE)
    producer = Producer({"bootstrap.servers": secure.broker.bootstrap_server, "log_level": 0})
    producer.produce(source, event(source, 1))
    assert producer.flush(30) == 0
    message = refused(run(promisewatch_command, worker, bob))
    assert f"no permission for a topic {topics.BREACHES}" in message

    for name, each in alice.items():
        monkeypatch.setenv(name, each)
    allowed = Child("worker", worker, tmp_path)
    allowed.start()
    try:
        assert len(breaches(secure.broker, source, 1)) == 1, allowed.last_words()
    finally:
        allowed.stop()


def test_a_missing_permission_to_mend_is_told_with_topic_and_operation(
    secure: Secure, source: str, tmp_path: Path, promisewatch_command: list[str]
) -> None:
    """Reading settings is one permission, changing them another; what may not be changed stays as it is."""
    book = {"PROMISEWATCH_BOOK": str(tmp_path / "book.yaml"), "PROMISEWATCH_APP_ID": source}
    alice, bob = secure.variables("PLAIN") | book, secure.variables("PLAIN") | book
    bob["PROMISEWATCH_SASL_USERNAME"] = "bob"
    run(promisewatch_command, ["topics", "create", "--partitions", "1"], alice)
    letters = ConfigResource(
        ResourceType.TOPIC,
        topics.dlq(source),
        incremental_configs=[ConfigEntry("retention.ms", "777", incremental_operation=AlterConfigOpType.SET)],
    )
    admin = AdminClient({"bootstrap.servers": secure.broker.bootstrap_server})
    admin.incremental_alter_configs([letters])[letters].result()
    for operation in (AclOperation.READ, AclOperation.DESCRIBE_CONFIGS):
        grant(secure, ResourceType.TOPIC, "*", operation)
    done = run(promisewatch_command, ["topics", "mend", "--output", "json"], bob)
    found = {topic["topic"]: topic for topic in json.loads(done.stdout)["topics"]}
    (problem,) = found[topics.dlq(source)]["problems"]
    assert problem.startswith("retention.ms: found 777, expected ")
    assert problem.endswith("not changed: user 'bob' has no permission AlterConfigs on the topic")
    assert done.returncode == 78
    done = run(promisewatch_command, ["topics", "mend", "--output", "json"], alice)
    assert done.returncode == 0, done.stdout


def test_a_plain_producer_is_not_let_in_by_the_secure_listener(secure: Secure) -> None:
    """The test's own broker does ask for a login."""
    producer = Producer(
        {"bootstrap.servers": secure.broker.address("PLAIN"), "message.timeout.ms": 2000, "log_level": 0}
    )
    failures: list[object] = []
    producer.produce("x", b"1", on_delivery=lambda error, _: failures.append(error))
    producer.flush(60)
    assert failures[0] is not None
