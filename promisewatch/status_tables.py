"""How `promisewatch status` shows a worker that reads its source itself, for people."""

from rich.console import Group as Lines
from rich.table import Table

from promisewatch.status_words import (
    book_text,
    doubt_text,
    earliest,
    frontier_cells,
    hold_words,
    members_text,
    process_table,
    running_tables,
    screen,
    source_text,
    total_lines,
    worked_table,
)
from promisewatch.statuses import PartitionStatus, Status


def rendered(status: Status) -> Lines:
    """Everything, for people."""
    doubts = earliest(each.doubt for each in status.partitions)
    told = [doubt_text(status.source.name, *doubt, "every promise") for doubt in doubts.items()]
    return screen(head(status), status, "source", told, tables(status))


def head(status: Status) -> list[str]:
    """What holds for the application as a whole."""
    group = status.group
    return [
        f"application {status.app_id}, {book_text(status)}",
        source_text(status.source, len(status.partitions)),
        "consumer group: not told" if group is None else members_text(status.app_id, group, "worker"),
        *total_lines(status),
    ]


def tables(status: Status) -> list[Table]:
    """Workers, partitions and running promises, as far as there are any."""
    found = []
    if status.group is not None and status.group.members:
        workers = [(member, map(str, member.partitions)) for member in status.group.members]
        found.append(process_table("worker", workers))
    if status.partitions:
        rows = [(each, instant_cells(each, status.at), waits_text(each)) for each in status.partitions]
        found.append(worked_table("partition", rows))
    return [*found, *running_tables(status.partitions)]


def instant_cells(each: PartitionStatus, now_ms: int) -> tuple[str, str]:
    """Up to when it is complete. What is not written down anywhere, but follows, is marked with `~`."""
    return frontier_cells(each.frontier, now_ms, "~" if each.inferred else "")


def waits_text(each: PartitionStatus) -> str:
    """What the frontier waits for; the source partition is named where it is not all of them alike."""
    return f"{each.source_partition}: {hold_words(each.hold, each.log, each.doubt)}"
