"""`promisewatch feed` with recordings of several sources: each to its own topic, merged by time."""

import json
import random
from pathlib import Path

import pytest

from promisewatch.brokers import EmbeddedBroker
from promisewatch.feeding import Event, by_time
from schemas.exits import ExitCode
from schemas.instants import format_instant
from tests.cli.running import promisewatch
from tests.cli.test_feed import read_topic

BASE_MS = 1_500_000_000_000
BOOK = """
defaults: {timezone: UTC, key: order_id}
sources:
  shop: {topic: shop.events, format: json, id: id, type: type, time: at, events: [placed], frontier: markers}
  post: {topic: post.events, format: json, id: id, type: type, time: at, events: [told], SETTINGS}
promises:
- {id: confirm, when: {event: placed}, due: {within: 15m}, expect: {event: told}}
- {id: customer, key: customer_id, when: {event: placed, again: true}, due: {within: 1h}, expect: {event: told}}
"""


def line(number: int, ms: int, kind: str) -> str:
    event = {"id": f"{kind}{number}", "type": kind, "at": format_instant(ms), "order_id": f"o{number}"}
    return json.dumps({**event, "customer_id": "c"}) + "\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a recording of each source."""
    (tmp_path / "shop.jsonl").write_text("".join(line(n, BASE_MS + n * 60_000, "placed") for n in range(5)))
    (tmp_path / "post.jsonl").write_text("".join(line(n, BASE_MS + n * 60_000 + 30_000, "told") for n in range(7)))
    return tmp_path


@pytest.mark.parametrize(("settings", "marked"), [("frontier: markers", ["shop", "post"]), ("settle: 2m", ["shop"])])
def test_each_source_has_its_own_topic_and_its_own_markers(place: Path, settings: str, marked: list[str]) -> None:
    """Keys are the book's first; every marker is true of every topic, and the last one is the end of all recordings."""
    (place / "book.yaml").write_text(BOOK.replace("SETTINGS", settings))
    counts = {"shop.events": 2, "post.events": 3}
    with EmbeddedBroker(counts) as broker:
        recordings = [f"{name}={place / name}.jsonl" for name in ("shop", "post")]
        options = ["--book", place / "book.yaml", "--bootstrap-server", broker.bootstrap_server, "--output", "json"]
        done = promisewatch("feed", *options, *recordings)
        assert done.code == ExitCode.OK, done.err
        assert json.loads(done.out)["topics"] == counts
        assert json.loads(done.out)["sent"] == 12
        for name, events in (("shop", 5), ("post", 7)):
            topic = f"{name}.events"
            sent = read_topic(broker.bootstrap_server, topic, counts[topic])
            keys = sorted(record.key or b"" for record in sent if record.marker is None)
            assert keys == [b"o%d" % number for number in range(events)]
            markers = [record.marker for record in sent if record.marker is not None]
            assert bool(markers) == (name in marked)
            assert not markers or max(markers) == BASE_MS + 6 * 60_000 + 30_000


def test_streams_are_merged_by_time_and_keep_their_own_order(rng: random.Random) -> None:
    """Sorted streams come out sorted; a stream out of order stays as it is, and what has no time waits for nothing."""
    for _ in range(100):
        streams = [
            [Event(rng.randrange(50), None, b"%d" % n, str(name)) for n in range(rng.randrange(10))]
            for name in range(3)
        ]
        found = list(by_time([iter(stream) for stream in streams]))
        for name, stream in enumerate(streams):
            assert [event for event in found if event.source == str(name)] == stream
        in_order = [iter(sorted(stream, key=lambda event: event.time or 0)) for stream in streams]
        times = [event.time or 0 for event in by_time(in_order)]
        assert times == sorted(times)
    late, broken = Event(9, None, b"", "a"), Event(None, None, b"", "b")
    assert list(by_time([iter([late]), iter([broken])])) == [broken, late]
