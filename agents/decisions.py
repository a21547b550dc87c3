"""Whether somebody is told about a breach event, and the name of the reason. Pure: no clock, no I/O."""

from enum import StrEnum
from typing import NamedTuple

import msgspec

from schemas.publications import AtRisk, Breached, FulfilledLate, Retracted

MEMORY_FORMAT = 1


class NotifyReason(StrEnum):
    """Why somebody is told, or is not."""

    FIRST_BREACH = "first_breach"
    BROKEN_AGAIN = "broken_again"
    """A breach after an earlier one of the same cycle was taken back."""
    AT_RISK = "at_risk"
    """Not broken yet: whoever works on it can still keep it."""
    FULFILLED_LATE = "fulfilled_late"
    RETRACTED = "retracted"
    ALREADY_HANDLED = "already_handled"
    """The same event came again."""
    OUTDATED = "outdated"
    """A later revision of the same cycle has been handled already."""
    TOO_OLD = "too_old"
    """Older than `max_age`: nobody is helped by being told now."""
    NEVER_TOLD = "never_told"
    """Good news about a breach that nobody was told of."""
    INTERRUPTED = "interrupted"
    """The process ended between the intent and the delivery; repeating it could tell somebody twice."""


class Memory(msgspec.Struct, array_like=True):
    """What the notifier remembers about one cycle: every event seen with its outcome, the highest revision, and
    whether somebody has been told. `failed` has the events that could not be delivered, with the offset at which they
    were read then: at a higher one they are a redrive. `risks` are those events that only warned.
    """

    format: int
    events: dict[str, str]
    revision: int
    told: bool
    failed: dict[str, int] = msgspec.field(default_factory=dict)
    risks: list[str] = msgspec.field(default_factory=list)


class Decision(NamedTuple):
    """Whether to deliver, and why (not)."""

    deliver: bool
    reason: NotifyReason


def decide(  # noqa: PLR0911 - a return a reason
    event: Breached | FulfilledLate | Retracted | AtRisk,
    memory: Memory | None,
    breached_ms: int,
    now_ms: int,
    max_age_ms: int,
    *,
    offset: int = 0,
) -> Decision:
    """Decide about one event: `breached_ms` is when the promise was broken (of a warning: is due), `max_age_ms` how old
    news may be.

    `offset` is where the event was read: one that could not be delivered is tried again when it comes once more.
    """
    if memory is not None:
        if event.id in memory.events and memory.failed.get(event.id, offset) >= offset:
            return Decision(False, NotifyReason.ALREADY_HANDLED)
        if event.data.revision < memory.revision:
            return Decision(False, NotifyReason.OUTDATED)
    if isinstance(event, AtRisk):
        return Decision(False, NotifyReason.TOO_OLD) if now_ms > breached_ms else Decision(True, NotifyReason.AT_RISK)
    told = memory is not None and memory.told
    if isinstance(event, Retracted):
        return Decision(True, NotifyReason.RETRACTED) if told else Decision(False, NotifyReason.NEVER_TOLD)
    if isinstance(event, FulfilledLate):
        # It says itself that the promise was broken: whoever could not be told of that is told of both now.
        wanted = told or (memory is not None and bool(memory.failed))
        return Decision(True, NotifyReason.FULFILLED_LATE) if wanted else Decision(False, NotifyReason.NEVER_TOLD)
    if now_ms - breached_ms > max_age_ms:
        return Decision(False, NotifyReason.TOO_OLD)
    again = memory is not None and any(other != event.id for other in memory.events if other not in memory.risks)
    return Decision(True, NotifyReason.BROKEN_AGAIN if again else NotifyReason.FIRST_BREACH)


def remember(
    memory: Memory | None,
    event_id: str,
    revision: int,
    outcome: str,
    *,
    told: bool | None,
    failed_at: int | None = None,
    risk: bool = False,
) -> Memory:
    """Return the memory with one more event. `told` None leaves whether somebody knows as it was; `failed_at` is the
    offset of an event that could not be delivered; `risk`: it only warned.
    """
    before = memory or Memory(MEMORY_FORMAT, {}, 0, False)
    failed = {event: offset for event, offset in before.failed.items() if event != event_id}
    if failed_at is not None:
        failed[event_id] = failed_at
    return Memory(
        MEMORY_FORMAT,
        {**before.events, event_id: outcome},
        max(before.revision, revision),
        before.told if told is None else told,
        failed,
        [*before.risks, event_id] if risk and event_id not in before.risks else before.risks,
    )


def forget(memory: Memory, event_id: str) -> Memory:
    """Return the memory without one event: what was intended and never begun has not happened."""
    events = {event: outcome for event, outcome in memory.events.items() if event != event_id}
    return Memory(MEMORY_FORMAT, events, memory.revision, memory.told, memory.failed, memory.risks)
