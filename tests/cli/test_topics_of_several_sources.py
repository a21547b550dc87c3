"""`promisewatch topics` for books of several sources or keys: the facts topic, and what follows which partitions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from promisewatch.brokers import ApacheKafka
from promisewatch.topic_admin import completed
from schemas import topics
from schemas.exits import ExitCode
from tests.cli.topic_commands import WAIT_S, Runner, counts, wait_until
from tests.cli.topic_commands import write_book as one_source

PARTITIONS = 8
"""As many as the other tests of the session give to the topics that all books share."""


def write_book(folder: Path, first: str, second: str) -> Path:
    """A small valid book with two sources."""
    path = folder / "book.yaml"
    path.write_text(f"""
defaults: {{timezone: UTC, key: order_id}}
sources:
  shop: {{topic: {first}, format: json, id: event_id, type: type, time: at}}
  mail: {{topic: {second}, format: json, id: event_id, type: type, time: at}}
promises:
- {{id: confirm, when: {{event: order.placed}}, due: {{within: 15m}}, expect: {{event: message.sent}}}}
""")
    return path


def test_every_topic_gets_the_partitions_of_what_it_follows() -> None:
    """Sources and their dead letters keep their own, what detectors write follows the facts; replicas are made safe."""
    sources = {"shop": 3, "mail": 5}
    specs = {spec.name: spec for spec in completed(sources, topics.required_with_facts(sources, "app"), 16, 3)}
    found = {name: spec.partitions for name, spec in specs.items()}
    assert {name: found.pop(name) for name in ("shop", "shop.dlq", "mail", "mail.dlq")} == {
        "shop": 3, "shop.dlq": 3, "mail": 5, "mail.dlq": 5,
    }  # fmt: skip
    assert found.pop("promisewatch-ingest-texts-changelog") == 1
    assert set(found.values()) == {16}
    assert specs["promisewatch.facts"].configs["min.insync.replicas"] == "2"
    assert specs["shop"].configs == {}


@pytest.mark.kafka
class TestOnKafka:
    @pytest.fixture
    def names(self, unique: Callable[[str], str]) -> dict[str, str]:
        return {name: unique(name) for name in ("shop", "mail", "facts", "worker", "ingest")}

    @pytest.fixture
    def run(
        self, kafka: ApacheKafka, tmp_path: Path, names: dict[str, str]
    ) -> Callable[..., tuple[int, dict[str, dict[str, Any]], str]]:
        """Runs `topics ACTION...` of one application: exit code, topics by name, messages."""
        runner = Runner(kafka.bootstrap_server, write_book(tmp_path, names["shop"], names["mail"]))
        own = ["--app-id", names["worker"], "--ingest-app-id", names["ingest"], "--notifier-app-id", names["worker"]]

        def do(*action: str) -> tuple[int, dict[str, dict[str, Any]], str]:
            code, document, message = runner(*action, *own, "--facts-topic", names["facts"])
            return code, {topic["topic"]: topic for topic in document.get("topics", [])}, message

        return do

    @pytest.fixture
    def admin(self, kafka: ApacheKafka) -> AdminClient:
        return AdminClient({"bootstrap.servers": kafka.bootstrap_server, "log_level": 0})

    @staticmethod
    def make(admin: AdminClient, **partitions: int) -> None:
        for name, count in partitions.items():
            admin.create_topics([NewTopic(name, count, 1)])[name].result(WAIT_S)
            wait_until(lambda name=name, count=count: counts(admin).get(name) == count)  # type: ignore[misc]

    def test_the_facts_have_as_many_partitions_as_the_source_with_most(
        self, admin: AdminClient, names: dict[str, str], run: Callable[..., Any]
    ) -> None:
        """Absent sources are named all at once and made as asked; a second look finds everything in order."""
        self.make(admin, **{names["mail"]: PARTITIONS})
        code, _, message = run("create")
        assert code == ExitCode.DIFFERENT
        assert f"there is no source topic {names['shop']} on" in message

        _, created, _ = run("create", "--partitions", "3")
        found = {name: topic["partitions"] for name, topic in created.items()}
        assert (found[names["shop"]], found[names["mail"]]) == (3, PARTITIONS)
        assert (found[topics.dlq(names["shop"])], found[topics.dlq(names["mail"])]) == (3, PARTITIONS)
        assert found[topics.texts_changelog(names["ingest"])] == 1
        assert found[names["facts"]] == found[topics.dlq(names["facts"])] == PARTITIONS
        assert found[topics.changelog(names["worker"])] == PARTITIONS

        _, checked, _ = run("check")
        mine = [topic["status"] for name, topic in checked.items() if not name.startswith("promisewatch.")]
        assert (set(mine), len(mine)) == ({"ok"}, 9)  # the rest is shared by all tests of the session

    def test_a_facts_topic_that_is_there_decides(
        self, admin: AdminClient, names: dict[str, str], run: Callable[..., Any]
    ) -> None:
        """Sources may have got more partitions since: facts lie by the hash of their subject, which does not move."""
        self.make(admin, **{names["shop"]: 2, names["mail"]: PARTITIONS + 1, names["facts"]: PARTITIONS})
        _, mended, _ = run("mend")
        assert mended[names["facts"]]["partitions"] == PARTITIONS
        assert mended[topics.changelog(names["worker"])]["partitions"] == PARTITIONS
        assert mended[names["facts"]]["mended"] == ["max.message.bytes: 1048588 -> 8388608"]

    def test_facts_that_are_there_would_not_follow_more_partitions(
        self, kafka: ApacheKafka, admin: AdminClient, names: dict[str, str], run: Callable[..., Any]
    ) -> None:
        """While it is empty it is extended; once a fact lies there nothing is extended, and it is said why."""
        self.make(admin, **{names["shop"]: 1, names["mail"]: 1, names["facts"]: 1, topics.dlq(names["facts"]): 1})
        code, planned, _ = run("mend", "--facts-partitions", "8", "--dry-run")
        assert code == ExitCode.DIFFERENT
        assert "partitions: 1 -> 8" in planned[names["facts"]]["mendable"]

        producer = Producer({"bootstrap.servers": kafka.bootstrap_server, "log_level": 0})
        producer.produce(names["facts"], b"fact", b"key", 0)
        assert producer.flush(WAIT_S) == 0
        code, mended, _ = run("mend", "--facts-partitions", "8")
        assert code == ExitCode.DIFFERENT
        (problem,) = mended[names["facts"]]["problems"]
        assert problem.startswith("partitions: found 1, expected 8; it holds facts by 1 partitions")
        assert mended[topics.dlq(names["facts"])]["problems"] == [
            f"partitions: found 1, expected 8; left because of {names['facts']}"
        ]
        assert counts(admin)[topics.dlq(names["facts"])] == 1


def test_what_cannot_be_is_told_before_any_look(tmp_path: Path) -> None:
    """Two sources cannot be read directly, and facts need a topic of their own."""
    run = Runner("127.0.0.1:1", write_book(tmp_path, "shop", "mail"))
    code, _, message = run("check", "--input", "direct")
    assert code == ExitCode.CONFIG
    assert "found 2 sources (shop, mail), expected one" in message
    code, _, message = run("check", "--facts-topic", "mail")
    assert code == ExitCode.CONFIG
    assert "--facts-topic: found mail, which is a source topic of the book, expected another" in message


def test_facts_partitions_say_nothing_where_the_worker_reads_its_source(tmp_path: Path) -> None:
    """All follow the source then: to ask for another number is a mistake."""
    run = Runner("127.0.0.1:1", one_source(tmp_path, "shop"))
    code, _, message = run("check", "--facts-partitions", "4")
    assert code == ExitCode.CONFIG
    assert "found --facts-partitions, expected none: a worker reads the source of this book itself" in message
