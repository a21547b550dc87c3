"""Civil time of one zone: which day and time of day an instant is there, and back.

A day is a number: days since 1970-01-01. A time of day is milliseconds after midnight as the clock on the wall shows
them. Local times that do not exist (clocks going forward) move forward, ambiguous ones are the earlier of the two.
"""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from schemas.instants import DAY_MS, local_to_ms

DAYS_REMEMBERED_MAX = 50_000
"""Days whose offset is kept (136 years); past it the memory starts anew, so that odd input cannot fill it."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_MILLISECOND = timedelta(milliseconds=1)

DAY_MIN = date.min.toordinal() - _EPOCH_ORDINAL + 2
DAY_MAX = date.max.toordinal() - _EPOCH_ORDINAL - 2
"""Days for which a zone's rules can be asked. Beyond them (9999-12-31 as "never") the nearest day's offset is used."""

INSTANT_MIN = (DAY_MIN - 2) * DAY_MS
INSTANT_MAX = (DAY_MAX + 3) * DAY_MS - 1
"""The first and the last instant that RFC 3339 can write. A due beyond is kept at the nearest."""


def day_of(day: date) -> int:
    """The number of a calendar day."""
    return day.toordinal() - _EPOCH_ORDINAL


def date_of(day: int) -> date:
    """The calendar day of a number; the nearest that Python can say."""
    return date.fromordinal(min(max(day + _EPOCH_ORDINAL, 1), date.max.toordinal()))


def nearest_instant(instant: int) -> int:
    """The instant itself, or the nearest that RFC 3339 can write."""
    return min(max(instant, INSTANT_MIN), INSTANT_MAX)


class Civil:
    """One IANA zone. Offsets are remembered by UTC day, so that a conversion is a look-up and some arithmetic."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.zone = ZoneInfo(name)
        self._offsets: dict[int, int | None] = {}
        self._starts: dict[int, int] = {}

    def local(self, instant: int) -> tuple[int, int]:
        """(day, milliseconds after midnight) that the clock on the wall shows at a UTC instant."""
        offset = self._steady_offset(instant // DAY_MS)
        if offset is None:
            offset = self._offset_at(instant)
        return divmod(instant + offset, DAY_MS)

    def instant(self, day: int, time_ms: int) -> int:
        """UTC milliseconds of a local time; `time_ms` of 24 hours and more lies on a following day."""
        day, time_ms = day + time_ms // DAY_MS, time_ms % DAY_MS
        offset = self._steady_offset(day)
        if offset is None or offset != self._steady_offset(day - 1) or offset != self._steady_offset(day + 1):
            return self._instant_near_change(day, time_ms)
        return day * DAY_MS + time_ms - offset

    def end_of_day(self, day: int) -> int:
        """The last millisecond of a day: its end is 24:00, which already belongs to the next."""
        return self.instant(day + 1, 0) - 1

    def has_day(self, day: int) -> bool:
        """Whether there was such a day: a zone that changed sides of the date line skipped one."""
        if self._steady_offset(day) is not None and self._steady_offset(day) == self._steady_offset(day - 1):
            return True
        return self.local(self.instant(day, 0))[0] == day

    def _steady_offset(self, utc_day: int) -> int | None:
        """The offset in force during a whole UTC day, None if it changes in it."""
        try:
            return self._offsets[utc_day]
        except KeyError:
            pass
        # No zone's clocks change twice within a day: the same offset at both ends is that of all the day.
        starts, ends = self._offset_from(utc_day), self._offset_from(utc_day + 1)
        if len(self._offsets) >= DAYS_REMEMBERED_MAX:
            self._offsets.clear()
        self._offsets[utc_day] = steady = starts if starts == ends else None
        return steady

    def _offset_from(self, utc_day: int) -> int:
        """The offset with which a UTC day begins."""
        try:
            return self._starts[utc_day]
        except KeyError:
            pass
        if len(self._starts) >= DAYS_REMEMBERED_MAX:
            self._starts.clear()
        self._starts[utc_day] = offset = self._offset_at(utc_day * DAY_MS)
        return offset

    def _offset_at(self, instant: int) -> int:
        instant = min(max(instant, DAY_MIN * DAY_MS), DAY_MAX * DAY_MS)
        offset = (_EPOCH + instant * _MILLISECOND).astimezone(self.zone).utcoffset()
        assert offset is not None
        return offset // _MILLISECOND

    def _instant_near_change(self, day: int, time_ms: int) -> int:
        asked = min(max(day, DAY_MIN), DAY_MAX)
        local = datetime.combine(date_of(asked), datetime.min.time()) + time_ms * _MILLISECOND
        return local_to_ms(local, self.zone) + (day - asked) * DAY_MS
