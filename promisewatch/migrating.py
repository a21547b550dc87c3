"""What a migration would do, told from the changelog by the very function that the workers apply.

The changelog is read partition by partition into a temporary folder, so that its size does not matter. Nothing is
written to Kafka here, and no worker notices.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from agents.takeover import Cores, latest_seen
from promises.detector import subject_of
from promises.migrating import MOVED, Fate, Migrating
from promises.partition import CHECKPOINT_KEY, PartitionDetector
from promises.verdicts import OPEN
from promisewatch.direct import direct_source
from promisewatch.topic_admin import topic_admin
from schemas.book_model import Book, Promise
from schemas.editions import SHORT_DIGITS, has_text, text_digest
from schemas.errors import EventError, PromisewatchError, TopicsError
from schemas.exits import ExitCode
from schemas.facts import Subject
from schemas.migrations import Migration
from schemas.records import TEXTS_KEY, decode_checkpoint, decode_texts
from schemas.topics import changelog
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
        result, cores = Forecast(migration, found.partitions), Cores(book)
        offsets = LogOffsets(client)
        await offsets.start()
        try:
            for partition in range(found.partitions):
                with _store() as store:
                    await restore(client, offsets, store, topic, {partition})
                    _add_partition(result, cores, book, store, f"{topic}/{partition}", partition, examples_max)
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


def _add_partition(
    result: Forecast, cores: Cores, book: Book, store: PartitionStore, where: str, partition: int, examples_max: int
) -> None:
    """Apply the migration to one partition whose state is at hand."""
    migration, read = result.migration, store.reader(partition)
    stored, texts = read(CHECKPOINT_KEY), read(TEXTS_KEY)
    if stored is None:
        result.unready[partition] = "no worker has opened it yet"
        return
    checkpoint = decode_checkpoint(stored, where)
    target = target_of(book, migration.promise, migration.to)
    if texts is None or not has_text(decode_texts(texts, where), book, target, where):
        result.unready[partition] = f"its worker has book {checkpoint.book[:SHORT_DIGITS]}"
    compiled = cores.of(texts, where, latest_seen(SystemClock().now_ms(), book))
    core = PartitionDetector(compiled.detector, read, checkpoint, partition=partition)
    core.rebuild(store.scan(partition))
    source = direct_source(book)
    if source.frontier == "clock":  # an idle worker's frontier goes on without being stored
        core.advance_to(max(core.frontier, SystemClock().now_ms() - source.settle_ms))
    try:
        migrating = Migrating(compiled.detector, migration)
    except EventError as error:  # the order was made from this very book
        raise AssertionError(error.message) from error
    for done, stored_as in enumerate(core.subjects()):
        for fate in core.migrate(stored_as, migrating):
            result.add(subject_of(stored_as), fate, examples_max)
        if done % TAKE_EVERY == 0:
            core.take()
