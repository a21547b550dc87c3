"""What the values in a promise book look like: each kind as a type that pydantic reads, refuses in words, and exports.

Validators raise ValueError with what was found and what was expected; the place is added by whoever reads the file.
"""

import math
import re
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic_core import CoreSchema

from schemas.book_model import At, Const, FieldPath, Scalar, Warn
from schemas.book_model import Format as SourceFormat
from schemas.facts import INTEGER_BITS_MAX, TEXT_MAX
from schemas.instants import parse_date, parse_duration

LIMIT_MAX = 1_000_000
"""The most bad events that bring a source into doubt. Nobody means more."""
FORMATS: tuple[SourceFormat, ...] = ("json", "cloudevents", "debezium")
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_HOURS = re.compile(r"(\d\d:\d\d)-(\d\d:\d\d)", re.ASCII)
_CEL_WORDS = frozenset(
    {"as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop"}
    | {"namespace", "null", "package", "return", "true", "var", "void", "while"}
)
_SHARE = re.compile(r"(\d{1,4})%", re.ASCII)
_ALIAS = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
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


def wrong(value: Any, expected: str) -> ValueError:
    return ValueError(f"found {shown(value)}, expected {expected}")


def _duration(value: Any) -> int:
    if value == 0 and not isinstance(value, bool):
        return 0
    if not isinstance(value, str):
        raise wrong(value, "a duration such as 15m, 4h, 1h30m or 2d")
    return parse_duration(value)


def _not_negative(value_ms: int) -> int:
    if value_ms < 0:
        raise ValueError("found a negative duration, expected one of zero or more")
    return value_ms


def _word(value: Any) -> str:
    if not isinstance(value, str) or not value or value != value.strip() or not value.isprintable():
        raise wrong(value, "text" if not isinstance(value, (int, float)) else "text (put it in quotes)")
    return value


def _path(value: Any) -> str:
    word = _word(value)
    if not all(word.split(".")):
        raise wrong(value, "a field, or a path of fields such as scan.id")
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


def _one_or_more(value: Any) -> Any:
    """One word alone stands for a list of it."""
    return tuple(value) if isinstance(value, list) else (value,)


def _several(events: tuple[str, ...]) -> tuple[str, ...]:
    if not events:
        raise ValueError("found an empty list, expected an event or a list of events")
    for event in events:
        if events.count(event) > 1:
            raise ValueError(f"found {event!r} twice, expected each event once")
    return events


def name_or_mapping(value: Any) -> Any:
    """An event's name alone stands for a mapping that says no more."""
    if not isinstance(value, (str, dict)):
        raise wrong(value, "an event or a mapping")
    return {"event": value} if isinstance(value, str) else value


def _alias(value: Any) -> str:
    if not isinstance(value, str) or not _ALIAS.fullmatch(value):
        raise wrong(value, "a name of letters, digits and _, for use in the condition")
    if value in _CEL_WORDS or value.startswith("__"):
        raise wrong(value, "a name that is no word of CEL's own")
    return value


def _condition(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise wrong(value, 'a condition in CEL such as "data.amount > 100"')
    return value


def _warn(value: Any) -> Warn:
    """`-6h`: so long before the due; `80%`: when that share of the time has passed."""
    expected = "a time before the due such as -6h, or a share such as 80%"
    if not isinstance(value, str):
        raise wrong(value, expected)
    share = _SHARE.fullmatch(value)
    if share:
        if not 1 <= int(share[1]) <= 99:
            raise wrong(value, "a share from 1% to 99%")
        return Warn(value, share=int(share[1]))
    try:
        offset_ms = parse_duration(value)
    except ValueError:
        raise wrong(value, expected) from None
    if offset_ms >= 0:
        raise wrong(value, f"a time before the due: -{value}" if offset_ms else expected)
    return Warn(value, offset_ms=offset_ms)


def _scalar(value: Any) -> Scalar:
    if isinstance(value, (dict, list)) or (isinstance(value, float) and not math.isfinite(value)):
        raise wrong(value, "one value: text, a number, true, false or null")
    if isinstance(value, str) and len(value) > TEXT_MAX:
        raise wrong(value, f"at most {TEXT_MAX} characters (a longer text is not kept of an event)")
    if isinstance(value, int) and value.bit_length() > INTEGER_BITS_MAX:
        raise wrong(value, "a number within the range of a double")
    assert value is None or isinstance(value, (str, int, float, bool))
    return value


def _minutes(text: str) -> int:
    found = _TIME_OF_DAY.fullmatch(text)
    if not found:
        raise wrong(text, 'a time of day such as "18:00"')
    return int(found[1]) * 60 + int(found[2])


def _time_of_day(value: Any) -> int:
    if not isinstance(value, str):
        raise wrong(value, 'a time of day such as "18:00"')
    return _minutes(value)


def _at(value: Any) -> At:
    if value == "end_of_day":
        return "end_of_day"
    if value == "closing":
        return "closing"
    try:
        return _time_of_day(value)
    except ValueError:
        raise wrong(value, 'end_of_day, closing or a time of day such as "12:00"') from None


def _hours(value: Any) -> tuple[int, int]:
    """Opening and closing minute; hours that cross midnight close after minute 1440."""
    expected = 'opening hours such as "09:00-17:00", "22:00-06:00" or "00:00-24:00"'
    found = _HOURS.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise wrong(value, expected)
    try:
        open_min = _minutes(found[1])
        close_min = 1440 if found[2] == "24:00" else _minutes(found[2])
    except ValueError:
        raise wrong(value, expected) from None
    if open_min == close_min:
        raise wrong(value, "opening hours that are not empty (all day is 00:00-24:00)")
    return open_min, close_min if close_min > open_min else close_min + 1440


def _date(value: Any) -> date:
    day = parse_date(value) if isinstance(value, str) else None
    if day is None:
        raise wrong(value, "a date such as 2026-04-03")
    return day


def _topic(value: Any) -> str:
    if not isinstance(value, str) or not _TOPIC.fullmatch(value) or value in (".", ".."):
        raise wrong(value, "a Kafka topic name (letters, digits, '.', '_' and '-', at most 249)")
    return value


def _format(value: Any) -> Any:
    if value not in FORMATS:
        raise wrong(value, "json, cloudevents or debezium")
    return value


def _not_zero(expected: str) -> Callable[[int], int]:
    def checked(value_ms: int) -> int:
        if value_ms == 0:
            raise ValueError(f"found 0s, expected {expected}")
        return value_ms

    return checked


def _share(value: Any) -> int:
    found = _SHARE.fullmatch(value) if isinstance(value, str) else None
    if not found or not 1 <= int(found[1]) <= 100:
        raise wrong(value, "a share from 1% to 100%")
    return int(found[1])


def _limit(value: Any) -> int | None:
    if value == "never":
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LIMIT_MAX:
        raise wrong(value, f"a whole number from 1 to {LIMIT_MAX}, or never")
    return value


def _text_schema(pattern: str | None = None, **more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", **({"pattern": pattern} if pattern else {"minLength": 1}), **more})


class _OrOne:
    """In the JSON Schema: a list, or one of its items alone."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        several = handler(core)
        return {"anyOf": [several["items"], {**several, "minItems": 1}]}


class OrName:
    """In the JSON Schema: a mapping, or an event's name alone."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [_NAME_SCHEMA, handler(core)]}


_SPAN_PATTERN = r"^(\d+y)?(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?$"
_DURATION_PATTERN = f"^-?{_SPAN_PATTERN[1:]}"
_TIME_PATTERN = r"^([01]\d|2[0-3]):[0-5]\d$"
_NAME_SCHEMA: dict[str, Any] = {"type": "string", "minLength": 1}
_PATH_SCHEMA: dict[str, Any] = {"type": "string", "pattern": r"^[^.]+(\.[^.]+)*$"}

Duration = Annotated[int, BeforeValidator(_duration), _text_schema(_DURATION_PATTERN)]
Span = Annotated[int, BeforeValidator(_duration), AfterValidator(_not_negative), _text_schema(_SPAN_PATTERN)]
Word = Annotated[str, BeforeValidator(_word), _text_schema()]
PathText = Annotated[str, BeforeValidator(_path), WithJsonSchema(_PATH_SCHEMA)]
EventNames = Annotated[tuple[Word, ...], BeforeValidator(_one_or_more), AfterValidator(_several), _OrOne()]
ConditionText = Annotated[str, BeforeValidator(_condition), _text_schema()]
WarnText = Annotated[Warn, BeforeValidator(_warn), _text_schema(rf"^([1-9]\d?%|-{_SPAN_PATTERN[1:-1]})$")]
TimeOfDay = Annotated[int, BeforeValidator(_time_of_day), _text_schema(_TIME_PATTERN)]
AtText = Annotated[At, BeforeValidator(_at), _text_schema(rf"^(end_of_day|closing|{_TIME_PATTERN[1:-1]})$")]
Hours = Annotated[tuple[int, int], BeforeValidator(_hours), _text_schema(r"^\d\d:\d\d-\d\d:\d\d$")]
Day = Annotated[date, BeforeValidator(_date), _text_schema(r"^\d{4}-\d\d-\d\d$")]
Topic = Annotated[str, BeforeValidator(_topic), _text_schema(r"^[A-Za-z0-9._-]{1,249}$")]
Format = Annotated[SourceFormat, BeforeValidator(_format)]
Heartbeat = Annotated[Span, AfterValidator(_not_zero("how long the source is silent at most"))]
Window = Annotated[Span, AfterValidator(_not_zero("how long the source stays in doubt"))]
Share = Annotated[int, BeforeValidator(_share), _text_schema(r"^([1-9]\d?|100)%$")]
Limit = Annotated[
    int | None,
    BeforeValidator(_limit),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1, "maximum": LIMIT_MAX}, {"const": "never"}]}),
]
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
Value = Annotated[Any, AfterValidator(_scalar), WithJsonSchema({"type": ["string", "number", "boolean", "null"]})]
Where = dict[PathText, Value]
Count = Annotated[int, Field(ge=1, le=1000)]
Alias = Annotated[str, BeforeValidator(_alias), _text_schema(r"^[A-Za-z_][A-Za-z0-9_]*$")]
Audience = Literal["employee", "customer", "operator"]
Audiences = Annotated[tuple[Audience, ...], BeforeValidator(_one_or_more), _OrOne()]
Paths = Annotated[tuple[PathText, ...], BeforeValidator(_one_or_more), _OrOne()]
