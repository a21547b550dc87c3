"""The core by itself, without a broker: decode, judge, encode what is stored, in batches as a worker takes them."""

import gc
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

from promises.detector import Detector
from promises.partition import PartitionDetector
from schemas.book_model import Book
from schemas.decoding import Decoder
from schemas.facts import Fact, Subject
from schemas.records import RECORD_FORMAT, Checkpoint

BATCH = 500
FAR = 1 << 50
ALWAYS = -(1 << 62)


class Arrived(NamedTuple):
    """What a partition brings, as far as the core looks at it."""

    value: bytes
    offset: int


class Core:
    """One partition's core, with a dictionary for a store."""

    def __init__(self, book: Book) -> None:
        self.source = next(iter(book.sources))
        self.decoder = Decoder(book).source(self.source)
        self.store: dict[bytes, bytes] = {}
        start = Checkpoint(RECORD_FORMAT, (self.source,), ALWAYS, b"", 0, ALWAYS, ALWAYS, {}, "")
        self.partition = PartitionDetector(Detector(book), self.store.get, start, partition=0)

    def learn(self, key: str, facts: Iterable[tuple[str, Fact]]) -> None:
        """Process one batch of facts, each with the value of the key it is about, and store what that changes."""
        for about, fact in facts:
            self.partition.fact(Subject(key, about), fact, self.partition.next_offset)
        self.commit()

    def read(self, events: Sequence[bytes]) -> None:
        """Decode and process events, and store what they change."""
        arrived = [Arrived(value, offset) for offset, value in enumerate(events)]
        for begin in range(0, len(arrived), BATCH):
            end = min(begin + BATCH, len(arrived))
            done, problem = self.partition.take_in(self.decoder, arrived, begin, end, FAR, 0)
            if problem is not None:
                raise problem
            assert done == end
            self.commit()

    def commit(self) -> None:
        """Write what has changed."""
        for stored_as, value in self.partition.take().changes.items():
            if value is None:
                self.store.pop(stored_as, None)
            else:
                self.store[stored_as] = value


def cpu_us(book: Book, events: Sequence[bytes]) -> dict[str, float]:
    """Microseconds of CPU an event, for events that nobody has seen yet."""
    Core(book).read(events[:BATCH])  # what is remembered for good has been looked up then
    core = Core(book)
    with Stopwatch() as watch:
        core.read(events)
    return {"cpu_us": watch.seconds / len(events) * 1e6}


class Stopwatch:
    """CPU time of this process, garbage collected before and not meanwhile, in `seconds`."""

    seconds = 0.0

    def __enter__(self) -> Self:
        gc.collect()
        gc.disable()
        self._begun = time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.process_time() - self._begun
        gc.enable()
