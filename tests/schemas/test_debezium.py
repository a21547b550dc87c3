"""Change events of Debezium to facts: rows of PostgreSQL and MySQL as its connectors write them."""

# ruff: noqa: E501 - a row of a table stays one line

import json
from typing import Any

import pytest

from schemas.book import parse_book
from schemas.decoding import Decoder
from schemas.errors import BookError, EventError
from schemas.facts import Decoded, Subject
from schemas.instants import parse_instant

BOOK = """
sources: {db: {topic: shop.public.orders, format: debezium}}
defaults: {timezone: Europe/Amsterdam, key: id}
promises:
- {id: p, when: {event: [orders.created, orders.read], where: {status: paid}}, due: {field: promised_at}, expect: {event: orders.updated, where: {status: shipped}},
   release: {event: orders.deleted}}
"""
OF_ONE_TYPE = """
sources: {db: {topic: shop.public.orders, format: debezium}}
defaults: {timezone: Europe/Amsterdam, key: id}
promises: [{id: p, when: {event: change, where: {status: paid}}, due: {within: 1h}, expect: {event: change, where: {status: shipped}}}]
"""
COMMITTED_MS = 1_777_046_399_123
COMMITTED = "2026-04-24T15:59:59.123Z"

POSTGRES: dict[str, Any] = {
    "before": None,
    "after": {"id": 1001, "status": "paid", "placed_at": 1_777_053_599_000_000, "promised_at": 1_777_140_000_000_000, "promised_on": 20_568, "paid_at": "2026-04-24T15:59:58.5Z"},
    "source": {
        "version": "3.0.5.Final", "connector": "postgresql", "name": "shop", "ts_ms": COMMITTED_MS, "snapshot": "false", "db": "shop",
        "sequence": '["24023119","24023128"]', "ts_us": COMMITTED_MS * 1_000 + 456, "ts_ns": COMMITTED_MS * 1_000_000 + 456_789,
        "schema": "public", "table": "orders", "txId": 555, "lsn": 24_023_128, "xmin": None,
    },
    "transaction": None, "op": "c", "ts_ms": COMMITTED_MS + 877, "ts_us": COMMITTED_MS * 1_000 + 877_000, "ts_ns": COMMITTED_MS * 1_000_000 + 877_000_000,
}  # fmt: skip
MYSQL: dict[str, Any] = {
    "before": None,
    "after": {"id": 1001, "status": "paid", "promised_at": 1_777_140_000_000},
    "source": {
        "version": "2.7.3.Final", "connector": "mysql", "name": "shop", "ts_ms": 1_777_046_399_000, "snapshot": "false", "db": "shop", "sequence": None,
        "ts_us": 1_777_046_399_000_000, "ts_ns": 1_777_046_399_000_000_000, "table": "orders", "server_id": 223_344,
        "gtid": "24bc7850-2c16-11e6-a073-0242ac110002:1234", "file": "mysql-bin.000003", "pos": 484, "row": 0, "thread": 7, "query": None,
    },
    "transaction": None, "op": "c", "ts_ms": 1_777_046_399_877, "ts_us": 1_777_046_399_877_000, "ts_ns": 1_777_046_399_877_000_000,
}  # fmt: skip
SCHEMA = {
    "type": "struct",
    "fields": [
        {"type": "struct", "optional": True, "name": "shop.public.orders.Value", "field": "after", "fields": [{"type": "int32", "field": "id"}]},
        {"type": "string", "optional": False, "field": "op"},
    ],
    "optional": False, "name": "shop.public.orders.Envelope", "version": 2,
}  # fmt: skip


def raw(event: dict[str, Any] = POSTGRES, **changes: Any) -> bytes:
    """The event as bytes, with members changed, or left out (...); `source` and `after` are changed member by member."""
    changed = {**event, **changes}
    for part in ("source", "after"):
        if isinstance(changes.get(part), dict) and isinstance(event[part], dict):
            changed[part] = {key: value for key, value in {**event[part], **changes[part]}.items() if value is not ...}
    return json.dumps({key: value for key, value in changed.items() if value is not ...}).encode()


def wrapped(event: bytes) -> bytes:
    """The same with `schemas.enable=true`, the default of Kafka Connect's JSON converter."""
    return json.dumps({"schema": SCHEMA, "payload": json.loads(event)}).encode()


def deleted(event: dict[str, Any] = POSTGRES) -> bytes:
    return raw(event, op="d", before=event["after"], after=None)


def decoded(value: bytes, source: str = "", book: str = BOOK) -> Decoded:
    """The fact of an event, where the book says so much more of the source."""
    text = book.replace("format: debezium", f"format: debezium{', ' if source else ''}{source}")
    return Decoder(parse_book(text)).source("db").decode(value)


def changed(value: bytes, source: str = "") -> Decoded:
    """The fact of an event of a source whose events are all of one type."""
    return decoded(value, f"type: {{const: change}}{', ' if source else ''}{source}", OF_ONE_TYPE)


def time_of(value: bytes, source: str = "") -> int:
    fact = decoded(value, source).fact
    assert fact is not None
    return fact.time


def id_of(value: bytes) -> str:
    fact = decoded(value).fact
    assert fact is not None
    return fact.id


@pytest.mark.parametrize("event", [POSTGRES, MYSQL], ids=["postgresql", "mysql"])
@pytest.mark.parametrize("form", [bytes, wrapped], ids=["plain", "wrapped"])
def test_a_row_is_the_payload_and_the_envelope_says_the_rest(event, form):
    """Nothing need be said of such a source but its topic: with and without the wrapper of schemas."""
    found = decoded(form(raw(event)))
    assert found.subject == Subject("id", "1001")
    assert (found.fact.source, found.fact.type) == ("db", "orders.created")
    assert found.fact.time == event["source"]["ts_ms"]
    assert found.fact.data["status"] == "paid"
    assert (len(found.fact.id), found.fact.withdraws) == (32, None)


@pytest.mark.parametrize(
    ("op", "kind"), [("c", "orders.created"), ("u", "orders.updated"), ("d", "orders.deleted"), ("r", "orders.read")]
)
def test_what_happened_to_the_row_is_part_of_the_type(op, kind):
    """A row that a snapshot read is a fact like others, under a name of its own: it did not happen then."""
    event = deleted() if op == "d" else raw(op=op, before=POSTGRES["after"] if op == "u" else None)
    assert decoded(event).fact.type == kind


def test_a_deleted_row_is_the_one_before():
    """`after` is null then; of PostgreSQL the key columns alone are there unless the table says more."""
    for form in (bytes, wrapped):
        found = decoded(form(deleted()))
        assert found.subject == Subject("id", "1001")
        assert (found.fact.type, found.fact.id) == ("orders.deleted", decoded(deleted()).fact.id)
    assert decoded(raw(op="d", before={"id": 7}, after=None)).subject == Subject("id", "7")


def test_the_wrapper_changes_nothing():
    """A converter that is set otherwise makes no other facts, nor the same ones twice."""
    for event in (raw(), raw(op="u", before=POSTGRES["after"]), deleted(), raw(MYSQL)):
        assert decoded(wrapped(event)) == decoded(event)


def test_paths_are_from_the_envelope():
    """Its members name id, type and time as well as columns do; columns are those of the row, also where it was deleted."""
    found = decoded(raw(), "id: source.lsn, type: row.status, time: ts_ms", BOOK.replace("orders.updated", "paid")).fact
    assert (found.id, found.type, found.time) == ("24023128", "paid", COMMITTED_MS + 877)
    found = changed(deleted(), "time: row.paid_at").fact
    assert (found.type, found.time) == ("change", parse_instant("2026-04-24T15:59:58.500Z", None))
    assert decoded(raw(after={"reversed": 17}), "withdraws: row.reversed").fact.withdraws == "17"
    nested = decoded(raw(after={"order": {"id": 5, "status": "new"}}), "data: row.order")
    assert (nested.subject, nested.fact.data) == (Subject("id", "5"), {"status": "new"})


@pytest.mark.parametrize("member", ["ts_ms", "ts_us", "ts_ns"])
def test_milliseconds_microseconds_and_nanoseconds_are_told_by_their_size(member):
    """Each connector and each type of column has its own; all of them are the same instant."""
    assert time_of(raw(), f"time: source.{member}") == parse_instant(COMMITTED, None)


def test_a_number_in_a_row_is_local_time():
    """A column without time zone is written as if it were in UTC: 17:59:59 on the clock is 15:59:59 in UTC."""
    assert time_of(raw(), "time: row.placed_at") == parse_instant("2026-04-24T15:59:59Z", None)
    assert time_of(raw(), "time: after.placed_at") == parse_instant("2026-04-24T15:59:59Z", None)


def test_a_due_is_an_instant_or_a_date_in_local_time():
    """As text it is kept in the form that other sources have; whoever computes the due knows nothing of Debezium."""
    assert decoded(raw()).fact.data["promised_at"] == "2026-04-25T18:00:00.000"
    assert decoded(raw(MYSQL)).fact.data["promised_at"] == "2026-04-25T18:00:00.000"
    by_date = BOOK.replace("promised_at", "promised_on")
    assert decoded(raw(), book=by_date).fact.data["promised_on"] == "2026-04-25"
    assert (
        decoded(raw(after={"promised_at": "2026-04-25T16:00:00Z"})).fact.data["promised_at"] == "2026-04-25T16:00:00Z"
    )


def test_a_number_that_is_no_instant_stays_a_number():
    """Only what a promise reads as an instant is one."""
    assert decoded(raw(after={"status": 1_777_053_599_000})).fact.data["status"] == 1_777_053_599_000


@pytest.mark.parametrize("number", [0, -5, 1_777_046_399, 99_999_999_999, 10**20])
def test_numbers_that_may_be_anything_are_no_instants(number):
    """Seconds, the zero of an old snapshot, a count: guessed at, they would date facts centuries off."""
    with pytest.raises(EventError, match=f"found {number}, expected an RFC 3339 instant or epoch milliseconds"):
        decoded(raw(source={"ts_ms": number}))
    if number:
        with pytest.raises(EventError, match=r"due 'promised_at': found .* expected an RFC 3339 instant or a date"):
            decoded(raw(after={"promised_at": number}))


# Ids


def test_one_change_sent_twice_has_one_id():
    """A connector that was killed sends again what it had sent; what it says of itself may be new."""
    again = raw(
        source={"version": "3.1.0.Final", "sequence": '[null,"24023128"]', "xmin": 5, "snapshot": "last"},
        ts_ms=COMMITTED_MS + 99_999,
        transaction={"id": "555:24023128", "total_order": 1},
    )
    assert id_of(again) == id_of(raw())


@pytest.mark.parametrize(
    ("event", "other"),
    [
        (POSTGRES, {"source": {"lsn": 24_023_129}}),
        (POSTGRES, {"source": {"table": "orders_old"}, "op": "c"}),
        (POSTGRES, {"after": {"id": 1002}}),
        (POSTGRES, {"op": "r"}),
        (MYSQL, {"source": {"pos": 485}}),
        (MYSQL, {"source": {"row": 1}}),
        (MYSQL, {"source": {"file": "mysql-bin.000004"}}),
    ],
)
def test_other_changes_have_other_ids(event, other):
    """Also rows that a snapshot read at one position, or that one statement wrote."""
    everything = BOOK.replace("orders.deleted}", "[orders.deleted, orders_old.created]}")
    assert decoded(raw(event, **other), book=everything).fact.id != decoded(raw(event), book=everything).fact.id


# What is no change of a row


@pytest.mark.parametrize(
    "value",
    [
        b"null",
        b'{"schema": null, "payload": null}',
        raw(op="t", before=None, after=None),
        wrapped(raw(op="t", after=None)),
        b'{"op": "m", "ts_ms": 1777046399123, "source": {"lsn": 5}, "message": {"prefix": "x", "content": "eA=="}}',
    ],
)
def test_what_is_about_no_row_says_nothing(value):
    """Tombstones, emptied tables, messages in the log: no dead letters, whatever the book says about their type."""
    assert decoded(value) == Decoded(None, None, True)
    assert changed(value, "time: row.paid_at") == Decoded(None, None, True)


def test_a_type_that_no_promise_names_is_unknown():
    """Another table on the same topic, say."""
    assert decoded(raw(source={"table": "customers"})).unknown


def test_only_debezium_has_tombstones():
    """A record without a value is nothing of concern here, and a dead letter elsewhere."""
    book = parse_book(
        BOOK.replace("}}\ndefaults", "}, s: {topic: t, format: json, id: i, type: t, time: a}}\ndefaults")
    )
    assert Decoder(book).source("db").has_tombstones
    assert not Decoder(book).source("s").has_tombstones


@pytest.mark.parametrize(
    ("value", "reason", "message"),
    [
        (b"x", "bad_json", "found 'x', expected a JSON object: JSON is malformed: invalid character (byte 0)"),
        (b'{"payload": 5}', "bad_json", "found '{\"payload\": 5}', expected a JSON object: Expected `object`, got `int`"),
        (b'{"id": 1001, "status": "paid"}', "missing_op", "found neither 'op' nor 'payload.op', expected a change event of Debezium (one that is the row alone is of format json)"),
        (wrapped(b'{"id": 1001}'), "missing_op", "found neither 'op' nor 'payload.op', expected a change event of Debezium (one that is the row alone is of format json)"),
        (raw(op="x"), "unknown_op", "op: found 'x', expected one of c, u, d, r"),
        (raw(op=None), "unknown_op", "op: found None, expected one of c, u, d, r"),
        (raw(source=...), "missing_type", "type 'source.table' is missing, expected text"),
        (raw(source="shop"), "unreadable_source", "found no position in the log of the database, of which the id is made: Expected `object | null`, got `str` - at `$.source`"),
        (raw(source={"table": 5}), "unreadable_type", "type 'source.table': found 5, expected text"),
        (raw(source={"ts_ms": ...}), "missing_time", "time 'source.ts_ms' is missing, expected an RFC 3339 instant or epoch milliseconds"),
        (raw(source={"ts_ms": 1.5e12}), "unreadable_time", "time 'source.ts_ms': found 1500000000000.0, expected an RFC 3339 instant or epoch milliseconds"),
        (raw(after=None), "missing_key", "key 'row.id' is missing, expected text or a whole number"),
        (raw(after={"id": None}), "missing_key", "key 'row.id' is null, expected text or a whole number"),
        (raw(op="d", before=None, after=None), "missing_key", "key 'row.id' is missing, expected text or a whole number"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_a_reason(value, reason, message):
    """What was found, what was expected, where."""
    with pytest.raises(EventError) as refusal:
        decoded(value)
    assert (refusal.value.reason, refusal.value.message) == (reason, message)


@pytest.mark.parametrize("key", ["id", "type", "time", "data", "withdraws"])
def test_a_path_that_leads_out_of_the_envelope_is_misspelt(key):
    """Columns are members of the row, whose name is easily forgotten."""
    with pytest.raises(BookError) as refusal:
        decoded(b"", f"{key}: order_id")
    column = 63 + len(key)
    assert str(refusal.value) == (
        f"book.yaml:2:{column}: found 'order_id', expected a path that begins with row, after, before, source, op, ts_ms, ts_us, ts_ns or transaction; "
        "a column is row.order_id"
    )
