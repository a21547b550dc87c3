"""Change events of Debezium as the events of a source: where in their envelope id, type, time and payload are.

An event is the envelope (`before`, `after`, `source`, `op`, `ts_ms`), with or without the wrapper of schema and payload
that Kafka Connect's JSON converter puts around it; paths are from the envelope in both. Its member `row` is ours: the
row that the event is about, `after`, or `before` where it was deleted.

Numbers that stand for instants are read as such. Debezium writes a column without a time zone as if it were in UTC, so
such a number is local time, like a text without offset. Numbers of the envelope itself are instants in UTC.
"""

import hashlib
from collections.abc import Callable, Iterable
from datetime import date
from typing import Any, NamedTuple

import msgspec

from schemas.errors import EventError
from schemas.fields import Getter, Parts, compile_fields
from schemas.instants import format_instant

MISSING_OP = "missing_op"
UNKNOWN_OP = "unknown_op"
UNREADABLE_SOURCE = "unreadable_source"

ROW = "row"
MEMBERS = (ROW, "after", "before", "source", "op", "ts_ms", "ts_us", "ts_ns", "transaction")
"""With what a path into a change event can begin."""
ROWS = frozenset(MEMBERS[:3])
INSTANT = "an RFC 3339 instant or epoch milliseconds"
"""What is expected where an instant stands; micro- and nanoseconds are told from milliseconds by their size."""

_HAPPENED = {"c": "created", "u": "updated", "d": "deleted", "r": "read"}
_WITHOUT_ROW = frozenset({"t", "m"})
"""A table that was emptied, and a message written into the log: no change of a row."""
_OP = ("op",)
_TABLE = ("source", "table")
_MILLISECONDS = range(10**11, 10**14)
"""The years 1973 to 5138. As many micro- or nanoseconds since 1970 are larger by three digits each."""
_DAYS = range((date.max - date(1970, 1, 1)).days + 1)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


class RowlessError(Exception):
    """An event that is about no row, and so says nothing: a tombstone, a truncated table."""


class Change(NamedTuple):
    """One change event as it was decoded: the wanted fields, whether its row was deleted, and the envelope's bytes."""

    event: Any
    deleted: bool
    envelope: bytes


class _Wrapper(msgspec.Struct):
    payload: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Position(msgspec.Struct):
    """Where a change stands in its database's log, as the connectors name it. Members that may differ
    when a change is sent twice are left out.
    """

    ts_ms: Any = None
    db: Any = None
    schema: Any = None
    table: Any = None
    tx: Any = msgspec.field(default=None, name="txId")
    lsn: Any = None
    file: Any = None
    pos: Any = None
    row: Any = None
    change_lsn: Any = None
    commit_lsn: Any = None
    event_serial_no: Any = None
    scn: Any = None
    commit_scn: Any = None
    rs_id: Any = None
    ssn: Any = None


class _Identity(msgspec.Struct):
    """What makes a change event the one it is. The rows are part of it: a snapshot reads all of them at one position,
    and rows that were copied into a table in one go may share one too.
    """

    op: str
    source: _Position | None = None
    before: msgspec.Raw = msgspec.Raw(b"null")
    after: msgspec.Raw = msgspec.Raw(b"null")


_decode_wrapper = msgspec.json.Decoder(_Wrapper).decode
_decode_identity = msgspec.json.Decoder(_Identity).decode
_encode = msgspec.json.Encoder().encode


class EnvelopeReader:
    """Reads change events; `getters` take what it has read, by the paths it was asked for."""

    def __init__(self, paths: Iterable[Parts]) -> None:
        """Read the fields at `paths`, which are from the envelope and may begin with `row`."""
        wanted = set(paths)
        inner = {_OP, _TABLE, *(parts for parts in wanted if parts[0] != ROW)}
        for parts in wanted:
            if parts[0] == ROW:
                inner |= {("after", *parts[1:]), ("before", *parts[1:])}
        event_type, found = compile_fields(inner)
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(event_type).decode
        self._get_op = found[_OP]
        self._get_table = found[_TABLE]
        self.getters: dict[Parts, Getter] = {parts: _getter(parts, found) for parts in wanted}

    def read(self, value: bytes) -> Change:
        """One change event. Raises RowlessError, EventError, and what msgspec raises where it is no JSON object."""
        if value == b"null":
            raise RowlessError
        envelope, event = value, self._decode(value)
        op = self._get_op(event)
        if op is msgspec.UNSET:
            envelope = _payload(value)
            event = self._decode(envelope)
            op = self._get_op(event)
        if op is msgspec.UNSET:
            expected = "a change event of Debezium (one that is the row alone is of format json)"
            raise EventError(MISSING_OP, f"found neither 'op' nor 'payload.op', expected {expected}")
        if type(op) is str and op in _HAPPENED:
            return Change(event, op == "d", envelope)
        if type(op) is str and op in _WITHOUT_ROW:
            raise RowlessError
        raise EventError(UNKNOWN_OP, f"op: found {op!r}, expected one of {', '.join(_HAPPENED)}")

    def type_of(self, change: Change) -> Any:
        """The name of a change where the book gives none: the table's, and what happened to its row."""
        table = self._get_table(change.event)
        return f"{table}.{_HAPPENED[self._get_op(change.event)]}" if type(table) is str else table

    def id_of(self, change: Change) -> str:
        """The id of a change where the book gives none: a digest of where it stands in the log and of its rows.

        Raises EventError where `source` is no object.
        """
        try:
            found = _decode_identity(change.envelope)
        except (msgspec.MsgspecError, RecursionError) as error:
            message = f"found no position in the log of the database, of which the id is made: {error}"
            raise EventError(UNREADABLE_SOURCE, message) from None
        position = _encode([found.op, found.source])
        return hashlib.blake2b(b"\n".join((position, found.before, found.after)), digest_size=16).hexdigest()


def instant_getter(parts: Parts, get: Getter, *, dates: bool) -> Getter:
    """A getter of the same field that gives a number which stands for an instant as text, as `format: json` has it.

    With `dates` also a number of days. Any other value is given as it is.
    """
    local = parts[0] in ROWS

    def as_text(change: Any) -> Any:
        found = get(change)
        return _instant_text(found, local=local, dates=dates) if type(found) is int else found

    return as_text


def _instant_text(number: int, *, local: bool, dates: bool) -> str | int:
    if dates and number in _DAYS:
        return date.fromordinal(_EPOCH_ORDINAL + number).isoformat()
    for divisor in (1, 1_000, 1_000_000):
        if number // divisor in _MILLISECONDS:
            text = format_instant(number // divisor)
            return text.removesuffix("Z") if local else text
    return number


def _payload(value: bytes) -> bytes:
    """What the wrapper of Kafka Connect holds; the event itself where there is none."""
    payload = _decode_wrapper(value).payload
    if payload is msgspec.UNSET:
        return value
    if bytes(payload) == b"null":
        raise RowlessError
    return bytes(payload)


def _getter(parts: Parts, found: dict[Parts, Getter]) -> Getter:
    if parts[0] != ROW:
        get = found[parts]
        return lambda change: get(change.event)
    get_after, get_before = found["after", *parts[1:]], found["before", *parts[1:]]
    return lambda change: get_before(change.event) if change.deleted else get_after(change.event)
