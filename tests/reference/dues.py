"""Until when: the due of an opening, open time of a calendar, and when a warning is due."""

from collections.abc import Iterator
from datetime import UTC, date, timedelta
from typing import Any

from tests.reference.civil import (
    DAY,
    MINUTE,
    at_wall,
    closed,
    duration,
    end_of_day,
    instant_in,
    local,
    milliseconds,
    minute_of,
    zone_of,
)
from tests.reference.facts import Data, missing, reach

Book = dict[str, Any]
Promise = dict[str, Any]

SEARCH_DAYS = 800
"""How far open time is looked for."""


def due_of(book: Book, promise: Promise, time: int, data: Data) -> int | None:
    """The due of a promise opened at that instant with that payload; None if the payload does not say."""
    zone = zone_of(book, promise)
    due = promise["due"]
    if "within" in due:
        length = duration(due["within"])
        return time + length if "calendar" not in due else work(book, due["calendar"], zone, time, length)
    if "field" in due:
        return due_said(book, promise, due["field"], data)
    return plus_days(book, due, zone, time)


def due_said(book: Book, promise: Promise, field: str, data: Data) -> int | None:
    """The due that a payload field says, with the promise's own offset."""
    value = reach(data, field)
    if missing(value) or value is None:
        return None
    due = promise["due"]
    return instant_in(value, zone_of(book, promise), due.get("at")) + duration(due.get("offset", "0s"))


def plus_days(book: Book, due: dict[str, Any], zone: str, time: int) -> int:
    shown = local(time - time % MINUTE, zone)
    day = first_day(book, due, zone, time)
    left = due["plus"]
    if "calendar" not in due:
        day += timedelta(days=left)
    elif left == 0:
        while closed(book, due["calendar"], day):
            day += timedelta(days=1)
    while "calendar" in due and left:
        day += timedelta(days=1)
        left -= not closed(book, due["calendar"], day)
    if "at" not in due:
        return at_wall(zone, day, shown.hour * 60 + shown.minute) + time % MINUTE
    return on_day(book, due, zone, day)


def on_day(book: Book, due: dict[str, Any], zone: str, day: date) -> int:
    """The instant of a day by which something is due."""
    if due["at"] == "closing":
        return closing(book, due["calendar"], zone, day)
    return end_of_day(zone, day) if due["at"] == "end_of_day" else at_wall(zone, day, minute_of(due["at"]))


def first_day(book: Book, due: dict[str, Any], zone: str, time: int) -> date:
    """The day the event counts for."""
    if "cutoff" not in due:
        return local(time, zone).date()
    there = local(time, book["calendars"][due["of"]].get("timezone", zone))
    day = there.date()
    hours, minutes = map(int, due["cutoff"].split(":"))
    if closed(book, due["of"], day) or (there.hour, there.minute) >= (hours, minutes):
        day += timedelta(days=1)
        while closed(book, due["of"], day):
            day += timedelta(days=1)
    return day


# Open time: a calendar's day is open from one instant until another, and belongs to the day on which it opens.


def opening(book: Book, name: str, zone: str, day: date) -> int:
    spec = book["calendars"][name]
    return at_wall(spec.get("timezone", zone), day, minute_of(spec.get("hours", "00:00-24:00").split("-")[0]))


def closing(book: Book, name: str, zone: str, day: date) -> int:
    """The last instant to be in time "by closing": for a calendar open until midnight the last one of the day."""
    spec = book["calendars"][name]
    there = spec.get("timezone", zone)
    opens, closes = spec.get("hours", "00:00-24:00").split("-")
    if closes == "24:00":
        return end_of_day(there, day)
    return at_wall(there, day + timedelta(days=minute_of(closes) <= minute_of(opens)), minute_of(closes))


def shut(book: Book, name: str, zone: str, day: date) -> int:
    """The first instant at which it is not open any more."""
    until = closing(book, name, zone, day)
    return until + 1 if book["calendars"][name].get("hours", "24:00").endswith("24:00") else until


def days_around(time: int, *, back: bool = False) -> Iterator[date]:
    """The days, near ones first, whose hours may lie after that instant (or before it)."""
    first = local(time - time % MINUTE, "UTC").date()
    for number in range(-2, SEARCH_DAYS):
        yield first + timedelta(days=-number if back else number)


def work(book: Book, name: str, zone: str, time: int, length: int) -> int:
    """The first instant by which so much open time has passed; for a negative length the last one before."""
    if length == 0:
        return time
    left = abs(length)
    for day in days_around(time, back=length < 0):
        if closed(book, name, day):
            continue
        opens, shuts = opening(book, name, zone, day), shut(book, name, zone, day)
        opens, shuts = (max(opens, time), shuts) if length > 0 else (opens, min(shuts, time))
        if shuts - opens >= left:
            return opens + left if length > 0 else shuts - left
        left -= max(0, shuts - opens)
    raise AssertionError(f"calendar {name} does not open for {SEARCH_DAYS} days")


def open_time(book: Book, name: str, zone: str, start: int, end: int) -> int:
    """How much of [start, end) is open."""
    total = 0
    for day in days_around(start):
        if milliseconds_of(day) > end + 2 * DAY:
            return total
        if not closed(book, name, day):
            opens, shuts = opening(book, name, zone, day), shut(book, name, zone, day)
            total += max(0, min(end, shuts) - max(start, opens))
    raise AssertionError("such a long time is not promised")


def milliseconds_of(day: date) -> int:
    return (day - date(1970, 1, 1)).days * DAY


Span = tuple[int, int]


def moved(book: Book, promise: Promise, due: int, pauses: list[Span]) -> int:
    """The due after these pauses: again by closing, by the end of a day or at a time, where one is said."""
    spec, zone = promise["due"], zone_of(book, promise)
    name = spec.get("calendar")
    if name is not None:
        length = sum(open_time(book, name, zone, start, end) for start, end in pauses)
        later = work(book, name, zone, due, length)
    elif "plus" in spec:
        later = later_on_the_wall(zone, due, sum(wall(zone, end) - wall(zone, start) for start, end in pauses))
    else:
        later = due + sum(end - start for start, end in pauses)
    if later <= due or "plus" not in spec or "at" not in spec:
        return later
    days = (day for day in days_around(later) if name is None or not closed(book, name, day))
    return next(instant for day in days if (instant := on_day(book, spec, zone, day)) >= later)


def wall(zone: str, instant: int) -> int:
    """What the clock on the wall shows, as a number."""
    return milliseconds(local(instant - instant % MINUTE, zone).replace(tzinfo=UTC)) + instant % MINUTE


def later_on_the_wall(zone: str, instant: int, length: int) -> int:
    """The instant at which the wall clock shows so much more; nothing moves back."""
    if length <= 0:
        return instant
    shown = wall(zone, instant) + length
    day, rest = divmod(shown, DAY)
    minute, within_minute = divmod(rest, MINUTE)
    return max(instant, at_wall(zone, date(1970, 1, 1) + timedelta(days=day), minute) + within_minute)


def warned_at(book: Book, promise: Promise, warning: str, opened_at: int, due: int) -> int:
    """When a promise opened then and due then is at risk."""
    if not warning.endswith("%"):
        return due + duration(warning)
    share, name = int(warning[:-1]), promise["due"].get("calendar")
    if "within" in promise["due"] and name is not None:
        zone = zone_of(book, promise)
        return work(book, name, zone, opened_at, open_time(book, name, zone, opened_at, due) * share // 100)
    return opened_at + (due - opened_at) * share // 100
