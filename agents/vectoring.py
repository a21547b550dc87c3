"""Vectors: how far the source partitions of an ingest process are complete, told to every facts partition.

A vector is sent when everything that it vouches for is acknowledged, so it lies behind that in every facts partition.
It stays true whoever sent it, and whatever becomes of the sender.
"""

import asyncio
from typing import Protocol

from schemas import metrics
from schemas.vectors import VECTOR_FORMAT, Hold, SourceMark, VectorMarker, encode_vector
from streams.emit import Outgoing
from streams.sharedproducer import SharedProducer


class Vouched(Protocol):
    """A source partition that vectors speak of."""

    @property
    def name(self) -> str:
        """Source and partition: `shop/3`."""
        ...

    def mark(self) -> SourceMark | None:
        """How far it is complete on the facts topic; None: nothing can be said of it yet."""
        ...

    def hold(self) -> Hold | None:
        """Why its frontier stands still on purpose, if it does."""
        ...


class VectorSender:
    """Sends the vectors of one process."""

    def __init__(self, producer: SharedProducer, topic: str, partitions: int, book: str, sender: str) -> None:
        """Send to all `partitions` of the facts `topic`, under the hash of the `book` that facts are made with."""
        self._producer = producer
        self._topic = topic
        self._partitions = partitions
        self._book = book
        self._sender = sender
        self._spoken_of: dict[str, Vouched] = {}
        self._named: set[str] = set()
        self._sending = asyncio.Lock()
        self.counts: dict[str, int] = {}
        """How many partitions each source has: asked after the clock was read of every mark that is sent with it."""

    def open(self, partition: Vouched) -> None:
        """Speak of a source partition from now on."""
        self._spoken_of[partition.name] = partition
        self._named.discard(partition.name)

    def close(self, partition: Vouched) -> None:
        """Speak of it no more."""
        if self._spoken_of.get(partition.name) is partition:
            del self._spoken_of[partition.name]

    async def announce(self, partition: Vouched) -> None:
        """Return when a vector has named the partition: nothing of it may be sent before. It must have a mark."""
        async with self._sending:
            if partition.name not in self._named:  # the vector of another partition may have done so meanwhile
                await self._send()
        assert partition.name in self._named, "nothing can be said of it yet"

    async def send(self) -> None:
        """Send one vector about all partitions."""
        async with self._sending:
            await self._send()

    async def _send(self) -> None:
        marks: dict[str, SourceMark] = {}
        holds: dict[str, Hold] = {}
        for name, partition in self._spoken_of.items():
            mark, hold = partition.mark(), partition.hold()
            if mark is not None:
                marks[name] = mark
            if hold is not None:
                holds[name] = hold
        if not marks and not holds:
            return
        told = dict(self._spoken_of)
        vector = VectorMarker(VECTOR_FORMAT, self._book, self._sender, dict(self.counts), marks, holds)
        record = Outgoing(None, b"", tuple(encode_vector(vector)))
        await self._producer.write(self._topic, {partition: [record] for partition in range(self._partitions)})
        metrics.MARKERS.inc(self._partitions)
        # One that was closed and opened anew while this was on its way is to be named again.
        self._named.update(name for name in marks if self._spoken_of.get(name) is told[name])
