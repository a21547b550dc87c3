"""Asks Kafka what `promisewatch status` shows. Reads only: it joins no group, commits nothing and makes no topic."""

import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from promises.cycles import awaits_fire
from promises.partition import CHECKPOINT_KEY
from promisewatch.direct import direct_source
from promisewatch.settings import StatusSettings
from promisewatch.statuses import DeadLetters, LastBreach, Log, PartitionStatus, Running, Status, partition_status
from promisewatch.topic_admin import topic_admin
from schemas.book_model import Book
from schemas.editions import SHORT_DIGITS
from schemas.errors import StateError
from schemas.instants import parse_instant
from schemas.publications import BREACHED
from schemas.records import RECORD_FORMAT, Checkpoint, RecordHead, decode_checkpoint
from schemas.topics import BREACHES, OUTCOMES, changelog, dlq
from streams.clock import parse_clock
from streams.observing import Counting, LogReader, Newest, read_group
from streams.offsets import LogOffsets
from streams.refusals import refusal
from streams.restore import restore
from streams.store import PartitionStore, RocksStore

BREACHES_DEPTH = 2_000
"""Offsets looked at for the last breach of a promise of this book: other books may publish to the same topic."""
LETTERS_DEPTH = 200
"""Dead letters read one by one. They may be large; beyond that it is told how many there are at most."""
RESERVED = b"\x00"
"""What keys of the changelog begin with that are no subjects."""

_T = TypeVar("_T")


class Observer:
    """Looks at one detect application, again and again; what it has read once it does not read anew."""

    def __init__(self, settings: StatusSettings, book: Book) -> None:
        """Look at what a worker with these settings and this book would work on. Raises SettingsError for the book."""
        self._settings = settings
        self._book = book
        self._source = direct_source(book)
        self._changelog = changelog(settings.app_id)
        self._clock = parse_clock(settings.clock)
        self._client = {"bootstrap_servers": settings.bootstrap_server, **settings.security.aiokafka()}
        self._offsets = LogOffsets(self._client)
        self._reader = LogReader(self._client)
        promises = frozenset(promise.id for promise in book.promises)
        self._checkpoints = Newest(self._changelog, self._read_checkpoint)
        self._breaches = Newest(BREACHES, lambda record: read_breach(record.value, promises), BREACHES_DEPTH)
        self._letters = Counting(dlq(self._source.topic), LETTERS_DEPTH)
        self._refused: list[str] = []

    @asynccontextmanager
    async def connected(self) -> AsyncIterator["Observer"]:
        """Connected while the block runs. Raises BrokerUnavailable, or SettingsError if Kafka refuses us."""
        async with topic_admin(self._settings.bootstrap_server, self._settings.security):  # tells why it cannot
            try:
                await self._offsets.start()
                await self._reader.start()
                yield self
            finally:
                await self._reader.stop()
                await self._offsets.stop()

    async def look(self, *, count_promises: bool = False) -> Status:
        """Where everything stands now. Raises StateError for a checkpoint that this version cannot read.

        `count_promises`: read the whole changelog for what is running.
        """
        source, self._refused = self._source, []
        now_ms = self._clock.now_ms()
        counts = await self._partition_counts()
        missing = tuple(topic for topic, count in counts.items() if not count)
        partitions = range(counts[source.topic])
        # Ends are asked last: what is processed meanwhile must not look as if the log were shorter.
        group = await self._allowed("the consumer group", read_group(self._client, self._settings.app_id, source.topic))
        checkpoints = await self._of(self._changelog, counts, self._checkpoints.look)
        logs = await self._logs(partitions)
        breaches = await self._optional("the last breach", BREACHES, counts, self._breaches.look)
        letters = await self._optional("dead letters", dlq(source.topic), counts, self._letters.look)
        running = await self._running(checkpoints) if count_promises else {}
        found = [
            replace(
                partition_status(source, partition, logs[partition], checkpoints.get(partition), group, now_ms),
                last_breach=breaches.get(partition),
                dead_letters=None if partition not in letters else read_letters(*letters[partition]),
                running=running.get(partition),
            )
            for partition in partitions
        ]
        expected = counts[source.topic]
        differing = [f"{topic} has {count}" for topic, count in counts.items() if count and count != expected]
        return Status(
            at=now_ms,
            app_id=self._settings.app_id,
            book_path=self._book.path,
            book_digest=self._book.digest,
            source=source,
            partitions=tuple(found),
            group=group,
            missing=missing,
            differing=tuple(differing) if expected else (),
            forbidden=bool(self._refused),
            notes=(*self._refused, *other_books(found, self._book.digest)),
        )

    async def _partition_counts(self) -> dict[str, int]:
        """Every topic of the application with its partitions, 0 where it is not there.

        Raises TopicAuthorizationFailedError for one that we may not see.
        """
        source = self._source.topic
        topics = [source, self._changelog, BREACHES, OUTCOMES, dlq(source)]
        counts = {topic: await self._offsets.partition_count(topic) for topic in topics}
        missing = [topic for topic, count in counts.items() if not count]
        forbidden = await self._offsets.forbidden(missing) if missing else set()
        if forbidden:
            raise TopicAuthorizationFailedError(forbidden)
        return counts

    async def _logs(self, partitions: range) -> dict[int, Log]:
        if not partitions:
            return {}
        topic = self._source.topic
        beginnings = await self._offsets.beginnings(topic, partitions)
        readable = await self._reader.ends(topic, partitions)
        ends = await self._offsets.ends(topic, partitions)
        return {p: Log(beginnings[p], readable[p], ends[p]) for p in partitions}

    async def _of(
        self,
        topic: str,
        counts: Mapping[str, int],
        look: Callable[[LogReader, Sequence[int]], Awaitable[dict[int, _T]]],
    ) -> dict[int, _T]:
        """What a topic says about each partition; nothing if it is not there."""
        partitions = range(min(counts[topic], counts[self._source.topic]))
        return await look(self._reader, partitions) if partitions else {}

    async def _optional(
        self,
        what: str,
        topic: str,
        counts: Mapping[str, int],
        look: Callable[[LogReader, Sequence[int]], Awaitable[dict[int, _T]]],
    ) -> dict[int, _T]:
        """The same, of what can be done without."""
        return await self._allowed(what, self._of(topic, counts, look)) or {}

    async def _allowed(self, what: str, asked: Awaitable[_T]) -> _T | None:
        """What was asked for, or None where Kafka gives no permission, which is noted."""
        try:
            return await asked
        except KafkaError as error:
            refused = refusal(error, self._client)
            if refused is None:
                raise
            self._refused.append(f"{what}: {refused}")
            return None

    def _read_checkpoint(self, record: Any) -> Checkpoint | None:
        if record.key != CHECKPOINT_KEY or record.value is None:
            return None
        return decode_checkpoint(record.value, f"{self._changelog}/{record.partition}")

    async def _running(self, checkpoints: Mapping[int, Checkpoint]) -> dict[int, Running]:
        """What is kept in the partitions, read from their whole changelogs, one after the other, by way of a folder."""
        found = {}
        for partition, checkpoint in checkpoints.items():
            with tempfile.TemporaryDirectory(prefix="promisewatch-status-") as folder:
                store = RocksStore(Path(folder))
                try:
                    await restore(self._client, self._offsets, store, self._changelog, {partition})
                    found[partition] = count_running(store, partition, checkpoint, self._changelog)
                finally:
                    for opened in store.partitions():
                        store.drop(opened)
        return found


def count_running(store: PartitionStore, partition: int, checkpoint: Checkpoint, topic: str) -> Running:
    """Count subjects and running promises. Raises StateError for a record of another format."""
    decode = msgspec.json.Decoder(RecordHead).decode
    published = (checkpoint.fire, checkpoint.subject)
    subjects, promises = 0, Counter[str]()
    for stored_as, value in store.scan(partition):
        if stored_as.startswith(RESERVED):
            continue
        try:
            head = decode(value)
        except (msgspec.MsgspecError, RecursionError):
            head = None
        if head is None or head.format != RECORD_FORMAT:
            raise StateError(f"{topic}/{partition}: found a record of another format, expected format {RECORD_FORMAT}")
        subjects += 1
        promises.update(cycle.promise for cycle in head.cycles if awaits_fire(cycle, stored_as, published))
    return Running(subjects, dict(promises))


def read_breach(value: bytes | None, promises: frozenset[str]) -> LastBreach | None:
    """A record of the breaches topic, if it is a breach of one of these promises."""
    if value is None:
        return None
    try:
        event = msgspec.json.decode(value)
        if event["type"] != BREACHED or event["data"]["promise"] not in promises:
            return None
        data = event["data"]
        breached_at, published_at = (parse_instant(data[name], None) for name in ("breached_at", "detected_at"))
        return LastBreach(str(event["id"]), str(data["promise"]), breached_at, published_at)
    except (msgspec.MsgspecError, LookupError, TypeError, ValueError, AttributeError):
        return None  # not one of ours; the notifier puts it into its dead letters


def read_letters(count: int, exact: bool, newest: Any) -> DeadLetters | None:
    """How many dead letters there are, and why the newest one is there."""
    if newest is None:
        return None
    headers = {name: content for name, content in newest.headers if content is not None}
    reason = headers.get("dlq-exception-class", b"unknown").decode(errors="replace")
    return DeadLetters(count, exact, newest.timestamp, reason)


def other_books(partitions: Sequence[PartitionStatus], digest: str) -> list[str]:
    """A note on partitions that were last worked with another book."""
    others: dict[str, list[int]] = {}
    for each in partitions:
        if each.book is not None and each.book != digest:
            others.setdefault(each.book, []).append(each.partition)
    return [
        f"last worked with another book ({book[:SHORT_DIGITS]}, not {digest[:SHORT_DIGITS]}): "
        f"partition{'s' if len(which) > 1 else ''} {', '.join(map(str, which))}"
        for book, which in others.items()
    ]
