"""Worlds of which a span of time got lost: what runs across it is never broken, and all else is as the reference says.

Everything before the gap is known when it is noticed, of what happened within it some is lost, and the rest comes.
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from promises.detector import Detector
from schemas.publications import Publication
from tests.reference.facts import wanted_events
from tests.reference.made_books import DAY, PAIRS, make_book
from tests.reference.playing import Played, as_yaml, untouched
from tests.reference.shrinking import parsed
from tests.reference.worlds import Arrival, World, make_world

BROKEN = ("breached", "fulfilled_late")
Name = tuple[str, str, str]
"""Promise, subject and the id of the opening event."""


@dataclass(frozen=True)
class Torn:
    """A world, what is left of it, and what the core published with the gap in it."""

    world: World
    left: World
    since: int
    until: int
    published: list[Publication]
    looks_back: dict[str, int]

    def across(self, one: Any, promise: str, awaited: int) -> bool:
        """Whether a cycle that awaits an instant may have been settled by what got lost."""
        return one.opened_at - self.looks_back[promise] < self.until and awaited >= self.since

    def missed_opening(self, promise: str, subject: str) -> bool:
        """Whether something opens nothing for the gap that would have done so, or was the status before another."""
        wanted = [one["when"] for one in self.world.book["promises"] if one["id"] == promise]
        types = {kind for when in wanted if "event" in when for kind in wanted_events(when)}
        until = self.until + self.looks_back[promise]
        story = self.world.events[subject]
        return any(event["type"] in types and self.since <= event["time"] < until for event in story)

    @property
    def final(self) -> dict[Name, Publication]:
        newest: dict[Name, Publication] = {}
        for one in self.published:
            name = (one.promise, one.subject, one.cycle)
            if one.kind != "at_risk" and (name not in newest or newest[name].revision < one.revision):
                newest[name] = one
        return {name: one for name, one in newest.items() if one.status not in ("void", "open")}


def tear(chance: random.Random, world: World, detector: Detector) -> Torn:
    """Play a world up to some instant, lose some of what comes next, and play the rest."""
    since = chance.choice([instant for instant in world.instants if instant < world.frontier])
    until = since + chance.choice([1, 60_000, 3_600_000, DAY, 5 * DAY])
    lost = {
        event["id"]
        for story in world.events.values()
        for event in story
        if since <= event["time"] < until and chance.random() < 0.6
    }
    left = replace(
        world,
        events={name: [event for event in story if event["id"] not in lost] for name, story in world.events.items()},
    )
    played = Played(left, detector, Arrival([], chance.choice([1, 2, 100])))
    events: list[tuple[str, Any]] = [("event", (name, event)) for name, story in left.events.items() for event in story]
    chance.shuffle(events)
    before = [step for step in events if step[1][1]["time"] < since]
    after = [step for step in events if step[1][1]["time"] >= since]
    after += chance.choices(after, k=chance.randint(0, len(after)))
    marks = [mark for mark in world.instants if since < mark < world.frontier]
    for mark in sorted(chance.choices(marks, k=chance.randint(0, 4))) if marks else ():
        after.insert(chance.randint(0, len(after)), ("frontier", mark))
    for _ in range(chance.randint(0, 2)):
        after.insert(chance.randint(0, len(after)), ("restart", None))
    for word, what in [*before, ("frontier", since)]:
        assert played.step(word, what) is None
    played.partition.core.add_gap(since, until)
    for word, what in [*after, ("frontier", world.frontier)]:
        assert played.step(word, what) is None
    rules = detector.rules
    versions: dict[str, Any] = {name: family.rules for name, family in rules.families.items()}
    versions |= {name: clan.terms for name, clan in rules.clans.items()}
    looks_back = {name: max(one.looks_back_ms for one in every) for name, every in versions.items()}
    return Torn(world, left, since, until, played.partition.published, looks_back)


def worlds(seed: int, books: int, each: int) -> Iterator[Torn]:
    chance = random.Random(seed)
    for _ in range(books):
        spelled = make_book(chance, chance.sample(PAIRS, 6), lambda made: parsed(as_yaml(made)) is not None)
        book = parsed(as_yaml(spelled))
        assert book is not None
        detector = Detector(book)
        for _ in range(each):
            world = make_world(chance, spelled)
            if untouched(world) and any(instant < world.frontier for instant in world.instants):
                yield tear(chance, world, detector)


def test_a_gap_breaks_nothing_across_it_and_changes_nothing_after_it(seed: int) -> None:
    """Of every kind of promise; a breach that the gap would make is told with the world it was made in."""
    compare(seed, books=20)


@pytest.mark.full
def test_many_gaps_break_nothing_across_them(seed: int) -> None:
    """The same in some ten thousand worlds."""
    compare(seed, books=800)


def compare(seed: int, books: int) -> None:
    seen: Counter[str] = Counter()
    for torn in worlds(seed, books, each=16):
        nothing_is_broken_across(torn, seen)
        no_breach_is_made(torn, seen)
        what_ran_is_held_or_settled_by_evidence(torn, seen)
        what_opens_later_is_judged_as_ever(torn, seen)
    print(dict(seen))
    assert min(seen[name] for name in ("broken", "held", "across", "later")) > books // 2, "too tame to show anything"


def nothing_is_broken_across(torn: Torn, seen: Counter[str]) -> None:
    """Nor at risk, nor is a remedy opened by it."""
    for one in torn.published:
        if one.kind == "breached":
            assert one.breached_at is not None
            assert not torn.across(one, one.promise, one.breached_at), f"broken across the gap: {one}\n{torn}"
            seen["broken"] += 1
        if one.kind == "at_risk" and one.opened_at >= torn.since:
            assert not torn.across(one, one.promise, one.due), f"at risk across the gap: {one}\n{torn}"
        seen["held"] += one.status == "held"


def no_breach_is_made(torn: Torn, seen: Counter[str]) -> None:
    """What is broken in the end would be so with everything known, but where nothing opens for the gap and so the next
    fact does.
    """
    truth = {
        (promise, subject, each.cycle): each
        for (promise, subject), cycles in torn.world.judged(torn.world.frontier).items()
        for each in cycles
    }
    # Remedies are named by what opened their causes.
    by_the_next = {name[1:] for name in torn.final if name not in truth and torn.missed_opening(*name[:2])}
    seen["opened by the next"] += len(by_the_next)
    for name, one in torn.final.items():
        if one.status in BROKEN and not (name not in truth and name[1:] in by_the_next):
            true = truth.get(name)
            assert true is not None, f"opened by the gap: {one}\n{torn}"
            assert true.status in BROKEN, f"broken by the gap: {one}, it is {true}\n{torn}"


def what_ran_is_held_or_settled_by_evidence(torn: Torn, seen: Counter[str]) -> None:
    """A promise that opens once stands as what is left of the world says, but held where that would need a proof."""
    final = torn.final
    may_be_allowed = {one["id"] for one in torn.world.book["promises"] if "until" in one}
    for promise, subject, each in alone(torn.left, torn.left.known_since):
        if each.opened_at >= torn.since or each.status == "open":
            continue
        one = final.get((promise, subject, each.cycle))
        assert one is not None, f"nothing is said of {each}\n{torn}"
        proved = each.status in BROKEN or (each.status == "kept" and each.fulfilled_at is None)
        awaited = each.breached_at if each.breached_at is not None else each.due
        if proved and one.status != each.status:
            seen["across"] += 1
            assert one.status == "held", f"found {one}, expected {each} or held\n{torn}"
        else:
            assert (one.status, one.due) == (each.status, each.due), f"found {one}, expected {each}\n{torn}"
            allowed = promise in may_be_allowed  # then nothing later is awaited, and that may have been before the gap
            assert allowed or not (proved and torn.across(each, promise, awaited)), f"not held: {one}\n{torn}"


def what_opens_later_is_judged_as_ever(torn: Torn, seen: Counter[str]) -> None:
    """A skew after the gap, and where nothing opened before, nothing shows that there was one."""
    final = torn.final
    known_since = max(torn.left.known_since, torn.until)
    for promise, subject, each in alone(torn.left, known_since):
        earlier = [name for name, one in final.items() if name[:2] == (promise, subject) and one.cycle != each.cycle]
        if each.opened_at - torn.looks_back[promise] < torn.until or earlier or each.status == "open":
            continue
        one = final.get((promise, subject, each.cycle))
        if one is None and any(event["time"] < torn.since for event in torn.left.events[subject]):
            continue  # an earlier cycle that is still open: with it there is no other
        seen["later"] += 1
        assert one is not None, f"nothing is said of {each}\n{torn}"
        assert (one.status, one.due, one.breached_at) == (each.status, each.due, each.breached_at), f"{each}\n{torn}"


def alone(world: World, known_since: int) -> Iterator[tuple[str, str, Any]]:
    """The cycles of promises that events open, and that open once: they share nothing with others."""
    spelled = world.book["promises"]
    again = {one["id"] for one in spelled if one["when"].get("again") or "breach_of" in one["when"]}
    known = replace(world, known_since=known_since)
    for (promise, subject), cycles in known.judged(world.frontier).items():
        for each in cycles if promise not in again else ():
            yield promise, subject, each
