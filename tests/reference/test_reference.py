"""The core against the second opinion, over many worlds in which the borders are met often."""

import json
import random
from collections import Counter
from typing import Any

import pytest

from schemas.book import parse_book
from schemas.book_model import Book
from schemas.facts import Fact, Subject
from schemas.records import RECORD_FORMAT, Checkpoint
from tests.promises.builders import Partition
from tests.reference.evaluator import Judged, judge
from tests.reference.worlds import ALWAYS, Arrival, World, make_arrival, make_book, make_world

BOOKS = 100
WORLDS_PER_BOOK = 10
ARRIVALS_PER_WORLD = 2
SETTLED = {"kept", "released", "breached", "fulfilled_late"}


def test_the_core_agrees_with_the_reference_on_a_thousand_worlds(seed: int) -> None:
    """Whatever the order, the repetitions, the frontier steps, the batches and restarts: the same final verdicts."""
    assert compare(seed, BOOKS) >= {"open", *SETTLED}, "the worlds have become too tame to show anything"


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_the_core_agrees_with_the_reference_on_many_more_worlds(seed: int) -> None:
    """The same on thirty times as many worlds."""
    assert compare(seed + 1, 30 * BOOKS) == {"open", *SETTLED}, "found other verdicts than there are"


def compare(seed: int, books: int) -> set[str]:
    chance = random.Random(seed)
    seen: Counter[str] = Counter()
    for number in range(books):
        spelled = make_book(chance)
        book = parse_book(as_yaml(spelled), f"world-{number}.yaml")
        for _ in range(WORLDS_PER_BOOK):
            world = make_world(chance, spelled)
            expected = {
                (name, subject): judged
                for subject, story in world.events.items()
                for name, judged in judge(spelled, story, world.frontier, world.known_since).items()
            }
            seen.update(judged.status for judged in expected.values())
            for _ in range(ARRIVALS_PER_WORLD):
                check(world, book, make_arrival(chance, world), expected)
    print(f"seed {seed}: {books * WORLDS_PER_BOOK} worlds, cycles {dict(seen)}")
    return set(seen)


def check(world: World, book: Book, arrival: Arrival, expected: dict[tuple[str, str], Judged]) -> None:
    """Let a world become known in one way; hold the outcome against what is expected."""
    partition = Partition(book, checkpoint(world))
    for word, what in arrival.steps:
        if word == "event":
            subject, event = what
            fact = Fact(event["source"], event["id"], event["type"], event["time"], event["data"])
            partition.core.fact(Subject("id", subject), fact, partition.core.next_offset)
        elif word == "frontier":
            if what < partition.core.frontier:
                continue
            partition.commit()
            proved = partition.frontier(what, arrival.slice_size)
            early = [one for one in proved if one.kind == "breached" and one.due >= what]
            assert not early, story(world, arrival, f"published before it was proved: {early}")
        elif word == "restart":
            partition.commit()
            partition.restart()
        else:
            partition.commit()
    found = partition.final()
    wanted = {
        (name, subject, judged.cycle): (judged.status, judged.fulfilled_at)
        for (name, subject), judged in expected.items()
        if judged.status in SETTLED
    }
    assert found == wanted, story(world, arrival, f"found {found}, expected {wanted}")
    ids = [one.id for one in partition.published if one.kind != "outcome"]
    ids += [one.outcome_id for one in partition.published]
    assert len(ids) == len(set(ids)), story(world, arrival, "an id was used twice")
    for one in partition.published:
        if (one.promise, one.subject) in expected and one.cycle == expected[one.promise, one.subject].cycle:
            same_due = one.due == expected[one.promise, one.subject].due
            assert same_due or one.status == "void" or twins(world), story(world, arrival, f"wrong due: {one}")


def twins(world: World) -> bool:
    """Whether some id carries two contents: then a due may have been another for a while."""
    names = [(subject, event["id"]) for subject, events in world.events.items() for event in events]
    return len(names) > len(set(names))


def checkpoint(world: World) -> Checkpoint:
    return Checkpoint(RECORD_FORMAT, ("s",), ALWAYS, b"", 0, world.known_since, ALWAYS, {}, "")


def as_yaml(spelled: dict[str, Any]) -> str:
    """JSON is YAML."""
    return json.dumps({name: part for name, part in spelled.items() if not name.startswith("x-")})


def story(world: World, arrival: Arrival, problem: str) -> str:
    lines = [problem, f"known since {world.known_since}, frontier {world.frontier}, slices of {arrival.slice_size}"]
    lines += [json.dumps(promise) for promise in world.book["promises"]]
    lines += [f"{word} {what}" for word, what in arrival.steps]
    return "\n".join(lines)
