"""Published events: what other teams read must be CloudEvents, match the committed schemas, and lose nothing."""

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_structured_event
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from schemas.encoding import encode_event, encode_outcome
from schemas.facts import Fact
from schemas.instants import parse_instant
from schemas.publications import (
    AT_RISK,
    BREACHED,
    EVENT_HEADERS,
    FACTS_PUBLISHED_MAX,
    FULFILLED_LATE,
    OUTCOME,
    RETRACTED,
    Breached,
    FulfilledLate,
    Outcome,
    Publication,
    Retracted,
    decode_event,
)

SCHEMAS = Path(__file__).parents[2] / "schemas" / "json"
AT = parse_instant("2026-04-26T00:02:00.345Z", None)
DUE = parse_instant("2026-04-25T21:59:59.999Z", None)
LATE = parse_instant("2026-04-26T08:00:00Z", None)
PLACED = Fact("shop", "e1", "order.placed", parse_instant("2026-04-24T15:59:59Z", None), {"customer": "secret"})
PAID = Fact("shop", "e0", "order.paid", parse_instant("2026-04-24T16:10:00Z", None), {})


def publication(kind, status, /, **more):
    base = {
        "id": "5f9f1d4e-0000-5000-8000-000000000001",
        "outcome_id": "5f9f1d4e-0000-5000-8000-000000000002",
        "promise": "next-day",
        "version": 2,
        "title": "Delivered the next working day",
        "severity": "high",
        "key": "order_id",
        "subject": "A-17",
        "cycle": "e1",
        "opening": PLACED,
        "opened_at": PLACED.time,
        "due": DUE,
        "breached_at": DUE,
        "revision": 1,
        "expected": "parcel.delivered",
        "facts": (PLACED, PAID),
        "explain": "Order A-17 was due on Saturday.",
        "timezone": "Europe/Amsterdam",
    }
    return Publication(kind=kind, status=status, **{**base, **more})


BREACH = publication("breached", "breached")
LATE_ONE = publication("fulfilled_late", "fulfilled_late", fulfilled_at=LATE, late_by_ms=LATE - DUE, revision=2)
TAKEN_BACK = publication(
    "retracted", "kept", fulfilled_at=DUE, breached_at=None, reason="fulfilled_in_time", revision=2
)
KEPT = publication("outcome", "kept", fulfilled_at=DUE, breached_at=None)
NEAR = publication(
    "at_risk", "open", breached_at=None, warn="-6h", risk_at=PAID.time, first_due=PAID.time, paused_ms=5,
    impact=19.99, group={"city": "Utrecht"},
)  # fmt: skip
EVENTS = [(BREACH, BREACHED), (LATE_ONE, FULFILLED_LATE), (TAKEN_BACK, RETRACTED), (NEAR, AT_RISK)]


def schema_of(event_type):
    return Draft202012Validator(
        json.loads((SCHEMAS / f"{event_type}.json").read_text()), format_checker=Draft202012Validator.FORMAT_CHECKER
    )


@pytest.mark.parametrize(("published", "event_type"), EVENTS)
def test_an_event_is_a_cloud_event_to_the_reference_sdk(published, event_type):
    """The CloudEvents SDK reads id, source, type, subject and time as they are meant."""
    message = KafkaMessage(headers=dict(EVENT_HEADERS), key=None, value=encode_event(published, AT, "live"))
    event = from_structured_event(message)
    assert event.get_specversion() == "1.0"
    assert (event.get_id(), event.get_type(), event.get_source()) == (published.id, event_type, "/promisewatch")
    assert event.get_subject() == "A-17"
    assert event.get_time() == datetime(2026, 4, 26, 0, 2, 0, 345_000, tzinfo=UTC)
    assert event.get_datacontenttype() == "application/json"
    assert event.get_dataschema() == f"urn:promisewatch:schema:{event_type}"
    assert event.get_data()["promise"] == "next-day"


@pytest.mark.parametrize(("published", "event_type"), EVENTS)
@pytest.mark.parametrize("mode", ["live", "replay"])
def test_an_event_matches_its_committed_schema(published, event_type, mode):
    """And its outcome the outcome schema; a changed event would not match."""
    event = json.loads(encode_event(published, AT, mode))
    schema_of(event_type).validate(event)
    outcome = json.loads(encode_outcome(published, AT, mode))
    schema_of(OUTCOME).validate(outcome)
    assert event["data"]["mode"] == outcome["data"]["mode"] == mode
    for data_field in event["data"]:
        less = {**event, "data": {name: value for name, value in event["data"].items() if name != data_field}}
        assert not schema_of(event_type).is_valid(less), data_field
    for attribute in event:
        less = {name: value for name, value in event.items() if name != attribute}
        assert not schema_of(event_type).is_valid(less), attribute


def test_a_breach_tells_all_that_a_colleague_needs():
    """The golden breach: names, order and spelling of every member are a contract."""
    assert json.loads(encode_event(BREACH, AT, "live")) == {
        "type": "promise.breached.v1",
        "specversion": "1.0",
        "id": BREACH.id,
        "source": "/promisewatch",
        "subject": "A-17",
        "time": "2026-04-26T00:02:00.345Z",
        "datacontenttype": "application/json",
        "dataschema": "urn:promisewatch:schema:promise.breached.v1",
        "data": {
            "promise": "next-day",
            "version": 2,
            "title": "Delivered the next working day",
            "severity": "high",
            "key": "order_id",
            "subject": "A-17",
            "cycle": "e1",
            "opening": {"type": "order.placed", "time": "2026-04-24T15:59:59.000Z", "source": "shop", "id": "e1"},
            "opened_at": "2026-04-24T15:59:59.000Z",
            "first_due": "2026-04-25T21:59:59.999Z",
            "due": "2026-04-25T21:59:59.999Z",
            "paused_ms": 0,
            "breached_at": "2026-04-25T21:59:59.999Z",
            "detected_at": "2026-04-26T00:02:00.345Z",
            "fulfilled_at": None,
            "late_by_ms": None,
            "status": "breached",
            "revision": 1,
            "expected": "parcel.delivered",
            "facts": [
                {"type": "order.placed", "time": "2026-04-24T15:59:59.000Z", "source": "shop", "id": "e1"},
                {"type": "order.paid", "time": "2026-04-24T16:10:00.000Z", "source": "shop", "id": "e0"},
            ],
            "last_step": {"type": "order.paid", "time": "2026-04-24T16:10:00.000Z", "source": "shop", "id": "e0"},
            "mode": "live",
            "timezone": "Europe/Amsterdam",
            "explain": "Order A-17 was due on Saturday.",
            "impact": None,
            "group": {},
        },
    }


def test_an_outcome_is_lean_and_has_an_id_of_its_own():
    """It is a row for reports: no facts, no sentence; and never mistaken for the breach of the same change."""
    outcome = json.loads(encode_outcome(LATE_ONE, AT, "live"))
    assert outcome["id"] == LATE_ONE.outcome_id
    assert outcome["type"] == "promise.outcome.v1"
    assert outcome["data"] == {
        "promise": "next-day",
        "version": 2,
        "key": "order_id",
        "subject": "A-17",
        "cycle": "e1",
        "opened_at": "2026-04-24T15:59:59.000Z",
        "due": "2026-04-25T21:59:59.999Z",
        "status": "fulfilled_late",
        "breached_at": "2026-04-25T21:59:59.999Z",
        "fulfilled_at": "2026-04-26T08:00:00.000Z",
        "late_by_ms": LATE - DUE,
        "detected_at": "2026-04-26T00:02:00.345Z",
        "revision": 2,
        "mode": "live",
    }


def test_no_payload_travels():
    """Customer data stays in the source topics."""
    assert b"secret" not in encode_event(BREACH, AT, "live") + encode_outcome(BREACH, AT, "live")


def test_what_is_encoded_decodes_to_the_class_of_its_type():
    """The notifier picks by class."""
    classes = {
        Breached: encode_event(BREACH, AT, "live"),
        FulfilledLate: encode_event(LATE_ONE, AT, "live"),
        Retracted: encode_event(TAKEN_BACK, AT, "live"),
        Outcome: encode_outcome(KEPT, AT, "live"),
    }
    for expected, value in classes.items():
        event = decode_event(value)
        assert type(event) is expected
        assert msgspec.json.encode(event) == value


@pytest.mark.parametrize("value", [b"", b"{}", b'{"type":"promise.breached.v2"}', b'{"type":"promise.breached.v1"}'])
def test_what_is_not_one_of_our_events_is_refused(value):
    """A reader says so rather than guess."""
    with pytest.raises(msgspec.MsgspecError):
        decode_event(value)


def test_an_outcome_alone_has_no_place_on_the_breaches_topic():
    """Asking for it is a bug of the caller."""
    with pytest.raises(ValueError, match="found a publication of kind 'outcome'"):
        encode_event(KEPT, AT, "live")


def test_a_subject_with_very_many_facts_publishes_the_newest():
    """An event stays readable and below any broker's limit."""
    many = tuple(Fact("shop", f"{n:04d}", "scan", n * 1000, {}) for n in range(FACTS_PUBLISHED_MAX + 50))
    facts = decode_event(encode_event(publication("breached", "breached", facts=many), AT, "live")).data.facts
    assert [fact.id for fact in facts] == [f"{n:04d}" for n in range(50, FACTS_PUBLISHED_MAX + 50)]


@given(subject=st.text(min_size=1), explain=st.text(), cycle=st.text(min_size=1))
def test_any_text_survives(subject, explain, cycle):
    """Subjects come from other systems: quotes, newlines and emoji included."""
    published = publication("breached", "breached", subject=subject, explain=explain, cycle=cycle)
    event = decode_event(encode_event(published, AT, "live"))
    assert (event.subject, event.data.subject, event.data.explain, event.data.cycle) == (
        subject,
        subject,
        explain,
        cycle,
    )
