"""One event of each kind, as it is published: the examples of `schemas/asyncapi.yaml`.

A parcel was due on Saturday night, came on Sunday morning, and turns out to have been brought on Saturday already.
"""

from typing import Any

import msgspec

from schemas.encoding import encode_event, encode_outcome
from schemas.factrecords import encode_fact
from schemas.facts import Fact
from schemas.instants import parse_instant
from schemas.markers import marker_headers
from schemas.notifications import Notification, encode_notification
from schemas.publications import AT_RISK, BREACHED, FULFILLED_LATE, OUTCOME, RETRACTED, Publication
from schemas.vectors import KNOWN_FOR_EVER, VECTOR_FORMAT, Hold, SourceMark, VectorMarker, encode_vector

SUBJECT = "A-17"
SOURCE_TOPIC = "shop.events"


def _at(text: str) -> int:
    return parse_instant(text, None)


_DUE = _at("2026-04-25T21:59:59.999Z")
_PLACED = Fact("shop", "e-1001", "order.placed", _at("2026-04-24T15:59:59Z"), {})
_SCANNED = Fact("shop", "e-1043", "parcel.delivered", _at("2026-04-25T16:20:00Z"), {})
_DELIVERED = Fact("shop", "e-1044", "parcel.delivered", _at("2026-04-26T08:00:00Z"), {})
_TITLE = "Ordered before 18:00, delivered the next working day"
_WHO = f"Order {SUBJECT}: '{_TITLE}'"
_WHEN = "Sat 25 Apr 2026 23:59 (Europe/Amsterdam)"
_LAST_SEEN = "Last seen: order.placed Fri 24 Apr 17:59:59."

_COMMON: dict[str, Any] = {
    "promise": "next-day",
    "version": 2,
    "title": _TITLE,
    "severity": "high",
    "key": "order_id",
    "subject": SUBJECT,
    "cycle": _PLACED.id,
    "opening": _PLACED,
    "opened_at": _PLACED.time,
    "due": _DUE,
    "expected": "parcel.delivered",
    "timezone": "Europe/Amsterdam",
    "impact": 19.95,
    "group": {"carrier": "northern"},
}
_AT_RISK = Publication(
    kind="at_risk",
    status="open",
    revision=1,
    warn="-6h",
    risk_at=_at("2026-04-25T15:59:59.999Z"),
    facts=(_PLACED,),
    id="8fe9ae85-f2a5-51a7-9c59-94a33fd073da",
    outcome_id="8cba3059-807b-5398-862c-cd2e8f3de3ca",
    explain=f"{_WHO} is due {_WHEN}; so far no parcel.delivered. {_LAST_SEEN}",
    **_COMMON,
)
_BREACHED = Publication(
    kind="breached",
    status="breached",
    revision=2,
    breached_at=_DUE,
    facts=(_PLACED,),
    id="4f494b2e-e0f0-598b-a965-71a87eeae85d",
    outcome_id="46372ef1-e244-5666-8271-ed7f4175e85c",
    explain=f"{_WHO} was due {_WHEN}; no parcel.delivered by then. {_LAST_SEEN}",
    **_COMMON,
)
_FULFILLED_LATE = Publication(
    kind="fulfilled_late",
    status="fulfilled_late",
    revision=3,
    breached_at=_DUE,
    fulfilled_at=_DELIVERED.time,
    late_by_ms=_DELIVERED.time - _DUE,
    facts=(_PLACED, _DELIVERED),
    id="e8675bfd-f4bc-5d3e-9194-0ea984a757a3",
    outcome_id="e6f114ec-4bf7-5520-b588-23d223fcbd17",
    explain=f"{_WHO} was due {_WHEN}; parcel.delivered came Sun 26 Apr 2026 10:00, 10 h late.",
    **_COMMON,
)
_RETRACTED = Publication(
    kind="retracted",
    status="kept",
    revision=4,
    fulfilled_at=_SCANNED.time,
    reason="fulfilled_in_time",
    facts=(_PLACED, _SCANNED, _DELIVERED),
    id="476f8f0a-c453-5277-8bf3-b04783b69ae0",
    outcome_id="1bf7844d-4522-523a-94f8-4ee8a2661a13",
    explain=f"{_WHO} is no longer broken (it was due {_WHEN}); "
    "parcel.delivered came in time, Sat 25 Apr 2026 18:20, but was known late.",
    **_COMMON,
)
PUBLISHED: dict[str, tuple[Publication, int]] = {
    AT_RISK: (_AT_RISK, _at("2026-04-25T16:02:00.044Z")),
    BREACHED: (_BREACHED, _at("2026-04-25T22:02:00.127Z")),
    FULFILLED_LATE: (_FULFILLED_LATE, _at("2026-04-26T08:00:03.518Z")),
    RETRACTED: (_RETRACTED, _at("2026-04-27T06:12:44.902Z")),
}
"""By event type, in the order of the story: what was said, and when (UTC milliseconds)."""

_NOTIFICATION = Notification(
    event_id=_BREACHED.id,
    promise="next-day",
    subject=SUBJECT,
    revision=2,
    channel="webhook",
    outcome="sent",
    reason="first_breach",
    at="2026-04-25T22:02:00.391Z",
    attempts=1,
)


def events() -> dict[str, Any]:
    """By event type, what the value of a record on the breaches or outcomes topic holds."""
    values = {kind: encode_event(said, detected, "live") for kind, (said, detected) in PUBLISHED.items()}
    values[OUTCOME] = encode_outcome(*PUBLISHED[FULFILLED_LATE], "live")
    return {kind: msgspec.json.decode(value) for kind, value in values.items()}


def notification() -> Any:
    """The value of a record on the notifications topic."""
    return msgspec.json.decode(encode_notification(_NOTIFICATION))


def marker() -> dict[str, str]:
    """The headers of a marker."""
    return {name: content.decode() for name, content in marker_headers(_at("2026-04-25T22:00:00Z"))}


def fact() -> Any:
    """The value of a record on the facts topic."""
    placed = Fact(_PLACED.source, _PLACED.id, _PLACED.type, _PLACED.time, {"speed": "next", "price": 19.95})
    return msgspec.json.decode(encode_fact(placed))


def vector() -> dict[str, str]:
    """The headers of a vector: the carrier has been silent for longer than it should."""
    now = _at("2026-04-25T22:00:00Z")
    silent = _at("2026-04-25T21:00:00Z")
    said = VectorMarker(
        format=VECTOR_FORMAT,
        book="0cc9a0c5b1de43b1a8c6a0f6f3b1f0f8d7c5e4a39281706f5e4d3c2b1a098765",
        sender="promisewatch-ingest-0",
        counts={"shop": 2, "carrier": 1},
        marks={
            "shop/0": SourceMark(now - 120_000, now, KNOWN_FOR_EVER),
            "shop/1": SourceMark(now - 120_000, now, _at("2026-03-01T09:14:07Z")),
            "carrier/0": SourceMark(silent, now, KNOWN_FOR_EVER),
        },
        holds={"carrier/0": Hold("silent", silent)},
    )
    return {name: content.decode() for name, content in encode_vector(said)}
