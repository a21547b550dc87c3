"""Ingest and detector as two processes on Apache Kafka: together they publish what one alone does, and what is true."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from promisewatch.brokers import ApacheKafka
from schemas.instants import format_instant, parse_instant
from schemas.topics import dlq
from tests.agents.stage import PARTITIONS, Stage

pytestmark = [pytest.mark.kafka]

BEGAN = parse_instant("2026-03-02T09:00:00Z", None)
MINUTE = 60_000

ONE = """
sources: {{shop: {{topic: {run}.shop, format: json, id: id, type: type, time: at, frontier: markers}}}}
defaults: {{timezone: Europe/Amsterdam, key: order_id, skew: 5m}}
promises:
- {{id: told, when: {{event: paid}}, due: {{within: 15m}}, expect: {{event: told}}}}
- {{id: shipped, when: {{event: paid}}, due: {{within: 2h}}, expect: {{event: shipped}}, release: {{event: cancelled}}}}
- {{id: made-good, when: {{breach_of: shipped}}, due: {{within: 3h}}, expect: {{event: refunded}}}}
"""
TWO = """
sources:
  shop: {{topic: {run}.shop, format: json, id: id, type: type, time: at, frontier: markers,
          events: [paid, told, cancelled]}}
  post: {{topic: {run}.post, format: cloudevents, frontier: markers, events: [shipped, refunded]}}
defaults: {{timezone: Europe/Amsterdam, key: order_id, skew: 5m}}
promises:
- {{id: told, when: {{event: paid}}, due: {{within: 15m}}, expect: {{event: told}}}}
- {{id: shipped, when: {{event: paid}}, due: {{within: 2h}}, expect: {{event: shipped}}, release: {{event: cancelled}}}}
- {{id: made-good, when: {{breach_of: shipped}}, due: {{within: 3h}}, expect: {{event: refunded}}}}
- {{id: thanked, key: customer_id, when: {{event: paid, again: true}}, due: {{within: 1h}}, expect: {{event: told}}}}
"""


def story(chance: random.Random, run: str, orders: int) -> list[dict[str, Any]]:
    """What happened to some orders, in order of time: half of it in time, some too late, some never."""
    events = []
    for number in range(orders):
        paid = BEGAN + chance.randrange(600) * MINUTE
        told = {"order_id": f"{run}-{number}", "customer_id": f"{run}-c{number % 5}"}
        events.append({"type": "paid", "at": paid, **told})
        for kind, minutes in (("told", 15), ("shipped", 120), ("cancelled", 120), ("refunded", 320)):
            if chance.random() < (0.2 if kind == "cancelled" else 0.7):
                events.append({"type": kind, "at": paid + chance.randrange(minutes * 2) * MINUTE, **told})
    events.sort(key=lambda event: event["at"])
    return [{"id": f"e{number}", **event, "at": format_instant(event["at"])} for number, event in enumerate(events)]


def as_cloudevent(event: dict[str, Any]) -> dict[str, Any]:
    data = {name: event[name] for name in ("order_id", "customer_id")}
    return {
        "specversion": "1.0",
        "id": event["id"],
        "source": "/post",
        "type": event["type"],
        "time": event["at"],
        "data": data,
    }


def timeless(events: list[dict[str, Any]]) -> list[str]:
    """The events without when they were published."""
    told = []
    for event in events:
        data = {name: value for name, value in event["data"].items() if name != "detected_at"}
        told.append(json.dumps({**event, "time": "", "data": data}, sort_keys=True))
    return sorted(told)


@pytest.fixture
def stage(kafka: ApacheKafka, tmp_path: Path, unique: Callable[[str], str]) -> Iterator[Callable[[str], Stage]]:
    """stage(book) -> a stage of its own, cleared afterwards."""
    made: list[Stage] = []

    def make(book: str) -> Stage:
        made.append(Stage(kafka, tmp_path, unique("sources"), book))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def test_direct_mode_and_facts_mode_publish_the_same_events(stage: Callable[[str], Stage], rng: random.Random) -> None:
    """Byte for byte but for when they were published: ids, revisions, evidence."""
    one = stage(ONE)
    topic = f"{one.run}.shop"
    one.create({topic: PARTITIONS, dlq(topic): PARTITIONS, one.facts: PARTITIONS, dlq(one.facts): PARTITIONS})
    recording = one.folder / "shop.jsonl"
    events = story(rng, one.run, 60)
    recording.write_text("".join(json.dumps(event) + "\n" for event in events))
    end = BEGAN + 3_000 * MINUTE
    wanted = one.verdicts(end, f"shop={recording}")
    assert set(wanted.values()) == {"kept", "released", "breached", "fulfilled_late"}
    one.feed(f"shop={recording}", "--as-of", format_instant(end))
    one.worker(f"{one.run}-direct")
    direct = one.until(wanted)
    one.stop()
    one.forget()
    one.worker(f"{one.run}-facts", "--input", "facts")
    one.ingest(f"{one.run}-ingest")
    facts = one.until(wanted)
    assert timeless(facts) == timeless(direct)


def test_promises_across_two_systems_and_two_keys_are_judged_as_in_a_backtest(
    stage: Callable[[str], Stage], rng: random.Random
) -> None:
    """The post is fed a while after the shop: until then what waits for it is not judged, and nothing is false."""
    one = stage(TWO)
    for source, count in (("shop", 3), ("post", 2)):
        one.create({f"{one.run}.{source}": count, dlq(f"{one.run}.{source}"): count})
    one.create({one.facts: PARTITIONS, dlq(one.facts): PARTITIONS})
    shop, post = one.folder / "shop.jsonl", one.folder / "post.jsonl"
    told: dict[Path, list[dict[str, Any]]] = {shop: [], post: []}
    for event in story(rng, one.run, 60):
        if event["type"] in ("shipped", "refunded"):
            told[post].append(as_cloudevent(event))
        else:
            told[shop].append(event)
    for path, events in told.items():
        path.write_text("".join(json.dumps(event) + "\n" for event in events))
    end = BEGAN + 3_000 * MINUTE
    wanted = one.verdicts(end, f"shop={shop}", f"post={post}")
    one.ingest(f"{one.run}-ingest")
    one.worker(f"{one.run}-detect")
    one.feed(f"shop={shop}", "--as-of", format_instant(end))
    by_shop = ("told", "thanked")
    found = one.until({name: status for name, status in wanted.items() if name[0] in by_shop}, by_shop)
    assert {event["data"]["promise"] for event in found if event["data"]["status"] == "breached"} <= set(by_shop)
    one.feed(f"post={post}", "--as-of", format_instant(end))
    one.until(wanted)
