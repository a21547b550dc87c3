"""What a promise means by an event, as data and in words."""

from typing import Any

import msgspec

from schemas.book_model import Expect, Forbid, Match, When


def condition(match: Match) -> dict[str, Any]:
    """Which events are meant; what is not demanded is left out, but for `where`."""
    event = match.events[0] if len(match.events) == 1 else list(match.events)
    more = {"if": match.condition.text if match.condition else None, "match": list(match.same)}
    return {"event": event, "where": dict(match.where)} | {key: value for key, value in more.items() if value}


def counted(goal: Expect | Forbid) -> dict[str, Any]:
    """How many events it takes, if it takes more than one."""
    if goal.count == 1:
        return {}
    distinct = goal.distinct if isinstance(goal, Expect) else None
    return {"count": goal.count} | ({"distinct": distinct} if distinct else {})


def as_text(part: dict[str, Any]) -> str:
    """`order.placed where speed = "next"`."""
    if "leave" in part:
        return f"another {part['leave']} than the event's own"
    if "holds" in part:
        return f"{part['holds']}, with " + ", ".join(f"{alias} of {event}" for alias, event in part["of"].items())
    event = part["event"] if isinstance(part["event"], str) else " or ".join(part["event"])
    times = f"{part['count']} x " if "count" in part else ""
    demands = [f"{path} = {msgspec.json.encode(value).decode()}" for path, value in part["where"].items()]
    demands += [part["if"]] if "if" in part else []
    demands += [f"{path} as in the event" for path in part.get("match", ())]
    distinct = f" with different {part['distinct']}" if "distinct" in part else ""
    return f"{times}{event}{distinct}" + (f" where {' and '.join(demands)}" if demands else "")


def opening_text(when: When) -> str:
    """What opens the promise."""
    if when.match is None:
        return f"a breach of {when.breach_of}"
    values = " or ".join(msgspec.json.encode(value).decode() for value in when.enter)
    entered = f", when {when.field} becomes {values}" if values else ""
    return as_text(condition(when.match)) + entered
