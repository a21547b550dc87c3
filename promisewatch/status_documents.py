"""The documents of `promisewatch status` for programs. Instants are RFC 3339, spans milliseconds."""

from typing import Any

from promises.rules import ALWAYS
from promisewatch.status_sources import (
    FactsPartitionStatus,
    GroupStatus,
    SourcePartitionStatus,
    SourcesStatus,
    SourceStatus,
    ingest_members,
)
from promisewatch.status_words import earliest
from promisewatch.statuses import (
    DeadLetters,
    LastBreach,
    Look,
    PartitionStatus,
    ReadPartition,
    Running,
    Status,
    WorkedPartition,
)
from schemas.instants import format_instant
from schemas.vectors import Hold as Doubt
from streams.observing import Group, Member


def status_json(status: Status) -> dict[str, Any]:
    """A worker that reads its source itself."""
    source = status.source
    return {
        **application_json(status),
        "source": {
            "name": source.name,
            "topic": source.topic,
            "partitions": len(status.partitions),
            "frontier": source.frontier,
            "settle_ms": source.settle_ms,
        },
        **totals_json(status),
        "partitions": list(map(partition_json, status.partitions)),
    }


def sources_json(status: SourcesStatus) -> dict[str, Any]:
    """An ingest and the workers behind it."""
    return {
        **application_json(status),
        "facts": {"topic": status.facts, "partitions": len(status.partitions)},
        "ingest": ingest_json(status),
        **totals_json(status),
        "sources": [source_json(source, status) for source in status.sources],
        "groups": list(map(promises_json, status.groups)),
        "partitions": list(map(facts_partition_json, status.partitions)),
    }


def application_json(status: Look) -> dict[str, Any]:
    """Whose document it is."""
    return {
        "ok": status.code == 0,
        "at": format_instant(status.at),
        "app_id": status.app_id,
        "book": {"path": status.book_path, "digest": status.book_digest},
    }


def totals_json(status: Look) -> dict[str, Any]:
    """What holds for all partitions together."""
    return {
        "group": group_json(status.group),
        "missing": status.missing,
        "differing": status.differing,
        "notes": status.notes,
        "lag": status.lag,
        "frontier": instant(status.frontier),
        "last_breach": breach_json(status.last_breach),
        "dead_letters": letters_json(status.dead_letters),
    }


def partition_json(each: PartitionStatus) -> dict[str, Any]:
    """One partition of a source that the worker reads itself."""
    return {
        "partition": each.partition,
        **offsets_json(each),
        "stored": each.stored,
        "lag": each.lag,
        "frontier": {
            "instant": instant(each.frontier),
            "inferred": each.inferred,
            "behind_ms": each.behind_ms,
            "source_partition": each.source_partition,
            "waits_for": each.hold.value,
        },
        "doubt": doubt_json(each.doubt),
        **worked_json(each),
    }


def facts_partition_json(each: FactsPartitionStatus) -> dict[str, Any]:
    """One partition of the facts topic."""
    return {
        "partition": each.partition,
        **offsets_json(each),
        "stored": each.stored,
        "lag": each.lag,
        "frontier": {
            "instant": instant(each.frontier),
            "behind_ms": each.behind_ms,
            "source_partition": each.waits_for,
            "waits_for": each.hold.value,
        },
        **worked_json(each),
    }


def source_partition_json(each: SourcePartitionStatus) -> dict[str, Any]:
    """One partition of a source that an ingest reads."""
    gap = each.gap
    return {
        "partition": each.partition,
        "name": each.name,
        **offsets_json(each),
        "lag": each.lag,
        "frontier": {"instant": instant(each.frontier), "behind_ms": each.behind_ms, "waits_for": each.hold.value},
        "doubt": doubt_json(each.doubt),
        "gap": None if gap is None else {"from": since_json(gap[0]), "until": format_instant(gap[1])},
        "ingest": None if each.owner is None else each.owner.name,
        "book": each.book,
        "dead_letters": letters_json(each.dead_letters),
    }


def offsets_json(each: ReadPartition) -> dict[str, Any]:
    """Where its log begins and ends, and up to where it is processed."""
    return {
        "beginning": each.log.beginning,
        "readable": each.log.readable,
        "end": each.log.end,
        "processed": each.processed,
    }


def worked_json(each: WorkedPartition) -> dict[str, Any]:
    """Which worker has it, with which book, and what came of it."""
    return {
        "worker": None if each.owner is None else member_json(each.owner),
        "book": each.book,
        "last_breach": breach_json(each.last_breach),
        "dead_letters": letters_json(each.dead_letters),
        "running": running_json(each.running),
    }


def ingest_json(status: SourcesStatus) -> dict[str, Any]:
    """The ingest's group, and which source partitions its processes have."""
    group = None if status.ingest is None else next(iter(status.ingest.values()), None)
    return {
        "app_id": status.ingest_app_id,
        "state": None if group is None else group.state,
        "members": [{"name": member.name, "partitions": has} for member, has in ingest_members(status)],
    }


def source_json(status: SourceStatus, whole: SourcesStatus) -> dict[str, Any]:
    """One source, with what doubt about it holds."""
    source = status.source
    held = whole.held_by(source.name)
    return {
        "name": source.name,
        "topic": source.topic,
        "frontier": source.frontier,
        "settle_ms": source.settle_ms,
        "heartbeat_ms": source.heartbeat_ms,
        "doubts": [
            {"reason": reason, "since": format_instant(since), "promises": held}
            for reason, since in earliest(each.doubt for each in status.partitions).items()
        ],
        "partitions": list(map(source_partition_json, status.partitions)),
    }


def promises_json(group: GroupStatus) -> dict[str, Any]:
    """Promises that wait for the same sources."""
    return {
        "sources": group.sources,
        "promises": group.promises,
        "frontier": instant(group.frontier),
        "source_partition": group.waits_for,
    }


def since_json(at: int) -> str | None:
    """An instant from which something holds, None if it has held always."""
    return None if at <= ALWAYS else format_instant(at)


def doubt_json(doubt: Doubt | None) -> dict[str, Any] | None:
    return None if doubt is None else {"reason": doubt.reason, "since": format_instant(doubt.since)}


def member_json(member: Member) -> dict[str, Any]:
    return {
        "name": member.name,
        "member_id": member.member_id,
        "client_id": member.client_id,
        "host": member.host,
        "partitions": member.partitions,
    }


def breach_json(breach: LastBreach | None) -> dict[str, Any] | None:
    if breach is None:
        return None
    return {
        "promise": breach.promise,
        "event_id": breach.event_id,
        "breached_at": format_instant(breach.breached_at),
        "published_at": format_instant(breach.published_at),
    }


def letters_json(letters: DeadLetters | None) -> dict[str, Any]:
    if letters is None:
        return {"count": 0, "exact": True, "newest": None}
    newest = {"at": format_instant(letters.newest_at), "reason": letters.newest_reason}
    return {"count": letters.count, "exact": letters.exact, "newest": newest}


def running_json(running: Running | None) -> dict[str, Any] | None:
    return None if running is None else {"subjects": running.subjects, "promises": dict(running.promises)}


def group_json(group: Group | None) -> dict[str, Any] | None:
    return None if group is None else {"state": group.state, "members": list(map(member_json, group.members))}


def instant(found: int | None) -> str | None:
    return None if found is None else format_instant(found)
