"""How a due came about, in words: the steps in which calendars take part. Short, however long the way is."""

from promises.calendars import Calendar, Worked
from promises.civil import Civil
from promises.wording import clock_text, day_text, span_text
from schemas.instants import DAY_MS, HOUR_MS, format_duration

PARTS_SAID_MAX = 4
"""Parts of working time that are told one by one. Of more, the first two and the last are, and the sum between."""
CLOSED_DAYS_SAID_MAX = 10
"""Closed days that are told one by one; of more, their number."""


def working_time(calendar: Calendar, civil: Civil, opened_at: int, amount_ms: int, due: int) -> list[str]:
    """How `amount_ms` of open time lead from `opened_at` to `due`. `civil` is the promise's zone."""
    amount = format_duration(amount_ms)
    hours = f" ({span_of_hours(amount_ms)})" if abs(amount_ms) >= DAY_MS else ""
    where = f", by the clock of {calendar.civil.name}" if calendar.civil.name != civil.name else ""
    steps = [f"within {amount}{hours} of open time of {calendar.name!r}{where}"]
    parts = list(calendar.worked(min(opened_at, due), max(opened_at, due)))
    if len(parts) <= PARTS_SAID_MAX:
        steps.extend(_part_text(calendar, part) for part in parts)
    else:
        between = parts[2:-1]
        total_ms = sum(part.end - part.start for part in between)
        steps.extend(_part_text(calendar, part) for part in parts[:2])
        steps.append(f"{span_of_hours(total_ms)} on {len(between)} days up to {day_text(between[-1].day)}")
        steps.append(_part_text(calendar, parts[-1]))
    first = calendar.civil.local(opened_at)[0]
    if parts:
        steps.extend(closed_days(calendar, min(first, parts[0].day), max(first, parts[-1].day) + 1))
    return steps


def closed_days(calendar: Calendar, start: int, end: int) -> list[str]:
    """Why the days in between were skipped on the way."""
    closed = [f"{day_text(day)} is closed: {why}" for day in range(start, end) if (why := calendar.why_closed(day))]
    more = len(closed) - CLOSED_DAYS_SAID_MAX
    return closed if more <= 0 else [*closed[:CLOSED_DAYS_SAID_MAX], f"{more} more closed days on the way"]


def span_of_hours(span_ms: int) -> str:
    """`72 h`, `3 h 50 min`, `12 s`: never days, since a day of open time is no day."""
    size = abs(span_ms)
    hours, rest = divmod(size, HOUR_MS)
    if not hours:
        return span_text(size)
    minutes = span_text(rest) if rest >= HOUR_MS // 60 else ""
    return f"{hours} h {minutes}".rstrip()


def _part_text(calendar: Calendar, part: Worked) -> str:
    civil = calendar.civil
    start, end = (clock_text(civil.local(instant)[1]) for instant in (part.start, part.end))
    return f"{span_of_hours(part.end - part.start)} on {day_text(part.day)}, {start}-{end}"
