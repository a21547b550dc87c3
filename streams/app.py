"""The Faust app: who owns which partition, and when. Everything else is in the modules it wires."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import faust
import mode
from mode.utils.objects import cached_property

from streams.clock import Clock, SteadyClock, SystemClock
from streams.emit import Outgoing, PartitionProducer
from streams.headernames import accept_every_header_name
from streams.health import Health, HealthWatch
from streams.intake import BatchConsumer, BatchTopic, BatchTransport
from streams.offsets import METADATA_MAX_AGE_MS, LogOffsets
from streams.opening import Opening, OpenPartition, OpenSource, SourceOpening
from streams.partitions import Partitions
from streams.positions import GroupConsumer, GroupTransport
from streams.recovery import BatchTableManager, PartitionTable
from streams.security import NO_SECURITY, KafkaSecurity
from streams.services import Connections, Ticker
from streams.store import MemoryStore, PartitionStore, RocksStore, made_folder
from streams.topicwatch import TopicWatch


@dataclass(frozen=True)
class StreamSettings:
    """How a worker talks to Kafka and where it keeps its state. Durations are seconds unless named otherwise.

    `topic`, `changelog` and `partitions` are those of an app that reads one topic and keeps state.
    """

    bootstrap_server: str
    app_id: str
    topic: str = ""
    changelog: str = ""
    partitions: int = 0
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


class SourcesApp(BatchApp):
    """A batch app without state, whose positions are its group's offsets."""

    def _create_directories(self) -> None:
        """Make no folders: nothing is kept in files."""

    def _new_transport(self) -> Any:
        return GroupTransport(self.conf.broker_consumer, self)

    @property
    def group_consumer(self) -> GroupConsumer:
        """The consumer, typed."""
        return cast("GroupConsumer", self.consumer)


App = TypeVar("App", bound=BatchApp)
Beat: TypeAlias = Callable[[BatchApp], Awaitable[None]]


def build_app(
    settings: StreamSettings,
    open_partition: OpenPartition,
    beat: Beat | None = None,
) -> BatchApp:
    """Wire an app that reads `settings.topic` and opens each owned partition with `open_partition`.

    `beat`, if given, is called every `settings.tick_interval` while partitions are open.
    """
    made_folder(settings.state_dir)
    app = _wired(BatchApp, settings, settings.partitions, "earliest")
    app.store = MemoryStore() if settings.store == "memory" else RocksStore(settings.state_dir / settings.table)
    app.partitions = Partitions([settings.topic], Opening(app, open_partition).handlers, app.done)
    app.tables.add(
        PartitionTable(app, name=settings.table, changelog=settings.changelog, partitions=settings.partitions)
    )
    _feed_partitions(app)
    _serve(app, TopicWatch(app, {settings.topic: settings.partitions, settings.changelog: settings.partitions}), beat)
    return app


def build_sources_app(
    settings: StreamSettings,
    topics: Mapping[str, int],
    open_source: OpenSource,
    beat: Beat | None = None,
    written: Mapping[str, int] | None = None,
) -> SourcesApp:
    """Wire an app that reads all `topics` (name -> partitions at start) in one group and keeps no state of its own.

    Its positions are the group's offsets, committed with the handlers' metadata every two seconds and before partitions
    are given away. Partitions that are added are read within `METADATA_MAX_AGE_MS`. Of the topics `written` to by key
    none may grow.
    """
    app = _wired(SourcesApp, settings, max(topics.values()), "none")
    app.store = MemoryStore()
    app.partitions = Partitions(list(topics), SourceOpening(app, open_source).handlers, app.done)
    _feed_partitions(app)
    _serve(app, TopicWatch(app, written or {}, growing=topics), beat)
    return app


def _wired(kind: type[App], settings: StreamSettings, partitions: int, reset: str) -> App:
    """Return an app with what every one has."""
    accept_every_header_name()
    app = _faust_app(kind, settings, partitions, reset)
    app.settings = settings
    app.clock = app.steady_clock
    app.read_committed = settings.transactions
    app.fetch_max_wait_ms = settings.fetch_max_wait_ms
    app.records_in_hand_max = settings.records_in_hand_max
    app.health = Health()
    app.offsets = LogOffsets(settings.client)
    return app


def _serve(app: BatchApp, watch: TopicWatch, beat: Beat | None) -> None:
    """Set the services that run beside the streams."""
    app.services = [Connections(app), HealthWatch(app), watch]
    if beat is not None:
        app.services.append(Ticker(app, lambda: beat(app), app.settings.tick_interval))


def _faust_app(kind: type[App], settings: StreamSettings, partitions: int, reset: str) -> App:
    """Spell the settings as Faust does, with our adapters in the place of its parts.

    `reset` says where to read on when a position is outside of its log: at the "earliest" record, or nowhere ("none").
    """
    return kind(
        settings.app_id,
        broker=";".join(f"kafka://{server.strip()}" for server in settings.bootstrap_server.split(",")),
        broker_credentials=credentials(settings.security),
        store="memory://",
        datadir=settings.state_dir / "faust",
        TableManager=BatchTableManager,
        Topic=BatchTopic,
        topic_partitions=partitions,
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
        consumer_auto_offset_reset=reset,
        consumer_metadata_max_age_ms=METADATA_MAX_AGE_MS,
        consumer_group_instance_id=settings.instance_id,
        stream_wait_empty=True,
        stream_recovery_delay=0.0,
        worker_redirect_stdouts=False,
    )


def _feed_partitions(app: BatchApp) -> None:
    """Have every batch of the topics that are read handed to the lane of its partition."""
    topic = app.topic(*app.partitions.topics, key_type=bytes, value_type=bytes)

    @app.agent(topic, name=f"{app.settings.app_id}.intake", concurrency=1)
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
