"""Facts: what an event says, which events are meant, and what is left when repetitions and withdrawals are gone."""

import json
import re
from collections.abc import Callable
from typing import Any

from tests.reference.conditions import is_true

Data = dict[str, Any]
Event = dict[str, Any]
"""source, id, type, time, data, and for one that takes back an earlier one of its source `withdraws`: that one's id."""

_MISSING = object()


def reach(data: Any, path: str) -> Any:
    """What stands at a dotted path, or something `missing`."""
    for name in path.split("."):
        if not isinstance(data, dict) or name not in data:
            return _MISSING
        data = data[name]
    return data


def missing(value: Any) -> bool:
    return value is _MISSING


def alike(one: Any, other: Any) -> bool:
    """Whether two values of payloads or books are the same value: true is not 1, and a missing one is like none."""
    return not missing(one) and not missing(other) and json.dumps(one) == json.dumps(other)


def wanted_events(wanted: Any) -> list[str]:
    """The event types that a part of a promise names."""
    named = wanted["event"] if isinstance(wanted, dict) else wanted
    return [named] if isinstance(named, str) else list(named)


def resembles(wanted: Any, event: Event) -> bool:
    """Whether the event is of the right type and has the right values, whatever the conditions say."""
    if event["type"] not in wanted_events(wanted):
        return False
    where = wanted.get("where", {}) if isinstance(wanted, dict) else {}
    return all(alike(reach(event["data"], path), value) for path, value in where.items())


def matches(wanted: Any, event: Event, opened: Data | None = None) -> bool:
    """Whether this event is meant, in the cycle whose opening had the payload `opened`."""
    if not resembles(wanted, event):
        return False
    if not isinstance(wanted, dict):
        return True
    if "match" in wanted:
        assert opened is not None
        if not all(alike(reach(event["data"], path), reach(opened, path)) for path in wanted["match"]):
            return False
    variables = {"data": event["data"], "type": event["type"], "time": event["time"]}
    if opened is not None:
        variables["opened"] = opened
    return "if" not in wanted or is_true(wanted["if"], variables)


def order(event: Event) -> tuple[int, str, str]:
    """The one order of all facts."""
    return (event["time"], event["id"], event["source"])


def as_set(events: list[Event], means_something: Callable[[Event], bool]) -> list[Event]:
    """What is known: no fact that was withdrawn, each (source, id) once with its smallest content, in order."""
    gone = {(event["source"], event["withdraws"]) for event in events if "withdraws" in event}
    chosen: dict[tuple[str, str], Event] = {}
    for event in events:
        name = (event["source"], event["id"])
        if "withdraws" in event or name in gone or not means_something(event):
            continue
        if name not in chosen or content(event) < content(chosen[name]):
            chosen[name] = event
    return sorted(chosen.values(), key=order)


def reduced(event: Event, fields: set[str]) -> Event:
    """The event with only those payload fields: no others are kept, so no others can make it another fact."""
    kept = {path: value for path, value in flat(event["data"]).items() if path in fields}
    return event | {"data": nested(kept)}


def fields_named(part: Any, key: str = "") -> set[str]:
    """Every payload field that a book, or a part of it, speaks of."""
    if isinstance(part, dict):
        of_where = set(part["where"]) if "where" in part else set()
        return of_where.union(*(fields_named(inner, name) for name, inner in part.items()))
    if isinstance(part, list):
        return set().union(*(fields_named(inner, key) for inner in part))
    if key in ("if", "holds"):
        return {path.partition(".")[2] for path in re.findall(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+", part)}
    return {part} if key in ("field", "match", "distinct", "leave", "not_before") else set()


class Remembered:
    """Answers about things that nobody changes, told apart by which thing it is; the newest few are kept."""

    def __init__(self, answer: Callable[[Any], Any], number: int = 100) -> None:
        self.answer = answer
        self.number = number
        self.known: dict[int, tuple[Any, Any]] = {}

    def __call__(self, thing: Any) -> Any:
        found = self.known.get(id(thing))
        if found is None or found[0] is not thing:
            if len(self.known) >= self.number:
                self.known.clear()
            found = self.known[id(thing)] = (thing, self.answer(thing))
        return found[1]


fields_of = Remembered(fields_named)
"""Of the promises of a book: `fields_named`."""


def nested(data: Data) -> Data:
    """The payload of which this is the form by dotted path."""
    found: Data = {}
    for path, value in data.items():
        holder = found
        *above, name = path.split(".")
        for one in above:
            holder = holder.setdefault(one, {})
        holder[name] = value
    return found


def content(event: Event) -> tuple[int, bytes]:
    said = [event["type"], flat(event["data"])]
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return (event["time"], text.encode())


def flat(data: Data, prefix: str = "") -> Data:
    """A payload by dotted path."""
    found: Data = {}
    for name, value in data.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found
