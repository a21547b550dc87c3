"""Asks Kafka what `promisewatch status` shows of an ingest and the workers that read its facts. Reads only."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from promises.vector import Vector
from promisewatch.settings.commands import StatusSettings
from promisewatch.status_observing import LETTERS_DEPTH, KafkaObserver, count_running, other_books
from promisewatch.status_sources import (
    FactsPartitionStatus,
    SourcePartitionStatus,
    SourcesStatus,
    SourceStatus,
    Stored,
    facts_partition_status,
    group_statuses,
    source_partition_status,
)
from promisewatch.statuses import Running
from schemas.book_model import Book, Source
from schemas.editions import NO_EDITIONS
from schemas.errors import EventError
from schemas.groups import (
    GROUPS_KEY,
    Group,
    StoredGroups,
    checkpoint_key,
    decode_groups,
    group_promises,
    record_prefix,
    source_groups,
)
from schemas.records import Checkpoint, decode_checkpoint
from schemas.sourcepositions import SourcePosition, decode_position
from schemas.topics import BREACHES, OUTCOMES, dlq, texts_changelog
from schemas.vectors import (
    KNOWN_NEVER,
    VECTOR_FORMAT,
    VECTOR_KEY,
    SourceMark,
    StoredVector,
    VectorMarker,
    decode_stored_vector,
    read_vector,
)
from streams.observing import Counting, Newest, read_group_topics
from streams.observing import Group as MembersOf

VECTORS_DEPTH = 5_000
"""Offsets of the facts topic that are looked at for vectors, which come every second."""
GROUPS_DEPTH = 20_000
"""Offsets of a changelog that are looked at for its groups of promises, which are stored when the book changes: further
back they are as the book says."""
CHECKPOINT_PREFIX = checkpoint_key(0)[:-1]


class SourcesObserver(KafkaObserver):
    """Looks at one ingest and one detect application in facts mode."""

    def __init__(self, settings: StatusSettings, book: Book) -> None:
        """Look at what an ingest and a worker with these settings and this book would work on."""
        super().__init__(settings, book)
        self._facts = settings.facts_topic
        self._newest = Vector(book.digest)
        self._heard: set[str] = set()
        self._said = Newest(self._facts, self._hear, VECTORS_DEPTH)
        self._checkpoints = Newest(self._changelog, self._read_checkpoint)
        self._vectors = Newest(self._changelog, self._read_vector)
        self._groups = Newest(self._changelog, self._read_groups, GROUPS_DEPTH)
        topics = [self._facts, *(source.topic for source in book.sources.values())]
        self._dead_letters = {topic: Counting(dlq(topic), LETTERS_DEPTH) for topic in topics}

    async def look(self, *, count_promises: bool = False) -> SourcesStatus:
        """Where everything stands now. Raises StateError for what is stored in a form that this version cannot read.

        `count_promises`: read the whole changelog for what is running.
        """
        self._refused = []
        now_ms, settings, book = self._clock.now_ms(), self._settings, self._book
        sources = {source.topic: source for source in book.sources.values()}
        letters = [dlq(topic) for topic in sources]
        own = [self._facts, dlq(self._facts), self._changelog, BREACHES, OUTCOMES]
        counts = await self._partition_counts([*sources, *letters, *own, texts_changelog(settings.ingest_app_id)])
        # Ends are asked last: what is processed meanwhile must not look as if the log were shorter.
        ingest = await self._allowed("the ingest's group", self._group(settings.ingest_app_id, list(sources)))
        workers = await self._allowed("the workers' group", self._group(settings.app_id, [self._facts]))
        stored = await self._stored(counts)
        found = [
            await self._source(source, counts, None if ingest is None else ingest[topic], now_ms)
            for topic, source in sources.items()
        ]
        group = None if workers is None else workers[self._facts]
        partitions = await self._partitions(stored, counts, found, group, now_ms)
        running = await self._running(stored) if count_promises else {}
        expected = counts[self._facts]
        differing = [f"{topic} has {counts[topic]}" for topic in own if counts[topic] not in {0, expected}]
        worked = {f"{self._facts}/{each.partition}": each.book for each in partitions}
        worked |= {each.name: each.book for source in found for each in source.partitions}
        return SourcesStatus(
            at=now_ms,
            app_id=settings.app_id,
            ingest_app_id=settings.ingest_app_id,
            book_path=book.path,
            book_digest=book.digest,
            facts=self._facts,
            sources=tuple(found),
            groups=group_statuses(stored.values()),
            partitions=tuple(replace(each, running=running.get(each.partition)) for each in partitions),
            group=group,
            ingest=ingest,
            missing=tuple(topic for topic, count in counts.items() if not count),
            differing=tuple(differing) if expected else (),
            forbidden=bool(self._refused),
            notes=(*self._refused, *other_books(worked, book.digest)),
        )

    async def _group(self, group: str, topics: list[str]) -> dict[str, MembersOf] | None:
        return await read_group_topics(self._client, group, topics)

    async def _stored(self, counts: Mapping[str, int]) -> dict[int, Stored]:
        """What each facts partition's worker has stored, and what the newest vectors say besides."""
        expected = counts[self._facts]
        also = min(counts[self._changelog], expected)
        checkpoints = await self._of(also, self._checkpoints.look)
        vectors = await self._of(also, self._vectors.look)
        groups = await self._of(also, self._groups.look)
        await self._of(min(1, expected), self._said.look)  # all of them go to every partition
        own = source_groups(self._book)
        found = {}
        for partition in range(expected):
            known = vectors.get(partition)
            vector = None
            if known is not None and known[1].book == self._book.digest:
                vector = Vector(self._book.digest, known[0])
                self._newest.take(self._as_marker(known[1]))
            at = groups.get(partition)
            of_promises = own if at is None else group_promises(self._book, NO_EDITIONS, at).groups
            found[partition] = Stored(checkpoints.get(partition), vector, of_promises)
        return found

    async def _source(
        self, source: Source, counts: Mapping[str, int], group: MembersOf | None, now_ms: int
    ) -> SourceStatus:
        count = counts[source.topic]
        logs = await self._logs(source.topic, count)
        letters = await self._letters(self._dead_letters[source.topic], min(counts[dlq(source.topic)], count))
        found = []
        for partition, log in logs.items():
            position = None if group is None else self._position(group, source, partition)
            status = source_partition_status(source, partition, log, group, position, self._newest, now_ms)
            found.append(replace(status, dead_letters=letters.get(partition)))
        return SourceStatus(source, tuple(found))

    def _position(self, group: MembersOf, source: Source, partition: int) -> SourcePosition | None:
        where = f"group {self._settings.ingest_app_id}, {source.topic}/{partition}"
        return decode_position(group.metadata.get(partition, ""), where)

    async def _partitions(
        self,
        stored: Mapping[int, Stored],
        counts: Mapping[str, int],
        sources: list[SourceStatus],
        group: MembersOf | None,
        now_ms: int,
    ) -> list[FactsPartitionStatus]:
        expected = counts[self._facts]
        logs = await self._logs(self._facts, expected)
        breaches = await self._optional("the last breach", min(counts[BREACHES], expected), self._breaches.look)
        letters = await self._letters(self._dead_letters[self._facts], min(counts[dlq(self._facts)], expected))
        named: dict[str, SourcePartitionStatus] = {each.name: each for one in sources for each in one.partitions}
        return [
            replace(
                facts_partition_status(partition, log, stored[partition], group, self._newest, named, now_ms),
                last_breach=breaches.get(partition),
                dead_letters=letters.get(partition),
            )
            for partition, log in logs.items()
        ]

    async def _running(self, stored: Mapping[int, Stored]) -> dict[int, Running]:
        """What is kept in the partitions, one after the other."""
        found = {}
        for partition, one in stored.items():
            if one.checkpoint is None:
                continue
            where = f"{self._changelog}/{partition}"
            subjects, promises = set[bytes](), Counter[str]()
            async with self._restored(partition) as store:
                kept = store.reader(partition)(GROUPS_KEY)
                groups = one.groups if kept is None else self._grouped(decode_groups(kept, where))
                for group in groups:
                    checkpoint = store.reader(partition)(checkpoint_key(group.index))
                    if checkpoint is None:
                        continue
                    records = _noted(store.scan(partition, record_prefix(group.index)), group, subjects)
                    _, of_group = count_running(records, decode_checkpoint(checkpoint, where), where)
                    promises.update({name: count for name, count in of_group.items() if name not in group.silent})
            found[partition] = Running(len(subjects), promises)
        return found

    def _grouped(self, stored: StoredGroups) -> tuple[Group, ...]:
        return group_promises(self._book, NO_EDITIONS, stored).groups

    def _hear(self, record: Any) -> VectorMarker | None:
        """Take over what a vector says; those of other books, and what cannot be read, say nothing."""
        try:
            marker = None if record.value else read_vector(record.value, record.headers)
        except EventError:  # the worker puts it into its dead letters
            return None
        if marker is not None and self._newest.take(marker):
            self._heard.update(marker.marks)
        return marker

    def _as_marker(self, stored: StoredVector) -> VectorMarker:
        """What a worker has heard, as one vector. Doubt is as we have heard ourselves, where we have: that is newer."""
        marks = {
            name: SourceMark(mark.frontier, mark.floor, KNOWN_NEVER if mark.known_since is None else mark.known_since)
            for name, mark in stored.marks.items()
        }
        unheard = {name: hold for name, hold in stored.holds.items() if name not in self._heard}
        holds = {name: hold for name, hold in self._newest.holds.items() if name in self._heard}
        return VectorMarker(
            VECTOR_FORMAT, stored.book, self._settings.app_id, stored.counts, marks, {**unheard, **holds}
        )

    def _read_checkpoint(self, record: Any) -> Checkpoint | None:
        if record.key is None or not record.key.startswith(CHECKPOINT_PREFIX) or record.value is None:
            return None
        return decode_checkpoint(record.value, self._where(record))

    def _read_vector(self, record: Any) -> tuple[bytes, StoredVector] | None:
        if record.key != VECTOR_KEY or record.value is None:
            return None
        return record.value, decode_stored_vector(record.value, self._where(record))

    def _read_groups(self, record: Any) -> StoredGroups | None:
        if record.key != GROUPS_KEY or record.value is None:
            return None
        return decode_groups(record.value, self._where(record))

    def _where(self, record: Any) -> str:
        return f"{self._changelog}/{record.partition}"


def _noted(records: Iterable[tuple[bytes, bytes]], group: Group, subjects: set[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """The records of a group, by the subject as stored, which is noted among `subjects`: several groups may have it."""
    prefix = len(record_prefix(group.index))
    for key, value in records:
        subjects.add(key[prefix:])
        yield key[prefix:], value
