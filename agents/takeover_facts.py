"""Taking over a partition of the facts topic: its groups of promises, by which texts they go on, and what to wait for.

A changed book takes effect when every source is mapped with it: before that, facts may lack what a new text looks at.
So a text that looks at anything new opens nothing that happened before the vector is complete for the book.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from agents.takeover import (
    BEGINNING,
    CORES_REMEMBERED_MAX,
    DetectSettings,
    check_identity,
    check_mode,
    expired_records,
    latest_seen,
    log,
    pass_over,
    tell_of_another_book,
)
from promises.grouped import GroupCore, GroupedDetector, compile_groups
from promises.vector import Vector
from schemas.book_model import Book
from schemas.editions import Editions, check_keys, editions_of, still_needed
from schemas.errors import StateError
from schemas.groups import (
    FROM_NEVER,
    GROUPS_KEY,
    Group,
    Grouping,
    check_senders,
    decode_groups,
    encode_groups,
    group_promises,
)
from schemas.records import RECORD_FORMAT, TEXTS_KEY, Checkpoint, Texts, decode_texts, encode_checkpoint, encode_texts
from schemas.vectors import VECTOR_KEY
from streams.app import BatchApp
from streams.emit import Outgoing


class CompiledGroups(NamedTuple):
    """A book, and what still runs under earlier texts, made ready for use group by group."""

    cores: tuple[GroupCore, ...]
    editions: Editions
    grouping: Grouping


class FactsCores:
    """The compiled groups: once for each set of texts and groups that partitions know, and that is mostly one."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._made: dict[tuple[bytes, bytes], CompiledGroups] = {}

    def of(self, texts: Texts | None, groups: bytes | None, where: str, latest: int) -> CompiledGroups:
        """The book together with the `texts` and the stored `groups` of a partition. `latest` as in `group_promises`.

        Raises StateError where they do not fit.
        """
        editions = editions_of(self._book, texts, where, latest)
        known = None if groups is None else decode_groups(groups, where)
        grouping = group_promises(self._book, editions, known, latest)
        assert editions.stored is not None, "a book has texts"
        name = (encode_texts(editions.stored), encode_groups(grouping.stored))
        if name not in self._made:
            if len(self._made) >= CORES_REMEMBERED_MAX:
                self._made.clear()
            cores = compile_groups(self._book, editions, grouping.groups)
            self._made[name] = CompiledGroups(cores, editions, grouping)
        return CompiledGroups(self._made[name].cores, editions, grouping)


@dataclass(frozen=True)
class Adoption:
    """A changed book that is not in full effect yet: what is to be done once all sources are mapped with it."""

    book: Book
    cores: FactsCores
    texts: Texts
    groups: bytes
    sources: frozenset[str]
    where: str
    partition: int

    def is_complete(self, vector: Vector) -> bool:
        """Whether every partition of every source that is waited for is mapped with the book."""
        return vector.complete(self.sources)

    def adopt(self, core: GroupedDetector, now: int) -> list[Outgoing]:
        """Let the new texts open what happens from now on; what is to be stored with that."""
        latest = latest_seen(now, self.book)
        texts = settled(self.texts, latest)
        made = self.cores.of(texts, self.groups, self.where, latest)
        core.exchange(made.cores)
        log.info("changed book in full effect", partition=self.partition, since=latest)
        return [
            Outgoing(TEXTS_KEY, encode_texts(texts)),
            Outgoing(GROUPS_KEY, encode_groups(made.grouping.stored)),
        ]


class FactsTakenOver(NamedTuple):
    """A partition whose state is at hand. `owed` goes into its first transaction."""

    core: GroupedDetector
    vector: Vector
    adoption: Adoption | None
    owed: list[Outgoing]


async def take_over_facts(
    app: BatchApp, book: Book, cores: FactsCores, detect: DetectSettings, topic: str, partition: int
) -> FactsTakenOver:
    """Open a partition whose state is restored and whose earlier producers are fenced. Raises StateError."""
    read = app.store.reader(partition)
    where = f"{app.settings.changelog}/{partition}"
    check_mode(read, where, reads_facts=True)
    owed = await check_identity(app, topic, read)
    groups, stored_texts = read(GROUPS_KEY), read(TEXTS_KEY)
    is_new = groups is None
    texts = None if stored_texts is None else decode_texts(stored_texts, where)
    made = cores.of(texts, groups, where, BEGINNING if is_new else FROM_NEVER)
    core = GroupedDetector.open(
        made.cores,
        read,
        lambda prefix: app.store.scan(partition, prefix),
        await first_position(app, book, detect, topic, partition, new=is_new),
        dropped=made.grouping.dropped,
        partition=partition,
    )
    editions = still_needed(made.editions, core.pinned | _still_opening(core))
    check_keys(book, editions, where)
    check_senders(book, editions, where)
    wanted, adoption = _wanted_texts(app, book, cores, made, editions, where, partition)
    if wanted != texts:
        owed.append(Outgoing(TEXTS_KEY, encode_texts(wanted)))
    wanted_groups = encode_groups(made.grouping.stored)
    if wanted_groups != groups:
        owed.append(Outgoing(GROUPS_KEY, wanted_groups))
    vector = Vector(book.digest, read(VECTOR_KEY), where)
    core.advance(vector)  # facts may come before the first tick, and no due learnt late may be published too soon
    if not is_new:
        owed += await _pass_over_expired(app, book, core, topic, partition)
    log.info(
        "partition opened",
        partition=partition,
        next_offset=core.next_offset,
        new=is_new,
        groups=[group.name for group in made.grouping.groups],
        waits=adoption is not None,
    )
    if texts is not None and texts.book != book.digest:
        tell_of_another_book(partition, texts.book, book.digest, editions)
    return FactsTakenOver(core, vector, adoption, owed)


def _wanted_texts(
    app: BatchApp,
    book: Book,
    cores: FactsCores,
    made: CompiledGroups,
    editions: Editions,
    where: str,
    partition: int,
) -> tuple[Texts, Adoption | None]:
    """The texts to be stored, and what is left to do later if the book is not in full effect yet. `editions` are those
    of `made` without closed texts that nobody needs.
    """
    if not made.grouping.waits:
        assert editions.stored is not None, "a book has texts"
        return settled(editions.stored, latest_seen(app.clock.now_ms(), book)), None
    # The groups stay as they were opened until then, those included under whose texts nothing runs any more.
    texts = made.editions.stored
    assert texts is not None, "a book has texts"
    sources = frozenset(source for group in made.grouping.groups for source in group.sources)
    return texts, Adoption(book, cores, texts, encode_groups(made.grouping.stored), sources, where, partition)


async def _pass_over_expired(
    app: BatchApp, book: Book, core: GroupedDetector, topic: str, partition: int
) -> list[Outgoing]:
    """Go on behind records that expired unread, if there are any; what is to be stored with that.

    Facts of any source may be among them, and none tells how far they went: no ingest takes an event that is dated more
    than the skew ahead of its clock, so all of them were dated before that.
    """
    expired = await expired_records(app, topic, partition, core.next_offset)
    if not expired:
        return []
    core.add_gap(app.clock.now_ms() + book.defaults.skew_ms + 1)
    pass_over(core, topic, partition, expired)
    # At once: found again at every start until then, the gap would last longer each time.
    return [Outgoing(key, encode_checkpoint(one)) for key, one in core.take().checkpoints.items()]


def _still_opening(core: GroupedDetector) -> set[tuple[str, int]]:
    """Closed texts, by promise and pin, that open what happened before the book's count, and may yet be asked to."""
    return {
        (text.promise.id, text.pin)
        for judged in core.groups
        for text in judged.core.detector.editions.closed
        if text.until > judged.core.frontier
    }


def settled(texts: Texts, latest: int) -> Texts:
    """The texts, those of which it was not known yet since when they see every fact with `latest` for it."""
    found = [msgspec.structs.replace(one, since=latest) if one.since == FROM_NEVER else one for one in texts.texts]
    return msgspec.structs.replace(texts, texts=found)


def settles(book: Book, groups: Iterable[Group]) -> dict[str, int]:
    """For how long each promise is waited for on purpose, in milliseconds: the longest `settle` of its sources."""
    found: dict[str, int] = {}
    for group in groups:
        settle_ms = max((book.sources[source].settle_ms for source in group.sources), default=0)
        found.update(dict.fromkeys(group.promises, settle_ms))
    return found


async def first_position(
    app: BatchApp, book: Book, detect: DetectSettings, topic: str, partition: int, *, new: bool
) -> Checkpoint:
    """Where a partition starts that nobody has processed yet.

    Raises StateError if the `new` partition has lost its beginning, and no operator says since when nothing is missing.
    """
    beginning = (await app.offsets.beginnings(topic, [partition]))[partition]
    if new and beginning > 0 and detect.since is None:
        raise StateError(
            f"{topic}/{partition} begins at offset {beginning}, and there is no state of what was below: what it said "
            "is not known; start with --since and the instant from which nothing is missing"
        )
    settle_ms = max(source.settle_ms for source in book.sources.values())
    return Checkpoint(
        format=RECORD_FORMAT,
        sources=(),
        fire=BEGINNING,
        subject=b"",
        next_offset=beginning,
        known_since=BEGINNING if detect.since is None else detect.since,
        live_since=app.clock.now_ms() - settle_ms,
        vector={},
        book=book.digest,
    )
