"""Sends dead letters back to the topic they came from: original bytes, key and headers, each letter once.

What was sent back is remembered as a consumer group's position, which is committed in the same transaction as the
letters: a run that is killed, or started twice, adds no duplicates. A filter leaves letters out, so the position alone
does not say what is done; what is done beyond it is in the position's metadata, as ranges.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import stamina
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError
from aiokafka.structs import OffsetAndMetadata

from promisewatch.topic_admin import TopicAdmin, topic_admin
from schemas.errors import StateError, TopicsError
from schemas.exits import ExitCode
from schemas.topics import BREACHES, NOTIFICATIONS, dlq
from streams.security import NO_SECURITY, KafkaSecurity
from streams.stopping import stop_consumer

HEADER_PREFIX = "dlq-"
METADATA_VERSION = "redriven1"
METADATA_MAX = 4_000
"""Characters of a position's metadata; brokers accept 4096 unless told otherwise."""
TRANSACTION_LETTERS = 500
REQUEST_BYTES_MAX = 100 << 20
"""The producer's own limit. Above any sensible broker's, which is the one that decides."""
FETCH_TIMEOUT_MS = 500
NOT_YET = (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError)
COORDINATOR_TIMEOUT_S = 30.0


class Letter(NamedTuple):
    """One dead letter: where it lies, where it came from, why it is there, and what it was."""

    partition: int
    offset: int
    original_partition: int
    original_offset: int
    reason: str
    message: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Request:
    """What to send back: letters of `topic` with one of `reasons` (empty: any), at most `limit` (None: all)."""

    topic: str
    group_id: str = "promisewatch-redrive"
    reasons: frozenset[str] = frozenset()
    limit: int | None = None
    dry_run: bool = False

    @property
    def original(self) -> str:
        """The topic whose dead letters these are. Raises TopicsError for a name that is none of a dead letter topic."""
        if self.topic == dlq(NOTIFICATIONS):
            return BREACHES
        original = self.topic.removesuffix(dlq(""))
        if original in {self.topic, ""}:
            raise TopicsError(
                f"found {self.topic!r}, expected a dead letter topic such as {dlq(NOTIFICATIONS)}", ExitCode.USAGE
            )
        return original


@dataclass
class Result:
    """What became of the letters: sent back (or, in a dry run, to be), done earlier, left by filter, unusable."""

    redriven: int = 0
    already: int = 0
    left: int = 0
    unusable: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    letters: list[Letter] = field(default_factory=list)
    """Those to be sent back, in a dry run only."""


@dataclass
class Position:
    """Which letters of one partition are done: all below `next_offset`, and those in `beyond` (half-open, sorted)."""

    next_offset: int
    beyond: list[tuple[int, int]] = field(default_factory=list)

    def __contains__(self, offset: int) -> bool:
        """Say whether the letter at `offset` is done."""
        return offset < self.next_offset or any(low <= offset < high for low, high in self.beyond)

    def add(self, offset: int) -> None:
        """Note that the letter at `offset` is done. Offsets come in ascending order."""
        if self.beyond and self.beyond[-1][1] == offset:
            self.beyond[-1] = (self.beyond[-1][0], offset + 1)
        else:
            self.beyond.append((offset, offset + 1))
            self.beyond.sort()

    def advance(self, first_left: int) -> None:
        """Move up to the first letter that is not done; control records in between are nobody's letters."""
        self.next_offset = max(self.next_offset, first_left)
        start = self.next_offset
        self.beyond = [(max(low, start), high) for low, high in self.beyond if high > start]

    def encode(self) -> OffsetAndMetadata:
        """Return what is committed. Raises StateError when there are too many gaps to remember."""
        ranges = ",".join(f"{low - self.next_offset}-{high - self.next_offset}" for low, high in self.beyond)
        metadata = f"{METADATA_VERSION}:{ranges}" if ranges else ""
        if len(metadata) > METADATA_MAX:
            raise StateError(
                f"found {len(self.beyond)} gaps between redriven letters, more than a position can remember; nothing "
                "of this step was sent: redrive with fewer filters first"
            )
        return OffsetAndMetadata(self.next_offset, metadata)

    @classmethod
    def decode(cls, stored: OffsetAndMetadata) -> "Position":
        """Read a committed position. Raises StateError when it is not one of ours."""
        if not stored.metadata:
            return cls(stored.offset)
        version, _, ranges = stored.metadata.partition(":")
        try:
            if version != METADATA_VERSION:
                raise ValueError(version)
            pairs = [tuple(map(int, part.split("-"))) for part in ranges.split(",")]
            return cls(stored.offset, sorted((stored.offset + low, stored.offset + high) for low, high in pairs))
        except ValueError as error:
            raise StateError(
                f"found metadata {stored.metadata[:40]!r} with a position, expected {METADATA_VERSION}: it was"
                " written by another version or program; --group-id names another group"
            ) from error


def read_letter(record: Any, original: str) -> Letter | None:
    """Read a dead letter of the topic `original`, or return None for a record that is none."""
    ours = {name: content for name, content in record.headers if name.startswith(HEADER_PREFIX)}
    try:
        if ours["dlq-original-topic"].decode() != original:
            return None
        return Letter(
            partition=record.partition,
            offset=record.offset,
            original_partition=int(ours["dlq-original-partition"]),
            original_offset=int(ours["dlq-original-offset"]),
            reason=ours["dlq-exception-class"].decode(),
            message=ours["dlq-exception-message"].decode(errors="replace"),
            key=record.key,
            value=record.value,
            headers=tuple(pair for pair in record.headers if not pair[0].startswith(HEADER_PREFIX)),
        )
    except (KeyError, ValueError):
        return None


async def redrive(address: str, request: Request, security: KafkaSecurity = NO_SECURITY) -> Result:
    """Send dead letters back that lie in the topic now; those that come meanwhile wait for the next run.

    Raises TopicsError when a topic is missing, BrokerUnavailable when nobody answers, SettingsError when refused,
    StateError when the position cannot be used.
    """
    _ = request.original  # a name that is none is refused before anybody is asked
    connection = {"bootstrap_servers": address, **security.aiokafka()}
    async with topic_admin(address, security) as admin:
        counts = await _partition_counts(admin, request)
        producer = None if request.dry_run else _producer(connection, request)
        consumer = AIOKafkaConsumer(
            **connection, isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="earliest"
        )
        try:
            if producer is not None:
                await producer.start()  # ends what an earlier run left open, so that its position is final
            await consumer.start()
            return await Run(request, consumer, producer, counts, await _positions(connection, request)).run()
        finally:
            await stop_consumer(consumer)
            if producer is not None:
                await producer.stop()


def _producer(connection: Mapping[str, Any], request: Request) -> AIOKafkaProducer:
    return AIOKafkaProducer(
        **connection,
        transactional_id=f"{request.group_id}-{request.topic}",
        max_request_size=REQUEST_BYTES_MAX,
        max_batch_size=1 << 20,
    )


async def _partition_counts(admin: TopicAdmin, request: Request) -> dict[str, int]:
    """Return the partitions of both topics. One that is missing would be made by sending, with the wrong settings."""
    names = [request.topic, request.original]
    found = await admin.find(names)
    missing = [name for name in names if name not in found]
    if missing:
        raise TopicsError(f"missing topics: {', '.join(missing)}; 'promisewatch topics create' makes them")
    return {name: found[name].partitions for name in names}


async def _positions(connection: Mapping[str, Any], request: Request) -> dict[int, Position]:
    client = AIOKafkaAdminClient(**connection)
    await client.start()
    stored: Mapping[TopicPartition, OffsetAndMetadata] = {}
    try:
        # A broker that has never seen a group makes the topic of positions first.
        async for attempt in stamina.retry_context(on=NOT_YET, attempts=None, timeout=COORDINATOR_TIMEOUT_S):
            with attempt:
                stored = await client.list_consumer_group_offsets(request.group_id)
    finally:
        await client.close()
    return {tp.partition: Position.decode(at) for tp, at in stored.items() if tp.topic == request.topic}


class Run:
    """One pass over a dead letter topic."""

    def __init__(
        self,
        request: Request,
        consumer: AIOKafkaConsumer,
        producer: AIOKafkaProducer | None,
        partition_counts: Mapping[str, int],
        positions: dict[int, Position],
    ) -> None:
        """Hold what was started; `producer` None sends nothing."""
        self._partition_counts = partition_counts
        self._request = request
        self._consumer = consumer
        self._producer = producer
        self._positions = positions
        self._result = Result()
        self._first_left: dict[int, int] = {}
        self._batch: list[Letter] = []

    async def run(self) -> Result:
        """Go through all letters, partition by partition, and send back what is asked for."""
        request, result = self._request, self._result
        async for record in self._records():
            partition, position = record.partition, self._positions[record.partition]
            letter = read_letter(record, request.original)
            if record.offset in position:
                result.already += 1
                continue
            if letter is None:
                result.unusable += 1
            elif (request.reasons and letter.reason not in request.reasons) or (
                request.limit is not None and result.redriven >= request.limit
            ):
                result.left += 1
            else:
                await self._take(letter)
                continue
            self._first_left.setdefault(partition, record.offset)
        await self._send()
        return result

    async def _take(self, letter: Letter) -> None:
        self._result.redriven += 1
        self._result.reasons[letter.reason] += 1
        if self._producer is None:
            self._result.letters.append(letter)
            return
        self._batch.append(letter)
        if len(self._batch) >= TRANSACTION_LETTERS:
            await self._send()

    async def _send(self) -> None:
        """Send the letters in hand and move the positions, in one transaction."""
        if self._producer is None or not self._batch:
            return
        topic, batch = self._request.original, self._batch
        count = self._partition_counts[topic]
        touched: dict[TopicPartition, OffsetAndMetadata] = {}
        for partition, offsets in _offsets(batch).items():
            position = self._positions[partition]
            for offset in offsets:
                position.add(offset)
            position.advance(self._first_left.get(partition, offsets[-1] + 1))
            touched[TopicPartition(self._request.topic, partition)] = position.encode()
        async with self._producer.transaction():
            sent = [
                await self._producer.send(
                    topic,
                    letter.value,
                    key=letter.key,
                    # Where it was read; if the topic has fewer partitions now, its key decides anew.
                    partition=letter.original_partition if letter.original_partition < count else None,
                    headers=list(letter.headers),
                )
                for letter in batch
            ]
            for future in sent:
                await future
            await self._producer.send_offsets_to_transaction(touched, self._request.group_id)
        self._batch = []

    async def _records(self) -> AsyncIterator[Any]:
        """Yield every record from the positions up to the ends as they are now, partition by partition."""
        consumer, topic = self._consumer, self._request.topic
        places = [TopicPartition(topic, partition) for partition in range(self._partition_counts[topic])]
        beginnings, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        for place in places:
            position = self._positions.setdefault(place.partition, Position(0))
            position.advance(beginnings[place])
            consumer.assign([place])
            consumer.seek(place, position.next_offset)
            while await consumer.position(place) < ends[place]:
                for record in (await consumer.getmany(timeout_ms=FETCH_TIMEOUT_MS)).get(place, ()):
                    if record.offset < ends[place]:
                        yield record


def _offsets(letters: Sequence[Letter]) -> dict[int, list[int]]:
    offsets: dict[int, list[int]] = {}
    for letter in letters:
        offsets.setdefault(letter.partition, []).append(letter.offset)
    return offsets
