"""The Faust app: who owns which partition, and when. Everything else is in the modules it wires."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias, cast

import faust
import mode
from aiokafka.errors import KafkaError
from mode.utils.objects import cached_property

from streams.clock import Clock, SteadyClock, SystemClock
from streams.emit import Outgoing, PartitionProducer
from streams.failure import end_process
from streams.headernames import accept_every_header_name
from streams.health import Health, HealthWatch
from streams.intake import BatchConsumer, BatchTopic, BatchTransport
from streams.offsets import LogOffsets
from streams.partitions import PartitionHandler, Partitions
from streams.recovery import BatchTableManager, PartitionTable
from streams.restore import restore
from streams.security import NO_SECURITY, KafkaSecurity
from streams.store import MemoryStore, PartitionStore, RocksStore, made_folder
from streams.topicwatch import TopicWatch

METADATA_MAX_AGE_MS = 10_000
"""How old a consumer's picture of the topics may get. A broker that has just come back tells of none for a moment; a
group that forms then has no partitions, and forms anew only when it hears of them: after five minutes by default.
"""


@dataclass(frozen=True)
class StreamSettings:
    """How a worker talks to Kafka and where it keeps its state. Durations are seconds unless named otherwise."""

    bootstrap_server: str
    app_id: str
    topic: str
    changelog: str
    partitions: int
    table: str = "records"
    state_dir: Path = Path("state")
    store: str = "rocksdb"
    transactions: bool = True
    instance_id: str | None = None
    session_timeout: float = 45.0
    ack_timeout: float = 30.0
    rebalance_timeout: float = 60.0
    tick_interval: float = 0.1
    records_in_hand_max: int = 50_000
    poll_records_max: int = 4_000
    fetch_max_wait_ms: int = 50
    clock: Clock = field(default_factory=SystemClock)
    security: KafkaSecurity = NO_SECURITY

    def with_partitions(self, partitions: int) -> "StreamSettings":
        """Return the same settings for an input topic with this many partitions."""
        return replace(self, partitions=partitions)

    @property
    def client(self) -> dict[str, Any]:
        """Settings of every Kafka client besides Faust's own."""
        return {"bootstrap_servers": self.bootstrap_server, "client_id": self.app_id, **self.security.aiokafka()}


OpenPartition: TypeAlias = Callable[["BatchApp", int, PartitionProducer], Awaitable[PartitionHandler]]
"""Makes the handler of one owned partition, its producer started and its state restored."""


class BatchApp(faust.App):
    """A Faust app whose agent gets batches and whose state is opened partition by partition."""

    settings: StreamSettings
    partitions: Partitions
    offsets: LogOffsets
    store: PartitionStore
    clock: Clock
    health: Health
    read_committed = True
    fetch_max_wait_ms = 50
    records_in_hand_max = 50_000
    services: list[mode.Service]

    def on_init_dependencies(self) -> Any:
        """Start our services before Faust's, so that nothing races the first batch."""
        return [*self.services, *super().on_init_dependencies()]

    def _new_transport(self) -> Any:
        return BatchTransport(self.conf.broker_consumer, self)

    @property
    def batch_consumer(self) -> BatchConsumer:
        """The consumer, typed."""
        return cast("BatchConsumer", self.consumer)

    def producer_for(self, partition: int) -> PartitionProducer:
        """Return a producer for one partition; starting it fences every earlier one."""
        settings = self.settings
        return PartitionProducer(
            settings.client,
            partition,
            transactional_id=f"{settings.app_id}-{settings.topic}-{partition}" if settings.transactions else None,
            ack_timeout=settings.ack_timeout,
        )

    def remember(self, partition: int, changes: Sequence[Outgoing], offset: int) -> None:
        """Bring the local store up to what was just committed to the changelog, up to `offset`."""
        written = {change.key: change.value for change in changes if change.key is not None}
        self.store.write(partition, written, offset, SystemClock().now_ms())

    def done(self, batches: Sequence[Any]) -> None:
        """Make room for more: the application is through with these batches."""
        self.batch_consumer.done(batches)

    @cached_property
    def steady_clock(self) -> SteadyClock:
        """The settings' clock, guarded against steps."""
        return SteadyClock(self.settings.clock)


class Ticker(mode.Service):
    """Calls `beat` again and again while partitions are open and nothing is being rebalanced."""

    def __init__(self, app: BatchApp, beat: Callable[[], Awaitable[None]], interval: float, **kwargs: Any) -> None:
        """Call `beat` every `interval` seconds."""
        super().__init__(**kwargs)
        self._app = app
        self._beat = beat
        self._interval = interval

    @mode.Service.task
    async def _run(self) -> None:
        while not self.should_stop:
            await self.sleep(self._interval)
            if not self._app.partitions.lanes or self._app.rebalancing or self._app.in_recovery:
                continue
            try:
                await self._beat()
            except asyncio.CancelledError:
                raise
            except (KafkaError, TimeoutError, OSError) as error:
                # Nobody moves the frontier while the broker is away: late, never wrong.
                self.log.warning("tick postponed: %r", error)
            except BaseException as error:  # noqa: BLE001 -- a timer that dies silently misses breaches
                end_process("timer", error)


class Connections(mode.Service):
    """Starts what has to be there before the first rebalance, and stops it last."""

    def __init__(self, app: BatchApp, **kwargs: Any) -> None:
        """Hold the app."""
        super().__init__(**kwargs)
        self._app = app

    async def on_first_start(self) -> None:
        """Connect the offset reader."""
        await self._app.offsets.start()

    async def on_stop(self) -> None:
        """Let go of everything."""
        await self._app.partitions.close()
        await self._app.offsets.stop()
        for partition in self._app.store.partitions():
            self._app.store.drop(partition)


class Opening:
    """How owned partitions come about: fenced and restored together, then opened one by one."""

    def __init__(self, app: BatchApp, open_partition: OpenPartition) -> None:
        """Open each with `open_partition`."""
        self._app = app
        self._open_partition = open_partition

    async def handlers(self, owned: set[int]) -> dict[int, PartitionHandler]:
        """Return a handler for each owned partition; lets go of what is no longer owned."""
        store = self._app.store
        for partition in store.partitions() - owned:
            store.drop(partition)
        producers = {partition: self._app.producer_for(partition) for partition in owned}
        try:
            return await self._open(producers)
        except BaseException:  # also when asked to stop while opening
            await asyncio.gather(*(producer.stop() for producer in producers.values()), return_exceptions=True)
            raise

    async def _open(self, producers: dict[int, PartitionProducer]) -> dict[int, PartitionHandler]:
        app, settings = self._app, self._app.settings
        await asyncio.gather(*(producer.start() for producer in producers.values()))
        progressed = app.health.progressed
        await restore(settings.client, app.offsets, app.store, settings.changelog, set(producers), progressed)
        return {p: await self._open_partition(app, p, producer) for p, producer in sorted(producers.items())}


def build_app(
    settings: StreamSettings,
    open_partition: OpenPartition,
    beat: Callable[[BatchApp], Awaitable[None]] | None = None,
) -> BatchApp:
    """Wire an app that reads `settings.topic` and opens each owned partition with `open_partition`.

    `beat`, if given, is called every `settings.tick_interval` while partitions are open.
    """
    made_folder(settings.state_dir)
    accept_every_header_name()
    app = _faust_app(settings)
    app.settings = settings
    app.clock = app.steady_clock
    app.read_committed = settings.transactions
    app.fetch_max_wait_ms = settings.fetch_max_wait_ms
    app.records_in_hand_max = settings.records_in_hand_max
    app.health = Health()
    app.offsets = LogOffsets(settings.client)
    app.store = MemoryStore() if settings.store == "memory" else RocksStore(settings.state_dir / settings.table)
    opening = Opening(app, open_partition)
    app.partitions = Partitions(settings.topic, opening.handlers, app.done)
    app.tables.add(
        PartitionTable(app, name=settings.table, changelog=settings.changelog, partitions=settings.partitions)
    )
    _feed_partitions(app)
    app.services = [Connections(app), HealthWatch(app), TopicWatch(app)]
    if beat is not None:
        app.services.append(Ticker(app, lambda: beat(app), settings.tick_interval))
    return app


def _faust_app(settings: StreamSettings) -> BatchApp:
    """Spell the settings as Faust does, with our adapters in the place of its parts."""
    return BatchApp(
        settings.app_id,
        broker=";".join(f"kafka://{server.strip()}" for server in settings.bootstrap_server.split(",")),
        broker_credentials=credentials(settings.security),
        store="memory://",
        datadir=settings.state_dir / "faust",
        TableManager=BatchTableManager,
        Topic=BatchTopic,
        topic_partitions=settings.partitions,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        web_enabled=False,
        broker_max_poll_records=settings.poll_records_max,
        broker_session_timeout=settings.session_timeout,
        broker_heartbeat_interval=max(0.5, settings.session_timeout / 10),
        broker_rebalance_timeout=settings.rebalance_timeout,
        broker_request_timeout=max(40.0, settings.session_timeout),
        broker_commit_interval=2.0,
        consumer_auto_offset_reset="earliest",
        consumer_metadata_max_age_ms=METADATA_MAX_AGE_MS,
        consumer_group_instance_id=settings.instance_id,
        stream_wait_empty=True,
        stream_recovery_delay=0.0,
        worker_redirect_stdouts=False,
    )


def _feed_partitions(app: BatchApp) -> None:
    """Have every batch of the input topic handed to the lane of its partition."""
    settings = app.settings
    topic = app.topic(settings.topic, key_type=bytes, value_type=bytes, partitions=settings.partitions)

    @app.agent(topic, name=f"{settings.app_id}.intake", concurrency=1)
    async def intake(stream: Any) -> None:
        async for event in stream.noack().events():
            app.partitions.feed(event.message)
            event.ack()


def credentials(security: KafkaSecurity) -> Any:
    """Return Faust's spelling of the security settings (None: none needed)."""
    context = security.ssl_context()
    if security.protocol.sasl:
        return faust.SASLCredentials(
            username=security.username,
            password=security.password,
            ssl_context=context,
            mechanism=security.mechanism.value,
        )
    return None if context is None else faust.SSLCredentials(context)
