"""Apache Kafka has deleted facts that no worker had read: the worker goes on, and nothing false is ever published."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from promisewatch.brokers import ApacheKafka
from schemas.instants import format_instant
from schemas.topics import dlq
from streams.clock import SystemClock
from tests.agents.stage import PARTITIONS, PATIENCE_SECONDS, Stage

pytestmark = [pytest.mark.kafka]

SKEW = 1_000
MINUTE = 60_000
BOOK = """
sources:
  shop: {{topic: {run}.shop, format: json, id: id, type: type, time: at, frontier: markers,
          events: [paid, told, greeted]}}
  post: {{topic: {run}.post, format: json, id: id, type: type, time: at, frontier: markers, events: [shipped]}}
defaults: {{timezone: Europe/Amsterdam, key: order_id, skew: 1s}}
promises:
- {{id: told, when: {{event: paid}}, due: {{field: by}}, expect: {{event: told}}}}
- {{id: greeted, when: {{event: paid}}, due: {{within: 1m}}, expect: {{event: greeted}}}}
- {{id: shipped, when: {{event: paid}}, due: {{field: by}}, expect: {{event: shipped}}}}
"""
SHOP_PARTITIONS, POST_PARTITIONS = 2, 1
ORDERS = 24


class Company:
    """A shop and a post, each of which says how far it is complete."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.run = stage, stage.run
        topics = {f"{self.run}.shop": SHOP_PARTITIONS, f"{self.run}.post": POST_PARTITIONS, stage.facts: PARTITIONS}
        stage.create(topics | {dlq(name): count for name, count in topics.items()})

    def orders(self, kind: str) -> list[str]:
        return [f"{self.run}-{kind}{number}" for number in range(ORDERS)]

    def event(self, kind: str, order: str, at: int, **data: Any) -> dict[str, Any]:
        return {"id": f"{kind}-{order}", "type": kind, "at": format_instant(at), "order_id": order, **data}

    def paid(self, orders: list[str], at: int, by: int) -> list[dict[str, Any]]:
        return [self.event("paid", order, at, by=format_instant(by)) for order in orders]

    def tell(self, shop: list[dict[str, Any]], post: list[dict[str, Any]], complete_until: int) -> None:
        self.stage.tell(f"{self.run}.shop", SHOP_PARTITIONS, shop, complete_until)
        self.stage.tell(f"{self.run}.post", POST_PARTITIONS, post, complete_until)

    def verdicts(self, orders: list[str], status: str, *promises: str) -> dict[tuple[str, str, str], str]:
        """That these promises about these orders stand so."""
        return {(promise, order, f"paid-{order}"): status for promise in promises for order in orders}

    def until_facts(self, wanted: set[tuple[bytes, bytes]]) -> None:
        """Wait until these facts (subject, part of the value) are on the facts topic, each on whichever partition."""
        consumer, deadline = self.stage.consumer(), time.monotonic() + PATIENCE_SECONDS
        consumer.assign([TopicPartition(self.stage.facts, partition, 0) for partition in range(PARTITIONS)])
        while wanted:
            assert time.monotonic() < deadline, wanted
            for record in consumer.consume(500, 0.2):
                key, value = record.key() or b"", record.value() or b""
                wanted = {(about, part) for about, part in wanted if not (key.endswith(about) and part in value)}
        consumer.close()

    def lose_facts(self) -> None:
        """Have Apache Kafka delete all that is on the facts topic by now."""
        ends = self.stage.ends([(self.stage.facts, partition) for partition in range(PARTITIONS)])
        places = [TopicPartition(topic, partition, end) for (topic, partition), end in ends.items()]
        client = AdminClient({"bootstrap.servers": self.stage.broker.bootstrap_server})
        for future in client.delete_records(places).values():
            future.result(30)


@pytest.fixture
def company(kafka: ApacheKafka, tmp_path: Path, unique: Callable[[str], str]) -> Iterator[Company]:
    stage = Stage(kafka, tmp_path, unique("lost"), BOOK)
    yield Company(stage)
    stage.stop()


def test_a_worker_goes_on_behind_deleted_facts_holds_what_ran_and_judges_what_comes_later(company: Company) -> None:
    """All that was paid before the loss was told of and shipped in time, which nobody will ever read; of what was paid
    within it nobody hears.
    """
    stage, clock = company.stage, SystemClock()
    began = clock.now_ms() - 180 * MINUTE
    running, unheard = company.orders("running"), company.orders("unheard")
    stage.ingest(f"{company.run}-ingest")
    worker = stage.worker(f"{company.run}-detect")
    company.tell(company.paid(running, began, began + 60 * MINUTE), [], began + 10 * MINUTE)
    wanted = company.verdicts(running, "breached", "greeted")
    stage.until(wanted)  # by then every one of them has been read
    worker.stop()

    later = began + 20 * MINUTE
    company.tell(
        [company.event("told", order, later) for order in running] + company.paid(unheard, later, later + MINUTE),
        [company.event("shipped", order, later) for order in running],
        began + 30 * MINUTE,
    )
    company.until_facts(
        {(order.encode(), kind) for order in running for kind in (b'"told"', b'"shipped"')}
        | {(order.encode(), b'"paid"') for order in unheard}
    )
    company.lose_facts()
    worker.start()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while worker.log.read_text().count("records expired unread") < PARTITIONS:
        assert worker.running, worker.last_words(20)
        assert time.monotonic() < deadline, worker.last_words(20)
        time.sleep(0.1)

    # No lost fact is dated later than a skew ahead of the clock, and nothing a skew after that is in doubt.
    known = clock.now_ms() + 2 * SKEW + 1
    while clock.now_ms() < known + 2:
        time.sleep(0.05)
    kept, missed = company.orders("kept"), company.orders("missed")
    company.tell(
        company.paid(kept + missed, known, known + 1) + [company.event("told", order, known + 1) for order in kept],
        [company.event("shipped", order, known + 1) for order in kept],
        known + 2,
    )
    wanted |= company.verdicts(missed, "breached", "told", "shipped")
    wanted |= company.verdicts(kept, "kept", "told", "shipped")
    wanted |= company.verdicts(running, "held", "told", "shipped")
    published = stage.until(wanted)
    said = {(one["data"]["promise"], one["subject"]) for one in published if one["data"]["status"] == "breached"}
    assert said == {name[:2] for name, status in wanted.items() if status == "breached"}
    assert not any("retracted" in one["type"] for one in published)

    again = {**company.event("told", running[0], later), "id": "once more"}
    company.tell([again], [], known + 3)
    stage.until(wanted | company.verdicts(running[:1], "kept", "told"))
