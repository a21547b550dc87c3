"""What a migration would do, told from the changelog by the very function that the workers apply.

The changelog is read partition by partition into a temporary folder, so that its size does not matter. Nothing is
written to Kafka here, and no worker notices.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from agents.takeover import BEGINNING, Cores, latest_seen
from agents.takeover_facts import FactsCores
from promises.detector import subject_of
from promises.grouped import GroupedDetector
from promises.migrating import MOVED, Fate, Migrating
from promises.partition import CHECKPOINT_KEY, PartitionDetector
from promises.vector import Vector
from promises.verdicts import OPEN
from promisewatch.direct import direct_source
from promisewatch.topic_admin import topic_admin
from schemas.book_model import Book, Promise
from schemas.editions import SHORT_DIGITS, has_text, text_digest
from schemas.errors import EventError, PromisewatchError, TopicsError
from schemas.exits import ExitCode
from schemas.facts import Subject
from schemas.groups import FROM_NEVER, GROUPS_KEY
from schemas.migrations import Migration
from schemas.records import RECORD_FORMAT, TEXTS_KEY, Checkpoint, decode_checkpoint, decode_texts
from schemas.topics import changelog
from schemas.vectors import VECTOR_KEY
from streams.clock import SystemClock
from streams.offsets import LogOffsets
from streams.restore import restore
from streams.security import KafkaSecurity
from streams.store import PartitionStore, RocksStore

TAKE_EVERY = 5_000
"""Subjects after which what a dry run has changed in memory is forgotten."""


@dataclass
class VersionForecast:
    """What becomes of what runs under one version. `reasons` are of promises/migrating.py."""

    running: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    earlier: int = 0
    later: int = 0
    same: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    """By status, of those that are settled by the move itself."""
    overdue: int = 0
    """Due before what is known to be complete: broken as soon as everything until now has been read."""

    def add(self, fate: Fate) -> None:
        """Count what became of one running promise."""
        self.running += 1
        self.reasons[fate.reason] += 1
        if fate.reason != MOVED:
            return
        self.earlier += fate.due < fate.due_before
        self.later += fate.due > fate.due_before
        self.same += fate.due == fate.due_before
        self.overdue += fate.overdue
        if fate.status != OPEN:
            self.verdicts[fate.status] += 1


class Example(NamedTuple):
    """One running promise, and what the migration does to it."""

    subject: Subject
    fate: Fate


@dataclass
class Forecast:
    """What a migration would do now; `versions` by the number under which promises run.

    `unready` are the partitions whose worker has not got the new text yet, with the book that it has.
    """

    migration: Migration
    partitions: int
    versions: dict[int, VersionForecast] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)
    unready: dict[int, str] = field(default_factory=dict)
    reads_facts: bool = False
    """Whether the workers read the facts topic, so that the order has to stand there."""

    def add(self, subject: Subject, fate: Fate, examples_max: int) -> None:
        """Count what became of one running promise, and keep the first few of each kind to show."""
        forecast = self.versions.setdefault(fate.version, VersionForecast())
        if forecast.reasons[fate.reason] < examples_max:
            self.examples.append(Example(subject, fate))
        forecast.add(fate)


def asked_for(book: Book, promise: str, to: int, versions: tuple[int, ...], *, assume_known: bool) -> Migration:
    """The migration as it is sent. Raises PromisewatchError (USAGE) if the book has no such version."""
    target = target_of(book, promise, to)
    digest = text_digest(target, book.calendars)
    return Migration(promise, to, digest, book.digest, versions or None, assume_known)


def target_of(book: Book, promise_id: str, version: int) -> Promise:
    """The version to move to. Raises PromisewatchError (USAGE) if the book has none."""
    found = [promise for promise in book.promises if promise.id == promise_id]
    if not found:
        known = ", ".join(dict.fromkeys(promise.id for promise in book.promises))
        raise PromisewatchError(
            f"{book.path}: found no promise {promise_id!r}, expected one of {known}", ExitCode.USAGE
        )  # fmt: skip
    for promise in found:
        if promise.version == version:
            return promise
    known = ", ".join(str(promise.version) for promise in found)
    raise PromisewatchError(
        f"{book.path}: found no version {version} of {promise_id!r}, expected one of {known}", ExitCode.USAGE
    )


async def forecast_of(
    address: str, security: KafkaSecurity, app_id: str, book: Book, migration: Migration, examples_max: int
) -> Forecast:
    """Apply the migration to what the changelog holds now, in memory.

    Raises TopicsError if there is no such changelog, BrokerUnavailable, SettingsError, and StateError for state that
    this program cannot read.
    """
    client = {"bootstrap_servers": address, **security.aiokafka()}
    topic = changelog(app_id)
    async with topic_admin(address, security) as admin:
        found = (await admin.find([topic])).get(topic)
        if found is None:
            raise TopicsError(
                f"there is no changelog {topic} on {address}; expected the --app-id of a worker", ExitCode.USAGE
            )  # fmt: skip
        result, state = Forecast(migration, found.partitions), State(book, migration)
        offsets = LogOffsets(client)
        await offsets.start()
        try:
            for partition in range(found.partitions):
                with _store() as store:
                    await restore(client, offsets, store, topic, {partition})
                    add_partition(result, state, store, f"{topic}/{partition}", partition, examples_max)
        finally:
            await offsets.stop()
    return result


@contextmanager
def _store() -> Iterator[PartitionStore]:
    with tempfile.TemporaryDirectory(prefix="promisewatch-migrate-") as folder:
        store = RocksStore(Path(folder))
        try:
            yield store
        finally:
            for partition in store.partitions():
                store.drop(partition)


class OpenedPartition(NamedTuple):
    """One partition whose state is at hand: every subject, and what the migration does to it."""

    fates: Iterator[tuple[bytes, list[Fate]]]
    forget: Callable[[], object]


class State:
    """What a worker's partitions are read with: those of direct mode, or of facts mode."""

    def __init__(self, book: Book, migration: Migration) -> None:
        """Read what a worker with `book` has stored."""
        self.book = book
        self.migration = migration
        self._cores: Cores | None = None
        self._facts_cores = FactsCores(book)

    def open(self, store: PartitionStore, where: str, partition: int) -> OpenedPartition:
        """A partition that was worked. Raises EventError if the book lacks what is meant, StateError as a worker."""
        read, now = store.reader(partition), SystemClock().now_ms()
        if read(GROUPS_KEY) is not None:
            return self._open_facts(store, where, partition)
        book, stored, texts = self.book, read(CHECKPOINT_KEY), read(TEXTS_KEY)
        assert stored is not None, "only what was worked is opened"
        source = direct_source(book)
        if self._cores is None:
            self._cores = Cores(book)
        compiled = self._cores.of(texts, where, latest_seen(now, book))
        core = PartitionDetector(compiled.detector, read, decode_checkpoint(stored, where), partition=partition)
        core.rebuild(store.scan(partition))
        if source.frontier == "clock":  # an idle worker's frontier goes on without being stored
            core.advance_to(max(core.frontier, now - source.settle_ms))
        migrating = Migrating(compiled.detector, self.migration)
        return OpenedPartition(((one, core.migrate(one, migrating)) for one in core.subjects()), core.take)

    def _open_facts(self, store: PartitionStore, where: str, partition: int) -> OpenedPartition:
        read, book = store.reader(partition), self.book
        texts, groups = read(TEXTS_KEY), read(GROUPS_KEY)
        known = None if texts is None else decode_texts(texts, where)
        made = self._facts_cores.of(known, groups, where, FROM_NEVER)
        new = Checkpoint(RECORD_FORMAT, (), BEGINNING, b"", 0, BEGINNING, 0, {}, book.digest)
        core = GroupedDetector.open(
            made.cores, read, lambda prefix: store.scan(partition, prefix), new, partition=partition
        )  # fmt: skip
        core.advance(Vector(book.digest, read(VECTOR_KEY), where))
        migrating = core.migrating(self.migration)
        return OpenedPartition(((one, core.migrate(one, migrating)) for one in core.subjects()), core.take)


def add_partition(
    result: Forecast, state: State, store: PartitionStore, where: str, partition: int, examples_max: int
) -> None:
    """Apply the migration to one partition whose state is at hand."""
    read, book = store.reader(partition), state.book
    texts, reads_facts = read(TEXTS_KEY), read(GROUPS_KEY) is not None
    if read(CHECKPOINT_KEY) is None and not reads_facts:
        result.unready[partition] = "no worker has opened it yet"
        return
    result.reads_facts |= reads_facts
    known = None if texts is None else decode_texts(texts, where)
    target = target_of(book, result.migration.promise, result.migration.to)
    if known is None or not has_text(known, book, target, where):
        theirs = "an earlier version of promisewatch" if known is None else f"book {known.book[:SHORT_DIGITS]}"
        result.unready[partition] = f"its worker has {theirs}"
    elif any((one.promise, one.version, one.since) == (target.id, target.version, FROM_NEVER) for one in known.texts):
        result.unready[partition] = "not every source is mapped with the book yet"
    try:
        opened = state.open(store, where, partition)
    except EventError as error:  # the order was made from this very book
        raise AssertionError(error.message) from error
    for done, (stored_as, fates) in enumerate(opened.fates):
        for fate in fates:
            result.add(subject_of(stored_as), fate, examples_max)
        if done % TAKE_EVERY == 0:
            opened.forget()
