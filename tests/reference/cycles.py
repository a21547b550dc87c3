"""The life of the cycles of one promise on one subject, instant by instant, with all facts in view."""

from dataclasses import dataclass, field
from typing import Any

from tests.reference.civil import duration, instant_in, setting, zone_of
from tests.reference.conditions import is_true
from tests.reference.dues import due_of, due_said, moved
from tests.reference.facts import Data, Event, alike, matches, missing, order, reach
from tests.reference.openings import Opening, opens

Book = dict[str, Any]
FOREVER = 1 << 62


@dataclass
class Cycle:
    """One run of a promise. While a pause lasts the due is `FOREVER`."""

    opening: Opening
    due: int
    not_before: int | None
    given: list[Event] = field(default_factory=list)
    forbidden: int = 0
    promises_made: int = 0
    pause_began: int | None = None
    base: int = 0
    pauses: list[tuple[int, int]] = field(default_factory=list)
    """The due as last promised, and the pauses that have moved it since."""
    fulfilled_at: int | None = None
    released_at: int | None = None
    broken_at: int | None = None
    dues: list[tuple[int, int]] = field(default_factory=list)
    """Every due there was, and since when."""

    @property
    def promise(self) -> dict[str, Any]:
        return self.opening.promise

    @property
    def opened(self) -> Data:
        return self.opening.data

    @property
    def ended(self) -> bool:
        return not self.fulfilled_at == self.released_at == self.broken_at == None  # noqa: E711 - all three at once

    def due_now(self) -> int:
        return FOREVER if self.pause_began is not None else self.due

    def runs_at(self, instant: int) -> bool:
        return not self.ended and instant <= self.due_now()

    @property
    def paused_ms(self) -> int:
        return sum(end - start for start, end in self.pauses)

    def is_due(self, due: int, since: int, pauses: list[tuple[int, int]] | None = None) -> None:
        """Another due is in force; a new one, or the same one after these pauses."""
        if pauses is None:
            self.base = due
        self.pauses = pauses or []
        self.due = due
        self.dues.append((since, self.due_now()))


def new_cycle(book: Book, opening: Opening) -> Cycle:
    cycle = Cycle(opening, opening.due, lower_bound(book, opening.promise, opening.data))
    cycle.is_due(opening.due, opening.time)
    return cycle


def lower_bound(book: Book, promise: dict[str, Any], data: Data) -> int | None:
    """The instant before which a fulfilment does not count."""
    value = reach(data, promise["not_before"]) if "not_before" in promise else None
    return None if missing(value) or value is None else instant_in(value, zone_of(book, promise), None)


def live(book: Book, possible: list[Opening], facts: list[Event], frontier: int) -> list[Cycle]:
    """All cycles of a promise, lived through to the end of what is known, and to the frontier."""
    if possible and "holds" in possible[0].promise.get("expect", {}):
        return live_holding(book, possible, facts, frontier)
    cycles = [
        new_cycle(book, opening)
        for number, opening in enumerate(possible)
        if number == 0 or opening.promise["when"].get("again") or "breach_of" in opening.promise["when"]
    ]
    for instant in sorted({fact["time"] for fact in facts}):
        now = [fact for fact in facts if fact["time"] == instant]
        for cycle in cycles:
            end_long_pause(book, cycle, instant)
        for fact in now:
            credit(book, cycles, fact)
        for cycle in cycles:
            go_on(book, cycle, facts, now)
    return ended_by(book, cycles, frontier)


def live_holding(book: Book, possible: list[Opening], facts: list[Event], frontier: int) -> list[Cycle]:
    """The same for values that must agree: further openings join a running cycle."""
    cycles: list[Cycle] = []
    waiting = {opening.order: opening for opening in possible}
    for instant in sorted({fact["time"] for fact in facts} | bounds(book, possible, facts)):
        now = [fact for fact in facts if fact["time"] == instant]
        known = [fact for fact in facts if fact["time"] <= instant]
        for cycle in cycles:
            end_long_pause(book, cycle, instant)
        ran = [cycle for cycle in cycles if cycle.runs_at(instant)]
        for cycle in cycles:
            agree(cycle, known, instant)
            release(book, cycle, now)
        for fact in now:
            joined = [cycle for cycle in ran if cycle.released_at is None and opens(cycle.promise, facts, fact)]
            new = waiting.get(order(fact))
            for cycle in joined:
                join(book, cycle, fact)
            if not joined and new and (not cycles or new.promise["when"].get("again")):
                cycle = new_cycle(book, new)
                cycles.append(cycle)
                ran.append(cycle)
                agree(cycle, known, instant)
                release(book, cycle, now)
            for cycle in cycles:
                change(book, cycle, fact)
    return ended_by(book, cycles, frontier)


def bounds(book: Book, possible: list[Opening], facts: list[Event]) -> set[int]:
    """Instants from which a fulfilment counts: values may agree already."""
    found = {lower_bound(book, opening.promise, fact["data"]) for opening in possible for fact in facts}
    return {instant for instant in found if instant is not None}


def go_on(book: Book, cycle: Cycle, facts: list[Event], now: list[Event]) -> None:
    """What one instant does to a cycle, fulfilments apart: those come first, and may serve another cycle."""
    promise, instant = cycle.promise, now[0]["time"]
    if "leave" in promise.get("expect", {}):
        leave(cycle, now)
    if "forbid" in promise and cycle.runs_at(instant) and instant >= cycle.opening.time:
        if "until" in promise and any(matches(promise["until"], fact, cycle.opened) for fact in now):
            cycle.fulfilled_at = instant
        for fact in now:
            release(book, cycle, [fact])
            forbid(cycle, fact)
    release(book, cycle, now)
    for fact in now:
        change(book, cycle, fact)


# What keeps a promise.


def credit(book: Book, cycles: list[Cycle], fact: Event) -> None:
    """Give one fulfilment to the cycle it is for, or to each where it may keep several."""
    able = [cycle for cycle in cycles if serves(book, cycle, fact)]
    shared = [cycle for cycle in able if cycle.promise["expect"].get("shared")]
    alone = [cycle for cycle in able if not cycle.promise["expect"].get("shared")]
    in_time = [cycle for cycle in alone if fact["time"] <= cycle.due_now()]
    best = min(in_time or alone, key=lambda cycle: (cycle.due_now(), cycle.opening.order), default=None)
    for cycle in [*shared, *([best] if best else [])]:
        cycle.given.append(fact)
        if len(cycle.given) == cycle.promise["expect"].get("count", 1):
            cycle.fulfilled_at = fact["time"]


def serves(book: Book, cycle: Cycle, fact: Event) -> bool:
    expect = cycle.promise.get("expect", {})
    if "event" not in expect or cycle.ended:
        return False
    if not expect.get("early") and fact["time"] < cycle.opening.time - skew(book, cycle):
        return False
    if cycle.not_before is not None and fact["time"] < cycle.not_before:
        return False
    if "distinct" in expect:
        value = reach(fact["data"], expect["distinct"])
        if missing(value) or any(alike(value, reach(other["data"], expect["distinct"])) for other in cycle.given):
            return False
    return matches(expect, fact, cycle.opened)


def skew(book: Book, cycle: Cycle) -> int:
    expect = cycle.promise.get("expect", {})
    return 0 if "leave" in expect or "holds" in expect else duration(setting(book, cycle.promise, "skew", "5m"))


def leave(cycle: Cycle, now: list[Event]) -> None:
    """The status takes on another value than it had at the opening."""
    name = cycle.promise["expect"]["leave"]
    for fact in now:
        value = reach(fact["data"], name)
        if cycle.ended or fact["type"] != cycle.opening.type or order(fact) <= cycle.opening.order or missing(value):
            continue
        if cycle.not_before is not None and fact["time"] < cycle.not_before:
            continue
        before = reach(cycle.opened, name)
        if not alike(value, None if missing(before) else before):
            cycle.fulfilled_at = fact["time"]


def agree(cycle: Cycle, known: list[Event], instant: int) -> None:
    """Whether the newest values agree, once this instant is over."""
    expect = cycle.promise["expect"]
    if cycle.ended or (cycle.not_before is not None and instant < cycle.not_before):
        return
    newest = {fact["type"]: fact["data"] for fact in known}
    values = {alias: newest[event] for alias, event in expect["from"].items() if event in newest}
    if is_true(expect["holds"], values):
        cycle.fulfilled_at = instant


# What breaks one by itself, what ends it, and what moves its due.


def forbid(cycle: Cycle, fact: Event) -> None:
    if cycle.ended or order(fact) <= cycle.opening.order or fact["time"] > cycle.due_now():
        return
    cycle.forbidden += matches(cycle.promise["forbid"], fact, cycle.opened)
    if cycle.forbidden == cycle.promise["forbid"].get("count", 1):
        cycle.broken_at = fact["time"]


def release(book: Book, cycle: Cycle, now: list[Event]) -> None:
    wanted = cycle.promise.get("release")
    for fact in now if wanted else []:
        since = cycle.opening.time - skew(book, cycle)
        if cycle.runs_at(fact["time"]) and fact["time"] >= since:
            cycle.released_at = fact["time"] if matches(wanted, fact, cycle.opened) else None


def change(book: Book, cycle: Cycle, fact: Event) -> None:
    """Move the due, begin a pause or end one."""
    if order(fact) <= cycle.opening.order or not cycle.runs_at(fact["time"]):
        return
    repromise, pause = cycle.promise.get("repromise"), cycle.promise.get("pause")
    if repromise and cycle.promises_made < repromise["max"] and matches(repromise, fact, cycle.opened):
        promised(book, cycle, due_said(book, cycle.promise, repromise["field"], fact["data"]), fact)
    if not pause or cycle.ended:
        return
    if cycle.pause_began is None:
        if matches(pause, fact, cycle.opened) and fact["time"] < cycle.due:
            cycle.pause_began = fact["time"]
            cycle.dues.append((fact["time"], FOREVER))
    elif matches(pause["until"], fact, cycle.opened):
        end_pause(book, cycle, fact["time"])


def promised(book: Book, cycle: Cycle, due: int | None, fact: Event) -> None:
    """Another due was promised."""
    if due is None:
        return
    cycle.promises_made += 1
    if due < fact["time"] and not cycle.promise.get("expect", {}).get("early"):
        cycle.released_at = fact["time"]
        return
    cycle.is_due(due, fact["time"])
    cycle.not_before = lower_bound(book, cycle.promise, fact["data"])


def join(book: Book, cycle: Cycle, fact: Event) -> None:
    """A further change before the values agree gives fresh time."""
    due = due_of(book, cycle.promise, fact["time"], fact["data"])
    later = due is not None and due >= fact["time"] and due > cycle.due
    if later and not cycle.ended and order(fact) > cycle.opening.order:
        cycle.is_due(due, fact["time"])


def end_pause(book: Book, cycle: Cycle, instant: int) -> None:
    assert cycle.pause_began is not None
    pauses = [*cycle.pauses, (cycle.pause_began, instant)]
    cycle.pause_began = None
    cycle.is_due(moved(book, cycle.promise, cycle.base, pauses), instant, pauses)


def end_long_pause(book: Book, cycle: Cycle, instant: int) -> None:
    """A pause ends by itself when it has lasted its maximum."""
    if cycle.pause_began is not None and not cycle.ended:
        longest = cycle.pause_began + duration(cycle.promise["pause"]["max"])
        if longest <= instant:
            end_pause(book, cycle, longest)


def ended_by(book: Book, cycles: list[Cycle], frontier: int) -> list[Cycle]:
    for cycle in cycles:
        end_long_pause(book, cycle, frontier)
    return cycles
