"""What `promisewatch topics mend` would change, what it leaves and why, and who else may come in between."""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import IncompatibleBrokerVersion, InvalidPartitionsError, TopicAuthorizationFailedError

from promisewatch.topic_admin import Checked, Found, compare
from promisewatch.topic_judging import Log, judge, spread, warnings
from promisewatch.topic_mending import Mender, Refused, reassign
from schemas.topics import TopicKind, TopicSpec
from streams.security import KafkaSecurity

STATE = TopicSpec("app-records-changelog", {"cleanup.policy": "compact"}, 4, TopicKind.STATE)
MEMORY = TopicSpec("told-notified-changelog", {"cleanup.policy": "compact"}, 4, TopicKind.MEMORY)
OUTPUT = TopicSpec("promisewatch.breaches", {"cleanup.policy": "delete"}, 4)
FACTS = TopicSpec("promisewatch.facts", {"cleanup.policy": "delete"}, 4, TopicKind.FACTS)
TEXTS = TopicSpec("ingest-texts-changelog", {"cleanup.policy": "compact"}, 1, TopicKind.TEXTS)
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

    def test_a_facts_topic_with_facts_is_not_extended_nor_anything_else_then(self) -> None:
        """The hash of a subject chooses its partition: with more of them it would leave its state."""
        logs = {FACTS.name: self.used, STATE.name: self.used, OUTPUT.name: self.new}
        checked = judge([drifted(FACTS, 2), drifted(STATE, 2), drifted(OUTPUT, 2)], logs, 1)
        assert "it holds facts by 2 partitions" in (left(checked, FACTS) or "")
        assert "holds the state of 2 partitions" in (left(checked, STATE) or "")
        assert left(checked, OUTPUT) == "left because of promisewatch.facts"
        assert left(judge([drifted(FACTS, 2)], {FACTS.name: self.new}, 1), FACTS) is None

    def test_facts_that_were_compacted_may_be_gone(self) -> None:
        """Only the newest of each subject is left then: setting the right policy brings nothing back."""
        checked = judge([drifted(FACTS, configs={"cleanup.policy": "compact,delete"})], {FACTS.name: self.used}, 1)
        assert left(checked, FACTS) is None
        (note,) = warnings(checked, {FACTS.name: self.used})
        assert "facts may be gone already, since cleanup.policy compact,delete keeps only the newest" in note
        assert warnings(checked, {FACTS.name: self.new}) == []
        other = judge([drifted(OUTPUT, configs={"cleanup.policy": "compact"})], {OUTPUT.name: self.used}, 1)
        assert warnings(other, {OUTPUT.name: self.used}) == []

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
            (FACTS, new, "no partitions away: delete it"),
            (FACTS, used, "leave out --facts-partitions"),
            (TEXTS, new, "no partitions away: delete it"),
            (TEXTS, used, "--ingest-app-id"),
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
