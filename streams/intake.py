"""Batch intake: one Faust event carries everything one fetch brought of one partition.

Faust's per-event path costs about 30 us of queueing an event and acknowledges events whose agent failed; here Faust
delivers batches and never decides what is done. What is done is what a transaction committed, and a restart goes on
from the offset in that transaction.

Touches of Faust 0.15 internals, held by tests/streams/test_faust_contract.py: `Consumer.getmany`, `.wait_empty`,
`.on_partitions_revoked`, `.perform_seek`, `._new_offset`, `._filter_tps_with_pending_acks`, `._new_consumer_thread`;
`AIOKafkaConsumerThread._fetch_records`, `._create_worker_consumer`; `Topic.decode`, `._compile_decode`;
`Transport.Consumer`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, cast

import faust
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from mode.utils.futures import notify

from schemas.errors import RestartNeeded
from streams.failure import end_process

FETCH_WAIT_SECONDS = 0.25
"""How long one fetch call may wait: bounds how late a position that moved without records is noticed."""
BYTES_IN_HAND_MAX = 64 << 20
"""Keys and values that wait for the application before nothing more is fetched: large events are few at a time."""


class Fetched(dict[Any, Any]):
    """Records by partition, with the consumer's position after them.

    The position passes over commit markers and records that expired or were compacted away, which no record shows.
    `opening` tells since which opening of partitions they were asked for.
    """

    positions: dict[Any, int]
    opening: int


class BatchMessage(ConsumerMessage):
    """A fetched batch: `value` is the list of records (maybe empty), `next_offset` what comes after them.

    `size` are the bytes of their keys and values.
    """

    next_offset: int
    size: int

    def on_final_ack(self, consumer: Any) -> bool:
        """Release the message; offsets are not acknowledged here."""
        self.acked = True
        consumer._unacked_messages.discard(self)
        notify(consumer._waiting_for_ack)
        return True


class BatchTopic(faust.Topic):
    """A topic whose events are whole batches, so nothing is decoded on the way to the agent."""

    def _compile_decode(self) -> None:
        """Keep `decode` below; Faust would put a decoder of single records in its place."""

    async def decode(self, message: Any, *, propagate: bool = False) -> Any:
        """Wrap the batch as it is."""
        return self._create_event(message.key, message.value, headers=message.headers, message=message)


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """Fetches with positions, reads committed, and does not linger in empty fetches."""

    app: Any

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        if consumer._isolation_level != "read_committed" and self.app.read_committed:
            consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = self.app.fetch_max_wait_ms
        return consumer

    async def _fetch_records(
        self, consumer: Any, active_partitions: Any, timeout: float | None = None, max_records: int | None = None
    ) -> Any:
        opening = self.app.partitions.openings
        try:
            records = Fetched(await super()._fetch_records(consumer, active_partitions, timeout, max_records))
        except NoOffsetForPartitionError:
            records = Fetched()  # a new partition, not sought yet: soon it is read from where its handler begins
        except KafkaError:
            if self.consumer.flow_active and opening == self.app.partitions.openings:
                raise
            records = Fetched()  # what was in the way of the assignment before
        records.positions = {}
        records.opening = opening
        if opening != self.app.partitions.openings:
            _put_back(consumer, records)
            return records
        assignment = consumer._subscription.subscription and consumer._subscription.subscription.assignment
        for tp in (assignment and assignment.tps) or ():
            state = assignment.state_value(tp)
            if state is not None and state.has_valid_position:
                records.positions[tp] = state.position
        return records


def _told(error: Exception) -> Exception:
    """Return what to tell a person about a fetch that failed."""
    if not isinstance(error, OffsetOutOfRangeError):
        return error
    where = ", ".join(f"{tp.topic}/{tp.partition} at offset {offset}" for tp, offset in error.args[0].items())
    return RestartNeeded(
        f"cannot read on from {where}: the log does not hold that offset any more, or not yet; records have expired "
        "unread, or the topic was made again; a restart looks at the log anew"
    )


def _put_back(consumer: Any, records: Fetched) -> None:
    """Undo a fetch that was asked for before a rebalance and answered after it, of which the consumer takes nothing.

    Where it ended after the seek to where a partition goes on, nobody would read what it took.
    """
    for tp, batch in records.items():
        if consumer._subscription.is_assigned(tp):
            consumer.seek(tp, batch[0].offset)
    records.clear()


class BatchConsumer(driver.Consumer):
    """Hands whole batches to the application and leaves offsets to its transactions."""

    app: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Start with room for records."""
        super().__init__(*args, **kwargs)
        self._delivered: dict[TP, int] = {}
        self._in_hand = 0
        self._bytes_in_hand = 0
        self._room = asyncio.Event()
        self._room.set()

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # -- fetch -------------------------------------------------------------------------------------------------

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:
        """Yield one message a partition that brought records or whose position moved."""
        # Faust's own back-pressure pauses partitions and then sleeps for a whole second; a budget does not.
        if not self._room.is_set():
            await self.wait_first(self._room.wait(), self.suspend_flow.wait(), timeout=timeout)
            if not self._room.is_set():
                return
        records, active = await self._fetched(min(timeout, FETCH_WAIT_SECONDS))
        if not isinstance(records, Fetched) or self.should_stop:
            return
        if not self.flow_active or records.opening != self.app.partitions.openings:
            return  # a rebalance goes on: whatever was read is read again from where the handlers begin
        generation = self.app.consumer_generation_id
        positions = records.positions
        for tp in sorted(active or ()):
            if self._is_changelog_tp(tp):
                continue
            batch = records.get(tp) or []
            position = positions.get(tp, batch[-1].offset + 1 if batch else -1)
            if not batch and position <= self._delivered.get(tp, -1):
                continue
            self._delivered[tp] = position
            self._read_offset[tp] = position - 1
            message = self._batch_message(tp, batch, position, generation)
            self._account(len(batch), message.size)
            yield tp, message
            if self.suspend_flow.is_set():
                return

    async def _fetched(self, timeout: float) -> tuple[Any, Any]:
        """Return records by partition and the partitions that are read. What cannot be read ends the process."""
        try:
            found: tuple[Any, Any] = await self._wait_next_records(timeout)
        except KafkaError as error:
            if not self.should_stop and not self.app.should_stop:
                # At once: Faust would stop its services first, of which one may then wait for ever.
                end_process("reading", _told(error))
            raise
        return found

    def _batch_message(self, tp: TP, batch: list[Any], position: int, generation: int) -> BatchMessage:
        first = batch[0] if batch else None
        message = BatchMessage(
            tp.topic,
            tp.partition,
            position - 1,
            first.timestamp / 1000.0 if first else 0.0,
            first.timestamp_type if first else 0,
            None,
            None,
            cast("bytes", batch),  # a whole batch where Faust knows single values
            None,
            0,
            0,
            tp,
            generation_id=generation,
        )
        message.next_offset = position
        message.size = sum(len(record.value or b"") + len(record.key or b"") for record in batch)
        return message

    def done(self, batches: Sequence[BatchMessage]) -> None:
        """Take note of batches that the application is through with; fetching goes on when there is room again."""
        for batch in batches:
            self._account(-len(batch.value or b""), -batch.size)

    def _account(self, records: int, size: int) -> None:
        """Count what is handed to the application (negative: done), and pause fetching when it is too much."""
        self._in_hand = max(0, self._in_hand + records)
        self._bytes_in_hand = max(0, self._bytes_in_hand + size)
        if self._in_hand > self.app.records_in_hand_max or self._bytes_in_hand > BYTES_IN_HAND_MAX:
            self._room.clear()
        else:
            self._room.set()

    # -- offsets -----------------------------------------------------------------------------------------------

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        yield from self.app.partitions.committable()

    def _new_offset(self, tp: TP) -> int | None:
        # The group's offset is for lag monitors; the one that counts is in the checkpoint.
        offset: int | None = self.app.partitions.committable().get(tp)
        return offset

    async def perform_seek(self) -> None:
        """Go on from the checkpoints, not from the group's offsets."""
        positions = await self.app.partitions.start_positions()
        if positions:
            await self.seek_wait(positions)
        for tp, offset in positions.items():
            self._delivered[tp] = offset
            self._read_offset[tp] = offset - 1 if offset else None

    # -- rebalance and stop --------------------------------------------------------------------------------------

    async def wait_empty(self) -> None:
        """Finish what is being written, drop what only waits: it is read again."""
        await self.app.partitions.quiesce()
        await self.commit_and_end_transactions()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget what was delivered; every partition starts anew from its checkpoint."""
        await super().on_partitions_revoked(revoked)
        await self.app.partitions.close()
        self._delivered.clear()
        self._account(-self._in_hand, -self._bytes_in_hand)


class BatchTransport(driver.Transport):
    """Faust's aiokafka transport with the batch consumer."""

    Consumer = BatchConsumer
