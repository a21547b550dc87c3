"""CloudEvents as a source: both modes of the Kafka binding say the same, and what is no such event is told why."""

# ruff: noqa: E501 - a row of a table stays one line

import base64
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from cloudevents.core.bindings.kafka import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from schemas.book import parse_book
from schemas.cloudevents import STRUCTURED_HEADERS
from schemas.decoding import Decoder
from schemas.errors import EventError
from schemas.facts import Fact, Subject
from schemas.instants import parse_instant

BOOK = """
sources: {erp: {topic: erp.events, format: cloudevents, withdraws: cancels, settle: 1m}}
defaults: {timezone: Europe/Amsterdam, key: order.id}
promises:
- {id: p, when: {event: order.placed, where: {speed: next}}, due: {within: 4h}, expect: {event: parcel.delivered}}
"""
AT = "2026-04-24T10:00:00Z"
AT_MS = parse_instant(AT, None)
DATA = {"order": {"id": "A-17"}, "speed": "next"}
EVENT = {"specversion": "1.0", "id": "e1", "source": "/shop", "type": "order.placed", "time": AT, "data": DATA}
HEADERS = {
    "ce_specversion": b"1.0",
    "ce_id": b"e1",
    "ce_source": b"/shop",
    "ce_type": b"order.placed",
    "ce_time": AT.encode(),
}
STRUCTURED = dict(STRUCTURED_HEADERS)
FACT = Fact("/shop", "e1", "order.placed", AT_MS, {"speed": "next"})


@pytest.fixture(scope="module")
def erp():
    return Decoder(parse_book(BOOK)).source("erp")


def raw(value):
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def without(mapping, *keys):
    return {key: value for key, value in mapping.items() if key not in keys}


def refused(call, *arguments):
    with pytest.raises(EventError) as refusal:
        call(*arguments)
    return refusal.value.reason, str(refusal.value)


def test_both_modes_say_the_same(erp):
    """Id, type and time from the envelope, the payload from the data, the source as the event names it."""
    structured = erp.decode_record(raw(EVENT), STRUCTURED.items())
    binary = erp.decode_record(raw(DATA), HEADERS.items())
    assert (structured.subject, structured.fact) == (Subject("order.id", "A-17"), FACT)
    assert (binary.subject, binary.fact) == (structured.subject, structured.fact)
    assert erp.decode(raw(EVENT)).fact == FACT, "a line of a recording"


NAMES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=30)
INSTANTS = st.datetimes(timezones=st.just(UTC))


@given(
    name=NAMES, source=NAMES, at=INSTANTS, order=NAMES,
    speed=st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(), more=st.dictionaries(NAMES, st.text()),
)  # fmt: skip
def test_what_the_reference_sdk_writes_is_read_as_it_is_meant(name, source, at, order, speed, more):
    """In both modes, whatever is in the attributes and the data."""
    erp = Decoder(parse_book(BOOK)).source("erp")
    attributes = {
        "id": name,
        "source": source,
        "type": "order.placed",
        "time": at,
        "datacontenttype": "application/json",
    }
    event = CloudEvent(attributes, {**more, "order": {"id": order}, "speed": speed, "cancels": None})
    ms = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    for message in (to_structured_event(event), to_binary_event(event)):
        decoded = erp.decode_record(message.value, message.headers.items())
        assert decoded.subject == Subject("order.id", order)
        assert decoded.fact == Fact(source, name, "order.placed", ms, {"speed": speed})


def test_ids_are_unique_within_the_events_source_not_within_the_topic(erp):
    """Two systems that count their own events write to one topic: neither event is a repetition of the other."""
    ours = erp.decode(raw(EVENT)).fact
    theirs = erp.decode(raw({**EVENT, "source": "/warehouse"})).fact
    assert ours.member != theirs.member
    assert ours.member == erp.decode_record(raw(DATA), HEADERS.items()).fact.member


@pytest.mark.parametrize(
    "content_type",
    [
        "application/cloudevents+json",
        "application/cloudevents+json; charset=UTF-8",
        "Application/CloudEvents+JSON ;x=y",
    ],
)
def test_the_content_type_tells_that_it_is_structured_mode(erp, content_type):
    """Headers with attributes are copies then: the value counts."""
    headers = {"Content-Type": content_type.encode(), **HEADERS, "ce_id": b"other", "ce_specversion": b"7"}
    assert erp.decode_record(raw(EVENT), headers.items()).fact == FACT


@pytest.mark.parametrize(
    "content_type", [None, b"", b"application/json", b"application/vnd.shop+json; charset=utf-8", b"text/json"]
)
def test_any_other_content_type_is_that_of_binary_data(erp, content_type):
    """Without one, data are taken for JSON."""
    assert erp.decode_record(raw(DATA), {**HEADERS, "content-type": content_type}.items()).fact == FACT


NO_EVENT = "found neither a header ce_specversion nor content-type application/cloudevents+json, expected a CloudEvent"


@pytest.mark.parametrize(
    ("value", "headers", "reason", "message"),
    [
        (DATA, {}, "missing_specversion", NO_EVENT),
        (EVENT, {"content-type": b"application/json"}, "missing_specversion", NO_EVENT),
        (DATA, {**HEADERS, "ce_specversion": None}, "missing_specversion", NO_EVENT),
        (DATA, {**HEADERS, "ce_specversion": b"0.3"}, "unknown_specversion", "found specversion '0.3', expected '1.0'"),
        (DATA, without(HEADERS, "ce_id"), "missing_id", "header ce_id is missing, expected the event's id"),
        (DATA, without(HEADERS, "ce_type"), "missing_type", "header ce_type is missing, expected the event's type"),
        (DATA, without(HEADERS, "ce_time"), "missing_time", "header ce_time is missing, expected the event's time"),
        (DATA, without(HEADERS, "ce_source"), "missing_source", "header ce_source is missing, expected the event's source"),
        (DATA, {**HEADERS, "ce_id": b"\xff"}, "unreadable_id", "header ce_id: found '\ufffd', expected UTF-8"),
        (DATA, {**HEADERS, "ce_id": b""}, "unreadable_id", "id 'id': found '', expected text or a whole number"),
        (DATA, {**HEADERS, "ce_source": b"a\x1fb"}, "unreadable_source", r"source 'source': found 'a\x1fb', expected text without control characters"),
        (DATA, {**HEADERS, "ce_time": b"now"}, "unreadable_time", "time 'time': found 'now', expected an RFC 3339 instant such as 2026-04-24T17:59:59+02:00"),
        (DATA, {**HEADERS, "content-type": b"application/avro"}, "bad_data", "found data of content-type 'application/avro', expected JSON"),
        (b"no", HEADERS, "bad_data", "the value: found 'no', expected JSON: Input data was truncated"),
        (b'{},"id":"other"', HEADERS, "bad_data", """the value: found '{},"id":"other"', expected JSON: JSON is malformed: trailing characters (byte 3)"""),
        ([DATA], HEADERS, "missing_key", "key 'data.order.id' is missing, expected text or a whole number"),
        ([EVENT], {"content-type": b"application/cloudevents-batch+json"}, "batched", "content-type 'application/cloudevents-batch+json' is a batch of events, expected one event a record"),
        (b"Obj", {"content-type": b"application/cloudevents+avro"}, "unknown_format", "found content-type 'application/cloudevents+avro', expected application/cloudevents+json"),
        (EVENT, {"content-type": b"application/cloudevents"}, "unknown_format", "found content-type 'application/cloudevents', expected application/cloudevents+json"),
        (DATA, {**HEADERS, "content-type": b"\xff"}, "bad_data", "found data of content-type '\ufffd', expected JSON"),
    ],
)  # fmt: skip
def test_a_record_that_is_no_such_event_is_refused_with_what_was_found(erp, value, headers, reason, message):
    """Each is a dead letter: its headers and value say the rest."""
    assert refused(erp.decode_record, raw(value), headers.items()) == (reason, message)


def encoded(payload, **more):
    return {**without(EVENT, "data"), "data_base64": base64.b64encode(raw(payload)).decode(), **more}


@pytest.mark.parametrize(
    ("event", "reason", "message"),
    [
        (without(EVENT, "specversion"), "missing_specversion", "specversion is missing, expected '1.0' of an event in structured mode, the only one that recordings have"),
        ({**EVENT, "specversion": None}, "missing_specversion", "specversion is missing, expected '1.0' of an event in structured mode, the only one that recordings have"),
        ({**EVENT, "specversion": "1.1"}, "unknown_specversion", "found specversion '1.1', expected '1.0'"),
        ({**EVENT, "specversion": 1.0}, "unknown_specversion", "found specversion 1.0, expected '1.0'"),
        (without(EVENT, "id"), "missing_id", "id 'id' is missing, expected text or a whole number"),
        (without(EVENT, "type"), "missing_type", "type 'type' is missing, expected text"),
        (without(EVENT, "time"), "missing_time", "time 'time' is missing, expected an RFC 3339 instant"),
        (without(EVENT, "source"), "missing_source", "source 'source' is missing, expected text or a whole number"),
        ({**EVENT, "source": "x" * 501}, "unreadable_source", f"source 'source': found '{'x' * 56}..., expected at most 500 characters, not 501"),
        (without(EVENT, "data"), "missing_key", "key 'data.order.id' is missing, expected text or a whole number"),
        ({**EVENT, "data": "<a/>", "datacontenttype": "text/xml"}, "bad_data", "found data of datacontenttype 'text/xml', expected JSON"),
        ({**EVENT, "datacontenttype": 5}, "bad_data", "found data of datacontenttype 5, expected JSON"),
        (encoded(DATA, data=DATA), "bad_data", "found both data and data_base64, expected one of them"),
        (encoded(DATA, data_base64="e3!0="), "bad_data", "data_base64: found 'e3!0=', expected base64"),
        (encoded(DATA, data_base64=[]), "bad_data", "data_base64: found [], expected base64"),
        (encoded(b"no"), "bad_data", "data_base64: found 'no', expected JSON: Input data was truncated"),
        ([EVENT], "bad_json", None),
        (b"{", "bad_json", None),
        (raw(EVENT).replace(b"A-17", b"\xff"), "bad_json", None),
    ],
)  # fmt: skip
def test_an_envelope_that_cannot_be_used_is_refused_with_what_was_found(erp, event, reason, message):
    """In structured mode and in recordings alike."""
    found = refused(erp.decode, raw(event))
    assert found == (reason, message or found[1])
    assert refused(erp.decode_record, raw(event), STRUCTURED.items()) == found


@pytest.mark.parametrize("more", [{}, {"data": None}, {"datacontenttype": "application/json", "seq": 10**400}])
def test_json_data_may_come_as_base64(erp, more):
    """Some clients write bytes so, whatever they are; other members of the envelope may be anything."""
    assert erp.decode(raw(encoded(DATA, **more))).fact == FACT


def test_what_an_event_takes_back_is_named_in_its_payload(erp):
    """It takes back an event of its own source."""
    fact = erp.decode_record(raw({**DATA, "cancels": "e0"}), {**HEADERS, "ce_type": b"order.corrected"}.items()).fact
    assert (fact.source, fact.withdraws, fact.data) == ("/shop", "e0", {})


def test_an_event_of_a_type_that_no_promise_names_is_passed_over(erp):
    """Though only after its envelope was found to be one."""
    assert erp.decode(raw({**EVENT, "type": "x"})).unknown
    assert refused(erp.decode, raw({**EVENT, "type": "x", "specversion": "2"}))[0] == "unknown_specversion"


HEADER_NAMES = [f"ce_{name}" for name in ("specversion", "id", "source", "type", "time", "x")] + ["content-type"]
CONTENTS = st.sampled_from([*HEADERS.values(), *STRUCTURED.values(), b"application/json", None]) | st.binary(max_size=9)
VALUES = st.sampled_from([raw(EVENT), raw(DATA), raw(encoded(DATA))]) | st.binary(max_size=99)


@given(value=VALUES, headers=st.lists(st.tuples(st.sampled_from(HEADER_NAMES), CONTENTS)), at=st.integers(0, 300))
def test_whatever_a_producer_sends_is_an_event_or_refused(value, headers, at):
    """Nothing else can come out, so nothing ends a worker."""
    erp = Decoder(parse_book(BOOK)).source("erp")
    for sent in (value, value[:at] + b"\xff" + value[at + 1 :]):
        with suppress(EventError):
            decoded = erp.decode_record(sent, headers)
            assert decoded.unknown or decoded.fact == FACT or decoded.fact.source
