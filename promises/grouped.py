"""A facts partition: several groups of promises, each with a partition detector of its own, seen as one.

A fact goes to every group that names its type. Each group's frontier moves as far as its own sources allow, so that a
source which stands still holds up only the promises that wait for it. What happens is written together.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from promises.detector import SEPARATOR, subject_of
from promises.judged import GroupCore, JudgedGroup, Refused, compile_groups
from promises.known import Known
from promises.migrating import Fate, Migrating
from promises.partition import PartitionDetector
from promises.steps import Step
from promises.vector import Vector
from schemas.errors import EventError
from schemas.factrecords import BAD_FACT, decode_fact
from schemas.facts import Fact
from schemas.groups import aside_prefix, checkpoint_key, record_prefix
from schemas.migrations import Migration
from schemas.publications import Mode, Publication
from schemas.records import Checkpoint, decode_checkpoint

__all__ = ["GroupCore", "GroupedBatch", "GroupedDetector", "GroupedMigrating", "Refused", "compile_groups"]

_ALL_SAY: Final = ("duplicate", "irrelevant", "unknown_type")
"""Counted of a fact once, if all groups that it goes to say so."""
_ANY_SAYS: Final = ("conflict",)
"""Counted of a fact once, if any of them says so."""

_NO_GROUPS: Final[tuple[JudgedGroup, ...]] = ()

Scan = Callable[[bytes], Iterable[tuple[bytes, bytes]]]
"""Iterates over what is stored: at least all keys with the given prefix, and their values."""


@dataclass(frozen=True, slots=True)
class GroupedBatch:
    """What happened since the last `take`, to be written as one. A change to None removes what is stored.

    `changes` and `checkpoints` are by the key under which they are stored. `refused` are facts that had been put aside
    and turned out to be of no use: dead letters.
    """

    publications: list[Publication]
    changes: dict[bytes, bytes | None]
    checkpoints: dict[bytes, Checkpoint]
    counted: Counter[str]
    refused: list[Refused]


class GroupedMigrating:
    """One migration, applied in every group that follows the promise.

    Raises EventError as `Migrating`, and `unknown_promise` if no group has it.
    """

    def __init__(self, groups: Sequence[JudgedGroup], migration: Migration) -> None:
        self.migration = migration
        self.parts: list[tuple[JudgedGroup, Migrating]] = []
        for group in groups:
            if migration.promise in group.group.promises or migration.promise in group.group.silent:
                self.parts.append((group, Migrating(group.core.detector, migration)))
        if not self.parts:
            known = ", ".join(name for group in groups for name in group.group.promises)
            message = f"the book has no promise {migration.promise!r}, expected one of {known}"
            raise EventError("unknown_promise", message)


class GroupedDetector:
    """Several groups as one partition. Not for use by several threads or tasks at once."""

    def __init__(self, groups: Sequence[JudgedGroup], next_offset: int, leftovers: Iterable[bytes] = ()) -> None:
        """`leftovers` are keys under which nobody needs anything any more; they are removed."""
        self.groups = tuple(groups)
        self._next_offset = next_offset
        self._leftovers = list(leftovers)
        self._removed: list[bytes] = []
        self._counted: Counter[str] = Counter()
        self._routes: dict[str, dict[str, tuple[JudgedGroup, ...]]] = {}
        self._withdrawals: dict[str, tuple[JudgedGroup, ...]] = {}
        self._home: dict[str, PartitionDetector] = {}
        self._route()

    @classmethod
    def open(
        cls,
        cores: Sequence[GroupCore],
        read: Callable[[bytes], bytes | None],
        scan: Scan,
        first: Checkpoint,
        *,
        dropped: Sequence[int] = (),
        partition: int | None = None,
    ) -> "GroupedDetector":
        """Take over a partition whose state is restored. `partition` is named in errors.

        A partition that nobody has worked yet begins at `first`, whose `known_since` stands for the facts topic itself:
        what is known of the sources, markers tell. A group that a stored partition did not have yet begins where the
        others are. What is left of groups that were `dropped` is removed. Raises StateError for state of another
        format.
        """
        where = "" if partition is None else f"partition {partition}"
        found: dict[int, Checkpoint] = {}
        for made in cores:
            stored = read(checkpoint_key(made.group.index))
            if stored is not None:
                found[made.group.index] = decode_checkpoint(stored, where)
        if found:
            first = msgspec.structs.replace(
                first,
                next_offset=max(one.next_offset for one in found.values()),
                live_since=min(one.live_since for one in found.values()),
                known_since=max(
                    first.known_since, min(Known(one.known_since, one.gaps).opens_from for one in found.values())
                ),
            )
        first = msgspec.structs.replace(first, sources=(), vector={})
        groups = []
        for made in cores:
            group = JudgedGroup(made, read, found.get(made.group.index, first), partition=partition)
            group.rebuild(scan)
            groups.append(group)
        return cls(groups, first.next_offset, _left_by(dropped, scan))

    @property
    def next_offset(self) -> int:
        """The next offset of the facts partition to process."""
        return self._next_offset

    @property
    def pending(self) -> int:
        """How much `take` would hand out: published events, changed records and facts put aside."""
        found = len(self._removed)
        for group in self.groups:
            found += group.pending
        return found

    @property
    def timers(self) -> int:
        """Entries on all heaps: about one for each group and subject of which anything is kept."""
        return sum(group.core.timers for group in self.groups)

    @property
    def pinned(self) -> set[tuple[str, int]]:
        """Promises, and the versions of theirs, under which the stored cycles were found to run."""
        return {one for group in self.groups for one in group.core.pinned}

    def add_gap(self, until: int) -> None:
        """Facts dated before `until` (UTC ms), whichever source's, may never become known, but for those that a group's
        frontier has passed. What runs across that is held in every group, and nothing opens before it.
        """
        for group in self.groups:
            group.core.add_gap(group.core.frontier, until)

    def held(self) -> Counter[str]:
        """How many promises run across a gap, by promise. It looks at every record."""
        found: Counter[str] = Counter()
        for group in self.groups:
            held = group.core.held()
            found.update({name: held[name] for name in group.group.promises})
        return +found

    def exchange(self, cores: Sequence[GroupCore]) -> None:
        """Go on with the same groups made ready anew: some of their texts may open from another instant on."""
        made = {core.group.index: core for core in cores}
        assert made.keys() == {group.index for group in self.groups}, "the groups are those that were opened"
        for group in self.groups:
            group.exchange(made[group.index])
        self._route()

    def count(self, reason: str) -> None:
        """Count something the shell noticed, so that it is reported with the batch."""
        self._counted[reason] += 1

    def set_next_offset(self, offset: int) -> None:
        """Everything below `offset` has been processed, or there is nothing there to process."""
        self._next_offset = offset

    def mode(self, publication: Publication) -> Mode:
        """Whether a publication is about now or about history that was read again."""
        return self._home[publication.promise].mode(publication)

    def take_in(self, records: Sequence[Any], begin: int, end: int) -> tuple[int, EventError | None]:
        """Process the fact records `records[begin:end]` (each with `key`, `value` and `offset`) up to one that is none.

        Returns the index of that record, and why it cannot be used or None if it has no value; `end` if all were
        processed.
        """
        for index in range(begin, end):
            record = records[index]
            value = record.value
            if not value:
                return index, None
            try:
                self.fact(record.key, decode_fact(value))
            except EventError as error:
                return index, error
            self._next_offset = record.offset + 1
        return end, None

    def fact(self, stored_as: bytes | None, fact: Fact) -> None:
        """Process a fact about the subject stored under a key. Raises EventError if it cannot be used; then no group
        has taken it in.
        """
        if not stored_as or SEPARATOR not in stored_as:
            raise EventError(BAD_FACT, f"found the key {stored_as!r}, expected a subject: name, U+001F, value")
        try:
            subject = subject_of(stored_as)
        except UnicodeDecodeError:
            raise EventError(BAD_FACT, f"found the key {stored_as!r}, expected UTF-8 text") from None
        if fact.withdraws is not None:
            groups = self._withdrawals.get(subject.key, _NO_GROUPS)
        else:
            routes = self._routes.get(subject.key)
            groups = routes.get(fact.type, _NO_GROUPS) if routes is not None else _NO_GROUPS
        if len(groups) == 1:
            group = groups[0]
            group.accept(stored_as, fact, group.judge(subject, stored_as, fact))
        elif groups:
            steps = [group.judge(subject, stored_as, fact) for group in groups]
            for place, group in enumerate(groups):
                group.accept(stored_as, fact, steps[place])
            self._count_once(steps)
        else:
            self._counted["unknown_type"] += 1

    def advance(self, vector: Vector) -> None:
        """Move each group's frontier as far as its sources allow. What has become due is published by `fire_due`."""
        for group in self.groups:
            group.advance(vector)

    def fire_due(self, limit: int) -> bool:
        """Do what the timers owe before the frontiers, about `limit` subjects of it; whether some is left."""
        while self._leftovers and limit > 0:
            self._removed.append(self._leftovers.pop())
            limit -= 1
        for group in self.groups:
            before = group.pending
            if group.fire_due(limit):
                return True
            limit -= group.pending - before
        return bool(self._leftovers)

    def take(self) -> GroupedBatch:
        """Everything since the last `take`. The shell makes it durable before it calls anything else."""
        publications: list[Publication] = []
        changes: dict[bytes, bytes | None] = dict.fromkeys(self._removed)
        checkpoints: dict[bytes, Checkpoint] = {}
        counted, refused = self._counted, []
        for place, group in enumerate(self.groups):
            group.core.set_next_offset(self._next_offset)
            refused += group.refused
            group.refused = []
            batch, news = group.take()
            publications += batch.publications
            changes.update(batch.changes)
            counted.update(batch.counted)
            if news or not place:  # the first one's always says how far was read
                checkpoints[checkpoint_key(group.index)] = batch.checkpoint
        self._removed, self._counted = [], Counter()
        return GroupedBatch(publications, changes, checkpoints, +counted, refused)

    def subjects(self) -> list[bytes]:
        """Every subject of which any group keeps anything, as stored and in order."""
        return sorted({stored_as for group in self.groups for stored_as in group.core.subjects()})

    def migrating(self, migration: Migration) -> GroupedMigrating:
        """What moves running promises to another version. Raises EventError as `Migrating`."""
        return GroupedMigrating(self.groups, migration)

    def migrate(self, stored_as: bytes, migrating: GroupedMigrating) -> list[Fate]:
        """Move what runs about one subject to another version; what became of each of its cycles that was meant."""
        told: list[Fate] = []
        for group, one in migrating.parts:
            fates = group.migrate(stored_as, one)
            if migrating.migration.promise in group.group.promises:
                told += fates
        return told

    def _route(self) -> None:
        """Work out which groups each fact goes to, by the name of its subject's key and its type."""
        routes: dict[str, dict[str, list[JudgedGroup]]] = {}
        withdrawals: dict[str, list[JudgedGroup]] = {}
        for group in self.groups:
            for name in group.group.promises:
                self._home[name] = group.core
            rules = group.core.detector.rules
            for key, plans in rules.plans.items():
                for event in plans:
                    routes.setdefault(key, {}).setdefault(event, []).append(group)
                if rules.plan_of_withdrawal(key) is not None:
                    withdrawals.setdefault(key, []).append(group)
        self._routes = {
            key: {event: tuple(groups) for event, groups in of_key.items()} for key, of_key in routes.items()
        }
        self._withdrawals = {key: tuple(groups) for key, groups in withdrawals.items()}

    def _count_once(self, steps: list[Step | None]) -> None:
        """Take back what several groups have counted of one fact."""
        judged = [step.counted for step in steps if step is not None]
        if not any(judged):
            return
        for reason in _ALL_SAY:
            said = sum(reason in counted for counted in judged)
            if said:
                self._counted[reason] += (1 if said == len(judged) else 0) - said
        for reason in _ANY_SAYS:
            said = sum(reason in counted for counted in judged)
            if said:
                self._counted[reason] += 1 - said


def _left_by(dropped: Sequence[int], scan: Scan) -> list[bytes]:
    """The keys of everything that is stored of groups that are no more."""
    found: list[bytes] = []
    for index in dropped:
        for prefix in (record_prefix(index), aside_prefix(index)):
            found += [key for key, _ in scan(prefix) if key.startswith(prefix)]
        found.append(checkpoint_key(index))
    return found
