"""The ingest agent: events of any number of sources in, facts on the facts topic out, and vectors behind them.

Ingest is at least once and needs no transactions: facts are a set, so one that is sent twice changes nothing, and a
vector stays true whoever sent it. A position is the group's offset; everything below it is acknowledged.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import mode
import structlog
from aiokafka.errors import KafkaError
from faust.types import TP

from agents.figures import Held
from agents.mapping import SourceMapper
from agents.origins import Found, Origin, origin_of
from agents.sourcepartition import Shared, SourcePartition
from agents.textmemory import TextMemory
from agents.vectoring import VectorSender
from schemas import metrics
from schemas.book_model import Book, Source
from schemas.editions import SHORT_DIGITS
from schemas.errors import SettingsError, TopicsError
from schemas.groups import awaited_sources
from schemas.sourcepositions import POSITION_FORMAT, SourcePosition, decode_position
from schemas.topics import dlq, texts_changelog
from streams.app import BatchApp, StreamSettings, build_sources_app
from streams.failure import end_process
from streams.listening import Listening
from streams.partitions import Committed
from streams.sharedproducer import SharedProducer
from streams.topicwatch import TopicWatch

log = structlog.get_logger("promisewatch.ingest")

BEATS_AN_INTERVAL = 2
"""Marks are taken so often between two vectors: one taken while events come is passed by the time of the vector."""


@dataclass(frozen=True)
class IngestPlan:
    """What an ingest process needs besides the book: the topic that `facts` go to, the seconds between two vectors, the
    name of their `sender`, and how many `partitions` each topic that it reads or writes had at start.
    """

    facts: str
    marker_interval: float
    sender: str
    partitions: Mapping[str, int]


def source_topics(book: Book, facts: str) -> dict[str, str]:
    """The topic of each source. Raises SettingsError if two sources share one, or one is the `facts` topic."""
    topics: dict[str, str] = {}
    for name, source in book.sources.items():
        other = next((known for known, topic in topics.items() if topic == source.topic), None)
        if other is not None:
            raise SettingsError(
                f"{book.path}: sources {other!r} and {name!r} are on one topic, {source.topic}; expected a topic each"
            )
        if source.topic == facts:
            raise SettingsError(f"{book.path}: source {name!r} is on {facts}, the topic that facts are put on")
        topics[name] = source.topic
    return topics


def waiting(book: Book) -> dict[str, list[str]]:
    """The ids of the promises that wait for each source."""
    found: dict[str, list[str]] = {name: [] for name in book.sources}
    for promise in book.promises:
        for source in awaited_sources(book, [promise]):
            if promise.id not in found[source]:
                found[source].append(promise.id)
    return found


class Ingest:
    """What one process does with the source partitions that it owns."""

    def __init__(
        self, book: Book, plan: IngestPlan, settings: StreamSettings, started: int, producer: SharedProducer
    ) -> None:
        """Work for `book` as a process that was started at an instant of the settings' clock (UTC ms)."""
        self._book = book
        self._plan = plan
        self._settings = settings
        self._started = started
        self._topics = source_topics(book, plan.facts)
        self._sources: dict[str, Source] = {source.topic: source for source in book.sources.values()}
        self._producer = producer
        count = plan.partitions[plan.facts]
        self.vectors = VectorSender(producer, plan.facts, count, book.digest, plan.sender)
        letters = {topic: plan.partitions[topic] for topic in map(dlq, self._sources)}
        self._shared = Shared(producer, self.vectors, plan.facts, letters, book.defaults.skew_ms)
        self._memory: TextMemory | None = None
        self._mapped: Book | None = None
        self._mappers: dict[str, SourceMapper] = {}
        self._prepared = -1
        self._listening = Listening(book.sources.values(), real_time=settings.clock.factor == 1)
        self._next_vector = 0.0
        self._held = Held()
        self._waiting = waiting(book)

    # -- opening -----------------------------------------------------------------------------------------------------

    async def open_source(self, app: BatchApp, tp: TP, committed: Committed | None) -> SourcePartition:
        """Take over a source partition. Raises StateError if its log is not the one that the group has read."""
        memory = await self._prepare(app)
        source = self._sources[tp.topic]
        identities = await app.offsets.identify(tp.topic, self._plan.facts)
        ids = {topic: identity.topic_id for topic, identity in identities.items()}
        topic_id, facts_id = ids.get(tp.topic), ids.get(self._plan.facts)
        where = f"group {self._settings.app_id}, {tp.topic}/{tp.partition}"
        found = Found(
            topic=tp.topic,
            partition=tp.partition,
            beginning=(await app.offsets.beginnings_of([tp]))[tp],
            end=(await app.offsets.ends_of([tp]))[tp],
            topic_id=topic_id,
            facts=self._plan.facts,
            facts_id=facts_id,
            facts_partitions=self._plan.partitions[self._plan.facts],
            worked_ids=memory.worked(tp.topic),
            offset=None if committed is None else committed.offset,
            position=None if committed is None else decode_position(committed.metadata, where),
        )
        origin = origin_of(found, self._book.digest, self._started)
        if topic_id is not None:
            await memory.work(tp.topic, topic_id)
            for service in app.services:
                if isinstance(service, TopicWatch):
                    service.expect(tp.topic, topic_id)
        self._tell(tp, origin, new=found.position is None)
        before = found.position
        position = SourcePosition(
            format=POSITION_FORMAT,
            book=self._book.digest,
            at=origin.at,
            topic=before.topic if before is not None and topic_id is None else topic_id,
            facts=before.facts if before is not None and facts_id is None else facts_id,
            partitions=found.facts_partitions,
        )
        kept = committed.metadata if committed is not None else ""
        return SourcePartition(app, tp, source, self._mappers[source.name], self._shared, origin, position, kept)

    async def _prepare(self, app: BatchApp) -> TextMemory:
        """Make ready, once whenever partitions are handed out, what all of them need: how events are mapped.

        Books that others have begun to use since are in it: whoever works a partition next takes for granted that what
        its own book looks at has been sent.
        """
        if self._memory is None:
            topic = texts_changelog(self._settings.app_id)
            self._memory = TextMemory(self._settings.client, app.offsets, self._producer, topic)
            self.vectors.counts = {name: self._plan.partitions[topic] for name, topic in self._topics.items()}
        if self._prepared != app.partitions.openings:
            union = await self._memory.union(self._book)
            if self._mapped is None or union.promises != self._mapped.promises:
                self._mapped = union
                partitions = self._plan.partitions[self._plan.facts]
                self._mappers = {name: SourceMapper(union, name, partitions) for name in self._book.sources}
            self._prepared = app.partitions.openings
        return self._memory

    def _tell(self, tp: TP, origin: Origin, *, new: bool) -> None:
        where = {"topic": tp.topic, "partition": tp.partition, "next_offset": origin.next_offset}
        log.info("source partition opened", **where, new=new, outdated=origin.outdated)
        ours = self._book.digest
        if origin.outdated:
            log.warning(
                "source partition is left alone: a process that was started later works it with another book",
                **where,
                book=ours[:SHORT_DIGITS],
                other_book=(origin.last_book or "")[:SHORT_DIGITS],
                meaning="what waits for it is not judged until one of the two is gone",
            )
        elif origin.last_book not in {None, ours}:
            log.warning(
                "source partition was last worked with another book",
                **where,
                book=ours[:SHORT_DIGITS],
                last_book=(origin.last_book or "")[:SHORT_DIGITS],
            )
        if origin.expired:
            metrics.EXPIRED.labels(topic=tp.topic).inc(origin.expired)
            log.error(
                "records expired unread",
                **where,
                records=origin.expired,
                meaning="what they said is not known: promises that waited for it are held, and listed, but not broken",
            )

    # -- time --------------------------------------------------------------------------------------------------------

    async def beat(self, app: BatchApp) -> None:
        """Move the frontiers, and send a vector when it is time for one.

        The clock and the sources' own markers are read before the partitions are counted and the ends are asked: what
        belongs before a mark then lies in what was counted, and below its end.
        """
        clock_ms = app.clock.now_ms()
        partitions = self._open(app)
        told = {tp: one.complete() for tp, one in partitions.items()}
        counts = await app.offsets.partition_counts([*self._topics.values(), self._plan.facts])
        ends = await app.offsets.ends_of(partitions)
        if not self._count(counts):
            return  # the frontier stands still, and streams/topicwatch.py sees to the rest
        await self._listening.listen(clock_ms, counts, app.offsets)
        for tp, one in self._open(app).items():
            if partitions.get(tp) is one:
                one.look(clock_ms, ends[tp], told[tp], self._listening.hold(tp.topic, clock_ms))
        self._measure(app, clock_ms)
        now = time.monotonic()
        if now >= self._next_vector:
            self._next_vector = now + self._plan.marker_interval
            await self._send()

    def _count(self, counts: Mapping[str, int]) -> bool:
        """Take over how many partitions sources have; whether all are known. Raises TopicsError if subjects moved."""
        expected, found = self._plan.partitions[self._plan.facts], counts.get(self._plan.facts, 0)
        if found and found != expected:
            raise TopicsError(
                f"{self._plan.facts} has {found} partitions now, and had {expected} at start: subjects would be in two "
                "places; 'promisewatch topics check' says what to do"
            )
        of_sources = {name: counts.get(topic, 0) for name, topic in self._topics.items()}
        if not found or not all(of_sources.values()):
            return False
        self.vectors.counts = of_sources
        return True

    async def _send(self) -> None:
        try:
            await self.vectors.send()
        except KafkaError as error:  # refused for good, or the producer has failed: nothing more would ever be sent
            end_process("sending a vector", error)
            raise

    def _measure(self, app: BatchApp, clock_ms: int) -> None:
        oldest: dict[str, int] = {}
        for one in self._open(app).values():
            if one.frontier is not None:
                oldest[one.source.name] = min(one.frontier, oldest.get(one.source.name, one.frontier))
        for source, frontier in oldest.items():
            metrics.SOURCE_FRONTIER_LAG.labels(source=source).set((clock_ms - frontier) / 1_000)
        holds = [(one.source.name, one.hold()) for one in self._open(app).values()]
        self._held.tell(clock_ms, [(source, hold) for source, hold in holds if hold is not None], self._waiting)

    def _open(self, app: BatchApp) -> dict[TP, SourcePartition]:
        lanes = app.partitions.lanes
        return {tp: lane.handler for tp, lane in lanes.items() if isinstance(lane.handler, SourcePartition)}


class Ingesting(mode.Service):
    """The connection on which everything is written, there before the first partition and gone after the last, and what
    is done with the partitions meanwhile.
    """

    mundane_level = "debug"

    def __init__(self, book: Book, plan: IngestPlan, settings: StreamSettings) -> None:
        """Begin as a process that is started now."""
        super().__init__()
        self._book = book
        self._plan = plan
        self._settings = settings
        self._begun_at = settings.clock.now_ms()
        self._producer: SharedProducer | None = None
        self._ingest: Ingest | None = None

    async def on_first_start(self) -> None:
        """Connect."""
        settings = self._settings
        self._producer = SharedProducer(settings.client, ack_timeout=settings.ack_timeout)
        await self._producer.start()
        self._ingest = Ingest(self._book, self._plan, settings, self._begun_at, self._producer)

    async def on_stop(self) -> None:
        """Disconnect."""
        if self._producer is not None:
            await self._producer.stop()

    async def open_source(self, app: BatchApp, tp: TP, committed: Committed | None) -> SourcePartition:
        """Take over a source partition."""
        return await self._ready.open_source(app, tp, committed)

    async def beat(self, app: BatchApp) -> None:
        """Look at the time."""
        await self._ready.beat(app)

    @property
    def _ready(self) -> Ingest:
        if self._ingest is None:
            raise RuntimeError("an ingest is used before it is started")
        return self._ingest


def build_ingest(book: Book, settings: StreamSettings, plan: IngestPlan) -> BatchApp:
    """Wire the ingest agent: one app, reading the topics of all sources. Raises SettingsError as `source_topics`."""
    paced = replace(settings, tick_interval=plan.marker_interval / BEATS_AN_INTERVAL)
    topics = {topic: plan.partitions[topic] for topic in source_topics(book, plan.facts).values()}
    written = {name: plan.partitions[name] for name in (plan.facts, texts_changelog(settings.app_id))}
    ingesting = Ingesting(book, plan, paced)
    app = build_sources_app(paced, topics, ingesting.open_source, ingesting.beat, written)
    app.services.insert(0, ingesting)
    return app
