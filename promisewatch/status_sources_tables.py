"""How `promisewatch status` shows an ingest and the workers behind it, for people and for programs."""

from typing import Any

from rich.console import Group as Lines
from rich.table import Table
from rich.text import Text

from promises.rules import ALWAYS
from promisewatch.console import a_table
from promisewatch.status_sources import FactsPartitionStatus, SourcePartitionStatus, SourcesStatus, SourceStatus
from promisewatch.status_tables import (
    COLOURS,
    UNKNOWN,
    behind_text,
    breach_json,
    breach_text,
    doubt_json,
    doubt_text,
    earliest,
    frontier_text,
    group_json,
    hold_words,
    instant,
    letters_json,
    letters_text,
    member_json,
    members_text,
    number,
    plural,
    running_json,
    running_table,
)
from promisewatch.statuses import DeadLetters
from schemas.editions import SHORT_DIGITS
from schemas.instants import format_duration, format_instant
from streams.observing import Member

PROMISES_MAX = 5
"""Promises that are named in a line for people; of more, so many and the number of the rest."""


def rendered_sources(status: SourcesStatus) -> Lines:
    """Everything, for people."""
    parts: list[Any] = [Text(line) for line in head(status)]
    parts += [Text(f"there is no topic {topic}; 'promisewatch topics create' makes it", "red")
              for topic in status.missing]  # fmt: skip
    parts += [Text(f"{each}, expected {len(status.partitions)} as the facts topic", "red") for each in status.differing]
    parts += [Text(line, "red") for line in doubt_lines(status)]
    parts += [Text(note, "yellow") for note in status.notes]
    if any(source.partitions for source in status.sources):
        parts += [Text(), source_table(status)]
    if status.groups:
        parts += [Text(), group_table(status)]
    if status.partitions:
        parts += [Text(), facts_table(status)]
    members = member_table(status)
    if members.row_count:
        parts += [Text(), members]
    if any(each.running is not None for each in status.partitions):
        parts += [Text(), running_table([each.running for each in status.partitions])]
    return Lines(*parts)


def head(status: SourcesStatus) -> list[str]:
    """What holds for both applications as a whole."""
    book = f"{status.book_path} ({status.book_digest[:SHORT_DIGITS]})"
    ingest = None if status.ingest is None else next(iter(status.ingest.values()), None)
    lines = [
        f"application {status.app_id}, ingest {status.ingest_app_id}, book {book}, at {format_instant(status.at)}",
        *map(source_text, status.sources),
        f"facts: topic {status.facts}, {plural(len(status.partitions), 'partition')}",
        "ingest's group: not told" if ingest is None else members_text(status.ingest_app_id, ingest, "ingest"),
        "workers' group: not told" if status.group is None else members_text(status.app_id, status.group, "worker"),
    ]
    if status.partitions:
        lag = UNKNOWN if status.lag is None else f"{status.lag:,}"
        lines.append(f"lag {lag}; complete until {frontier_text(status.frontier, status.at)}")
        letters = letters_text(status.dead_letters)
        lines.append(f"last breach: {breach_text(status.last_breach)}; dead letters: {letters}")
    return lines


def source_text(status: SourceStatus) -> str:
    """What the book says of a source."""
    source = status.source
    settle = f", settle {format_duration(source.settle_ms)}" if source.frontier == "clock" else ""
    heartbeat = "" if source.heartbeat_ms is None else f", heartbeat {format_duration(source.heartbeat_ms)}"
    partitions = plural(len(status.partitions), "partition")
    return f"source {source.name}: topic {source.topic}, {partitions}, frontier by {source.frontier}{settle}{heartbeat}"


def doubt_lines(status: SourcesStatus) -> list[str]:
    """A line for each source and reason for doubt about it, with the promises that it holds."""
    return [
        doubt_text(one.source.name, reason, since, promises_text(status.held_by(one.source.name)))
        for one in status.sources
        for reason, since in earliest(each.doubt for each in one.partitions).items()
    ]


def promises_text(promises: tuple[str, ...]) -> str:
    """`confirm-15m, handover-4h and 3 more`."""
    if not promises:
        return "no promise"
    named, rest = ", ".join(promises[:PROMISES_MAX]), len(promises) - PROMISES_MAX
    return f"{named} and {rest:,} more" if rest > 0 else named


def source_table(status: SourcesStatus) -> Table:
    """A row a source partition."""
    table = a_table("source")
    for heading in ("end", "processed", "lag"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("complete until", "", "waits for", "ingest", "dead letters"):
        table.add_column(heading, overflow="fold")
    for source in status.sources:
        for each in source.partitions:
            table.add_row(
                each.name,
                f"{each.log.end:,}",
                number(each.processed),
                number(each.lag),
                *frontier_cells(each.frontier, status.at),
                hold_words(each.hold, each.log, each.doubt),
                name_of(each.owner),
                letters_cell(each.dead_letters),
                style=COLOURS[each.hold],
            )
    return table


def group_table(status: SourcesStatus) -> Table:
    """A row for promises that wait for the same sources."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("promises", "wait for", "complete until", "", "because of"):
        table.add_column(heading, overflow="fold")
    for group in status.groups:
        sources = ", ".join(group.sources) or UNKNOWN
        behind = frontier_cells(group.frontier, status.at)
        table.add_row(promises_text(group.promises), sources, *behind, group.waits_for or UNKNOWN)
    return table


def facts_table(status: SourcesStatus) -> Table:
    """A row a partition of the facts topic."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("facts", "end", "processed", "lag"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("complete until", "", "waits for", "worker", "last breach", "dead letters"):
        table.add_column(heading, overflow="fold")
    for each in status.partitions:
        table.add_row(
            str(each.partition),
            f"{each.log.end:,}",
            number(each.processed),
            number(each.lag),
            *frontier_cells(each.frontier, status.at),
            f"{each.waits_for or f'facts/{each.partition}'}: {hold_words(each.hold, each.log)}",
            name_of(each.owner),
            UNKNOWN if each.last_breach is None else breach_text(each.last_breach),
            letters_cell(each.dead_letters),
            style=COLOURS[each.hold],
        )
    return table


def member_table(status: SourcesStatus) -> Table:
    """A row a process, with what it has."""
    table = a_table("process", "client id", "host")
    table.add_column("partitions", overflow="fold")
    for name, member, has in (*ingest_members(status), *worker_members(status)):
        table.add_row(name, member.client_id, member.host, has or UNKNOWN)
    return table


def ingest_members(status: SourcesStatus) -> list[tuple[str, Member, str]]:
    """Every ingest process, with the source partitions that it has."""
    has: dict[str, list[str]] = {}
    members: dict[str, Member] = {}
    for source in status.sources:
        group = None if status.ingest is None else status.ingest.get(source.source.topic)
        for member in () if group is None else group.members:
            members[member.member_id] = member
            partitions = has.setdefault(member.member_id, [])
            partitions += [f"{source.source.name}/{partition}" for partition in member.partitions]
    return [(member.name, member, ", ".join(has[key])) for key, member in members.items()]


def worker_members(status: SourcesStatus) -> list[tuple[str, Member, str]]:
    """Every worker, with the facts partitions that it has."""
    members = () if status.group is None else status.group.members
    return [
        (member.name, member, ", ".join(f"facts/{partition}" for partition in member.partitions)) for member in members
    ]


def frontier_cells(frontier: int | None, now_ms: int) -> tuple[str, str]:
    """An instant, and how long ago it is."""
    return (UNKNOWN, UNKNOWN) if frontier is None else (format_instant(frontier), behind_text(now_ms - frontier))


def name_of(member: Member | None) -> str:
    return UNKNOWN if member is None else member.name


def letters_cell(letters: DeadLetters | None) -> str:
    """Their number."""
    return "0" if letters is None else f"{'' if letters.exact else '<= '}{letters.count:,}"


def sources_json(status: SourcesStatus) -> dict[str, Any]:
    """One document for programs. Instants are RFC 3339, spans milliseconds."""
    ingest = None if status.ingest is None else next(iter(status.ingest.values()), None)
    return {
        "ok": status.code == 0,
        "at": format_instant(status.at),
        "app_id": status.app_id,
        "book": {"path": status.book_path, "digest": status.book_digest},
        "facts": {"topic": status.facts, "partitions": len(status.partitions)},
        "ingest": {
            "app_id": status.ingest_app_id,
            "state": None if ingest is None else ingest.state,
            "members": [{"name": name, "partitions": has.split(", ") if has else []}
                        for name, _, has in ingest_members(status)],
        },
        "group": group_json(status.group),
        "missing": status.missing,
        "differing": status.differing,
        "notes": status.notes,
        "lag": status.lag,
        "frontier": instant(status.frontier),
        "last_breach": breach_json(status.last_breach),
        "dead_letters": letters_json(status.dead_letters),
        "sources": [source_json(source, status) for source in status.sources],
        "groups": [
            {
                "sources": group.sources,
                "promises": group.promises,
                "frontier": instant(group.frontier),
                "source_partition": group.waits_for,
            }
            for group in status.groups
        ],
        "partitions": list(map(facts_partition_json, status.partitions)),
    }  # fmt: skip


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


def source_partition_json(each: SourcePartitionStatus) -> dict[str, Any]:
    """One partition of a source."""
    gap = each.gap
    return {
        "partition": each.partition,
        "name": each.name,
        "beginning": each.log.beginning,
        "readable": each.log.readable,
        "end": each.log.end,
        "processed": each.processed,
        "lag": each.lag,
        "frontier": {"instant": instant(each.frontier), "behind_ms": each.behind_ms, "waits_for": each.hold.value},
        "doubt": doubt_json(each.doubt),
        "gap": None if gap is None else {"from": since_json(gap[0]), "until": format_instant(gap[1])},
        "ingest": None if each.owner is None else each.owner.name,
        "book": each.book,
        "dead_letters": letters_json(each.dead_letters),
    }


def since_json(at: int) -> str | None:
    """An instant from which something holds, None if it has held always."""
    return None if at <= ALWAYS else format_instant(at)


def facts_partition_json(each: FactsPartitionStatus) -> dict[str, Any]:
    """One partition of the facts topic."""
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
            "behind_ms": each.behind_ms,
            "source_partition": each.waits_for,
            "waits_for": each.hold.value,
        },
        "worker": None if each.owner is None else member_json(each.owner),
        "book": each.book,
        "last_breach": breach_json(each.last_breach),
        "dead_letters": letters_json(each.dead_letters),
        "running": running_json(each.running),
    }
