"""The golden cases of the promise language, held against the reference evaluator and against the core.

Facts arrive as written, shuffled, and shuffled with duplicates.
"""

import random

import pytest

from schemas.book import Book
from schemas.facts import Subject
from tests.language.golden_cases import CASES, IDS, Case, Cycles
from tests.language.golden_words import END, book, happened, ms, spelled, wording
from tests.promises.builders import Partition
from tests.reference.evaluator import judge
from tests.reference.facts import Event, fields_named
from tests.reference.playing import as_fact
from tests.reference.worlds import ALWAYS


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_reference_evaluator_gives_the_golden_verdict(case: Case) -> None:
    """The second opinion, too, is right where people have checked the answer."""
    judged = judge(spelled(case.example), [happened(line) for line in case.story], ms(END), ALWAYS)
    found = judged[case.example.split(" ")[0]]
    assert {
        one.cycle: wording(one.status, one.due, one.fulfilled_at, one.breached_at, case.cycles.get(one.cycle, ""))
        for one in found
    } == case.cycles


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_core_gives_the_golden_verdict(case: Case, rng: random.Random) -> None:
    """In any order, with any duplicates, and with the frontier keeping up or far behind."""
    story = [happened(line) for line in case.story]
    made = book(case.example)
    found = [outcome(made, case, order, keep_up=keep_up) for order, keep_up in orders(story, rng)]
    assert found == [case.cycles] * len(found)


def orders(story: list[Event], rng: random.Random) -> list[tuple[list[Event], bool]]:
    """As it happened with the frontier at its heels; as it happened; shuffled; shuffled with duplicates."""
    shuffled = rng.sample(story, len(story))
    doubled = rng.sample(story * 2, 2 * len(story))
    return [(sorted(story, key=lambda event: event["time"]), True), (story, False), (shuffled, False), (doubled, False)]


def outcome(made: Book, case: Case, story: list[Event], *, keep_up: bool) -> Cycles:
    """What the core has published in the end, per cycle, in the words of the case."""
    example = case.example.split(" ")[0]
    partition, fields = Partition(made), fields_named(spelled(case.example)["promises"])
    for event in story:
        if keep_up:
            partition.frontier(event["time"])
        partition.core.fact(Subject(made.promises[0].key, "A-17"), as_fact(event, fields), partition.core.next_offset)
        partition.commit()
    partition.frontier(ms(END))
    newest = {
        one.cycle: one
        for one in sorted(partition.published, key=lambda one: one.revision)
        if one.kind != "at_risk" and one.promise == example
    }
    return {
        name: wording(one.status, one.due, one.fulfilled_at, one.breached_at, case.cycles.get(name, ""))
        for name, one in newest.items()
        if one.status not in ("void", "open")
    }
