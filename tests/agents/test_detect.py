"""The detect agent around the core: order, slices, dead letters and restarts, with stand-ins for Kafka."""

import json

import pytest

from agents.committing import SLICE_RECORDS
from agents.detect import DetectPartition
from agents.takeover import DetectSettings, expired_records, first_checkpoint
from promises.detector import Detector
from promises.partition import CHECKPOINT_KEY, UNKNOWN, PartitionDetector
from schemas.book import parse_book
from schemas.book_model import Book
from schemas.decoding import Decoder
from schemas.errors import StateError
from schemas.instants import format_instant, parse_instant
from schemas.markers import marker_headers
from schemas.records import Checkpoint, decode_checkpoint
from schemas.topics import BREACHES, OUTCOMES, dlq
from streams.store import MemoryStore
from tests.agents.fakes import Crash, FakeApp, FakeOffsets, FakeProducer, HandClock, Record, as_any

NOW = parse_instant("2026-05-01T12:00:00Z", None)
BOOK = """
sources: {{shop: {{topic: shop.events, format: json, id: id, type: type, time: at, {source}}}}}
defaults: {{timezone: Europe/Amsterdam, key: order_id, settle: 2m, skew: 5m}}
promises:
- {{id: confirm, when: {{event: order.placed}}, due: {{within: 15m}}, expect: {{event: message.sent}}}}
- {{id: slot, when: {{event: visit.made}}, due: {{field: slot_end}}, expect: {{event: visit.done}}}}
"""


class Partition:
    """One detect partition under test, which can be killed and started again on its store."""

    def __init__(self, source: str = "frontier: markers", *, fail_at: int | None = None) -> None:
        self.book: Book = parse_book(BOOK.format(source=source), "book.yaml")
        self.clock = HandClock(NOW)
        self.store = MemoryStore()
        self.producer = FakeProducer(fail_at)
        self.app = FakeApp(self.clock, self.store)
        self.log: list[Record] = []
        self.first = Checkpoint(1, ("shop",), -(1 << 62), b"", 0, -(1 << 62), 0, {}, self.book.digest)
        self.start()

    def start(self, first: Checkpoint | None = None) -> None:
        """Open the partition from its store, as after a restart; `first` is where an empty store starts."""
        read = self.store.reader(0)
        stored = read(CHECKPOINT_KEY)
        checkpoint = decode_checkpoint(stored, "test") if stored else first or self.first
        core = PartitionDetector(Detector(self.book), read, checkpoint)
        core.rebuild(self.store.scan(0))
        source = self.book.sources["shop"]
        self.handler = DetectPartition(
            as_any(self.app), 0, as_any(self.producer), core, Decoder(self.book).source("shop"), source, 300_000
        )

    def append(self, value: dict[str, object] | bytes | None, headers: tuple[tuple[str, bytes], ...] = ()) -> None:
        """Write a record to the source log."""
        raw = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
        self.log.append(Record("shop.events", 0, len(self.log), b"k", raw, headers, 7))

    def event(self, event_id: str, order: str, kind: str, at_ms: int, **data: object) -> None:
        """Write an event to the source log."""
        self.append({"id": event_id, "order_id": order, "type": kind, "at": format_instant(at_ms), **data})

    def marker(self, at_ms: int) -> None:
        """Write a frontier marker."""
        self.append(None, tuple(marker_headers(at_ms)))

    async def run(self) -> None:
        """Process what the handler has not processed yet."""
        await self.handler.process(self.log[self.handler.next_offset :], len(self.log))

    def kinds(self, topic: str) -> list[tuple[str, str]]:
        """(type, subject) of everything published on a topic."""
        events = [json.loads(record.value or b"{}") for record in self.producer.published(topic)]
        return [(event["type"], event["subject"]) for event in events]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"\xff\xfe not json", "bad_json"),
        (b'{"id": "1"', "bad_json"),
        (b"[1, 2]", "bad_json"),
        (b'{"order_id":"A","type":"order.placed","at":"2026-05-01T10:00:00Z"}', "missing_id"),
        (b'{"id":"1","order_id":"A","at":"2026-05-01T10:00:00Z"}', "missing_type"),
        (b'{"id":"1","order_id":"A","type":"order.placed"}', "missing_time"),
        (b'{"id":"1","order_id":"A","type":"order.placed","at":"yesterday"}', "unreadable_time"),
        (b'{"id":"1","type":"order.placed","at":"2026-05-01T10:00:00Z"}', "missing_key"),
        (b'{"id":"1","order_id":"A","type":"order.placed","at":"2026-05-01T12:05:01Z"}', "future"),
        (
            b'{"id":"1","order_id":"A","type":"visit.made","at":"2026-05-01T10:00:00Z","slot_end":"soon"}',
            "unreadable_due",
        ),
    ],
)
async def test_a_bad_event_goes_to_the_dead_letters_with_its_bytes_and_why(value: bytes, reason: str) -> None:
    """Nothing is lost, and what follows it is processed."""
    partition = Partition()
    partition.append(value)
    partition.event("2", "B", "order.placed", NOW - 3_600_000)
    partition.marker(NOW)
    await partition.run()
    (letter,) = partition.producer.published(dlq("shop.events"))
    headers = dict(letter.headers)
    assert (letter.value, letter.key) == (value, b"k")
    assert headers["dlq-exception-class"] == reason.encode()
    assert headers["dlq-original-offset"] == b"0"
    assert headers["dlq-original-topic"] == b"shop.events"
    assert headers["dlq-exception-message"]
    assert partition.kinds(BREACHES) == [("promise.breached.v1", "B")]


async def test_an_event_exactly_at_the_skew_in_the_future_is_still_taken() -> None:
    """Two systems' clocks may differ by the skew, and no more."""
    partition = Partition()
    partition.event("1", "A", "order.placed", NOW + 300_000)
    partition.event("2", "A", "order.placed", NOW + 300_001)
    await partition.run()
    assert len(partition.producer.published(dlq("shop.events"))) == 1


async def test_markers_take_effect_where_they_stand_in_the_log() -> None:
    """A marker before the late fulfilment proves the breach; the fulfilment after it is late, in this order."""
    partition = Partition()
    partition.event("1", "A", "order.placed", NOW - 7_200_000)
    partition.marker(NOW - 3_600_000)
    partition.event("2", "A", "message.sent", NOW - 3_000_000)
    await partition.run()
    assert partition.kinds(BREACHES) == [("promise.breached.v1", "A"), ("promise.fulfilled_late.v1", "A")]


async def test_a_marker_at_the_due_proves_nothing_yet() -> None:
    """Complete before an instant does not say what happens at it: a fulfilment at the due is in time."""
    partition = Partition()
    due = NOW - 3_600_000 + 900_000
    partition.event("1", "A", "order.placed", NOW - 3_600_000)
    partition.marker(due)
    await partition.run()
    assert partition.kinds(BREACHES) == []
    partition.marker(due + 1)
    await partition.run()
    assert partition.kinds(BREACHES) == [("promise.breached.v1", "A")]


async def test_the_clock_frontier_waits_for_settle() -> None:
    """Absence is judged up to the mark's instant less settle, once everything below its offset is processed."""
    partition = Partition("settle: 2m")
    opened = NOW - 900_000
    partition.event("1", "A", "order.placed", opened)
    await partition.run()
    due = opened + 900_000
    partition.handler.mark(due + 120_000, 1)
    await partition.handler.tick()
    assert partition.kinds(BREACHES) == []
    partition.handler.mark(due + 120_001, 1)
    await partition.handler.tick()
    assert partition.kinds(BREACHES) == [("promise.breached.v1", "A")]


async def test_a_mark_whose_offset_is_not_processed_moves_nothing() -> None:
    """While a record is on its way, its subject may not be judged."""
    partition = Partition("settle: 0s")
    partition.event("1", "A", "order.placed", NOW - 3_600_000)
    await partition.run()
    partition.handler.mark(NOW, 2)
    await partition.handler.tick()
    assert partition.kinds(BREACHES) == []


async def test_a_burst_due_at_one_instant_is_published_in_slices_without_repetition() -> None:
    """A crash between two slices goes on with the next subject: each breach exactly once."""
    count = SLICE_RECORDS * 2 + 10
    partition = Partition()
    for n in range(count):
        partition.event(f"e{n}", f"A{n}", "order.placed", NOW - 3_600_000)
    await partition.run()
    written = len(partition.producer.transactions)
    partition.marker(NOW)
    partition.producer.fail_at = written + 2
    with pytest.raises(Crash):
        await partition.run()
    partition.producer.fail_at = None
    partition.start()
    await partition.run()
    subjects = [subject for _, subject in partition.kinds(BREACHES)]
    assert len(subjects) == len(set(subjects)) == count
    assert max(len(written[BREACHES]) for written in partition.producer.transactions) <= SLICE_RECORDS


async def test_after_a_crash_before_the_commit_the_same_events_are_published_once() -> None:
    """What was not committed is processed again; what was is not."""
    partition = Partition(fail_at=1)
    partition.event("1", "A", "order.placed", NOW - 3_600_000)
    partition.event("2", "A", "message.sent", NOW - 3_500_000)
    with pytest.raises(Crash):
        await partition.run()
    partition.producer.fail_at = None
    partition.start()
    await partition.run()
    partition.start()
    await partition.run()
    assert partition.kinds(OUTCOMES) == [("promise.outcome.v1", "A")]


async def test_a_batch_without_effect_costs_no_transaction() -> None:
    """Events that no promise names move the position in memory only."""
    partition = Partition()
    partition.event("1", "A", "page.viewed", NOW)
    await partition.run()
    assert partition.producer.transactions == []
    assert partition.handler.next_offset == 1


async def test_a_log_that_shrank_is_refused() -> None:
    """A recreated topic gives old offsets a new meaning: the worker stops rather than guess."""
    partition = Partition("settle: 0s")
    partition.handler.mark(NOW, 10)
    with pytest.raises(StateError, match="recreated"):
        partition.handler.mark(NOW + 1, 9)


async def test_a_log_that_ends_before_the_state_is_refused_and_what_expired_is_counted() -> None:
    """Other events may stand under old offsets; records that nobody has read are a gap."""
    partition = Partition()
    partition.app.offsets = FakeOffsets(0, 4)
    with pytest.raises(StateError, match="recreated"):
        await expired_records(as_any(partition.app), "shop.events", 0, 5)
    for beginning, end, expected in [(6, 9, 1), (5, 5, 0), (0, 5, 0)]:
        partition.app.offsets = FakeOffsets(beginning, end)
        assert await expired_records(as_any(partition.app), "shop.events", 0, 5) == expected


async def test_a_log_from_its_first_record_is_known_since_ever_and_another_from_its_first_fact() -> None:
    """Nothing opens before what is known, unless the operator says since when nothing is missing."""
    partition = Partition()
    source = partition.book.sources["shop"]
    for beginning, since, expected in [(0, None, -(1 << 62)), (5, None, UNKNOWN), (5, 77, 77)]:
        partition.app.offsets = FakeOffsets(beginning, 10)
        found = await first_checkpoint(as_any(partition.app), partition.book, source, DetectSettings(since), 0)
        assert (found.known_since, found.next_offset) == (expected, beginning)


async def test_nothing_opens_before_the_first_fact_and_settle_of_a_log_that_lost_its_beginning() -> None:
    """What would have fulfilled it may have expired."""
    partition = Partition("frontier: markers, settle: 2m")
    first = NOW - 7_200_000
    partition.start(Checkpoint(1, ("shop",), -(1 << 62), b"", 0, UNKNOWN, 0, {}, partition.book.digest))
    partition.event("1", "A", "order.placed", first)
    partition.event("2", "B", "order.placed", first + 119_999)
    partition.event("3", "C", "order.placed", first + 120_000)
    partition.marker(NOW)
    await partition.run()
    assert partition.kinds(BREACHES) == [("promise.breached.v1", "C")]
