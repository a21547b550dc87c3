"""`promisewatch topics mend` on Apache Kafka with two brokers."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from promisewatch.brokers import ApacheKafka
from promisewatch.brokers.processes import free_ports
from schemas import topics
from schemas.exits import ExitCode
from tests.brokers import apache_kafka
from tests.cli.topic_commands import WAIT_S, Runner, counts, wait_until, write_book


class Cluster:
    """Two brokers, and what an operator does to topics there."""

    def __init__(self, first: ApacheKafka, second: ApacheKafka) -> None:
        self.brokers = first, second
        self.address = first.bootstrap_server
        self.admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0})

    def create(self, name: str, partitions: int, **configs: str) -> None:
        spelt = {key.replace("_", "."): value for key, value in configs.items()}
        topic = NewTopic(name, partitions, replica_assignment=[[1]] * partitions, config=spelt)
        self.admin.create_topics([topic])[name].result(WAIT_S)
        wait_until(lambda: counts(self.admin).get(name) == partitions)

    def settings(self, name: str) -> dict[str, str]:
        """The settings somebody has made for a topic."""
        resource = ConfigResource(ResourceType.TOPIC, name)
        entries = self.admin.describe_configs([resource])[resource].result(WAIT_S).values()
        return {entry.name: entry.value for entry in entries if not entry.is_default}

    def write(self, name: str, partition: int = 0) -> None:
        producer = Producer({"bootstrap.servers": self.address, "log_level": 0})
        producer.produce(name, b"record", b"key", partition)
        assert producer.flush(WAIT_S) == 0

    def expire(self, name: str, before: int, partition: int = 0) -> None:
        place = TopicPartition(name, partition, before)
        self.admin.delete_records([place])[place].result(WAIT_S)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster of its own: mending must not touch topics that other tests share."""
    (port,) = free_ports(1)
    with apache_kafka() as first:
        member = {
            "process.roles": "broker",
            "node.id": "2",
            "controller.quorum.voters": f"1@127.0.0.1:{first._ports[1]}",  # type: ignore[index]
            "listeners": f"PLAINTEXT://127.0.0.1:{port}",
        }
        with ApacheKafka(port, properties=member) as second:
            yield Cluster(first, second)


@pytest.mark.kafka
class TestMendingOnKafka:
    @pytest.fixture
    def names(self, unique: Callable[[str], str]) -> tuple[str, str]:
        return unique("orders"), unique("app")

    @pytest.fixture
    def mend(
        self, cluster: Cluster, tmp_path: Path, names: tuple[str, str]
    ) -> Callable[..., tuple[int, dict[str, dict[str, Any]], list[str]]]:
        """Runs `topics ACTION...` of one application: exit code, topics by name, notes."""
        run = Runner(cluster.address, write_book(tmp_path, names[0]))

        def do(*action: str) -> tuple[int, dict[str, dict[str, Any]], list[str]]:
            code, document, message = run(*action, "--app-id", names[1], "--notifier-app-id", names[1])
            assert document, message
            return code, {topic["topic"]: topic for topic in document["topics"]}, document["notes"]

        return do

    def test_mends_partitions_replicas_and_settings_and_leaves_all_else(
        self, cluster: Cluster, mend: Callable[..., Any], names: tuple[str, str]
    ) -> None:
        """What differs is changed, what is missing is created, and what an operator has set besides stays."""
        source, app_id = names
        changelog, letters = topics.changelog(app_id), topics.dlq(source)
        cluster.create(source, 2, retention_ms="777")
        cluster.create(changelog, 1, flush_ms="2000001")
        cluster.create(letters, 2, retention_ms="777", cleanup_policy="delete", segment_ms="3600001")
        cluster.write(letters)

        code, planned, _ = mend("mend", "--dry-run", "--replication-factor", "2")
        assert code == ExitCode.DIFFERENT
        assert planned[letters]["mendable"][:2] == ["replicas: 1 -> 2", f"retention.ms: 777 -> {30 * 86_400_000}"]
        assert planned[topics.BREACHES]["status"] == "missing"
        assert cluster.settings(letters)["retention.ms"] == "777"

        code, mended, notes = mend("mend", "--replication-factor", "2")
        assert mended[letters]["mended"] == planned[letters]["mendable"]
        assert mended[changelog]["mended"][:3] == [
            "partitions: 1 -> 2",
            "replicas: 1 -> 2",
            "cleanup.policy: delete -> compact",
        ]
        assert mended[topics.BREACHES]["status"] == "created"
        assert [name for name, topic in mended.items() if topic["problems"]] == [source]
        assert mended[source]["problems"] == ["replicas: found 1, expected 2; a source topic is its owner's to change"]
        assert (code, notes) == (ExitCode.DIFFERENT, [])

        described = cluster.admin.list_topics(timeout=WAIT_S).topics
        assert {tuple(sorted(each.isrs)) for each in described[letters].partitions.values()} == {(1, 2)}
        assert cluster.settings(letters)["segment.ms"] == "3600001"
        assert cluster.settings(changelog)["flush.ms"] == "2000001"
        assert cluster.settings(source)["retention.ms"] == "777"

        code, again, _ = mend("mend")
        assert code == ExitCode.OK
        assert {topic["status"] for topic in again.values()} == {"ok"}

    def test_leaves_what_cannot_be_mended_and_says_why(
        self, cluster: Cluster, mend: Callable[..., Any], names: tuple[str, str]
    ) -> None:
        """State of a source that has grown since, partitions too many, brokers too few: each with what helps."""
        source, app_id = names
        changelog, letters = topics.changelog(app_id), topics.dlq(source)
        cluster.create(source, 2)
        cluster.create(changelog, 1, cleanup_policy="delete")
        cluster.write(changelog)
        cluster.write(changelog)
        cluster.expire(changelog, 1)
        cluster.create(letters, 1)
        mend("create")

        code, found, notes = mend("mend", "--replication-factor", "3")
        assert code == ExitCode.DIFFERENT
        assert found[changelog]["partitions"] == found[letters]["partitions"] == 1
        assert "another --app-id" in found[changelog]["problems"][0]
        assert f"left because of {changelog}" in found[letters]["problems"][0]
        assert "replicas: found 1, expected 3; the cluster has 2 brokers" in found[letters]["problems"]
        assert any(
            "min.insync.replicas: found 1, expected 2; left until" in each for each in found[letters]["problems"]
        )
        assert cluster.settings(changelog)["cleanup.policy"] == "compact"
        assert any(note.startswith(f"{changelog}: records have been deleted already") for note in notes)

        code, found, _ = mend("check")
        assert code == ExitCode.DIFFERENT
        assert "another --app-id" in found[changelog]["problems"][0]

    def test_partitions_that_contradict_the_source_change_nothing(
        self, cluster: Cluster, tmp_path: Path, names: tuple[str, str]
    ) -> None:
        """A slip of the finger cannot be taken back: more partitions stay."""
        cluster.create(names[0], 2)
        run = Runner(cluster.address, write_book(tmp_path, names[0]))
        code, _, message = run("mend", "--partitions", "20", "--app-id", names[1])
        assert code == ExitCode.DIFFERENT
        assert f"{names[0]} has 2 partitions, expected 20 by --partitions" in message
        assert topics.changelog(names[1]) not in cluster.admin.list_topics(timeout=WAIT_S).topics
