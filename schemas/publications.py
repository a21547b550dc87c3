"""What is published: the core's `Publication`, and the CloudEvents that carry it to other teams.

A publication of kind breached, fulfilled_late or retracted becomes one event on the breaches topic and one on the
outcomes topic; kind outcome becomes the latter only, kind at_risk the former only. Per cycle the highest `revision` is
the one in force.
"""

from typing import Annotated, Any, Literal

import msgspec

from schemas.book_model import Severity
from schemas.cloudevents import STRUCTURED_HEADERS
from schemas.facts import Fact, FactRef

Kind = Literal["breached", "fulfilled_late", "retracted", "at_risk", "outcome"]
Status = Literal["open", "kept", "breached", "fulfilled_late", "released", "void", "held"]
Mode = Literal["live", "replay"]
RetractReason = Literal[
    "fulfilled_in_time", "released_in_time", "opening_changed", "due_moved", "moved_before_itself", "evidence_changed",
    "cause_retracted",
]  # fmt: skip

EVENT_SOURCE: Literal["/promisewatch"] = "/promisewatch"
CONTENT_TYPE: Literal["application/json"] = "application/json"
EVENT_HEADERS = STRUCTURED_HEADERS
"""Kafka headers of these records."""
FACTS_PUBLISHED_MAX = 100
"""Facts listed in one event, the newest ones; a subject with more would make events nobody can read."""

BREACHED = "promise.breached.v1"
FULFILLED_LATE = "promise.fulfilled_late.v1"
RETRACTED = "promise.retracted.v1"
AT_RISK = "promise.at_risk.v1"
OUTCOME = "promise.outcome.v1"

Instant = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
"""RFC 3339 in UTC with milliseconds."""
Revision = Annotated[int, msgspec.Meta(ge=1)]
Amount = str | float | int


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a verdict, as the core decides it: everything but when it was detected. Instants are UTC ms.

    `id` is the event's id on the breaches topic (for kind outcome: unused there), `outcome_id` that of its outcome (for
    kind at_risk: unused). `first_due` None: it is `due`.
    """

    kind: Kind
    id: str
    outcome_id: str
    promise: str
    version: int
    title: str
    severity: Severity
    key: str
    subject: str
    cycle: str
    opening: Fact
    opened_at: int
    due: int
    breached_at: int | None = None
    fulfilled_at: int | None = None
    late_by_ms: int | None = None
    status: Status
    revision: int
    expected: str
    facts: tuple[Fact, ...] = ()
    """In their order: by time, then id, then source."""
    reason: RetractReason | None = None
    explain: str = ""
    timezone: str = "UTC"
    first_due: int | None = None
    paused_ms: int = 0
    impact: Amount | None = None
    group: dict[str, Any] | None = None
    warn: str | None = None
    risk_at: int | None = None


class PromiseData(msgspec.Struct, frozen=True, kw_only=True):
    """What every event on the breaches topic tells. `cycle` is the id of the opening fact.

    `first_due` is the due as first promised, `due` as last promised. `paused_ms` is for how long the promise stood
    still, `impact` what its breach is worth by the book, `group` the payload fields of the opening by which the book
    has breaches put together. These four are always written; events of versions that did not know them lack them.
    """

    promise: str
    version: int
    title: str
    severity: Severity
    key: str
    subject: str
    cycle: str
    opening: FactRef
    opened_at: Instant
    first_due: Instant | None = None
    due: Instant
    paused_ms: Annotated[int, msgspec.Meta(ge=0)] = 0
    breached_at: Instant | None
    detected_at: Instant
    fulfilled_at: Instant | None
    late_by_ms: int | None
    status: Status
    revision: Revision
    expected: str
    facts: list[FactRef]
    last_step: FactRef
    mode: Mode
    timezone: str
    explain: str
    impact: Amount | None = None
    group: dict[str, str | float | int | bool | None] = {}


class BreachedData(PromiseData, frozen=True, kw_only=True):
    """A promise that was not kept in time."""

    breached_at: Instant
    status: Literal["breached"]


class FulfilledLateData(PromiseData, frozen=True, kw_only=True):
    """A breached promise whose fulfilment came after its due."""

    breached_at: Instant
    fulfilled_at: Instant
    late_by_ms: Annotated[int, msgspec.Meta(ge=1)]
    status: Literal["fulfilled_late"]


class RetractedData(PromiseData, frozen=True, kw_only=True):
    """A breach that turned out not to be one: evidence dated in time arrived after it had been published.

    Status open: it is not decided yet (its due has moved, or what had broken it was taken back). Status held: it never
    can be proved, since events from before its due expired unread.
    """

    status: Literal["kept", "released", "void", "open", "held"]
    reason: RetractReason


class AtRiskData(PromiseData, frozen=True, kw_only=True):
    """A running promise that may soon be broken. `warn` is the warning as the book spells it, `risk_at` its instant."""

    status: Literal["open"]
    warn: str
    risk_at: Instant


class OutcomeData(msgspec.Struct, frozen=True, kw_only=True):
    """The settled verdict of one cycle, without the facts behind it.

    Status void: the cycle never was one (an earlier opening became known). Status open: a settled verdict was taken
    back and the promise runs again (two contents under one event id, and the other one counts). Status held: its due
    has passed, and whether it was kept cannot be told, since events from before its due expired unread.
    """

    promise: str
    version: int
    key: str
    subject: str
    cycle: str
    opened_at: Instant
    due: Instant
    status: Status
    breached_at: Instant | None
    fulfilled_at: Instant | None
    late_by_ms: int | None
    detected_at: Instant
    revision: Revision
    mode: Mode


class Envelope(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """The CloudEvents 1.0 attributes around the data; `type` is the tag by which a reader picks the class."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: Literal["/promisewatch"] = EVENT_SOURCE
    subject: str
    time: Instant
    datacontenttype: Literal["application/json"] = CONTENT_TYPE
    dataschema: str


class Breached(Envelope, frozen=True, kw_only=True, tag=BREACHED):
    """It is proved that the promise was not kept."""

    data: BreachedData


class FulfilledLate(Envelope, frozen=True, kw_only=True, tag=FULFILLED_LATE):
    """What was promised came after all, too late."""

    data: FulfilledLateData


class Retracted(Envelope, frozen=True, kw_only=True, tag=RETRACTED):
    """The breach published earlier for this cycle does not hold."""

    data: RetractedData


class AtRisk(Envelope, frozen=True, kw_only=True, tag=AT_RISK):
    """What was promised has not come yet, and the due is near."""

    data: AtRiskData


class Outcome(Envelope, frozen=True, kw_only=True, tag=OUTCOME):
    """How the promise ended, for reports."""

    data: OutcomeData


Event = Breached | FulfilledLate | Retracted | AtRisk | Outcome

_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def schema_id(event_type: str) -> str:
    """The URI that names the JSON Schema of an event type, as `dataschema` and as the schema's `$id`."""
    return f"urn:promisewatch:schema:{event_type}"


def decode_event(value: bytes) -> Event:
    """Read one of our events. Raises msgspec.ValidationError or msgspec.DecodeError on anything else."""
    return _decoder.decode(value)
