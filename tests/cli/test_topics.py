"""`promisewatch topics`."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import IncompatibleBrokerVersion, InvalidPartitionsError, TopicAuthorizationFailedError
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic, ResourceType

from promisewatch.brokers import ApacheKafka, EmbeddedBroker
from promisewatch.brokers.processes import free_ports
from promisewatch.topic_admin import Checked, Found, compare, wanted
from promisewatch.topic_judging import Log, judge, spread, warnings
from promisewatch.topic_mending import Mender, Refused, reassign
from schemas import topics
from schemas.exits import ExitCode
from schemas.topics import TopicKind, TopicSpec
from streams.security import KafkaSecurity
from tests.cli.running import promisewatch

WAIT_S = 30


def write_book(folder: Path, topic: str) -> Path:
    """A small valid book whose one source reads `topic`."""
    path = folder / "book.yaml"
    path.write_text(f"""
defaults: {{timezone: UTC, key: order_id}}
sources:
  shop: {{topic: {topic}, format: json, id: event_id, type: type, time: at}}
promises:
- {{id: confirm, when: {{event: order.placed}}, due: {{within: 15m}}, expect: {{event: message.sent}}}}
""")
    return path


def counts(admin: AdminClient) -> dict[str, int]:
    """The partitions of every topic, as brokers tell them: a little later than the change was accepted."""
    return {name: len(topic.partitions) for name, topic in admin.list_topics(timeout=WAIT_S).topics.items()}


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


class Runner:
    """Runs `promisewatch topics` on one broker and book."""

    def __init__(self, address: str, book: Path) -> None:
        self._arguments = ["--bootstrap-server", address, "--book", str(book), "--output", "json"]

    def __call__(self, *arguments: str) -> tuple[int, dict[str, Any], str]:
        """Exit code, JSON document and messages."""
        run = promisewatch("topics", *self._arguments, *arguments)
        return run.code, json.loads(run.out or "{}"), run.err


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

        code, document, _ = run("create", "--app-id", app_id, "--partitions", "2")
        by_name = {topic["topic"]: topic for topic in document["topics"]}
        assert by_name[source]["status"] == "created"
        assert by_name[topics.changelog(app_id)]["status"] == "created"
        assert by_name[topics.changelog(app_id)]["partitions"] == 2

        mine = {source, topics.dlq(source), topics.changelog(app_id)}  # the rest is shared by all tests of the session
        _, document, _ = run("check", "--app-id", app_id)
        assert {topic["status"] for topic in document["topics"] if topic["topic"] in mine} == {"ok"}

        admin = AdminClient({"bootstrap.servers": kafka.bootstrap_server, "log_level": 0})
        admin.create_partitions([NewPartitions(topics.dlq(source), 3)])[topics.dlq(source)].result(WAIT_S)
        admin.delete_topics([topics.changelog(app_id)])[topics.changelog(app_id)].result(WAIT_S)
        wait_until(lambda: counts(admin).get(topics.changelog(app_id)) is None)
        wait_until(lambda: counts(admin)[topics.dlq(source)] == 3)
        code, document, _ = run("check", "--app-id", app_id)
        by_name = {topic["topic"]: topic for topic in document["topics"]}
        assert code == ExitCode.DIFFERENT
        (problem,) = by_name[topics.dlq(source)]["problems"]
        assert problem.startswith("partitions: found 3, expected 2; Kafka takes no partitions away: delete it")
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
            admin.create_topics([NewTopic(name, 2, 1)])[name].result(WAIT_S)
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


STATE = TopicSpec("app-records-changelog", {"cleanup.policy": "compact"}, 4, TopicKind.STATE)
MEMORY = TopicSpec("told-notified-changelog", {"cleanup.policy": "compact"}, 4, TopicKind.MEMORY)
OUTPUT = TopicSpec("promisewatch.breaches", {"cleanup.policy": "delete"}, 4)
SOURCE = TopicSpec("orders", {}, 4, TopicKind.SOURCE)


def drifted(spec: TopicSpec, partitions: int = 4, replicas: int | None = None, **more: Any) -> Checked:
    """A topic that is right but for what is named."""
    configs = {**spec.configs, "min.insync.replicas": "1", **more.pop("configs", {})}
    found = Found(partitions, 1, configs, **more)
    return compare(spec, found, replicas)


def left(checked: list[Checked], spec: TopicSpec) -> str | None:
    """Why the one difference of a topic is left; None if it is mended."""
    (difference,) = next(each for each in checked if each.spec is spec).differences
    return difference.left


class TestJudging:
    new = Log(written=False, shortened=False)
    used = Log(written=True, shortened=False)

    def test_output_topics_are_extended_whatever_they_hold(self) -> None:
        """Our writers choose the partition by number: what lies there stays where its subjects are."""
        checked = judge([drifted(OUTPUT, 2), drifted(STATE)], {OUTPUT.name: self.used}, 1)
        assert left(checked, OUTPUT) is None

    def test_a_changelog_that_was_never_used_is_extended(self) -> None:
        """It was created with a wrong number; nothing can be lost."""
        assert left(judge([drifted(STATE, 2)], {STATE.name: self.new}, 1), STATE) is None

    def test_a_changelog_with_state_is_not_extended_nor_anything_else_then(self) -> None:
        """The source has got other partitions since: more partitions cannot be taken back, and would mend nothing."""
        checked = judge([drifted(OUTPUT, 2), drifted(STATE, 2)], {OUTPUT.name: self.new, STATE.name: self.used}, 1)
        assert "holds the state of 2 partitions" in (left(checked, STATE) or "")
        assert "another --app-id" in (left(checked, STATE) or "")
        assert left(checked, OUTPUT) == "left because of app-records-changelog"

    def test_the_notifiers_memory_is_extended_with_a_warning(self) -> None:
        """Forgetting all of it, under another application id, would tell everything again."""
        checked = judge([drifted(MEMORY, 2)], {MEMORY.name: self.used}, 1)
        assert left(checked, MEMORY) is None
        (note,) = warnings(checked, {MEMORY.name: self.used})
        assert "told-notified-changelog holds memory" in note
        assert warnings(checked, {MEMORY.name: self.new}) == []

    @pytest.mark.parametrize(
        ("spec", "log", "advice"),
        [
            (OUTPUT, new, "no partitions away: delete it"),
            (OUTPUT, used, "once nobody needs its records, delete it"),
            (STATE, new, "no partitions away: delete it"),
            (STATE, used, "start under another --app-id"),
            (MEMORY, used, "--notifier-app-id"),
        ],
    )
    def test_more_partitions_than_required_are_never_mended(self, spec: TopicSpec, log: Log, advice: str) -> None:
        """Kafka takes none away; what helps instead depends on what would be lost."""
        assert advice in (left(judge([drifted(spec, 8)], {spec.name: log}, 1), spec) or "")

    def test_a_source_topic_is_never_changed(self) -> None:
        """Its owner has reasons."""
        checked = judge([drifted(SOURCE, replicas=3)], {}, 3)
        assert left(checked, SOURCE) == "a source topic is its owner's to change"

    def test_replicas_need_as_many_brokers(self) -> None:
        """The number that is there is told."""
        assert left(judge([drifted(OUTPUT, replicas=3)], {}, 2), OUTPUT) == "the cluster has 2 brokers"
        assert left(judge([drifted(OUTPUT, replicas=3)], {}, 3), OUTPUT) is None

    def test_no_more_replicas_are_asked_to_be_in_sync_than_are(self) -> None:
        """Otherwise no write would count. Where the replicas are about to come, their turn comes after them."""
        safe = replace(OUTPUT, configs={"min.insync.replicas": "2"})
        assert left(judge([drifted(safe, in_sync=1)], {}, 3), safe) == (
            "left until so many replicas are in sync: 1 of 1 are"
        )
        assert left(judge([drifted(safe, in_sync=2)], {}, 3), safe) is None
        coming = judge([drifted(safe, replicas=3, in_sync=1)], {}, 3)
        assert [each.what for each in coming[0].mendable] == ["replicas", "min.insync.replicas"]

    def test_more_replicas_in_sync_than_there_are_is_a_difference_of_its_own(self) -> None:
        """A cluster's default of 2 with one replica: no write would count."""
        checked = drifted(OUTPUT, configs={"min.insync.replicas": "2"})
        assert checked.problems == ("min.insync.replicas: found 2, expected 1",)
        assert left(judge([checked], {}, 1), OUTPUT) is None
        assert drifted(SOURCE, configs={"min.insync.replicas": "2"}).in_order

    def test_records_that_a_wrong_policy_has_deleted_are_told(self) -> None:
        """What is gone does not come back with the right policy; a log with its beginning has lost nothing."""
        checked = judge([drifted(STATE, configs={"cleanup.policy": "delete"})], {STATE.name: self.used}, 1)
        assert left(checked, STATE) is None
        assert warnings(checked, {STATE.name: self.used}) == []
        (note,) = warnings(checked, {STATE.name: Log(written=True, shortened=True)})
        assert "app-records-changelog: records have been deleted already, under cleanup.policy delete" in note


class TestSpread:
    def test_replicas_stay_and_new_ones_go_to_other_racks_then_to_the_idlest(self) -> None:
        """The leader stays; partitions with enough are not touched."""
        racks = {1: "a", 2: "a", 3: "b", 4: "b"}
        assignment = {0: [1], 1: [3], 2: [2, 4]}
        load = Counter({1: 1, 2: 1, 3: 1, 4: 1})
        assert spread(assignment, racks, 2, load) == {0: [1, 3], 1: [3, 1]}
        assert load == {1: 2, 2: 1, 3: 2, 4: 1}

    def test_every_partition_gets_different_brokers_without_racks(self) -> None:
        """As many as asked for, no broker twice, evenly."""
        load = Counter({1: 6})
        placed = spread({partition: [1] for partition in range(6)}, dict.fromkeys(range(1, 5)), 3, load)
        assert all(len(set(brokers)) == 3 and brokers[0] == 1 for brokers in placed.values())
        assert [load[broker] for broker in range(1, 5)] == [6, 4, 4, 4]


class Changing:
    """Stands in for a cluster that somebody else works on too: topics are found as the last of `states` says."""

    def __init__(self, states: list[dict[str, Found]], refusal: Exception | None) -> None:
        self.states = states
        self.refusal = refusal

    async def find(self, names: list[str]) -> dict[str, Found]:
        return self.states[0]

    async def extend(self, topic: str, partitions: int) -> None:
        self.states.pop(0)
        if self.refusal is not None:
            raise self.refusal


class TestMending:
    few = Found(2, 1, {"cleanup.policy": "delete"})
    log = Log(written=False, shortened=False)

    async def mend(self, after: dict[str, Found], refusal: Exception | None) -> tuple[Checked, bool]:
        admin = Changing([{OUTPUT.name: self.few}, after], refusal)
        mender = Mender(admin, "127.0.0.1:1", KafkaSecurity(username="bob"))  # type: ignore[arg-type]
        before = judge([compare(OUTPUT, self.few, None)], {OUTPUT.name: self.log}, 1)
        (mended,) = await mender.mend(before, None, {OUTPUT.name: self.log}, {1: None})
        return mended, mender.forbidden

    async def test_what_somebody_else_mends_meanwhile_is_no_error(self) -> None:
        """Kafka refuses the second of two: what counts is how the topic is in the end."""
        mended, _ = await self.mend({OUTPUT.name: replace(self.few, partitions=4)}, InvalidPartitionsError("has 4"))
        assert (mended.status, mended.mended) == ("mended", ("partitions: 2 -> 4",))

    async def test_a_topic_that_somebody_deletes_meanwhile_is_missing(self) -> None:
        """It is not said to be mended."""
        mended, _ = await self.mend({}, None)
        assert (mended.status, mended.problems) == ("missing", ("there is no such topic",))

    async def test_a_permission_that_lacks_is_told_with_topic_and_operation(self) -> None:
        """And the exit code is that of a refusal."""
        mended, forbidden = await self.mend({OUTPUT.name: self.few}, TopicAuthorizationFailedError())
        assert forbidden
        assert mended.problems == (
            "partitions: found 2, expected 4; not changed: user 'bob' has no permission Alter on the topic",
        )

    @pytest.mark.parametrize(
        ("answers", "why"),
        [
            ([IncompatibleBrokerVersion("no")], "takes no reassignments"),
            ([SimpleNamespace(error_code=31, error_message=None, topics=[])], "ClusterAuthorizationFailed"),
            ([SimpleNamespace(error_code=0, error_message=None, topics=["x"])], "being reassigned already"),
            (
                [
                    SimpleNamespace(error_code=0, error_message=None, topics=[]),
                    SimpleNamespace(
                        error_code=0, error_message=None, responses=[("t", [(0, 39, "no broker 9", {})], {})]
                    ),
                ],
                "no broker 9",
            ),
        ],
    )
    async def test_a_reassignment_that_kafka_does_not_take_is_told(self, answers: list[Any], why: str) -> None:
        """Also one that is under way already: it is not replaced."""

        class Client:
            def get_random_node(self) -> int:
                return 1

            async def send(self, node: int, request: object) -> Any:
                answer = answers.pop(0)
                if isinstance(answer, Exception):
                    raise answer
                return answer

        with pytest.raises(Refused, match=why):
            await reassign(Client(), "t", {0: [1, 9]})  # type: ignore[arg-type]
        assert answers == []


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
def cluster(kafka: ApacheKafka) -> Iterator[Cluster]:
    """A cluster of its own: mending must not touch topics that other tests share."""
    (port,) = free_ports(1)
    with ApacheKafka() as first:
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


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense", "127.0.0.1:notaport"])
def test_no_broker_is_one_clear_message(tmp_path: Path, address: str) -> None:
    """Exit 69 and the address in one line, no traceback."""
    code, _, message = Runner(address, write_book(tmp_path, "orders"))("check")
    assert code == ExitCode.UNAVAILABLE
    assert address in message
    assert "Traceback" not in message
