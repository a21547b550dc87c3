"""What a pause does to a due: it moves by the paused time, counted as the promise itself counts time."""

from collections.abc import Sequence

from promises.calendars import Calendar, Calendars
from promises.civil import Civil, nearest_instant
from schemas.book_model import At, DueField, DuePlus, Promise
from schemas.instants import DAY_MS, MINUTE_MS

Span = tuple[int, int]
"""From which instant until which, UTC milliseconds."""


def moved_due(promise: Promise, civil: Civil, calendars: Calendars, due: int, paused: Sequence[Span]) -> int:
    """When a promise is due that was due at `due` and was paused in `paused` (disjoint). `civil` is its zone.

    | due | what is counted of a pause | and then |
    |---|---|---|
    | `within`, `field` | elapsed time | |
    | `within` with `calendar` | open time | |
    | `plus` with `calendar` | open time | rounded up to the next closing, or end of or time on an open day |
    | `plus` without | civil time, by the clock on the wall | rounded up to the next end of day, or time |

    `plus` without `at` is not rounded: any instant may be such a due. Several pauses are added up before anything is
    rounded, so that a pause in two halves is the same as a whole one. What passes while the calendar is closed moves
    nothing. Civil time lets a pause of three days move a due by three days also when the clocks change in between.
    Raises EventError `calendar_closed`.
    """
    spec = promise.due
    name = None if isinstance(spec, DueField) else spec.calendar
    calendar = None if name is None else calendars.calendar(name, civil.name)
    if calendar is not None:
        moved = calendar.add_open(due, sum(calendar.open_between(start, end) for start, end in paused))
    elif isinstance(spec, DuePlus):
        moved = _add_civil(civil, due, sum(_civil_between(civil, start, end) for start, end in paused))
    else:
        moved = due + sum(end - start for start, end in paused)
    if isinstance(spec, DuePlus) and spec.at is not None and moved > due:
        moved = _rounded_up(spec.at, civil, calendar, moved)
    return nearest_instant(moved)


def _civil_between(civil: Civil, start: int, end: int) -> int:
    """What the clock on the wall says has passed; nothing where it was put back by more than that."""
    (first, from_ms), (last, until_ms) = civil.local(start), civil.local(end)
    return max((last - first) * DAY_MS + until_ms - from_ms, 0)


def _add_civil(civil: Civil, instant: int, amount_ms: int) -> int:
    day, time_ms = civil.local(instant)
    return max(civil.instant(day, time_ms + amount_ms), instant)


def _rounded_up(at: At, civil: Civil, calendar: Calendar | None, instant: int) -> int:
    """The first due of the kind `at` that is not before `instant`."""
    if at == "closing":
        assert calendar is not None, "the book is refused when `at: closing` has no calendar"
        return calendar.next_closing(instant)
    day = civil.local(instant)[0]
    if calendar is not None:
        day = calendar.next_open_day(day, 0)
    while (found := civil.end_of_day(day) if at == "end_of_day" else civil.instant(day, at * MINUTE_MS)) < instant:
        day = day + 1 if calendar is None else calendar.next_open_day(day)
    return found
