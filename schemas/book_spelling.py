"""How a promise book is spelled: one pydantic model per kind of mapping in the file.

The models say which keys there are; what their values look like on their own is said in `schemas/book_values.py`, and
whether they fit together is the matter of `schemas/book_checks.py`.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from schemas.book_model import Severity
from schemas.book_values import (
    WEEKDAYS,
    Alias,
    AtText,
    Audiences,
    ConditionText,
    Count,
    Day,
    Duration,
    EventNames,
    EventPath,
    Format,
    Heartbeat,
    Hours,
    Limit,
    OrName,
    Paths,
    PathText,
    Share,
    Span,
    TimeOfDay,
    Topic,
    TypePath,
    Value,
    WarnText,
    Weekday,
    Where,
    Window,
    Word,
    name_or_mapping,
)
from schemas.instants import parse_duration


def _one_of(*keys: str) -> ConfigDict:
    """In the JSON Schema: exactly one of these keys is there."""
    return ConfigDict(json_schema_extra={"oneOf": [{"required": [key]} for key in keys]})


NEEDED_PATHS = ("id", "type", "time")
ENVELOPE_PATHS = (*NEEDED_PATHS, "data")
"""What a source in JSON says by paths (the first three always), and CloudEvents by their envelope. A source of Debezium
may say each of them."""


def _where(key: str, value: str, **then: Any) -> dict[str, Any]:
    return {"if": {"properties": {key: {"const": value}}, "required": [key]}, "then": then}


_KEYS_THAT_GO_TOGETHER = ConfigDict(
    json_schema_extra={
        "allOf": [
            _where("format", "cloudevents", properties=dict.fromkeys(ENVELOPE_PATHS, False)),
            _where("format", "json", required=list(NEEDED_PATHS)),
            _where("frontier", "markers", properties={"heartbeat": False}),
        ]
    }
)
"""In the JSON Schema: which keys have to be there, and which must not."""


def _span(written: str) -> Any:
    """A default duration, shown in the JSON Schema as it is spelled in a book."""
    return Field(default=parse_duration(written), json_schema_extra={"default": written})


class Spelling(BaseModel):
    """What all mappings of a book have in common: no unknown keys, no conversions, no changes afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class DoubtSpelling(Spelling):
    """What brings a source into doubt, and for how long."""

    dead_letters: Limit = 5
    late: Limit = 5
    share: Share = Field(default=10, json_schema_extra={"default": "10%"})
    window: Window = _span("10m")


class SourceSpelling(Spelling):
    """How one topic's events become facts: by paths, or from the envelope that CloudEvents and Debezium have."""

    model_config = _KEYS_THAT_GO_TOGETHER
    topic: Topic
    format: Format
    id: EventPath | None = None
    type: TypePath | None = None
    time: EventPath | None = None
    data: EventPath | None = None
    events: list[Word] | None = None
    settle: Span | None = None
    frontier: Literal["clock", "markers"] = "clock"
    heartbeat: Heartbeat | None = None
    doubt: DoubtSpelling = DoubtSpelling()
    withdraws: EventPath | None = None


class DefaultsSpelling(Spelling):
    """What sources and promises take where they say nothing themselves."""

    timezone: Word | None = None
    key: PathText | None = None
    settle: Span = _span("2m")
    skew: Span = _span("5m")
    retention: Span = _span("400d")
    orphan_ttl: Span = _span("30d")


class CalendarSpelling(Spelling):
    """Opening days and hours."""

    days: list[Weekday] = list(WEEKDAYS)
    hours: Hours = Field(default=(0, 1440), json_schema_extra={"default": "00:00-24:00"})
    holidays: Word | None = None
    add: list[Day] = []
    remove: list[Day] = []
    timezone: Word | None = None


class MatchSpelling(Spelling):
    """Which events are meant; `match` names fields that are equal to those of the opening event."""

    event: EventNames
    where: Where = {}
    condition: ConditionText | None = Field(default=None, alias="if")
    match: list[PathText] = []


class WhenSpelling(Spelling):
    """What opens the promise: events, a status that is entered, or the breach of another promise."""

    model_config = _one_of("event", "breach_of")
    event: EventNames | None = None
    where: Where = {}
    condition: ConditionText | None = Field(default=None, alias="if")
    field: PathText | None = None
    enter: list[Value] | None = None
    breach_of: Word | None = None
    again: bool = False


class ExpectSpelling(Spelling):
    """What keeps the promise: events, a status that is left, or values that agree."""

    model_config = _one_of("event", "leave", "holds")
    event: EventNames | None = None
    where: Where = {}
    condition: ConditionText | None = Field(default=None, alias="if")
    match: list[PathText] = []
    count: Count = 1
    distinct: PathText | None = None
    early: bool = False
    shared: bool = False
    leave: PathText | None = None
    holds: ConditionText | None = None
    aliases: dict[Alias, Word] | None = Field(
        default=None, alias="from", json_schema_extra={"additionalProperties": False, "minProperties": 1}
    )


class ForbidSpelling(MatchSpelling):
    """What must not happen, or not for the `count`-th time."""

    count: Count = 1


Until = Annotated[MatchSpelling, BeforeValidator(name_or_mapping), OrName()]


class PauseSpelling(MatchSpelling):
    """While what the due stands still."""

    until: Until
    max: Span


class RepromiseSpelling(MatchSpelling):
    """Which events bring a new due, where in their payload, and how often."""

    field: PathText
    max: Annotated[int, Field(ge=1, le=1000)]


class DueSpelling(Spelling):
    """Until when: one of `within`, `plus` and `field`, each with keys of its own."""

    model_config = _one_of("within", "plus", "field")
    within: Duration | None = None
    plus: Annotated[int, Field(ge=0, le=3650)] | None = None
    unit: Literal["day"] | None = None
    cutoff: TimeOfDay | None = None
    of: Word | None = None
    calendar: Word | None = None
    at: AtText | None = None
    field: PathText | None = None
    offset: Duration | None = None


class BreachSpelling(Spelling):
    """What a breach means to people."""

    severity: Severity = "medium"
    audience: Audiences = ()
    template: Word | None = None
    group_by: Paths = ()
    impact: ConditionText | None = None


class PromiseSpelling(Spelling):
    """One version of one promise."""

    model_config = _one_of("expect", "forbid")
    id: Word
    version: Annotated[int, Field(ge=1, le=2**31)] = 1
    effective_from: Word | None = None
    title: Word | None = None
    owner: Word | None = None
    journey: Word | None = None
    step: Word | None = None
    key: PathText | None = None
    timezone: Word | None = None
    when: WhenSpelling
    due: DueSpelling
    expect: ExpectSpelling | None = None
    forbid: ForbidSpelling | None = None
    until: Until | None = None
    not_before: PathText | None = None
    pause: PauseSpelling | None = None
    release: MatchSpelling | None = None
    repromise: RepromiseSpelling | None = None
    warn: list[WarnText] = []
    retention: Span | None = None
    orphan_ttl: Span | None = None
    breach: BreachSpelling = BreachSpelling()


class BookSpelling(Spelling):
    """The whole file."""

    sources: dict[str, SourceSpelling]
    defaults: DefaultsSpelling = DefaultsSpelling()
    calendars: dict[str, CalendarSpelling] = {}
    promises: list[PromiseSpelling]
