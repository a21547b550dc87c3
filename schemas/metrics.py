"""Every metric of this project: name, labels, meaning. Code uses the objects, so a misspelt name fails the type check.

Names are in other people's dashboards and alerts: renaming one is a breaking change. No label ever holds the id of a
customer, an order or an event: each label has as many values as there are promises, topics, partitions or fixed words.
"""

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]

EVENTS = Counter(
    "promise_events",
    "Source events processed, by what became of them (stored, duplicate, unknown_type, irrelevant, conflict, ...).",
    ["topic", "outcome"],
)
DEAD_LETTERS = Counter(
    "promise_dead_letters",
    "Source events that could not be used and were sent to the dead letter topic, by reason.",
    ["topic", "reason"],
)
BREACHES = Counter(
    "promise_breaches",
    "Breaches published.",
    ["promise", "severity"],
)
DETECTION_DELAY = Histogram(
    "promise_detection_delay_seconds",
    "Seconds from the instant of a breach to its publication, without the settle time that is waited on purpose.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600),
)
FRONTIER_LAG = Gauge(
    "promise_frontier_lag_seconds",
    "Seconds between now and the frontier of a partition, up to which absence can be judged.",
    ["partition"],
)
NOTIFICATIONS = Counter(
    "promise_notifications",
    "Decisions and deliveries of the notifier, by channel and outcome (sent, skipped, unknown, repeated).",
    ["channel", "outcome"],
)
BUILD_INFO = Gauge(
    "promise_build_info",
    "Always 1; the label says which version runs.",
    ["version"],
)

CATALOGUE = (EVENTS, DEAD_LETTERS, BREACHES, DETECTION_DELAY, FRONTIER_LAG, NOTIFICATIONS, BUILD_INFO)
