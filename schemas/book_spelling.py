"""How a promise book is spelled: one pydantic model per kind of mapping in the file.

The models say which keys there are and what each value looks like on its own; whether values fit together is the
matter of `schemas/book_checks.py`. `NOT_YET` names the keys of the language that this version refuses by name.
"""

import math
import re
from datetime import date
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from schemas.book_model import At, Const, FieldPath, Scalar, Severity
from schemas.facts import INTEGER_BITS_MAX, TEXT_MAX
from schemas.instants import parse_date, parse_duration

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_HOURS = re.compile(r"(\d\d:\d\d)-(\d\d:\d\d)", re.ASCII)
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}", re.ASCII)


def shown(value: Any) -> str:
    """A found value as a person would recognise it in the file."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return repr(value)


def _wrong(value: Any, expected: str) -> ValueError:
    return ValueError(f"found {shown(value)}, expected {expected}")


def _duration(value: Any) -> int:
    if value == 0 and not isinstance(value, bool):
        return 0
    if not isinstance(value, str):
        raise _wrong(value, "a duration such as 15m, 4h, 1h30m or 2d")
    return parse_duration(value)


def _not_negative(value_ms: int) -> int:
    if value_ms < 0:
        raise ValueError("found a negative duration, expected one of zero or more")
    return value_ms


def _word(value: Any) -> str:
    if not isinstance(value, str) or not value or value != value.strip() or not value.isprintable():
        raise _wrong(value, "text" if not isinstance(value, (int, float)) else "text (put it in quotes)")
    return value


def _path(value: Any) -> str:
    word = _word(value)
    if not all(word.split(".")):
        raise _wrong(value, "a field, or a path of fields such as scan.id")
    return word


def _path_or_const(value: Any) -> FieldPath | Const:
    if not isinstance(value, dict):
        return FieldPath(_path(value))
    if set(value) != {"const"}:
        raise ValueError("found a mapping, expected a field or {const: value}")
    return Const(_word(value["const"]))


def _field_path(value: Any) -> FieldPath:
    if isinstance(value, dict):
        raise ValueError("found a mapping, expected a field: with a constant here all events would be alike")  # noqa: TRY004 - what pydantic collects
    return FieldPath(_path(value))


def _event(value: Any) -> str:
    if isinstance(value, list):
        raise ValueError("a list of events is not supported yet")  # noqa: TRY004 - what pydantic collects
    return _word(value)


def _scalar(value: Any) -> Scalar:
    if isinstance(value, (dict, list)) or (isinstance(value, float) and not math.isfinite(value)):
        raise _wrong(value, "one value: text, a number, true, false or null")
    if isinstance(value, str) and len(value) > TEXT_MAX:
        raise _wrong(value, f"at most {TEXT_MAX} characters (a longer text is not kept of an event)")
    if isinstance(value, int) and value.bit_length() > INTEGER_BITS_MAX:
        raise _wrong(value, "a number within the range of a double")
    assert value is None or isinstance(value, (str, int, float, bool))
    return value


def _minutes(text: str) -> int:
    found = _TIME_OF_DAY.fullmatch(text)
    if not found:
        raise _wrong(text, 'a time of day such as "18:00"')
    return int(found[1]) * 60 + int(found[2])


def _time_of_day(value: Any) -> int:
    if not isinstance(value, str):
        raise _wrong(value, 'a time of day such as "18:00"')
    return _minutes(value)


def _at(value: Any) -> At:
    if value == "end_of_day":
        return "end_of_day"
    if value == "closing":
        return "closing"
    try:
        return _time_of_day(value)
    except ValueError:
        raise _wrong(value, 'end_of_day, closing or a time of day such as "12:00"') from None


def _hours(value: Any) -> tuple[int, int]:
    """Opening and closing minute; hours that cross midnight close after minute 1440."""
    expected = 'opening hours such as "09:00-17:00", "22:00-06:00" or "00:00-24:00"'
    found = _HOURS.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise _wrong(value, expected)
    try:
        open_min = _minutes(found[1])
        close_min = 1440 if found[2] == "24:00" else _minutes(found[2])
    except ValueError:
        raise _wrong(value, expected) from None
    if open_min == close_min:
        raise _wrong(value, "opening hours that are not empty (all day is 00:00-24:00)")
    return open_min, close_min if close_min > open_min else close_min + 1440


def _date(value: Any) -> date:
    day = parse_date(value) if isinstance(value, str) else None
    if day is None:
        raise _wrong(value, "a date such as 2026-04-03")
    return day


def _topic(value: Any) -> str:
    if not isinstance(value, str) or not _TOPIC.fullmatch(value) or value in (".", ".."):
        raise _wrong(value, "a Kafka topic name (letters, digits, '.', '_' and '-', at most 249)")
    return value


def _format(value: Any) -> Literal["json"]:
    if value in ("cloudevents", "debezium"):
        raise ValueError(f"format {value} is not supported yet")
    if value != "json":
        raise _wrong(value, "json")
    return "json"


def _text_schema(pattern: str | None = None, **more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", **({"pattern": pattern} if pattern else {"minLength": 1}), **more})


_SPAN_PATTERN = r"^(\d+y)?(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?$"
_DURATION_PATTERN = f"^-?{_SPAN_PATTERN[1:]}"
_TIME_PATTERN = r"^([01]\d|2[0-3]):[0-5]\d$"
_PATH_SCHEMA: dict[str, Any] = {"type": "string", "pattern": r"^[^.]+(\.[^.]+)*$"}

Duration = Annotated[int, BeforeValidator(_duration), _text_schema(_DURATION_PATTERN)]
Span = Annotated[int, BeforeValidator(_duration), AfterValidator(_not_negative), _text_schema(_SPAN_PATTERN)]
Word = Annotated[str, BeforeValidator(_word), _text_schema()]
PathText = Annotated[str, BeforeValidator(_path), WithJsonSchema(_PATH_SCHEMA)]
EventName = Annotated[str, BeforeValidator(_event), _text_schema()]
TimeOfDay = Annotated[int, BeforeValidator(_time_of_day), _text_schema(_TIME_PATTERN)]
AtText = Annotated[At, BeforeValidator(_at), _text_schema(rf"^(end_of_day|closing|{_TIME_PATTERN[1:-1]})$")]
Hours = Annotated[tuple[int, int], BeforeValidator(_hours), _text_schema(r"^\d\d:\d\d-\d\d:\d\d$")]
Day = Annotated[date, BeforeValidator(_date), _text_schema(r"^\d{4}-\d\d-\d\d$")]
Topic = Annotated[str, BeforeValidator(_topic), _text_schema(r"^[A-Za-z0-9._-]{1,249}$")]
Format = Annotated[Literal["json"], BeforeValidator(_format), WithJsonSchema({"const": "json"})]
EventPath = Annotated[FieldPath, BeforeValidator(_field_path), WithJsonSchema(_PATH_SCHEMA)]
TypePath = Annotated[
    FieldPath | Const,
    BeforeValidator(_path_or_const),
    WithJsonSchema(
        {
            "anyOf": [
                _PATH_SCHEMA,
                {
                    "type": "object",
                    "properties": {"const": {"type": "string"}},
                    "required": ["const"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
Where = dict[
    PathText, Annotated[Any, AfterValidator(_scalar), WithJsonSchema({"type": ["string", "number", "boolean", "null"]})]
]


def _span(written: str) -> Any:
    """A default duration, shown in the JSON Schema as it is spelled in a book."""
    return Field(default=parse_duration(written), json_schema_extra={"default": written})


class Spelling(BaseModel):
    """What all mappings of a book have in common: no unknown keys, no conversions, no changes afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    NOT_YET: ClassVar[frozenset[str]] = frozenset()


class SourceSpelling(Spelling):
    """How one topic's events become facts."""

    NOT_YET = frozenset({"heartbeat", "withdraws"})
    topic: Topic
    format: Format
    id: EventPath
    type: TypePath
    time: EventPath
    data: EventPath | None = None
    events: list[Word] | None = None
    settle: Span | None = None
    frontier: Literal["clock", "markers"] = "clock"


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
    """Which events are meant."""

    NOT_YET = frozenset({"if", "match"})
    event: EventName
    where: Where = {}


class WhenSpelling(MatchSpelling):
    """Which events open the promise."""

    NOT_YET = frozenset({"if", "enter", "field", "breach_of", "again"})


class ExpectSpelling(MatchSpelling):
    """Which events keep the promise."""

    NOT_YET = frozenset({"if", "match", "count", "distinct", "leave", "holds", "from", "shared"})
    early: bool = False


class DueSpelling(Spelling):
    """Until when: one of `within`, `plus` and `field`, each with keys of its own."""

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

    NOT_YET = frozenset({"audience", "template", "group_by", "impact"})
    severity: Severity = "medium"


class PromiseSpelling(Spelling):
    """One version of one promise."""

    NOT_YET = frozenset({"forbid", "until", "not_before", "pause", "repromise", "warn"})
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
    expect: ExpectSpelling
    release: MatchSpelling | None = None
    retention: Span | None = None
    orphan_ttl: Span | None = None
    breach: BreachSpelling = BreachSpelling()


class BookSpelling(Spelling):
    """The whole file."""

    sources: dict[str, SourceSpelling]
    defaults: DefaultsSpelling = DefaultsSpelling()
    calendars: dict[str, CalendarSpelling] = {}
    promises: list[PromiseSpelling]
