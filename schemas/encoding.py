"""From the core's `Publication` to the bytes of a CloudEvent."""

from typing import Any

import msgspec

from schemas.facts import Fact, FactRef
from schemas.instants import format_instant
from schemas.publications import (
    AT_RISK,
    BREACHED,
    FACTS_PUBLISHED_MAX,
    FULFILLED_LATE,
    OUTCOME,
    RETRACTED,
    AtRisk,
    AtRiskData,
    Breached,
    BreachedData,
    Event,
    FulfilledLate,
    FulfilledLateData,
    Mode,
    Outcome,
    OutcomeData,
    Publication,
    Retracted,
    RetractedData,
    schema_id,
)

_encode = msgspec.json.Encoder().encode


_BREACHED_SCHEMA, _LATE_SCHEMA, _RETRACTED_SCHEMA, _AT_RISK_SCHEMA, _OUTCOME_SCHEMA = map(
    schema_id, (BREACHED, FULFILLED_LATE, RETRACTED, AT_RISK, OUTCOME)
)


def encode_event(publication: Publication, detected_at: int, mode: Mode) -> bytes:
    """The CloudEvent for the breaches topic. `detected_at` is when it is published, UTC milliseconds."""
    when = format_instant(detected_at)
    event: Event
    if publication.kind == "breached":
        event = Breached(
            id=publication.id,
            subject=publication.subject,
            time=when,
            dataschema=_BREACHED_SCHEMA,
            data=_breached_data(publication, when, mode),
        )
    elif publication.kind == "fulfilled_late":
        late = FulfilledLateData(**_promise_data(publication, when, mode))
        event = FulfilledLate(
            id=publication.id, subject=publication.subject, time=when, dataschema=_LATE_SCHEMA, data=late
        )
    elif publication.kind == "retracted":
        assert publication.reason is not None
        retracted = RetractedData(reason=publication.reason, **_promise_data(publication, when, mode))
        event = Retracted(
            id=publication.id, subject=publication.subject, time=when, dataschema=_RETRACTED_SCHEMA, data=retracted
        )
    elif publication.kind == "at_risk":
        assert publication.warn is not None
        assert publication.risk_at is not None
        at_risk = AtRiskData(
            warn=publication.warn,
            risk_at=format_instant(publication.risk_at),
            **_promise_data(publication, when, mode),
        )
        event = AtRisk(
            id=publication.id, subject=publication.subject, time=when, dataschema=_AT_RISK_SCHEMA, data=at_risk
        )
    else:
        raise ValueError(f"found a publication of kind {publication.kind!r}, expected one for the breaches topic")
    return _encode(event)


def encode_outcome(publication: Publication, detected_at: int, mode: Mode) -> bytes:
    """The CloudEvent for the outcomes topic, for a publication of any kind."""
    when = format_instant(detected_at)
    data = OutcomeData(
        promise=publication.promise,
        version=publication.version,
        key=publication.key,
        subject=publication.subject,
        cycle=publication.cycle,
        opened_at=format_instant(publication.opened_at),
        due=format_instant(publication.due),
        status=publication.status,
        breached_at=_optional(publication.breached_at),
        fulfilled_at=_optional(publication.fulfilled_at),
        late_by_ms=publication.late_by_ms,
        detected_at=when,
        revision=publication.revision,
        mode=mode,
    )
    return _encode(
        Outcome(
            id=publication.outcome_id,
            subject=publication.subject,
            time=when,
            dataschema=_OUTCOME_SCHEMA,
            data=data,
        )
    )


def fact_ref(fact: Fact) -> FactRef:
    """A fact as published: without its payload."""
    return FactRef(fact.type, format_instant(fact.time), fact.source, fact.id)


def _breached_data(publication: Publication, detected_at: str, mode: Mode) -> BreachedData:
    """What `_promise_data` tells, without its dictionary: a burst of breaches is the most that is ever written."""
    facts, opening = _refs(publication)
    assert publication.breached_at is not None, "a breach has an instant"
    return BreachedData(
        promise=publication.promise,
        version=publication.version,
        title=publication.title,
        severity=publication.severity,
        key=publication.key,
        subject=publication.subject,
        cycle=publication.cycle,
        opening=opening,
        opened_at=opening.time,
        first_due=format_instant(publication.due if publication.first_due is None else publication.first_due),
        due=format_instant(publication.due),
        paused_ms=publication.paused_ms,
        breached_at=format_instant(publication.breached_at),
        detected_at=detected_at,
        fulfilled_at=None,
        late_by_ms=None,
        status="breached",
        revision=publication.revision,
        expected=publication.expected,
        facts=facts,
        last_step=facts[-1] if facts else opening,
        mode=mode,
        timezone=publication.timezone,
        explain=publication.explain,
        impact=publication.impact,
        group=publication.group or {},
    )


def _promise_data(publication: Publication, detected_at: str, mode: Mode) -> dict[str, Any]:
    facts, opening = _refs(publication)
    return {
        "promise": publication.promise,
        "version": publication.version,
        "title": publication.title,
        "severity": publication.severity,
        "key": publication.key,
        "subject": publication.subject,
        "cycle": publication.cycle,
        "opening": opening,
        "opened_at": format_instant(publication.opened_at),
        "first_due": format_instant(publication.due if publication.first_due is None else publication.first_due),
        "due": format_instant(publication.due),
        "paused_ms": publication.paused_ms,
        "breached_at": _optional(publication.breached_at),
        "detected_at": detected_at,
        "fulfilled_at": _optional(publication.fulfilled_at),
        "late_by_ms": publication.late_by_ms,
        "status": publication.status,
        "revision": publication.revision,
        "expected": publication.expected,
        "facts": facts,
        "last_step": facts[-1] if facts else opening,
        "mode": mode,
        "timezone": publication.timezone,
        "explain": publication.explain,
        "impact": publication.impact,
        "group": publication.group or {},
    }


def _refs(publication: Publication) -> tuple[list[FactRef], FactRef]:
    """The newest facts in their order, and the opening; a burst's subjects often have no other fact."""
    known = publication.facts
    facts = [fact_ref(fact) for fact in known[-FACTS_PUBLISHED_MAX:]]
    opening = publication.opening
    if facts and known[-len(facts)] is opening:
        return facts, facts[0]
    return facts, fact_ref(opening)


def _optional(instant: int | None) -> str | None:
    return None if instant is None else format_instant(instant)
