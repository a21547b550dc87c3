"""`promisewatch notifier`: one notifier process."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from promisewatch.console import BootstrapOption
from promisewatch.worker import (
    ClockOption,
    InstanceOption,
    LogFormat,
    LogFormatOption,
    SessionOption,
    StateDirOption,
    StoreKind,
    StoreOption,
    TransactionsOption,
)


class ChannelKind(StrEnum):
    """Where notifications go."""

    CONSOLE = "console"


def notifier(
    bootstrap_server: BootstrapOption,
    app_id: Annotated[
        str, typer.Option("--app-id", help="Consumer group and prefix of the changelog topic.")
    ] = "promisewatch-notifier",
    state_dir: StateDirOption = Path("notifier-state"),
    store: StoreOption = StoreKind.ROCKSDB,
    channel: Annotated[ChannelKind, typer.Option("--channel", help="Where notifications go.")] = ChannelKind.CONSOLE,
    max_age: Annotated[
        str, typer.Option("--max-age", help="Breaches older than this are recorded, but nobody is told: 90m, 12h, 7d.")
    ] = "7d",
    clock: ClockOption = "system",
    transactions: TransactionsOption = True,
    instance_id: InstanceOption = None,
    session_timeout: SessionOption = 45.0,
    log_format: LogFormatOption = LogFormat.CONSOLE,
) -> None:
    """Run a notifier: breaches in, somebody told.

    Ends with 75 when it must be started again (nothing is lost, nothing is told twice), 78 when topics or stored state
    do not fit.
    """
    import asyncio

    from agents.channels.console import ConsoleChannel
    from agents.notify import NotifySettings, build_notifier
    from schemas.instants import parse_duration
    from schemas.topics import BREACHES, NOTIFICATIONS, dlq, notifier_changelog
    from streams.app import StreamSettings
    from streams.clock import parse_clock
    from streams.logs import configure_logging
    from streams.preflight import check_copartitioned, connect, partition_counts
    from streams.worker import run

    configure_logging(log_format.value)
    try:
        the_clock = parse_clock(clock)
        notify = NotifySettings(max_age_ms=parse_duration(max_age))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    changelog = notifier_changelog(app_id)

    async def look() -> int:
        offsets = await connect(bootstrap_server)
        try:
            topics = [BREACHES, NOTIFICATIONS, dlq(BREACHES), changelog]
            return check_copartitioned(BREACHES, await partition_counts(offsets, topics))
        finally:
            await offsets.stop()

    settings = StreamSettings(
        bootstrap_server=bootstrap_server,
        app_id=app_id,
        topic=BREACHES,
        changelog=changelog,
        partitions=asyncio.run(look()),
        table="notified",
        state_dir=state_dir,
        store=store.value,
        transactions=transactions,
        instance_id=instance_id,
        session_timeout=session_timeout,
        clock=the_clock,
    )
    channels = {ChannelKind.CONSOLE: ConsoleChannel}
    run(build_notifier(settings, notify, channels[channel]()))
