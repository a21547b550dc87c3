"""`promisewatch worker`: one detector process."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from promisewatch.console import BookOption, BootstrapOption


class StoreKind(StrEnum):
    """Where a worker keeps its copy of the state."""

    ROCKSDB = "rocksdb"
    MEMORY = "memory"


class LogFormat(StrEnum):
    """How log lines are written to standard error."""

    CONSOLE = "console"
    JSON = "json"


AppIdOption = Annotated[str, typer.Option("--app-id", help="Consumer group and prefix of the changelog topic.")]
StateDirOption = Annotated[Path, typer.Option("--state-dir", help="Folder of the local state, one a process.")]
StoreOption = Annotated[StoreKind, typer.Option("--store", help="Local state on disk or in memory only.")]
ClockOption = Annotated[
    str, typer.Option("--clock", help="'system', or 'scaled:<real ms>:<simulated ms>:<factor>' for demonstrations.")
]
LogFormatOption = Annotated[LogFormat, typer.Option("--log-format", help="Log lines for people or for machines.")]
TransactionsOption = Annotated[
    bool,
    typer.Option(
        "--transactions/--no-transactions",
        help="Write exactly once. Without: for brokers that have no transactions; a crash can publish an event twice.",
    ),
]
InstanceOption = Annotated[
    str | None,
    typer.Option(
        "--instance-id", help="Static group membership: a restart under one id has its partitions back at once."
    ),
]
SessionOption = Annotated[
    float, typer.Option("--session-timeout", min=1.0, help="Seconds without a heartbeat until partitions move on.")
]


def worker(
    book: BookOption,
    bootstrap_server: BootstrapOption,
    app_id: AppIdOption = "promisewatch",
    state_dir: StateDirOption = Path("state"),
    store: StoreOption = StoreKind.ROCKSDB,
    since: Annotated[
        str | None,
        typer.Option("--since", help="RFC 3339 instant before which nothing opens (default: what the log can prove)."),
    ] = None,
    clock: ClockOption = "system",
    transactions: TransactionsOption = True,
    instance_id: InstanceOption = None,
    session_timeout: SessionOption = 45.0,
    log_format: LogFormatOption = LogFormat.CONSOLE,
) -> None:
    """Run a detector: events in, proved breaches out.

    Ends with 75 when it must be started again (broker away, partition taken over: nothing is lost), 78 when topics,
    settings or stored state do not fit, 65 when the book has errors.
    """
    import asyncio

    from agents.detect import DetectSettings, build_detector
    from schemas.book import load_book
    from schemas.instants import parse_instant
    from schemas.topics import BREACHES, OUTCOMES, changelog, dlq
    from streams.app import StreamSettings
    from streams.clock import parse_clock
    from streams.logs import configure_logging
    from streams.preflight import check_copartitioned, connect, partition_counts
    from streams.worker import run

    configure_logging(log_format.value)
    loaded = load_book(book)
    source = next(iter(loaded.sources.values()))
    try:
        the_clock = parse_clock(clock)
        since_ms = None if since is None else parse_instant(since, None)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error

    async def look() -> int:
        offsets = await connect(bootstrap_server)
        try:
            topics = [source.topic, dlq(source.topic), BREACHES, OUTCOMES, changelog(app_id)]
            return check_copartitioned(source.topic, await partition_counts(offsets, topics))
        finally:
            await offsets.stop()

    settings = StreamSettings(
        bootstrap_server=bootstrap_server,
        app_id=app_id,
        topic=source.topic,
        changelog=changelog(app_id),
        partitions=asyncio.run(look()),
        state_dir=state_dir,
        store=store.value,
        transactions=transactions,
        instance_id=instance_id,
        session_timeout=session_timeout,
        clock=the_clock,
    )
    run(build_detector(loaded, settings, DetectSettings(since=since_ms)))
