"""Stand-ins for Kafka around one partition: what was written is kept, and may be made to fail."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

from streams.emit import Outgoing
from streams.health import Health
from streams.store import MemoryStore


class Record(NamedTuple):
    """A consumed record."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int = 0


class HandClock:
    """A clock that shows what the test sets."""

    def __init__(self, now: int) -> None:
        self.now = now

    def now_ms(self) -> int:
        return self.now


class Crash(Exception):
    """The process ended here."""


class FakeProducer:
    """Keeps every transaction; `fail_at` makes the n-th one (from 1) crash before it is committed."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.transactions: list[dict[str, list[Outgoing]]] = []
        self.fail_at = fail_at
        self.offset = 0

    async def write(
        self, events: Mapping[str, Sequence[Outgoing]], changelog: str, changes: Sequence[Outgoing]
    ) -> int | None:
        if self.fail_at == len(self.transactions) + 1:
            raise Crash
        self.transactions.append({topic: list(records) for topic, records in events.items()})
        self.offset += len(changes)
        return self.offset - 1 if changes else None

    async def stop(self) -> None:
        """Nothing to close."""

    def published(self, topic: str) -> list[Outgoing]:
        """All records of one topic, in order."""
        return [record for written in self.transactions for record in written.get(topic, [])]


class FakeApp(SimpleNamespace):
    """What a partition handler needs of the app."""

    def __init__(self, clock: HandClock, store: MemoryStore) -> None:
        settings = SimpleNamespace(changelog="the-changelog")
        super().__init__(clock=clock, store=store, settings=settings, health=Health())

    def remember(self, partition: int, changes: Sequence[Outgoing], offset: int) -> None:
        self.store.write(partition, {c.key or b"": c.value for c in changes}, offset, 0)


class FakeOffsets:
    """Log offsets as a test sets them."""

    def __init__(self, beginning: int, end: int) -> None:
        self._beginning, self._end = beginning, end

    async def beginnings(self, topic: str, partitions: list[int]) -> dict[int, int]:
        return dict.fromkeys(partitions, self._beginning)

    async def ends(self, topic: str, partitions: list[int]) -> dict[int, int]:
        return dict.fromkeys(partitions, self._end)


def as_any(value: object) -> Any:
    """Pass a stand-in where the real class is asked for."""
    return value
