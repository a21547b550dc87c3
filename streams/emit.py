"""Transactional emit: everything one batch or timer slice caused is written together or not at all.

One producer a partition, with a transactional id of its own: starting it (InitProducerId) aborts what a previous
owner left open and fences it, so a worker that stood still and lost the partition can never write again. The input
offset travels inside the checkpoint record of the same transaction rather than as a group offset: that saves two
round trips a transaction (measured: 5 ms instead of 26 ms for small batches) and leaves one source of truth.

A broker without honest transactions (the embedded one) gets the same records in the order events, then changelog
and checkpoint, each awaited: a crash in between can publish twice under one id.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import IllegalOperation, MessageSizeTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder

from schemas import metrics
from schemas.errors import TopicsError

BATCH_BYTES = 800_000
"""Records are sent in Kafka batches of at most about this size. A larger record gets a batch of its own, compressed:
it may have come compressed too, and must not be larger as a dead letter than it was as an event."""

REQUEST_BYTES = 96 << 20
"""What the producer itself would refuse: less than the 100 MiB that Kafka takes as a request, more than any topic's
limit, which is the one that decides."""

GZIP = 1
"""Kafka's number for it. The one compression that needs no further library."""

RECORD_OVERHEAD = 80
"""Bytes a record takes besides key, value and headers; an upper bound of Kafka's format."""


class Outgoing(NamedTuple):
    """One record to be written. A value of None is a tombstone."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


class Batch(NamedTuple):
    """Records as Kafka gets them: how many, and about how many bytes before compression."""

    builder: BatchBuilder
    records: int
    size: int


class Posted(NamedTuple):
    """A batch on its way: acknowledged when the future is done."""

    future: asyncio.Future[Any]
    records: int


def batches(
    producer: AIOKafkaProducer, topic: str, records: Iterable[Outgoing], *, transactional: bool
) -> Iterator[Batch]:
    """Yield batches of the records, in order. Raises ValueError for a record that no request could carry."""
    batch, count, size = producer.create_batch(), 0, 0
    shared: tuple[tuple[str, bytes | None], ...] = ()
    listed: list[tuple[str, bytes | None]] = []
    headers_length = 0
    for key, value, headers in records:
        if headers is not shared:  # most records of a topic share one tuple of headers
            shared, listed = headers, list(headers)
            headers_length = sum(3 * len(name) + len(content or b"") + 10 for name, content in headers)
        length = RECORD_OVERHEAD + len(key or b"") + len(value or b"") + headers_length
        if count and size + length > BATCH_BYTES:
            batch.close()
            yield Batch(batch, count, size)
            batch, count, size = producer.create_batch(), 0, 0
        if length > BATCH_BYTES:
            batch = BatchBuilder(REQUEST_BYTES, GZIP, is_transactional=int(transactional))
        if batch.append(key=key, value=value, timestamp=None, headers=listed) is None:
            raise ValueError(f"a record of {length} bytes for {topic} exceeds the producer's limit")
        count += 1
        size += length
    if count:
        batch.close()
        yield Batch(batch, count, size)


class PartitionProducer:
    """Writes to one partition number of the output topics, of which it is the only writer."""

    def __init__(
        self,
        client: Mapping[str, Any],
        partition: int,
        *,
        transactional_id: str | None,
        ack_timeout: float,
    ) -> None:
        """Keep the settings; `transactional_id` None means a broker without transactions."""
        self.partition = partition
        self._ack_timeout = ack_timeout
        self._transactional_id = transactional_id
        settings: dict[str, Any] = {"transactional_id": transactional_id} if transactional_id else {}
        self._producer = AIOKafkaProducer(
            **client,
            **settings,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=REQUEST_BYTES,
            max_request_size=REQUEST_BYTES,
            retry_backoff_ms=20,
        )

        self._transactions: Any = self._producer._txn_manager  # noqa: SLF001 -- for what it knows of refusals
        if transactional_id:
            _drop_what_is_refused(self._producer)

    async def start(self) -> None:
        """Connect and, with transactions, fence every earlier producer of this partition."""
        await asyncio.wait_for(self._producer.start(), self._ack_timeout)

    async def stop(self) -> None:
        """Close the connection. An unfinished transaction is left to the next owner, who aborts it."""
        await self._producer.stop()

    async def write(
        self, events: Mapping[str, Sequence[Outgoing]], changelog: str, changes: Sequence[Outgoing]
    ) -> int | None:
        """Write `events` (topic -> records) and `changes` (to the changelog topic) as one unit.

        Returns the changelog offset of the last change, or None when there was none. Raises TopicsError for a record
        larger than its topic takes, whatever else the broker refused, or TimeoutError when it did not acknowledge in
        time; the caller then ends the process.
        """
        with metrics.TRANSACTION.time():
            try:
                return await asyncio.wait_for(self._write(events, changelog, changes), self._ack_timeout)
            except (IllegalOperation, AssertionError) as error:
                # What aiokafka says to whoever goes on with a transaction that has been refused or fenced meanwhile.
                raise self._refusal() or error from None

    def _refusal(self) -> BaseException | None:
        """Why the transaction cannot go on, if it cannot."""
        waiter = self._transactions._transaction_waiter if self._transactional_id else None  # noqa: SLF001 -- where aiokafka keeps it
        return waiter.exception() if waiter is not None and waiter.done() and not waiter.cancelled() else None

    async def _write(
        self, events: Mapping[str, Sequence[Outgoing]], changelog: str, changes: Sequence[Outgoing]
    ) -> int | None:
        transactional = self._transactional_id is not None
        if transactional:
            await self._producer.begin_transaction()
        sent = [(topic, await self._post(topic, records)) for topic, records in events.items() if records]
        if not transactional:
            await acknowledged(sent)
            sent = []
        posted = (changelog, await self._post(changelog, changes))
        # Every future is awaited: aiokafka's commit would go through although a batch had been refused.
        last = (await acknowledged([*sent, posted]))[-1]
        if transactional:
            await self._producer.commit_transaction()
        return last

    async def _post(self, topic: str, records: Iterable[Outgoing]) -> list[Posted]:
        transactional = self._transactional_id is not None
        return [
            Posted(await self._producer.send_batch(batch.builder, topic, partition=self.partition), batch.records)
            for batch in batches(self._producer, topic, records, transactional=transactional)
        ]


def _drop_what_is_refused(producer: Any) -> None:
    """Have a transaction that its coordinator refuses take its batches with it.

    aiokafka holds a batch back until its partition is in the transaction, and lets go of all of them when that is
    refused (no permission for one of the topics, say). A batch then reaches the broker outside of any transaction, or
    inside the one before, whose end is still being written: a checkpoint would be committed without its events.
    Touches of aiokafka 0.14 internals, held by tests/streams/test_security.py: `_txn_manager.error_transaction`,
    `_message_accumulator.fail_all`, `._batches`.
    """
    manager, accumulator = producer._txn_manager, producer._message_accumulator  # noqa: SLF001 -- as told above
    refuse = manager.error_transaction

    def refuse_with_batches(error: BaseException) -> None:
        refuse(error)
        accumulator.fail_all(error)
        accumulator._batches.clear()  # noqa: SLF001 -- as told above

    manager.error_transaction = refuse_with_batches


async def acknowledged(sent: Iterable[tuple[str, Iterable[Posted]]]) -> list[int | None]:
    """Wait for every batch; return, per topic and its batches, the offset of the last record.

    Raises TopicsError for a record larger than its topic takes, and whatever else the broker refused.
    """
    last: list[int | None] = []
    for topic, posted in sent:
        offset = None
        for future, count in posted:
            try:
                offset = (await future).offset + count - 1
            except MessageSizeTooLargeError as error:
                raise TopicsError(
                    f"{topic} takes no record as large as one that has to be written there; expected a larger "
                    "max.message.bytes ('promisewatch topics check' says how large)"
                ) from error
        last.append(offset)
    return last or [None]
