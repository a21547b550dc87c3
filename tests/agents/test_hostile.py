"""Whatever stands in the source topic: it becomes a fact, or is of no concern, or is a dead letter byte by byte.

Nothing ends the process, nothing is lost, and what stands behind it is processed.
"""

import asyncio
import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import deadletters
from agents.detect import DetectPartition
from promises.detector import Detector
from promises.partition import CHECKPOINT_KEY, PartitionDetector
from schemas.book import parse_book
from schemas.book_model import Book
from schemas.decoding import Decoder
from schemas.errors import EventError, StateError
from schemas.facts import FACTS_MAX
from schemas.instants import format_instant, parse_instant
from schemas.markers import HEADER, marker_headers
from schemas.records import Checkpoint, decode_checkpoint
from schemas.topics import BREACHES, dlq
from streams.store import MemoryStore
from tests.agents.fakes import FakeApp, FakeProducer, HandClock, Record, as_any

Headers = tuple[tuple[str, bytes | None], ...]
Hostile = tuple[bytes | None, Headers, bytes | None]
BASE_MS = parse_instant("2026-05-01T12:00:00Z", None)
TOPIC = "shop.events"


@cache
def book() -> Book:
    return parse_book("""
sources: {shop: {topic: shop.events, format: json, id: id, type: type, time: at, frontier: markers}}
defaults: {timezone: Europe/Amsterdam, key: order_id, skew: 5m, retention: 36500d}
calendars: {office: {days: [mon, tue, wed, thu, fri], hours: "09:00-17:00", holidays: NL}}
promises:
- {id: told, when: {event: placed}, due: {within: 15m}, expect: {event: told, where: {kind: mail, n: 1}}}
- {id: slot, when: {event: placed}, due: {field: slot.end, offset: -1h}, expect: {event: done}}
- {id: handed, when: {event: placed, where: {express: true}}, expect: {event: handed},
   due: {cutoff: "18:00", of: office, plus: 1, unit: day, calendar: office, at: closing}}
""")


class Worker:
    """One partition of a worker on stand-ins, and the log it reads."""

    def __init__(self) -> None:
        self.clock = HandClock(BASE_MS)
        self.store = MemoryStore()
        self.producer = FakeProducer()
        self.log: list[Record] = []
        self.start()

    def start(self) -> None:
        """Open the partition from its store, as after a restart."""
        read = self.store.reader(0)
        stored = read(CHECKPOINT_KEY)
        new = Checkpoint(1, ("shop",), -(1 << 62), b"", 0, -(1 << 62), 0, {}, book().digest)
        checkpoint = new if stored is None else decode_checkpoint(stored, "test")
        core = PartitionDetector(Detector(book()), read, checkpoint, partition=0)
        core.rebuild(self.store.scan(0))
        app, decoder, source = FakeApp(self.clock, self.store), Decoder(book()).source("shop"), book().sources["shop"]
        self.handler = DetectPartition(as_any(app), 0, as_any(self.producer), core, decoder, source, 300_000)

    def append(self, value: bytes | None, headers: Headers = (), key: bytes | None = b"k") -> Record:
        record = Record(TOPIC, 0, len(self.log), key, value, as_any(headers), 7)
        self.log.append(record)
        return record

    def run(self) -> None:
        asyncio.run(self.handler.process(self.log[self.handler.next_offset :], len(self.log)))

    def letters(self) -> dict[int, Any]:
        """Dead letters by the offset of their event."""
        letters = self.producer.published(dlq(TOPIC))
        found = {int(dict(letter.headers)["dlq-original-offset"] or b""): letter for letter in letters}
        assert len(found) == len(letters), "one letter an event"
        return found

    def breached(self) -> set[tuple[str, str]]:
        events = [json.loads(record.value or b"") for record in self.producer.published(BREACHES)]
        return {(event["data"]["promise"], event["subject"]) for event in events}


def event(**changes: Any) -> dict[str, Any]:
    fields = {"id": "e1", "type": "placed", "at": format_instant(BASE_MS - 86_400_000), "order_id": "A"}
    return {**fields, "slot": {"end": "2026-04-30"}, "express": True, "kind": "mail", "n": 1, **changes}


ODD: list[Any] = [
    None, "", 0, -1, 1.0, -0.0, 1e308, 2**63, 2**64, 10**400, True, [], {}, "\x1f", "a\x1fb", "\x00",
    "x" * 501, "é" * 500,
    "2026-04-30", "0001-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "1583-01-01T00:00:00Z", "9999-12-31T23:59:60Z",
    "9999-12-31", "0001-01-01", "2026-05-01T12:00:60Z", "2026-05-01T24:00:00Z", "-9999-01-01T00:00:00Z", "NaN",
]  # fmt: skip
texts = st.text(max_size=20) | st.sampled_from(["placed", "told", "done", "handed", "other"])
instants = st.datetimes().map(lambda moment: moment.isoformat() + "Z")
values = st.recursive(
    st.sampled_from(ODD) | texts | instants | st.integers() | st.floats() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["end", "x"]), inner, max_size=2),
    max_leaves=4,
)
FIELDS = ["id", "type", "at", "order_id", "slot", "express", "kind", "n"]
mutated = st.dictionaries(st.sampled_from(FIELDS), values, max_size=3).map(lambda changes: event(**changes))
spelled = mutated.map(
    lambda fields: json.dumps(fields).encode()
)  # NaN, Infinity and lone surrogates as Python has them


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """An event with a stretch of it replaced."""
    raw = draw(spelled)
    start = draw(st.integers(0, len(raw)))
    end = draw(st.integers(start, min(len(raw), start + 20)))
    instead = draw(st.binary(max_size=10) | st.sampled_from([b"\xff", b"\\ud800", b"1e400", b"[" * 2_000, b"\x00"]))
    return raw[:start] + instead + raw[end:]


headers = st.lists(
    st.tuples(st.sampled_from([HEADER, "traceparent", "é"]), st.none() | st.binary(max_size=40)), max_size=2
).map(tuple)
records = st.tuples(
    st.none() | st.just(b"") | st.binary(max_size=60) | spelled | damaged(), headers, st.none() | st.binary(max_size=5)
)


@given(st.lists(records, min_size=1, max_size=12))
def test_nothing_breaks_a_partition_and_nothing_is_lost(
    hostile: list[tuple[bytes | None, Headers, bytes | None]],
) -> None:
    """Each record is used, or counts for nothing, or is a dead letter with its very bytes, key and headers.

    Behind all of it an order's promise is still proved broken, and the stored state can be read again.
    """
    worker = Worker()
    for value, headers, key in hostile:
        worker.append(value, headers, key)
    worker.run()
    letters = worker.letters()
    for offset, letter in letters.items():
        record = worker.log[offset]
        assert (letter.key, letter.value, letter.headers[: len(record.headers)]) == (
            record.key, record.value, record.headers,
        )  # fmt: skip
        why = dict(letter.headers[len(record.headers) :])
        assert why["dlq-exception-class"]
        assert 0 < len(why["dlq-exception-message"]) <= 4_000
    for offset, (value, *_) in enumerate(hostile):
        if offset not in letters and value:
            plain = json.loads(value.decode(errors="replace"))  # another reader, more lenient than ours
            assert isinstance(plain["id"], str | int)
            assert isinstance(plain["type"], str)
            assert isinstance(plain["at"], str)
    worker.start()
    worker.append(json.dumps(event(id="last", order_id="behind it", slot={})).encode())
    worker.append(b"", tuple(marker_headers(BASE_MS)))
    worker.run()
    assert len(worker.letters()) == len(letters)
    assert ("told", "behind it") in worker.breached()


@given(st.binary(max_size=80) | spelled | damaged())
def test_a_decoder_knows_an_event_or_says_why_not(raw: bytes) -> None:
    """It raises nothing else, and what it returns is text of bounded length without control characters."""
    try:
        found = Decoder(book()).source("shop").decode(raw)
    except EventError:
        return
    if found.fact is not None and found.subject is not None:
        for name in (found.fact.id, found.subject.value):
            assert 0 < len(name) <= 500
            assert "\x1f" not in name
        assert len(json.dumps(found.fact.data)) < 20_000


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd)[:20])
def test_an_odd_value_in_any_field_breaks_nothing(field: str, odd: Any) -> None:
    """Wrong types, nulls, huge numbers, separators and the ends of time, in each field that is read."""
    worker = Worker()
    worker.append(json.dumps(event(**{field: odd})).encode())
    worker.append(json.dumps(event(id="2", order_id="B", slot={})).encode())
    worker.append(b"", tuple(marker_headers(BASE_MS)))
    worker.run()
    worker.start()
    assert ("told", "B") in worker.breached()
    assert set(worker.letters()) <= {0}


def test_a_marker_from_the_future_proves_nothing() -> None:
    """Nobody knows yet what happens then; taken, it would break every promise at once. To the skew it may be ahead."""
    worker = Worker()
    worker.append(json.dumps(event(at=format_instant(BASE_MS - 60_000))).encode())
    worker.append(b"", tuple(marker_headers(BASE_MS + 300_001)))
    worker.append(b"", tuple(marker_headers(parse_instant("9999-12-31T23:59:59Z", None))))
    worker.append(b"", tuple(marker_headers(BASE_MS + 300_000)))
    worker.run()
    assert ("told", "A") not in worker.breached()
    reasons = {offset: dict(letter.headers)["dlq-exception-class"] for offset, letter in worker.letters().items()}
    assert reasons == {1: b"future", 2: b"future"}


def test_facts_beyond_what_one_subject_may_have_are_dead_letters_and_others_go_on() -> None:
    """A key such as "unknown" would grow one record until it fits nowhere. Known facts are still recognised."""
    worker = Worker()
    for n in range(FACTS_MAX + 3):
        worker.append(json.dumps(event(id=f"e{n}", type="told", order_id="unknown")).encode())
    worker.append(json.dumps(event(id="e0", type="told", order_id="unknown")).encode())
    worker.append(json.dumps(event(id="1", order_id="B", slot={})).encode())
    worker.append(b"", tuple(marker_headers(BASE_MS)))
    worker.run()
    letters = worker.letters()
    assert sorted(letters) == [FACTS_MAX, FACTS_MAX + 1, FACTS_MAX + 2]
    assert {dict(letter.headers)["dlq-exception-class"] for letter in letters.values()} == {b"too_many_facts"}
    assert ("told", "B") in worker.breached()
    assert max(len(value) for _, value in worker.store.scan(0)) < 200_000


def test_megabytes_of_dead_letters_are_written_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction must not hold everything that a broken producer sent while we were away."""
    monkeypatch.setattr(deadletters, "SLICE_BAD_BYTES", 1_000_000)
    worker = Worker()
    for n in range(10):
        worker.append(b"%d" % n * 400_000)
    worker.run()
    sizes = [
        sum(len(letter.value or b"") for letter in written[dlq(TOPIC)]) for written in worker.producer.transactions
    ]
    assert sum(sizes) == 4_000_000
    assert max(sizes) <= 1_400_000
    assert [worker.log[offset].value for offset in worker.letters()] == [record.value for record in worker.log]


@pytest.mark.parametrize(
    ("first", "smaller"),
    [
        ({"slot": {"end": "2026-05-03"}}, {"slot": {"end": "tomorrow"}}),
        ({"express": True}, {"at": "9999-01-01T00:00:00Z"}),
    ],
    ids=["a due that cannot be read", "from the future"],
)
def test_content_that_is_refused_does_not_stand_in_the_way_of_other_content_under_its_id(
    first: dict[str, Any], smaller: dict[str, Any]
) -> None:
    """In either order the usable content counts; the other one is a dead letter and no conflict."""
    for contents in ([first, smaller], [smaller, first]):
        worker = Worker()
        for content in contents:
            worker.append(json.dumps(event(**content)).encode())
        worker.append(b"", tuple(marker_headers(BASE_MS)))
        worker.run()
        assert ("told", "A") in worker.breached()
        assert list(worker.letters()) == [contents.index(smaller)]


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        (b"order_id\x1fA", b"garbage", "the record of 'order_id A': found state of format b'garbage'"),
        (b"order_id\x1fA", b"", "the record of 'order_id A': found state of format b''"),
        (b"order_id\x1fA", b"[" * 100_000, "the record of 'order_id A': found state of format b'"),
        (b"order_id\x1fA", b'[2,[],[],"more"]', "the record of 'order_id A': found state of format 2"),
        (b"\xff\xfe", b"[1,[],[]]", r"the record of '\\\\xff\\\\xfe': found state of format"),
        (b"somebody", b"[1,[],[]]", "the record of 'somebody': found state of format b'somebody'"),
    ],
)
def test_garbage_in_the_changelog_stops_a_worker_with_the_name_of_the_record(
    key: bytes, value: bytes, found: str
) -> None:
    """Going on without a record would miss its breaches, so somebody has to look; a newer format is told alike."""
    worker = Worker()
    worker.store.write(0, {key: value}, 0, 0)
    with pytest.raises(
        StateError, match=rf"partition 0, {found}.* expected format 1; .*another version of promisewatch"
    ):
        worker.start()


@pytest.mark.parametrize("stored", [b"", b"\xff", b"[2]", b'["\xff"]', b"[" * 100_000, b"{}"])
def test_a_checkpoint_that_is_none_stops_a_worker_with_the_place(stored: bytes) -> None:
    """Starting from the beginning instead would publish everything again."""
    worker = Worker()
    worker.store.write(0, {CHECKPOINT_KEY: stored}, 0, 0)
    with pytest.raises(StateError, match="test: found a checkpoint of format .* expected format 1"):
        worker.start()
