"""What about a topic may be mended, and what not and why. Pure: no Kafka here.

More partitions cannot be taken back, and they move subjects wherever a key chooses the partition. Our own writers
choose it by number, that of the source partition, so what lies on an output topic stays right when it is extended. The
worker's changelog is different: a subject's record lies where the subject was. If its count differs and it has ever
been written to, the source has got other partitions since, and the facts of one subject lie on two of them. The facts
topic is the same: the hash of a subject chooses the partition there. Nothing mends that; and until somebody has decided
what to do, the other topics are not extended either.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from promisewatch.topic_admin import CLEANUP, MIN_IN_SYNC, PARTITIONS, REPLICAS, Checked, Difference
from schemas.topics import TopicKind


@dataclass(frozen=True, slots=True)
class Log:
    """What the offsets of a topic tell: whether anything was ever written to it, and whether any of it was deleted."""

    written: bool
    shortened: bool


def asked_about(checked: Iterable[Checked]) -> list[tuple[str, int]]:
    """Return the topics, with their partitions, whose `Log` decides what may be done."""
    decisive = {PARTITIONS, CLEANUP}
    return [
        (topic.spec.name, topic.found.partitions)
        for topic in checked
        if topic.found is not None
        and topic.spec.kind is not TopicKind.SOURCE
        and any(each.what in decisive for each in topic.differences)
    ]


def judge(checked: Sequence[Checked], logs: Mapping[str, Log], brokers: int) -> list[Checked]:
    """Say of each difference why it is to be left, where it is."""
    stranded = next((topic for topic in checked if is_stranded(topic, logs)), None)

    def judged(topic: Checked) -> Checked:
        reasons = [_why_left(topic, difference, logs, stranded, brokers) for difference in topic.differences]
        both = zip(topic.differences, reasons, strict=True)
        return replace(topic, differences=tuple(replace(each, left=each.left or why) for each, why in both))

    return [judged(topic) for topic in checked]


def is_stranded(topic: Checked, logs: Mapping[str, Log]) -> bool:
    """Whether its subjects lie where they would not with the partitions that are expected."""
    counts = any(each.what == PARTITIONS for each in topic.differences)
    return topic.spec.kind in STRANDED and counts and logs[topic.spec.name].written


def _why_left(
    topic: Checked, difference: Difference, logs: Mapping[str, Log], stranded: Checked | None, brokers: int
) -> str | None:
    assert topic.found is not None, "a topic that is not there has no differences"
    if topic.spec.kind is TopicKind.SOURCE:
        return "a source topic is its owner's to change"
    if difference.what == PARTITIONS:
        return _why_not_extended(topic, difference, logs[topic.spec.name], stranded)
    if difference.what == REPLICAS and int(difference.expected) > brokers:
        return f"the cluster has {brokers} broker{'' if brokers == 1 else 's'}"
    if difference.what == MIN_IN_SYNC and difference.found.isdecimal():
        raised, in_sync = int(difference.expected) > int(difference.found), topic.found.in_sync
        coming = any(each.what == REPLICAS and int(each.expected) <= brokers for each in topic.differences)
        if raised and int(difference.expected) > in_sync and not coming:
            return f"left until so many replicas are in sync: {in_sync} of {topic.found.replicas} are"
    return None


def _why_not_extended(topic: Checked, difference: Difference, log: Log, stranded: Checked | None) -> str | None:
    if log.written and topic.spec.kind in STRANDED:
        return STRANDED[topic.spec.kind].format(found=difference.found)
    if int(difference.found) < int(difference.expected):
        return f"left because of {stranded.spec.name}" if stranded is not None else None
    remedy = "delete it, and 'promisewatch topics create' makes it again"
    if log.written:
        remedy = "once nobody needs its records, " + remedy
    if log.written and topic.spec.kind is TopicKind.MEMORY:
        remedy = "start the notifier under another --app-id (here --notifier-app-id)"
    if log.written and topic.spec.kind is TopicKind.TEXTS:
        remedy = "start ingest under another --app-id (here --ingest-app-id), which reads the sources anew"
    return f"Kafka takes no partitions away: {remedy}"


def warnings(checked: Iterable[Checked], logs: Mapping[str, Log]) -> list[str]:
    """Return what a person must know about the differences besides themselves."""
    found = []
    for topic in checked:
        kind, name = topic.spec.kind, topic.spec.name
        cleanup = next((each for each in topic.differences if each.what == CLEANUP), None)
        if cleanup is not None and cleanup.expected == "compact" and logs[name].shortened:
            found.append(
                f"{name}: records have been deleted already, under cleanup.policy {cleanup.found}: {LOST[kind]}"
            )
        if cleanup is not None and "compact" in cleanup.found and kind is TopicKind.FACTS and logs[name].written:
            found.append(
                f"{name}: facts may be gone already, since cleanup.policy {cleanup.found} keeps only the newest "
                f"of each subject: {LOST[kind]}"
            )
        extended = any(each.what == PARTITIONS and each.left is None for each in topic.differences)
        if extended and kind is TopicKind.MEMORY and logs[name].written:
            found.append(
                f"{name} holds memory: on its new partitions the notifier does not know what it told before, so a "
                "retraction or late fulfilment of a subject that has moved may be passed over"
            )
    return found


STRANDED = {
    TopicKind.STATE: "it holds the state of {found} partitions, so what the worker reads has had as many: subjects "
    "have moved to other partitions since; start under another --app-id, which reads it anew",
    TopicKind.FACTS: "it holds facts by {found} partitions, and subjects would move away from their state; leave out "
    "--facts-partitions, or start under another --facts-topic and other application ids, which read the sources anew",
}
"""Why a topic cannot follow another number of partitions once it holds something."""
LOST = {
    TopicKind.SOURCE: "",
    TopicKind.FACTS: "to have all of them, start under another --facts-topic and other application ids",
    TopicKind.TEXTS: "what runs under earlier books may lack events that came since; to have them, start ingest and "
    "worker under other application ids",
    TopicKind.OUTPUT: "what it said about those keys is gone",
    TopicKind.STATE: "the state of some subjects may be gone for good; to have it whole, start under another --app-id, "
    "which reads the source anew",
    TopicKind.MEMORY: "the notifier may have forgotten what it told, and tell it again if it reads it again",
}


def spread(
    assignment: Mapping[int, Sequence[int]], racks: Mapping[int, str | None], replicas: int, load: Counter[int]
) -> dict[int, list[int]]:
    """Return the partitions that lack replicas, with the brokers they are to be on.

    They stay where they are, the leader too. What comes goes first to racks that have none of them, then to the brokers
    with the least `load`, which is brought up to date. There must be enough brokers.
    """
    placed = {}
    for partition, there in sorted(assignment.items()):
        chosen = list(there)
        while len(chosen) < replicas:
            used = {racks.get(broker) for broker in chosen} - {None}
            free = [broker for broker in racks if broker not in chosen]
            best = min(free, key=lambda broker: (racks[broker] in used, load[broker], broker))
            chosen.append(best)
            load[best] += 1
        if len(chosen) > len(there):
            placed[partition] = chosen
    return placed
