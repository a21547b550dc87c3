"""What goes into one step of the detector, and what comes out of it; `Bounds` and `Step` are not changed once made.

Plain classes: compiled code reads their fields by address, and those of msgspec's types by name.
"""

from typing import final

from promises import borders
from promises.gaps import NO_GAPS, Gap
from schemas.facts import Fact, Subject
from schemas.publications import Publication
from schemas.records import Cycle, Record


@final
class Bounds:
    """What a partition knows when it processes a fact. Instants are UTC milliseconds.

    `frontier`: every fact dated before it is known. `floor`: no due learnt now is published before it.
    `known_since`: nothing opens before it. `checkpoint`: the last (instant, subject) the timers have published. `gaps`:
    when facts may have happened that will never be known.
    """

    __slots__ = ("checkpoint", "floor", "frontier", "gaps", "known_since")

    def __init__(
        self,
        frontier: int,
        floor: int,
        known_since: int,
        checkpoint: borders.Moment,
        gaps: tuple[Gap, ...] = NO_GAPS,
    ) -> None:
        self.frontier = frontier
        self.floor = floor
        self.known_since = known_since
        self.checkpoint = checkpoint
        self.gaps = gaps


@final
class Step:
    """What one fact or one fire time did. `record` is None where nothing (any more) is kept about the subject.

    `wake` is an instant at which a timer has to look at the subject, None if the ones it has will do. `counted` names
    what was noticed on the way: `duplicate`, `conflict`, `irrelevant`, `unknown_type`, or why an opening fact opened
    nothing: `not_effective`, `before_known`, `too_old`, `no_due`, `born_overdue`.
    """

    __slots__ = ("changed", "counted", "publications", "record", "wake")

    def __init__(
        self,
        record: Record | None,
        changed: bool,
        publications: list[Publication],
        wake: int | None,
        counted: tuple[str, ...],
    ) -> None:
        self.record = record
        self.changed = changed
        self.publications = publications
        self.wake = wake
        self.counted = counted


@final
class Work:
    """One subject being brought up to date: the facts before and after, what is known, and what comes of it.

    `runs`, `publications` and `timers` (instants at which a timer has to look at the subject) are filled on the way.
    """

    __slots__ = ("after", "before", "bounds", "publications", "runs", "stored_as", "subject", "timers")

    def __init__(
        self,
        subject: Subject,
        stored_as: bytes,
        before: list[Fact],
        after: list[Fact],
        bounds: Bounds,
        runs: list[Cycle],
    ) -> None:
        self.subject = subject
        self.stored_as = stored_as
        self.before = before
        self.after = after
        self.bounds = bounds
        self.runs = runs
        self.publications: list[Publication] = []
        self.timers: list[int] = []
