"""Worlds made by chance: a book, what happened to a few subjects, and the ways in which it became known.

Instants that decide something (the due and a millisecond on either side, the edge of the skew) are made often.
"""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.reference.evaluator import Event, due_of, duration, matches, milliseconds

ALWAYS = -(1 << 62)
DAY = 86_400_000
ZONES = {
    # Two spans each: around a change of clocks, and around public holidays.
    "Europe/Amsterdam": ["2026-03-26", "2026-10-22", "2026-04-22", "2026-12-22"],
    "America/Sao_Paulo": ["2018-10-31", "2018-02-14", "2026-12-22"],  # changed its clocks at midnight
    "Africa/Cairo": ["2026-04-21", "2026-10-27"],  # changes its clocks at midnight
    "America/New_York": ["2026-03-05", "2026-10-29", "2026-11-24"],
    "America/Nuuk": ["2022-03-23", "2022-10-26"],  # changed its clocks in the evening
    "Asia/Kolkata": ["2026-01-23"],
}
CALENDARS: dict[str, dict[str, Any]] = {
    "warehouse": {"days": ["mon", "tue", "wed", "thu", "fri", "sat"], "hours": "00:00-24:00", "holidays": "NL"},
    "carrier": {
        "days": ["mon", "tue", "wed", "thu", "fri", "sat"], "hours": "08:00-24:00", "holidays": "NL",
        "remove": ["2026-04-03"], "add": ["2026-12-31"],
    },
    "office": {"days": ["mon", "tue", "wed", "thu", "fri"], "hours": "09:00-17:00", "holidays": "DE-BY"},
    "night": {"days": ["sun", "mon", "tue", "thu"], "hours": "22:00-02:30"},
    "abroad": {"days": ["mon", "tue", "wed", "thu", "fri"], "hours": "09:30-18:00", "timezone": "Asia/Tokyo"},
}  # fmt: skip
OPENS, FULFILS, RELEASES = ("opened", "asked"), ("done", "answered"), ("cancelled", "done")


@dataclass(frozen=True)
class World:
    """A book as plain data, events by subject, and how far the events are known in the end."""

    book: dict[str, Any]
    events: dict[str, list[Event]]
    known_since: int
    frontier: int


@dataclass(frozen=True)
class Arrival:
    """One way in which a world becomes known: events in some order with repetitions, and what happens in between."""

    steps: list[tuple[str, Any]]
    """("event", (subject, event)) | ("frontier", instant) | ("commit", None) | ("restart", None)"""
    slice_size: int


def make_book(chance: random.Random) -> dict[str, Any]:
    """A book of one to four promises, some in two versions."""
    zone = chance.choice(list(ZONES))
    start = milliseconds(datetime.fromisoformat(chance.choice(ZONES[zone])).replace(tzinfo=UTC))
    promises = []
    for index in range(chance.randint(1, 4)):
        promise = make_promise(chance, f"p{index}", zone)
        promises.append(promise)
        if chance.random() < 0.25:
            newer = make_promise(chance, promise["id"], zone)
            newer |= {"version": 2, "effective_from": iso(start + chance.randint(0, 4) * DAY // 2)}
            promises.append(newer)
    defaults = {"timezone": zone, "key": "id", "skew": chance.choice(["0s", "5m"]), "orphan_ttl": "400d"}
    sources = {"s": {"topic": "t", "format": "json", "id": "id", "type": "type", "time": "time"}}
    return {"sources": sources, "defaults": defaults, "calendars": CALENDARS, "promises": promises, "x-start": start}


def make_promise(chance: random.Random, name: str, zone: str) -> dict[str, Any]:
    expect: dict[str, Any] = {"event": chance.choice(FULFILS)}
    if chance.random() < 0.3:
        expect["where"] = {"kind": chance.choice(["a", "b"])}
    if chance.random() < 0.3:
        expect["early"] = True
    promise: dict[str, Any] = {"id": name, "when": {"event": chance.choice(OPENS)}, "expect": expect}
    promise["due"] = make_due(chance, early="early" in expect)
    if chance.random() < 0.3:
        promise["when"]["where"] = {"kind": chance.choice(["a", True, 1])}
    if chance.random() < 0.5:
        promise["release"] = {"event": chance.choice(RELEASES)}
    if chance.random() < 0.2:
        promise["timezone"] = chance.choice([other for other in ZONES if other != zone])
    return promise


def make_due(chance: random.Random, *, early: bool) -> dict[str, Any]:
    form = chance.choice(["within", "plus", "plus", "field"])
    if form == "within":
        return {"within": chance.choice(["15m", "4h", "1h30m", "2d", *(["-1d"] if early else [])])}
    if form == "field":
        due: dict[str, Any] = {"field": chance.choice(["slot", "day"])}
        if chance.random() < 0.5:
            due["offset"] = chance.choice(["-1h", "30m", "-1d"])
        if due["field"] == "day" and chance.random() < 0.5:
            due["at"] = chance.choice(["end_of_day", "12:00", "02:30"])
        return due
    due = {"plus": chance.choice([0, 1, 1, 2, 5]), "unit": "day"}
    if chance.random() < 0.5:
        due |= {"cutoff": chance.choice(["18:00", "02:30", "00:00"]), "of": chance.choice(list(CALENDARS))}
    if chance.random() < 0.6:
        due["calendar"] = chance.choice(list(CALENDARS))
    at = chance.choice([None, "end_of_day", "closing", "12:00", "02:30", "00:30"])
    if at is not None and (at != "closing" or "calendar" in due):
        due["at"] = at
    return due


def make_world(chance: random.Random, book: dict[str, Any]) -> World:
    start = book["x-start"]
    names = [f"{name}-{chance.randint(0, 9)}" for name in "xyz"[: chance.randint(1, 3)]]
    events = {name: make_story(chance, book, start) for name in names}
    instants = [event["time"] for story in events.values() for event in story]
    dues = [due for story in events.values() for event in story for due in dues_of(book, event)]
    frontier = chance.choice([*dues, *(due + 1 for due in dues), max(instants + dues) + chance.randint(1, DAY)])
    known_since = chance.choice([ALWAYS, ALWAYS, min(instants), min(instants) + 1])
    return World(book, events, known_since, frontier)


def make_story(chance: random.Random, book: dict[str, Any], start: int) -> list[Event]:
    """What happened to one subject: openings, then events placed around what they promise."""
    story = [
        make_event(chance, chance.choice(OPENS), start + chance.choice([30, 60]) * chance.randint(0, 11_520) * 1_000, n)
        for n in range(chance.randint(1, 3))
    ]
    decisive = [event["time"] + 1 for event in story]
    for event in story:
        for due in dues_of(book, event):
            between = sorted([event["time"], due])
            decisive += [due - 1, due, due + 1, due + DAY, chance.randint(*between)]
        skew = duration(book["defaults"]["skew"])
        decisive += [event["time"] - skew, event["time"] - skew - 1, event["time"], event["time"] - DAY]
    for n in range(chance.randint(0, 5)):
        kind = chance.choice([*FULFILS, *FULFILS, "cancelled", "unrelated"])
        story.append(make_event(chance, kind, chance.choice(decisive), 10 + n))
    if chance.random() < 0.25:  # two contents under one id
        twin = dict(chance.choice(story))
        other = make_event(chance, chance.choice([twin["type"], "done", "opened"]), twin["time"], 99)
        twin |= {"type": other["type"], "data": other["data"], "time": twin["time"] + chance.choice([-1, 0, 0, 1])}
        story.append(twin)
    return story


def make_event(chance: random.Random, kind: str, time: int, number: int) -> Event:
    data: dict[str, Any] = {}
    if chance.random() < 0.8:
        data["kind"] = chance.choice(["a", "a", "b", True, 1, "1"])
    if chance.random() < 0.8:
        data["slot"] = chance.choice([iso(time + chance.randint(-4, 40) * 3_600_000), wall(time + 7 * 3_600_000), None])
    if chance.random() < 0.8:
        data["day"] = wall(time + chance.randint(0, 3) * DAY)[:10]
    return {"source": "s", "id": f"{chance.choice('mn')}{number}", "type": kind, "time": time, "data": data}


def dues_of(book: dict[str, Any], event: Event) -> list[int]:
    found = [due_of(book, promise, event) for promise in book["promises"] if matches(promise["when"], event)]
    return [due for due in found if due is not None]


def make_arrival(chance: random.Random, world: World) -> Arrival:
    """Some order, some repetitions, some frontier steps (never past the last), some commits and restarts."""
    events = [("event", (subject, event)) for subject, story in world.events.items() for event in story]
    events += chance.choices(events, k=chance.randint(0, len(events)))
    if chance.random() < 0.7:
        chance.shuffle(events)
    else:
        events.sort(key=lambda step: step[1][1]["time"])
    dues = sorted(due for _, (_, event) in events for due in dues_of(world.book, event))
    marks = [due + chance.choice([0, 1, DAY]) for due in dues] + [event["time"] for _, (_, event) in events]
    marks = sorted(mark for mark in chance.choices(marks, k=chance.randint(0, 4)) if mark < world.frontier)
    steps: list[tuple[str, Any]] = list(events)
    places = sorted(chance.randint(0, len(steps)) for _ in marks)
    for place, mark in reversed(list(zip(places, marks, strict=True))):
        steps.insert(place, ("frontier", mark))
    for word in ("commit", "commit", "restart"):
        if chance.random() < 0.5:
            steps.insert(chance.randint(0, len(steps)), (word, None))
    steps.append(("frontier", world.frontier))
    return Arrival(steps, chance.choice([1, 2, 100]))


def iso(time: int) -> str:
    return f"{wall(time)}Z"


def wall(time: int) -> str:
    return datetime.fromtimestamp(time // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
