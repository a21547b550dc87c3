"""The frontier of one source partition: the instant up to which everything it holds has been processed.

A mark is taken by reading the clock first and *then* asking the log's end offset: whatever was appended before the
clock was read lies below that offset. Once processing passes the offset, everything published before the mark's
instant is known, and everything dated `settle` before it. Marks wait in line, so that the frontier also moves under a
load that never lets the consumer catch up with "now".
"""

from collections import deque

MARKS_MAX = 10_000
"""Marks kept while processing lags. Past this, every second one goes: the frontier then moves in coarser steps."""


class Marks:
    """The marks of one partition. Instants are UTC milliseconds."""

    def __init__(self, settle_ms: int) -> None:
        """Start with no mark, so with no frontier."""
        self._settle_ms = settle_ms
        self._waiting: deque[tuple[int, int]] = deque()
        self._seen_end = 0
        self.newest: int | None = None
        self.frontier: int | None = None

    def add(self, clock_ms: int, end_offset: int) -> None:
        """Take a mark: `clock_ms` was read before `end_offset` was asked.

        Raises ValueError when the end offset is lower than one seen before: the topic was recreated.
        """
        if end_offset < self._seen_end:
            raise ValueError(f"the log ended at offset {self._seen_end} before and ends at {end_offset} now")
        self._seen_end = end_offset
        self.newest = clock_ms if self.newest is None else max(self.newest, clock_ms)
        if self._waiting and self._waiting[-1][1] == end_offset:
            self._waiting[-1] = (self.newest, end_offset)
        else:
            self._waiting.append((self.newest, end_offset))
        if len(self._waiting) > MARKS_MAX:
            self._waiting = deque(mark for index, mark in enumerate(self._waiting) if index % 2 or index == 0)

    def passed(self, next_offset: int) -> int | None:
        """Return the frontier now that everything below `next_offset` is processed (None: not known yet)."""
        while self._waiting and self._waiting[0][1] <= next_offset:
            instant = self._waiting.popleft()[0] - self._settle_ms
            self.frontier = instant if self.frontier is None else max(self.frontier, instant)
        return self.frontier
