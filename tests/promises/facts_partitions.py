"""A facts partition for tests: a log of facts and markers, a dictionary for a store, and what was published."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from promises.detector import subject_key
from promises.grouped import GroupedBatch, GroupedDetector, Refused, compile_groups
from promises.vector import Vector
from schemas.book import parse_book
from schemas.book_model import Book
from schemas.editions import NO_EDITIONS, Editions
from schemas.errors import EventError
from schemas.factrecords import encode_fact
from schemas.facts import Fact, Subject
from schemas.groups import FROM_ALWAYS, GROUPS_KEY, Group, decode_groups, encode_groups, group_promises
from schemas.publications import Publication
from schemas.records import RECORD_FORMAT, Checkpoint, encode_checkpoint
from schemas.vectors import (
    KNOWN_FOR_EVER,
    VECTOR_FORMAT,
    VECTOR_KEY,
    SourceMark,
    VectorMarker,
    encode_vector,
    read_vector,
    source_partition,
)
from tests.promises.builders import ALWAYS

HEAD = """
defaults: {timezone: Europe/Amsterdam, key: order_id, skew: 5m, retention: 400d, orphan_ttl: 30d}
sources:
"""


class LogRecord(NamedTuple):
    """A Kafka record, as far as the core sees it."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
    offset: int


def book_of(sources: dict[str, str | None], promises: str, frontier: str = "clock") -> Book:
    """A book with these sources, each with the event types it can send (spaces between them; None: anything)."""
    lines = [
        f"  {name}: {{topic: {name}.events, format: json, id: id, type: type, time: at, frontier: {frontier}"
        + (f", events: [{', '.join(events.split())}]" if events is not None else "")
        + "}"
        for name, events in sources.items()
    ]
    return parse_book(HEAD + "\n".join(lines) + "\npromises:\n" + promises, "book.yaml")


def marker(book: str, counts: dict[str, int], **marks: int | SourceMark | None) -> VectorMarker:
    """A marker; `shop_0=T` says that partition 0 of shop is complete before T, its log read from its first record."""
    said = {}
    for name, mark in marks.items():
        source, _, partition = name.rpartition("_")
        if not isinstance(mark, SourceMark):
            mark = SourceMark(mark, mark, KNOWN_FOR_EVER)  # noqa: PLW2901 - short for the same
        said[source_partition(source, int(partition))] = mark
    return VectorMarker(VECTOR_FORMAT, book, "test", counts, said)


class FactsPartition:
    """A facts partition with its log, as a worker sees it. Nothing is committed but by `commit`."""

    def __init__(self, book: Book, *, since: int = ALWAYS) -> None:
        self.log: list[LogRecord] = []
        self.store: dict[bytes, bytes] = {}
        self.published: list[Publication] = []
        self.counted: Counter[str] = Counter()
        self.refused: list[Refused] = []
        self.first = Checkpoint(RECORD_FORMAT, (), ALWAYS, b"", 0, since, ALWAYS, {}, book.digest)
        self.open(book)

    def open(
        self, book: Book, editions: Editions = NO_EDITIONS, latest: int = FROM_ALWAYS
    ) -> None:  # fmt: skip
        """Take the partition over with a book."""
        self.book = book
        stored = self.store.get(GROUPS_KEY)
        self.grouping = group_promises(
            book, editions, None if stored is None else decode_groups(stored, "store"), latest
        )  # fmt: skip
        self.vector = Vector(book.digest, self.store.get(VECTOR_KEY))
        self.core = GroupedDetector.open(
            compile_groups(book, editions, self.grouping.groups),
            self.store.get,
            self.scan,
            self.first,
            dropped=self.grouping.dropped,
            partition=0,
        )
        self.core.advance(self.vector)
        self._drain(1_000, self.core.next_offset)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Everything: more than was asked for."""
        return iter(list(self.store.items()))

    def group_of(self, promise: str) -> Group:
        return next(group for group in self.grouping.groups if promise in group.promises)

    def send(self, *facts: Fact, about: str = "A-17", key_name: str = "order_id") -> None:
        """Facts onto the log."""
        for one in facts:
            key = subject_key(Subject(key_name, about))
            self.log.append(LogRecord(key, encode_fact(one), [], len(self.log)))

    def mark(self, counts: dict[str, int], **marks: int | SourceMark | None) -> None:
        """A marker of the partition's book onto the log."""
        self.log.append(LogRecord(None, None, encode_vector(marker(self.book.digest, counts, **marks)), len(self.log)))

    def read(self, upto: int | None = None, *, slice_size: int = 1_000) -> list[Publication]:
        """Process the log up to an offset (None: all of it) and commit; what that published."""
        before = len(self.published)
        self.process(len(self.log) if upto is None else upto, slice_size=slice_size)
        self.commit()
        return self.published[before:]

    def process(self, upto: int, *, slice_size: int = 1_000) -> None:
        """Process the log up to an offset. Timers commit between slices, as a worker does."""
        core = self.core
        while core.next_offset < upto:
            index, error = core.take_in(self.log, core.next_offset, upto)
            if error is not None:
                raise error
            if index == upto:
                return
            record = self.log[index]
            found = read_vector(record.value, record.headers)
            assert found is not None, "a record without value is a marker here"
            if not self.vector.take(found):
                core.count("marker_of_another_book")
            core.advance(self.vector)
            core.set_next_offset(record.offset)
            self._drain(slice_size, record.offset)
            core.set_next_offset(record.offset + 1)

    def commit(self) -> GroupedBatch:
        """Store and publish what has happened since the last commit."""
        batch = self.core.take()
        changes = batch.changes | {key: encode_checkpoint(one) for key, one in batch.checkpoints.items()}
        changes |= {GROUPS_KEY: encode_groups(self.grouping.stored), VECTOR_KEY: self.vector.stored()}
        for key, value in changes.items():
            if value is None:
                self.store.pop(key, None)
            else:
                self.store[key] = value
        self.published += batch.publications
        self.counted += batch.counted
        self.refused += batch.refused
        return batch

    def crash(self) -> None:
        """Lose everything since the last commit, and start again."""
        self.open(self.book)

    def _drain(self, slice_size: int, next_offset: int) -> None:
        while self.core.fire_due(slice_size):
            self.commit()


def breaches(published: Iterable[Publication]) -> list[tuple[str, str]]:
    """The promises that were published as broken, each with its subject."""
    return [(one.promise, one.subject) for one in published if one.kind == "breached"]


Verdict = tuple[str, int | None, int | None, int | None, str | None]
"""Status, when it was fulfilled and broken, and if it is broken the due and the id under which that was told first."""


def final(published: Iterable[Publication]) -> dict[tuple[str, str, str], Verdict]:
    """The newest verdict on each cycle; a remedy whose cause was taken back is as if it had never been.

    Of a breach that was told again under further ids only the first counts: how often a verdict was another one in
    between depends on what was known when. What kept a promise late can turn out to keep another cycle: one that opened
    earlier and was heard of later, or that opens later, as a remedy does when its cause is broken.
    """
    newest: dict[tuple[str, str, str], Publication] = {}
    told: dict[tuple[str, str, str, int], str] = {}
    for one in published:
        name = (one.promise, one.subject, one.cycle)
        if one.kind != "at_risk":
            newest[name] = one
        if one.kind == "breached":
            told.setdefault((*name, one.due), one.id)
    verdicts: dict[tuple[str, str, str], Verdict] = {}
    for name, one in newest.items():
        if one.status not in ("void", "open") and one.reason != "cause_retracted":
            broken = one.status in ("breached", "fulfilled_late")
            due, first = (one.due, told.get((*name, one.due))) if broken else (None, None)
            verdicts[name] = (one.status, one.fulfilled_at, one.breached_at, due, first)
    return verdicts


def refusal(partition: FactsPartition, record: LogRecord) -> EventError | None:
    """Why a record cannot be used."""
    return partition.core.take_in([record], 0, 1)[1]
