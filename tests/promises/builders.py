"""Short ways to say a book, a fact and a partition, for tests that read as sentences."""

import itertools
from collections import Counter
from datetime import datetime
from zoneinfo import ZoneInfo

from promises.detector import Detector
from promises.partition import PartitionDetector
from schemas.book import parse_book
from schemas.book_model import Book
from schemas.facts import Fact, Subject
from schemas.instants import local_to_ms
from schemas.publications import Publication
from schemas.records import RECORD_FORMAT, Checkpoint

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
ALWAYS = -(1 << 62)

HEAD = """
sources:
  shop: {topic: shop.events, format: json, id: event_id, type: type, time: occurred_at}
defaults: {timezone: Europe/Amsterdam, key: order_id, skew: 5m, retention: 400d, orphan_ttl: 30d}
calendars:
  warehouse: {days: [mon, tue, wed, thu, fri, sat], hours: "00:00-24:00", holidays: NL}
  carrier: {days: [mon, tue, wed, thu, fri, sat], hours: "00:00-24:00", holidays: NL, remove: ["2026-04-03"],
            add: ["2026-12-31"]}
  office: {days: [mon, tue, wed, thu, fri], hours: "09:00-17:00", holidays: NL, timezone: Europe/Amsterdam}
  night: {days: [mon, tue, wed, thu, fri], hours: "22:00-06:00"}
promises:
"""

CONFIRM = """
- {id: confirm, title: Confirmed within 15 minutes, when: {event: order.placed}, due: {within: 15m},
   expect: {event: message.sent, where: {kind: confirmation}}, release: {event: order.cancelled}}
"""

SLOT = "- {id: visit, when: {event: visit.made}, due: {field: slot}, expect: {event: visit.done}}"

_ids = itertools.count(1)


def book(promises: str = CONFIRM) -> Book:
    """A book with these promises (a YAML list) under the usual head: key order_id, zone Europe/Amsterdam."""
    return parse_book(HEAD + promises, "book.yaml")


def at(text: str) -> int:
    """UTC milliseconds of a local time in Amsterdam, `2026-04-24 17:59:59`."""
    return local_to_ms(datetime.fromisoformat(text), AMSTERDAM)


OPENED = at("2026-05-04 10:00")
DUE = OPENED + 15 * MINUTE
"""When an order of these tests is placed, and by when `CONFIRM` promises its confirmation."""


def fact(event: str, time: str | int, fact_id: str | None = None, /, **data: object) -> Fact:
    """A fact of source `shop`; without an id it gets one of its own, in the order of calls."""
    instant = at(time) if isinstance(time, str) else time
    return Fact("shop", fact_id if fact_id is not None else f"f{next(_ids):06d}", event, instant, dict(data))


def placed(time: str | int, fact_id: str | None = None, **data: object) -> Fact:
    return fact("order.placed", time, fact_id, **data)


def confirmed(time: str | int, fact_id: str | None = None) -> Fact:
    return fact("message.sent", time, fact_id, kind="confirmation")


def cancelled(time: str | int, fact_id: str | None = None) -> Fact:
    return fact("order.cancelled", time, fact_id)


def start(known_since: int = ALWAYS, frontier: int = 0) -> Checkpoint:
    """Where a partition begins that nobody has processed yet."""
    return Checkpoint(RECORD_FORMAT, ("shop",), frontier, b"", 0, known_since, ALWAYS, {"shop/0": frontier}, "")


class Partition:
    """A partition of the core with a dictionary for a store, and everything it has published so far."""

    def __init__(self, made: Book | Detector, checkpoint: Checkpoint | None = None) -> None:
        self.detector = made if isinstance(made, Detector) else Detector(made)
        self.store: dict[bytes, bytes] = {}
        self.checkpoint = checkpoint or start()
        self.published: list[Publication] = []
        self.counted: Counter[str] = Counter()
        self.core = PartitionDetector(self.detector, self.store.get, self.checkpoint, partition=0)

    def learn(self, *facts: Fact, about: str = "A-17", commit: bool = True) -> list[Publication]:
        """Process facts in this order, as one batch; what that published."""
        for one in facts:
            self.core.fact(Subject("order_id", about), one, self.core.next_offset)
        return self.commit() if commit else []

    def frontier(self, frontier: str | int, slice_size: int = 1000) -> list[Publication]:
        """Move the frontier and let all timers fire, a transaction a slice; what that published."""
        self.core.advance_to(at(frontier) if isinstance(frontier, str) else frontier)
        published: list[Publication] = []
        while self.core.fire_due(slice_size):
            published += self.commit()
        return published + self.commit()

    def commit(self) -> list[Publication]:
        """What a transaction does: publish, store the changed records and the checkpoint."""
        batch = self.core.take()
        self.published += batch.publications
        self.counted += batch.counted
        self.checkpoint = batch.checkpoint
        for key, value in batch.changes.items():
            if value is None:
                self.store.pop(key, None)
            else:
                self.store[key] = value
        return batch.publications

    def restart(self, made: Book | None = None) -> None:
        """Lose the process: all that is left is the store and the checkpoint of the last commit."""
        if made is not None:
            self.detector = Detector(made)
        self.core = PartitionDetector(self.detector, self.store.get, self.checkpoint, partition=0)
        self.core.rebuild(list(self.store.items()))

    def kinds(self) -> list[str]:
        """What was published, in order: the kind, and for outcomes the status."""
        return kinds(self.published)

    def final(self) -> dict[tuple[str, str, str], tuple[str, int | None]]:
        """By (promise, subject, cycle) the status and fulfilment of the highest revision, voided cycles left out."""
        newest: dict[tuple[str, str, str], Publication] = {}
        for one in self.published:
            name = (one.promise, one.subject, one.cycle)
            if name not in newest or newest[name].revision < one.revision:
                newest[name] = one
        return {
            name: (one.status, one.fulfilled_at) for name, one in newest.items() if one.status not in ("void", "open")
        }


def kinds(published: list[Publication]) -> list[str]:
    return [one.status if one.kind == "outcome" else one.kind for one in published]
