"""Taking over a partition with the texts of its promises, and acting on control records that move what runs."""

import json

import msgspec
import pytest
import structlog

from agents import committing
from agents.detect import DetectPartition
from agents.takeover import Cores, DetectSettings, take_over
from promises.partition import CHECKPOINT_KEY
from schemas.book import parse_book
from schemas.book_model import Book
from schemas.editions import text_digest
from schemas.errors import StateError
from schemas.groups import GROUPS_KEY
from schemas.instants import format_instant, parse_instant
from schemas.markers import marker_headers
from schemas.migrations import HEADER, Migration, migration_headers
from schemas.records import TEXTS_KEY, decode_checkpoint, decode_texts
from schemas.topics import BREACHES, OUTCOMES, dlq
from streams.store import MemoryStore
from tests.agents.fakes import Crash, FakeApp, FakeOffsets, FakeProducer, HandClock, Record, as_any

NOW = parse_instant("2026-05-01T12:00:00Z", None)
MINUTE = 60_000
HEAD = """
sources: {shop: {topic: shop.events, format: json, id: id, type: type, time: at, FRONTIER}}
defaults: {timezone: Europe/Amsterdam, key: order_id, settle: 0s, skew: 5m}
promises:
"""
CONFIRM = """
- {id: confirm, when: {event: order.placed}, due: {within: 1h}, expect: {event: message.sent, where: {kind: yes}}}
"""
OTHER = "- {id: other, when: {event: visit.made}, due: {within: 1h}, expect: {event: visit.done}}"
SECOND = CONFIRM.replace("id: confirm", 'id: confirm, version: 2, effective_from: "2030-01-01"').replace("1h", "10m")


def book(promises: str, frontier: str = "frontier: markers") -> Book:
    return parse_book(HEAD.replace("FRONTIER", frontier) + promises)


class Offsets(FakeOffsets):
    """Of a broker that tells no topic ids."""

    async def identify(self, topic: str) -> dict[str, object]:
        return {}


class Worker:
    """One partition as a worker opens it; it may be lost and opened again, with another book too."""

    def __init__(self) -> None:
        self.clock = HandClock(NOW)
        self.store = MemoryStore()
        self.producer = FakeProducer()
        self.app = FakeApp(self.clock, self.store)
        self.app.offsets = Offsets(0, 1_000_000)
        self.log: list[Record] = []

    async def open(self, made: Book) -> None:
        self.book, source = made, made.sources["shop"]
        core, decoder, owed, doubt = await take_over(as_any(self.app), made, source, Cores(made), DetectSettings(), 0)
        app, producer = as_any(self.app), as_any(self.producer)
        self.handler = DetectPartition(app, 0, producer, core, decoder, source, made.defaults.skew_ms, owed, doubt)

    def append(self, value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
        self.log.append(Record("shop.events", 0, len(self.log), None, value, tuple(headers)))

    def event(self, order: str, kind: str, at_ms: int, /, **data: object) -> None:
        event = {"id": f"e{len(self.log)}", "order_id": order, "type": kind, "at": format_instant(at_ms), **data}
        self.append(json.dumps(event).encode(), [])

    def marker(self, at_ms: int) -> None:
        self.append(None, marker_headers(at_ms))

    def order(self, **changes: object) -> None:
        """A control record for the book in use."""
        target = next(one for one in self.book.promises if (one.id, one.version) == ("confirm", 2))
        migration = Migration("confirm", 2, text_digest(target, self.book.calendars), self.book.digest)
        self.append(None, migration_headers(msgspec.structs.replace(migration, **changes)))

    async def run(self) -> None:
        """Process what the handler has not processed yet."""
        await self.handler.process(self.log[self.handler.next_offset :], len(self.log))

    def outcomes(self) -> list[tuple[str, str, int]]:
        """(subject, status, version) of every outcome, in order."""
        events = [json.loads(record.value or b"") for record in self.producer.published(OUTCOMES)]
        return [(event["subject"], event["data"]["status"], event["data"]["version"]) for event in events]

    def letters(self) -> list[str]:
        """The reasons of the dead letters."""
        letters = self.producer.published(dlq("shop.events"))
        return [dict(letter.headers)["dlq-exception-class"].decode() for letter in letters if letter.headers]


@pytest.fixture
def worker() -> Worker:
    return Worker()


async def test_the_texts_are_stored_at_once_and_once_a_book(worker: Worker) -> None:
    """Together with the checkpoint that names the book, before anything has happened."""
    for made in (book(CONFIRM), book(CONFIRM + OTHER)):
        await worker.open(made)
        before = len(worker.producer.transactions)
        await worker.handler.tick()
        await worker.handler.tick()
        assert len(worker.producer.transactions) == before + 1
        read = worker.store.reader(0)
        texts = decode_texts(read(TEXTS_KEY) or b"", "test")
        assert [one.promise for one in texts.texts] == [promise.id for promise in made.promises]
        assert texts.book == decode_checkpoint(read(CHECKPOINT_KEY) or b"", "test").book == made.digest
        await worker.open(made)
        await worker.handler.tick()
        assert len(worker.producer.transactions) == before + 1


async def test_a_partition_whose_last_owner_had_another_book_is_told_of(worker: Worker) -> None:
    """One line with both books: a deployment, or two workers that do not agree."""
    one, two = book(CONFIRM), book(CONFIRM + OTHER)
    await worker.open(one)
    await worker.handler.tick()
    with structlog.testing.capture_logs() as lines:
        await worker.open(one)
        assert [line["event"] for line in lines] == ["partition opened"]
        await worker.open(two)
    told = [line for line in lines if line["event"] == "partition was last worked with another book"]
    assert [(line["book"], line["last_book"], line["partition"]) for line in told] == [
        (two.digest[:12], one.digest[:12], 0)
    ]


async def test_events_that_only_a_closed_text_names_are_read_with_the_fields_it_looks_at(worker: Worker) -> None:
    """The promise has left the book with its event and its field; what runs is kept by them all the same."""
    await worker.open(book(CONFIRM))
    worker.event("A", "order.placed", NOW - 30 * MINUTE)
    worker.event("B", "order.placed", NOW - 30 * MINUTE)
    await worker.run()
    await worker.open(book(OTHER))
    worker.event("A", "message.sent", NOW - 20 * MINUTE, kind="yes")
    worker.event("B", "message.sent", NOW - 20 * MINUTE, kind="no")
    worker.event("C", "order.placed", NOW - 20 * MINUTE)
    worker.marker(NOW)
    await worker.run()
    worker.clock.now += 60 * MINUTE
    worker.marker(NOW + 60 * MINUTE)
    await worker.run()
    assert worker.outcomes() == [("A", "kept", 1), ("B", "breached", 1)]


async def test_state_from_before_texts_were_kept_is_read_and_refused_only_where_a_version_is_gone(
    worker: Worker,
) -> None:
    """Then as now the message says what to put back."""
    await worker.open(book(CONFIRM))
    worker.event("A", "order.placed", NOW - 30 * MINUTE)
    await worker.run()
    worker.store.write(0, {TEXTS_KEY: None}, 9, 0)
    with pytest.raises(StateError, match="'confirm' has running cycles, but the book has lost it"):
        await worker.open(book(OTHER))
    await worker.open(book(CONFIRM))
    await worker.handler.tick()
    await worker.open(book(OTHER))


async def test_a_control_record_moves_what_runs_where_it_stands_in_the_log(worker: Worker) -> None:
    """What comes after it is judged by the new text, also by one that is still in the same batch."""
    await worker.open(book(CONFIRM + SECOND))
    for order in ("A", "B", "C"):
        worker.event(order, "order.placed", NOW - 30 * MINUTE)
    worker.event("A", "message.sent", NOW - 15 * MINUTE, kind="yes")
    worker.order()
    worker.event("B", "message.sent", NOW - 15 * MINUTE, kind="yes")
    worker.event("D", "order.placed", NOW - 30 * MINUTE)
    worker.marker(NOW)
    await worker.run()
    assert sorted(worker.outcomes()) == [
        ("A", "kept", 1), ("B", "breached", 2), ("B", "fulfilled_late", 2), ("C", "breached", 2),
    ]  # fmt: skip
    assert worker.letters() == []


async def test_a_migration_goes_on_after_a_crash_and_comes_to_the_same(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slices that were committed stay, the rest is done by whoever starts next; each breach is told once."""
    monkeypatch.setattr(committing, "SLICE_RECORDS", 2)
    await worker.open(book(CONFIRM + SECOND))
    for number in range(9):
        worker.event(f"A{number}", "order.placed", NOW - 30 * MINUTE)
    await worker.run()
    worker.order()
    worker.producer.fail_at = len(worker.producer.transactions) + 3
    with pytest.raises(Crash):
        await worker.run()
    worker.producer.fail_at = None
    checkpoint = decode_checkpoint(worker.store.reader(0)(CHECKPOINT_KEY) or b"", "test")
    assert checkpoint.next_offset == 9
    await worker.open(worker.book)
    worker.marker(NOW)
    await worker.run()
    assert worker.outcomes() == [(f"A{number}", "breached", 2) for number in range(9)]
    assert len(worker.producer.published(BREACHES)) == 9


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"promise": "confrim"}, "unknown_promise"),
        ({"to": 3}, "unknown_version"),
        ({"text": "another"}, "other_text"),
    ],
)
async def test_an_order_for_another_book_is_a_dead_letter_that_says_what_is_missing(
    worker: Worker, changes: dict[str, object], reason: str
) -> None:
    """This worker does not do what was tried with another book; once it has that, the letter can be sent back."""
    await worker.open(book(CONFIRM + SECOND))
    worker.event("A", "order.placed", NOW - 30 * MINUTE)
    worker.order(**changes)
    worker.marker(NOW)
    await worker.run()
    assert worker.letters() == [reason]
    assert worker.outcomes() == []


@pytest.mark.parametrize("content", [b"", b"x", b"{}", b'{"promise":"a","to":1,"text":"","book":"","more":1}', b"\xff"])
async def test_a_malformed_order_is_a_dead_letter(worker: Worker, content: bytes) -> None:
    """Nobody guesses what was meant."""
    await worker.open(book(CONFIRM + SECOND))
    worker.append(None, [(HEADER, content)])
    await worker.run()
    assert worker.letters() == ["bad_migration"]


def test_partitions_that_know_the_same_texts_share_one_compiled_book() -> None:
    """A worker of a hundred partitions does not compile its book a hundred times."""
    cores = Cores(book(CONFIRM))
    first = cores.of(None, "0", NOW)
    assert cores.of(None, "1", NOW).detector is first.detector
    assert cores.of(None, "2", NOW + 1).detector is not first.detector


async def test_the_state_of_facts_mode_is_refused() -> None:
    """Its records are under other keys; who changes the mode takes another application id."""
    worker = Worker()
    worker.store.write(0, {GROUPS_KEY: b"anything"}, 0, 0)
    with pytest.raises(StateError, match="found the state of a worker that reads facts, expected"):
        await worker.open(book(CONFIRM))
