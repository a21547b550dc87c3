"""Events to facts: what is kept, what is refused and why."""

# ruff: noqa: E501 - a row of a table stays one line

import json

import pytest

from schemas.book import Match, parse_book
from schemas.decoding import Decoder, same_value, where_holds
from schemas.errors import EventError
from schemas.facts import Subject
from schemas.instants import parse_instant

BOOK = """
sources: {shop: {topic: t, format: json, id: id, type: type, time: at}}
defaults: {timezone: Europe/Amsterdam, key: order_id}
promises:
- {id: p, when: {event: placed, where: {speed: next, to.country: NL}}, due: {field: slot.end}, expect: {event: delivered}}
- {id: q, when: {event: placed}, due: {within: 1h}, expect: {event: told, where: {kind: mail}}, release: {event: cancelled}}
"""
NESTED = """
sources: {wms: {topic: t, format: json, id: scan.id, type: {const: scanned}, time: scan.at, data: scan}}
defaults: {timezone: UTC, key: order.id}
promises: [{id: p, when: {event: scanned, where: {place: A, order: x}}, due: {within: 1h}, expect: {event: scanned, where: {place: B}}}]
"""
PLACED = {"id": "e1", "type": "placed", "at": "2026-04-24T17:59:59Z", "order_id": "A-1"}


@pytest.fixture
def decode():
    return Decoder(parse_book(BOOK)).source("shop").decode


def raw(base=PLACED, /, **changes):
    """The base event as bytes, with members changed or (Ellipsis) left out."""
    return json.dumps({key: value for key, value in {**base, **changes}.items() if value is not ...}).encode()


def test_a_fact_has_identity_type_time_and_the_named_fields_only(decode):
    """Names, addresses and everything else of a payload are not kept."""
    event = raw(speed="next", to={"country": "NL", "street": "Dam 1"}, slot={"end": "2026-05-01T10:00:00"}, name="Jan")
    found = decode(event)
    assert found.subject == Subject("order_id", "A-1")
    assert (found.subject.key, found.subject.value) == ("order_id", "A-1")
    assert isinstance(found.subject, Subject)
    assert (found.fact.source, found.fact.id, found.fact.type) == ("shop", "e1", "placed")
    assert found.fact.time == parse_instant("2026-04-24T17:59:59Z", None)
    assert found.fact.data == {"speed": "next", "to.country": "NL", "slot.end": "2026-05-01T10:00:00"}
    assert not found.unknown


def test_each_type_keeps_the_fields_named_for_it(decode):
    """A delivery's own `kind` means nothing here; a message's does."""
    assert decode(raw(type="delivered", kind="mail", speed="next")).fact.data == {}
    assert decode(raw(type="told", kind="mail", speed="next")).fact.data == {"kind": "mail"}


def test_a_type_that_no_promise_names_is_unknown_and_no_error(decode):
    """Such an event needs no key either; it is counted and forgotten."""
    for event in (raw(type="returned"), raw(type="returned", order_id=...)):
        found = decode(event)
        assert found.unknown
        assert (found.subject, found.fact) == (None, None)


def test_whole_numbers_are_ids_and_subjects_as_decimal_text(decode):
    """Also numbers beyond 64 bits."""
    found = decode(raw(id=7, order_id=10**30))
    assert (found.fact.id, found.subject.value) == ("7", "1" + "0" * 30)


def test_null_is_kept_and_missing_is_not(decode):
    """`where: {kind: null}` matches an explicit null only."""
    assert decode(raw(type="told", kind=None)).fact.data == {"kind": None}
    assert decode(raw(type="told")).fact.data == {}


def test_objects_and_lists_in_named_fields_are_not_kept(decode):
    """They can equal no value of a book, and could be of any size."""
    assert decode(raw(type="told", kind=["mail"])).fact.data == {}
    assert decode(raw(type="told", kind={"a": 1})).fact.data == {}


@pytest.mark.parametrize("to", ["NL", 1, None, ["NL"], {}, {"country": {"code": "NL"}}])
def test_a_path_through_something_else_than_an_object_leads_nowhere(decode, to):
    """That is no error: the field is simply not there."""
    assert decode(raw(to=to)).fact.data == {}


def test_an_event_time_without_offset_is_in_the_books_zone(decode):
    """And one in a book without a zone is refused."""
    assert decode(raw(at="2026-04-24T17:59:59")).fact.time == parse_instant("2026-04-24T15:59:59Z", None)
    zoneless = BOOK.replace("timezone: Europe/Amsterdam, ", "").replace("{id: p,", "{id: p, timezone: UTC,")
    zoneless = zoneless.replace("{id: q,", "{id: q, timezone: UTC,")
    with pytest.raises(EventError, match="expected an instant with an offset"):
        Decoder(parse_book(zoneless)).source("shop").decode(raw(at="2026-04-24T17:59:59"))


@pytest.mark.parametrize(
    ("event", "reason", "message"),
    [
        (b"", "bad_json", "found an empty value, expected a JSON object: Input data was truncated"),
        (b"x", "bad_json", "found 'x', expected a JSON object: JSON is malformed: invalid character (byte 0)"),
        (b'{"id": "x"', "bad_json", "found '{\"id\": \"x\"', expected a JSON object: Input data was truncated"),
        (b"[]", "bad_json", "found '[]', expected a JSON object: Expected `object`, got `array`"),
        (b"null", "bad_json", "found 'null', expected a JSON object: Expected `object`, got `null`"),
        (raw(id=...), "missing_id", "id 'id' is missing, expected text or a whole number"),
        (raw(id=None), "missing_id", "id 'id' is null, expected text or a whole number"),
        (raw(id=""), "unreadable_id", "id 'id': found '', expected text or a whole number"),
        (raw(id=1.5), "unreadable_id", "id 'id': found 1.5, expected text or a whole number"),
        (raw(id=True), "unreadable_id", "id 'id': found True, expected text or a whole number"),
        (raw(type=...), "missing_type", "type 'type' is missing, expected text"),
        (raw(type=7), "unreadable_type", "type 'type': found 7, expected text"),
        (raw(at=...), "missing_time", "time 'at' is missing, expected an RFC 3339 instant"),
        (raw(at=1745500000), "unreadable_time", "time 'at': found 1745500000, expected an RFC 3339 instant"),
        (raw(at="yesterday"), "unreadable_time", "time 'at': found 'yesterday', expected an RFC 3339 instant such as 2026-04-24T17:59:59+02:00"),
        (raw(at="2026-04-24"), "unreadable_time", "time 'at': found '2026-04-24', expected an RFC 3339 instant such as 2026-04-24T17:59:59+02:00"),
        (raw(order_id=...), "missing_key", "key 'order_id' is missing, expected text or a whole number"),
        (raw(order_id=None), "missing_key", "key 'order_id' is null, expected text or a whole number"),
        (raw(order_id=""), "unreadable_key", "key 'order_id': found '', expected text or a whole number"),
        (raw(order_id=False), "unreadable_key", "key 'order_id': found False, expected text or a whole number"),
        (raw(order_id=1e3), "unreadable_key", "key 'order_id': found 1000.0, expected text or a whole number"),
        (raw(order_id=["A"]), "unreadable_key", "key 'order_id': found ['A'], expected text or a whole number"),
        (raw(order_id={"a": "x" * 100}), "unreadable_key", f"key 'order_id': found {repr({'a': 'x' * 100})[:57]}..., expected text or a whole number"),
    ],
)  # fmt: skip
def test_an_event_that_cannot_be_used_is_refused_with_a_reason_and_a_message(decode, event, reason, message):
    """The reason is a metric label, the message is for whoever reads the dead letters."""
    with pytest.raises(EventError) as refusal:
        decode(event)
    assert (refusal.value.reason, str(refusal.value)) == (reason, message)


@pytest.mark.parametrize(
    ("changes", "reason", "message"),
    [
        ({"id": "x" * 501}, "unreadable_id", f"id 'id': found '{'x' * 56}..., expected at most 500 characters, not 501"),
        ({"id": 10**500}, "unreadable_id", f"id 'id': found 1{'0' * 56}..., expected at most 500 characters, not 501"),
        ({"order_id": "x" * 1_000_000}, "unreadable_key", f"key 'order_id': found '{'x' * 56}..., expected at most 500 characters, not 1000000"),
        ({"id": "a\x1fb"}, "unreadable_id", "id 'id': found 'a\\x1fb', expected text without control characters"),
        ({"order_id": "A\x00"}, "unreadable_key", "key 'order_id': found 'A\\x00', expected text without control characters"),
        ({"order_id": "\x1b[2J"}, "unreadable_key", "key 'order_id': found '\\x1b[2J', expected text without control characters"),
        ({"order_id": "A\r\nx: y"}, "unreadable_key", "key 'order_id': found 'A\\r\\nx: y', expected text without control characters"),
        ({"order_id": "A\x9b"}, "unreadable_key", "key 'order_id': found 'A\\x9b', expected text without control characters"),
        ({"at": "x" * 5_000_000}, "unreadable_time", f"time 'at': found '{'x' * 40}'... (5000000 characters), expected an RFC 3339 instant"),
        ({"at": f"2026-04-24T17:59:59.{'0' * 50}Z"}, "unreadable_time", f"time 'at': found '2026-04-24T17:59:59.{'0' * 20}'... (71 characters), expected an RFC 3339 instant"),
        ({"type": ["x" * 5_000_000]}, "unreadable_type", f"type 'type': found ['{'x' * 55}..., expected text"),
    ],
)  # fmt: skip
def test_what_names_an_event_or_a_subject_is_short_and_plain(decode, changes, reason, message):
    """It is a record's key and part of published ids, where U+001F separates; it is shown on terminals and in headers.

    Were U+001F taken, subject "A" with id "B\\x1fshop\\x1fC" and subject "A\\x1fshop\\x1fB" with id "C" would share ids.
    """
    with pytest.raises(EventError) as refusal:
        decode(raw(**changes))
    assert (refusal.value.reason, str(refusal.value)) == (reason, message)


@pytest.mark.parametrize("name", ["x" * 500, "é\u00a0ø", "客戶 42", "\U0001f4e6-7", "a\u200db", "a'b\"c\\d"])
def test_any_other_text_is_an_id_and_a_subject(decode, name):
    """Spaces, signs without a shape and every script included."""
    found = decode(raw(id=name, order_id=name))
    assert (found.fact.id, found.subject.value) == (name, name)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (b"1e400", None), (b"NaN", None), (b"-Infinity", None), (b"0x10", None), (b"01", None), (b'"\\ud800"', None),
        (b"-0", 0), (b"-0.0", 0), (b"1.0", 1), (b"18446744073709551616", 2**64), (b"1e308", 1e308), (b'"\\u0000"', "\x00"),
        (b"1" + b"0" * 400, ...), (b'"' + b"x" * 501 + b'"', ...), (b"[" * 500 + b"]" * 500, ...), (b'"' + b"x" * 500 + b'"', "x" * 500),
    ],
    ids=lambda written: repr(written)[:20],
)  # fmt: skip
def test_a_condition_meets_any_value_that_json_can_write(decode, written, kept):
    """What is no JSON (None here) is refused, what could be of any size (...) is as if it were not there."""
    event = raw(type="told", kind="?").replace(b'"?"', written)
    if kept is None:
        with pytest.raises(EventError) as refusal:
            decode(event)
        assert refusal.value.reason == "bad_json"
    else:
        assert decode(event).fact.data == ({} if kept is ... else {"kind": kept})


def test_of_members_written_twice_the_last_counts_for_every_reader(decode):
    """As in JavaScript, Python and orjson: `feed` keys the record by the same subject under which it is judged."""
    event = b'{"id":"1","type":"told","at":"2026-04-24T17:59:59Z","order_id":"A","kind":"x","id":"2","order_id":"B","kind":"mail"}'
    found = decode(event)
    assert (found.fact.id, found.subject.value, found.fact.data) == ("2", "B", {"kind": "mail"})
    plain = json.loads(event)
    assert (found.fact.id, found.subject.value) == (plain["id"], plain["order_id"])
    twice = raw(speed="next", to={"country": "NL"}).replace(b'"NL"}', b'"NL"}, "to": {}')
    assert "to.country" not in decode(twice).fact.data, "the last object counts whole, it is not merged"


@pytest.mark.parametrize(
    ("at", "ms"),
    [
        ("0001-01-01T00:00:00Z", -62_135_596_800_000), ("0001-01-01T00:00:00", -62_135_597_972_000),
        ("0001-01-01T00:00:00+02:00", -62_135_604_000_000), ("1583-01-01T00:00:00Z", -12_212_553_600_000),
        ("9999-12-31T23:59:60-23:59", 253_402_387_139_999), ("2016-12-31T23:59:60Z", 1_483_228_799_999),
        ("-9999-01-01T00:00:00Z", None), ("0000-01-01T00:00:00Z", None), ("10000-01-01T00:00:00Z", None),
        ("2026-04-24T24:00:00Z", None), ("2026-04-24T00:00:61Z", None), ("2026-02-29T00:00:00Z", None), ("1777053599000", None),
    ],
)  # fmt: skip
def test_a_time_is_in_the_years_1_to_9999_and_on_the_clock(decode, at, ms):
    """A leap second is the last millisecond before; 24:00 is no instant of RFC 3339, nor is a number."""
    if ms is not None:
        assert decode(raw(at=at)).fact.time == ms
        return
    with pytest.raises(EventError) as refusal:
        decode(raw(at=at))
    assert refusal.value.reason == "unreadable_time"


@pytest.mark.parametrize(
    "event",
    [
        b'{"id":"\xff"}',
        b'{"id":"\\ud800"}',
        b"{" * 100_000,
        b'{"order_id":' + b"[" * 100_000,
        b'{"id":"e1","at":1e999}',
        b"\xff\xfe{}",
        raw().decode().encode("utf-16"),
        b"\xef\xbb\xbf" + raw(),
        raw(id="?").replace(b'"?"', b"1" * 5_000),
        raw(note="?").replace(b'"?"', b'"\\ud800"'),
    ],
    ids=[
        "not utf-8",
        "lone surrogate",
        "deep objects",
        "deep lists",
        "infinite number",
        "utf-16 mark",
        "utf-16",
        "byte order mark",
        "endless number",
        "lone surrogate where nobody looks",
    ],
)
def test_hostile_bytes_are_bad_json_not_a_crash(decode, event):
    """Whatever a producer sends, the worker goes on."""
    with pytest.raises(EventError) as refusal:
        decode(event)
    assert refusal.value.reason == "bad_json"


OPENING = {**PLACED, "speed": "next", "to": {"country": "NL"}}


@pytest.mark.parametrize("end", ["2026-05-01T10:00:00Z", "2026-05-01T10:00:00", "2026-05-01", None, ...])
def test_a_due_that_can_be_read_or_is_absent_passes_as_it_is_written(decode, end):
    """Its zone is the promise's, so it is not turned into an instant here."""
    slot = {} if end is ... else {"end": end}
    expected = {} if end is ... else {"slot.end": end}
    assert decode(raw(OPENING, slot=slot)).fact.data == {"speed": "next", "to.country": "NL", **expected}


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ("tomorrow", "due 'slot.end': found 'tomorrow', expected an RFC 3339 instant such as 2026-04-24T17:59:59+02:00"),
        ("2026-02-30", "due 'slot.end': found '2026-02-30', expected an RFC 3339 instant such as 2026-04-24T17:59:59+02:00"),
        (1745500000, "due 'slot.end': found 1745500000, expected an RFC 3339 instant or a date"),
        ("2026-05-01T10:00:00." + "0" * 100 + "Z", "due 'slot.end': found '2026-05-01T10:00:00.00000000000000000000'... (121 characters), expected an RFC 3339 instant"),
        (["2026-05-01"], "due 'slot.end': found ['2026-05-01'], expected an RFC 3339 instant or a date"),
    ],
)  # fmt: skip
def test_a_due_that_cannot_be_read_sends_the_opening_to_the_dead_letters(decode, end, message):
    """Otherwise a promise would silently not be watched. The second time must not differ from the first."""
    for _ in range(2):
        with pytest.raises(EventError) as refusal:
            decode(raw(OPENING, slot={"end": end}))
        assert (refusal.value.reason, str(refusal.value)) == ("unreadable_due", message)


def test_an_unreadable_due_of_an_event_that_opens_nothing_is_no_matter(decode):
    """Only an event that meets the opening's conditions needs its due."""
    assert decode(raw(PLACED, speed="slow", slot={"end": "tomorrow"})).fact.data["speed"] == "slow"


CONDITIONAL = """
sources: {s: {topic: t, format: json, id: id, type: type, time: at}}
defaults: {timezone: Europe/Amsterdam, key: k}
promises:
- {id: p, when: {event: a, if: data.n == 2}, due: {field: slot}, expect: {event: f}, repromise: {event: m, if: data.n == opened.n, field: slot, max: 1}}
"""


@pytest.mark.parametrize(("event", "n", "refused"), [("a", 2, True), ("a", 1, False), ("m", 1, True)])
def test_a_condition_decides_whether_a_due_is_needed(event, n, refused):
    """One that looks at the opening may hold for all that the event says itself."""
    decode = Decoder(parse_book(CONDITIONAL)).source("s").decode
    found = f'{{"id":"1","type":"{event}","at":"2026-05-04T10:00:00Z","k":"A","n":{n},"slot":"soon"}}'.encode()
    if refused:
        with pytest.raises(EventError, match="due 'slot'"):
            decode(found)
    else:
        assert decode(found).fact.data == {"n": n, "slot": "soon"}


def test_nested_sources_are_read_by_path_below_their_payload():
    """Id and time are paths of the event, the key and the promises' fields paths of its payload."""
    decode = Decoder(parse_book(NESTED)).source("wms").decode
    found = decode(b'{"scan":{"id":"s1","at":"2026-04-24T10:00:00Z","place":"A","order":{"id":5}},"place":"B"}')
    assert found.subject == Subject("order.id", "5")
    assert (found.fact.type, found.fact.id, found.fact.data) == ("scanned", "s1", {"place": "A"})
    # `order` is named both as a value and as the object around the key: each is found where it is.
    with pytest.raises(EventError) as refusal:
        decode(b'{"scan":{"id":"s1","at":"2026-04-24T10:00:00Z","order":"x"}}')
    assert refusal.value.reason == "missing_key"
    with pytest.raises(EventError) as refusal:
        decode(b'{"scan":"s1"}')
    assert str(refusal.value) == "id 'scan.id' is missing, expected text or a whole number"


@pytest.mark.parametrize(
    ("found", "wanted", "same"),
    [
        ("a", "a", True), ("a", "A", False), (1, 1, True), (1, 1.0, True), (True, 1, False), (1, True, False),
        (0, False, False), (True, True, True), ("1", 1, False), (None, None, True), (None, False, False), ("", None, False),
    ],
)  # fmt: skip
def test_values_are_equal_as_in_json(found, wanted, same):
    """Python takes True for 1; a promise book must not."""
    assert same_value(found, wanted) is same


def test_a_match_needs_every_field():
    """No condition matches all; a missing field matches nothing, not even null."""
    assert where_holds(Match("e"), {})
    assert where_holds(Match("e", (("a", 1), ("b", None))), {"a": 1, "b": None})
    assert not where_holds(Match("e", (("a", 1), ("b", None))), {"a": 1})
    assert not where_holds(Match("e", (("a", 1), ("b", 2))), {"a": 1, "b": 3})
