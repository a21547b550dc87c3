"""How `promisewatch status` shows an ingest and the workers behind it, for people."""

from rich.console import Group as Lines
from rich.table import Table

from promisewatch.console import a_table
from promisewatch.status_sources import SourcesStatus, SourceStatus, ingest_members, worker_members
from promisewatch.status_words import (
    COLOURS,
    UNKNOWN,
    book_text,
    doubt_text,
    earliest,
    frontier_cells,
    hold_words,
    letters_cell,
    members_text,
    name_of,
    offset_cells,
    plural,
    process_table,
    running_tables,
    screen,
    source_text,
    total_lines,
    worked_table,
)
from schemas.instants import format_duration

PROMISES_MAX = 5
"""Promises that are named in a line for people; of more, so many and the number of the rest."""


def rendered_sources(status: SourcesStatus) -> Lines:
    """Everything, for people."""
    return screen(head(status), status, "facts", doubt_lines(status), tables(status))


def head(status: SourcesStatus) -> list[str]:
    """What holds for both applications as a whole."""
    ingest = None if status.ingest is None else next(iter(status.ingest.values()), None)
    return [
        f"application {status.app_id}, ingest {status.ingest_app_id}, {book_text(status)}",
        *map(source_line, status.sources),
        f"facts: topic {status.facts}, {plural(len(status.partitions), 'partition')}",
        "ingest's group: not told" if ingest is None else members_text(status.ingest_app_id, ingest, "ingest"),
        "workers' group: not told" if status.group is None else members_text(status.app_id, status.group, "worker"),
        *total_lines(status),
    ]


def tables(status: SourcesStatus) -> list[Table]:
    """Source partitions, groups of promises, facts partitions, processes and running promises, where there are any."""
    found = []
    if any(source.partitions for source in status.sources):
        found.append(source_table(status))
    if status.groups:
        found.append(group_table(status))
    if status.partitions:
        found.append(facts_table(status))
    processes = [*ingest_members(status), *worker_members(status)]
    if processes:
        found.append(process_table("process", processes))
    return [*found, *running_tables(status.partitions)]


def source_line(status: SourceStatus) -> str:
    """What the book says of a source, its heartbeat included."""
    heartbeat_ms = status.source.heartbeat_ms
    heartbeat = "" if heartbeat_ms is None else f", heartbeat {format_duration(heartbeat_ms)}"
    return source_text(status.source, len(status.partitions)) + heartbeat


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
                *offset_cells(each),
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
    rows = []
    for each in status.partitions:
        waits = f"{each.waits_for or f'facts/{each.partition}'}: {hold_words(each.hold, each.log)}"
        rows.append((each, frontier_cells(each.frontier, status.at), waits))
    return worked_table("facts", rows)
