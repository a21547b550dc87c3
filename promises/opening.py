"""Open time: how much of it lies between two instants, and when so much of it has passed.

Open time is the elapsed time of a calendar's shifts, each from the instant of opening up to the instant of closing
(half-open, UTC milliseconds). Time is cut into blocks of BLOCK_DAYS days; for each block that is asked for, its shifts
and the open time before each of them are worked out once. A question then costs two bisections, and an addition a
block on the way, however long the amounts are.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import NamedTuple

from promises.civil import date_of
from schemas.book_model import CALENDAR_SEARCH_DAYS_MAX
from schemas.errors import EventError
from schemas.instants import DAY_MS, format_duration

BLOCK_DAYS = CALENDAR_SEARCH_DAYS_MAX
"""Not longer than the longest closed stretch, so that a longer one always lies across the end of a block."""
BLOCKS_SEARCHED_MAX = 200
"""Blocks on the way of one question (219 years). What takes longer is refused: no promise means that."""
BLOCKS_REMEMBERED_MAX = 2 * BLOCKS_SEARCHED_MAX
"""Blocks kept per calendar, some 6 KB each; past it the memory starts anew."""

_BLOCK_MS = BLOCK_DAYS * DAY_MS
_DAYS_BEFORE = 3  # a shift of the day before, of a zone a day ahead, over a day that a zone skipped
_DAYS_AFTER = 2

Shift = tuple[int, int]
"""When it opens and when it closes; the closing instant is not open any more."""


class _Block(NamedTuple):
    """The shifts of a block, clipped to it: their openings, and the open time before each and at the end of all."""

    opens: "array[int]"
    passed: "array[int]"


class OpenTime:
    """The open time of one calendar. `shift` says when it opens on a day; None if it is closed."""

    def __init__(self, name: str, shift: Callable[[int], Shift | None]) -> None:
        self._name = name
        self._shift = shift
        self._blocks: dict[int, _Block] = {}

    def between(self, start: int, end: int) -> int:
        """Open milliseconds from `start` up to `end`; negative if `end` is the earlier.

        Of what is further away than BLOCKS_SEARCHED_MAX blocks, nothing is counted.
        """
        if end < start:
            return -self.between(end, start)
        first, last = start // _BLOCK_MS, end // _BLOCK_MS
        if last - first > BLOCKS_SEARCHED_MAX:
            last = first + BLOCKS_SEARCHED_MAX
            end = last * _BLOCK_MS
        total = _passed(self._block(last), end) - _passed(self._block(first), start)
        for index in range(first, last):
            total += self._block(index).passed[-1]
        return total

    def after(self, instant: int, amount_ms: int) -> int:
        """The earliest instant at which `amount_ms` (more than 0) have passed: a closing, where it is just used up.

        Raises EventError `calendar_closed` if there is no opening for CALENDAR_SEARCH_DAYS_MAX days on the way, or not
        so much open time within BLOCKS_SEARCHED_MAX blocks.
        """
        first = instant // _BLOCK_MS
        block = self._block(first)
        wanted = _passed(block, instant) + amount_ms
        for index in range(first + 1, first + BLOCKS_SEARCHED_MAX + 1):
            opens, passed = block
            if wanted <= passed[-1]:
                shift = bisect_left(passed, wanted) - 1
                return opens[shift] + wanted - passed[shift]
            wanted -= passed[-1]
            instant = max(instant, _last_closing(block, instant))
            block = self._block(index)
            if (block.opens[0] if block.opens else (index + 1) * _BLOCK_MS) - instant > _BLOCK_MS:
                raise self._never_opens(instant)
        raise self._too_long(instant, amount_ms)

    def before(self, instant: int, amount_ms: int) -> int:
        """The latest instant from which `amount_ms` (more than 0) pass until `instant`: where just so, an opening.

        Raises as `after`.
        """
        first = instant // _BLOCK_MS
        block = self._block(first)
        left = _passed(block, instant) - amount_ms
        for index in range(first - 1, first - BLOCKS_SEARCHED_MAX - 1, -1):
            opens, passed = block
            if left >= 0:
                shift = bisect_right(passed, left) - 1
                return opens[shift] + left - passed[shift]
            instant = min(instant, opens[0] if opens else instant)
            block = self._block(index)
            left += block.passed[-1]
            if instant - _last_closing(block, index * _BLOCK_MS) > _BLOCK_MS:
                raise self._never_opens(instant)
        raise self._too_long(instant, amount_ms)

    def _block(self, index: int) -> _Block:
        try:
            return self._blocks[index]
        except KeyError:
            pass
        if len(self._blocks) >= BLOCKS_REMEMBERED_MAX:
            self._blocks.clear()
        self._blocks[index] = block = self._work_out(index)
        return block

    def _work_out(self, index: int) -> _Block:
        closed_from, end = index * _BLOCK_MS, (index + 1) * _BLOCK_MS
        opens, passed = array("q"), array("q", [0])
        for day in range(index * BLOCK_DAYS - _DAYS_BEFORE, (index + 1) * BLOCK_DAYS + _DAYS_AFTER):
            shift = self._shift(day)
            if shift is None:
                continue
            # Where clocks jump, a shift may begin before the last one has ended, and one may have no time left at all.
            starts, ends = max(shift[0], closed_from), min(shift[1], end)
            if starts < ends:
                opens.append(starts)
                passed.append(passed[-1] + ends - starts)
                closed_from = ends
        return _Block(opens, passed)

    def _never_opens(self, instant: int) -> EventError:
        return EventError(
            "calendar_closed",
            f"calendar {self._name!r} does not open for {CALENDAR_SEARCH_DAYS_MAX} days around "
            f"{date_of(instant // DAY_MS)}",
        )

    def _too_long(self, instant: int, amount_ms: int) -> EventError:
        return EventError(
            "calendar_closed",
            f"calendar {self._name!r} does not have {format_duration(amount_ms)} of open time within "
            f"{BLOCKS_SEARCHED_MAX * BLOCK_DAYS} days around {date_of(instant // DAY_MS)}",
        )


def _passed(block: _Block, instant: int) -> int:
    """Open milliseconds of a block before an instant in it, or at its end."""
    shift = bisect_right(block.opens, instant) - 1
    if shift < 0:
        return 0
    return min(block.passed[shift] + instant - block.opens[shift], block.passed[shift + 1])


def _last_closing(block: _Block, otherwise: int) -> int:
    opens, passed = block
    return opens[-1] + passed[-1] - passed[-2] if opens else otherwise
