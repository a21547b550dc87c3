"""One group of promises in one facts partition: a partition detector of its own, and the facts it cannot judge yet."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import msgspec

from promises.aside import Aside
from promises.detector import Detector, subject_of
from promises.gaps import NO_GAPS, Gap
from promises.migrating import Fate, Migrating
from promises.partition import Batch, PartitionDetector
from promises.steps import Step
from promises.vector import Vector
from schemas.book_model import Book, Expect, Holds, Promise
from schemas.editions import ClosedText, Editions
from schemas.errors import EventError
from schemas.facts import Fact, Subject
from schemas.groups import FROM_NEVER, Group, aside_prefix, record_prefix
from schemas.records import Checkpoint
from schemas.vectors import KNOWN_NEVER


class GroupCore(NamedTuple):
    """A group and its promises made ready for use: the same for all partitions, it holds no state."""

    group: Group
    detector: Detector


class Refused(NamedTuple):
    """A fact that was put aside and, when its time came, could not be used: for the dead letters."""

    stored_as: bytes
    fact: Fact
    error: EventError


def compile_groups(book: Book, editions: Editions, groups: Sequence[Group]) -> tuple[GroupCore, ...]:
    """Make the promises of each group ready for use. Raises StateError as `Detector`."""
    return tuple(GroupCore(group, _detector(book, editions, group)) for group in groups)


def _detector(book: Book, editions: Editions, group: Group) -> Detector:
    members = {*group.promises, *group.silent}
    promises = tuple(_gated(one, editions, group) for one in book.promises if one.id in members)
    # What another source takes back is not what these promises look at.
    sources = {name: book.sources[name] for name in group.sources}
    texts = Editions(
        {name: pin for name, pin in editions.pins.items() if name[0] in members},
        {name: since for name, since in editions.since.items() if name[0] in members},
        tuple(_in_force_until(book, editions, group, text) for text in editions.closed if text.promise.id in members),
    )
    return Detector(replace(book, promises=promises, sources=sources), texts)


def _gated(promise: Promise, editions: Editions, group: Group) -> Promise:
    """The promise, opening nothing by this text whose facts may have come before the text was known."""
    opens_from = _gate(promise, editions, group)
    if opens_from is None:
        return promise
    if promise.effective_from is not None:
        opens_from = max(opens_from, promise.effective_from)
    return replace(promise, effective_from=opens_from)


def _gate(promise: Promise, editions: Editions, group: Group) -> int | None:
    """The instant (UTC ms) before which a text of the book opens nothing, if there is one."""
    instant = group.opens_from.get((promise.id, editions.pin(promise)))
    if instant is None:
        return None
    goal = promise.goal
    looks_back = isinstance(goal, Holds) or (isinstance(goal, Expect) and goal.early)
    back_ms = max(promise.skew_ms, promise.orphan_ttl_ms if looks_back else 0)
    return min(instant + back_ms + 1, FROM_NEVER)


def _in_force_until(book: Book, editions: Editions, group: Group, text: ClosedText) -> ClosedText:
    """A text before those of the book, which goes on opening what happened before these count: else nothing would.

    Of one version that is the newest edition. A version that the book has dropped is in force until then, too.
    """
    promise_id, version = text.promise.id, text.promise.version
    newest = max(
        one.pin for one in editions.closed if (one.promise.id, one.promise.version) == (promise_id, version)
    )  # fmt: skip
    texts = [promise for promise in book.promises if promise.id == promise_id]
    texts = [promise for promise in texts if promise.version == version] or texts
    gates = [gate for gate in (_gate(promise, editions, group) for promise in texts) if gate is not None]
    return text._replace(until=max(gates)) if gates and text.pin == newest else text


class JudgedGroup:
    """One group of promises in one facts partition. `core` holds what has been judged."""

    def __init__(
        self,
        made: GroupCore,
        read: Callable[[bytes], bytes | None],
        checkpoint: Checkpoint,
        *,
        partition: int | None,
    ) -> None:
        """Go on from a checkpoint of this group, whose `sources` are those of which `known_since` tells.

        Raises StateError if the checkpoint is of another format.
        """
        self.group = made.group
        self.index = made.group.index
        self.prefix = record_prefix(self.index)
        self.core = PartitionDetector(made.detector, self._reader(read), checkpoint, partition=partition)
        self._silent = frozenset(made.group.silent)
        self._sources = made.detector.book.sources
        self._known = frozenset(checkpoint.sources)
        self._aside = Aside(read, aside_prefix(self.index))
        self._ready = self._known.issuperset(made.group.sources)
        self._frontier: int | None = None
        self._floors: dict[str, int] = {}
        self._floor = checkpoint.floor
        self._gaps: tuple[Gap, ...] = NO_GAPS
        self._said: Checkpoint | None = None
        self.refused: list[Refused] = []

    @property
    def ready(self) -> bool:
        """Whether facts can be judged as they come; until it is known since when all its sources are, none can."""
        return self._ready

    @property
    def aside(self) -> int:
        """Of how many subjects facts are put aside."""
        return len(self._aside)

    @property
    def pending(self) -> int:
        """How much `take` would hand out."""
        return self.core.pending + self._aside.pending + len(self.refused)

    def rebuild(self, scan: Callable[[bytes], Iterable[tuple[bytes, bytes]]]) -> None:
        """Find timers and what is put aside again. `scan` iterates over at least all that is stored under keys with a
        prefix. Raises StateError as `PartitionDetector.rebuild`.
        """
        begin = len(self.prefix)
        self.core.rebuild((key[begin:], value) for key, value in scan(self.prefix) if key.startswith(self.prefix))
        self._aside.rebuild(key for key, _ in scan(aside_prefix(self.index)))
        self._see_whether_ready()

    def exchange(self, made: GroupCore) -> None:
        """Go on with the same promises made ready anew: some may open from another instant on."""
        self.group = made.group
        self._silent = frozenset(made.group.silent)
        self._sources = made.detector.book.sources
        self.core.detector = made.detector

    def judge(self, subject: Subject, stored_as: bytes, fact: Fact) -> Step | None:
        """What a fact would do, None: it would be put aside; `accept` does it. Raises EventError if it is of no use."""
        if not self._ready:
            if not self._is_known():
                self._aside.check_room(stored_as)
                return None
            if stored_as in self._aside:
                self._judge_aside(stored_as)
        return self._judge(subject, stored_as, fact, self._floor_of(fact))

    def accept(self, stored_as: bytes, fact: Fact, step: Step | None) -> None:
        """Do what a fact was judged to do."""
        if step is None:
            self._aside.put(stored_as, fact, self._floor_of(fact))
        else:
            self.core.accept(stored_as, step)

    def advance(self, vector: Vector) -> None:
        """Move the frontier as far as the group's sources allow. `fire_due` publishes what that proves."""
        core, sources = self.core, self.group.sources
        self._learn_floors(vector)
        gaps = vector.gaps(sources)
        if gaps != self._gaps:
            self._gaps = gaps
            for since, until in gaps:
                core.add_gap(since, until)
        known_since = vector.known_since(sources)
        if known_since != KNOWN_NEVER:
            if known_since > core.known_since:  # noqa: PLR1730 - asking and setting are two things here
                core.known_since = known_since
            if not self._is_known():
                self._known = frozenset(sources)
                self._see_whether_ready()
        if self._is_known():
            self._frontier = vector.frontier(sources)
            self._advance()

    def fire_due(self, limit: int) -> bool:
        """Judge what was put aside, then do what the timers owe: at most `limit` subjects; whether some is left."""
        if not self._is_known():
            return False
        while len(self._aside):
            if limit <= 0:
                return True
            limit -= 1
            self._judge_aside(self._aside.next_subject())
        self._see_whether_ready()
        self._advance()
        return self.core.fire_due(limit)

    def migrate(self, stored_as: bytes, migrating: Migrating) -> list[Fate]:
        """Move what runs about one subject to another version; what became of each of its cycles that was meant."""
        self.core.floor = self._floor
        return self.core.migrate(stored_as, migrating)

    def take(self) -> tuple[Batch, bool]:
        """Everything since the last `take`, by the key under which it is stored, without what is told elsewhere; and
        whether the checkpoint has to be stored: it says something new besides how far was read.
        """
        batch = self.core.take()
        changes = {self.prefix + stored_as: value for stored_as, value in batch.changes.items()}
        changes.update(self._aside.take())
        publications = batch.publications
        if self._silent:
            publications = [one for one in publications if one.promise not in self._silent]
        known = tuple(source for source in self.group.sources if source in self._known)
        checkpoint = msgspec.structs.replace(batch.checkpoint, sources=known, vector={})
        told = Batch(publications, changes, checkpoint, batch.counted)
        said = msgspec.structs.replace(checkpoint, next_offset=0)
        news = bool(changes) or said != self._said
        self._said = said
        return told, news

    def _reader(self, read: Callable[[bytes], bytes | None]) -> Callable[[bytes], bytes | None]:
        prefix = self.prefix
        return lambda stored_as: read(prefix + stored_as)

    def _is_known(self) -> bool:
        return self._known.issuperset(self.group.sources)

    def _see_whether_ready(self) -> None:
        self._ready = self._is_known() and not len(self._aside)

    def _advance(self) -> None:
        """Move the frontier, unless there are facts that have not been judged."""
        frontier = self._frontier
        if self._ready and frontier is not None and frontier > self.core.frontier:
            self.core.advance_to(frontier)

    def _judge_aside(self, stored_as: bytes) -> None:
        subject, core = subject_of(stored_as), self.core
        for floor, fact in self._aside.fetch(stored_as):
            try:
                core.accept(stored_as, self._judge(subject, stored_as, fact, floor))
            except EventError as error:
                self.refused.append(Refused(stored_as, fact, error))

    def _judge(self, subject: Subject, stored_as: bytes, fact: Fact, floor: int) -> Step:
        core = self.core
        if floor != core.floor and (floor > core.frontier or core.floor > core.frontier):
            core.floor = floor
        return core.judge(subject, stored_as, fact)

    def _floor_of(self, fact: Fact) -> int:
        """Before which instant no due that a fact sets is published: what its own source had sent by now comes first.

        A producer that names itself (CloudEvents) may be any of the sources. Of a source that has told nothing yet the
        frontier itself waits: what another one has sent, which may be everything, says nothing about it.
        """
        return self._floors.get(fact.source, self.core.frontier if fact.source in self._sources else self._floor)

    def _learn_floors(self, vector: Vector) -> None:
        """For a source that follows the clock it is its newest mark's clock; for one that says itself how far it is
        complete, its frontier, whichever of its partitions went ahead.
        """
        for source in self.group.sources:
            marked = self._sources[source].frontier == "markers"
            floor = vector.frontier((source,)) if marked else vector.floor((source,))
            if floor is not None:
                self._floors[source] = floor
                self._floor = max(self._floor, floor)
