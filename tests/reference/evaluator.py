"""A second opinion: what every promise comes to, worked out slowly and obviously, from the rules as written.

It shares no code with the product: it reads the book as plain YAML data, walks through civil time minute by minute and
looks at whole sets of facts, never at differences. Instants are UTC milliseconds. By subject: `facts`, `conditions`,
`civil` and `dues`, `openings`, `cycles`, and here the verdicts.
"""

from typing import Any, NamedTuple

from tests.reference.conditions import is_true
from tests.reference.cycles import FOREVER, Cycle, live
from tests.reference.dues import warned_at
from tests.reference.facts import Event, as_set, fields_of, missing, reach, reduced, resembles
from tests.reference.openings import Opening, opening, opening_events, openings, remedies

Book = dict[str, Any]
Promise = dict[str, Any]
ROLES = ("expect", "forbid", "until", "release", "repromise", "pause")


class Judged(NamedTuple):
    """One cycle, named by the id of its opening event."""

    cycle: str
    version: int
    opened_at: int
    first_due: int
    due: int
    paused_ms: int
    status: str
    fulfilled_at: int | None
    breached_at: int | None
    warnings: tuple[tuple[str, int, int], ...]
    """What is to be announced, when, and the due, where facts come in order and the frontier keeps up with them."""


def judge(
    book: Book, events: list[Event], frontier: int, known_since: int, key: str | None = None
) -> dict[str, list[Judged]]:
    """By promise, the cycles of one subject as they stand when everything dated before `frontier` is known."""
    families: dict[str, list[Promise]] = {}
    for promise in book["promises"]:
        if key is None or promise.get("key", book["defaults"]["key"]) == key:
            families.setdefault(promise["id"], []).append(promise)
    fields = fields_of(book["promises"])
    events = [reduced(event, fields) for event in events]
    facts = as_set(events, lambda event: means_something(book, families, event, known_since))
    broken: dict[str, list[tuple[Opening, int]]] = {}
    judged: dict[str, list[Judged]] = {}
    while len(judged) < len(families):
        for name, versions in families.items():
            causes = {promise["when"].get("breach_of") for promise in versions} - {None}
            if name not in judged and causes <= set(judged):
                possible = openings(book, versions, facts, known_since)
                for cause in causes:
                    possible += remedies(book, versions, broken[cause], known_since)
                lived = live(book, possible, facts, frontier)
                judged[name] = [verdict(book, cycle, frontier) for cycle in lived]
                broken[name] = [
                    (cycle.opening, one.breached_at)
                    for cycle, one in zip(lived, judged[name], strict=True)
                    if one.breached_at is not None
                ]
    return judged


def means_something(book: Book, families: dict[str, list[Promise]], event: Event, known_since: int) -> bool:
    """Whether any promise can do anything with what the event says."""
    for promise in (one for versions in families.values() for one in versions):
        if any(role in promise and named(promise[role], event) for role in ROLES):
            return True
        if "pause" in promise and named(promise["pause"]["until"], event):
            return True
        expect = promise.get("expect", {})
        if event["type"] in expect.get("from", {}).values():
            return True
        if "holds" in expect and named(promise["when"], event):  # it may join a cycle of this version
            return True
        looked_at = [expect.get("leave"), promise["when"].get("field")]
        if event["type"] in opening_events(promise) and any(
            path and not missing(reach(event["data"], path)) for path in looked_at
        ):
            return True
    return any(opening(book, versions, [event], event, known_since) for versions in families.values())


def named(wanted: Any, event: Event) -> bool:
    """Whether the event may be meant, whatever the opening says: a condition about that one is taken to hold."""
    if isinstance(wanted, dict) and "event" not in wanted:
        return False
    text = wanted.get("if", "") if isinstance(wanted, dict) else ""
    variables = {"data": event["data"], "type": event["type"]}
    return resembles(wanted, event) and (not text or "opened" in text or is_true(text, variables))


def verdict(book: Book, cycle: Cycle, frontier: int) -> Judged:
    """A cycle as it stands: absence, and what must not happen, are judged up to the frontier and never past it."""
    status, breached_at = "open", None
    if cycle.fulfilled_at is not None and "forbid" in cycle.promise:
        status = "kept" if cycle.fulfilled_at < frontier else "open"
    elif cycle.fulfilled_at is not None and cycle.fulfilled_at <= cycle.due_now():
        status = "kept"
    elif cycle.released_at is not None:
        status = "released"
    elif cycle.broken_at is not None:
        status, breached_at = ("breached", cycle.broken_at) if cycle.broken_at < frontier else ("open", None)
    elif max([cycle.due_now(), *(end for _, end in cycle.pauses)]) < frontier:  # not known before a pause is over
        if "forbid" in cycle.promise:
            status = "kept"
        else:
            status, breached_at = "breached" if cycle.fulfilled_at is None else "fulfilled_late", cycle.due
    fulfilled = status in ("kept", "fulfilled_late") and "forbid" not in cycle.promise
    return Judged(
        cycle.opening.cycle,
        cycle.promise.get("version", 1),
        cycle.opening.time,
        cycle.opening.due,
        cycle.due,
        cycle.paused_ms,
        status,
        cycle.fulfilled_at if fulfilled else None,
        breached_at,
        tuple(warnings(book, cycle, frontier)),
    )


def warnings(book: Book, cycle: Cycle, frontier: int) -> list[tuple[str, int, int]]:
    """For each due there was, what was still to come when it was set, and the latest of what had passed already; of
    several warnings at one instant the last by its text.
    """
    found = []
    endings = [cycle.fulfilled_at, cycle.released_at, cycle.broken_at]
    end = min([frontier, *(instant for instant in endings if instant is not None)])
    for number, (set_at, due) in enumerate(cycle.dues):
        if due == FOREVER or due < set_at:
            continue
        since = max(set_at, cycle.opening.known_at)
        until = cycle.dues[number + 1][0] if number + 1 < len(cycle.dues) else end
        instants = [
            (warned_at(book, cycle.promise, text, cycle.opening.time, due), text)
            for text in cycle.promise.get("warn", [])
        ]
        passed = sorted(one for one in instants if one[0] <= since)[-1:]
        to_come = dict(sorted(one for one in instants if one[0] > since))
        for instant, text in [*passed, *to_come.items()]:
            if max(instant, since) < min(until, end, due):
                found.append((text, instant, due))
    return sorted(set(found))
