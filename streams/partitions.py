"""The partitions this worker owns, each with a lane of its own: batches in order, one at a time, never beside a timer.

Lanes of different partitions run side by side, so their round trips to the broker overlap. A lane takes everything
that waits as one batch: the busier the worker, the larger its transactions.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import structlog
from faust.types import TP

from schemas import metrics
from streams.failure import end_process

log = structlog.get_logger("promisewatch.partitions")


class Committed(NamedTuple):
    """A consumer group's offset of one partition: everything below it is durably processed."""

    offset: int
    metadata: str


class PartitionHandler(Protocol):
    """What is done with one partition's records. Everything is durable when a call returns."""

    async def process(self, records: Sequence[Any], next_offset: int) -> None:
        """Process records in offset order; the next one to come has `next_offset` or a higher offset."""
        ...

    async def tick(self) -> None:
        """Do what time alone asks for. Called while no record is being processed."""
        ...

    def hurry(self) -> None:
        """Come to an end soon: the partition is about to be closed, and what is not done is done by its next owner.

        `process` may then return before the end of its records, with `next_offset` saying how far it came.
        """
        ...

    async def close(self) -> None:
        """Let go of the partition."""
        ...

    @property
    def next_offset(self) -> int:
        """The next offset to read: everything below it is durably processed."""
        ...


@runtime_checkable
class SourceHandler(PartitionHandler, Protocol):
    """A handler whose position is the group's offset."""

    def commit_metadata(self) -> str:
        """Return what is kept with `next_offset`: at most a few kilobytes (the broker's offset.metadata.max.bytes)."""
        ...


@dataclass
class Lane:
    """One partition's handler, what waits for it, and the lock that keeps batches and timers apart."""

    handler: PartitionHandler
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: list[Any] = field(default_factory=list)
    task: asyncio.Task[None] | None = None


class Partitions:
    """All lanes of this worker. A rebalance closes every one and opens anew those that are still ours."""

    def __init__(
        self,
        topics: Collection[str],
        open_handlers: Callable[[set[TP]], Awaitable[dict[TP, PartitionHandler]]],
        done: Callable[[Sequence[Any]], None],
    ) -> None:
        """Serve `topics`; `open_handlers` makes handlers for owned partitions, `done` is told of finished batches."""
        self.topics = tuple(topics)
        self._open_handlers = open_handlers
        self._done = done
        self.lanes: dict[TP, Lane] = {}
        self.opened = False
        """Whether what is ours is open, be it nothing: a member of the group may get no partition."""
        self.openings = 0

    def of_topic(self, topic: str) -> dict[int, Lane]:
        """Return the lanes of one topic, by partition."""
        return {tp.partition: lane for tp, lane in self.lanes.items() if tp.topic == topic}

    def label(self, tp: TP) -> str:
        """Return the partition's name in metrics and messages: its number says enough where there is one topic."""
        return str(tp.partition) if len(self.topics) == 1 else f"{tp.topic}-{tp.partition}"

    async def open(self, owned: set[TP]) -> None:
        """Fence, restore and open the owned partitions. Failures end the process: half-open is worse than restarted."""
        self.openings += 1
        metrics.REBALANCES.inc()
        try:
            await self.close()
            handlers = await self._open_handlers(owned)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # every reason is reported, none survives
            end_process("opening partitions", error)
            raise
        self.lanes = {tp: Lane(handler) for tp, handler in handlers.items()}
        metrics.PARTITIONS.set(len(self.lanes))
        self.opened = True

    def feed(self, message: Any) -> None:
        """Take a batch from the agent."""
        lane = self.lanes.get(message.tp)
        if lane is None:
            self._done([message])
            return
        lane.waiting.append(message)
        if lane.task is None:
            lane.task = asyncio.create_task(self._run(lane))

    async def _run(self, lane: Lane) -> None:
        try:
            while lane.waiting:
                async with lane.lock:
                    batches, lane.waiting = lane.waiting, []
                    records, next_offset = _unseen(batches, lane.handler.next_offset)
                    if next_offset > lane.handler.next_offset:
                        await lane.handler.process(records, next_offset)
                    self._done(batches)
        except BaseException as error:  # an unknown failure is no reason to go on with half a batch
            end_process("processing a batch", error)
            raise
        finally:
            lane.task = None

    async def tick(self) -> None:
        """Let every lane's handler look at the time, side by side."""

        async def one(lane: Lane) -> None:
            async with lane.lock:
                if self.lanes.get(tp_of[id(lane)]) is lane:
                    try:
                        await lane.handler.tick()
                    except Exception as error:  # what it was writing is taken from the core: there is no second try
                        end_process("timer", error)
                        raise

        tp_of = {id(lane): tp for tp, lane in self.lanes.items()}
        await asyncio.gather(*(one(lane) for lane in self.lanes.values()))

    async def quiesce(self) -> None:
        """Drop what waits and let what runs finish."""
        await self._settle(list(self.lanes.values()))

    async def close(self) -> None:
        """Let go of every partition."""
        # Out of sight first: a timer that waits for a lane's lock then finds it gone.
        closing, self.lanes, self.opened = self.lanes, {}, False
        lanes = list(closing.values())
        metrics.PARTITIONS.set(0)
        await self._settle(lanes)
        await asyncio.gather(*(lane.handler.close() for lane in lanes))
        for tp in closing:
            metrics.forget_partition(self.label(tp))

    async def _settle(self, lanes: list[Lane]) -> None:
        for lane in lanes:
            self._done(lane.waiting)
            lane.waiting = []
            lane.handler.hurry()
        for lane in lanes:
            async with lane.lock:
                pass

    async def start_positions(self) -> dict[TP, int]:
        """Return where to read each owned partition from."""
        return {tp: lane.handler.next_offset for tp, lane in self.lanes.items()}

    def reached(self) -> dict[TP, Committed]:
        """Return how far each owned partition is, in the form of the group's offsets."""
        found = {}
        for tp, lane in self.lanes.items():
            handler = lane.handler
            metadata = handler.commit_metadata() if isinstance(handler, SourceHandler) else ""
            found[tp] = Committed(handler.next_offset, metadata)
        return found

    def committable(self) -> dict[TP, int]:
        """Return the group offsets that may be shown to lag monitors."""
        return {tp: lane.handler.next_offset for tp, lane in self.lanes.items() if lane.handler.next_offset}


def _unseen(batches: Sequence[Any], next_offset: int) -> tuple[list[Any], int]:
    """Return the records from `next_offset` on, each once (after a seek some come twice), and what comes after them."""
    records = []
    for batch in batches:
        for record in batch.value:
            if record.offset >= next_offset:
                records.append(record)
                next_offset = record.offset + 1
        next_offset = max(next_offset, batch.next_offset)
    return records, next_offset
