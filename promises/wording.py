"""Instants and names as an employee reads them: `Sat 25 Apr 2026 23:59`. English, whatever the machine's locale is."""

from functools import lru_cache

from promises.calendars import weekday
from promises.civil import Civil, date_of
from schemas.instants import MINUTE_MS, SECOND_MS

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_CLOCK = [f"{minute // 60:02d}:{minute % 60:02d}" for minute in range(24 * 60 + 1)]
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@lru_cache(maxsize=4096)
def day_text(day: int, *, year: bool = True) -> str:
    """`Sat 25 Apr 2026` for a day number."""
    date = date_of(day)
    text = f"{_DAYS[weekday(day)]} {date.day} {_MONTHS[date.month - 1]}"
    return f"{text} {date.year}" if year else text


def clock_text(time_ms: int) -> str:
    """`17:59` or `17:59:59` for milliseconds after midnight; the last second of a minute stays in its minute."""
    minutes, rest = divmod(time_ms, MINUTE_MS)
    return _CLOCK[minutes] + _seconds_text(rest)


def moment_text(civil: Civil, instant: int, *, year: bool = True) -> str:
    """`Sat 25 Apr 2026 23:59` for a UTC instant, on the clock of a zone."""
    day, time_ms = civil.local(instant)
    minutes, rest = divmod(time_ms, MINUTE_MS)
    return _minute_text(day, minutes, year) + _seconds_text(rest)


@lru_cache(maxsize=16_384)
def _minute_text(day: int, minutes: int, year: bool) -> str:
    return f"{day_text(day, year=year)} {_CLOCK[minutes]}"


def _seconds_text(rest_ms: int) -> str:
    seconds = rest_ms // SECOND_MS
    return f":{seconds:02d}" if seconds and rest_ms != MINUTE_MS - 1 else ""


def span_text(span_ms: int) -> str:
    """`2 d 10 h`, `1 min`, `less than a minute`: the two largest units, rounded down."""
    minutes = span_ms // MINUTE_MS
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [f"{count} {unit}" for count, unit in ((days, "d"), (hours, "h"), (minutes, "min")) if count]
    if not parts:
        return f"{span_ms / SECOND_MS:g} s" if span_ms >= SECOND_MS else f"{span_ms} ms"
    return " ".join(parts[:2])


def subject_text(key: str, value: str) -> str:
    """`Order A-17` for ("order_id", "A-17")."""
    name = key.rsplit(".", 1)[-1].removesuffix("_id").replace("_", " ").strip() or key
    return f"{name[:1].upper()}{name[1:]} {value}"
