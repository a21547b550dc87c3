"""Doubt about the source of a partition that a detector reads itself: noted while records are processed, and stored.

What doubt is, and how long it lasts, is decided in `streams/doubt.py`.
"""

from typing import Final

from promises.partition import PartitionDetector
from schemas.book_model import Source
from schemas.vectors import Hold
from streams.doubt import Doubt
from streams.emit import Outgoing

DOUBT_KEY: Final = b"\x00doubt"
"""Where it is stored, beside the checkpoint."""


class Doubting:
    """What one partition of a source gives to doubt. Instants are UTC milliseconds."""

    def __init__(self, source: Source, core: PartitionDetector, stored: bytes | None, frontier: int | None) -> None:
        """Go on from what is `stored`, and from the frontier that was announced before, if any. Raises StateError."""
        self._core = core
        self._stored = "" if stored is None else stored.decode(errors="replace")
        self._doubt = Doubt(source.doubt, self._stored, frontier)
        self._total = 0
        self._bad = 0
        self._arrived: int | None = None
        self.silent: Hold | None = None
        """The doubt there is about the source as a whole."""

    def note(self, total: int, bad: int, arrived: int | None) -> None:
        """Note so many records, and when the newest of them arrived on Kafka."""
        self._total += total
        self._bad += bad
        if arrived is not None:
            self._arrived = arrived if self._arrived is None else max(self._arrived, arrived)

    def holds(self, now: int) -> Hold | None:
        """The doubt there is."""
        return self._doubt.holds(now) or self.silent

    def announce(self, now: int, proved: int | None) -> int | None:
        """The frontier that may be announced where `proved` has been proved: that, or where it stands in doubt."""
        self._read(now)
        announced = self._doubt.announce(now, proved, self.silent)
        self._core.late_before = self._doubt.late_before
        return announced

    def take(self, now: int) -> list[Outgoing]:
        """What is to be stored together with what was noted, if anything is."""
        self._read(now)
        found = self._doubt.stored()
        if found == self._stored:
            return []
        self._stored = found
        return [Outgoing(DOUBT_KEY, found.encode() or None)]

    def _read(self, now: int) -> None:
        if not self._total:
            return
        self._doubt.read(now, self._total, self._bad, self._core.late, self._arrived)
        self._total = self._bad = self._core.late = 0
        self._arrived = None
