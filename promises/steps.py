"""What goes into one step of the detector, and what comes out of it.

Apart from the detector, because msgspec's types cannot be compiled together with the code that uses them.
"""

import msgspec

from promises import borders
from promises.gaps import NO_GAPS, Gap
from schemas.facts import Fact, Subject
from schemas.publications import Publication
from schemas.records import Cycle, Record


class Bounds(msgspec.Struct, frozen=True, gc=False):
    """What a partition knows when it processes a fact. Instants are UTC milliseconds.

    `frontier`: every fact dated before it is known. `floor`: no due learnt now is published before it.
    `known_since`: nothing opens before it. `checkpoint`: the last (instant, subject) the timers have published. `gaps`:
    when facts may have happened that will never be known.
    """

    frontier: int
    floor: int
    known_since: int
    checkpoint: borders.Moment
    gaps: tuple[Gap, ...] = NO_GAPS


class Step(msgspec.Struct, frozen=True, gc=False):
    """What one fact or one fire time did. `record` is None where nothing (any more) is kept about the subject.

    `wake` is an instant at which a timer has to look at the subject, None if the ones it has will do. `counted` names
    what was noticed on the way: `duplicate`, `conflict`, `irrelevant`, `unknown_type`, or why an opening fact opened
    nothing: `not_effective`, `before_known`, `too_old`, `no_due`, `born_overdue`.
    """

    record: Record | None
    changed: bool
    publications: list[Publication]
    wake: int | None
    counted: tuple[str, ...]


class Work(msgspec.Struct, frozen=True, gc=False):
    """One subject being brought up to date: the facts before and after, what is known, and what comes of it.

    `runs`, `publications` and `timers` (instants at which a timer has to look at the subject) are filled on the way.
    """

    subject: Subject
    stored_as: bytes
    before: list[Fact]
    after: list[Fact]
    bounds: Bounds
    runs: list[Cycle]
    publications: list[Publication]
    timers: list[int]
