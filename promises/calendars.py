"""Calendars: on which days a company works, when it closes, and how much of a time it is open.

Days are numbers as in `promises/civil.py`. Public holidays come from the `holidays` package; `add` closes further
days, `remove` opens days that the package calls holidays. A shift belongs to the day on which it starts: on a closed
day none starts, and one that started the evening before ends as usual.
"""

from collections.abc import Callable, Iterator
from datetime import date
from typing import NamedTuple

import holidays

from promises.civil import Civil, date_of, day_of
from promises.opening import OpenTime, Shift
from schemas.book_model import CALENDAR_SEARCH_DAYS_MAX, CalendarSpec
from schemas.errors import EventError
from schemas.instants import DAY_MS, MINUTE_MS

DAYS_REMEMBERED_MAX = 50_000
"""Days whose answer is kept per calendar; past it the memory starts anew."""

_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def weekday(day: int) -> int:
    """0 for a Monday up to 6 for a Sunday."""
    return (day + _EPOCH_WEEKDAY) % 7


class Worked(NamedTuple):
    """A part of a shift: the day to which the shift belongs, from when and until when."""

    day: int
    start: int
    end: int


class Calendar:
    """One calendar of the book. Its hours are in its own zone, or else in that of the promise that uses it."""

    def __init__(self, spec: CalendarSpec, civil: Civil) -> None:
        self.name = spec.name
        self.civil = civil
        self._spec = spec
        self._added = frozenset(map(day_of, spec.add))
        self._removed = frozenset(map(day_of, spec.remove))
        # Its bound method: compiled code would look into the object as into any dict, but it fills itself when asked.
        self._holiday: Callable[[date], str | None] | None = None
        if spec.holidays:
            country, _, subdivision = spec.holidays.partition("-")
            self._holiday = holidays.country_holidays(country, subdiv=subdivision or None, language="en_US").get
        self._closed: dict[int, str] = {}
        self._next: dict[int, int] = {}
        self._counted: dict[tuple[int, int], int] = {}
        self._open_time = OpenTime(spec.name, self.shift)

    def is_open_day(self, day: int) -> bool:
        """Whether the company works on that day."""
        return not self.why_closed(day)

    def why_closed(self, day: int) -> str:
        """Why the company does not work on that day, in words; an empty text if it does."""
        try:
            return self._closed[day]
        except KeyError:
            pass
        if len(self._closed) >= DAYS_REMEMBERED_MAX:
            self._closed.clear()
        self._closed[day] = why = self._look_up(day)
        return why

    def next_open_day(self, day: int, count: int = 1) -> int:
        """The `count`-th open day after `day`; for 0 the day itself, or the first open one after it if it is closed.

        Raises EventError `calendar_closed` if there is none for CALENDAR_SEARCH_DAYS_MAX days.
        """
        found = self._counted.get((day, count))
        if found is not None:
            return found
        if len(self._counted) >= DAYS_REMEMBERED_MAX:
            self._counted.clear()
        found = day
        for _ in range(1 if count == 0 and not self.is_open_day(day) else count):
            following = self._next.get(found)
            found = self._search(found) if following is None else following
        self._counted[day, count] = found
        return found

    def hours(self, day: int) -> tuple[int, int]:
        """When it opens on that day and when it closes, UTC milliseconds; the closing may lie on the next day.

        A closing at midnight is, as a due, the end of the day, so its last millisecond.
        """
        opens = self.civil.instant(day, self._spec.open_min * MINUTE_MS)
        closes_ms = self._spec.close_min * MINUTE_MS
        if closes_ms == DAY_MS:
            return opens, self.civil.end_of_day(day)
        return opens, self.civil.instant(day, closes_ms)

    def shift(self, day: int) -> Shift | None:
        """From when up to which instant it is open, not counting that instant; None on a closed day.

        A closing at midnight is midnight itself here: open time has no gap between two days that are open all day.
        Where clocks jump over both, the closing may come before the opening.
        """
        if self.why_closed(day):
            return None
        civil, spec = self.civil, self._spec
        return civil.instant(day, spec.open_min * MINUTE_MS), civil.instant(day, spec.close_min * MINUTE_MS)

    def add_open(self, instant: int, amount_ms: int) -> int:
        """The instant at which `amount_ms` of open time have passed since `instant`.

        It is the earliest such: where the amount is used up just when it closes, the closing instant and not the next
        opening; for 0 `instant` itself, open or not. For a negative amount it is the latest instant from which so much
        open time passes until `instant`. Raises EventError `calendar_closed`.
        """
        if amount_ms > 0:
            return self._open_time.after(instant, amount_ms)
        return self._open_time.before(instant, -amount_ms) if amount_ms else instant

    def open_between(self, start: int, end: int) -> int:
        """Milliseconds of open time from `start` up to `end`; negative if `end` is the earlier."""
        return self._open_time.between(start, end)

    def next_closing(self, instant: int) -> int:
        """The first closing, as `hours` has it, that is not before `instant`. Raises as `next_open_day`."""
        # A shift of an earlier day may still last: three days, since a zone may have skipped one.
        day = self.next_open_day(self.civil.local(instant)[0] - 4)
        while (closing := self.hours(day)[1]) < instant:
            day = self.next_open_day(day)
        return closing

    def worked(self, start: int, end: int) -> Iterator[Worked]:
        """The parts of shifts from `start` up to `end`, in order. Slow for long times: it is meant for explaining."""
        closed_from = start
        for day in range(self.civil.local(start)[0] - 3, self.civil.local(end)[0] + 1):
            shift = self.shift(day)
            if shift is not None and max(shift[0], closed_from) < min(shift[1], end):
                yield Worked(day, max(shift[0], closed_from), min(shift[1], end))
                closed_from = min(shift[1], end)

    def _look_up(self, day: int) -> str:
        if weekday(day) not in self._spec.days:
            return f"a {_WEEKDAYS[weekday(day)]}"
        if day not in self._removed:
            if day in self._added:
                return "closed by the book"
            name = self._holiday(date_of(day)) if self._holiday is not None else None
            if name:
                return name
        if not self.civil.has_day(day):
            return f"a day that {self.civil.name} skipped"
        return ""

    def _search(self, day: int) -> int:
        for candidate in range(day + 1, day + 1 + CALENDAR_SEARCH_DAYS_MAX):
            if self.is_open_day(candidate):
                if len(self._next) >= DAYS_REMEMBERED_MAX:
                    self._next.clear()
                self._next[day] = candidate
                return candidate
        raise EventError(
            "calendar_closed",
            f"calendar {self.name!r} has no open day within {CALENDAR_SEARCH_DAYS_MAX} days after {date_of(day)}",
        )


class Calendars:
    """The calendars and zones of one book, made once each."""

    def __init__(self, specs: dict[str, CalendarSpec]) -> None:
        self._specs = specs
        self._zones: dict[str, Civil] = {}
        self._calendars: dict[tuple[str, str], Calendar] = {}

    def civil(self, zone: str) -> Civil:
        """Civil time of an IANA zone."""
        if zone not in self._zones:
            self._zones[zone] = Civil(zone)
        return self._zones[zone]

    def calendar(self, name: str, zone: str) -> Calendar:
        """The calendar of that name; its hours are in `zone` unless it has one of its own."""
        if (name, zone) not in self._calendars:
            spec = self._specs[name]
            self._calendars[name, zone] = Calendar(spec, self.civil(spec.timezone or zone))
        return self._calendars[name, zone]
