"""Worlds of which a stretch of the facts topic got lost, facts and vectors of every source: nothing false is said."""

import random
from collections import Counter
from typing import NamedTuple

from schemas.facts import Fact
from tests.promises.builders import HOUR, MINUTE, OPENED
from tests.promises.facts_partitions import FactsPartition, book_of, final

SKEW = 5 * MINUTE
LATE = HOUR
"""How late the sources may publish, and how far their frontiers stay behind the clock."""
STEP = 10 * MINUTE
SOURCES: dict[str, str | None] = {"shop": "a", "erp": "b c", "wms": "d"}
BOOK = book_of(
    SOURCES,
    """
- {id: answered, when: {event: a}, due: {within: 1h}, expect: {event: b}, release: {event: c}}
- {id: shipped, when: {event: a}, due: {within: 3h}, expect: {event: d}, warn: [-15m]}
- {id: sorry, when: {breach_of: answered}, due: {within: 1h}, expect: {event: d}}
""",
)
COUNTS = {"shop": 1, "erp": 2, "wms": 1}
SENDER = {event: source for source, events in SOURCES.items() for event in (events or "").split()}
BROKEN = ("breached", "fulfilled_late")
MET = ("kept", "released")
"""Which of the two came first may be among what was lost."""


class World(NamedTuple):
    """The log of one facts partition; `arrived` says when each of its records did, `began` each order's first event."""

    partition: FactsPartition
    arrived: list[int]
    began: dict[str, int]


def make(chance: random.Random) -> World:
    """Fifty orders within twelve hours: some of what should happen does, and some of that in time."""
    partition = FactsPartition(BOOK)
    told: list[tuple[int, str, Fact]] = []
    began: dict[str, int] = {}
    for number in range(50):
        order = f"order-{number}"
        began[order] = opened = OPENED + chance.randrange(12 * 60) * MINUTE
        story = [("a", opened)]
        for event, within in (("b", 2 * HOUR), ("c", 9 * HOUR), ("d", 6 * HOUR)):
            if chance.random() < 0.6:
                story.append((event, opened + chance.randrange(within)))
        for event, at in story:
            told.append((at + chance.randrange(LATE), order, Fact(SENDER[event], f"{order}{event}", event, at, {})))
    told.sort(key=lambda one: one[0])
    arrived: list[int] = []
    clock = OPENED
    while told or clock < OPENED + 36 * HOUR:
        clock += STEP
        while told and told[0][0] < clock:
            at, order, fact = told.pop(0)
            partition.send(fact, about=order)
            arrived.append(at)
        # Sources are told of one by one, and one of them now and then not at all.
        for names in (("shop_0",), ("erp_0", "erp_1"), ("wms_0",)):
            if chance.random() < 0.8 or not told:
                partition.mark(COUNTS, **dict.fromkeys(names, clock - LATE))
                arrived.append(clock)
    return World(partition, arrived, began)


def test_what_is_lost_of_the_facts_topic_breaks_nothing_and_changes_nothing_of_what_comes_later(seed: int) -> None:
    """Against the same log read as a whole, by a partition that may crash once more while it goes on."""
    seen: Counter[str] = Counter()
    for number in range(15):
        name = f"{seed}/{number}"
        whole, torn = make(random.Random(name)), make(random.Random(name))
        whole.partition.read()
        chance = random.Random(f"{name}/lost")
        count = len(torn.partition.log)
        begin = chance.randrange(count // 2)
        end = chance.randrange(begin + 1, count * 3 // 4)
        torn.partition.read(begin)
        torn.partition.crash()
        until = torn.arrived[end - 1] + 1
        torn.partition.core.add_gap(until)
        torn.partition.core.set_next_offset(end)
        torn.partition.commit()
        if chance.random() < 0.5:
            torn.partition.read(chance.randrange(end, count), slice_size=chance.choice([1, 100]))
            torn.partition.crash()
        torn.partition.read(slice_size=chance.choice([1, 100]))
        compare(whole, torn, until, seen)
    assert min(seen[what] for what in ("held", "broken", "later")) > 20, seen


def compare(whole: World, torn: World, until: int, seen: Counter[str]) -> None:
    """What is broken or met is so in truth, what began later ends as ever, all else is held or was never heard of."""
    truth, found = final(whole.partition.published), final(torn.partition.published)
    for (promise, order, cycle), verdict in found.items():
        true = truth[promise, order, cycle]
        seen[verdict[0]] += 1
        if verdict[0] in BROKEN:
            seen["broken"] += 1
            assert true[0] in BROKEN, f"{promise} of {order}: found {verdict}, in truth {true}"
        elif verdict[0] != "held":
            assert {verdict[0], true[0]} <= {*MET}, f"{promise} of {order}: found {verdict}, in truth {true}"
    for (promise, order, cycle), verdict in truth.items():
        if torn.began[order] >= until + SKEW:
            seen["later"] += 1
            assert found[promise, order, cycle] == verdict
