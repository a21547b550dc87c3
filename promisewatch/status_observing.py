"""What looks at an application from outside, in direct mode and in facts mode, do alike. Reads only."""

import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from promises.cycles import awaits_fire
from promisewatch.settings.commands import StatusSettings
from promisewatch.statuses import DeadLetters, LastBreach, Log
from promisewatch.topic_admin import topic_admin
from schemas.book_model import Book
from schemas.editions import SHORT_DIGITS
from schemas.errors import StateError
from schemas.instants import parse_instant
from schemas.publications import BREACHED
from schemas.records import RECORD_FORMAT, Checkpoint, RecordHead
from schemas.topics import BREACHES, changelog
from streams.clock import parse_clock
from streams.observing import Counted, Counting, LogReader, Newest
from streams.offsets import LogOffsets
from streams.refusals import refusal
from streams.restore import restore
from streams.store import PartitionStore, RocksStore

BREACHES_DEPTH = 2_000
"""Offsets looked at for the last breach of a promise of this book: other books may publish to the same topic."""
LETTERS_DEPTH = 200
"""Dead letters read one by one. They may be large; beyond that it is told how many there are at most."""

_T = TypeVar("_T")


class KafkaObserver:
    """A connection that looks again and again; what it has read once it does not read anew."""

    def __init__(self, settings: StatusSettings, book: Book) -> None:
        """Look at what processes with these settings and this book would work on."""
        self._settings = settings
        self._book = book
        self._changelog = changelog(settings.app_id)
        self._clock = parse_clock(settings.clock)
        self._client = {"bootstrap_servers": settings.bootstrap_server, **settings.security.aiokafka()}
        self._offsets = LogOffsets(self._client)
        self._reader = LogReader(self._client)
        promises = frozenset(promise.id for promise in book.promises)
        self._breaches = Newest(BREACHES, lambda record: read_breach(record.value, promises), BREACHES_DEPTH)
        self._refused: list[str] = []

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Self]:
        """Connected while the block runs. Raises BrokerUnavailable, or SettingsError if Kafka refuses us."""
        async with topic_admin(self._settings.bootstrap_server, self._settings.security):  # tells why it cannot
            try:
                await self._offsets.start()
                await self._reader.start()
                yield self
            finally:
                await self._reader.stop()
                await self._offsets.stop()

    async def _partition_counts(self, topics: Iterable[str]) -> dict[str, int]:
        """Every topic of the application with its partitions, 0 where it is not there.

        Raises TopicAuthorizationFailedError for one that we may not see.
        """
        counts = {topic: await self._offsets.partition_count(topic) for topic in topics}
        missing = [topic for topic, count in counts.items() if not count]
        forbidden = await self._offsets.forbidden(missing) if missing else set()
        if forbidden:
            raise TopicAuthorizationFailedError(forbidden)
        return counts

    async def _logs(self, topic: str, count: int) -> dict[int, Log]:
        """The offsets of each partition of a topic that has `count`."""
        partitions = range(count)
        if not partitions:
            return {}
        beginnings = await self._offsets.beginnings(topic, partitions)
        readable = await self._reader.ends(topic, partitions)
        ends = await self._offsets.ends(topic, partitions)
        return {p: Log(beginnings[p], readable[p], ends[p]) for p in partitions}

    async def _of(
        self, count: int, look: Callable[[LogReader, Sequence[int]], Awaitable[dict[int, _T]]]
    ) -> dict[int, _T]:
        """What a topic says about each of its partitions; nothing if it has none."""
        return await look(self._reader, range(count)) if count else {}

    async def _optional(
        self, what: str, count: int, look: Callable[[LogReader, Sequence[int]], Awaitable[dict[int, _T]]]
    ) -> dict[int, _T]:
        """The same, of what can be done without."""
        return await self._allowed(what, self._of(count, look)) or {}

    async def _letters(self, counting: Counting, count: int) -> dict[int, DeadLetters | None]:
        """The dead letters in each partition of a topic that has `count`."""
        found: dict[int, Counted] = await self._optional("dead letters", count, counting.look)
        return {partition: read_letters(*counted) for partition, counted in found.items()}

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

    @asynccontextmanager
    async def _restored(self, partition: int) -> AsyncIterator[PartitionStore]:
        """Everything that is stored of a partition, read from its whole changelog by way of a folder."""
        with tempfile.TemporaryDirectory(prefix="promisewatch-status-") as folder:
            store = RocksStore(Path(folder))
            try:
                await restore(self._client, self._offsets, store, self._changelog, {partition})
                yield store
            finally:
                for opened in store.partitions():
                    store.drop(opened)


def count_running(
    records: Iterable[tuple[bytes, bytes]], checkpoint: Checkpoint, where: str
) -> tuple[int, Counter[str]]:
    """Count subjects and running promises among `records`, subjects as stored with what is stored about each.

    Raises StateError, naming `where`, for a record of another format.
    """
    decode = msgspec.json.Decoder(RecordHead).decode
    published = (checkpoint.fire, checkpoint.subject)
    subjects, promises = 0, Counter[str]()
    for stored_as, value in records:
        try:
            head = decode(value)
        except (msgspec.MsgspecError, RecursionError):
            head = None
        if head is None or head.format != RECORD_FORMAT:
            raise StateError(f"{where}: found a record of another format, expected format {RECORD_FORMAT}")
        subjects += 1
        promises.update(cycle.promise for cycle in head.cycles if awaits_fire(cycle, stored_as, published))
    return subjects, promises


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


def other_books(worked: Mapping[str, str | None], digest: str) -> list[str]:
    """A note on partitions that were last worked with another book. `worked`: by partition, the hash of the book."""
    others: dict[str, list[str]] = {}
    for partition, book in worked.items():
        if book is not None and book != digest:
            others.setdefault(book, []).append(partition)
    return [
        f"last worked with another book ({book[:SHORT_DIGITS]}, not {digest[:SHORT_DIGITS]}): "
        f"partition{'s' if len(which) > 1 else ''} {', '.join(which)}"
        for book, which in others.items()
    ]
