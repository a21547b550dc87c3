"""Civil time, minute by minute: what the clock on a wall shows, when a day ends, which days are closed."""

import re
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import holidays

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = 60_000
DAY = 1440 * MINUTE
UNITS = {"ms": 1, "s": 1_000, "m": MINUTE, "h": 60 * MINUTE, "d": DAY}
WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def instant_in(value: str, zone: str, at: str | None) -> int:
    """The instant that a payload means."""
    if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        day = date.fromisoformat(value)
        return end_of_day(zone, day) if at in (None, "end_of_day") else at_wall(zone, day, minute_of(str(at)))
    said = datetime.fromisoformat(value)
    if said.tzinfo is not None:
        return milliseconds(said)
    return at_wall(zone, said.date(), said.hour * 60 + said.minute) + said.second * 1_000 + said.microsecond // 1_000


@cache
def end_of_day(zone: str, day: date) -> int:
    """The millisecond before the first minute that belongs to a later day."""
    minute = milliseconds(datetime(day.year, day.month, day.day, 12, tzinfo=UTC)) - offset_at_noon(zone, day)
    while local(minute, zone).date() <= day:
        minute += MINUTE
    return minute - 1


@lru_cache(maxsize=200_000)
def at_wall(zone: str, day: date, minute_of_day: int) -> int:
    """The first instant at which the wall clock shows that minute; where it never does, as if it had not jumped."""
    wanted = datetime.combine(day, datetime.min.time()) + timedelta(minutes=minute_of_day)
    minute = milliseconds(wanted.replace(tzinfo=UTC)) - offset_at_noon(zone, day) - 150 * MINUTE
    while local(minute, zone) < wanted:
        minute += MINUTE
    if local(minute, zone) == wanted:
        return minute
    shown_before = local(minute - MINUTE, zone)
    return minute - MINUTE + milliseconds(wanted.replace(tzinfo=UTC)) - milliseconds(shown_before.replace(tzinfo=UTC))


@cache
def offset_at_noon(zone: str, day: date) -> int:
    """How far this zone's clocks are ahead of UTC around that day, give or take a change of clocks."""
    noon = milliseconds(datetime(day.year, day.month, day.day, 12, tzinfo=UTC))
    return milliseconds(local(noon, zone).replace(tzinfo=UTC)) - noon


@lru_cache(maxsize=100_000)
def local(time: int, zone: str) -> datetime:
    """What the clock on the wall shows, to the minute."""
    shown = (EPOCH + timedelta(milliseconds=time)).astimezone(ZoneInfo(zone))
    return shown.replace(tzinfo=None, second=0, microsecond=0, fold=0)


def closed(book: dict[str, Any], name: str, day: date) -> bool:
    spec = book["calendars"][name]
    if WEEKDAYS[day.weekday()] not in spec["days"]:
        return True
    if str(day) in spec.get("remove", []):
        return False
    return str(day) in spec.get("add", []) or ("holidays" in spec and day in holidays_of(spec["holidays"]))


@cache
def holidays_of(name: str) -> holidays.HolidayBase:
    country, _, region = name.partition("-")
    return holidays.country_holidays(country, subdiv=region or None)


def milliseconds(time: datetime) -> int:
    return (time - EPOCH) // timedelta(milliseconds=1)


def minute_of(text: str) -> int:
    hours, minutes = map(int, text.split(":"))
    return hours * 60 + minutes


def duration(text: str) -> int:
    total = sum(int(count) * UNITS[unit] for count, unit in re.findall(r"(\d+)(ms|s|m|h|d)", text))
    return -total if text.startswith("-") else total


def setting(book: dict[str, Any], promise: dict[str, Any], name: str, default: str) -> str:
    return str(promise.get(name, book["defaults"].get(name, default)))


def zone_of(book: dict[str, Any], promise: dict[str, Any]) -> str:
    return str(promise.get("timezone", book["defaults"]["timezone"]))
