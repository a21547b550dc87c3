"""`promisewatch feed`: what is sent, where to, and that every marker is true."""

import gzip
import json
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import zstandard
from aiokafka.partitioner import murmur2
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from promisewatch.brokers import ApacheKafka, EmbeddedBroker
from promisewatch.feeding import BLOCK_LINES_MAX, Counts, Event, Feeder, Pace, in_blocks, plan
from promisewatch.recordings import parse_recording, read_lines
from schemas.book import parse_book
from schemas.decoding import Decoder
from schemas.errors import InputError
from schemas.exits import ExitCode
from schemas.instants import format_instant, parse_instant
from schemas.markers import HEADER
from tests.brokers import wait_until_known

WAIT_S = 60
PARTITIONS = 4
BASE_MS = 1_500_000_000_000
BOOK = """
defaults: {timezone: UTC, key: order_id}
sources:
  shop: {topic: TOPIC, format: json, id: event_id, type: type, time: at, frontier: markers}
promises:
- {id: confirm, when: {event: placed}, due: {within: 15m}, expect: {event: confirmed}}
"""


def event(number: int, ms: int, kind: str = "placed") -> bytes:
    return json.dumps(
        {"event_id": f"e{number}", "type": kind, "at": format_instant(ms), "order_id": f"o{number}"}
    ).encode()


class Sent(NamedTuple):
    """One record as the topic holds it; `marker` is the instant it names, else None."""

    partition: int
    key: bytes | None
    value: bytes
    marker: int | None


def read_topic(address: str, topic: str, partitions: int = PARTITIONS) -> list[Sent]:
    """All records of a topic, each partition in its order."""
    consumer = Consumer(
        {"bootstrap.servers": address, "group.id": "reader", "enable.auto.commit": False, "log_level": 0}
    )
    ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=WAIT_S)[1] for p in range(partitions)}
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
    found: list[Sent] = []
    deadline = time.monotonic() + WAIT_S
    while len(found) < sum(ends.values()):
        assert time.monotonic() < deadline, "the topic ended early"
        for message in consumer.consume(1000, 0.1):
            assert message.error() is None
            headers = dict(message.headers() or [])
            marker = parse_instant(headers[HEADER].decode(), None) if HEADER in headers else None
            found.append(Sent(message.partition(), message.key(), message.value() or b"", marker))
    consumer.close()
    return found


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def target(request: pytest.FixtureRequest, unique: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """(address, topic) on each broker there is."""
    topic = unique("shop")
    if request.param == "embedded":
        with EmbeddedBroker({topic: PARTITIONS}) as broker:
            yield broker.bootstrap_server, topic
    else:
        kafka: ApacheKafka = request.getfixturevalue("kafka")
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap_server, "log_level": 0})
        admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(WAIT_S)
        wait_until_known(admin, [topic])
        yield kafka.bootstrap_server, topic


@pytest.fixture
def run(promisewatch_command: list[str], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """run(address, topic, *arguments): `promisewatch feed` as a process."""

    def feed(address: str, topic: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        book = tmp_path / "book.yaml"
        book.write_text(BOOK.replace("TOPIC", topic))
        options = ["--book", str(book), "--bootstrap-server", address, "--output", "json", *map(str, arguments)]
        command = [*promisewatch_command, "feed", *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)

    return feed


def test_recorded_cloudevents_arrive_as_records_in_structured_mode(tmp_path, promisewatch_command, unique) -> None:
    """A recording has no headers; without one that says so, nobody would take the records for CloudEvents."""
    topic, book, path = unique("erp"), tmp_path / "book.yaml", tmp_path / "events.jsonl"
    text = BOOK.replace("format: json, id: event_id, type: type, time: at", "format: cloudevents")
    book.write_text(text.replace("TOPIC", topic))
    envelope = {"specversion": "1.0", "source": "/erp", "type": "placed", "time": format_instant(BASE_MS)}
    lines = [json.dumps({**envelope, "id": str(n), "data": {"order_id": f"o{n}"}}).encode() for n in range(3)]
    path.write_bytes(b"\n".join(lines))
    with EmbeddedBroker({topic: 1}) as broker:
        command = [*promisewatch_command, "feed", path, "--book", book, "--bootstrap-server", broker.bootstrap_server]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=WAIT_S, check=False)
        assert done.returncode == ExitCode.OK, done.stderr
        consumer = Consumer({"bootstrap.servers": broker.bootstrap_server, "group.id": "reader", "log_level": 0})
        consumer.assign([TopicPartition(topic, 0, 0)])
        sent = consumer.consume(3, WAIT_S)
        consumer.close()
    assert [record.value() for record in sent] == lines
    assert [record.key() for record in sent] == [b"o0", b"o1", b"o2"]
    decode = Decoder(parse_book(book.read_text())).source("shop").decode_record
    assert [decode(record.value(), record.headers()).fact.id for record in sent] == ["0", "1", "2"]


def test_every_event_arrives_keyed_and_every_marker_is_true(
    target: tuple[str, str],
    run: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    rng: random.Random,
) -> None:
    """Out of order by up to an hour: after a marker, no event dated before it comes on any partition."""
    address, topic = target
    times = [BASE_MS + number * 1000 for number in range(5000)]
    order = sorted(range(5000), key=lambda number: times[number] + rng.randrange(3_600_000))
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join(event(number, times[number]) for number in order))

    done = run(address, topic, path)
    assert done.returncode == ExitCode.OK, done.stderr
    summary = json.loads(done.stdout)
    assert summary["sent"] == 5000
    records = read_topic(address, topic)
    assert sorted(sent.value for sent in records if sent.marker is None) == sorted(map(event, range(5000), times))
    for partition in range(PARTITIONS):
        here = [sent for sent in records if sent.partition == partition]
        complete = 0
        for sent in here:
            if sent.marker is None:
                assert parse_instant(json.loads(sent.value)["at"], None) >= complete
            else:
                assert sent.marker > complete
                complete = sent.marker
        assert complete == times[-1]
        assert sum(sent.marker is not None for sent in here) == summary["markers"] > 2
    for sent in records:
        if sent.marker is None:
            key = json.loads(sent.value)["order_id"].encode()
            assert sent.key == key
            assert sent.partition == (murmur2(key) & 0x7FFFFFFF) % PARTITIONS


def test_as_of_leaves_out_later_events_and_is_the_last_marker(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """An event dated at the instant itself is sent; the last marker on every partition is the instant."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join(event(number, BASE_MS + number) for number in range(10)))
    with EmbeddedBroker({"shop": PARTITIONS}) as broker:
        done = run(broker.bootstrap_server, "shop", "--as-of", format_instant(BASE_MS + 4), path)
        summary = json.loads(done.stdout)
        assert (summary["sent"], summary["after_as_of"]) == (5, 5)
        assert summary["complete_until"] == format_instant(BASE_MS + 4)
        records = read_topic(broker.bootstrap_server, "shop")
        assert {json.loads(sent.value)["event_id"] for sent in records if sent.marker is None} == {
            f"e{number}" for number in range(5)
        }
        for partition in range(PARTITIONS):
            assert [sent.marker for sent in records if sent.partition == partition][-1] == BASE_MS + 4


def test_what_is_no_event_is_sent_as_it_is_and_without_key(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """Broken JSON, a missing time and an unknown type arrive byte for byte; the first bad line is named."""
    lines = [event(1, BASE_MS), b'{"event_id": "e2", "type"', b'{"event_id":"e3","type":"placed","order_id":"o3"}']
    lines += [b"", event(4, BASE_MS + 1, "seen")]
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\r\n".join(lines))
    with EmbeddedBroker({"shop": PARTITIONS}) as broker:
        done = run(broker.bootstrap_server, "shop", path)
        assert done.returncode == ExitCode.OK
        summary = json.loads(done.stdout)
        assert (summary["sent"], summary["unreadable"], summary["unknown_type"]) == (4, 2, 1)
        assert f"2 lines cannot be read as events, the first: {path}:2: " in done.stderr
        records = read_topic(broker.bootstrap_server, "shop")
        without_key = {sent.value for sent in records if sent.marker is None and sent.key is None}
        assert without_key == {lines[1], lines[2], lines[4]}


@pytest.mark.parametrize("arguments", [["--no-markers"], []])
def test_markers_are_sent_where_the_source_asks_for_them_or_the_user_does(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, arguments: list[str]
) -> None:
    """The book's source has markers; --no-markers holds them back."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(event(1, BASE_MS))
    with EmbeddedBroker({"shop": PARTITIONS}) as broker:
        assert run(broker.bootstrap_server, "shop", *arguments, path).returncode == ExitCode.OK
        marked = any(sent.marker is not None for sent in read_topic(broker.bootstrap_server, "shop"))
        assert marked == (arguments == [])


def test_a_played_recording_takes_its_time(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """One recorded minute at 60 times the speed takes a second, with markers on the way."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(event(1, BASE_MS) + b"\n" + event(2, BASE_MS + 60_000))
    with EmbeddedBroker({"shop": PARTITIONS}) as broker:
        summary = json.loads(run(broker.bootstrap_server, "shop", "--speed", "60", path).stdout)
        assert summary["seconds"] >= 1
        markers = [sent.marker for sent in read_topic(broker.bootstrap_server, "shop") if sent.partition == 0]
        between = [marker for marker in markers if marker is not None and BASE_MS < marker < BASE_MS + 60_000]
        assert between


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["absent.jsonl"], ExitCode.NO_INPUT, "absent.jsonl: no such file"),
        (["--as-of", "yesterday", "events.jsonl"], ExitCode.USAGE, "yesterday"),
        (["--speed", "0", "events.jsonl"], ExitCode.USAGE, "--speed"),
        (["blank.jsonl"], ExitCode.DATA, "found no event"),
        (["cut.gz"], ExitCode.NO_INPUT, "cannot be read after line"),
    ],
)
def test_bad_input_is_one_clear_message(
    run: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: ExitCode,
    said: str,
) -> None:
    """An exit code of its own, words that name the thing, no traceback, and nothing sent."""
    monkeypatch.chdir(tmp_path)
    Path("events.jsonl").write_bytes(event(1, BASE_MS))
    Path("blank.jsonl").write_bytes(b"\n\n")
    Path("cut.gz").write_bytes(gzip.compress(b"\n".join(event(n, BASE_MS + n) for n in range(3000)))[:-20])
    with EmbeddedBroker({"shop": PARTITIONS}) as broker:
        done = run(broker.bootstrap_server, "shop", *arguments)
        assert done.returncode == code
        assert said in done.stderr
        assert "Traceback" not in done.stderr
        assert read_topic(broker.bootstrap_server, "shop") == []


def test_a_missing_topic_and_a_missing_broker_are_told_apart(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1 and the topic's name; 69 and the address."""
    monkeypatch.setenv("PYTHONWARNINGS", "default")
    path = tmp_path / "events.jsonl"
    path.write_bytes(event(1, BASE_MS))
    with EmbeddedBroker({"other": PARTITIONS}) as broker:
        done = run(broker.bootstrap_server, "shop", path)
        assert done.returncode == ExitCode.DIFFERENT
        assert "no topic shop" in done.stderr
        address = broker.bootstrap_server
    done = run(address, "shop", path)
    assert done.returncode == ExitCode.UNAVAILABLE
    assert address in done.stderr


class TestPlan:
    def test_is_exact_for_any_order(self, rng: random.Random) -> None:
        """After each block the plan names the earliest time still to come: no later, and no earlier."""
        for _ in range(200):
            times = [rng.randrange(50) if rng.random() < 0.9 else None for _ in range(rng.randrange(1, 40))]
            events = [Event(time, None, b"", "shop") for time in [*times, 25]]
            as_of = rng.choice([None, 60])
            span = rng.choice([1, 7, 1e9])
            blocks = list(in_blocks(events, span))
            found = plan(blocks, as_of)
            assert [event for block in blocks for event in block] == events
            for number, complete in enumerate(found.complete):
                later = [event.time for block in blocks[number + 1 :] for event in block if event.time is not None]
                assert complete == min(later, default=found.end)
            assert found.end == (60 if as_of else max(time for time in [*times, 25] if time is not None))

    def test_blocks_have_a_bound(self) -> None:
        """However much comes at one instant, a block has so many lines at most."""
        blocks = list(in_blocks((Event(1, None, b"", "shop") for _ in range(2 * BLOCK_LINES_MAX + 1)), 1e9))
        assert [len(block) for block in blocks] == [BLOCK_LINES_MAX, BLOCK_LINES_MAX, 1]


class TestPlaying:
    def test_says_nothing_of_an_instant_that_has_not_been_played(self) -> None:
        """In a night without events the markers move with the played time, not ahead of it."""
        now_s = 0.0
        log: list[tuple[float, str, int]] = []

        class Recorder:
            def send(self, event: Event) -> None:
                log.append((now_s, "event", event.time or 0))

            def send_marker(self, ms: int) -> None:
                log.append((now_s, "marker", ms))

            def settle(self) -> None:
                pass

        def sleep(seconds: float) -> None:
            nonlocal now_s
            now_s += seconds

        events = [Event(time, None, b"", "shop") for time in (0, 1000, 40_000, 39_000, 60_000)]
        pace = Pace(10.0, lambda: now_s, sleep)
        blocks = list(in_blocks(events, 2500.0))
        recorder: Any = Recorder()
        Feeder({"shop": recorder}, plan(blocks, 70_000), Counts(), marked=["shop"], pace=pace).feed(blocks)
        assert now_s == pytest.approx(7.0, abs=0.01)
        assert log[-1][1:] == ("marker", 70_000)
        complete = -1
        for at_s, kind, ms in log:
            assert ms <= at_s * 10_000 + 1
            if kind == "event":
                assert ms >= complete
            else:
                assert ms > complete
                complete = ms
        night = [ms for _, kind, ms in log if kind == "marker" and 1000 < ms < 39_000]
        assert len(night) > 10


class TestRecordings:
    content = b"".join(b'{"n":%d}\n' % number for number in range(20_000))

    @pytest.mark.parametrize("kind", ["plain", "gz", "zst", "two gz members", "two zst frames"])
    def test_are_read_alike_however_they_are_compressed(self, tmp_path: Path, kind: str) -> None:
        """The first bytes tell the compression, not the name; files of several parts are read to the end."""
        compress = zstandard.ZstdCompressor().compress
        halves = self.content[:100_000], self.content[100_000:]
        path = tmp_path / "recording"
        path.write_bytes(
            {
                "plain": self.content,
                "gz": gzip.compress(self.content),
                "zst": compress(self.content),
                "two gz members": b"".join(map(gzip.compress, halves)),
                "two zst frames": b"".join(map(compress, halves)),
            }[kind]
        )
        lines = list(read_lines(path))
        assert b"".join(line.value + b"\n" for line in lines) == self.content
        assert [line.number for line in lines] == list(range(1, 20_001))

    @pytest.mark.parametrize("kind", ["gz", "zst"])
    def test_that_were_cut_off_are_an_error(self, tmp_path: Path, kind: str) -> None:
        """A download that stopped half-way is not taken for the whole."""
        whole = gzip.compress(self.content) if kind == "gz" else zstandard.ZstdCompressor().compress(self.content)
        path = tmp_path / "recording"
        path.write_bytes(whole[:-10])
        with pytest.raises(InputError, match=r"cannot be read after line \d+"):
            list(read_lines(path))

    def test_are_named_with_their_source_where_there_are_several(self, tmp_path: Path) -> None:
        """With one source the name may be left out, and a file name may hold an equals sign."""
        path = tmp_path / "a=b.jsonl"
        path.touch()
        assert parse_recording(str(path), ["shop"]).path == path
        assert parse_recording(f"shop={path}", ["shop"]) == ("shop", path)
        assert parse_recording(f"erp={path}", ["erp", "shop"]) == ("erp", path)
        with pytest.raises(InputError, match="SOURCE one of erp, shop"):
            parse_recording(str(path), ["erp", "shop"])
        with pytest.raises(InputError, match="no such file; the book's sources are shop"):
            parse_recording(f"erp={tmp_path}/x.jsonl", ["shop"])
