"""The detect agent in facts mode: facts that an ingest made of any number of sources, and what it vouches for.

One `FactsPartition` an owned partition of the facts topic. Vectors stand in the log behind the facts that they vouch
for: each moves the frontier of every group of promises as far as its sources are complete.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agents.committing import CommittingPartition, Taken, log
from agents.figures import Figures, Known
from agents.takeover import DetectSettings
from agents.takeover_facts import Adoption, FactsCores, settles, take_over_facts
from promises.grouped import GroupedDetector, Refused
from promises.vector import Vector
from schemas import metrics
from schemas.book_model import Book
from schemas.editions import SHORT_DIGITS
from schemas.errors import EventError
from schemas.factrecords import encode_fact
from schemas.migrations import read_migration
from schemas.publications import Publication
from schemas.records import encode_checkpoint
from schemas.vectors import VECTOR_KEY, read_vector
from streams.app import BatchApp, StreamSettings, build_app
from streams.emit import Outgoing, PartitionProducer

VECTOR_EVERY_MS = 1_000
"""A vector alone, which proves nothing new, is stored no more often than this."""


class PutAside:
    """What a dead letter is made of where the record is long past: a fact that had been put aside."""

    def __init__(self, refused: Refused, topic: str, partition: int, offset: int) -> None:
        """Name the place up to which had been read when it was judged."""
        self.topic, self.partition, self.offset, self.timestamp = topic, partition, offset, refused.fact.time
        self.key, self.value = refused.stored_as, encode_fact(refused.fact)
        self.headers: tuple[tuple[str, bytes], ...] = ()


class FactsPartition(CommittingPartition[GroupedDetector]):
    """One owned partition of the facts topic."""

    def __init__(
        self,
        app: BatchApp,
        partition: int,
        producer: PartitionProducer,
        core: GroupedDetector,
        vector: Vector,
        topic: str,
        settle_ms: Mapping[str, int],
        adoption: Adoption | None = None,
        owed: Iterable[Outgoing] = (),
    ) -> None:
        """Take over a partition whose state is restored and whose earlier producers are fenced.

        `settle_ms` by promise; `adoption` is what is left to do once every source is mapped with the book; `owed` is
        stored with the first commit.
        """
        super().__init__(app, partition, producer, core, topic, core.next_offset, owed)
        self.vector = vector
        self._settles = settle_ms
        self._adoption = adoption
        self._vector_moved = False
        self._vector_stored_at = 0
        self._told_of: str | None = None
        self._resumed = False

    @property
    def core(self) -> GroupedDetector:
        """What judges."""
        return self._core

    def _take_in(self, records: Sequence[Any], begin: int, end: int, now: int) -> tuple[int, EventError | None]:  # noqa: ARG002 -- what is dated in the future never gets here
        return self._core.take_in(records, begin, end)

    async def _control(self, record: Any, now: int) -> None:
        core = self._core
        migration = read_migration(record.headers)
        if migration is not None:
            migrating = core.migrating(migration)
            await self._migrate(record, migration, (core.migrate(one, migrating) for one in core.subjects()))
            return
        marker = read_vector(record.value, record.headers)
        if marker is None:
            raise EventError("empty", "a record without a value and without a vector")
        if not self.vector.take(marker):
            metrics.VECTORS_IGNORED.inc()
            self._tell_of_another(marker.book)
            return
        self._vector_moved = True
        await self._go_on(record.offset, now)

    async def tick(self) -> None:
        """Publish what is proved and left over from before a restart, and store what the vectors said."""
        if self.closed:
            return
        if not self._resumed:
            self._resumed = True
            await self._go_on(self._next_offset, self._app.clock.now_ms())
        await self._commit(self._next_offset)

    async def _go_on(self, next_offset: int, now: int) -> None:
        """Publish what the vector proves of everything below `next_offset`."""
        adoption = self._adoption
        if adoption is not None and adoption.is_complete(self.vector):
            if self._core.pending:  # what came so far was judged by the texts as they stood
                await self._commit(next_offset)
            self._adoption = None
            self._owed += adoption.adopt(self._core, now)
            await self._commit(next_offset)
        self._core.advance(self.vector)
        await self._drain(next_offset)

    def _take(self) -> Taken:
        batch = self._core.take()
        for refused in batch.refused:
            aside = PutAside(refused, self._topic, self._partition, self._core.next_offset - 1)
            self._dead_letter(aside, refused.error)
        changes = [Outgoing(key, value) for key, value in batch.changes.items()]
        if self._vector_moved:
            changes.append(Outgoing(VECTOR_KEY, self.vector.stored()))
            self._vector_moved = False
            self._vector_stored_at = self._app.clock.now_ms()
        changes += [Outgoing(key, encode_checkpoint(one)) for key, one in batch.checkpoints.items()]
        return Taken(batch.publications, changes, batch.counted)

    def _is_idle(self) -> bool:
        if not super()._is_idle():
            return False
        return not self._vector_moved or self._app.clock.now_ms() - self._vector_stored_at < VECTOR_EVERY_MS

    def _settle_ms(self, publication: Publication) -> int:
        return self._settles.get(publication.promise, 0)

    def _tell_of_another(self, book: str) -> None:
        """Say once that somebody maps facts with another book: nothing is proved by what that says."""
        if book == self._told_of:
            return
        self._told_of = book
        log.warning(
            "vector of another book",
            partition=self._partition,
            book=self.vector.book[:SHORT_DIGITS],
            other_book=book[:SHORT_DIGITS],
            meaning="an ingest process maps facts with another book; what waits for its sources is not judged until "
            "they are mapped with this worker's",
        )


def build_facts_detector(book: Book, settings: StreamSettings, detect: DetectSettings) -> BatchApp:
    """Wire the detect agent: one app, reading the facts topic."""
    cores = FactsCores(book)
    figures = Figures(book)

    async def open_partition(app: BatchApp, partition: int, producer: PartitionProducer) -> FactsPartition:
        core, vector, adoption, owed = await take_over_facts(app, book, cores, detect, settings.topic, partition)
        settle_ms = settles(book, [judged.group for judged in core.groups])
        return FactsPartition(app, partition, producer, core, vector, settings.topic, settle_ms, adoption, owed)

    async def beat(app: BatchApp) -> None:
        await app.partitions.tick()
        figures.look(app.clock.now_ms(), _known(app))

    return build_app(settings, open_partition, beat)


def _known(app: BatchApp) -> dict[int, Known]:
    """What each open partition knows."""
    handlers = {partition: lane.handler for partition, lane in app.partitions.of_topic(app.settings.topic).items()}
    return {
        partition: Known(handler.core, handler.vector)
        for partition, handler in handlers.items()
        if isinstance(handler, FactsPartition)
    }
