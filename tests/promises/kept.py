"""A partition that keeps the texts of promise versions as a worker does, and may be started with another book."""

from promises.detector import Detector
from promises.migrating import Fate, Migrating
from promises.partition import PartitionDetector
from schemas.book_model import Book
from schemas.editions import Editions, editions_of, still_needed, text_digest
from schemas.migrations import Migration
from schemas.records import decode_texts, encode_texts
from tests.promises.builders import ALWAYS, Partition


class Kept(Partition):
    """The texts are stored with the first commit under a book, as `agents/takeover.py` has it."""

    def __init__(self, made: Book) -> None:
        self.texts: bytes | None = None
        self.editions = Editions()
        self.latest = ALWAYS
        """What `editions_of` is told; a worker's clock goes on, here a test says so."""
        super().__init__(made)
        self.restart(made)

    def restart(self, made: Book | None = None) -> None:
        """Lose the process, and start one with this book (None: the same)."""
        book = made or self.detector.book
        stored = None if self.texts is None else decode_texts(self.texts, "test")
        editions = editions_of(book, stored, "test", self.latest)
        self.detector = Detector(book, editions)
        self.core = PartitionDetector(self.detector, self.store.get, self.checkpoint, partition=0)
        self.core.rebuild(list(self.store.items()))
        self.editions = still_needed(editions, self.core.pinned)
        assert self.editions.stored is not None
        self.texts = encode_texts(self.editions.stored)

    def migration(
        self, promise: str, to: int, versions: tuple[int, ...] | None = None, *, assume_known: bool = False
    ) -> Migration:
        """What `promisewatch migrate` would send for the book in use."""
        book = self.detector.book
        target = next(one for one in book.promises if (one.id, one.version) == (promise, to))
        return Migration(promise, to, text_digest(target, book.calendars), book.digest, versions, assume_known)

    def migrate(self, migration: Migration, *, stop_after: int | None = None) -> list[Fate]:
        """Move what runs; `stop_after`: lose the process after so many subjects, each in a transaction of its own."""
        migrating = Migrating(self.detector, migration)
        fates = []
        for done, stored_as in enumerate(self.core.subjects()):
            if done == stop_after:
                return fates
            fates += self.core.migrate(stored_as, migrating)
            if stop_after is not None:
                self.commit()
        self.commit()
        return fates
