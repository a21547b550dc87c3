"""What worker and notifier do alike: log, listen, look at the topics, then run until they are asked to stop."""

import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import NoReturn

import structlog
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError

from promisewatch import __version__
from promisewatch.settings import MemberSettings
from schemas import metrics
from streams.app import BatchApp, StreamSettings
from streams.clock import parse_clock
from streams.failure import identify
from streams.health import Health
from streams.http import HttpServer
from streams.logs import configure_logging
from streams.preflight import check_copartitioned, check_group, connect, partition_counts
from streams.refusals import refusal
from streams.worker import run

log = structlog.get_logger("promisewatch.running")


def begin(settings: MemberSettings) -> Health:
    """Set up logging and signals, and answer /metrics, /livez and /readyz from the very start."""
    signal.signal(signal.SIGTERM, _end)  # until the event loop drains in its place, there is nothing to drain
    configure_logging(settings.log_format.value, settings.log_level.value)
    metrics.BUILD_INFO.labels(version=__version__).set(1)
    health = Health(settings.stall_timeout)
    health.phase("starting")
    if settings.http_port != "off":
        HttpServer(health, settings.http_host, settings.http_port).start()
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
    connection = StreamSettings(
        bootstrap_server=settings.bootstrap_server,
        app_id=settings.app_id,
        topic=topic,
        changelog=changelog,
        partitions=0,
        table=table,
        state_dir=settings.state_dir,
        store=settings.store.value,
        transactions=settings.transactions,
        instance_id=settings.instance_id,
        session_timeout=settings.session_timeout,
        clock=parse_clock(settings.clock),
        security=settings.security,
    )
    identify(connection.client)
    health.phase("waiting for the broker")
    partitions = asyncio.run(_look(connection, topic, [topic, *topics, changelog]))
    health.phase("joining the group")
    app = build(connection.with_partitions(partitions))
    app.health = health
    run(app, settings.drain_timeout)


async def _look(connection: StreamSettings, topic: str, topics: list[str]) -> int:
    client = connection.client
    offsets = await connect(client)
    try:
        partitions = check_copartitioned(topic, await partition_counts(offsets, topics))
        await check_group(client, connection.app_id)
    except GroupCoordinatorNotAvailableError:  # no sign of a refusal, only of a young broker
        return partitions
    except KafkaError as error:
        raise refusal(error, client) or error from error
    else:
        return partitions
    finally:
        await offsets.stop()


def _end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 -- the signature of signal handlers
    log.info("asked to stop before anything ran")
    sys.exit(0)
