"""Worlds made by chance: a book, what happened to a few subjects, and the ways in which it became known.

Instants that decide something (a due and a millisecond on either side, the edge of the skew) are made often: after the
first events the evaluator tells what is due when, and further events are placed there.
"""

import random
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from tests.reference.civil import duration
from tests.reference.evaluator import Judged, judge
from tests.reference.facts import Event, wanted_events
from tests.reference.made_books import DAY, LATER_IFS, iso, wall

ALWAYS = -(1 << 62)
FAR = 1 << 50
TTL = 400 * DAY

Expected = dict[tuple[str, str], list[Judged]]
"""By promise and subject."""


@dataclass(frozen=True)
class World:
    """A book as plain data, events by subject, and how far the events are known in the end."""

    book: dict[str, Any]
    events: dict[str, list[Event]]
    known_since: int
    frontier: int

    def judged(self, frontier: int) -> Expected:
        """Every cycle, when everything before that instant is known."""
        return {
            (name, subject): cycles
            for subject, story in self.events.items()
            for name, cycles in judge(self.book, story, frontier, self.known_since).items()
        }

    @property
    def goes_on(self) -> bool:
        """Whether more is known than happened before the frontier."""
        return any(event["time"] >= self.frontier for story in self.events.values() for event in story)

    def until(self, instant: int) -> "World":
        """The world with nothing in it that happened at that instant or later."""
        events = {
            subject: [event for event in story if event["time"] < instant] for subject, story in self.events.items()
        }
        return replace(self, events=events)

    @cached_property
    def in_the_end(self) -> Expected:
        """Every cycle, when everything is known for ever."""
        return self.judged(FAR)

    @cached_property
    def instants(self) -> list[int]:
        """Every instant of an event, a due, a breach or a warning, and the next one."""
        found = {event["time"] for story in self.events.values() for event in story}
        for one in (one for cycles in self.in_the_end.values() for one in cycles):
            found |= {one.due, one.first_due, one.breached_at or one.due}
            found |= {instant for _, instant, _ in one.warnings}
        return sorted(found | {instant + 1 for instant in found})


@dataclass(frozen=True)
class Arrival:
    """One way in which a world becomes known: events in some order with repetitions, and what happens in between."""

    steps: list[tuple[str, Any]]
    """("event", (subject, event)) | ("frontier", instant) | ("commit", None) | ("restart", None)"""
    slice_size: int
    prompt: bool = False
    """Facts come in order of time and the frontier keeps up with them: then warnings are certain too."""
    watched: bool = False
    """Each fact is a batch of its own, and each breach is looked at when it is published."""
    to_the_end: bool = False
    """Once the verdicts have been compared, the frontier goes so far that nothing is left to be kept."""


def make_world(chance: random.Random, book: dict[str, Any]) -> World:
    names = [f"{name}-{chance.randint(0, 9)}" for name in "xyz"[: chance.choice([1, 1, 2])]]
    events = {name: Story(chance, book, number).tell() for number, name in enumerate(names)}
    instants = [event["time"] for story in events.values() for event in story]
    since = min(instants) + chance.choice([0, 1])
    world = World(book, events, chance.choice([*[ALWAYS] * 8, since, since - TTL]), FAR)
    dues = [one.due for cycles in world.in_the_end.values() for one in cycles]
    past = max(instants + dues) + 40 * DAY
    frontier = chance.choice([past, past, past, *(dues and [chance.choice(dues) + chance.choice([0, 1])])])
    ended = replace(world, frontier=min(frontier, horizon(book, min(instants + dues))))
    if ended.goes_on and chance.random() < 0.5:
        return ended.until(ended.frontier)
    vars(ended)["in_the_end"] = world.in_the_end  # it does not depend on the frontier
    return ended


def horizon(book: dict[str, Any], first: int) -> int:
    """Up to this frontier nothing can have been forgotten, if the first event or due is of that instant."""
    return first + min(duration(book["defaults"][name]) for name in ("retention", "orphan_ttl")) - 1


class Story:
    """What happened to one subject: openings, then events placed around what they promise."""

    def __init__(self, chance: random.Random, book: dict[str, Any], number: int) -> None:
        self.chance = chance
        self.book = book
        self.events: list[Event] = []
        self.prefix = "mnk"[number]
        mine = chance.sample(book["promises"], min(len(book["promises"]), chance.choice([1, 2, 3, 4])))
        self.promises = list(mine)
        for promise in mine:
            self.promises += self.causes(promise)
        ids = {promise["id"] for promise in self.promises}
        self.about = book | {"promises": [promise for promise in book["promises"] if promise["id"] in ids]}
        """The book without the promises that this story is not about."""

    def causes(self, promise: dict[str, Any]) -> list[dict[str, Any]]:
        wanted = promise["when"].get("breach_of")
        found = [one for one in self.book["promises"] if one["id"] == wanted]
        return found + [more for one in found for more in self.causes(one)]

    def tell(self) -> list[Event]:
        chance, start = self.chance, self.book["x-start"]
        begin = start + chance.choice([30, 60]) * chance.randint(0, 8_640) * 1_000
        for promise in self.promises:
            for _ in range(chance.choice([1, 1, 2, 3])):
                if "event" in promise["when"]:
                    apart = chance.choice([0, 60_000, 3_600_000, DAY])
                    self.happens(promise, "when", begin + chance.randint(0, 3) * apart, None)
        for _ in range(chance.choice([1, 2, 3])):
            self.round()
        if chance.random() < 0.12:
            self.twin()
        if chance.random() < 0.4 and self.events and "withdraws" in self.book["sources"]["s"]:
            self.withdraw()
        return self.events

    def round(self) -> None:
        """Place events where the promises that run now decide."""
        judged = judge(self.about, self.events, FAR, ALWAYS)
        running = [
            (promise, cycle)
            for promise in self.promises
            for cycle in judged[promise["id"]]
            if cycle.version == promise.get("version", 1)
        ]
        for _ in range(self.chance.choice([1, 2, 3, 4]) if running else 0):
            promise, cycle = self.chance.choice(running)
            opening = next((event for event in self.events if event["id"] == cycle.cycle), None)
            role = self.chance.choice(roles(promise))
            time = self.instant(promise, cycle)
            if role in ("repromise", "pause", "until") and self.chance.random() < 0.7:
                time = self.chance.randint(*sorted([cycle.opened_at, cycle.due]))
            self.happens(promise, role, time, opening)

    def instant(self, promise: dict[str, Any], cycle: Judged) -> int:
        chance = self.chance
        skew = duration(self.book["defaults"]["skew"])
        early, late = sorted([cycle.opened_at, cycle.due])
        decisive = [cycle.due + delta for delta in (-1, 0, 1)] * 2 + [cycle.opened_at + delta for delta in (0, 1)]
        decisive += [cycle.opened_at - skew - delta for delta in (0, 1)] + [cycle.first_due, cycle.due + DAY]
        decisive += [chance.randint(early, late)] * 6
        if "pause" in promise:
            before = [event["time"] for event in self.events if event["type"] in ("waits", "asked")]
            longest = duration(promise["pause"]["max"])
            decisive += [time + longest + chance.choice([-1, 0, 1]) for time in before]
            decisive += [time + chance.randint(0, longest) for time in before] * 2
        if promise.get("not_before"):
            decisive += [cycle.due - 3_600_000 + delta for delta in (-1, 0, 1)]
        return chance.choice(decisive)

    def happens(self, promise: dict[str, Any], role: str, time: int, opening: Event | None) -> None:
        """One event, most often one that means something in this role."""
        wanted = promise[role] if role in promise else promise["pause"]["until"]
        if role == "expect" and "from" in wanted:
            kind = self.chance.choice(list(wanted["from"].values()))
        elif role == "expect" and "leave" in wanted:
            kind = self.chance.choice(wanted_events(promise["when"]))
        else:
            kind = self.chance.choice(wanted_events(wanted))
        data = make_data(self.chance, time)
        if isinstance(wanted, dict) and self.chance.random() < 0.85:
            data |= LATER_IFS.get(wanted.get("if", ""), {}) | wanted.get("where", {})
            if role == "when" and "enter" in wanted:
                data["status"] = self.chance.choice(wanted["enter"])
            if "match" in wanted and opening and "ref" in opening["data"]:
                data["ref"] = opening["data"]["ref"]
        if self.chance.random() < 0.03:
            kind = "unrelated"
        self.add(kind, time, data)

    def add(self, kind: str, time: int, data: dict[str, Any]) -> Event:
        name = f"{self.prefix}{self.chance.choice('ab')}{len(self.events)}"
        event = {"source": "s", "id": name, "type": kind, "time": time, "data": data}
        self.events.append(event)
        return event

    def twin(self) -> None:
        """Two contents under one id."""
        twin = dict(self.chance.choice(self.events))
        other = self.chance.choice(self.events)
        twin |= {"type": other["type"], "data": make_data(self.chance, twin["time"])}
        twin["time"] += self.chance.choice([-1, 0, 0, 1])
        self.events.append(twin)

    def withdraw(self) -> None:
        """An event that takes another one back."""
        taken = self.chance.choice(self.events)
        time = taken["time"] + self.chance.choice([-1, 0, 1, 3_600_000, 2 * DAY])
        event = self.add(self.chance.choice([taken["type"], "unrelated"]), time, make_data(self.chance, time))
        event["withdraws"] = taken["id"]


def roles(promise: dict[str, Any]) -> list[str]:
    """What events can be in this promise, the more telling ones more often."""
    found = ["expect"] * 3 if "expect" in promise else ["forbid"] * 2
    found += ["when"] if "event" in promise["when"] else []
    found += [role for role in ("release", "repromise", "repromise", "until", "pause", "pause") if role in promise]
    return found + (["resume"] * 2 if "pause" in promise else [])


def make_data(chance: random.Random, time: int) -> dict[str, Any]:
    slot = chance.choice([iso(time + chance.randint(-4, 60) * 3_600_000), wall(time + 7 * 3_600_000), None])
    data = {
        "kind": chance.choice(["a", "a", "b", "b", True, 1, "1"]),
        "slot": slot if chance.random() < 0.8 else iso(time + 86_400_000),
        "day": wall(time + chance.randint(0, 3) * DAY)[:10],
        "from": iso(time + chance.randint(-4, 8) * 3_600_000),
        "ref": chance.choice(["r1", "r2"]),
        "unit": chance.choice(["u1", "u2", "u3"]),
        "status": chance.choice(["p", "q", "r", None, 1]),
        "cents": chance.choice([7, 7, 8, 9]),
        "sims": chance.choice([1, 2, 3]),
        "item": {"cents": chance.choice([2, 3])},
    }
    return {name: value for name, value in data.items() if chance.random() < 0.85}


def make_arrival(chance: random.Random, world: World) -> Arrival:
    keeps_up = chance.random() < 0.25 and not world.goes_on
    arrival = prompt(chance, world) if keeps_up else shuffled(chance, world)
    return replace(arrival, watched=chance.random() < 0.08, to_the_end=chance.random() < 0.12)


def shuffled(chance: random.Random, world: World) -> Arrival:
    """Some order, some repetitions, some frontier steps (never past the last), some commits and restarts."""
    events = [("event", (subject, event)) for subject, story in world.events.items() for event in story]
    events += chance.choices(events, k=chance.randint(0, len(events)))
    if chance.random() < 0.7:
        chance.shuffle(events)
    else:
        events.sort(key=lambda step: step[1][1]["time"])
    marks = [mark for mark in world.instants if mark < world.frontier]
    marks = sorted(chance.choices(marks, k=chance.randint(0, 4))) if marks else []
    steps: list[tuple[str, Any]] = list(events)
    places = sorted(chance.randint(0, len(steps)) for _ in marks)
    for place, mark in reversed(list(zip(places, marks, strict=True))):
        steps.insert(place, ("frontier", mark))
    for word in ("commit", "commit", "restart"):
        if chance.random() < 0.5:
            steps.insert(chance.randint(0, len(steps)), (word, None))
    steps.append(("frontier", world.frontier))
    return Arrival(steps, chance.choice([1, 2, 100]))


def prompt(chance: random.Random, world: World) -> Arrival:
    """Every fact before the frontier passes it, and the frontier at every instant that matters."""
    events = [("event", (subject, event)) for subject, story in world.events.items() for event in story]
    marks = [("frontier", mark) for mark in world.instants if mark < world.frontier]
    steps = sorted(events + marks, key=lambda step: (instant_of(step), step[0] == "event"))
    return Arrival([*steps, ("frontier", world.frontier)], chance.choice([1, 100]), prompt=True)


def instant_of(step: tuple[str, Any]) -> int:
    return int(step[1] if step[0] == "frontier" else step[1][1]["time"])
