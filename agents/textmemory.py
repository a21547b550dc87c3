"""What all ingest processes of an application remember together: the texts of earlier books, and what was read.

One compacted topic of one partition. What runs in detect runs by the text under which it was opened, be it that of an
earlier book; so the events and fields that such texts look at are sent as long as the application lives.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog

from schemas.book_model import Book
from schemas.editions import editions_of
from schemas.records import TEXTS_KEY, Texts, decode_texts, encode_texts
from streams.emit import Outgoing
from streams.offsets import LogOffsets
from streams.restore import restore
from streams.sharedproducer import SharedProducer
from streams.store import MemoryStore

log = structlog.get_logger("promisewatch.ingest")

TOPIC_KEY = b"\x00topic/"
"""Under this and a source topic's name: the ids of all topics of that name that were ever read, separated by commas."""
ROUNDS_MAX = 20
"""Processes that are started together may write over each other's texts, and then do so once more."""


class TextMemory:
    """The memory topic, read to its end when asked and written to by any process."""

    def __init__(self, client: Mapping[str, Any], offsets: LogOffsets, producer: SharedProducer, topic: str) -> None:
        """Use a connected reader of offsets and a started producer."""
        self._client = client
        self._offsets = offsets
        self._producer = producer
        self._topic = topic
        self._store = MemoryStore()

    async def union(self, book: Book) -> Book:
        """The book with what earlier ones had besides, once its own texts are remembered too.

        Raises StateError if a remembered text cannot be read by this program.
        """
        for _ in range(ROUNDS_MAX):
            await restore(self._client, self._offsets, self._store, self._topic, {0})
            stored = self._store.reader(0)(TEXTS_KEY)
            known = None if stored is None else decode_texts(stored, self._topic)
            editions = editions_of(book, known, self._topic, 0)
            assert editions.stored is not None, "a book has texts"
            if known is not None and _named(editions.stored) <= _named(known):
                promises = (*book.promises, *(closed.promise for closed in editions.closed))
                log.info("texts of earlier books at hand", closed_texts=len(editions.closed))
                return replace(book, promises=promises)
            await self._write(TEXTS_KEY, encode_texts(editions.stored))
        raise TimeoutError(f"{self._topic}: other processes wrote over this book's texts {ROUNDS_MAX} times")

    def worked(self, topic: str) -> tuple[str, ...]:
        """The ids of all topics of this name that were ever read, as far as `union` and this process know."""
        stored = self._store.reader(0)(TOPIC_KEY + topic.encode())
        return () if not stored else tuple(stored.decode().split(","))

    async def work(self, topic: str, topic_id: str) -> None:
        """Remember that the topic with this id is read, besides those before it.

        None is forgotten: a partition of which nothing is committed yet may be opened again, by whomever.
        """
        worked = self.worked(topic)
        if topic_id not in worked:
            await self._write(TOPIC_KEY + topic.encode(), ",".join((*worked, topic_id)).encode())
            await restore(self._client, self._offsets, self._store, self._topic, {0})

    async def _write(self, key: bytes, value: bytes) -> None:
        await self._producer.write(self._topic, {0: [Outgoing(key, value)]})


def _named(texts: Texts) -> set[tuple[str, int, int]]:
    return {(one.promise, one.version, one.edition) for one in texts.texts}
