"""`promisewatch topics check` and `create`: what is expected, what is found, and what somebody changed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from promisewatch.brokers import ApacheKafka, EmbeddedBroker
from promisewatch.topic_admin import Found, compare, wanted
from schemas import topics
from schemas.exits import ExitCode
from schemas.topics import TopicSpec
from tests.cli.topic_commands import WAIT_S, Runner, counts, wait_until, write_book

PARTITIONS = 8
"""As many as the other tests of the session give to the topics that all books share."""


class TestCompare:
    spec = TopicSpec("t", {"retention.ms": "1000", "min.cleanable.dirty.ratio": "0.1"}, 4)
    right = {"retention.ms": "1000", "min.cleanable.dirty.ratio": "0.10"}

    def test_what_is_right_is_ok(self) -> None:
        """Numbers are equal however they are spelt, and settings nobody requires do not count."""
        assert compare(self.spec, Found(4, 1, {**self.right, "segment.ms": "5"}), None).status == "ok"

    def test_everything_that_differs_is_listed(self) -> None:
        """Found and expected, each with its name."""
        checked = compare(self.spec, Found(3, 1, {"retention.ms": "7"}), 2)
        assert checked.status == "differs"
        assert checked.problems == (
            "partitions: found 3, expected 4",
            "replicas: found 1, expected 2",
            "retention.ms: found 7, expected 1000",
            "min.cleanable.dirty.ratio: found nothing, expected 0.1",
        )

    @pytest.mark.parametrize(
        ("found", "expected", "in_order"),
        [
            ("1000", "1000", True),
            ("2000", "1000", True),
            ("-1", "1000", True),
            ("-1", "-1", True),
            ("999", "1000", False),
            ("1000", "-1", False),
            ("nothing", "1000", False),
        ],
    )
    def test_records_may_be_kept_longer_than_required(self, found: str, expected: str, in_order: bool) -> None:
        """An operator's longer retention is no difference: mending it down would delete records. -1 is for ever."""
        spec = TopicSpec("t", {"retention.ms": expected})
        assert compare(spec, Found(1, 1, {"retention.ms": found}), None).in_order is in_order

    def test_a_missing_topic_is_missing(self) -> None:
        """Not a difference of settings."""
        assert compare(self.spec, None, None).status == "missing"

    def test_a_broker_that_tells_no_settings_is_judged_by_partitions_alone(self) -> None:
        """Not knowing is not differing."""
        assert compare(self.spec, Found(4, 1, None), None).in_order
        assert not compare(self.spec, Found(5, 1, None), None).in_order


class TestWanted:
    def test_every_topic_follows_the_partitions_of_the_source(self) -> None:
        """A subject lies in the same partition number everywhere."""
        specs = wanted(["orders"], "app", 6, None)
        assert {spec.partitions for spec in specs} == {6}
        assert {"orders", "orders.dlq", topics.BREACHES, topics.OUTCOMES, topics.changelog("app")} < {
            spec.name for spec in specs
        }

    @pytest.mark.parametrize(("replicas", "in_sync"), [(None, None), (1, None), (2, None), (3, "2")])
    def test_one_replica_may_be_lost_where_there_are_three(self, replicas: int | None, in_sync: str | None) -> None:
        """With three replicas two must acknowledge; with fewer, any that is there."""
        specs = {spec.name: spec for spec in wanted(["orders"], "app", 1, replicas)}
        assert specs[topics.BREACHES].configs.get("min.insync.replicas") == in_sync
        assert specs["orders"].configs == {}


@pytest.mark.kafka
class TestOnKafka:
    def test_creates_then_finds_in_order_then_shows_what_somebody_changed(
        self,
        kafka: ApacheKafka,
        tmp_path: Path,
        unique: Callable[[str], str],
    ) -> None:
        """The whole life: absent, created with settings, checked, changed behind our back, shown."""
        source, app_id = unique("orders"), unique("app")
        run = Runner(kafka.bootstrap_server, write_book(tmp_path, source))

        code, _, message = run("check", "--app-id", app_id)
        assert code == ExitCode.DIFFERENT
        assert f"there is no source topic {source}" in message

        code, document, _ = run("create", "--app-id", app_id, "--partitions", str(PARTITIONS))
        by_name = {topic["topic"]: topic for topic in document["topics"]}
        assert by_name[source]["status"] == "created"
        assert by_name[topics.changelog(app_id)]["status"] == "created"
        assert by_name[topics.changelog(app_id)]["partitions"] == PARTITIONS

        mine = {source, topics.dlq(source), topics.changelog(app_id)}  # the rest is shared by all tests of the session
        _, document, _ = run("check", "--app-id", app_id)
        assert {topic["status"] for topic in document["topics"] if topic["topic"] in mine} == {"ok"}

        admin = AdminClient({"bootstrap.servers": kafka.bootstrap_server, "log_level": 0})
        admin.create_partitions([NewPartitions(topics.dlq(source), PARTITIONS + 1)])[topics.dlq(source)].result(WAIT_S)
        admin.delete_topics([topics.changelog(app_id)])[topics.changelog(app_id)].result(WAIT_S)
        wait_until(lambda: counts(admin).get(topics.changelog(app_id)) is None)
        wait_until(lambda: counts(admin)[topics.dlq(source)] == PARTITIONS + 1)
        code, document, _ = run("check", "--app-id", app_id)
        by_name = {topic["topic"]: topic for topic in document["topics"]}
        assert code == ExitCode.DIFFERENT
        (problem,) = by_name[topics.dlq(source)]["problems"]
        assert problem.startswith("partitions: found 9, expected 8; Kafka takes no partitions away: delete it")
        assert by_name[topics.changelog(app_id)]["status"] == "missing"
        assert by_name[source]["status"] == "ok"

    def test_a_topic_with_other_settings_is_shown_and_left_alone(
        self,
        kafka: ApacheKafka,
        tmp_path: Path,
        unique: Callable[[str], str],
    ) -> None:
        """A changelog that is not compacted would lose state: `create` says so too, and changes nothing."""
        source, app_id = unique("orders"), unique("app")
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap_server, "log_level": 0})
        for name in (source, topics.changelog(app_id)):
            admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(WAIT_S)
        run = Runner(kafka.bootstrap_server, write_book(tmp_path, source))
        code, document, _ = run("create", "--app-id", app_id)
        changelog = next(topic for topic in document["topics"] if topic["topic"] == topics.changelog(app_id))
        assert code == ExitCode.DIFFERENT
        assert changelog["status"] == "differs"
        assert "cleanup.policy: found delete, expected compact" in changelog["problems"]

    def test_more_replicas_than_brokers_is_one_clear_error(
        self,
        kafka: ApacheKafka,
        tmp_path: Path,
        unique: Callable[[str], str],
    ) -> None:
        """The broker's own reason is passed on."""
        run = Runner(kafka.bootstrap_server, write_book(tmp_path, unique("orders")))
        code, _, message = run("create", "--partitions", "1", "--replication-factor", "3")
        assert code == ExitCode.CONFIG
        assert "not created" in message
        assert "Traceback" not in message


class TestOnTheEmbeddedBroker:
    def test_only_existence_and_partitions_are_checked(self, tmp_path: Path) -> None:
        """It tells no settings; that is said, and missing topics are still found."""
        names = [spec.name for spec in topics.required(("orders",), "app")]
        book = write_book(tmp_path, "orders")
        with EmbeddedBroker(dict.fromkeys(["orders", *names], 16)) as broker:
            run = Runner(broker.bootstrap_server, book)
            for action in ("create", "mend"):
                code, document, _ = run(action, "--app-id", "app")
                assert code == ExitCode.OK
                assert document["notes"]
            for action in ("create", "mend"):
                code, document, _ = run(action, "--app-id", "other")
                assert code == ExitCode.DIFFERENT
                missing = [topic["topic"] for topic in document["topics"] if topic["status"] == "missing"]
                assert missing == [topics.changelog("other")]


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense", "127.0.0.1:notaport"])
def test_no_broker_is_one_clear_message(tmp_path: Path, address: str) -> None:
    """Exit 69 and the address in one line, no traceback."""
    code, _, message = Runner(address, write_book(tmp_path, "orders"))("check")
    assert code == ExitCode.UNAVAILABLE
    assert address in message
    assert "Traceback" not in message
