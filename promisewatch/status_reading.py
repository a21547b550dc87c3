"""Asks Kafka what `promisewatch status` shows of a worker that reads its source itself. Reads only."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agents.doubting import DOUBT_KEY
from promises.partition import CHECKPOINT_KEY
from promisewatch.direct import direct_source
from promisewatch.settings.commands import StatusSettings
from promisewatch.status_observing import LETTERS_DEPTH, KafkaObserver, count_running, other_books
from promisewatch.statuses import PartitionStatus, Running, Status, partition_status
from schemas.book_model import Book
from schemas.records import Checkpoint, decode_checkpoint
from schemas.topics import BREACHES, OUTCOMES, dlq
from schemas.vectors import Hold
from streams.doubt import SILENT, Doubt
from streams.observing import Counting, Group, Newest, read_group

DOUBT_DEPTH = 5_000
"""Offsets of a changelog that are looked at for doubt, which is stored with every event that makes it."""
SOUND_DEPTH = 8
"""Offsets of the source that are looked at for the newest record."""
RESERVED = b"\x00"
"""What keys of the changelog begin with that are no subjects."""


class Observer(KafkaObserver):
    """Looks at one detect application in direct mode."""

    def __init__(self, settings: StatusSettings, book: Book) -> None:
        """Look at what a worker with these settings and this book would work on. Raises SettingsError for the book."""
        super().__init__(settings, book)
        self._source = direct_source(book)
        self._checkpoints = Newest(self._changelog, self._read_checkpoint)
        self._doubts = Newest(self._changelog, self._read_doubt, DOUBT_DEPTH)
        self._sounds = Newest(self._source.topic, lambda record: int(record.timestamp), SOUND_DEPTH)
        self._dead_letters = Counting(dlq(self._source.topic), LETTERS_DEPTH)

    async def look(self, *, count_promises: bool = False) -> Status:
        """Where everything stands now. Raises StateError for a checkpoint that this version cannot read.

        `count_promises`: read the whole changelog for what is running.
        """
        source, self._refused = self._source, []
        now_ms = self._clock.now_ms()
        topics = [source.topic, self._changelog, BREACHES, OUTCOMES, dlq(source.topic)]
        counts = await self._partition_counts(topics)
        expected = counts[source.topic]
        also = {topic: min(count, expected) for topic, count in counts.items()}
        # Ends are asked last: what is processed meanwhile must not look as if the log were shorter.
        group = await self._allowed("the consumer group", read_group(self._client, self._settings.app_id, source.topic))
        checkpoints = await self._of(also[self._changelog], self._checkpoints.look)
        found = await self._partitions(checkpoints, also, group, now_ms)
        running = await self._running(checkpoints) if count_promises else {}
        differing = [f"{topic} has {count}" for topic, count in counts.items() if count and count != expected]
        worked = {str(each.partition): each.book for each in found}
        return Status(
            at=now_ms,
            app_id=self._settings.app_id,
            book_path=self._book.path,
            book_digest=self._book.digest,
            source=source,
            partitions=tuple(replace(each, running=running.get(each.partition)) for each in found),
            group=group,
            missing=tuple(topic for topic, count in counts.items() if not count),
            differing=tuple(differing) if expected else (),
            forbidden=bool(self._refused),
            notes=(*self._refused, *other_books(worked, self._book.digest)),
        )

    async def _partitions(
        self, checkpoints: Mapping[int, Checkpoint], counts: Mapping[str, int], group: Group | None, now_ms: int
    ) -> list[PartitionStatus]:
        """Where every partition stands. `counts`: how many partitions of each topic are those of the source too."""
        source = self._source
        doubts = await self._of(counts[self._changelog], self._doubts.look)
        silent = await self._silence(counts[source.topic], now_ms)
        logs = await self._logs(source.topic, counts[source.topic])
        breaches = await self._optional("the last breach", counts[BREACHES], self._breaches.look)
        letters = await self._letters(self._dead_letters, counts[dlq(source.topic)])
        found = []
        for partition, log in logs.items():
            doubt = Doubt(source.doubt, doubts.get(partition, "")).holds(now_ms) or silent
            status = partition_status(source, partition, log, checkpoints.get(partition), group, now_ms, doubt)
            found.append(replace(status, last_breach=breaches.get(partition), dead_letters=letters.get(partition)))
        return found

    def _read_checkpoint(self, record: Any) -> Checkpoint | None:
        if record.key != CHECKPOINT_KEY or record.value is None:
            return None
        return decode_checkpoint(record.value, f"{self._changelog}/{record.partition}")

    def _read_doubt(self, record: Any) -> str | None:
        return (record.value or b"").decode(errors="replace") if record.key == DOUBT_KEY else None

    async def _silence(self, count: int, now_ms: int) -> Hold | None:
        """Whether the source as a whole is silent, by the timestamps of its newest records."""
        if self._source.heartbeat_ms is None or self._clock.factor != 1:
            return None
        sounds = await self._of(count, self._sounds.look)
        heard = max(sounds.values(), default=None)
        silent = heard is not None and now_ms - heard > self._source.heartbeat_ms
        return Hold(SILENT, heard) if silent and heard is not None else None

    async def _running(self, checkpoints: Mapping[int, Checkpoint]) -> dict[int, Running]:
        """What is kept in the partitions, one after the other."""
        found = {}
        for partition, checkpoint in checkpoints.items():
            async with self._restored(partition) as store:
                records = ((key, value) for key, value in store.scan(partition) if not key.startswith(RESERVED))
                found[partition] = Running(*count_running(records, checkpoint, f"{self._changelog}/{partition}"))
        return found
