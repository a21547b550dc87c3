"""Who is told what, and why not: every reason, and the borders between them."""

import pytest

from agents.decisions import Memory, NotifyReason, decide, remember
from schemas.facts import FactRef
from schemas.publications import (
    AtRisk,
    AtRiskData,
    Breached,
    BreachedData,
    FulfilledLate,
    FulfilledLateData,
    Retracted,
    RetractedData,
)
from tests.agents.fakes import as_any

DUE = "2026-05-01T12:00:00.000Z"
DUE_MS = 1_777_636_800_000
DAY = 86_400_000
REF = FactRef(type="order.placed", time=DUE, source="shop", id="1")
COMMON = {
    "promise": "p", "version": 1, "title": "t", "severity": "high", "key": "order_id", "subject": "A", "cycle": "1",
    "opening": REF, "opened_at": DUE, "due": DUE, "breached_at": DUE, "detected_at": DUE, "expected": "x",
    "facts": [REF], "last_step": REF, "mode": "live", "timezone": "UTC", "explain": "e",
}  # fmt: skip


def breach(event_id: str = "b", revision: int = 1) -> Breached:
    """A breach event."""
    data = as_any(BreachedData)(**COMMON, fulfilled_at=None, late_by_ms=None, status="breached", revision=revision)
    return Breached(id=event_id, subject="A", time=DUE, dataschema="s", data=data)


def late() -> FulfilledLate:
    """A late fulfilment."""
    data = as_any(FulfilledLateData)(**COMMON, fulfilled_at=DUE, late_by_ms=5, status="fulfilled_late", revision=2)
    return FulfilledLate(id="l", subject="A", time=DUE, dataschema="s", data=data)


def retracted() -> Retracted:
    """A retraction."""
    data = as_any(RetractedData)(
        **COMMON, fulfilled_at=None, late_by_ms=None, status="kept", revision=2, reason="fulfilled_in_time"
    )
    return Retracted(id="r", subject="A", time=DUE, dataschema="s", data=data)


def at_risk() -> AtRisk:
    """A warning."""
    common = {**COMMON, "breached_at": None}
    data = as_any(AtRiskData)(
        **common, fulfilled_at=None, late_by_ms=None, status="open", revision=1, warn="-6h", risk_at=DUE
    )
    return AtRisk(id="w", subject="A", time=DUE, dataschema="s", data=data)


TOLD = Memory(1, {"b": "sent"}, 1, True)
WARNED = Memory(1, {"w": "sent"}, 1, False, {}, ["w"])
SKIPPED = Memory(1, {"b": "skipped"}, 1, False)
FAILED = Memory(1, {"b": "failed"}, 1, False, {"b": 7})


@pytest.mark.parametrize(
    ("event", "memory", "now", "deliver", "reason"),
    [
        (breach(), None, DUE_MS, True, NotifyReason.FIRST_BREACH),
        (breach(), None, DUE_MS + 7 * DAY, True, NotifyReason.FIRST_BREACH),
        (breach(), None, DUE_MS + 7 * DAY + 1, False, NotifyReason.TOO_OLD),
        (breach(), TOLD, DUE_MS, False, NotifyReason.ALREADY_HANDLED),
        (breach("b2", 3), TOLD, DUE_MS, True, NotifyReason.BROKEN_AGAIN),
        (breach("b2", 1), Memory(1, {"b": "sent", "r": "sent"}, 2, False), DUE_MS, False, NotifyReason.OUTDATED),
        (late(), TOLD, DUE_MS, True, NotifyReason.FULFILLED_LATE),
        (late(), TOLD, DUE_MS + 99 * DAY, True, NotifyReason.FULFILLED_LATE),
        (late(), SKIPPED, DUE_MS, False, NotifyReason.NEVER_TOLD),
        (late(), None, DUE_MS, False, NotifyReason.NEVER_TOLD),
        (retracted(), TOLD, DUE_MS, True, NotifyReason.RETRACTED),
        (retracted(), SKIPPED, DUE_MS, False, NotifyReason.NEVER_TOLD),
        (at_risk(), None, DUE_MS, True, NotifyReason.AT_RISK),
        (at_risk(), None, DUE_MS + 1, False, NotifyReason.TOO_OLD),
        (at_risk(), WARNED, DUE_MS, False, NotifyReason.ALREADY_HANDLED),
        (breach("b", 2), WARNED, DUE_MS, True, NotifyReason.FIRST_BREACH),
        (late(), WARNED, DUE_MS, False, NotifyReason.NEVER_TOLD),
    ],
)
def test_every_reason(event: Breached, memory: Memory | None, now: int, deliver: bool, reason: NotifyReason) -> None:
    """One row a reason, with the rows on both sides of each border."""
    assert decide(event, memory, DUE_MS, now, 7 * DAY) == (deliver, reason)


@pytest.mark.parametrize(
    ("event", "memory", "offset", "deliver", "reason"),
    [
        (breach(), FAILED, 7, False, NotifyReason.ALREADY_HANDLED),
        (breach(), FAILED, 8, True, NotifyReason.FIRST_BREACH),
        (breach(), TOLD, 8, False, NotifyReason.ALREADY_HANDLED),
        (breach(), Memory(1, {"b": "failed", "l": "sent"}, 2, True, {"b": 7}), 8, False, NotifyReason.OUTDATED),
        (late(), FAILED, 8, True, NotifyReason.FULFILLED_LATE),
        (retracted(), FAILED, 8, False, NotifyReason.NEVER_TOLD),
    ],
)
def test_what_failed_is_tried_again_when_it_comes_once_more(
    event: Breached, memory: Memory, offset: int, deliver: bool, reason: NotifyReason
) -> None:
    """At a higher offset it is a redrive; at its own it was only read again."""
    assert decide(event, memory, DUE_MS, DUE_MS, 7 * DAY, offset=offset) == (deliver, reason)


def test_memory_keeps_the_highest_revision_and_every_event() -> None:
    """A late, lower revision does not turn the memory back."""
    memory = remember(remember(None, "r", 2, "sent", told=False), "b", 1, "skipped", told=None)
    assert memory == Memory(1, {"r": "sent", "b": "skipped"}, 2, False)
