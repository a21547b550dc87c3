"""Made worlds whose events come from three sources, at different speeds: the verdicts and ids of a single stream."""

import random
from collections import Counter
from typing import Any

import pytest

from schemas.book import parse_book
from schemas.book_model import Book
from schemas.errors import BookError
from schemas.facts import Fact, Subject
from schemas.groups import source_groups
from schemas.publications import Publication
from schemas.vectors import SourceMark
from tests.promises.builders import DAY, HOUR, OPENED, Partition, start
from tests.promises.builders import fact as sent
from tests.promises.facts_partitions import FactsPartition, book_of, breaches, final
from tests.reference.facts import Event, fields_of
from tests.reference.made_books import PAIRS, make_book
from tests.reference.playing import as_fact, as_yaml
from tests.reference.worlds import ALWAYS, World, make_world

NAMES = ("shop", "erp", "wms")
COUNTS = {"shop": 2, "erp": 1, "wms": 2}
Known = tuple[str, Fact]


def test_many_sources_say_what_a_single_stream_says(seed: int) -> None:
    """Over 400 worlds. And no breach is told before every source of its promise is complete past it."""
    play(random.Random(seed), books=50, worlds=8)


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_many_sources_say_what_a_single_stream_says_in_twenty_thousand_worlds(seed: int) -> None:
    play(random.Random(seed), books=1_000, worlds=20)


def test_what_a_later_remedy_changes_is_told_as_often_as_it_was_known_otherwise() -> None:
    """The remedy of a2 is late, until that of a1 opens and takes what came: a breach told anew. A source partition that
    is behind makes a2's breach known after a1's: then it is told once. Verdicts and first ids are the same.
    """
    promises = """
- {id: quiet, when: {event: a, again: true}, due: {within: 7d}, forbid: {event: e, match: [ref]}}
- {id: sorry, when: {breach_of: quiet}, due: {field: slot}, expect: {event: d, count: 2, early: true}}
"""
    several, single = (
        FactsPartition(book_of({"shop": "a e d"}, promises)),
        Partition(book_of({"shop": None}, promises), start(ALWAYS, ALWAYS)),
    )
    story = [
        sent("a", OPENED, "a1", ref="r1", slot="2026-05-05T10:00:00+02:00"),
        sent("a", OPENED, "a2", ref="r2", slot="2026-05-06T10:00:00+02:00"),
        sent("d", OPENED + HOUR, "d1"),
        sent("d", OPENED + 3 * DAY, "d2"),
        sent("e", OPENED + 4 * DAY, "e1", ref="r1"),
        sent("e", OPENED + 2 * HOUR, "e2", ref="r2"),
    ]
    for one in story:
        single.core.fact(Subject("order_id", "A-17"), one, single.core.next_offset)
    single.frontier(OPENED + 9 * DAY)
    several.send(*story[:-1])
    several.mark({"shop": 2}, shop_0=OPENED + 5 * DAY, shop_1=OPENED)
    several.send(story[-1])
    several.mark({"shop": 2}, shop_0=OPENED + 9 * DAY, shop_1=OPENED + 9 * DAY)
    several.read()

    assert breaches_of(single.published, "a2") == ["quiet", "sorry", "sorry"]
    assert breaches_of(several.published, "a2") == ["quiet", "sorry"]
    assert final(several.published) == final(single.published)


def breaches_of(published: list[Publication], cycle: str) -> list[str]:
    return [one.promise for one in published if one.kind == "breached" and one.cycle == cycle]


def play(chance: random.Random, books: int, worlds: int) -> None:
    groups, broken = 0, 0
    for _ in range(books):
        spelled = make_book(chance, chance.choices(PAIRS, k=chance.choice([2, 3])), is_accepted)
        senders = {event: chance.choice(NAMES) for event in sorted(named(spelled))}
        book = split(spelled, senders)
        groups += len(source_groups(book))
        for _ in range(worlds):
            world = make_world(chance, spelled)
            broken += compared(chance, book, world, senders)
    assert groups > 1.5 * books, "the sources do not divide the promises"
    assert broken > books, "hardly anything is broken in these worlds"


def compared(chance: random.Random, book: Book, world: World, senders: dict[str, str]) -> int:
    """Play a world both ways; how much was broken."""
    story = told(chance, world, senders)
    single = Partition(parse_book(as_yaml(world.book)), start(world.known_since, ALWAYS))
    for subject, fact in story:
        single.core.fact(Subject("id", subject), fact, single.core.next_offset)
    single.frontier(world.frontier)
    assert tells_once(world, single.published), world

    several = FactsPartition(book)
    fill(chance, several, story, world)
    while several.core.next_offset < len(several.log):
        offset = chance.randint(several.core.next_offset + 1, len(several.log))
        for one in several.read(offset, slice_size=chance.choice([1, 100])):
            if one.kind == "breached":
                frontier = several.vector.frontier(several.group_of(one.promise).sources)
                assert frontier is not None
                assert one.breached_at is not None
                assert one.breached_at < frontier, "told before it was proved"
        if chance.random() < 0.2:
            several.crash()
    assert final(several.published) == final(single.published), world
    return len(breaches(several.published))


def tells_once(world: World, published: list[Publication]) -> bool:
    """Whether no breach is told twice or taken back but those of remedies. Where all facts are known beforehand only a
    breach is news: it opens a remedy, which may take what had fulfilled another.
    """
    remedies = {promise["id"] for promise in world.book["promises"] if "breach_of" in promise["when"]}
    told = Counter(
        (one.promise, one.subject, one.cycle)
        for one in published
        if one.kind in ("breached", "retracted") and one.promise not in remedies
    )
    return max(told.values(), default=1) == 1


def told(chance: random.Random, world: World, senders: dict[str, str]) -> list[Known]:
    """The events of a world as facts of the sources that send them; of two contents under one id only the first."""
    fields = fields_of(world.book["promises"])
    story = []
    for subject, events in world.events.items():
        kinds: dict[str, str] = {}
        for event in events:
            if event["id"] not in kinds:
                kinds[event["id"]] = event["type"]
                taken = event.get("withdraws")
                kind = event["type"] if taken is None else kinds.get(taken, event["type"])
                sent: Event = event | {"source": senders.get(kind, "shop")}
                story.append((subject, as_fact(sent, fields)))
    chance.shuffle(story)
    return story


def fill(chance: random.Random, partition: FactsPartition, story: list[Known], world: World) -> None:
    """Put the story on a log, each source partition at its own speed, with markers that are true in between."""
    unsent: dict[str, list[Known]] = {f"{source}_{one}": [] for source, count in COUNTS.items() for one in range(count)}
    for subject, fact in story:
        unsent[f"{fact.source}_{chance.randrange(COUNTS[fact.source])}"].append((subject, fact))

    def mark(names: list[str], upto: int) -> None:
        marks: dict[str, SourceMark | int | None] = {}
        for name in names:
            frontier = min([upto, *(fact.time for _, fact in unsent[name])])
            marks[name] = SourceMark(frontier, frontier, world.known_since)
        partition.mark(COUNTS, **marks)

    while any(unsent.values()):
        name = chance.choice([name for name, waiting in unsent.items() if waiting])
        if chance.random() < 0.5:
            instant = chance.choice([one for one in world.instants if one < world.frontier] or [world.frontier - 1])
            mark(chance.sample(list(unsent), chance.randint(1, 5)), instant)
        subject, fact = unsent[name].pop()
        partition.send(*[fact] * chance.choice([1, 1, 2]), about=subject, key_name="id")
    mark(list(unsent), world.frontier - 1)
    mark(list(unsent), world.frontier)


def named(spelled: dict[str, Any]) -> set[str]:
    """Every event type that a book names."""
    found: set[str] = set()

    def look(part: Any) -> None:
        if isinstance(part, dict):
            for name, inner in part.items():
                if name in ("event", "until"):
                    found.update([inner] if isinstance(inner, str) else inner if isinstance(inner, list) else [])
                if name == "from":
                    found.update(inner.values())
                look(inner)
        elif isinstance(part, list):
            for inner in part:
                look(inner)

    look(spelled["promises"])
    return found


def split(spelled: dict[str, Any], senders: dict[str, str]) -> Book:
    """The same book with three sources, each of which can send some of the events."""
    common = spelled["sources"]["s"]
    sources = {
        name: common | {"topic": name, "events": [event for event, sender in senders.items() if sender == name]}
        for name in NAMES
    }
    return parse_book(as_yaml(spelled | {"sources": {name: one for name, one in sources.items() if one["events"]}}))


def is_accepted(book: dict[str, Any]) -> bool:
    """Whether it has no promise of which something can never happen."""
    try:
        parse_book(as_yaml(book))
    except BookError:
        return False
    return True
