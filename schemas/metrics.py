"""Every metric of this project: name, labels, meaning. Code uses the objects, so a misspelt name fails the type check.

Names are in other people's dashboards and alerts: renaming one is a breaking change. No label ever holds the id of a
customer, an order or an event: each label has as many values as there are promises, topics, partitions or fixed words.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Self

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]


class Label(StrEnum):
    """Every label there is, and what bounds the number of its values. Never an id: those are OpenMetrics' exemplars."""

    bound: str

    def __new__(cls, name: str, bound: str) -> Self:
        """Hold what its values are besides its name."""
        label = str.__new__(cls, name)
        label._value_ = name
        label.bound = bound
        return label

    TOPIC = (
        "topic",
        "source topics of the book, the facts topic; of dead letters also `promisewatch.breaches` and `.notifications`",
    )
    SOURCE = "source", "sources of the book, by name"
    OUTCOME = "outcome", "fixed words of the program, told with the metric"
    REASON = (
        "reason",
        "fixed words of the program: why an event cannot be used, a delivery failed, a source is held",
    )
    PROMISE = "promise", "promises of the book, by id, those of earlier versions included"
    SEVERITY = "severity", "low, medium, high, critical"
    STATUS = "status", "fixed words of the program, told with the metric"
    PARTITION = (
        "partition",
        "partitions of the input topic that this process owns; of an ingest with their topic, as in `shop.events-3`",
    )
    CHANNEL = "channel", "channels of the notifier: console, webhook"
    VERSION = "version", "the program's version"
    BOOK = "book", "the first digits of the hash of the book that this process runs with; one a process"


RECORDS = Counter(
    "promise_records",
    "Source records durably processed, whatever became of them.",
    [Label.TOPIC],
)
EVENTS = Counter(
    "promise_events",
    "Source events with which something was the matter, by what (duplicate, conflict, irrelevant, unknown_type; "
    "opening nothing: before_known, too_old, not_effective, no_due, born_overdue; marker_ignored, tombstone).",
    [Label.TOPIC, Label.OUTCOME],
)
DEAD_LETTERS = Counter(
    "promise_dead_letters",
    "Records that could not be used, or not be delivered, and were sent to a dead letter topic, by reason.",
    [Label.TOPIC, Label.REASON],
)
EXPIRED = Counter(
    "promise_expired_records",
    "Records of a source or of the facts topic that expired before anybody read them: what waited for them is held, "
    "never broken.",
    [Label.TOPIC],
)
BREACHES = Counter(
    "promise_breaches",
    "Breaches published.",
    [Label.PROMISE, Label.SEVERITY],
)
DETECTION_DELAY = Histogram(
    "promise_detection_delay_seconds",
    "Seconds from the instant of a breach to its publication, without the settle time that is waited on purpose.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600),
)
FRONTIER_LAG = Gauge(
    "promise_frontier_lag_seconds",
    "Seconds between now and the frontier of a partition, up to which absence can be judged.",
    [Label.PARTITION],
)
FACTS = Counter(
    "promise_facts",
    "Facts put on the facts topic and acknowledged there, by the source whose events they are.",
    [Label.SOURCE],
)
MARKERS = Counter(
    "promise_markers",
    "Vectors put on the facts topic: one for each facts partition at each beat of an ingest process.",
)
VECTORS_IGNORED = Counter(
    "promise_vectors_ignored",
    "Vectors read from the facts topic that moved nothing, because they were made with another book.",
)
SOURCE_FRONTIER_LAG = Gauge(
    "promise_source_frontier_lag_seconds",
    "Seconds between now and the frontier of a source: of an ingest, the oldest of the partitions that it has; of a "
    "detector, the oldest of all its partitions as the newest vectors say.",
    [Label.SOURCE],
)
SOURCE_UNKNOWN = Gauge(
    "promise_source_unknown_partitions",
    "Partitions of a source about which no vector has said anything yet to a detector: promises that wait for the "
    "source wait for these.",
    [Label.SOURCE],
)
SOURCE_HELD = Gauge(
    "promise_source_held_seconds",
    "Seconds for which doubt about a source has held its frontier, by reason; gone when nothing holds it.",
    [Label.SOURCE, Label.REASON],
)
PROMISE_HELD = Gauge(
    "promise_held_seconds",
    "Seconds for which doubt about a source has held a promise that waits for it; gone when nothing holds it.",
    [Label.PROMISE, Label.SOURCE],
)
MIGRATED = Counter(
    "promise_migrated",
    "Running promises that a migration meant, by what became of them (moved, already; left where they were: "
    "not_opened, no_due, born_overdue, before_known, unseen, shares).",
    [Label.PROMISE, Label.OUTCOME],
)
NOTIFICATIONS = Counter(
    "promise_notifications",
    "Decisions and deliveries of the notifier, by channel and outcome (sent, skipped, unknown, failed, repeated).",
    [Label.CHANNEL, Label.OUTCOME],
)
LAG_RECORDS = Gauge(
    "promise_lag_records",
    "Records of an owned partition that are readable and not yet processed.",
    [Label.PARTITION],
)
STALLED = Gauge(
    "promise_stalled_seconds",
    "Seconds an owned partition has had something to read without making progress; 0 where it moves or is idle.",
    [Label.PARTITION],
)
TIMERS = Gauge(
    "promise_timers",
    "Entries on the timer heap of an owned partition: about one for each subject of which anything is kept.",
    [Label.PARTITION],
)
OUTCOMES = Counter(
    "promise_outcomes",
    "Verdicts published, by promise and status (kept, breached, fulfilled_late, released, void, held).",
    [Label.PROMISE, Label.STATUS],
)
TRANSACTION = Histogram(
    "promise_transaction_seconds",
    "Seconds from the start of a transaction (on a broker without: of a write) to its commit; its count is the number.",
    buckets=(0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
PARTITIONS = Gauge(
    "promise_partitions",
    "Partitions that this process owns and has opened.",
)
REBALANCES = Counter(
    "promise_rebalances",
    "Times that partitions were handed out to this process, the first time included.",
)
RESTORED = Counter(
    "promise_restored_records",
    "Changelog records read to restore the state of partitions.",
)
RESTORE_REMAINING = Gauge(
    "promise_restore_remaining_records",
    "Changelog offsets that a restore now running has still to pass; 0 when none runs.",
)
CLOCK_HELD_BACK = Counter(
    "promise_clock_held_back",
    "Readings of the machine's clock that had jumped ahead and were held back.",
)
READY = Gauge(
    "promise_ready",
    "1 while /readyz says yes: partitions are open and nothing is being rebalanced or restored.",
)
BUILD_INFO = Gauge(
    "promise_build_info",
    "Always 1; the label says which version runs.",
    [Label.VERSION],
)
BOOK_INFO = Gauge(
    "promisewatch_book_info",
    "Always 1; the label says which book the process runs with. Workers of one application should not differ for long.",
    [Label.BOOK],
)

PARTITION_GAUGES = (FRONTIER_LAG, LAG_RECORDS, STALLED, TIMERS)
"""What is said about single partitions, and no longer by a process that has lost them."""


def forget_partition(label: str) -> None:
    """Stop telling about a partition that is no longer ours: its last value would be read as today's."""
    for gauge in PARTITION_GAUGES:
        gauge.remove(label)


def tell_held(sources: Mapping[tuple[str, str], float], promises: Mapping[tuple[str, str], float]) -> None:
    """Say what doubt holds now, and stop telling about the rest.

    Seconds by (source, reason), and by (promise, source): all that this process knows of.
    """
    for (source, reason), seconds in sources.items():
        SOURCE_HELD.labels(source=source, reason=reason).set(seconds)
    for (promise, source), seconds in promises.items():
        PROMISE_HELD.labels(promise=promise, source=source).set(seconds)
    _keep_only(SOURCE_HELD, sources)
    _keep_only(PROMISE_HELD, promises)


def _keep_only(gauge: Gauge, told: Mapping[tuple[str, str], float]) -> None:
    for sample in next(iter(gauge.collect())).samples:
        if (values := tuple(sample.labels.values())) not in told:
            gauge.remove(*values)


CATALOGUE = (
    RECORDS,
    EVENTS,
    DEAD_LETTERS,
    EXPIRED,
    BREACHES,
    OUTCOMES,
    DETECTION_DELAY,
    FRONTIER_LAG,
    LAG_RECORDS,
    STALLED,
    TIMERS,
    TRANSACTION,
    PARTITIONS,
    REBALANCES,
    RESTORED,
    RESTORE_REMAINING,
    CLOCK_HELD_BACK,
    FACTS,
    MARKERS,
    VECTORS_IGNORED,
    SOURCE_FRONTIER_LAG,
    SOURCE_UNKNOWN,
    SOURCE_HELD,
    PROMISE_HELD,
    MIGRATED,
    NOTIFICATIONS,
    READY,
    BUILD_INFO,
    BOOK_INFO,
)
"""Every metric, in the order of the generated reference."""
