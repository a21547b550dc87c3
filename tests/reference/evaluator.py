"""A second opinion: what every promise comes to, worked out slowly and obviously, from the rules as written.

It shares no code with the product: it reads the book as plain YAML data, walks through civil time minute by minute and
looks at whole sets of facts, never at differences. Instants are UTC milliseconds.
"""

import json
import re
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import holidays

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = 60_000
UNITS = {"ms": 1, "s": 1_000, "m": MINUTE, "h": 60 * MINUTE, "d": 1440 * MINUTE}
WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

Event = dict[str, Any]
"""source, id, type, time and data (payload fields by dotted path)."""


class Judged(NamedTuple):
    """One cycle, named by the id of its opening event."""

    cycle: str
    opened_at: int
    due: int
    status: str
    fulfilled_at: int | None


def judge(book: dict[str, Any], events: list[Event], frontier: int, known_since: int) -> dict[str, Judged]:
    """By promise, the cycle of one subject as it stands when everything dated before `frontier` is known."""
    families: dict[str, list[dict[str, Any]]] = {}
    for promise in book["promises"]:
        families.setdefault(promise["id"], []).append(promise)
    facts = as_set(book, families, events, known_since)
    judged = {}
    for name, versions in families.items():
        openings = [(fact, opened(book, versions, fact, known_since)) for fact in facts]
        accepted = [(fact, found) for fact, found in openings if found is not None]
        if accepted:
            first, (promise, due) = accepted[0]
            judged[name] = status(book, promise, facts, first, due, frontier)
    return judged


def as_set(
    book: dict[str, Any], families: dict[str, list[dict[str, Any]]], events: list[Event], known_since: int
) -> list[Event]:
    """Each (source, id) once, with the smallest content that means anything to a promise, in order of time and id."""
    chosen: dict[tuple[str, str], Event] = {}
    for event in events:
        means_something = any(
            matches(promise["expect"], event) or ("release" in promise and matches(promise["release"], event))
            for promise in book["promises"]
        ) or any(opened(book, versions, event, known_since) for versions in families.values())
        if not means_something:
            continue
        name = (event["source"], event["id"])
        if name not in chosen or content(event) < content(chosen[name]):
            chosen[name] = event
    return sorted(chosen.values(), key=lambda event: (event["time"], event["id"], event["source"]))


def content(event: Event) -> tuple[int, bytes]:
    text = json.dumps([event["type"], event["data"]], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return (event["time"], text.encode())


def opened(
    book: dict[str, Any], versions: list[dict[str, Any]], event: Event, known_since: int
) -> tuple[dict[str, Any], int] | None:
    """The version this event opens, and its due; None if it opens nothing."""
    in_force = [one for one in versions if effective_from(book, one) <= event["time"]]
    if not in_force:
        return None
    promise = max(in_force, key=lambda one: effective_from(book, one))
    if not matches(promise["when"], event):
        return None
    early = promise["expect"].get("early", False)
    if event["time"] < known_since + (duration(setting(book, promise, "orphan_ttl", "30d")) if early else 0):
        return None
    due = due_of(book, promise, event)
    if due is None or (due < event["time"] and not early):
        return None
    return promise, due


def status(
    book: dict[str, Any], promise: dict[str, Any], facts: list[Event], opening: Event, due: int, frontier: int
) -> Judged:
    skew = duration(setting(book, promise, "skew", "5m"))
    since = opening["time"] - skew
    fulfilments = [
        fact["time"]
        for fact in facts
        if matches(promise["expect"], fact) and (fact["time"] >= since or promise["expect"].get("early"))
    ]
    releases = [
        fact["time"]
        for fact in facts
        if "release" in promise and matches(promise["release"], fact) and since <= fact["time"] <= due
    ]
    first, released = min(fulfilments, default=None), min(releases, default=None)

    def said(word: str, at: int | None = None) -> Judged:
        return Judged(opening["id"], opening["time"], due, word, at)

    if first is not None and first <= due and (released is None or first <= released):
        return said("kept", first)
    if released is not None:
        return said("released")
    if due >= frontier:
        return said("open")
    return said("breached") if first is None else said("fulfilled_late", first)


def matches(wanted: dict[str, Any], event: Event) -> bool:
    if wanted["event"] != event["type"]:
        return False
    for path, value in wanted.get("where", {}).items():
        if path not in event["data"]:
            return False
        found = event["data"][path]
        if json.dumps(found) != json.dumps(value):
            return False
    return True


# Time.


def due_of(book: dict[str, Any], promise: dict[str, Any], event: Event) -> int | None:
    zone = promise.get("timezone", book["defaults"]["timezone"])
    due = promise["due"]
    if "within" in due:
        return int(event["time"]) + duration(due["within"])
    if "field" in due:
        value = event["data"].get(due["field"])
        return None if value is None else instant_in(value, zone, due.get("at")) + duration(due.get("offset", "0s"))
    return plus_days(book, due, zone, event["time"])


def plus_days(book: dict[str, Any], due: dict[str, Any], zone: str, time: int) -> int:
    wall = local(time, zone)
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
    at = due.get("at")
    if at is None:
        within_minute = time % MINUTE
        return at_wall(zone, day, wall.hour * 60 + wall.minute) + within_minute
    if at == "closing":
        spec = book["calendars"][due["calendar"]]
        opens, closes = spec["hours"].split("-")
        crosses = minute_of(closes) <= minute_of(opens)
        if closes == "24:00":
            return end_of_day(spec.get("timezone", zone), day)
        closing_day = day + timedelta(days=1) if crosses else day
        return at_wall(spec.get("timezone", zone), closing_day, minute_of(closes))
    return end_of_day(zone, day) if at == "end_of_day" else at_wall(zone, day, minute_of(at))


def first_day(book: dict[str, Any], due: dict[str, Any], zone: str, time: int) -> date:
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


def instant_in(value: str, zone: str, at: str | None) -> int:
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
    minute = milliseconds(datetime(day.year, day.month, day.day, 12, tzinfo=UTC)) - 1440 * MINUTE
    while local(minute, zone).date() <= day:
        minute += MINUTE
    return minute - 1


@cache
def at_wall(zone: str, day: date, minute_of_day: int) -> int:
    """The first instant at which the wall clock shows that minute; where it never does, as if it had not jumped."""
    wanted = datetime.combine(day, datetime.min.time()) + timedelta(minutes=minute_of_day)
    minute = milliseconds(wanted.replace(tzinfo=UTC)) - 1080 * MINUTE
    while local(minute, zone) < wanted:
        minute += MINUTE
    if local(minute, zone) == wanted:
        return minute
    shown_before = local(minute - MINUTE, zone)
    return minute - MINUTE + milliseconds(wanted.replace(tzinfo=UTC)) - milliseconds(shown_before.replace(tzinfo=UTC))


@cache
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


def effective_from(book: dict[str, Any], promise: dict[str, Any]) -> int:
    written = promise.get("effective_from")
    zone = promise.get("timezone", book["defaults"]["timezone"])
    return -(1 << 62) if written is None else instant_in(written, zone, "00:00")


def setting(book: dict[str, Any], promise: dict[str, Any], name: str, default: str) -> str:
    return str(promise.get(name, book["defaults"].get(name, default)))
