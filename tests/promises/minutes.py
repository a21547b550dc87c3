"""Time by a man with a watch: he looks at the clock on the wall every minute and notes whether the shop is open.

Slow and plain, and with nothing in common with `promises/`: what the arithmetic there says is compared with his notes.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from promises.calendars import Calendar
from promises.civil import Civil
from schemas.book_model import CalendarSpec

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = 60_000
MINUTES_A_DAY = 1440
DAYS_BEFORE, DAYS_AFTER = 8, 20

WATCHES = [
    ("UTC", date(2028, 2, 28)),  # a leap day
    ("Asia/Kathmandu", date(2026, 12, 31)),  # 5:45 ahead, and a year's end
    ("Europe/Amsterdam", date(2026, 3, 29)),
    ("Europe/Amsterdam", date(2026, 10, 25)),
    ("Europe/Amsterdam", date(2025, 11, 8)),  # a multiple of 400 days since 1970
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Europe/Dublin", date(2026, 10, 25)),  # winter is its summer time
    ("Australia/Lord_Howe", date(2026, 4, 5)),  # clocks go by half an hour
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("Africa/Casablanca", date(2026, 2, 15)),  # Ramadan
    ("Africa/Casablanca", date(2026, 3, 22)),
    ("America/Sao_Paulo", date(2018, 11, 4)),  # no midnight
    ("America/Sao_Paulo", date(2018, 2, 18)),
    ("America/Havana", date(2026, 11, 1)),  # midnight twice
    ("Africa/Cairo", date(2026, 10, 30)),
    ("America/Nuuk", date(2022, 3, 27)),
    ("Antarctica/Troll", date(2026, 3, 29)),  # clocks go by two hours
    ("Pacific/Apia", date(2011, 12, 30)),  # a day that was not
    ("Pacific/Kiritimati", date(1994, 12, 31)),
    ("Pacific/Kwajalein", date(1993, 8, 21)),
    ("Pacific/Kwajalein", date(1969, 9, 30)),  # clocks went back by 23 hours
]


civil = cache(Civil)
"""One per zone, so that what it remembers serves all tests."""


class OutOfSight(Exception):
    """The answer lies beyond the days he watched."""


class Wall:
    """The clock on the wall of one zone, some weeks around a day: what it shows at the start of each minute.

    What it shows is a number of minutes too: those since 1970 began on that wall. He looks for a change of clocks every
    quarter of an hour only; none of WATCHES has one at another time.
    """

    def __init__(self, zone: str, around: date) -> None:
        self.zone = zone
        self.first = ((around - EPOCH.date()).days - DAYS_BEFORE) * MINUTES_A_DAY
        there = ZoneInfo(zone)
        self.shown: list[int] = []
        for quarter in range(0, (DAYS_BEFORE + DAYS_AFTER) * MINUTES_A_DAY, 15):
            shown = (EPOCH + timedelta(minutes=self.first + quarter)).astimezone(there).replace(tzinfo=UTC)
            since = (shown - EPOCH) // timedelta(minutes=1)
            self.shown.extend(range(since, since + 15))
        self.seen: dict[int, int] = {}
        for number, minute in enumerate(self.shown):
            self.seen.setdefault(minute, number)
        self.jumps = [n for n in range(len(self.shown) - 1) if self.shown[n + 1] - self.shown[n] > 1]
        self.days = [EPOCH.date() + timedelta(days=day) for day in sorted({m // MINUTES_A_DAY for m in self.shown})]

    def minute(self, day: date, minute_of_day: int) -> int:
        """The first minute at which it shows that time; if it jumps over it, so much later as it was still to go."""
        wanted = (day - EPOCH.date()).days * MINUTES_A_DAY + minute_of_day
        if wanted in self.seen:
            return self.seen[wanted]
        for number in self.jumps:
            if self.shown[number] < wanted < self.shown[number + 1]:
                return number + wanted - self.shown[number]
        raise OutOfSight


class Watched:
    """A calendar and the notes about it: which minutes it was open, and when it closed."""

    def __init__(self, wall: Wall, spec: CalendarSpec) -> None:
        self.wall = wall
        self.calendar = Calendar(spec, civil(wall.zone))
        self.open = bytearray(len(wall.shown))
        self.closings: list[int] = []
        self.open_days = [day for day in wall.days if day.weekday() in spec.days and day not in spec.add]
        for day in self.open_days:
            try:
                opens, closes = wall.minute(day, spec.open_min), wall.minute(day, spec.close_min)
            except OutOfSight:
                continue
            self.open[opens:closes] = b"\1" * len(self.open[opens:closes])
            closing = (wall.first + closes) * MINUTE
            self.closings.append(closing - 1 if spec.close_min == MINUTES_A_DAY else closing)

    def minutes(self, numbers: range) -> Iterator[tuple[int, int, int]]:
        """From when until when each minute lasts, and whether it is open."""
        for number in numbers:
            if not MINUTES_A_DAY * 3 <= number < len(self.open) - MINUTES_A_DAY * 3:
                raise OutOfSight
            start = (self.wall.first + number) * MINUTE
            yield start, start + MINUTE, self.open[number]

    def open_between(self, start: int, end: int) -> int:
        numbers = range(start // MINUTE - self.wall.first, end // MINUTE - self.wall.first + 1)
        return sum(
            max(min(until, end) - max(since, start), 0) for since, until, is_open in self.minutes(numbers) if is_open
        )

    def add_open(self, instant: int, amount_ms: int) -> int:
        number = instant // MINUTE - self.wall.first
        if amount_ms < 0:
            return self._back(instant, -amount_ms)
        left = amount_ms
        for since, until, is_open in self.minutes(range(number, len(self.open))):
            lasts = until - max(since, instant)
            if is_open and left <= lasts:
                return until - lasts + left
            left -= lasts * is_open
        raise OutOfSight

    def _back(self, instant: int, left: int) -> int:
        number = instant // MINUTE - self.wall.first
        for since, until, is_open in self.minutes(range(number, -1, -1)):
            lasts = min(until, instant) - since
            if is_open and left <= lasts:
                return since + lasts - left
            left -= lasts * is_open
        raise OutOfSight

    def next_closing(self, instant: int) -> int:
        for closing in sorted(self.closings):
            if closing >= instant:
                return closing
        raise OutOfSight


@cache
def wall(number: int) -> Wall:
    """One of WATCHES."""
    return Wall(*WATCHES[number])


walls = st.integers(0, len(WATCHES) - 1).map(wall)

_times = st.one_of(st.sampled_from([0, 30, 60, 90, 120, 150, 180, 540, 1020, 1320, 1410, 1439]), st.integers(0, 1439))


def _hours(opens: int, closes: int) -> tuple[int, int]:
    return opens, closes if closes > opens else closes + MINUTES_A_DAY


hours = st.one_of(
    st.tuples(st.just(0), st.just(MINUTES_A_DAY)),
    st.tuples(_times, st.just(MINUTES_A_DAY)),
    st.tuples(_times, _times).filter(lambda pair: pair[0] != pair[1]).map(lambda pair: _hours(*pair)),
)


@st.composite
def specs(draw: st.DrawFn, closed: frozenset[date] = frozenset()) -> CalendarSpec:
    """A calendar of any days and hours that the book can say."""
    some_days = st.frozensets(st.integers(0, 6), min_size=1)
    days = draw(st.one_of(st.just(frozenset(range(7))), st.just(frozenset(range(5))), some_days))
    return CalendarSpec("c", days, *draw(hours), None, closed, frozenset(), None)


@st.composite
def watched(draw: st.DrawFn) -> Watched:
    """Notes about some calendar on some wall, closed on some days in the middle."""
    on = draw(walls)
    closed = st.frozensets(st.sampled_from(on.days[DAYS_BEFORE - 3 : DAYS_BEFORE + 6]), max_size=4)
    return Watched(on, draw(specs(draw(closed))))


@st.composite
def instants(draw: st.DrawFn, on: Wall) -> int:
    """An instant in the fortnight around the middle of what was watched, often at a full minute or next to one."""
    minute = on.first + draw(st.integers(4 * MINUTES_A_DAY, 13 * MINUTES_A_DAY))
    return minute * MINUTE + draw(st.sampled_from([0, 0, 0, 1, -1, 30_500]))
