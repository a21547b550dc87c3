"""What a facts partition knows of its sources: how far each of their partitions is complete.

It is told by markers (`schemas/vectors.py`), each of which stays true, so that only the newest of what they say counts
and neither their order nor who sent them matters. A source partition of which nothing is known holds.
"""

from collections.abc import Iterable
from typing import Final

from promises.gaps import Gap, with_gap
from schemas.vectors import (
    KNOWN_NEVER,
    VECTOR_FORMAT,
    Hold,
    KnownMark,
    SourceMark,
    StoredVector,
    VectorMarker,
    decode_stored_vector,
    encode_stored_vector,
    source_partition,
    split_source_partition,
)

_NOTHING: Final = KnownMark(None, None, None)


class Vector:
    """The newest that the markers of one book said about every partition of its sources. Instants are UTC ms."""

    def __init__(self, book: str, stored: bytes | None = None, where: str = "the stored vector") -> None:
        """`book` is the digest of the book; what markers of another book said is not gone on from.

        Raises StateError, naming `where`, if what is stored cannot be read.
        """
        self.book = book
        self._counts: dict[str, int] = {}
        self._marks: dict[str, dict[int, KnownMark]] = {}
        self._holds: dict[str, Hold] = {}
        known = None if stored is None else decode_stored_vector(stored, where)
        if known is not None and known.book == book:
            for name, mark in known.marks.items():
                source, partition = split_source_partition(name)
                self._marks.setdefault(source, {})[partition] = mark
            self._counts = dict(known.counts)
            self._holds = dict(known.holds)

    @property
    def holds(self) -> dict[str, Hold]:
        """Why frontiers are held back on purpose, by source partition, as last said of each."""
        return self._holds

    @property
    def counts(self) -> dict[str, int]:
        """How many partitions each source has, as far as anybody said."""
        return self._counts

    def take(self, marker: VectorMarker) -> bool:
        """Learn what a marker says. False, and nothing is learnt, if it was made by another book."""
        if marker.book != self.book:
            return False
        for source, count in marker.counts.items():
            self._count(source, count)
        for name, mark in marker.marks.items():
            source, partition = split_source_partition(name)
            marks = self._marks.setdefault(source, {})
            marks[partition] = _newest(marks.get(partition, _NOTHING), mark)
            self._count(source, partition + 1)
            if name in marker.holds:
                self._holds[name] = marker.holds[name]
            else:
                self._holds.pop(name, None)
        return True

    def frontier(self, sources: Iterable[str]) -> int | None:
        """Every fact of these sources dated before this instant has come; None while that cannot be told."""
        found: int | None = None
        for source in sources:
            for mark in self._all(source):
                frontier = mark.frontier
                if frontier is None:
                    return None
                if found is None or frontier < found:
                    found = frontier
        return found

    def floor(self, sources: Iterable[str]) -> int | None:
        """No due learnt now is published before this instant; None while nothing is known."""
        floors = [mark.floor for source in sources for mark in self._all(source) if mark.floor is not None]
        return max(floors) if floors else None

    def known_since(self, sources: Iterable[str]) -> int:
        """No fact of these sources dated from this instant on was lost; KNOWN_NEVER while one partition is unknown."""
        found: list[int] = []
        for source in sources:
            for mark in self._all(source):
                if mark.known_since is None:
                    return KNOWN_NEVER
                found.append(mark.known_since)
        return max(found) if found else KNOWN_NEVER

    def gaps(self, sources: Iterable[str]) -> tuple[Gap, ...]:
        """The spans within which facts of these sources may have expired unread, in order; those that touch are one."""
        found: tuple[Gap, ...] = ()
        for source in sources:
            for mark in self._all(source):
                for since, until in mark.gaps:
                    found = with_gap(found, since, until)
        return found

    def waits_for(self, sources: Iterable[str]) -> list[tuple[str, int | None]]:
        """The partitions of these sources with their frontiers, those first that hold the others back.

        A source of which nothing at all is known is named by its partition 0.
        """
        found = [
            (source_partition(source, partition), mark.frontier)
            for source in sources
            for partition, mark in enumerate(self._all(source))
        ]
        return sorted(found, key=_behind)

    def complete(self, sources: Iterable[str]) -> bool:
        """Whether a marker of this book has named every partition of these sources."""
        return all(mark is not _NOTHING for source in sources for mark in self._all(source))

    def stored(self) -> bytes:
        """What is stored under VECTOR_KEY, beside the checkpoints."""
        marks = {
            source_partition(source, partition): self._marks[source][partition]
            for source in sorted(self._marks)
            for partition in sorted(self._marks[source])
        }
        return encode_stored_vector(StoredVector(VECTOR_FORMAT, self.book, self._counts, marks, self._holds))

    def _count(self, source: str, count: int) -> None:
        if count > self._counts.get(source, 0):
            self._counts[source] = count

    def _all(self, source: str) -> list[KnownMark]:
        """What is known of each partition of a source; at least one, of which nothing is known."""
        count = self._counts.get(source, 0)
        marks = self._marks.get(source)
        if marks is None or not count:
            return [_NOTHING] * max(count, 1)
        return [marks.get(partition, _NOTHING) for partition in range(count)]


def _newest(known: KnownMark, said: SourceMark) -> KnownMark:
    since = known.known_since
    if said.known_since != KNOWN_NEVER:
        since = said.known_since if since is None else max(since, said.known_since)
    gaps = known.gaps if said.gap is None else with_gap(known.gaps, *said.gap)
    return KnownMark(_later(known.frontier, said.frontier), _later(known.floor, said.floor), since, gaps)


def _later(known: int | None, said: int | None) -> int | None:
    if known is None or said is None:
        return known if said is None else said
    return max(known, said)


def _behind(one: tuple[str, int | None]) -> tuple[bool, int, str]:
    """The order in which source partitions hold a frontier back."""
    name, frontier = one
    return (frontier is not None, 0 if frontier is None else frontier, name)
