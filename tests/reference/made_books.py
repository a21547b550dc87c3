"""Promise books made by chance, promise by promise: a set of constructs that go together, then their spelling."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import combinations
from typing import Any

from tests.reference.civil import milliseconds

DAY = 86_400_000
ZONES = {
    # Spans around a change of clocks, and around public holidays.
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

NEEDS = {
    "list": "event", "where": "event", "if": "event", "enter": "event", "again": "event",
    "working time": "within", "negative": "within", "calendar": "plus", "cutoff": "plus", "end of day": "plus",
    "closing": "calendar", "at a time": "plus", "offset": "field",
    "early": "expect", "shared": "expect", "count": "expect", "distinct": "count", "match": "expect",
    "expect list": "expect", "expect where": "expect", "expect if": "expect", "not before": "expect",
    "third time": "forbid", "until": "forbid", "forbid match": "forbid",
}  # fmt: skip
"""What a construct belongs to."""
CHOICES = [
    ["event", "breach of"],
    ["within", "plus", "field"],
    ["expect", "leave", "holds", "forbid"],
]
"""A promise has exactly one of each."""
APART = [
    {"end of day", "closing", "at a time"}, {"leave", "breach of"}, {"holds", "breach of"}, {"negative", "warn"},
    {"negative", "pause"}, {"negative", "working time"}, {"leave", "list"}, {"holds", "enter"}, {"forbid", "warn"},
]  # fmt: skip
"""What does not go together, or never comes to anything together."""
OPTIONS = ["pause", "repromise", "release", "warn", "versions", "own zone"]
CONSTRUCTS = [*(one for choice in CHOICES for one in choice), *NEEDS, *OPTIONS]
LIKELY = {
    "negative": 0.5, "early": 0.25, "breach of": 0.3, "offset": 0.5, "forbid match": 0.4,
    "own zone": 0.1, "again": 0.5, "versions": 0.15, "calendar": 0.6,
    "closing": 0.6, "distinct": 0.6, "third time": 0.4, "until": 0.5, "working time": 0.4,
}  # fmt: skip
"""How likely a construct is where it fits, if not as likely as most."""

WHEN_IFS = {
    "data.sims == 2": {"sims": 2},
    'data.cents > 5 && data.kind == "a"': {"cents": 9, "kind": "a"},
    'has(data.ref) && !(data.kind == "b")': {"ref": "r1", "kind": "a"},
    "data.item.cents + 1 >= 4 || data.sims < 1": {"item": {"cents": 3}},
    'data.kind in ["a", "c"] && data.cents % 2 == 1': {"kind": "a", "cents": 7},
}
LATER_IFS = WHEN_IFS | {
    "data.cents >= opened.cents": {"cents": 9},
    'opened.ref == data.ref || type == "never"': {"ref": "r1"},
    "!has(opened.sims) || data.sims != opened.sims - 1": {"sims": 3},
}
HOLDS = {
    "l.cents == r.cents": ["l", "r"],
    'l.cents <= r.cents && (r.kind != "b" || has(l.ref))': ["l", "r"],
    "l.cents == r.cents && r.cents == m.cents": ["l", "r", "m"],
}
ALIASES = {"l": "left.set", "r": "right.set", "m": "middle.set"}

Book = dict[str, Any]
Promise = dict[str, Any]


def closure(constructs: set[str]) -> set[str]:
    """These constructs and what they belong to."""
    found = set(constructs)
    while more := {NEEDS[one] for one in found if one in NEEDS} - found:
        found |= more
    if "negative" in found:
        found |= {"early", "expect"}
    return found


def together(constructs: set[str]) -> bool:
    """Whether one promise can have all of them."""
    found = closure(constructs)
    return (
        all(len(found & set(group)) <= 1 for group in CHOICES)
        and not any(apart <= found for apart in APART[1:])
        and (len(found & APART[0]) <= 1)
    )


SHORT_MEMORIES = [
    {"orphan_ttl": "20d", "retention": "30d"}, {"orphan_ttl": "3d", "retention": "5d"},
    {"orphan_ttl": "30d", "retention": "3d"},
]  # fmt: skip
NOT_SIMPLE = {
    "breach of", "leave", "holds", "forbid", "list", "if", "enter", "again", "working time", "shared", "count",
    "distinct", "match", "expect list", "expect if", "not before", "pause", "repromise", "warn",
}  # fmt: skip
"""What a promise has none of if it is to be followed fact by fact, as most promises are where nothing is taken back."""
PAIRS = [pair for pair in combinations(CONSTRUCTS, 2) if together(set(pair))]


def make_book(chance: random.Random, wanted: list[tuple[str, str]], accepted: Callable[[Book], bool]) -> Book:
    """A book that is accepted (one where something can never happen is not)."""
    while not accepted(book := make_any_book(chance, wanted)):
        pass
    return book


def make_any_book(chance: random.Random, wanted: list[tuple[str, str]]) -> Book:
    """A book with a promise for each of the wanted pairs of constructs, some promises in two versions."""
    zone = chance.choice(list(ZONES))
    start = milliseconds_of(chance.choice(ZONES[zone]))
    promises: list[Promise] = []
    features: dict[str, set[str]] = {}
    for index, pair in enumerate(wanted):
        constructs = choose(chance, set(pair))
        causes = [one["id"] for one in promises if "negative" not in features[one["id"]]]
        if "breach of" in constructs and not causes:
            cause = choose(chance, {"event"}, never={"breach of"})
            features[f"c{index}"] = cause
            promises += spell(chance, f"c{index}", cause, zone, start, None)
            causes = [f"c{index}"]
        features[f"p{index}"] = constructs
        promises += spell(
            chance,
            f"p{index}",
            constructs,
            zone,
            start,
            chance.choice([*causes[-2:], None]) or (causes[-1] if causes else None),
        )
    takes_back = chance.random() < 0.5
    for index in range(0 if takes_back else chance.choice([0, 1, 2])):
        constructs = choose(chance, {"event", "expect"}, never=NOT_SIMPLE)
        features[f"s{index}"] = constructs
        promises += spell(chance, f"s{index}", constructs, zone, start, None)
    defaults = {"timezone": zone, "key": "id", "skew": chance.choice(["0s", "5m"])}
    defaults |= {"orphan_ttl": "400d", "retention": "4000d"} if chance.random() < 0.8 else chance.choice(SHORT_MEMORIES)
    source = {"topic": "t", "format": "json", "id": "id", "type": "type", "time": "time"}
    if takes_back:
        source["withdraws"] = "withdraws"
    made = {"sources": {"s": source}, "defaults": defaults, "calendars": CALENDARS, "promises": promises}
    return made | {"x-start": start, "x-features": features}


def milliseconds_of(day: str) -> int:
    return milliseconds(datetime.fromisoformat(day).replace(tzinfo=UTC))


def choose(chance: random.Random, must: set[str], never: set[str] = frozenset()) -> set[str]:
    """A set of constructs that go together, these among them."""
    chosen = closure(must)
    for group in CHOICES:
        fitting = [one for one in group if one not in never and together(chosen | {one})]
        weights = [LIKELY.get(one, 1.0) for one in fitting]
        if not chosen & set(group):
            chosen = closure(chosen | {chance.choices(fitting, weights)[0]})
    optional = [one for one in CONSTRUCTS if one not in chosen and not any(one in group for group in CHOICES)]
    optional = [one for one in optional if one not in never]
    chance.shuffle(optional)
    for one in optional:
        possible = closure({one}) - {one} <= chosen and together(chosen | {one})
        if possible and chance.random() < LIKELY.get(one, 0.22):
            chosen.add(one)
    return chosen


def spell(chance: random.Random, name: str, has: set[str], zone: str, start: int, cause: str | None) -> list[Promise]:
    promise = spell_one(chance, name, has, zone, cause)
    if "versions" not in has:
        return [promise]
    newer = spell_one(chance, name, has, zone, cause)
    starts = start + chance.randint(0, 4) * DAY // 2
    return [promise, newer | {"version": 2, "effective_from": iso(starts)}]


def spell_one(chance: random.Random, name: str, has: set[str], zone: str, cause: str | None) -> Promise:
    promise: Promise = {"id": name, "when": spell_when(chance, has, cause), "due": spell_due(chance, has)}
    if "forbid" in has:
        spell_forbid(chance, has, promise)
    else:
        promise["expect"] = spell_expect(chance, has)
    if "not before" in has:
        promise["not_before"] = "from"
    if "pause" in has:
        until: Any = chance.choice(["resumes", {"event": "resumes", "where": {"kind": "a"}}])
        pause = {"event": chance.choice(["waits", "waits", ["waits", "asked"]]), "until": until}
        promise["pause"] = pause | {"max": chance.choice(["2h", "1d", "10d"])}
    if "repromise" in has:
        promise["repromise"] = {"event": "moved", "field": "slot", "max": chance.choice([1, 1, 2, 3])}
        refine(chance, promise["repromise"])
    if "release" in has:
        promise["release"] = {"event": chance.choice(["cancelled", "cancelled", "done", ["cancelled", "left"]])}
        refine(chance, promise["release"])
    if "warn" in has:
        promise["warn"] = chance.sample(["-1h", "-5m", "-1d", "80%", "50%"], chance.randint(1, 3))
    if "own zone" in has:
        promise["timezone"] = chance.choice([other for other in ZONES if other != zone])
    return promise


def refine(chance: random.Random, match: dict[str, Any]) -> None:
    """Sometimes, only some of these events are meant."""
    if chance.random() < 0.2:
        match["where"] = {"kind": chance.choice(["a", "b"])}
    if chance.random() < 0.15:
        match["if"] = chance.choice(list(LATER_IFS))
    if chance.random() < 0.15:
        match["match"] = ["ref"]


def spell_when(chance: random.Random, has: set[str], cause: str | None) -> dict[str, Any]:
    if "breach of" in has:
        assert cause is not None
        return {"breach_of": cause}
    when: dict[str, Any] = {"event": chance.choice(["opened", "asked"])}
    if "holds" in has and chance.random() < 0.8:
        when["event"] = chance.choice(list(ALIASES.values())[:2])
    if has & {"leave", "enter"}:
        when["event"] = "status"
    if "list" in has:
        when["event"] = list(ALIASES.values()) if "holds" in has else [when["event"], "asked", "opened"][:2]
        if len(set(when["event"])) == 1:
            when["event"] = ["asked", "opened"]
    if "where" in has:
        when["where"] = {"kind": chance.choice(["a", "a", True, 1])}
    if "if" in has:
        when["if"] = chance.choice(list(WHEN_IFS))
    if "enter" in has:
        when |= {"field": "status", "enter": chance.choice([["p"], ["p", "q"], ["q", 1]])}
    if "again" in has:
        when["again"] = True
    return when


def spell_due(chance: random.Random, has: set[str]) -> dict[str, Any]:
    if "negative" in has:
        return {"within": chance.choice(["-1d", "-3d", "-2h"])}
    if "within" in has:
        working = {"calendar": chance.choice(list(CALENDARS))} if "working time" in has else {}
        return {"within": chance.choice(["15m", "4h", "1h30m", "2d", "20h"])} | working
    if "field" in has:
        due: dict[str, Any] = {"field": chance.choice(["slot", "slot", "day"])}
        if "offset" in has:
            due["offset"] = chance.choice(["-1h", "30m", "-1d"])
        if due["field"] == "day" and chance.random() < 0.5:
            due["at"] = chance.choice(["end_of_day", "12:00", "02:30"])
        return due
    due = {"plus": chance.choice([0, 1, 1, 2, 5]), "unit": "day"}
    if "cutoff" in has:
        due |= {"cutoff": chance.choice(["18:00", "02:30", "00:00"]), "of": chance.choice(list(CALENDARS))}
    if "calendar" in has:
        due["calendar"] = chance.choice(list(CALENDARS))
    if "at a time" in has:
        due["at"] = chance.choice(["12:00", "02:30", "00:30"])
    if "end of day" in has:
        due["at"] = "end_of_day"
    return due | ({"at": "closing"} if "closing" in has else {})


def spell_expect(chance: random.Random, has: set[str]) -> dict[str, Any]:
    if "leave" in has:
        return {"leave": "status"}
    if "holds" in has:
        text = chance.choice(list(HOLDS))
        return {"holds": text, "from": {alias: ALIASES[alias] for alias in HOLDS[text]}}
    several = ["done", "answered"]
    one = chance.choice([*several, *several, "asked"])
    expect: dict[str, Any] = {"event": several if "expect list" in has else one}
    if "expect where" in has:
        expect["where"] = {"kind": chance.choice(["a", "b"])}
    if "expect if" in has:
        expect["if"] = chance.choice(list(LATER_IFS))
    if "match" in has:
        expect["match"] = ["ref"]
    if "count" in has:
        expect["count"] = chance.choice([2, 2, 3])
    if "distinct" in has:
        expect["distinct"] = "unit"
    for word in ("early", "shared"):
        if word in has:
            expect[word] = True
    return expect


def spell_forbid(chance: random.Random, has: set[str], promise: Promise) -> None:
    promise["forbid"] = {"event": chance.choice(["bad", "bad", "asked", ["bad", "opened"]])}
    if "third time" in has:
        promise["forbid"]["count"] = 2
    if "forbid match" in has:
        promise["forbid"]["match"] = ["ref"]
    if chance.random() < 0.2:
        promise["forbid"]["if"] = chance.choice(list(LATER_IFS))
    if "until" in has:
        promise["until"] = {"event": "mended"}
        refine(chance, promise["until"])
        if chance.random() < 0.3:
            promise["until"] = {"event": "bad", "where": {"kind": "b"}}


def iso(time: int) -> str:
    return f"{wall(time)}Z"


def wall(time: int) -> str:
    return datetime.fromtimestamp(time // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
