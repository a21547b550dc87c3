"""What a change of verdict publishes, and how a cycle counts it.

One function says what lies between two verdicts. The timer, the fact that comes after it and the recovery that finds a
record written before it all use that function, so they count alike.
"""

from typing import Final, NamedTuple, get_args

from promises import borders
from promises.rules import Rule
from promises.verdicts import BREACHED, KEPT, LATE, OPEN, RELEASED, VOID, Verdict
from schemas.facts import Fact
from schemas.publications import Kind, RetractReason, Status
from schemas.records import Cycle

OUTCOME: Final = "outcome"
RETRACTED: Final = "retracted"

FULFILLED_IN_TIME: Final = "fulfilled_in_time"
RELEASED_IN_TIME: Final = "released_in_time"
OPENING_CHANGED: Final = "opening_changed"

_WITHOUT_FULFILMENT = {status: Verdict(status, None) for status in get_args(Status)}
OUTCOME_KINDS: dict[Status, str] = {status: f"{OUTCOME}:{status}" for status in get_args(Status)}
"""By status, the kind under which its outcomes are counted and named."""

_RETRACTION_REASONS: dict[Status, RetractReason] = {
    KEPT: FULFILLED_IN_TIME,
    RELEASED: RELEASED_IN_TIME,
    VOID: OPENING_CHANGED,
}


_NEVER = 1 << 62


class Change(NamedTuple):
    """One thing to publish: `kind` is its event type, `status` and `fulfilled_at` the verdict it announces."""

    kind: Kind
    status: Status
    fulfilled_at: int | None
    reason: RetractReason | None = None


def changes(before: Verdict, after: Verdict) -> tuple[Change, ...]:
    """What to publish, in order, when a verdict turns from `before` into `after`."""
    if before == after:
        return ()
    was_broken = before.status in (BREACHED, LATE)
    if after.status == BREACHED:  # also when a late fulfilment turns out never to have been
        return (Change(BREACHED, BREACHED, None),)
    if after.status == LATE:
        late = Change(LATE, LATE, after.fulfilled_at)
        return (late,) if was_broken else (Change(BREACHED, BREACHED, None), late)
    if was_broken:
        return (Change(RETRACTED, after.status, after.fulfilled_at, _RETRACTION_REASONS[after.status]),)
    return (Change(OUTCOME, after.status, after.fulfilled_at),)


def count(cycle: Cycle, change: Change) -> tuple[Cycle, int, int]:
    """The cycle as it is once `change` is published, and the numbers that its event's and its outcome's id carry.

    The cycle passed in stays as it was.
    """
    outcome_key = f"{OUTCOME_KINDS[change.status]}@{cycle.due}"
    counts = cycle.counts.copy()
    outcome_n = n = counts.get(outcome_key, 0)
    counts[outcome_key] = outcome_n + 1
    if change.kind != OUTCOME:
        key = f"{change.kind}@{cycle.due}"
        n = counts.get(key, 0)
        counts[key] = n + 1
    after = Cycle(
        cycle.promise, cycle.version, cycle.source, cycle.opening, cycle.opened_at, cycle.base_due, cycle.due,
        cycle.fire, cycle.expires, change.status, cycle.revision + 1, counts,
    )  # fmt: skip
    return after, n, outcome_n


def open_cycle(rule: Rule, opening: Fact, due: int, floor: int, earlier: Cycle | None) -> Cycle:
    """A new run of a promise. `earlier` is the run this same fact once opened, if it did: its numbers go on.

    It fires at its due, but not before `floor`: a due learnt late waits until what was on its way has been read.
    """
    fire = max(due, floor)
    promise = rule.promise
    return Cycle(
        promise.id, rule.pin, opening.source, opening.id, opening.time, due, due, fire,
        max(max(due, opening.time) + promise.retention_ms, fire),
        OPEN if earlier is None else earlier.status,
        0 if earlier is None else earlier.revision,
        {} if earlier is None else earlier.counts,
    )  # fmt: skip


def standing(rule: Rule, cycle: Cycle, facts: list[Fact]) -> Verdict:
    """What has been published of a cycle, its record and `facts` being those last written."""
    if cycle.status in (KEPT, LATE):
        first = rule.first_fulfilment(facts, cycle.opened_at)
        return Verdict(cycle.status, first.time if first is not None else None)
    return _WITHOUT_FULFILMENT[cycle.status]


def caught_up(cycle: Cycle, fired: Verdict) -> Cycle:
    """An open cycle as it is once its timer has published the verdict `fired`."""
    for change in changes(Verdict(cycle.status, None), fired):
        cycle = count(cycle, change)[0]
    return cycle


def awaits_fire(cycle: Cycle, stored_as: bytes, checkpoint: borders.Moment) -> bool:
    """Whether a timer still has to look at this cycle's due (of cycles of the whole language: whether it is open)."""
    return cycle.status == OPEN and not borders.published((cycle.fire, stored_as), checkpoint)


def wake(cycles: list[Cycle], stored_as: bytes, checkpoint: borders.Moment) -> int:
    """The next instant at which a timer has to do with one of these cycles (at least one)."""
    soonest = _NEVER
    for cycle in cycles:
        if cycle.general is not None:
            soonest = min(soonest, cycle.general.next_at)
        else:
            soonest = min(soonest, cycle.fire if awaits_fire(cycle, stored_as, checkpoint) else cycle.expires)
    return soonest
