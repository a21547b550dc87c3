"""A world played to the core, and what it publishes held against the second opinion."""

import json
from typing import Any

from promises.detector import Detector
from schemas.book_model import Book
from schemas.facts import Fact, Subject
from schemas.publications import Publication
from schemas.records import RECORD_FORMAT, Checkpoint
from tests.promises.builders import Partition
from tests.reference.evaluator import Judged, judge
from tests.reference.facts import Event, fields_of, flat, reduced, wanted_events
from tests.reference.worlds import ALWAYS, FAR, TTL, Arrival, Expected, World, horizon

SETTLED = ("kept", "released", "breached", "fulfilled_late")
Cycle = tuple[str, str, str]
"""Promise, subject and the id of the opening fact."""


def expectation(world: World) -> Expected:
    return world.judged(world.frontier)


def as_yaml(spelled: dict[str, Any]) -> str:
    """JSON is YAML."""
    return json.dumps({name: part for name, part in spelled.items() if not name.startswith("x-")})


def as_fact(event: Event, fields: set[str]) -> Fact:
    """An event as a fact: these payload fields by dotted path."""
    data = flat(reduced(event, fields)["data"])
    return Fact(event["source"], event["id"], event["type"], event["time"], data, event.get("withdraws"))


def disagreement(world: World, book: Book | Detector, arrival: Arrival, expected: Expected) -> str | None:
    """Let a world become known in one way; what is wrong with what is published, if anything is."""
    played = Played(world, book, arrival)
    for word, what in arrival.steps:
        if problem := played.step(word, what):
            return problem
    partition = played.partition
    problem = (
        verdicts_differ(world, arrival, partition, expected)
        or warnings_differ(world, arrival, partition, expected)
        or taken_back(world, arrival, partition)
    )
    if arrival.to_the_end and not problem:
        problem = played.to_the_end()
    return problem or ids_repeat(partition)


class Played:
    """A world on its way into the core."""

    def __init__(self, world: World, book: Book | Detector, arrival: Arrival) -> None:
        self.world = world
        self.arrival = arrival
        self.fields = fields_of(world.book["promises"])
        checkpoint = Checkpoint(RECORD_FORMAT, ("s",), ALWAYS, b"", 0, world.known_since, ALWAYS, {}, "")
        self.partition = Partition(book, checkpoint)
        self.known: dict[str, list[Event]] = {subject: [] for subject in world.events}

    def step(self, word: str, what: Any) -> str | None:
        """One step of the arrival; what is wrong with what that publishes."""
        partition, published = self.partition, []
        if word == "event":
            subject, event = what
            self.known[subject].append(event)
            partition.core.fact(Subject("id", subject), as_fact(event, self.fields), partition.core.next_offset)
            published = partition.commit() if self.arrival.watched else []
        elif word == "restart":
            published = partition.commit()
            partition.restart()
        elif word == "commit" or what >= partition.core.frontier:
            published = partition.commit()
            if word == "frontier":
                published += partition.frontier(what, self.arrival.slice_size)
        for one in published:
            if problem := self.unproved(one) or self.false_alarm(one):
                return f"published before it was proved ({problem}): {one}"
        return None

    def to_the_end(self) -> str | None:
        """Let so much time pass that everything is settled and nothing has to be kept any more."""
        for word, what in (("frontier", FAR), ("restart", None), ("frontier", FAR + 1)):
            if problem := self.step(word, what):
                return problem
        if self.partition.store:
            return f"still kept in the end: {self.partition.store}"
        long_memory = horizon(self.world.book, 0) >= TTL - 1
        return verdicts_differ(self.world, self.arrival, self.partition, self.world.in_the_end) if long_memory else None

    def unproved(self, one: Publication) -> str | None:
        """What nobody could know yet with the frontier there."""
        frontier = self.partition.core.frontier
        if one.kind == "at_risk":
            assert one.risk_at is not None
            return "at risk, but not yet" if one.risk_at >= frontier else None
        if one.status == "breached":
            assert one.breached_at is not None
            return "breached" if one.breached_at >= frontier else None
        if one.status == "fulfilled_late":
            return "fulfilled late" if one.due >= frontier else None
        versions = [promise for promise in self.world.book["promises"] if promise["id"] == one.promise]
        promise = next(promise for promise in versions if promise.get("version", 1) == one.version)
        if one.status == "kept" and "forbid" in promise and one.due >= frontier:
            allowed = wanted_events(promise["until"]) if "until" in promise else []
            known = [event for event in self.known[one.subject] if event["type"] in allowed]
            return None if any(event["time"] < frontier for event in known) else "nothing forbidden happened"
        return None

    def false_alarm(self, one: Publication) -> str | None:
        """Whether a breach is none by what was known when it was published."""
        if one.kind != "breached" or not self.arrival.watched:
            return None
        judged = judge(self.world.book, self.known[one.subject], self.partition.core.frontier, self.world.known_since)
        found = [cycle for cycle in judged[one.promise] if cycle.cycle == one.cycle]
        broken = [cycle.breached_at for cycle in found if cycle.status in ("breached", "fulfilled_late")]
        return None if broken == [one.breached_at] else f"a false alarm, it is {found}"


def verdicts_differ(world: World, arrival: Arrival, partition: Partition, expected: Expected) -> str | None:
    """Whether the published events, folded by revision, are not the verdicts."""
    newest: dict[Cycle, Publication] = {}
    for one in partition.published:
        name = (one.promise, one.subject, one.cycle)
        if one.kind != "at_risk" and (name not in newest or newest[name].revision < one.revision):
            newest[name] = one
    found = {name: shown(one) for name, one in newest.items() if one.status in SETTLED}
    wanted = {
        (promise, subject, one.cycle): shown(one)
        for (promise, subject), cycles in expected.items()
        for one in cycles
        if one.status in SETTLED
    }
    for promise in world.book["promises"]:
        if "breach_of" in promise["when"]:  # the remedy of a breach that was taken back
            gone = [name for name, one in found.items() if name[0] == promise["id"] and one["status"] == "released"]
            for name in gone:
                found.pop(name) if name not in wanted else None
    for (promise, subject), cycles in expected.items():
        for one in cycles:
            name = (promise, subject, one.cycle)
            if name in found and name in wanted and not (arrival.prompt and untouched(world)):
                # A pause that moves no due is no reason to tell a verdict again.
                found[name].pop("paused_ms")
                wanted[name].pop("paused_ms")
    wrong = [name for name in sorted(found.keys() | wanted.keys()) if found.get(name) != wanted.get(name)]
    return "\n".join(f"{name}: expected {wanted.get(name)},\n   found {found.get(name)}" for name in wrong) or None


def shown(one: Publication | Judged) -> dict[str, Any]:
    first_due = one.due if one.first_due is None else one.first_due
    late = one.status in ("breached", "fulfilled_late")
    return {
        "status": one.status, "fulfilled_at": one.fulfilled_at, "breached_at": one.breached_at if late else None,
        "first_due": first_due, "due": one.due, "paused_ms": one.paused_ms, "version": one.version,
    }  # fmt: skip


def taken_back(world: World, arrival: Arrival, partition: Partition) -> str | None:
    """Where every fact comes before the frontier has passed it, no breach is ever taken back."""
    if not (arrival.prompt and untouched(world)):
        return None
    return next((f"taken back: {one}" for one in partition.published if one.kind == "retracted"), None)


def ids_repeat(partition: Partition) -> str | None:
    ids = [one.id for one in partition.published if one.kind != "outcome"]
    ids += [one.outcome_id for one in partition.published if one.kind != "at_risk"]
    if len(ids) == len(set(ids)):
        return None
    twice = next(one for one in ids if ids.count(one) > 1)
    return f"an id was used twice: {[one for one in partition.published if twice in (one.id, one.outcome_id)]}"


def untouched(world: World) -> bool:
    """Whether no fact is ever taken back or told anew with another content."""
    events = [event for story in world.events.values() for event in story]
    return all("withdraws" not in event for event in events) and len({event["id"] for event in events}) == len(events)


def contested(world: World) -> set[str]:
    """Promises of which a later opening may take away what has kept an earlier cycle: with `early` it may have come
    before both. What was at risk when was then another question than it is with everything known.
    """
    return {
        promise["id"]
        for promise in world.book["promises"]
        if promise.get("expect", {}).get("early") and (promise["when"].get("again") or "breach_of" in promise["when"])
    }


def warnings_differ(world: World, arrival: Arrival, partition: Partition, expected: Expected) -> str | None:
    """Where the order of arrival leaves no doubt, exactly the right warnings are announced."""
    ahead = any(event["time"] >= world.frontier for story in world.events.values() for event in story)
    if ahead or not (arrival.prompt and untouched(world)):  # what is known ahead of time keeps a promise from risk
        return None
    found: dict[Cycle, list[tuple[str, int | None, int]]] = {}
    for one in partition.published:
        if one.kind == "at_risk":
            assert one.warn is not None
            found.setdefault((one.promise, one.subject, one.cycle), []).append((one.warn, one.risk_at, one.due))
    for (promise, subject), cycles in expected.items():
        for one in cycles:
            announced = found.pop((promise, subject, one.cycle), [])
            if promise in contested(world):
                continue
            if sorted(announced) != sorted(one.warnings):
                return f"warnings of {promise, subject, one.cycle}: expected {one.warnings}, found {announced}"
    return f"warnings of unknown cycles: {found}" if found else None
