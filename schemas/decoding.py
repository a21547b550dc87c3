"""Source events to facts: the hot path of every process that reads events.

A book names a handful of fields. For each source they are made into one msgspec type, so that one pass over the bytes
yields them and skips everything else. What a fact keeps are the payload fields that the promises name for its type.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from schemas import cloudevents, debezium
from schemas.book_model import Book, Const, FieldPath, Match, Scalar, Source
from schemas.errors import EventError
from schemas.facts import CONTROL, INTEGER_BITS_MAX, TEXT_MAX, WHOLE_BYTES_MAX, Decoded, Fact, Subject
from schemas.fields import Parts, compile_fields
from schemas.instants import parse_date, parse_instant
from schemas.looks import Looked, looked_at

BAD_JSON = "bad_json"
MISSING_ID = "missing_id"
MISSING_TYPE = "missing_type"
MISSING_TIME = "missing_time"
MISSING_KEY = "missing_key"
MISSING_SOURCE = "missing_source"
UNREADABLE_ID = "unreadable_id"
UNREADABLE_TYPE = "unreadable_type"
UNREADABLE_TIME = "unreadable_time"
UNREADABLE_KEY = "unreadable_key"
UNREADABLE_SOURCE = "unreadable_source"
UNREADABLE_DUE = "unreadable_due"

READABLE_REMEMBERED_MAX = 20_000
"""Due texts remembered as readable: promised days and slots come again and again."""

_readable: set[str] = set()
_SCALARS = frozenset({int, float, bool, type(None)})
_INSTANT = "an RFC 3339 instant"
_ID = "text or a whole number"
_new_tuple = tuple.__new__
_UTC = ZoneInfo("UTC")


_UNKNOWN = Decoded(None, None, True)
_Getter = Callable[[Any], Any]


class _TypePlan(NamedTuple):
    """What is taken from events of one type: the type's name, the payload fields and the instants to be checked.

    Fields are scalars, but for the `whole` ones, which conditions may look into.
    """

    event: str
    fields: tuple[tuple[str, _Getter], ...]
    whole: tuple[tuple[str, _Getter], ...]
    dues: tuple[tuple[str, _Getter, Match], ...]


class Decoder:
    """Decodes the events of a book's sources."""

    def __init__(self, book: Book) -> None:
        keys = dict.fromkeys(promise.key for promise in book.promises)
        self._sources = {
            name: [SourceDecoder(source, book, key) for key in keys] for name, source in book.sources.items()
        }

    def facts(self, source_name: str, value: bytes) -> list[tuple[Subject, Fact]]:
        """What one event says: a fact a subject, that is one for each key that promises need and the event has.

        Empty if no promise names its type. Raises EventError with one of the reasons of this module; `missing_key` only
        if the event has none of the keys for which it is needed.
        """
        found: list[tuple[Subject, Fact]] = []
        missing: EventError | None = None
        for decoder in self._sources[source_name]:
            try:
                decoded = decoder.decode(value)
            except EventError as error:
                if error.reason != MISSING_KEY:
                    raise
                missing = error
            else:
                if decoded.subject is not None and decoded.fact is not None:
                    found.append((decoded.subject, decoded.fact))
        if missing is not None and not found:
            raise missing
        return found

    def source(self, source_name: str, key: str | None = None) -> "SourceDecoder":
        """The decoder of one source, for a loop over its events; `key` may be left out where promises share one."""
        decoders = {decoder.key: decoder for decoder in self._sources[source_name]}
        if key is None:
            (key,) = decoders
        return decoders[key]


class SourceDecoder:
    """Decodes the events of one source as facts about the subjects of one key."""

    __slots__ = (
        "_decode",
        "_expected_time",
        "_get_id",
        "_get_key",
        "_get_source",
        "_get_time",
        "_get_type",
        "_get_withdrawn",
        "_name",
        "_plans",
        "_source",
        "_zone",
        "has_tombstones",
        "in_headers",
        "key",
    )

    def __init__(self, source: Source, book: Book, key: str) -> None:
        self._name = source.name
        self._source = source
        self._zone = ZoneInfo(book.timezone) if book.timezone else None
        self.key = key
        looked = looked_at(tuple(promise for promise in book.promises if promise.key == key))
        paths = [source.time.parts, self._payload(self.key)]
        paths += [place.parts for place in (source.id, source.type, source.withdraws) if isinstance(place, FieldPath)]
        for wanted in looked.values():
            paths += [self._payload(field) for field in wanted.fields]
        self.in_headers = source.format == "cloudevents"
        """Whether a record's headers may hold a part of the event: then it is for `decode_record`."""
        self.has_tombstones = source.format == "debezium"
        """Whether a record without a value is nothing but the end of a row."""
        if self.in_headers:
            paths += cloudevents.PARTS
        self._decode: Callable[[bytes], Any]
        self._get_source: _Getter | None = None
        self._expected_time = _INSTANT
        changes: debezium.EnvelopeReader | None = None
        if self.has_tombstones:
            changes = debezium.EnvelopeReader(paths)
            self._decode, getters = changes.read, changes.getters
            self._expected_time = debezium.INSTANT
        else:
            event_type, getters = compile_fields(paths)
            self._decode = msgspec.json.Decoder(event_type).decode
        if self.in_headers:
            self._decode = cloudevents.EnvelopeReader(self._decode, getters).read
            self._get_source = getters[cloudevents.SOURCE_PARTS]
        self._get_key = getters[self._payload(self.key)]
        self._get_time = self._instant_getter(source.time.parts, getters, dates=False)
        self._get_id: _Getter
        if source.id is not None:
            self._get_id = getters[source.id.parts]
        else:
            assert changes is not None, "only such events have an id that no path names"
            self._get_id = changes.id_of
        self._get_type: _Getter
        if isinstance(source.type, Const):
            self._get_type = _always(source.type.value)
        elif source.type is not None:
            self._get_type = getters[source.type.parts]
        else:
            assert changes is not None, "only such events have a type that no path names"
            self._get_type = changes.type_of
        self._get_withdrawn: _Getter | None = None
        if source.withdraws is not None:
            self._get_withdrawn = getters[source.withdraws.parts]
        self._plans = {event: self._plan(event, wanted, getters) for event, wanted in looked.items()}

    def decode(self, value: bytes) -> Decoded:  # noqa: C901, PLR0912 - one pass; each call it is cut into costs 3%
        """The subject and fact of one event. Raises EventError with one of the reasons of this module."""
        try:
            event = self._decode(value)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise EventError(BAD_JSON, f"found {_start_of(value)}, expected a JSON object: {error}") from None
        except debezium.RowlessError:
            return _UNKNOWN
        fact_id, time_text, kind = self._get_id(event), self._get_time(event), self._get_type(event)
        if type(fact_id) is not str or not 0 < len(fact_id) <= TEXT_MAX or not fact_id.isprintable():
            fact_id = _named(fact_id, (MISSING_ID, UNREADABLE_ID), "id", self._source.id)
        if type(kind) is not str:
            raise _unusable((MISSING_TYPE, UNREADABLE_TYPE), "type", self._source.type, kind, "text")
        if type(time_text) is not str:
            raise _unusable((MISSING_TIME, UNREADABLE_TIME), "time", self._source.time, time_text, self._expected_time)
        try:
            time_ms = parse_instant(time_text, self._zone)
        except ValueError as error:
            raise EventError(UNREADABLE_TIME, f"time {self._source.time.text!r}: {error}") from None
        plan = self._plans.get(kind)
        withdraws = None
        if self._get_withdrawn is not None:
            withdraws = self._withdrawn(self._get_withdrawn(event))
            if plan is None and withdraws is not None:
                plan = _TypePlan(kind, (), (), ())
        if plan is None:
            return _UNKNOWN
        key = self._get_key(event)
        if type(key) is not str or not 0 < len(key) <= TEXT_MAX or not key.isprintable():
            path = FieldPath(".".join(self._payload(self.key)))
            key = _named(key, (MISSING_KEY, UNREADABLE_KEY), "key", path)
        data = {}  # what is too large can equal no value of a book, and every fact is stored
        for field, get in plan.fields:
            found = get(event)
            scalar = type(found)
            if scalar is str:
                if len(found) <= TEXT_MAX:
                    data[field] = found
            elif scalar in _SCALARS and (scalar is not int or found.bit_length() <= INTEGER_BITS_MAX):
                data[field] = found
        for field, get in plan.whole:
            found = get(event)
            if found is not msgspec.UNSET and _is_storable(found):
                data[field] = found
        if plan.dues and withdraws is None:
            _check_dues(event, plan, data, time_ms)
        name = self._name if self._get_source is None else self._producer(self._get_source(event))
        # The same as Subject(...), without the Python function that a NamedTuple has for a constructor.
        subject = _new_tuple(Subject, (self.key, key))
        return Decoded(subject, Fact(name, fact_id, plan.event, time_ms, data, withdraws), False)

    def decode_record(self, value: bytes, headers: Iterable[tuple[str, bytes | None]]) -> Decoded:
        """The same of a Kafka record, whose headers may hold a part of its event."""
        return self.decode(cloudevents.structured(value, headers))

    def _instant_getter(self, parts: Parts, getters: dict[Parts, _Getter], *, dates: bool) -> _Getter:
        """The getter of a field that holds an instant, or with `dates` a date."""
        get = getters[parts]
        return debezium.instant_getter(parts, get, dates=dates) if self.has_tombstones else get

    def _plan(self, event: str, wanted: Looked, getters: dict[Parts, _Getter]) -> _TypePlan:
        instants = {field for field, _ in wanted.instants}

        def getter(field: str) -> _Getter:
            parts = self._payload(field)
            return self._instant_getter(parts, getters, dates=True) if field in instants else getters[parts]

        return _TypePlan(
            event,
            tuple((field, getter(field)) for field in sorted(wanted.fields - wanted.whole)),
            tuple((field, getter(field)) for field in sorted(wanted.whole)),
            tuple((field, getter(field), match) for field, match in wanted.instants),
        )

    def _producer(self, found: Any) -> str:
        """The `source` of a CloudEvent: its id is unique within that, not within the topic."""
        return _named(found, (MISSING_SOURCE, UNREADABLE_SOURCE), "source", FieldPath("source"))

    def _withdrawn(self, found: Any) -> str | None:
        """The id of the event that an event takes back; None if it takes none back."""
        if found is None or found is msgspec.UNSET or found == "":
            return None
        if type(found) is str and len(found) <= TEXT_MAX and found.isprintable():
            return found
        assert self._source.withdraws is not None, "only then it is asked"
        return _named(found, (MISSING_ID, UNREADABLE_ID), "withdraws", self._source.withdraws)

    def _payload(self, field: str) -> tuple[str, ...]:
        prefix = self._source.data.parts if self._source.data else ()
        return prefix + FieldPath(field).parts


def _is_storable(found: Any) -> bool:
    """Whether a value that a condition looks into is small enough to be kept with the fact."""
    try:
        return len(msgspec.json.encode(found)) <= WHOLE_BYTES_MAX
    except (OverflowError, RecursionError, ValueError):  # a number beyond 64 bits, say
        return False


def where_holds(match: Match, data: dict[str, Any]) -> bool:
    """Whether payload fields have the values a match demands. A missing field matches nothing; `true` is not 1."""
    for path, wanted in match.where:  # noqa: SIM110 - the generator that all() wants costs more than the rest
        if path not in data or not same_value(data[path], wanted):
            return False
    return True


def same_value(found: Scalar, wanted: Scalar) -> bool:
    """Equality as JSON has it: 1 equals 1.0, but `true` is not 1 and "1" is not 1."""
    return found == wanted and (type(found) is bool) == (type(wanted) is bool)


def _is_meant(match: Match, event_type: str, data: dict[str, Any], time_ms: int) -> bool:
    """Whether a match is of such an event, as far as the event says so itself."""
    if match.where and not where_holds(match, data):
        return False
    condition = match.condition
    if condition is None or "opened" in condition.fields:
        return True
    return condition.holds({"data": data, "type": event_type, "time": time_ms}) is True


def _check_dues(event: Any, plan: _TypePlan, data: dict[str, Any], time_ms: int) -> None:
    """Refuse an opening whose due is there but cannot be read: a promise would silently not be watched."""
    for field, get, when in plan.dues:
        found = get(event)
        if found is None or found is msgspec.UNSET or not _is_meant(when, plan.event, data, time_ms):
            continue
        if type(found) is str and found in _readable:
            continue
        if type(found) is not str:
            raise EventError(UNREADABLE_DUE, f"due {field!r}: found {_shown(found)}, expected {_INSTANT} or a date")
        try:
            if len(found) != 10 or parse_date(found) is None:
                parse_instant(found, _UTC)  # whether it can be read does not depend on the zone
        except ValueError as error:
            raise EventError(UNREADABLE_DUE, f"due {field!r}: {error}") from None
        if len(_readable) >= READABLE_REMEMBERED_MAX:
            _readable.clear()
        _readable.add(found)


def _named(found: Any, reasons: tuple[str, str], what: str, path: FieldPath | Const | None) -> str:
    """The text of an id or key that is not plainly one. Raises EventError for what cannot name anything."""
    text = str(found) if type(found) is int else found
    if type(text) is not str or not text:
        raise _unusable(reasons, what, path, found, _ID)
    if len(text) > TEXT_MAX:
        raise _unusable(reasons, what, path, found, f"at most {TEXT_MAX} characters, not {len(text)}")
    if CONTROL.search(text):
        raise _unusable(reasons, what, path, found, "text without control characters")
    return text


def _always(value: str) -> _Getter:
    return lambda _event: value


def _unusable(
    reasons: tuple[str, str], what: str, path: FieldPath | Const | None, found: Any, expected: str
) -> EventError:
    """The error for a value that is missing (the first reason) or there but of no use (the second)."""
    missing, unreadable = reasons
    name = path.text if isinstance(path, FieldPath) else path.value if path is not None else "source.table"
    if found is None or found is msgspec.UNSET:
        return EventError(missing, f"{what} {name!r} is {'null' if found is None else 'missing'}, expected {expected}")
    return EventError(unreadable, f"{what} {name!r}: found {_shown(found)}, expected {expected}")


def _shown(found: Any) -> str:
    text = repr(found[:100] if isinstance(found, str) else found)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _start_of(value: bytes) -> str:
    if not value:
        return "an empty value"
    return repr(value[:40].decode(errors="replace")) + ("..." if len(value) > 40 else "")
