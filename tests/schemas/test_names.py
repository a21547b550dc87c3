"""Durable names: topics, metrics, headers, exit codes. A change here breaks somebody else's configuration."""

# ruff: noqa: E501 - a row of a table stays one line

import pickle

import pytest

from schemas import metrics, topics
from schemas.errors import BookError, BookProblem, EventError, PromisewatchError, StateError
from schemas.exits import ExitCode
from schemas.markers import HEADER, marker_headers, read_marker
from schemas.notifications import Notification, decode_notification, encode_notification, record_key


def test_topic_names_do_not_change():
    """They are in other teams' consumers and in stored offsets."""
    assert (topics.BREACHES, topics.OUTCOMES, topics.NOTIFICATIONS, topics.FACTS) == (
        "promisewatch.breaches", "promisewatch.outcomes", "promisewatch.notifications", "promisewatch.facts",
    )  # fmt: skip
    assert topics.dlq("shop.events") == "shop.events.dlq"
    assert topics.changelog("promisewatch") == "promisewatch-records-changelog"
    assert topics.texts_changelog("promisewatch-ingest") == "promisewatch-ingest-texts-changelog"
    assert topics.notifier_changelog("promisewatch-notifier") == "promisewatch-notifier-notified-changelog"


def test_a_worker_needs_these_topics_with_these_settings():
    """State is compacted and keeps its tombstones for a month; events are kept for a time."""
    required = {spec.name: spec.configs for spec in topics.required(("shop.events",), "promisewatch")}
    assert sorted(required) == [
        "promisewatch-notifier-notified-changelog",
        "promisewatch-records-changelog",
        "promisewatch.breaches",
        "promisewatch.breaches.dlq",
        "promisewatch.notifications",
        "promisewatch.notifications.dlq",
        "promisewatch.outcomes",
        "shop.events.dlq",
    ]
    assert required["promisewatch-records-changelog"] == {
        "cleanup.policy": "compact",
        "delete.retention.ms": "2592000000",
        "segment.ms": "3600000",
        "min.cleanable.dirty.ratio": "0.1",
        "max.compaction.lag.ms": "86400000",
        "max.message.bytes": "8388608",
    }
    assert required["promisewatch.notifications"]["cleanup.policy"] == "compact"
    assert required["promisewatch.breaches"] == {"cleanup.policy": "delete", "retention.ms": "2592000000"}
    assert required["promisewatch.outcomes"] == {"cleanup.policy": "delete", "retention.ms": "-1"}
    assert required["shop.events.dlq"] == {
        "cleanup.policy": "delete", "retention.ms": "2592000000", "max.message.bytes": "8388608",
    }  # fmt: skip


def test_with_a_facts_topic_everything_follows_what_it_reads():
    """Dead letters follow their source, what detectors keep and publish the facts topic, and texts are one record."""
    required = topics.required_with_facts({"shop.events": 3, "wms.scans": 12}, "promisewatch")
    assert {spec.name: spec.partitions for spec in required} == {
        "promisewatch.facts": None,
        "promisewatch.facts.dlq": None,
        "promisewatch.breaches": None,
        "promisewatch.breaches.dlq": None,
        "promisewatch.outcomes": None,
        "promisewatch.notifications": None,
        "promisewatch.notifications.dlq": None,
        "promisewatch-records-changelog": None,
        "promisewatch-notifier-notified-changelog": None,
        "promisewatch-ingest-texts-changelog": 1,
        "shop.events.dlq": 3,
        "wms.scans.dlq": 12,
    }
    configs = {spec.name: spec.configs for spec in required}
    assert configs["promisewatch.facts"] == {
        "cleanup.policy": "delete", "retention.ms": "604800000", "max.message.bytes": "8388608",
    }  # fmt: skip
    assert configs["promisewatch.facts.dlq"]["max.message.bytes"] == "9437184"
    assert configs["promisewatch-ingest-texts-changelog"] == configs["promisewatch-records-changelog"]


def test_what_the_direct_mode_needs_does_not_change_with_a_facts_topic():
    """Whoever goes over to several sources has all other topics already, with the same settings."""
    direct = topics.required(("shop.events",), "promisewatch")
    with_facts = {spec.name: spec for spec in topics.required_with_facts({"shop.events": 3}, "promisewatch")}
    assert [spec.name for spec in direct if with_facts[spec.name].configs != spec.configs] == []


@pytest.mark.parametrize(("source", "letters"), [(1_048_588, "8388608"), (7_340_033, "8388609"), (8 << 20, "9437184")])
def test_a_dead_letter_topic_takes_whatever_its_source_takes_and_the_letters_headers(source, letters):
    """An event that fits into its topic must not be the one that cannot be put aside."""
    specs = topics.required(("shop.events",), "promisewatch", event_bytes={"shop.events": source})
    assert {spec.name: spec.configs.get("max.message.bytes") for spec in specs}["shop.events.dlq"] == letters


def test_metric_names_and_labels_do_not_change():
    """Dashboards and alerts use them; none of the labels names a customer or an order."""
    found = {metric.describe()[0].name: metric._labelnames for metric in metrics.CATALOGUE}
    assert found == {
        "promise_records": ("topic",),
        "promise_events": ("topic", "outcome"),
        "promise_dead_letters": ("topic", "reason"),
        "promise_breaches": ("promise", "severity"),
        "promise_outcomes": ("promise", "status"),
        "promise_detection_delay_seconds": (),
        "promise_frontier_lag_seconds": ("partition",),
        "promise_lag_records": ("partition",),
        "promise_stalled_seconds": ("partition",),
        "promise_timers": ("partition",),
        "promise_transaction_seconds": (),
        "promise_partitions": (),
        "promise_rebalances": (),
        "promise_restored_records": (),
        "promise_restore_remaining_records": (),
        "promise_clock_held_back": (),
        "promise_ready": (),
        "promise_notifications": ("channel", "outcome"),
        "promise_build_info": ("version",),
        "promise_facts": ("source",),
        "promise_markers": (),
        "promise_vectors_ignored": (),
        "promise_expired_records": ("topic",),
        "promise_source_frontier_lag_seconds": ("source",),
        "promise_source_unknown_partitions": ("source",),
        "promise_source_held_seconds": ("source", "reason"),
        "promise_held_seconds": ("promise", "source"),
        "promise_migrated": ("promise", "outcome"),
        "promisewatch_book_info": ("book",),
    }


def test_exit_codes_do_not_change():
    """Orchestrators and scripts tell the cases apart by them."""
    assert {code.name: code.value for code in ExitCode} == {
        "OK": 0, "DIFFERENT": 1, "USAGE": 2, "DATA": 65, "NO_INPUT": 66, "UNAVAILABLE": 69, "INTERNAL": 70,
        "RESTART": 75, "CONFIG": 78,
    }  # fmt: skip


def test_a_marker_says_how_far_its_partition_is_complete():
    """What a producer writes is what a worker reads."""
    assert marker_headers(1_777_039_199_123) == [("promisewatch-frontier", b"2026-04-24T13:59:59.123Z")]
    assert read_marker(b"", marker_headers(5)) == 5
    assert read_marker(None, [("other", b"x"), (HEADER, b"2026-04-24T15:59:59+02:00")]) == 1_777_039_199_000


def test_an_ordinary_event_is_no_marker():
    """With headers of other programs, or none, or no value (somebody's tombstone)."""
    assert read_marker(b"{}", []) is None
    assert read_marker(None, [("traceparent", b"x")]) is None


@pytest.mark.parametrize(
    ("value", "content", "message"),
    [
        (b"", b"soon", "header promisewatch-frontier: found 'soon', expected an RFC 3339 instant such as 2026-04-24T17:59:59+02:00"),
        (b"", None, "header promisewatch-frontier: found '', expected an RFC 3339 instant such as 2026-04-24T17:59:59+02:00"),
        (b"", b"2026-04-24T15:59:59", "header promisewatch-frontier: found '2026-04-24T15:59:59', expected an instant with an offset such as Z or +02:00"),
        (b"", b"\xff", "header promisewatch-frontier: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (b"{}", b"2026-04-24T15:59:59Z", "a record with header promisewatch-frontier has a value of 2 bytes; expected none"),
    ],
)  # fmt: skip
def test_an_unreadable_marker_moves_no_frontier(value, content, message):
    """It goes to the dead letters instead: a guess could declare breaches that are none."""
    with pytest.raises(EventError) as refusal:
        read_marker(value, [(HEADER, content)])
    assert (refusal.value.reason, str(refusal.value)) == ("bad_marker", message)


def test_a_notification_is_recorded_per_event_and_channel():
    """Compaction keeps the newest of each."""
    notification = Notification(
        event_id="e", promise="p", subject="s", revision=1, channel="console", outcome="sent", reason="first_breach",
        at="2026-04-24T13:59:59.123Z",
    )  # fmt: skip
    assert record_key(notification) == b"e\x1fconsole"
    assert decode_notification(encode_notification(notification)) == notification
    newer = encode_notification(notification).replace(b'"format":1', b'"format":2')
    with pytest.raises(Exception, match="found notification format 2, expected 1"):
        decode_notification(newer)


def test_errors_carry_their_message_and_exit_code():
    """The command line prints the one and ends with the other."""
    assert PromisewatchError("x").exit_code is ExitCode.INTERNAL
    assert PromisewatchError("x", ExitCode.USAGE).exit_code is ExitCode.USAGE
    assert StateError("old state").exit_code is ExitCode.CONFIG
    assert str(StateError("old state")) == "old state"
    error = pickle.loads(pickle.dumps(EventError("bad_json", "found x")))
    assert (error.reason, error.message) == ("bad_json", "found x")


def test_book_problems_are_sorted_and_told_once():
    """Two checks may find the same thing; a person reads it once, top to bottom."""
    second, first = BookProblem("b.yaml", 7, 1, "x"), BookProblem("b.yaml", 3, 9, "y")
    assert str(BookError([second, first, second])) == "b.yaml:3:9: y\nb.yaml:7:1: x"
