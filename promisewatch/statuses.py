"""How far a detector is, worked out from what Kafka has told. Pure: nobody is asked here, no clock is read.

Where a worker stands is on its changelog: the checkpoint of a partition says what it has processed and up to when its
source is known to be complete. It is written when there is something to store, so the group's position may be further,
and an idle worker's frontier moves on without being written down.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from promises.rules import ALWAYS
from schemas.book_model import Source
from schemas.exits import ExitCode
from schemas.records import Checkpoint
from schemas.vectors import Hold as Doubt
from streams.observing import Group, Member


class Hold(StrEnum):
    """What the frontier of a partition waits for."""

    CLOCK = "clock"
    """Nothing else: it follows the clock, as far behind as the source may publish late."""
    MARKER = "marker"
    """The next marker of its source."""
    LAG = "lag"
    """Records that are not processed yet."""
    TRANSACTION = "open_transaction"
    """A transaction of a producer of the source, behind which nothing can be read yet."""
    NO_OWNER = "no_owner"
    """No member of the group has the partition."""
    UNTOLD = "untold"
    """The broker does not tell who has it; everything in it has been processed."""
    NO_CHECKPOINT = "no_checkpoint"
    """No worker has opened it yet."""
    RECREATED = "recreated"
    """The log ends before what has been processed: it is another one."""
    EXPIRED = "expired"
    """The log begins behind what has been processed: records were removed unread."""
    DOUBT = "doubt"
    """What its source sends, or does not send, cannot be trusted for now."""
    UNREAD = "unread"
    """No ingest has said anything of this partition of a source yet."""
    OTHER_BOOK = "other_book"
    """It is worked with another book than the one that was asked with."""


GETS_ON = frozenset({Hold.LAG, Hold.TRANSACTION, Hold.MARKER, Hold.CLOCK, Hold.UNTOLD})
"""What a frontier waits for while somebody works on it: there, doubt about the source comes first."""


@dataclass(frozen=True)
class Log:
    """The offsets of one source partition. `readable` is where its first open transaction begins, or its end."""

    beginning: int
    readable: int
    end: int


@dataclass(frozen=True)
class LastBreach:
    """The newest breach that was published. Instants are UTC milliseconds."""

    event_id: str
    promise: str
    breached_at: int
    published_at: int


@dataclass(frozen=True)
class DeadLetters:
    """Events that could not be used. Where `exact` is false there are at most so many. `newest_at` is UTC ms."""

    count: int
    exact: bool
    newest_at: int
    newest_reason: str


@dataclass(frozen=True)
class Running:
    """What is kept about a partition's subjects: how many there are, and running promises by id."""

    subjects: int
    promises: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class ReadPartition:
    """One partition that a process reads. Instants are UTC milliseconds, None where nothing is known.

    `processed`: every offset below it is. `book` is the hash of the book that it was last worked with.
    """

    partition: int
    log: Log
    processed: int | None
    frontier: int | None
    behind_ms: int | None
    hold: Hold
    owner: Member | None
    book: str | None
    dead_letters: DeadLetters | None = None

    @property
    def lag(self) -> int | None:
        """In offsets, which are records and what transactions leave between them."""
        return None if self.processed is None else max(0, self.log.end - self.processed)


@dataclass(frozen=True, kw_only=True)
class WorkedPartition(ReadPartition):
    """One partition that a worker reads. What is above `stored` is processed once more after a restart."""

    stored: int | None
    last_breach: LastBreach | None = None
    running: Running | None = None


@dataclass(frozen=True, kw_only=True)
class PartitionStatus(WorkedPartition):
    """One partition of the source.

    Where `inferred`, the frontier is not written down anywhere: it follows from the clock and from nothing being left
    to do. `doubt` is why it is held on purpose, and since when.
    """

    source_partition: str
    inferred: bool
    doubt: Doubt | None = None


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is seen of a detect application, whatever it reads. `group` None: the broker does not tell.

    `missing` are topics that are not there, `differing` those with another number of partitions than the topic that is
    read, `forbidden`: something could not be read for want of a permission. `notes` are what a person has to know
    besides.
    """

    at: int
    app_id: str
    book_path: str
    book_digest: str
    partitions: Sequence[WorkedPartition] = ()
    group: Group | None = None
    missing: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()
    forbidden: bool = False
    notes: tuple[str, ...] = ()

    @property
    def code(self) -> ExitCode:
        """How `promisewatch status` ends."""
        if self.forbidden:
            return ExitCode.CONFIG
        return ExitCode.DIFFERENT if self.missing or self.differing else ExitCode.OK

    @property
    def read(self) -> Sequence[ReadPartition]:
        """Every partition that is read, by whomever."""
        return self.partitions

    @property
    def lag(self) -> int | None:
        """Of all partitions together; None if none is known."""
        known = [each.lag for each in self.read if each.lag is not None]
        return sum(known) if known else None

    @property
    def frontier(self) -> int | None:
        """Up to when every promise can be judged everywhere; None while that of one partition is not known."""
        return oldest(each.frontier for each in self.partitions)

    @property
    def last_breach(self) -> LastBreach | None:
        """The newest of all partitions."""
        found = [each.last_breach for each in self.partitions if each.last_breach is not None]
        return max(found, key=lambda breach: breach.published_at, default=None)

    @property
    def dead_letters(self) -> DeadLetters | None:
        """Those of all partitions together, with the newest one; None if there is none."""
        found = [each.dead_letters for each in self.read if each.dead_letters is not None]
        if not found:
            return None
        newest = max(found, key=lambda each: each.newest_at)
        count, exact = sum(each.count for each in found), all(each.exact for each in found)
        return DeadLetters(count, exact, newest.newest_at, newest.newest_reason)


@dataclass(frozen=True, kw_only=True)
class Status(Look):
    """One detect application that reads its source itself."""

    source: Source
    partitions: tuple[PartitionStatus, ...] = ()


def oldest(frontiers: Iterable[int | None]) -> int | None:
    """The least of them; None if one is not known, or if there is none."""
    found = list(frontiers)
    return None if None in found else min((each for each in found if each is not None), default=None)


def partition_status(
    source: Source,
    partition: int,
    log: Log,
    checkpoint: Checkpoint | None,
    group: Group | None,
    now_ms: int,
    doubt: Doubt | None = None,
) -> PartitionStatus:
    """Where one partition stands at `now_ms` (UTC), which was read before anything was asked."""
    name = f"{source.name}/{partition}"
    owner = None if group is None else owner_of(group.members, partition)
    processed = None if checkpoint is None else processed_offset(checkpoint, group, partition, log)
    hold = what_holds(source, log, processed, owner, told=group is not None)
    if doubt is not None and hold in GETS_ON:
        hold = Hold.DOUBT
    stored_frontier = None if checkpoint is None else checkpoint.vector.get(name, checkpoint.fire)
    if stored_frontier is not None and stored_frontier <= ALWAYS:
        stored_frontier = None
    frontier, inferred = stored_frontier, False
    if hold is Hold.CLOCK:
        follows = now_ms - source.settle_ms
        frontier = follows if stored_frontier is None else max(stored_frontier, follows)
        inferred = frontier != stored_frontier
    return PartitionStatus(
        partition=partition,
        source_partition=name,
        log=log,
        processed=processed,
        stored=None if checkpoint is None else checkpoint.next_offset,
        frontier=frontier,
        inferred=inferred,
        behind_ms=None if frontier is None else now_ms - frontier,
        hold=hold,
        owner=owner,
        book=None if checkpoint is None else checkpoint.book,
        doubt=doubt,
    )


def owner_of(members: Sequence[Member], partition: int) -> Member | None:
    """The member that has a partition."""
    return next((member for member in members if partition in member.partitions), None)


def processed_offset(checkpoint: Checkpoint, group: Group | None, partition: int, log: Log) -> int:
    """Up to where a partition is processed: a position beyond the log is of a topic that was there before."""
    position = 0 if group is None else group.positions.get(partition, 0)
    return max(checkpoint.next_offset, position if position <= log.end else 0)


def what_stops(log: Log, processed: int | None, owner: Member | None, *, told: bool) -> Hold | None:
    """What is the matter with a partition itself, whatever its source is about.

    `told`: the broker says who has which partition.
    """
    if processed is None:
        return Hold.NO_CHECKPOINT
    if processed > log.end:
        return Hold.RECREATED
    if processed < log.beginning:
        return Hold.EXPIRED
    return Hold.NO_OWNER if told and owner is None else None


def what_holds(source: Source, log: Log, processed: int | None, owner: Member | None, *, told: bool) -> Hold:
    """What the frontier waits for. `told`: the broker says who has which partition."""
    stopped = what_stops(log, processed, owner, told=told)
    if stopped is not None:
        return stopped
    assert processed is not None, "without a checkpoint it is stopped"
    if processed < log.readable:
        return Hold.LAG
    if processed < log.end:
        return Hold.TRANSACTION
    if source.frontier == "markers":
        return Hold.MARKER
    return Hold.CLOCK if told else Hold.UNTOLD
