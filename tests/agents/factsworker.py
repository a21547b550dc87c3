"""One partition of a worker in facts mode, on stand-ins for Kafka: facts and vectors come as from an ingest."""

import json
from collections.abc import Iterable
from typing import Any

from agents.detect_facts import FactsPartition
from agents.takeover import DetectSettings
from agents.takeover_facts import FactsCores, settles, take_over_facts
from promises.detector import subject_key
from schemas.book_model import Book
from schemas.decoding import Decoder
from schemas.factrecords import encode_fact
from schemas.instants import format_instant, parse_instant
from schemas.topics import BREACHES, FACTS, OUTCOMES, dlq
from schemas.vectors import KNOWN_FOR_EVER, VECTOR_FORMAT, Hold, SourceMark, VectorMarker, encode_vector
from streams.emit import Outgoing
from streams.store import MemoryStore
from tests.agents.fakes import FakeApp, FakeOffsets, FakeProducer, HandClock, Record, as_any

NOW = parse_instant("2026-05-01T12:00:00Z", None)


class Offsets(FakeOffsets):
    """Of a broker that tells no topic ids."""

    async def identify(self, *topics: str) -> dict[str, Any]:
        return {}


class FactsWorker:
    """The partition may be lost and opened again, with another book too. It is mapped with the book it is opened with,
    unless another one is given.
    """

    def __init__(self) -> None:
        self.clock = HandClock(NOW)
        self.store = MemoryStore()
        self.producer = FakeProducer()
        self.app = FakeApp(self.clock, self.store)
        self.app.offsets = Offsets(0, 1_000_000)
        self.log: list[Record] = []
        self.ids = 0

    async def open(self, book: Book, since: int | None = None) -> None:
        """Take over the partition as a worker does."""
        self.book = book
        core, vector, adoption, owed = await take_over_facts(
            as_any(self.app), book, FactsCores(book), DetectSettings(since), FACTS, 0
        )
        settle_ms = settles(book, [judged.group for judged in core.groups])
        self.handler = FactsPartition(
            as_any(self.app), 0, as_any(self.producer), core, vector, FACTS, settle_ms, adoption, owed
        )

    def append(self, key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]] = ()) -> None:
        self.log.append(Record(FACTS, 0, len(self.log), key, value, tuple(headers)))

    def event(
        self,
        source: str,
        kind: str,
        at_ms: int,
        /,
        *,
        event_id: str | None = None,
        mapped: Book | None = None,
        **data: object,
    ) -> None:
        """The facts of one event, as mapped with a book."""
        self.ids += 1
        event = {"id": event_id or f"e{self.ids}", "type": kind, "at": format_instant(at_ms), **data}
        self.append_event(source, event, mapped=mapped)

    def append_event(self, source: str, event: dict[str, Any], *, mapped: Book | None = None) -> None:
        """Send the facts of an event. Raises EventError for one that cannot be used."""
        for subject, fact in Decoder(mapped or self.book).facts(source, json.dumps(event).encode()):
            self.append(subject_key(subject), encode_fact(fact))

    def vector(
        self,
        frontiers: dict[str, int | None],
        *,
        mapped: Book | None = None,
        known_since: int = KNOWN_FOR_EVER,
        counts: dict[str, int] | None = None,
        holds: dict[str, Hold] | None = None,
    ) -> None:
        """Say how far source partitions are complete: `shop/1`, or `shop` for its partition 0."""
        marks = {
            name if "/" in name else f"{name}/0": SourceMark(instant, instant, known_since)
            for name, instant in frontiers.items()
        }
        book = mapped or self.book
        told = counts or dict.fromkeys(book.sources, 1)
        self.append(
            None, b"", encode_vector(VectorMarker(VECTOR_FORMAT, book.digest, "test", told, marks, holds or {}))
        )  # fmt: skip

    async def run(self, upto: int | None = None, step: int = 1_000_000) -> None:
        """Process what the handler has not processed yet, in batches of `step`."""
        end = len(self.log) if upto is None else upto
        while self.handler.next_offset < end:
            begin = self.handler.next_offset
            await self.handler.process(self.log[begin : min(begin + step, end)], min(begin + step, end))

    def published(self, topic: str) -> list[Outgoing]:
        return self.producer.published(topic)

    def outcomes(self) -> list[tuple[str, str, str]]:
        """(promise, subject, status) of every outcome, in order."""
        events = [json.loads(record.value or b"") for record in self.published(OUTCOMES)]
        return [(event["data"]["promise"], event["subject"], event["data"]["status"]) for event in events]

    def breaches(self) -> list[tuple[str, str]]:
        """(type, subject) of everything on the breaches topic, in order."""
        events = [json.loads(record.value or b"") for record in self.published(BREACHES)]
        return [(event["type"], event["subject"]) for event in events]

    def letters(self) -> list[str]:
        """The reasons of the dead letters."""
        letters = self.published(dlq(FACTS))
        return [(dict(letter.headers)["dlq-exception-class"] or b"").decode() for letter in letters]
