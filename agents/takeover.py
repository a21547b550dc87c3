"""Taking over a partition: where to go on from, by which texts, and whether its log and its state go together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import structlog

from agents.doubting import DOUBT_KEY, Doubting
from promises.detector import Detector
from promises.grouped import GroupedDetector
from promises.partition import CHECKPOINT_KEY, UNKNOWN, PartitionDetector
from schemas import metrics
from schemas.book_model import Book, Source
from schemas.decoding import Decoder, SourceDecoder
from schemas.editions import SHORT_DIGITS, Editions, check_keys, editions_of, still_needed
from schemas.errors import StateError
from schemas.groups import GROUPS_KEY
from schemas.instants import MINUTE_MS
from schemas.records import (
    RECORD_FORMAT,
    TEXTS_KEY,
    Checkpoint,
    decode_checkpoint,
    decode_texts,
    encode_texts,
)
from streams.app import BatchApp
from streams.emit import Outgoing
from streams.topicwatch import same_topic

log = structlog.get_logger("promisewatch.detect")

TOPIC_KEY = b"\x00topic"
"""Where the id of the source topic is stored, beside the checkpoint."""
BEGINNING = -(1 << 62)
"""An instant before every other: the log was read from its very first record."""

CORES_REMEMBERED_MAX = 100
"""Compiled books that are kept for the next partition; past it the memory starts anew."""


@dataclass(frozen=True)
class DetectSettings:
    """What the detect agent needs besides the book. Instants are UTC milliseconds."""

    since: int | None = None


class Compiled(NamedTuple):
    """A book, and what still runs under earlier texts, made ready for use."""

    detector: Detector
    decoder: SourceDecoder
    editions: Editions


class Cores:
    """The compiled book: once for each set of texts that partitions know, and that is mostly one."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._source = next(iter(book.sources))
        self._made: dict[bytes, Compiled] = {}

    def of(self, texts: bytes | None, where: str, latest: int) -> Compiled:
        """The book together with the stored `texts` of a partition, which has processed no fact dated after `latest`.

        Raises StateError where they do not fit.
        """
        book = self._book
        editions = editions_of(book, None if texts is None else decode_texts(texts, where), where, latest)
        assert editions.stored is not None, "a book has texts"
        name = encode_texts(editions.stored)
        if name not in self._made:
            if len(self._made) >= CORES_REMEMBERED_MAX:
                self._made.clear()
            # Events that only closed texts name are read too, with the fields that those look at.
            promises = (*book.promises, *(closed.promise for closed in editions.closed))
            decoder = Decoder(replace(book, promises=promises)).source(self._source)
            self._made[name] = Compiled(Detector(book, editions), decoder, editions)
        return self._made[name]._replace(editions=editions)


class TakenOver(NamedTuple):
    """A partition whose state is at hand. `owed` goes into its first transaction."""

    core: PartitionDetector
    decoder: SourceDecoder
    owed: list[Outgoing]
    doubt: Doubting


async def take_over(
    app: BatchApp, book: Book, source: Source, cores: Cores, detect: DetectSettings, partition: int
) -> TakenOver:
    """Open a partition whose state is restored and whose earlier producers are fenced. Raises StateError."""
    read = app.store.reader(partition)
    where = f"{app.settings.changelog}/{partition}"
    check_mode(read, where, reads_facts=False)
    stored, texts = read(CHECKPOINT_KEY), read(TEXTS_KEY)
    owed = await check_identity(app, source.topic, read)
    expired = 0
    if stored is None:
        checkpoint = await first_checkpoint(app, book, source, detect, partition)
    else:
        checkpoint = decode_checkpoint(stored, where)
        expired = await expired_records(app, source.topic, partition, checkpoint.next_offset)
    latest = BEGINNING if stored is None else latest_seen(app.clock.now_ms(), book)
    compiled = cores.of(texts, where, latest)
    core = PartitionDetector(compiled.detector, read, checkpoint, partition=partition)
    core.rebuild(app.store.scan(partition))
    if expired:
        core.add_gap(core.frontier)
        pass_over(core, source.topic, partition, expired)
    editions = still_needed(compiled.editions, core.pinned)
    check_keys(book, editions, where)
    if editions.changed and editions.stored is not None:
        owed.append(Outgoing(TEXTS_KEY, encode_texts(editions.stored)))
    log.info("partition opened", partition=partition, next_offset=checkpoint.next_offset, new=stored is None)
    if checkpoint.book != book.digest:
        tell_of_another_book(partition, checkpoint.book, book.digest, editions)
    frontier = core.frontier if core.frontier > BEGINNING else None
    return TakenOver(core, compiled.decoder, owed, Doubting(source, core, read(DOUBT_KEY), frontier))


def check_mode(read: Callable[[bytes], bytes | None], where: str, *, reads_facts: bool) -> None:
    """Refuse the state of a worker in the other mode, which is under other keys. Raises StateError."""
    if read(CHECKPOINT_KEY if reads_facts else GROUPS_KEY) is not None:
        found, expected = ("its source", "facts") if reads_facts else ("facts", "its source")
        raise StateError(
            f"{where}: found the state of a worker that reads {found}, expected that of one that reads {expected}; "
            "start under another --app-id"
        )


def latest_seen(now_ms: int, book: Book) -> int:
    """An instant after which no fact is dated that has been processed so far: the clock, and how far others may go
    before it. In whole minutes, so that partitions that are opened together agree.
    """
    return (now_ms + book.defaults.skew_ms) // MINUTE_MS * MINUTE_MS + MINUTE_MS


def tell_of_another_book(partition: int, theirs: str, ours: str, editions: Editions) -> None:
    """Say that the partition was last worked by another book: a deployment, or workers that do not agree."""
    log.warning(
        "partition was last worked with another book",
        partition=partition,
        book=ours[:SHORT_DIGITS],
        last_book=theirs[:SHORT_DIGITS],
        closed_texts=len(editions.closed),
        meaning="what opens from here on follows this worker's book, what runs keeps the text it opened under; seen "
        "again and again, workers of one application run with different books",
    )


async def first_checkpoint(
    app: BatchApp, book: Book, source: Source, detect: DetectSettings, partition: int
) -> Checkpoint:
    """Return where a partition starts that nobody has processed yet.

    A log that still begins at offset 0 tells everything. One that has lost its beginning tells everything from its
    first fact on (plus `settle`); nothing may open before that, since what fulfilled it may be gone.
    """
    beginning = (await app.offsets.beginnings(source.topic, [partition]))[partition]
    known_since = BEGINNING if beginning == 0 else UNKNOWN
    if detect.since is not None:
        known_since = detect.since
    return Checkpoint(
        format=RECORD_FORMAT,
        sources=(source.name,),
        fire=BEGINNING,
        subject=b"",
        next_offset=beginning,
        known_since=known_since,
        live_since=app.clock.now_ms() - source.settle_ms,
        vector={},
        book=book.digest,
    )


async def check_identity(app: BatchApp, topic: str, read: Callable[[bytes], bytes | None]) -> list[Outgoing]:
    """Refuse a topic that is not the one the state came from; its id is owed where the state does not hold it yet.

    Raises StateError when it was recreated, however far it has grown since.
    """
    found, stored = (await app.offsets.identify(topic)).get(topic), read(TOPIC_KEY)
    topic_id = None if found is None else found.topic_id
    if stored is not None:
        same_topic(topic, stored.decode(), topic_id)
        return []
    return [] if topic_id is None else [Outgoing(TOPIC_KEY, topic_id.encode())]


async def expired_records(app: BatchApp, topic: str, partition: int, next_offset: int) -> int:
    """How many records between the state and the log have expired unread.

    Raises StateError when the topic was recreated: the same offsets mean other events.
    """
    beginning = (await app.offsets.beginnings(topic, [partition]))[partition]
    end = (await app.offsets.ends(topic, [partition]))[partition]
    if next_offset > end:
        raise StateError(
            f"{topic}/{partition} ends at offset {end}, but the state has processed up to {next_offset}: the topic was "
            "recreated; start under another --app-id"
        )
    return max(0, beginning - next_offset)


def pass_over(core: PartitionDetector | GroupedDetector, topic: str, partition: int, expired: int) -> None:
    """Go on behind `expired` records, now that the core knows of the gap, and tell of it."""
    core.set_next_offset(core.next_offset + expired)
    tell_of_expired(topic, partition, expired, core.held())


def tell_of_expired(topic: str, partition: int, records: int, held: Mapping[str, int]) -> None:
    """Say that records were lost: what they said cannot be known any more. `held` promises, by id, waited for it."""
    metrics.EXPIRED.labels(topic=topic).inc(records)
    log.error(
        "records expired unread",
        topic=topic,
        partition=partition,
        records=records,
        held=dict(held),
        meaning="what they said is not known: promises that waited for it are held, and listed, but not broken",
    )
