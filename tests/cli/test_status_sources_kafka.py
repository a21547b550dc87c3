"""`promisewatch status` of an ingest and a detector on Apache Kafka: before they start, while they run, and after."""

import datetime as dt
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from promisewatch.brokers import ApacheKafka
from promisewatch.demonstration.processes import Child
from tests.cli.running import promisewatch

pytestmark = pytest.mark.kafka

FACTS_PARTITIONS = 8
"""As many as the other tests of the session give to the topics that all books share."""
BOOK = """
sources:
  shop: {{topic: {name}.shop, format: json, id: id, type: type, time: at, settle: 100ms, events: [asked]}}
  mail: {{topic: {name}.mail, format: json, id: id, type: type, time: at, settle: 100ms, events: [answered]}}
  desk: {{topic: {name}.desk, format: json, id: id, type: type, time: at, settle: 100ms, events: [called]}}
defaults: {{timezone: UTC, key: order}}
promises:
- {{id: {name}-mail, when: {{event: asked}}, due: {{within: 5h}}, expect: {{event: answered}}}}
- {{id: {name}-call, when: {{event: asked}}, due: {{within: 5m}}, expect: {{event: called}}}}
"""
PATIENCE_SECONDS = 100.0


class Systems:
    """A book of three sources on topics of its own, an ingest and a worker for it."""

    def __init__(self, broker: ApacheKafka, folder: Path, name: str) -> None:
        self.name, self.server = name, broker.bootstrap_server
        self.book = folder / "book.yaml"
        self.book.write_text(BOOK.format(name=name))
        common = ["--book", str(self.book), "--bootstrap-server", self.server]
        facts = ["--facts-topic", f"{name}.facts"]
        self._asked = [*common, *facts, "--app-id", name, "--ingest-app-id", f"{name}-in"]
        process = [*common, *facts, "--http-port", "off"]
        self.ingest = Child("ingest", ["ingest", *process, "--app-id", f"{name}-in", "--instance-id", "in-0"], folder)
        state = ["--state-dir", str(folder / "state"), "--instance-id", "detect-0"]
        self.worker = Child("worker", ["worker", *process, "--app-id", name, *state], folder)

    def create(self) -> None:
        """The topics: sources of two partitions."""
        more = ["--partitions", "2", "--facts-partitions", str(FACTS_PARTITIONS), "--notifier-app-id", self.name]
        run = promisewatch("topics", "create", *self._asked, *more)
        assert run.code in {0, 1}, run.err  # other tests may have made the shared topics with other settings

    def send(self, source: str, partition: int, *events: dict[str, Any] | bytes) -> None:
        producer = Producer({"bootstrap.servers": self.server})
        for event in events:
            producer.produce(
                f"{self.name}.{source}", event if isinstance(event, bytes) else json.dumps(event), partition=partition
            )
        producer.flush()

    def asked(self, count: int) -> list[dict[str, Any]]:
        """Questions of ten minutes ago."""
        at = (dt.datetime.now(dt.UTC) - dt.timedelta(minutes=10)).isoformat()
        return [{"id": f"event-{n}", "order": f"order-{n}", "type": "asked", "at": at} for n in range(count)]

    def found(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """The document for programs."""
        run = promisewatch("status", *self._asked, "--output", "json", *arguments)
        assert run.code == code, run.err
        document: dict[str, Any] = json.loads(run.out)
        return document

    def table(self) -> str:
        run = promisewatch("status", *self._asked)
        assert run.code == 0, run.err
        return run.out

    def until(self, what: str, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not true(found := self.found()):
            for process in (self.ingest, self.worker):
                assert process.running, process.last_words(20)
            assert time.monotonic() < deadline, f"waited for {what}\n{found}\n{self.worker.last_words(20)}"
            time.sleep(0.1)
        return found


@pytest.fixture
def systems(kafka: ApacheKafka, tmp_path: Path, unique: Callable[[str], str]) -> Iterator[Systems]:
    systems = Systems(kafka, tmp_path, unique("systems"))
    yield systems
    systems.worker.stop()
    systems.ingest.stop()


def sources(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every source partition by name."""
    return {each["name"]: each for source in found["sources"] for each in source["partitions"]}


def waits(found: dict[str, Any]) -> set[tuple[str, str | None]]:
    """What facts partitions wait for."""
    return {(each["frontier"]["waits_for"], each["frontier"]["source_partition"]) for each in found["partitions"]}


def test_systems_are_seen_before_their_start_while_they_run_in_doubt_and_when_they_are_gone(systems: Systems) -> None:
    """Sources, frontiers, who holds which promises, lag, processes, last breach, dead letters and what is running."""
    nothing_but_names(systems)
    systems.create()
    systems.send("shop", 1, *systems.asked(5))
    unread(systems)
    systems.ingest.start()
    systems.worker.start()
    alive = judged(systems)
    systems.send("mail", 0, *[b"another format"] * 9)
    doubted(systems)
    systems.ingest.kill()
    systems.worker.kill()
    systems.send("desk", 0, b"unread")
    gone(systems, alive)


def nothing_but_names(systems: Systems) -> None:
    """Before there are topics."""
    missing = systems.found(code=1)
    assert {f"{systems.name}.facts", f"{systems.name}.shop", f"{systems.name}-in-texts-changelog"} <= set(
        missing["missing"]
    )
    assert missing["partitions"] == []


def unread(systems: Systems) -> None:
    """Before a process runs: shop has sent five questions."""
    before = systems.found()
    assert waits(before) == {("no_checkpoint", None)}
    assert {each["frontier"]["waits_for"] for each in sources(before).values()} == {"no_owner"}
    assert sources(before)["shop/1"]["end"] == 5
    assert (before["frontier"], before["last_breach"], before["ingest"]["members"]) == (None, None, [])


def judged(systems: Systems) -> dict[str, Any]:
    """While both run, once the calls that did not come are breached; what was found."""
    alive = systems.until(
        "everything to be judged",
        lambda found: (
            found["last_breach"] is not None
            and sources(found)["shop/1"]["processed"] == 5
            and {hold for hold, _ in waits(found)} == {"clock"}
        ),
    )
    assert alive["last_breach"]["promise"] == f"{systems.name}-call"
    assert {each["frontier"]["waits_for"] for each in sources(alive).values()} == {"clock"}
    assert {each["ingest"] for each in sources(alive).values()} == {"in-0"}
    assert {each["worker"]["name"] for each in alive["partitions"]} == {"detect-0"}
    assert {tuple(group["sources"]): group["promises"] for group in alive["groups"]} == {
        ("shop", "mail"): [f"{systems.name}-mail"],
        ("shop", "desk"): [f"{systems.name}-call"],
    }
    assert alive["frontier"] is not None
    assert alive["notes"] == []
    return alive


def doubted(systems: Systems) -> None:
    """While all that mail has sent, nine events, cannot be used."""
    found = systems.until(
        "doubt that holds what waits for mail, and nothing else",
        lambda found: (
            waits(found) == {("doubt", "mail/0")}
            and found["dead_letters"]["count"] == 9
            and found["groups"][0]["frontier"] < found["groups"][1]["frontier"]
        ),
    )
    of = {source["name"]: source for source in found["sources"]}
    (doubt,) = of["mail"]["doubts"]
    assert (doubt["reason"], doubt["promises"]) == ("dead_letters", [f"{systems.name}-mail"])
    assert sources(found)["mail/0"]["doubt"]["since"] == doubt["since"] <= found["at"]
    assert sources(found)["mail/0"]["dead_letters"]["newest"]["reason"] == "bad_json"
    assert [group["source_partition"] == "mail/0" for group in found["groups"]] == [True, False]
    assert (
        f"source mail is in doubt (dead_letters) since {doubt['since']}: too many of its events cannot be used; it "
        f"holds {systems.name}-mail"
    ) in systems.table()


def gone(systems: Systems, alive: dict[str, Any]) -> None:
    """After both were killed and desk has sent one more: what is stored can still be told, and counted."""
    found = systems.found("--promises")
    assert (sources(found)["desk/0"]["end"], sources(found)["desk/0"]["lag"]) == (1, 1)
    running = [each["running"] for each in found["partitions"] if each["running"] is not None]
    assert sum(each["subjects"] for each in running) == 5
    assert sum(each["promises"].get(f"{systems.name}-mail", 0) for each in running) == 5
    assert found["last_breach"] == alive["last_breach"]


def test_looking_leaves_no_trace(systems: Systems) -> None:
    """No member and no position: the groups do not even exist afterwards."""
    systems.create()
    systems.found()
    groups = {
        each.group_id
        for each in AdminClient({"bootstrap.servers": systems.server}).list_consumer_groups().result(30).valid
    }
    assert not groups & {systems.name, f"{systems.name}-in"}
