"""How far an ingest and the detectors behind it are, worked out from what Kafka has told. Pure: nobody is asked here.

How far a source partition is complete is said by the vectors on the facts topic, and kept with the ingest group's
offsets. How far a facts partition is follows from the vector that its worker has stored: each group of promises waits
for the partitions of its own sources.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from promises.rules import ALWAYS
from promises.vector import Vector
from promisewatch.statuses import (
    GETS_ON,
    Hold,
    Log,
    Look,
    ReadPartition,
    WorkedPartition,
    owner_of,
    processed_offset,
    what_holds,
    what_stops,
)
from schemas.book_model import Source
from schemas.groups import Group as PromiseGroup
from schemas.records import Checkpoint
from schemas.sourcepositions import SourcePosition
from schemas.vectors import Hold as Doubt
from schemas.vectors import source_partition
from streams.observing import Group, Member

ABREAST_MS = 10_000
"""A frontier that is no further behind than this, and what its source may publish late, is held up by nothing: vectors
come every second, and a group's offsets are committed every few."""


@dataclass(frozen=True, kw_only=True)
class SourcePartitionStatus(ReadPartition):
    """One partition of a source, as the ingest has it: what is processed is on the facts topic.

    `doubt` is why its frontier is held on purpose, and since when; `gap` a span in which facts may have expired unread.
    """

    name: str
    topic: str
    doubt: Doubt | None
    gap: tuple[int, int] | None


@dataclass(frozen=True)
class SourceStatus:
    """A source and its partitions."""

    source: Source
    partitions: tuple[SourcePartitionStatus, ...]


@dataclass(frozen=True)
class GroupStatus:
    """Promises that wait for the same sources. `frontier` is that of the facts partition that is furthest behind.

    `waits_for` is the source partition whose frontier is the oldest there.
    """

    sources: tuple[str, ...]
    promises: tuple[str, ...]
    frontier: int | None
    waits_for: str | None


@dataclass(frozen=True)
class Stored:
    """What the worker of a facts partition has stored: how far it is, what vectors of this book said (None: it has
    heard none), and its groups of promises.
    """

    checkpoint: Checkpoint | None
    vector: Vector | None
    groups: Sequence[PromiseGroup]


@dataclass(frozen=True, kw_only=True)
class FactsPartitionStatus(WorkedPartition):
    """One partition of the facts topic, as its worker has it.

    `frontier` is that of the group of promises that is furthest behind, and `waits_for` the source partition that this
    one waits for: None where the facts partition waits for something of its own.
    """

    waits_for: str | None


@dataclass(frozen=True, kw_only=True)
class SourcesStatus(Look):
    """An ingest and a detect application with one facts topic.

    `ingest` is what the ingest's consumer group does with each source topic; None: the broker does not tell.
    """

    ingest_app_id: str
    facts: str
    sources: tuple[SourceStatus, ...] = ()
    groups: tuple[GroupStatus, ...] = ()
    partitions: tuple[FactsPartitionStatus, ...] = ()
    ingest: Mapping[str, Group] | None = None

    @property
    def read(self) -> Sequence[ReadPartition]:
        """Those of the sources, and of the facts."""
        return [*(each for source in self.sources for each in source.partitions), *self.partitions]

    def held_by(self, source: str) -> tuple[str, ...]:
        """The promises that wait for a source."""
        return tuple(name for group in self.groups if source in group.sources for name in group.promises)


def source_partition_status(
    source: Source,
    partition: int,
    log: Log,
    group: Group | None,
    position: SourcePosition | None,
    vector: Vector,
    now_ms: int,
) -> SourcePartitionStatus:
    """Where one partition of a source stands at `now_ms` (UTC), which was read before anything was asked.

    `group` is what the ingest's group does with the topic, `position` what came with its offset, and `vector` what the
    newest vectors say.
    """
    name = source_partition(source.name, partition)
    owner = None if group is None else owner_of(group.members, partition)
    processed = None if group is None else group.positions.get(partition)
    said = [dict(vector.waits_for([source.name])).get(name)]
    if position is not None and position.book == vector.book:
        said.append(position.frontier)
    frontier = max((at for at in said if at is not None), default=None)
    doubt = vector.holds.get(name)
    hold = what_holds(source, log, log.end if processed is None else processed, owner, told=group is not None)
    if hold in GETS_ON:
        if frontier is None and position is None:
            hold = Hold.UNREAD
        elif doubt is not None:
            hold = Hold.DOUBT
        elif position is not None and position.book != vector.book:
            hold = Hold.OTHER_BOOK
        elif hold is Hold.LAG and frontier is not None and now_ms - frontier <= source.settle_ms + ABREAST_MS:
            hold = Hold.CLOCK if source.frontier == "clock" else Hold.MARKER
    return SourcePartitionStatus(
        name=name,
        topic=source.topic,
        partition=partition,
        log=log,
        processed=processed,
        frontier=frontier,
        behind_ms=None if frontier is None else now_ms - frontier,
        hold=hold,
        doubt=doubt,
        owner=owner,
        book=None if position is None else position.book,
        gap=None if position is None else position.gap,
    )


def facts_partition_status(
    partition: int,
    log: Log,
    stored: Stored,
    group: Group | None,
    newest: Vector,
    sources: Mapping[str, SourcePartitionStatus],
    now_ms: int,
) -> FactsPartitionStatus:
    """Where one partition of the facts topic stands. `newest`: what the newest vectors say; `sources`: by name."""
    checkpoint, vector, groups = stored.checkpoint, stored.vector, stored.groups
    owner = None if group is None else owner_of(group.members, partition)
    processed = None if checkpoint is None else processed_offset(checkpoint, group, partition, log)
    hold = what_stops(log, processed, owner, told=group is not None)
    frontier, waits_for = (None, None) if vector is None else _furthest_behind(vector, groups)
    if hold is None and vector is None:
        hold = Hold.OTHER_BOOK
    if hold is None and _is_further(newest, frontier, groups):
        hold = Hold.LAG
    if hold is not None:
        waits_for = None
    elif waits_for is not None and waits_for in sources:
        hold = sources[waits_for].hold
    else:
        hold = Hold.UNREAD
    return FactsPartitionStatus(
        partition=partition,
        log=log,
        processed=processed,
        stored=None if checkpoint is None else checkpoint.next_offset,
        frontier=frontier,
        behind_ms=None if frontier is None else now_ms - frontier,
        hold=hold,
        waits_for=waits_for,
        owner=owner,
        book=None if checkpoint is None else checkpoint.book,
    )


def _furthest_behind(vector: Vector, groups: Iterable[PromiseGroup]) -> tuple[int | None, str | None]:
    """The frontier of the group that is furthest behind, and the source partition that it waits for."""
    waits = [waited[0] for group in groups if (waited := vector.waits_for(group.sources))]
    name, frontier = min(waits, key=lambda wait: ALWAYS if wait[1] is None else wait[1], default=(None, None))
    return frontier, name


def _is_further(newest: Vector, frontier: int | None, groups: Iterable[PromiseGroup]) -> bool:
    """Whether the worker has yet to read what the vectors say."""
    said, _ = _furthest_behind(newest, groups)
    return said is not None and (frontier is None or said > frontier + ABREAST_MS)


def group_statuses(stored: Iterable[Stored]) -> tuple[GroupStatus, ...]:
    """The groups of all facts partitions, each once."""
    found: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[int | None, str | None]] = {}
    for one in stored:
        for group in one.groups:
            key = group.sources, group.promises
            here = (None, None) if one.vector is None else _furthest_behind(one.vector, [group])
            if key not in found or _before(here[0], found[key][0]):
                found[key] = here
    return tuple(GroupStatus(*names, *behind) for names, behind in found.items())


def _before(one: int | None, other: int | None) -> bool:
    return other is not None and (one is None or one < other)


def ingest_members(status: SourcesStatus) -> list[tuple[Member, list[str]]]:
    """Every ingest process, with the source partitions that it has."""
    found: dict[str, tuple[Member, list[str]]] = {}
    for source in status.sources:
        group = None if status.ingest is None else status.ingest.get(source.source.topic)
        for member in () if group is None else group.members:
            _, partitions = found.setdefault(member.member_id, (member, []))
            partitions += [f"{source.source.name}/{partition}" for partition in member.partitions]
    return list(found.values())


def worker_members(status: SourcesStatus) -> list[tuple[Member, list[str]]]:
    """Every worker, with the facts partitions that it has."""
    members = () if status.group is None else status.group.members
    return [(member, [f"facts/{partition}" for partition in member.partitions]) for member in members]
