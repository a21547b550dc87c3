"""A world played to the core, and what it publishes held against the second opinion."""

import json
from typing import Any

from schemas.book_model import Book
from schemas.facts import Fact, Subject
from schemas.publications import Publication
from schemas.records import RECORD_FORMAT, Checkpoint
from tests.promises.builders import Partition
from tests.reference.coverage import Expected
from tests.reference.evaluator import Judged, judge
from tests.reference.facts import Event, fields_named, flat, reduced
from tests.reference.worlds import ALWAYS, Arrival, World

SETTLED = ("kept", "released", "breached", "fulfilled_late")
Cycle = tuple[str, str, str]
"""Promise, subject and the id of the opening fact."""


def expectation(world: World) -> Expected:
    return {
        (name, subject): cycles
        for subject, story in world.events.items()
        for name, cycles in judge(world.book, story, world.frontier, world.known_since).items()
    }


def as_yaml(spelled: dict[str, Any]) -> str:
    """JSON is YAML."""
    return json.dumps({name: part for name, part in spelled.items() if not name.startswith("x-")})


def as_fact(event: Event, fields: set[str]) -> Fact:
    """An event as a fact: these payload fields by dotted path."""
    data = flat(reduced(event, fields)["data"])
    return Fact(event["source"], event["id"], event["type"], event["time"], data, event.get("withdraws"))


def disagreement(world: World, book: Book, arrival: Arrival, expected: Expected) -> str | None:
    """Let a world become known in one way; what is wrong with what is published, if anything is."""
    partition = Partition(book, Checkpoint(RECORD_FORMAT, ("s",), ALWAYS, b"", 0, world.known_since, ALWAYS, {}, ""))
    fields = fields_named(world.book["promises"])
    for word, what in arrival.steps:
        if word == "event":
            subject, event = what
            partition.core.fact(Subject("id", subject), as_fact(event, fields), partition.core.next_offset)
        elif word == "restart":
            partition.commit()
            partition.restart()
        elif word == "commit" or what >= partition.core.frontier:
            published = partition.commit()
            if word == "frontier":
                published += partition.frontier(what, arrival.slice_size)
            for one in published:
                if problem := unproved(one, partition.core.frontier):
                    return f"published before it was proved ({problem}): {one}"
    return (
        verdicts_differ(world, arrival, partition, expected)
        or ids_repeat(partition)
        or warnings_differ(world, arrival, partition, expected)
    )


def unproved(one: Publication, frontier: int) -> str | None:
    """What nobody could know yet with the frontier there."""
    if one.kind == "at_risk":
        assert one.risk_at is not None
        return "at risk, but not yet" if one.risk_at >= frontier else None
    if one.status == "breached":
        assert one.breached_at is not None
        return "breached" if one.breached_at >= frontier else None
    return "fulfilled late" if one.status == "fulfilled_late" and one.due >= frontier else None


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
            if sorted(announced) != sorted(one.warnings):
                return f"warnings of {promise, subject, one.cycle}: expected {one.warnings}, found {announced}"
    return f"warnings of unknown cycles: {found}" if found else None
