"""A facts partition when the book changes: what runs goes on, what is new begins when its facts are known to come."""

import pytest

from promises.grouped import compile_groups
from promises.migrating import MOVED
from schemas.book_model import Book
from schemas.editions import Editions, editions_of, still_needed, text_digest
from schemas.errors import EventError
from schemas.facts import Fact
from schemas.groups import FROM_NEVER, group_promises
from schemas.migrations import Migration
from schemas.records import Texts
from schemas.vectors import KNOWN_FOR_EVER, SourceMark
from tests.promises.builders import DAY, HOUR, MINUTE, OPENED
from tests.promises.facts_partitions import FactsPartition, book_of, breaches

SOURCES: dict[str, str | None] = {"shop": "placed", "erp": "paid", "wms": "shipped"}
PAID = "- {id: paid, when: {event: placed}, due: {within: 1h}, expect: {event: paid}}\n"
SHIPPED = "- {id: shipped, when: {event: placed}, due: {within: 1h}, expect: {event: shipped}}\n"
COUNTS = {"shop": 1, "erp": 1, "wms": 1}


class Worked(FactsPartition):
    """A facts partition and the texts that it keeps, worked by one book after another."""

    def __init__(self, book: Book) -> None:
        super().__init__(book)
        self.texts: Texts | None = editions_of(book, None, "store", 0).stored

    def deploy(self, book: Book, latest: int) -> Editions:
        """Start again with a book, and forget the texts under which nothing runs."""
        editions = editions_of(book, self.texts, "store", latest)
        self.open(book, editions, latest)
        kept = still_needed(editions, self.core.pinned)
        self.texts = kept.stored
        return kept

    def everything(self, until: int) -> None:
        """Every source is complete before an instant."""
        self.mark(COUNTS, **dict.fromkeys(("shop_0", "erp_0", "wms_0"), until))


def worked(promises: str) -> Worked:
    partition = Worked(book_of(SOURCES, promises))
    partition.everything(OPENED)
    partition.send(Fact("shop", "1", "placed", OPENED, {}))
    partition.read()
    return partition


def test_what_runs_under_a_text_that_left_the_book_is_still_judged_by_its_own_sources() -> None:
    """And its group is gone once nothing of it is kept."""
    partition = worked(PAID + SHIPPED)
    after = book_of(SOURCES, PAID)
    partition.deploy(after, OPENED + MINUTE)
    partition.everything(OPENED + DAY)
    assert sorted(breaches(partition.read())) == [("paid", "A-17"), ("shipped", "A-17")]
    partition.everything(OPENED + 500 * DAY)
    partition.read()
    partition.deploy(after, OPENED + 501 * DAY)
    assert len(partition.grouping.groups) == 2  # only now it is known that nothing runs
    partition.deploy(after, OPENED + 501 * DAY)
    partition.process(len(partition.log))
    partition.commit()
    assert partition.grouping.dropped == (1,)
    assert not [key for key in partition.store if key.startswith((b"\x011:", b"\x021:", b"\x00checkpoint/1"))]
    assert [key for key in partition.store if key.startswith(b"\x00checkpoint/0")]


def test_what_is_left_of_a_group_that_is_no_more_is_removed() -> None:
    """Orphans, say: slice by slice, as all that timers do."""
    partition = worked(PAID + SHIPPED)
    for number in range(5):
        partition.store[b"\x017:order_id\x1f%d" % number] = b"[1,[],[]]"
    partition.grouping = partition.grouping._replace(dropped=(7,))
    core = partition.core.open(
        compile_groups(partition.book, Editions(), partition.grouping.groups),
        partition.store.get, partition.scan, partition.first, dropped=(7,),
    )  # fmt: skip
    assert core.fire_due(2)
    assert len(core.take().changes) == 2
    assert not core.fire_due(100)
    assert set(core.take().changes.values()) == {None}


def test_a_new_promise_opens_nothing_until_its_facts_are_sent_by_everybody() -> None:
    """Facts that an ingest process with the earlier book had left out would look like broken promises."""
    partition = worked(PAID)
    before, after = partition.book, book_of(SOURCES, PAID + SHIPPED)
    partition.deploy(after, FROM_NEVER)
    assert partition.grouping.waits
    partition.send(Fact("shop", "2", "placed", OPENED + HOUR, {}), about="early")
    partition.everything(OPENED + HOUR)
    partition.read()
    assert partition.vector.complete(SOURCES)

    editions = editions_of(after, partition.texts, "store", OPENED + 2 * HOUR)
    partition.grouping = group_promises(after, editions, partition.grouping.stored, OPENED + 2 * HOUR)
    partition.core.exchange(compile_groups(after, editions, partition.grouping.groups))
    assert not partition.grouping.waits
    partition.send(Fact("shop", "3", "placed", OPENED + 2 * HOUR + 5 * MINUTE, {}), about="within the skew")
    partition.send(Fact("shop", "4", "placed", OPENED + 2 * HOUR + 5 * MINUTE + 1, {}), about="after it")
    partition.everything(OPENED + DAY)
    told = breaches(partition.read())
    assert [subject for promise, subject in told if promise == "shipped"] == ["after it"]
    assert len([subject for promise, subject in told if promise == "paid"]) == 4
    assert before.digest != after.digest


def test_a_changed_text_that_looks_at_nothing_new_loses_no_opening() -> None:
    partition = worked(PAID)
    partition.deploy(book_of(SOURCES, PAID.replace("1h", "2h")), FROM_NEVER)
    partition.send(Fact("shop", "2", "placed", OPENED + MINUTE, {}), about="new")
    partition.everything(OPENED + 2 * HOUR + MINUTE)
    assert breaches(partition.read()) == [("paid", "A-17")]
    partition.everything(OPENED + 2 * HOUR + MINUTE + 1)
    assert breaches(partition.read()) == [("paid", "new")]


def test_markers_of_the_earlier_book_hold_everything_until_ingest_has_the_new_one() -> None:
    partition = worked(PAID)
    before = partition.book
    partition.deploy(book_of(SOURCES, PAID + SHIPPED), FROM_NEVER)
    after, partition.book = partition.book, before
    partition.everything(OPENED + DAY)
    assert breaches(partition.read()) == []
    assert partition.counted["marker_of_another_book"] == 1
    partition.book = after
    partition.everything(OPENED + DAY)
    assert breaches(partition.read()) == [("paid", "A-17")]


def test_facts_are_put_aside_until_a_source_that_the_book_added_is_known() -> None:
    """What its log had lost before is no reason to break a promise, and nothing is judged by halves meanwhile."""
    partition = worked(PAID)
    wider = dict(SOURCES) | {"bank": "paid"}
    after = book_of(wider, PAID)
    partition.deploy(after, OPENED + MINUTE)
    partition.send(Fact("shop", "2", "placed", OPENED + HOUR, {}), about="before")
    partition.send(Fact("shop", "3", "placed", OPENED + 2 * HOUR, {}), about="after")
    partition.everything(OPENED + DAY)
    assert breaches(partition.read()) == []
    partition.deploy(after, OPENED + MINUTE)
    partition.mark({"bank": 1}, bank_0=SourceMark(OPENED + DAY, OPENED, OPENED + 2 * HOUR))
    assert sorted(breaches(partition.read())) == [("paid", "A-17"), ("paid", "after")]


def test_a_migration_moves_what_runs_in_every_group_that_follows_the_promise() -> None:
    """Told once; the silent copy moves along, or its remedy would come too early."""
    versions = """
- {id: paid, version: 1, when: {event: placed}, due: {within: 1h}, expect: {event: paid}}
"""
    second = """
- {id: paid, version: 2, effective_from: "2027-01-01T00:00:00Z", when: {event: placed}, due: {within: 3h},
   expect: {event: paid}}
"""
    sorry = "- {id: sorry, when: {breach_of: paid}, due: {within: 1h}, expect: {event: shipped}}\n"
    partition = worked(versions + second + sorry)
    target = next(one for one in partition.book.promises if one.version == 2)
    migration = Migration("paid", 2, text_digest(target, partition.book.calendars), partition.book.digest)
    migrating = partition.core.migrating(migration)
    fates = [fate for stored_as in partition.core.subjects() for fate in partition.core.migrate(stored_as, migrating)]
    assert [fate.reason for fate in fates] == [MOVED]
    partition.everything(OPENED + 3 * HOUR)
    assert breaches(partition.read()) == []
    partition.everything(OPENED + DAY)
    told = partition.read()
    assert sorted(breaches(told)) == [("paid", "A-17"), ("sorry", "A-17")]
    assert {one.promise: one.breached_at for one in told} == {"paid": OPENED + 3 * HOUR, "sorry": OPENED + 4 * HOUR}


def test_a_migration_of_a_promise_that_no_group_has_is_refused() -> None:
    partition = worked(PAID + SHIPPED)
    with pytest.raises(EventError, match="no promise 'pade', expected one of paid, shipped"):
        partition.core.migrating(Migration("pade", 1, "", ""))


def test_a_new_group_begins_where_the_others_are() -> None:
    partition = worked(PAID)
    position = partition.core.next_offset
    partition.deploy(book_of(SOURCES, PAID + SHIPPED), OPENED)
    assert partition.core.next_offset == position
    assert [group.core.next_offset for group in partition.core.groups] == [position, position]
    assert partition.first.known_since == KNOWN_FOR_EVER
