"""What operators are told of the sources: how far each is known, and which of them holds which promises, since when."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final, NamedTuple

from agents.committing import log
from promises.grouped import GroupedDetector
from promises.vector import Vector
from schemas import metrics
from schemas.book_model import Book
from schemas.instants import format_instant
from schemas.vectors import Hold, split_source_partition
from streams.doubt import SILENT

LOOK_EVERY_MS: Final = 1_000
"""Whatever is told here changes no faster than the sources' own frontiers do."""

ALWAYS: Final = -(1 << 62)


class Known(NamedTuple):
    """What one facts partition knows."""

    core: GroupedDetector
    vector: Vector


class Held:
    """Tells which source holds which promises, in metrics and, when that changes, in the log."""

    def __init__(self) -> None:
        """Nothing has been told yet."""
        self._told: set[tuple[str, str]] = set()

    def tell(self, now: int, holds: Iterable[tuple[str, Hold]], waiting: Mapping[str, Collection[str]]) -> None:
        """`holds` are all there are, by source; `waiting` are the promises that wait for each source."""
        since: dict[tuple[str, str], int] = {}
        for source, hold in holds:
            name = (source, hold.reason)
            since[name] = min(hold.since, since.get(name, hold.since))
        promises: dict[tuple[str, str], float] = {}
        for (source, _), instant in since.items():
            for promise in waiting.get(source, ()):
                seconds = max(0, now - instant) / 1_000
                promises[promise, source] = max(seconds, promises.get((promise, source), 0.0))
        metrics.tell_held({name: max(0, now - instant) / 1_000 for name, instant in since.items()}, promises)
        for source, reason in sorted(since.keys() - self._told):
            log.warning(
                "source is in doubt",
                source=source,
                reason=reason,
                since=format_instant(since[source, reason]),
                holds=sorted(waiting.get(source, ())),
                meaning="what waits for this source is not judged until it "
                + ("is heard again" if reason == SILENT else "sends what can be used"),
            )
        for source, reason in sorted(self._told - since.keys()):
            log.info("source is in doubt no more", source=source, reason=reason)
        self._told = set(since)


class DirectFigures:
    """Looks at the one source that a process reads itself, about once a second."""

    def __init__(self, book: Book) -> None:
        """Tell of the source of a book."""
        (self._source,) = book.sources
        self._waiting = {self._source: sorted({promise.id for promise in book.promises})}
        self._held = Held()
        self._pace = _Pace()

    def look(self, now: int, holds: Iterable[Hold | None]) -> None:
        """Tell what is known at `now` (UTC ms), unless that was done just before."""
        if self._pace.is_time(now):
            self._held.tell(now, ((self._source, hold) for hold in holds if hold is not None), self._waiting)


class Figures:
    """Looks at all facts partitions of a process, about once a second."""

    def __init__(self, book: Book) -> None:
        """Tell of the sources of a book."""
        self._sources = list(book.sources)
        self._held = Held()
        self._pace = _Pace()

    def look(self, now: int, partitions: Mapping[int, Known]) -> None:
        """Tell what is known at `now` (UTC ms), unless that was done just before."""
        if not partitions or not self._pace.is_time(now):
            return
        for partition, known in partitions.items():
            label = str(partition)
            frontier = min(group.core.frontier for group in known.core.groups)
            if frontier > ALWAYS:
                metrics.FRONTIER_LAG.labels(partition=label).set((now - frontier) / 1_000)
            metrics.TIMERS.labels(partition=label).set(known.core.timers)
        for source in self._sources:
            self._look_at(source, now, [known.vector for known in partitions.values()])
        holds = {}
        waiting: dict[str, list[str]] = {}
        for known in partitions.values():
            holds.update(known.vector.holds)
            waiting = waiting or _waiting(known.core)
        self._held.tell(now, ((split_source_partition(name)[0], hold) for name, hold in holds.items()), waiting)

    def _look_at(self, source: str, now: int, vectors: Iterable[Vector]) -> None:
        unknown, oldest = 0, None
        for vector in vectors:
            frontier = vector.frontier([source])
            if frontier is not None:
                oldest = frontier if oldest is None else min(oldest, frontier)
            elif not unknown:  # one of them will do: vectors are sent to all facts partitions
                unknown = sum(known is None for _, known in vector.waits_for([source]))
        metrics.SOURCE_UNKNOWN.labels(source=source).set(unknown)
        if oldest is not None:
            metrics.SOURCE_FRONTIER_LAG.labels(source=source).set((now - oldest) / 1_000)


def _waiting(core: GroupedDetector) -> dict[str, list[str]]:
    """The promises that wait for each source."""
    found: dict[str, list[str]] = {}
    for judged in core.groups:
        for source in judged.group.sources:
            found.setdefault(source, []).extend(judged.group.promises)
    return found


class _Pace:
    """When it is time to look again."""

    def __init__(self) -> None:
        self._last = ALWAYS

    def is_time(self, now: int) -> bool:
        if 0 <= now - self._last < LOOK_EVERY_MS:
            return False
        self._last = now
        return True
