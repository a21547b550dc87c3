"""How `promisewatch status` shows what was found, for people and for programs."""

from collections.abc import Iterable
from typing import Any

from rich.console import Group as Lines
from rich.table import Table
from rich.text import Text

from promises.wording import span_text
from promisewatch.console import a_table
from promisewatch.statuses import DeadLetters, Hold, LastBreach, Log, PartitionStatus, Running, Status
from schemas.editions import SHORT_DIGITS
from schemas.instants import format_duration, format_instant
from schemas.vectors import Hold as Doubt
from streams.observing import Group, Member

UNKNOWN = "-"
WAITS_FOR = {
    Hold.CLOCK: "the clock",
    Hold.MARKER: "the next marker",
    Hold.LAG: "records not processed yet",
    Hold.TRANSACTION: "an open transaction of the source, at offset {readable}",
    Hold.NO_OWNER: "a worker: none has it",
    Hold.UNTOLD: "the clock, if a worker has it",
    Hold.NO_CHECKPOINT: "a first checkpoint: no worker has opened it yet",
    Hold.RECREATED: "a person: the topic was made again, it ends before what was processed",
    Hold.EXPIRED: "what comes next: records expired unread, it begins at offset {beginning}",
    Hold.DOUBT: "the end of doubt about the source",
    Hold.UNREAD: "an ingest: none has said anything of it",
    Hold.OTHER_BOOK: "this book: it is worked with another",
}
DOUBTS = {
    "silent": "nothing has come from it for longer than its heartbeat",
    "dead_letters": "too many of its events cannot be used",
    "late": "too many of its events are dated before what it had been complete to",
}
"""What the reasons for doubt mean."""
COLOURS = {
    Hold.CLOCK: "green", Hold.MARKER: "green", Hold.LAG: "yellow", Hold.UNTOLD: "yellow", Hold.NO_CHECKPOINT: "yellow",
    Hold.TRANSACTION: "yellow", Hold.NO_OWNER: "red", Hold.RECREATED: "red", Hold.EXPIRED: "red", Hold.DOUBT: "red",
    Hold.UNREAD: "red", Hold.OTHER_BOOK: "red",
}  # fmt: skip


def rendered(status: Status) -> Lines:
    """Everything, for people."""
    parts: list[Any] = [Text(line) for line in head(status)]
    parts += [Text(f"there is no topic {topic}; 'promisewatch topics create' makes it", "red")
              for topic in status.missing]  # fmt: skip
    parts += [Text(f"{each}, expected {len(status.partitions)} as the source topic", "red")
              for each in status.differing]  # fmt: skip
    doubts = earliest(each.doubt for each in status.partitions)
    parts += [Text(doubt_text(status.source.name, *doubt, "every promise"), "red") for doubt in doubts.items()]
    parts += [Text(note, "yellow") for note in status.notes]
    if status.group is not None and status.group.members:
        parts += [Text(), member_table(status)]
    if status.partitions:
        parts += [Text(), partition_table(status)]
    if any(each.running is not None for each in status.partitions):
        parts += [Text(), running_table([each.running for each in status.partitions])]
    return Lines(*parts)


def head(status: Status) -> list[str]:
    """What holds for the application as a whole."""
    source = status.source
    settle = f", settle {format_duration(source.settle_ms)}" if source.frontier == "clock" else ""
    book = f"{status.book_path} ({status.book_digest[:SHORT_DIGITS]})"
    partitions = plural(len(status.partitions), "partition")
    lines = [
        f"application {status.app_id}, book {book}, at {format_instant(status.at)}",
        f"source {source.name}: topic {source.topic}, {partitions}, frontier by {source.frontier}{settle}",
        group_text(status),
    ]
    if status.partitions:
        lag = UNKNOWN if status.lag is None else f"{status.lag:,}"
        lines.append(f"lag {lag}; complete until {frontier_text(status.frontier, status.at)}")
        lines.append(
            f"last breach: {breach_text(status.last_breach)}; dead letters: {letters_text(status.dead_letters)}"
        )
    return lines


def group_text(status: Status) -> str:
    """The consumer group in one line."""
    return "consumer group: not told" if status.group is None else members_text(status.app_id, status.group, "worker")


def members_text(app_id: str, group: Group, what: str) -> str:
    """A consumer group and how many `what` are in it."""
    members = plural(len(group.members), "member") if group.members else f"no members: no {what} runs"
    return f"consumer group {app_id}: {group.state}, {members}"


def plural(count: int, what: str) -> str:
    """`1 member`, `3 members`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def frontier_text(frontier: int | None, now_ms: int) -> str:
    """An instant, and how long ago that is."""
    return "no instant yet" if frontier is None else f"{format_instant(frontier)}, {behind_text(now_ms - frontier)}"


def behind_text(behind_ms: int) -> str:
    """How far behind now an instant is; a source of the future is a demonstration, or a clock that is wrong."""
    return f"{span_text(behind_ms)} behind" if behind_ms >= 0 else f"{span_text(-behind_ms)} ahead"


def breach_text(breach: LastBreach | None) -> str:
    """When the newest breach was published, and of which promise."""
    return "none found" if breach is None else f"{breach.promise} at {format_instant(breach.published_at)}"


def letters_text(letters: DeadLetters | None) -> str:
    """How many, and the newest one."""
    if letters is None:
        return "none"
    count = f"{letters.count:,}" if letters.exact else f"at most {letters.count:,}"
    return f"{count} (last {letters.newest_reason} at {format_instant(letters.newest_at)})"


def member_table(status: Status) -> Table:
    """A row a worker."""
    table = a_table("worker", "client id", "host")
    table.add_column("partitions", overflow="fold")
    assert status.group is not None, "asked only with members"
    for member in status.group.members:
        table.add_row(member.name, member.client_id, member.host, ", ".join(map(str, member.partitions)) or UNKNOWN)
    return table


def partition_table(status: Status) -> Table:
    """A row a partition."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("partition", "end", "processed", "lag"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("complete until", "", "waits for", "worker", "last breach", "dead letters"):
        table.add_column(heading, overflow="fold")
    for each in status.partitions:
        table.add_row(*cells(each, status.at), style=COLOURS[each.hold])
    return table


def cells(each: PartitionStatus, now_ms: int) -> list[str]:
    """One row of it. What is not written down anywhere, but follows, is marked with `~`."""
    frontier = behind = UNKNOWN
    if each.frontier is not None:
        frontier = ("~" if each.inferred else "") + format_instant(each.frontier)
        behind = behind_text(now_ms - each.frontier)
    breach, letters = each.last_breach, each.dead_letters
    return [
        str(each.partition),
        f"{each.log.end:,}",
        number(each.processed),
        number(each.lag),
        frontier,
        behind,
        waits_text(each),
        UNKNOWN if each.owner is None else each.owner.name,
        UNKNOWN if breach is None else breach_text(breach),
        "0" if letters is None else f"{'' if letters.exact else '<= '}{letters.count:,}",
    ]


def waits_text(each: PartitionStatus) -> str:
    """What the frontier waits for; the source partition is named where it is not all of them alike."""
    return f"{each.source_partition}: {hold_words(each.hold, each.log, each.doubt)}"


def hold_words(hold: Hold, log: Log, doubt: Doubt | None = None) -> str:
    """What a partition with these offsets waits for; of doubt, its reason and since when."""
    words = WAITS_FOR[hold].format(readable=log.readable, beginning=log.beginning)
    if hold is not Hold.DOUBT or doubt is None:
        return words
    return f"{words}: {doubt.reason} since {format_instant(doubt.since)}"


def doubt_text(source: str, reason: str, since: int, held: str) -> str:
    """Why a source is in doubt since an instant, and what that holds."""
    why = DOUBTS.get(reason, reason)
    return f"source {source} is in doubt ({reason}) since {format_instant(since)}: {why}; it holds {held}"


def earliest(doubts: Iterable[Doubt | None]) -> dict[str, int]:
    """The reasons for doubt about a source's partitions, each with the first instant (UTC ms)."""
    found: dict[str, int] = {}
    for doubt in doubts:
        if doubt is not None:
            found[doubt.reason] = min(doubt.since, found.get(doubt.reason, doubt.since))
    return found


def doubt_json(doubt: Doubt | None) -> dict[str, Any] | None:
    return None if doubt is None else {"reason": doubt.reason, "since": format_instant(doubt.since)}


def number(found: int | None) -> str:
    """A count that may not be known."""
    return UNKNOWN if found is None else f"{found:,}"


def running_table(partitions: Iterable[Running | None]) -> Table:
    """A row a promise: how many are running, in all partitions that could be counted."""
    table = a_table("running promises")
    table.add_column("count", justify="right", no_wrap=True)
    counted = [running for running in partitions if running is not None]
    names = sorted({name for each in counted for name in each.promises})
    for name in names:
        table.add_row(name, f"{sum(each.promises.get(name, 0) for each in counted):,}")
    table.add_row("subjects with a timer", f"{sum(each.subjects for each in counted):,}")
    return table


def status_json(status: Status) -> dict[str, Any]:
    """One document for programs. Instants are RFC 3339, spans milliseconds."""
    source = status.source
    return {
        "ok": status.code == 0,
        "at": format_instant(status.at),
        "app_id": status.app_id,
        "book": {"path": status.book_path, "digest": status.book_digest},
        "source": {
            "name": source.name,
            "topic": source.topic,
            "partitions": len(status.partitions),
            "frontier": source.frontier,
            "settle_ms": source.settle_ms,
        },
        "group": group_json(status.group),
        "missing": status.missing,
        "differing": status.differing,
        "notes": status.notes,
        "lag": status.lag,
        "frontier": instant(status.frontier),
        "last_breach": breach_json(status.last_breach),
        "dead_letters": letters_json(status.dead_letters),
        "partitions": list(map(partition_json, status.partitions)),
    }


def partition_json(each: PartitionStatus) -> dict[str, Any]:
    """One partition."""
    return {
        "partition": each.partition,
        "beginning": each.log.beginning,
        "readable": each.log.readable,
        "end": each.log.end,
        "processed": each.processed,
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
        "worker": None if each.owner is None else member_json(each.owner),
        "book": each.book,
        "last_breach": breach_json(each.last_breach),
        "dead_letters": letters_json(each.dead_letters),
        "running": running_json(each.running),
    }


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
