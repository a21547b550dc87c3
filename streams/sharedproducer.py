"""One idempotent producer for all partitions of a process: what several lanes write meets in the same batches.

No transactions: for records that may be written twice, but never lost and never out of order. What waits for a
partition while a batch is on its way makes the next one: the busier the process, the larger its batches.
"""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerClosed

from schemas import metrics
from streams.emit import REQUEST_BYTES, Outgoing, Posted, acknowledged, batches

ON_THE_WAY_BYTES_MAX = 32 << 20
"""What is sent and not acknowledged yet. All partitions of a broker share its requests, of which it takes 100 MiB."""


class _Write:
    """One call of `write`: done when every partition it writes to is."""

    __slots__ = ("future", "left")

    def __init__(self, partitions: int) -> None:
        self.left = partitions
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def acknowledged(self) -> None:
        self.left -= 1
        if not self.left and not self.future.done():
            self.future.set_result(None)

    def failed(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class _Outbox:
    """What waits for one partition, in order, and the task that sends it."""

    __slots__ = ("task", "waiting")

    def __init__(self) -> None:
        self.waiting: list[tuple[Sequence[Outgoing], _Write]] = []
        self.task: asyncio.Task[None] | None = None


class SharedProducer:
    """Writes to any partition of any topic, for any number of lanes at once.

    What was written by an acknowledged call lies before what a later call writes to the same partition.
    """

    def __init__(self, client: Mapping[str, Any], *, ack_timeout: float) -> None:
        """Keep the settings; a write that takes longer than `ack_timeout` seconds fails."""
        self._ack_timeout = ack_timeout
        self._producer = AIOKafkaProducer(
            **client,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=REQUEST_BYTES,
            max_request_size=REQUEST_BYTES,
            retry_backoff_ms=20,
        )
        self._outboxes: dict[tuple[str, int], _Outbox] = {}
        self._on_the_way = 0
        self._room = asyncio.Event()
        self._broken: BaseException | None = None

    async def start(self) -> None:
        """Connect. Raises KafkaError or TimeoutError."""
        await asyncio.wait_for(self._producer.start(), self._ack_timeout)

    async def stop(self) -> None:
        """Disconnect; what is not acknowledged yet fails."""
        self._break(ProducerClosed())
        tasks = [outbox.task for outbox in self._outboxes.values() if outbox.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._producer.stop()

    async def write(self, topic: str, records: Mapping[int, Sequence[Outgoing]]) -> None:
        """Write records, by partition, in order; return when the brokers have acknowledged all of them.

        Raises TopicsError for a record larger than the topic takes, TimeoutError, or what else the broker refused. The
        caller then ends the process: a part may be there, and what was refused is not written by trying again.
        """
        if self._broken is not None:
            raise self._broken
        wanted = [(partition, rows) for partition, rows in records.items() if rows]
        if not wanted:
            return
        write = _Write(len(wanted))
        for partition, rows in wanted:
            self._post(topic, partition, rows, write)
        with metrics.TRANSACTION.time():
            await asyncio.wait_for(write.future, self._ack_timeout)

    def _post(self, topic: str, partition: int, rows: Sequence[Outgoing], write: _Write) -> None:
        outbox = self._outboxes.get((topic, partition))
        if outbox is None:
            outbox = self._outboxes[topic, partition] = _Outbox()
        outbox.waiting.append((rows, write))
        if outbox.task is None:
            outbox.task = asyncio.create_task(self._send(topic, partition, outbox))

    async def _send(self, topic: str, partition: int, outbox: _Outbox) -> None:
        """Send what waits, again and again, until nothing does."""
        taken: list[tuple[Sequence[Outgoing], _Write]] = []
        try:
            while outbox.waiting:
                taken, outbox.waiting = outbox.waiting, []
                posted = []
                for batch in batches(
                    self._producer, topic, chain.from_iterable(rows for rows, _ in taken), transactional=False
                ):
                    await self._make_room(batch.size)
                    future = await self._producer.send_batch(batch.builder, topic, partition=partition)
                    self._account(future, batch.size)
                    posted.append(Posted(future, batch.records))
                await acknowledged([(topic, posted)])
                for _, write in taken:
                    write.acknowledged()
        except BaseException as error:
            # The broker has refused a sequence number that later batches would follow: none of them can be written.
            self._break(ProducerClosed() if isinstance(error, asyncio.CancelledError) else error)
            for _, write in taken:
                write.failed(self._broken or error)
            if not isinstance(error, Exception):
                raise
        finally:
            outbox.task = None

    async def _make_room(self, size: int) -> None:
        """Wait until a batch may be sent; one that is too large by itself is sent alone."""
        while self._on_the_way and self._on_the_way + size > ON_THE_WAY_BYTES_MAX:
            self._room.clear()
            await self._room.wait()

    def _account(self, future: "asyncio.Future[Any]", size: int) -> None:
        def arrived(done: "asyncio.Future[Any]") -> None:
            self._on_the_way -= size
            self._room.set()
            if not done.cancelled():
                done.exception()  # taken note of: the first one of a partition is told, with all that comes after it

        self._on_the_way += size
        future.add_done_callback(arrived)

    def _break(self, error: BaseException) -> None:
        """Fail what waits, and whatever is to be written from now on. The first reason stays."""
        if self._broken is None:
            self._broken = error
        for outbox in self._outboxes.values():
            waiting, outbox.waiting = outbox.waiting, []
            for _, write in waiting:
                write.failed(self._broken)
