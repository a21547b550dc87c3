"""What all long-running processes do alike: log, listen, look at the topics, then run until they are asked to stop."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from types import FrameType
from typing import NoReturn, TypeVar

import structlog
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError

from promisewatch import __version__
from promisewatch.settings.shared import MemberSettings, ProcessSettings
from schemas import metrics
from streams.app import BatchApp, StreamSettings
from streams.clock import parse_clock
from streams.failure import identify
from streams.health import Health
from streams.http import HttpServer, Page
from streams.logs import configure_logging
from streams.offsets import LogOffsets
from streams.preflight import check_copartitioned, check_group, connect, partition_counts
from streams.refusals import refusal
from streams.worker import run

log = structlog.get_logger("promisewatch.running")

_Found = TypeVar("_Found")


def begin(settings: ProcessSettings, pages: Sequence[Page] = ()) -> Health:
    """Set up logging and signals, and answer /metrics, /livez, /readyz and what `pages` are from the very start."""
    signal.signal(signal.SIGTERM, _end)  # until the event loop drains in its place, there is nothing to drain
    configure_logging(settings.log_format.value, settings.log_level.value)
    metrics.BUILD_INFO.labels(version=__version__).set(1)
    health = Health(settings.stall_timeout)
    health.phase("starting")
    if settings.http_port != "off":
        HttpServer(health, settings.http_host, settings.http_port, pages).start()
    return health


def run_member(
    settings: MemberSettings,
    health: Health,
    *,
    topic: str,
    topics: Sequence[str],
    changelog: str,
    table: str,
    build: Callable[[StreamSettings], BatchApp],
) -> NoReturn:
    """Wait for the broker, check `topics` against the input `topic`, and run what `build` makes of it.

    Raises SettingsError when Kafka refuses us, TopicsError when topics do not fit, RestartNeeded without a broker.
    """
    connection = replace(
        _connection(settings),
        topic=topic,
        changelog=changelog,
        table=table,
        state_dir=settings.state_dir,
        store=settings.store.value,
        transactions=settings.transactions,
    )

    async def look(offsets: LogOffsets) -> int:
        return check_copartitioned(topic, await partition_counts(offsets, [topic, *topics, changelog]))

    _run(settings, health, connection, look, lambda count: build(connection.with_partitions(count)))


def run_sources(
    settings: ProcessSettings,
    health: Health,
    *,
    topics: Sequence[str],
    build: Callable[[StreamSettings, dict[str, int]], BatchApp],
) -> NoReturn:
    """Wait for the broker, look whether all `topics` are there, and run what `build` makes of their partitions.

    Raises as `run_member`.
    """
    connection = _connection(settings)

    async def look(offsets: LogOffsets) -> dict[str, int]:
        return await partition_counts(offsets, list(topics))

    _run(settings, health, connection, look, lambda counts: build(connection, counts))


def _connection(settings: ProcessSettings) -> StreamSettings:
    return StreamSettings(
        bootstrap_server=settings.bootstrap_server,
        app_id=settings.app_id,
        instance_id=settings.instance_id,
        session_timeout=settings.session_timeout,
        clock=parse_clock(settings.clock),
        security=settings.security,
    )


def _run(
    settings: ProcessSettings,
    health: Health,
    connection: StreamSettings,
    look: Callable[[LogOffsets], Awaitable[_Found]],
    build: Callable[[_Found], BatchApp],
) -> NoReturn:
    identify(connection.client)
    health.phase("waiting for the broker")
    found = asyncio.run(_looked(connection, look))
    health.phase("joining the group")
    app = build(found)
    app.health = health
    run(app, settings.drain_timeout)


async def _looked(connection: StreamSettings, look: Callable[[LogOffsets], Awaitable[_Found]]) -> _Found:
    client = connection.client
    offsets = await connect(client)
    try:
        found = await look(offsets)
        await check_group(client, connection.app_id)
    except GroupCoordinatorNotAvailableError:  # no sign of a refusal, only of a young broker
        return found
    except KafkaError as error:
        raise refusal(error, client) or error from error
    else:
        return found
    finally:
        await offsets.stop()


def _end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 -- the signature of signal handlers
    log.info("asked to stop before anything ran")
    sys.exit(0)
