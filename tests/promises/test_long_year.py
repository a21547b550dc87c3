"""A year of orders in the core: what is kept stays as much as it was after the first retention, orphans or not."""

import random
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pytest

from promises import partition, wording
from promises.detector import Detector
from promises.partition import PartitionDetector
from schemas.book import parse_book
from schemas.book_model import Book
from schemas.facts import Fact, Subject
from schemas.publications import Publication
from tests.promises.builders import ALWAYS, DAY, HOUR, MINUTE, SECOND, at, start
from tests.promises.facts_partitions import FactsPartition

YEAR, MONTH = 365, 30
BEGIN = at("2026-01-01 00:00")
SLICE = 500
SOURCES = {
    "shop": "placed confirmed cancelled asked answered apologised",
    "van": "delivered",
    "hall": "failed repaired hot cooled dry oiled checked began",
}
SENDER = {kind: source for source, kinds in SOURCES.items() for kind in kinds.split()}
PROMISES = """
- {id: confirm, when: {event: placed}, due: {within: 15m}, expect: {event: confirmed}, release: {event: cancelled}}
- {id: deliver, when: {event: placed}, due: {plus: 3, unit: day, at: end_of_day}, expect: {event: delivered}}
- {id: answer, when: {event: asked, again: true}, due: {within: 4h}, warn: [-30m], expect: {event: answered}}
- {id: sorry, when: {breach_of: deliver}, due: {within: 1d}, expect: {event: apologised}}
- {id: visit, key: machine, when: {event: failed, again: true}, due: {within: 2d}, expect: {event: repaired}}
- {id: heat, key: machine, when: {event: hot}, due: {within: 1h}, expect: {event: cooled}}
- {id: oil, key: machine, when: {event: dry}, due: {within: 1d}, expect: {event: oiled}}
- {id: check, key: machine, when: {event: began}, due: {within: 2h}, expect: {event: checked, early: true}}
"""
"""Orders end; machines stay, with promises that always overlap."""
DEFAULTS = "defaults: {timezone: Europe/Amsterdam, key: order_id, skew: 5m, retention: 20d, orphan_ttl: 10d}\n"

VISITED = ("failed", "repaired")
"""What the promise with `again` on a machine looks at."""

RETENTION_DAYS = 20 + 10 + 4
"""After so long nothing is kept any more of an order: its longest due, retention, and what its orphans may take."""

FLAT = 1.15
"""How much more there may be later on than in the first full month, by chance; without end it would be tenfold."""


def source(name: str, kinds: str | None = None) -> str:
    events = "" if kinds is None else f", events: [{', '.join(kinds.split())}]"
    return f"  {name}: {{topic: {name}.events, format: json, id: id, type: type, time: time{events}}}\n"


def one_source() -> Book:
    return parse_book(f"{DEFAULTS}sources:\n{source('shop')}promises:\n{PROMISES}", "book.yaml")


def three_sources() -> Book:
    sources = "".join(source(name, kinds) for name, kinds in SOURCES.items())
    return parse_book(f"{DEFAULTS}sources:\n{sources}promises:\n{PROMISES}", "book.yaml")


@dataclass(frozen=True)
class Told:
    """One fact and when it becomes known."""

    known_at: int
    subject: Subject
    fact: Fact


class Year:
    """What happens, the same of every kind each day, so that any growth is one of ours."""

    def __init__(self, seed: int, orders_a_day: int, machines: int) -> None:
        self.chance = random.Random(seed)
        self.orders_a_day = orders_a_day
        self.machines = machines
        self.told: list[Told] = []
        self.ids = 0
        for day in range(YEAR):
            self.day(BEGIN + day * DAY, day)
        self.told.sort(key=lambda one: (one.known_at, one.fact.id))

    def day(self, begin: int, day: int) -> None:
        chance = self.chance
        for number in range(self.orders_a_day):
            order = Subject("order_id", f"{day}-{number}")
            placed = begin + DAY * number // self.orders_a_day
            self.tell(order, "placed", placed)
            if number % 10 == 9:
                self.tell(order, "cancelled", placed + 10 * MINUTE)
            elif number % 10:
                self.tell(order, "confirmed", placed + chance.randint(1, 16) * MINUTE)
            if number % 7:
                self.tell(order, "delivered", placed + chance.randint(1, 5) * DAY)
            if number % 3 == 0:
                asked = placed + chance.randint(1, 40) * HOUR
                self.tell(order, "asked", asked)
                self.tell(order, "answered", asked + chance.randint(1, 5) * HOUR)
            if self.ids % 100 < 4:  # the opening of what it fulfils never comes: one fact in a hundred
                self.tell(Subject("order_id", f"orphan-{day}-{number}"), "delivered", placed)
        for number in range(self.machines if day % 2 else 0):
            machine = Subject("machine", f"m{number}")
            for kind in ("failed", "repaired", "hot", "cooled", "dry", "oiled", "checked", "began"):
                self.tell(machine, kind, begin + chance.randint(0, DAY - 1))

    def tell(self, subject: Subject, kind: str, time: int) -> None:
        """Most become known soon, some an hour later, and one in fifty twice."""
        self.ids += 1
        fact = Fact(SENDER[kind], f"{self.ids:07d}", kind, time, {})
        self.told.append(Told(time + self.chance.choice([1, 1, 1, 60]) * MINUTE, subject, fact))
        if self.ids % 50 == 0:
            self.told.append(Told(time + 2 * DAY, subject, fact))


class Run:
    """One partition with a dictionary for a store that lives through the year."""

    def __init__(self, book: Book, *, follow: bool = True) -> None:
        """`follow`: remember who was there and who left."""
        self.follow = follow
        self.detector = Detector(book)
        self.store: dict[bytes, bytes] = {}
        self.checkpoint = start(known_since=ALWAYS)
        self.core = PartitionDetector(self.detector, self.store.get, self.checkpoint, partition=0)
        self.tombstones: Counter[bytes] = Counter()
        self.seen: set[bytes] = set()
        self.counted: Counter[str] = Counter()
        self.published: Counter[str] = Counter()

    def commit(self) -> list[Publication]:
        batch = self.core.take()
        self.checkpoint = batch.checkpoint
        self.counted.update(batch.counted)
        self.published.update(one.status for one in batch.publications)
        for key, value in batch.changes.items():
            if value is None:
                self.store.pop(key, None)
            else:
                self.store[key] = value
            if self.follow and value is None:
                self.tombstones[key] += 1
            elif self.follow:
                self.seen.add(key)
        return batch.publications

    def learn(self, told: Iterable[Told]) -> list[Publication]:
        published = []
        for one in told:
            self.core.fact(one.subject, one.fact, self.core.next_offset)
            if self.core.pending >= SLICE:
                published += self.commit()
        return published + self.commit()

    def advance(self, frontier: int) -> list[Publication]:
        self.core.advance_to(frontier)
        published = []
        while self.core.fire_due(SLICE):
            published += self.commit()
        return published + self.commit()

    def restart(self) -> None:
        self.core = PartitionDetector(self.detector, self.store.get, self.checkpoint, partition=0)
        self.core.rebuild(list(self.store.items()))

    def size(self) -> dict[str, int]:
        """What is stored, what is on the heap, and every container of the core."""
        names = [name for name in dir(self.core) if not name.startswith("__")]  # compiled, it has no __dict__
        values = {name: getattr(self.core, name) for name in names}
        held = {name: len(value) for name, value in values.items() if hasattr(value, "__len__")}
        # What was decoded last is forgotten past a bound of its own.
        held.pop("_recent")
        stored = {"records": len(self.store), "bytes": sum(map(len, self.store.values())), "timers": self.core.timers}
        return held | stored | {"largest": max(map(len, self.store.values()), default=0)}


def days(told: list[Told]) -> Iterator[tuple[int, list[Told]]]:
    """What becomes known each day, with the instant at which the day is over."""
    place = 0
    for day in range(YEAR + 2):
        end, begin = BEGIN + (day + 1) * DAY, place
        while place < len(told) and told[place].known_at < end:
            place += 1
        yield end, told[begin:place]


def live(run: "Run | GroupedRun", year: Year, watch: Callable[[], dict[str, int]]) -> list[dict[str, int]]:
    """Let the year pass, with a restart every fifty days; what `watch` sees at the end of each day."""
    seen = []
    for day, (end, told) in enumerate(days(year.told)):
        for hours in range(0, 24, 6):
            until = end - DAY + (hours + 6) * HOUR
            run.learn(one for one in told if until - 6 * HOUR <= one.known_at < until)
            run.advance(until - 2 * HOUR)
        if day % 50 == 49:
            run.restart()
        seen.append(watch())
    return seen


def growth(seen: list[dict[str, int]]) -> dict[str, float]:
    """How much more there is in the fullest of the later months than in the first full one, by what it is."""
    first = RETENTION_DAYS
    months = [seen[begin : begin + MONTH] for begin in range(first, YEAR - MONTH, MONTH)]
    names = sorted({name for month in months for day in month for name in day})
    fullest = {name: [max(day[name] for day in month) for month in months] for name in names}
    return {name: max(later) / first if first else float(max(later)) for name, (first, *later) in fullest.items()}


def check_year(seed: int, orders_a_day: int, machines: int) -> tuple[Run, Year]:
    run, year = Run(one_source()), Year(seed, orders_a_day, machines)
    assert sum(one.subject.value.startswith("orphan") for one in year.told) >= 0.009 * len(year.told)
    grown = growth(live(run, year, run.size))
    assert all(ratio <= FLAT for ratio in grown.values()), grown
    assert not run.counted["too_many_facts"]
    assert set(run.published) >= {"kept", "breached", "fulfilled_late", "released"}
    # Every subject that left did so with a tombstone, once for each time that it was there.
    assert run.seen - set(run.store) == {key for key in run.tombstones if key not in run.store}
    assert len(run.tombstones) > 0.85 * len(run.seen)
    return run, year


def check_snapshot(run: Run, year: Year) -> None:
    """All events of the year once more: as a producer sends them that was set up anew.

    But for those of the one promise with `again` on subjects that never end: what fulfilled a cycle that has left may,
    sent again, be taken for a later one (docs/semantics.md).
    """
    store, timers = dict(run.store), run.core.timers
    counted = run.counted.copy()
    known = [one for one in year.told if one.fact.time < run.core.frontier]
    events = [one for one in known if one.fact.type not in VISITED]
    year.chance.shuffle(events)
    assert run.learn(events) == []
    assert run.store == store
    assert run.core.timers == timers
    news = run.counted - counted
    assert set(news) == {"duplicate", "too_old"}
    assert news["duplicate"] < 0.2 * len(events)
    assert run.advance(run.core.frontier + SECOND) == []


def test_a_year_of_orders_and_orphans_leaves_no_more_than_its_last_weeks(seed: int) -> None:
    """Records, bytes, timers and all else that the core holds; and sending everything again opens nothing."""
    run, year = check_year(seed, orders_a_day=12, machines=1)
    check_snapshot(run, year)
    run.advance(run.core.frontier + 60 * DAY)
    assert (run.store, run.core.timers) == ({}, 0)


@pytest.mark.full
def test_a_year_of_orders_takes_no_more_memory_than_its_first_months(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the process sees it: what it has allocated at the end of each day does not grow either."""
    # What is remembered up to a bound would take more orders than these to come to it.
    monkeypatch.setattr(partition, "RECENT_RECORDS_MAX", 50)
    monkeypatch.setattr(wording, "_minute_text", wording._minute_text.__wrapped__)
    tracemalloc.start()
    try:
        run, year = Run(one_source(), follow=False), Year(seed, orders_a_day=20, machines=1)
        before = tracemalloc.get_traced_memory()[0]
        seen = live(run, year, lambda: {"memory": tracemalloc.get_traced_memory()[0] - before})
    finally:
        tracemalloc.stop()
    assert growth(seen)["memory"] <= 1.5, [day["memory"] for day in seen[::MONTH]]


class GroupedRun(FactsPartition):
    """A facts partition that lives through the year."""

    def learn(self, told: Iterable[Told]) -> list[Publication]:
        for one in told:
            self.send(one.fact, about=one.subject.value, key_name=one.subject.key)
        return self.read()

    def advance(self, frontier: int) -> list[Publication]:
        self.mark(dict.fromkeys(SOURCES, 1), **{f"{name}_0": frontier for name in SOURCES})
        return self.read()

    def restart(self) -> None:
        self.open(self.book)

    def size(self) -> dict[str, int]:
        self.published.clear()
        kept = [(key, value) for key, value in self.store.items() if not key.startswith(b"\x00")]
        stored = {"records": len(kept), "bytes": sum(len(value) for _, value in kept), "timers": self.core.timers}
        return stored | {"aside": sum(group.aside for group in self.core.groups), "keys": len(self.store)}


@pytest.mark.full
def test_a_year_of_several_sources_leaves_no_more_than_its_last_weeks(seed: int) -> None:
    """Each group of promises keeps records of its own."""
    run, year = GroupedRun(three_sources()), Year(seed, orders_a_day=12, machines=1)
    assert len(run.core.groups) > 2
    grown = growth(live(run, year, run.size))
    assert all(ratio <= FLAT for ratio in grown.values()), grown
    store, timers = {key: value for key, value in run.store.items() if not key.startswith(b"\x00")}, run.core.timers
    events = [one for one in year.told if one.fact.time < BEGIN + YEAR * DAY]
    year.chance.shuffle(events)
    assert run.learn(events) == []
    assert {key: value for key, value in run.store.items() if not key.startswith(b"\x00")} == store
    assert run.core.timers == timers
