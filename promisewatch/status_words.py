"""What both screens of `promisewatch status` are made of: lines, cells and tables for people."""

from collections.abc import Iterable
from typing import Any

from rich.console import Group as Lines
from rich.table import Table
from rich.text import Text

from promises.wording import span_text
from promisewatch.console import a_table
from promisewatch.statuses import DeadLetters, Hold, LastBreach, Log, Look, ReadPartition, WorkedPartition
from schemas.book_model import Source
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


def screen(lines: Iterable[str], status: Look, read: str, doubts: Iterable[str], tables: Iterable[Table]) -> Lines:
    """The whole screen: `lines`, what is wrong, what a person has to know, and tables.

    `read` says which topic's partitions the others are compared with.
    """
    parts: list[Any] = [Text(line) for line in lines]
    parts += [Text(f"there is no topic {topic}; 'promisewatch topics create' makes it", "red")
              for topic in status.missing]  # fmt: skip
    parts += [Text(f"{each}, expected {len(status.partitions)} as the {read} topic", "red")
              for each in status.differing]  # fmt: skip
    parts += [Text(doubt, "red") for doubt in doubts]
    parts += [Text(note, "yellow") for note in status.notes]
    for table in tables:
        parts += [Text(), table]
    return Lines(*parts)


def book_text(status: Look) -> str:
    """Which book, and when it was looked."""
    return f"book {status.book_path} ({status.book_digest[:SHORT_DIGITS]}), at {format_instant(status.at)}"


def source_text(source: Source, partitions: int) -> str:
    """What the book says of a source."""
    settle = f", settle {format_duration(source.settle_ms)}" if source.frontier == "clock" else ""
    topic = f"topic {source.topic}, {plural(partitions, 'partition')}"
    return f"source {source.name}: {topic}, frontier by {source.frontier}{settle}"


def total_lines(status: Look) -> list[str]:
    """What holds for all partitions together."""
    if not status.partitions:
        return []
    lag, complete = number(status.lag), frontier_text(status.frontier, status.at)
    breach, letters = breach_text(status.last_breach), letters_text(status.dead_letters)
    return [f"lag {lag}; complete until {complete}", f"last breach: {breach}; dead letters: {letters}"]


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


def number(found: int | None) -> str:
    """A count that may not be known."""
    return UNKNOWN if found is None else f"{found:,}"


def process_table(heading: str, processes: Iterable[tuple[Member, Iterable[str]]]) -> Table:
    """A row a process, with the partitions that it has."""
    table = a_table(heading, "client id", "host")
    table.add_column("partitions", overflow="fold")
    for member, partitions in processes:
        table.add_row(member.name, member.client_id, member.host, ", ".join(partitions) or UNKNOWN)
    return table


def worked_table(heading: str, rows: Iterable[tuple[WorkedPartition, tuple[str, str], str]]) -> Table:
    """A row a partition that a worker has: which one, up to when it is complete, and what that waits for."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in (heading, "end", "processed", "lag"):
        table.add_column(title, justify="right", no_wrap=True)
    for title in ("complete until", "", "waits for", "worker", "last breach", "dead letters"):
        table.add_column(title, overflow="fold")
    for each, frontier, waits in rows:
        table.add_row(
            str(each.partition),
            *offset_cells(each),
            *frontier,
            waits,
            name_of(each.owner),
            UNKNOWN if each.last_breach is None else breach_text(each.last_breach),
            letters_cell(each.dead_letters),
            style=COLOURS[each.hold],
        )
    return table


def offset_cells(each: ReadPartition) -> tuple[str, str, str]:
    """End, processed, lag."""
    return f"{each.log.end:,}", number(each.processed), number(each.lag)


def frontier_cells(frontier: int | None, now_ms: int, mark: str = "") -> tuple[str, str]:
    """An instant with `mark` before it, and how long ago it is."""
    if frontier is None:
        return UNKNOWN, UNKNOWN
    return mark + format_instant(frontier), behind_text(now_ms - frontier)


def name_of(member: Member | None) -> str:
    return UNKNOWN if member is None else member.name


def letters_cell(letters: DeadLetters | None) -> str:
    """Their number."""
    return "0" if letters is None else f"{'' if letters.exact else '<= '}{letters.count:,}"


def running_tables(partitions: Iterable[WorkedPartition]) -> list[Table]:
    """A row a promise: how many are running, in all partitions that were counted. No table where none was."""
    counted = [each.running for each in partitions if each.running is not None]
    if not counted:
        return []
    table = a_table("running promises")
    table.add_column("count", justify="right", no_wrap=True)
    for name in sorted({name for each in counted for name in each.promises}):
        table.add_row(name, f"{sum(each.promises.get(name, 0) for each in counted):,}")
    table.add_row("subjects with a timer", f"{sum(each.subjects for each in counted):,}")
    return [table]
