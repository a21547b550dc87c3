"""Names of every topic this project reads or writes, and the settings each must have.

These names are in other teams' configurations and in stored offsets: renaming one is a breaking change.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from schemas.instants import DAY_MS, HOUR_MS

BREACHES = "promisewatch.breaches"
OUTCOMES = "promisewatch.outcomes"
NOTIFICATIONS = "promisewatch.notifications"
FACTS = "promisewatch.facts"
"""Where ingest puts what the promises of a book with several sources, or several keys, have to know."""

FACTS_RETENTION_MS = 7 * DAY_MS
"""Longer than the detectors may be away: what expires before they have read it is lost to them."""
BREACHES_RETENTION_MS = 30 * DAY_MS
DEAD_LETTERS_RETENTION_MS = 30 * DAY_MS
LARGEST = "max.message.bytes"
LARGEST_BYTES = 8 << 20
"""What a topic takes in one record where one may be large: a dead letter, or a subject with very many facts."""
LETTER_BYTES = 1 << 20
"""What a dead letter may be larger than its event: headers, and another compression."""
TOMBSTONE_RETENTION_MS = 30 * DAY_MS
"""How long a removal stays readable in a compacted topic: longer than any worker may be away."""


class TopicKind(StrEnum):
    """What a topic is for, and with that, what may be changed about it."""

    SOURCE = "source"
    """Somebody else's: never changed."""
    OUTPUT = "output"
    """Published by us, to the partition number that its record came from: more partitions move nothing."""
    STATE = "state"
    """The worker's changelog: a subject's record stays where it is, so it cannot follow a subject that moves."""
    MEMORY = "memory"
    """The notifier's changelog: what was told, by the partition of the breach event."""
    FACTS = "facts"
    """Facts, to the partition that the hash of their subject names: with more partitions subjects move."""
    TEXTS = "texts"
    """The changelog of ingest: a few records in one partition, whatever else there is."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic as it must exist: its settings by Kafka's names.

    `partitions` None means the number of what the worker reads: of the source topic, or of the facts topic.
    """

    name: str
    configs: dict[str, str] = field(default_factory=dict)
    partitions: int | None = None
    kind: TopicKind = TopicKind.OUTPUT


def dlq(topic: str) -> str:
    """The dead letter topic of a topic: what could not be read from it or, for notifications, not be delivered."""
    return f"{topic}.dlq"


def changelog(app_id: str) -> str:
    """The compacted topic that backs the partition store of the worker with this application id."""
    return f"{app_id}-records-changelog"


def notifier_changelog(app_id: str) -> str:
    """The compacted topic that backs what the notifier with this application id remembers."""
    return f"{app_id}-notified-changelog"


def texts_changelog(app_id: str) -> str:
    """The compacted topic in which the ingest with this application id remembers earlier books and topics."""
    return f"{app_id}-texts-changelog"


def _compacted() -> dict[str, str]:
    return {
        "cleanup.policy": "compact",
        "delete.retention.ms": str(TOMBSTONE_RETENTION_MS),
        "segment.ms": str(HOUR_MS),
        "min.cleanable.dirty.ratio": "0.1",
        "max.compaction.lag.ms": str(DAY_MS),
    }


def _deleted(retention_ms: int) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(retention_ms)}


def breaches_spec() -> TopicSpec:
    """Breaches are read once and acted upon: kept for a while, never compacted."""
    return TopicSpec(BREACHES, _deleted(BREACHES_RETENTION_MS))


def outcomes_spec() -> TopicSpec:
    """Outcomes are a history for reports: every revision stays, deleted only by the operator's own choice."""
    return TopicSpec(OUTCOMES, _deleted(-1))


def notifications_spec() -> TopicSpec:
    """The newest record per event id and channel stays for ever."""
    return TopicSpec(NOTIFICATIONS, _compacted())


def dlq_spec(topic: str, event_bytes: int = 0) -> TopicSpec:
    """Dead letters of one topic: whatever fits into it (`event_bytes`, if it was asked) fits in here as a letter."""
    largest = max(LARGEST_BYTES, event_bytes + LETTER_BYTES)
    return TopicSpec(dlq(topic), {**_deleted(DEAD_LETTERS_RETENTION_MS), LARGEST: str(largest)})


def changelog_spec(app_id: str) -> TopicSpec:
    """The changelog has the partitions of what the worker reads: a subject and its record share the number."""
    return TopicSpec(changelog(app_id), {**_compacted(), LARGEST: str(LARGEST_BYTES)}, kind=TopicKind.STATE)


def notifier_changelog_spec(app_id: str) -> TopicSpec:
    """What the notifier remembers, with the partitions of the breaches topic."""
    return TopicSpec(notifier_changelog(app_id), _compacted(), kind=TopicKind.MEMORY)


def facts_spec(facts: str = FACTS) -> TopicSpec:
    """Facts are read once, by the detectors. A fact may be as large as a subject's record."""
    return TopicSpec(facts, {**_deleted(FACTS_RETENTION_MS), LARGEST: str(LARGEST_BYTES)}, kind=TopicKind.FACTS)


def texts_changelog_spec(app_id: str) -> TopicSpec:
    """The texts of all promises are one record, beside one for each source topic: every process reads all of it."""
    configs = {**_compacted(), LARGEST: str(LARGEST_BYTES)}
    return TopicSpec(texts_changelog(app_id), configs, partitions=1, kind=TopicKind.TEXTS)


def required(
    source_topics: tuple[str, ...],
    app_id: str,
    notifier_app_id: str = "promisewatch-notifier",
    event_bytes: Mapping[str, int] = MappingProxyType({}),
) -> tuple[TopicSpec, ...]:
    """Every topic that a worker and a notifier with these application ids write, for these source topics.

    `event_bytes`: what those source topics take in one record of which it is known.
    """
    return (
        *_of_detection(app_id, notifier_app_id),
        *(dlq_spec(topic, event_bytes.get(topic, 0)) for topic in (*source_topics, BREACHES, NOTIFICATIONS)),
    )


def required_with_facts(
    source_partitions: Mapping[str, int],
    app_id: str,
    ingest_app_id: str = "promisewatch-ingest",
    notifier_app_id: str = "promisewatch-notifier",
    facts: str = FACTS,
    event_bytes: Mapping[str, int] = MappingProxyType({}),
) -> tuple[TopicSpec, ...]:
    """Every topic that an ingest, a worker and a notifier with these application ids write.

    `source_partitions`: the source topics with their partitions, which their dead letters follow; what the detectors
    publish and keep follows the facts topic. `event_bytes` as in `required`.
    """
    letters = [
        replace(dlq_spec(topic, event_bytes.get(topic, 0)), partitions=count)
        for topic, count in source_partitions.items()
    ]
    return (
        facts_spec(facts),
        *_of_detection(app_id, notifier_app_id),
        texts_changelog_spec(ingest_app_id),
        *letters,
        dlq_spec(facts, LARGEST_BYTES),
        *(dlq_spec(topic) for topic in (BREACHES, NOTIFICATIONS)),
    )


def _of_detection(app_id: str, notifier_app_id: str) -> tuple[TopicSpec, ...]:
    """What a worker and a notifier write wherever the facts come from."""
    return (
        breaches_spec(),
        outcomes_spec(),
        notifications_spec(),
        changelog_spec(app_id),
        notifier_changelog_spec(notifier_app_id),
    )
