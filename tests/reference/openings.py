"""What opens a promise, and under which version: the first fact ever, or with `again` each one."""

from typing import Any, NamedTuple

from tests.reference.civil import duration, instant_in, setting, zone_of
from tests.reference.dues import due_of
from tests.reference.facts import Data, Event, alike, matches, missing, order, reach, wanted_events

Book = dict[str, Any]
Promise = dict[str, Any]


class Opening(NamedTuple):
    """What starts a cycle: a fact, or the breach of another promise (then `cycle` is that one's)."""

    cycle: str
    order: tuple[int, str, str]
    time: int
    type: str
    data: Data
    promise: Promise
    due: int
    known_at: int
    """The instant that has to be over before anybody can know of it."""


def openings(book: Book, versions: list[Promise], facts: list[Event], known_since: int) -> list[Opening]:
    """Every fact that may open the promise, in order."""
    return [found for fact in facts if (found := opening(book, versions, facts, fact, known_since))]


def opening(book: Book, versions: list[Promise], facts: list[Event], fact: Event, known_since: int) -> Opening | None:
    promise = in_force(book, versions, fact["time"])
    if promise is None or not opens(promise, facts, fact):
        return None
    return accepted(book, promise, fact, order(fact), fact["id"], known_since)


def remedies(book: Book, versions: list[Promise], causes: list[tuple[Opening, int]], known_since: int) -> list[Opening]:
    """What opens at a breach, given the openings of the cause's broken cycles and when each was broken."""
    found = []
    for cause, breached_at in causes:
        promise = in_force(book, versions, breached_at)
        if promise is None or promise["when"].get("breach_of") != cause.promise["id"]:
            continue
        event = {"type": cause.type, "time": breached_at, "data": cause.data}
        made = accepted(book, promise, event, (breached_at, *cause.order[1:]), cause.cycle, known_since)
        if made is not None:  # what has to make good a breach that lies far back is known of when that one is
            found.append(made._replace(known_at=max(cause.known_at, breached_at)))
    return sorted(found, key=lambda one: one.order)


def accepted(
    book: Book, promise: Promise, event: Event, place: tuple[int, str, str], cycle: str, known_since: int
) -> Opening | None:
    """The opening, unless it is too early to be known about, says no due or one that lies before it."""
    expect = promise.get("expect", {})
    early = expect.get("early", False)
    wait = duration(setting(book, promise, "orphan_ttl", "30d")) if early or "holds" in expect else 0
    if event["time"] < known_since + wait:
        return None
    due = due_of(book, promise, event["time"], event["data"])
    if due is None or (due < event["time"] and not early):
        return None
    return Opening(cycle, place, event["time"], event["type"], event["data"], promise, due, event["time"])


def opens(promise: Promise, facts: list[Event], fact: Event) -> bool:
    """Whether the fact is what the promise waits for: with `enter`, a status that was another one before."""
    when = promise["when"]
    if "breach_of" in when or not matches(when, fact):
        return False
    if "enter" not in when:
        return True
    value = reach(fact["data"], when["field"])
    if not any(alike(value, entered) for entered in when["enter"]):
        return False
    before = [
        reach(earlier["data"], when["field"])
        for earlier in facts
        if earlier["type"] in wanted_events(when) and order(earlier) < order(fact)
    ]
    said = [earlier for earlier in before if not missing(earlier)]
    return not said or not alike(said[-1], value)


def in_force(book: Book, versions: list[Promise], time: int) -> Promise | None:
    begun = [promise for promise in versions if effective_from(book, promise) <= time]
    return max(begun, key=lambda promise: effective_from(book, promise), default=None)


def effective_from(book: Book, promise: Promise) -> int:
    written = promise.get("effective_from")
    return -(1 << 62) if written is None else instant_in(written, zone_of(book, promise), "00:00")


def opening_events(promise: Promise) -> list[str]:
    return wanted_events(promise["when"]) if "event" in promise["when"] else []
