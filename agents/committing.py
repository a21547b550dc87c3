"""What a detect partition does in direct mode and in facts mode alike.

What the core says is written slice by slice, each in one transaction with the checkpoint, and what cannot be used goes
to the dead letters. What is read, and what moves the frontier, is each mode's own (`detect.py`, `detect_facts.py`).
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import structlog

from agents.deadletters import DeadLetters
from promises.migrating import Fate
from schemas import metrics
from schemas.encoding import encode_event, encode_outcome
from schemas.errors import EventError
from schemas.instants import MINUTE_MS
from schemas.migrations import Migration
from schemas.publications import EVENT_HEADERS, Mode, Publication
from schemas.topics import BREACHES, OUTCOMES, dlq
from streams.app import BatchApp
from streams.emit import Outgoing, PartitionProducer

log_name = "promisewatch.detect"
log = structlog.get_logger(log_name)

SLICE_RECORDS = 5_000
"""A transaction holds at most about this many published events and changed records."""
LOOK_EVERY = 64
"""Records processed between two looks at whether a slice is full."""
YIELD_EVERY = 500
"""Records processed before other lanes and the heartbeat get a turn."""
CHECKPOINT_EVERY = 50_000
"""Offsets that may pass without anything worth storing before the position is stored all the same."""
CHECKPOINT_AFTER_MS = 10 * MINUTE_MS
"""And time: what lies between would count as unread if it expired before the next start."""


class Core(Protocol):
    """What is asked of the pure core, be it one detector or several."""

    @property
    def pending(self) -> int:
        """How much would be handed out: published events and changed records."""
        ...

    @property
    def timers(self) -> int:
        """Entries on all heaps."""
        ...

    def set_next_offset(self, offset: int) -> None:
        """Everything below `offset` has been processed."""
        ...

    def count(self, reason: str) -> None:
        """Count something the shell noticed."""
        ...

    def mode(self, publication: Publication) -> Mode:
        """Whether a publication is about now or about history that was read again."""
        ...

    def fire_due(self, limit: int) -> bool:
        """Do what the timers owe, at most `limit` subjects of it; whether some is left."""
        ...


AnyCore = TypeVar("AnyCore", bound=Core)


class Taken(NamedTuple):
    """Everything since the last commit; `changes` are those of the changelog, checkpoints included."""

    publications: list[Publication]
    changes: list[Outgoing]
    counted: Counter[str]


class CommittingPartition(ABC, Generic[AnyCore]):
    """One owned partition of the topic that a worker reads."""

    def __init__(
        self,
        app: BatchApp,
        partition: int,
        producer: PartitionProducer,
        core: AnyCore,
        topic: str,
        next_offset: int,
        owed: Iterable[Outgoing],
    ) -> None:
        """Go on at `next_offset`. `owed` is stored with the first commit, which waits for nothing."""
        self._app = app
        self._partition = partition
        self._producer = producer
        self._core = core
        self._topic = topic
        self._owed = list(owed)
        self._next_offset = next_offset
        self._stored_offset = next_offset
        self._stored_at = app.clock.now_ms()
        self._letters = DeadLetters(log_name)
        self.closed = False

    @property
    def core(self) -> AnyCore:
        """The pure core, which is ahead of what has been committed while a batch is in hand."""
        return self._core

    @property
    def next_offset(self) -> int:
        """The next offset to read."""
        return self._next_offset

    @property
    def _slice_is_full(self) -> bool:
        return self._core.pending + len(self._letters) >= SLICE_RECORDS or self._letters.are_full

    @abstractmethod
    def _take_in(self, records: Sequence[Any], begin: int, end: int, now: int) -> tuple[int, EventError | None]:
        """Have the core process `records[begin:end]` up to one that is not for it: its index, and why, or None if it
        has no value.
        """

    @abstractmethod
    async def _control(self, record: Any, now: int) -> None:
        """Do what a record without a value asks for. Raises EventError if nothing can be made of it."""

    @abstractmethod
    def _take(self) -> Taken:
        """Take from the core what has to be written."""

    @abstractmethod
    def _settle_ms(self, publication: Publication) -> int:
        """For how long the breach that a publication tells of was waited for on purpose."""

    async def process(self, records: Sequence[Any], next_offset: int) -> None:
        """Process a batch: facts, markers and what cannot be used, in offset order."""
        now = self._app.clock.now_ms()
        begin, looked, count = 0, 0, len(records)
        while begin < count:
            begin, error = self._take_in(records, begin, end := min(begin + LOOK_EVERY, count), now)
            if begin < end:
                try:
                    if error is not None:
                        raise error
                    await self._control(records[begin], now)
                except EventError as unusable:
                    self._dead_letter(records[begin], unusable)
                begin += 1
            if self._slice_is_full:
                await self._commit(records[begin - 1].offset + 1)
            if begin - looked >= YIELD_EVERY:
                looked = begin
                await asyncio.sleep(0)
        await self._commit(next_offset)
        metrics.RECORDS.labels(topic=self._topic).inc(count)

    async def _migrate(self, record: Any, asked: Migration, moves: Iterable[list[Fate]]) -> None:
        """Move running promises to another version, slice by slice: each of `moves` does so for one subject. After a
        crash in between it is done once more: what has moved stays where it is.
        """
        fates: Counter[str] = Counter()
        for done, moved in enumerate(moves):
            fates.update(fate.reason for fate in moved)
            if self._core.pending >= SLICE_RECORDS:
                await self._commit(record.offset)
            if done % YIELD_EVERY == 0:
                await asyncio.sleep(0)
        for reason, count in fates.items():
            metrics.MIGRATED.labels(promise=asked.promise, outcome=reason).inc(count)
        log.info(
            "promises migrated",
            promise=asked.promise,
            version=asked.to,
            partition=self._partition,
            offset=record.offset,
            **fates,
        )

    def _dead_letter(self, record: Any, error: EventError) -> None:
        self._letters.add(record, error)

    async def _drain(self, next_offset: int) -> None:
        """Publish everything whose fire time the frontier has passed, slice by slice."""
        while True:
            more = self._core.fire_due(SLICE_RECORDS)
            if self._core.pending:
                await self._commit(next_offset)
            if not more:
                return
            await asyncio.sleep(0)

    async def _commit(self, next_offset: int) -> None:
        """Write everything since the last commit as one transaction, then bring the local store up to it."""
        if self._is_idle() and not self._is_behind(next_offset):
            self._next_offset = next_offset
            return
        self._core.set_next_offset(next_offset)
        taken = self._take()
        now = self._app.clock.now_ms()
        breaches: list[Outgoing] = []
        outcomes: list[Outgoing] = []
        for publication in taken.publications:
            key, mode = publication.subject.encode(), self._core.mode(publication)
            if publication.kind != "outcome":
                breaches.append(Outgoing(key, encode_event(publication, now, mode), EVENT_HEADERS))
            if publication.kind != "at_risk":
                outcomes.append(Outgoing(key, encode_outcome(publication, now, mode), EVENT_HEADERS))
        changes = [*self._owed, *taken.changes]
        offset = await self._producer.write(
            {BREACHES: breaches, OUTCOMES: outcomes, dlq(self._topic): self._letters.records},
            self._app.settings.changelog,
            changes,
        )
        if offset is None:
            raise RuntimeError("a checkpoint was written but no offset came back")
        self._app.remember(self._partition, changes, offset)
        self._next_offset = self._stored_offset = next_offset
        self._stored_at = now
        self._owed = []
        self._letters.written(self._topic)
        self._measure(taken, now)

    def _is_idle(self) -> bool:
        """Whether nothing has happened that is worth a transaction."""
        return not self._core.pending and not self._letters and not self._owed

    def _is_behind(self, next_offset: int) -> bool:
        """Whether a position is worth a transaction, being so far from the one that is stored."""
        passed = next_offset - self._stored_offset
        is_late = self._app.clock.now_ms() - self._stored_at >= CHECKPOINT_AFTER_MS
        return passed >= CHECKPOINT_EVERY or (passed > 0 and is_late)

    def _measure(self, taken: Taken, now: int) -> None:
        for outcome, count in taken.counted.items():
            metrics.EVENTS.labels(topic=self._topic, outcome=outcome).inc(count)
        self._measure_publications(taken.publications, now)

    def _measure_publications(self, publications: Sequence[Publication], now: int) -> None:
        statuses: Counter[tuple[str, str]] = Counter()
        breaches: dict[tuple[str, str], list[Publication]] = {}
        for publication in publications:
            if publication.kind != "at_risk":
                statuses[publication.promise, publication.status] += 1
            if publication.kind == "breached":
                breaches.setdefault((publication.promise, publication.severity), []).append(publication)
        for (promise, status), count in statuses.items():
            metrics.OUTCOMES.labels(promise=promise, status=status).inc(count)
        talkative = logging.getLogger(log_name).isEnabledFor(logging.DEBUG)
        for (promise, severity), published in breaches.items():
            # An exemplar of OpenMetrics: the way from a graph to an event. One a batch will do.
            example: dict[str, str] | None = {"event_id": published[-1].id}
            metrics.BREACHES.labels(promise=promise, severity=severity).inc(len(published), exemplar=example)
            for publication in published:
                if publication.breached_at is not None and self._core.mode(publication) == "live":
                    delay_ms = now - publication.breached_at - self._settle_ms(publication)
                    metrics.DETECTION_DELAY.observe(max(0, delay_ms) / 1_000, exemplar=example)
                    example = None
                if talkative:
                    log.debug(
                        "breach published",
                        promise=publication.promise,
                        subject=publication.subject,
                        event_id=publication.id,
                        partition=self._partition,
                    )

    def hurry(self) -> None:
        """Go on: a batch takes milliseconds."""

    async def close(self) -> None:
        """Let go of the partition."""
        self.closed = True
        await self._producer.stop()
