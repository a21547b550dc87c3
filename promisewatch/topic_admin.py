"""Topics as they must be, as they are, and the difference; the asking and creating is done through aiokafka."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    IncompatibleBrokerVersion,
    KafkaError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)

from schemas.errors import BrokerUnavailable, TopicsError
from schemas.topics import LARGEST, TopicKind, TopicSpec, required
from streams.refusals import diagnose, refusal
from streams.security import NO_SECURITY, KafkaSecurity

REQUEST_TIMEOUT_MS = 15_000
TOPIC_ALREADY_EXISTS = 36
FORBIDDEN = {TopicAuthorizationFailedError.errno, ClusterAuthorizationFailedError.errno}
APPEAR_TIMEOUT_S = 15.0
APPEAR_POLL_S = 0.1
REPLICAS_FOR_TWO_IN_SYNC = 3
"""From this many replicas on, one may be lost without losing either writes or what was acknowledged."""
AT_LEAST = {"retention.ms", "delete.retention.ms", LARGEST}
"""Settings of which more is as good: mending them down would delete records, or refuse them."""
PARTITIONS, REPLICAS, MIN_IN_SYNC, CLEANUP = "partitions", "replicas", "min.insync.replicas", "cleanup.policy"


@dataclass(frozen=True, slots=True)
class Found:
    """One topic as the broker has it. `configs` is None where the broker cannot say.

    `assignment` says which brokers have each partition; `replicas` and `in_sync` are those of the partition that has
    the fewest.
    """

    partitions: int
    replicas: int
    configs: dict[str, str] | None
    in_sync: int = 1
    assignment: Mapping[int, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing about a topic that is not what it must be. `left` says why it is not for `mend`, or was not mended."""

    what: str
    found: str
    expected: str
    left: str | None = None

    def __str__(self) -> str:
        return f"{self.what}: found {self.found}, expected {self.expected}" + (f"; {self.left}" if self.left else "")

    @property
    def change(self) -> str:
        """The same as what is, or would be, done about it."""
        return f"{self.what}: {self.found} -> {self.expected}"


@dataclass(frozen=True, slots=True)
class Checked:
    """One required topic: `status` is ok, created, mended, missing or differs; `mended` says what was changed."""

    spec: TopicSpec
    found: Found | None
    status: str
    differences: tuple[Difference, ...] = field(default=())
    mended: tuple[str, ...] = field(default=())

    @property
    def in_order(self) -> bool:
        return self.status in {"ok", "created", "mended"}

    @property
    def problems(self) -> tuple[str, ...]:
        """What is not in order, each in words."""
        return ("there is no such topic",) if self.found is None else tuple(str(each) for each in self.differences)

    @property
    def mendable(self) -> tuple[Difference, ...]:
        return tuple(each for each in self.differences if each.left is None)


def wanted(
    source_topics: Sequence[str],
    app_id: str,
    partitions: int,
    replicas: int | None,
    notifier_app_id: str = "promisewatch-notifier",
    event_bytes: Mapping[str, int] = MappingProxyType({}),
) -> list[TopicSpec]:
    """Every topic with its partitions, the source topics first (their settings are their owners' business).

    `event_bytes`: what the source topics take in one record, as far as it is known.
    """
    specs = required(tuple(source_topics), app_id, notifier_app_id, event_bytes)
    return completed(dict.fromkeys(source_topics, partitions), specs, partitions, replicas)


def completed(
    source_partitions: Mapping[str, int], specs: Iterable[TopicSpec], partitions: int, replicas: int | None
) -> list[TopicSpec]:
    """Those source topics, and behind them our own: with `partitions` where they follow what the worker reads, and
    with the safety that so many replicas allow.
    """
    own = [replace(spec, partitions=spec.partitions or partitions) for spec in specs]
    if replicas is not None and replicas >= REPLICAS_FOR_TWO_IN_SYNC:
        safe = {MIN_IN_SYNC: str(replicas - 1)}
        own = [replace(spec, configs={**spec.configs, **safe}) for spec in own]
    sources = [TopicSpec(topic, partitions=count, kind=TopicKind.SOURCE) for topic, count in source_partitions.items()]
    return [*sources, *own]


def compare(spec: TopicSpec, found: Found | None, replicas: int | None) -> Checked:
    """Hold one topic against what it must be. `replicas` None leaves the replication factor unchecked."""
    if found is None:
        return Checked(spec, None, "missing")
    differences = []
    if spec.partitions is not None and found.partitions != spec.partitions:
        differences.append(Difference(PARTITIONS, str(found.partitions), str(spec.partitions)))
    if replicas is not None and found.replicas < replicas:
        differences.append(Difference(REPLICAS, str(found.replicas), str(replicas)))
    configs = found.configs
    if configs is not None:
        for name, value in {**too_many_in_sync(spec, found), **spec.configs}.items():
            actual = configs.get(name, "nothing")
            if not (same_setting(actual, value) or (name in AT_LEAST and larger(actual, value))):
                differences.append(Difference(name, actual, value))
    return Checked(spec, found, "differs" if differences else "ok", tuple(differences))


def too_many_in_sync(spec: TopicSpec, found: Found) -> dict[str, str]:
    """Return what min.insync.replicas must be where it is more than there are replicas: no write would ever count."""
    asked = (found.configs or {}).get(MIN_IN_SYNC, "1")
    if spec.kind is TopicKind.SOURCE or not asked.isdecimal() or int(asked) <= found.replicas:
        return {}
    return {MIN_IN_SYNC: str(max(1, found.replicas - 1))}


def event_bytes(found: Mapping[str, Found]) -> dict[str, int]:
    """What topics take in one record, of those that it is known of."""
    limits = {name: (topic.configs or {}).get(LARGEST, "") for name, topic in found.items()}
    return {name: int(limit) for name, limit in limits.items() if limit.isdecimal()}


def larger(found: str, expected: str) -> bool:
    """Whether a limit leaves more room than it has to, -1 without end: that is nothing to mend."""
    return found == "-1" or (found.isdecimal() and int(found) > int(expected) >= 0)


def same_setting(found: str, expected: str) -> bool:
    """Equality of a setting's value, where `0.10` is `0.1`."""
    try:
        return float(found) == float(expected)
    except ValueError:
        return found == expected


class TopicAdmin:
    """Asks, creates and extends topics on one cluster."""

    def __init__(self, client: AIOKafkaAdminClient) -> None:
        self._client = client

    async def find(self, names: Sequence[str]) -> dict[str, Found]:
        """Those of the topics that exist. None is created by being asked for."""
        existing = sorted(set(names) & set(await self._client.list_topics()))
        if not existing:
            return {}
        described = await self._client.describe_topics(existing)
        configs = await self._configs(existing)
        found = {}
        for topic in described:
            name = topic["topic"]
            if topic["error_code"] == 0 and topic["partitions"] and (configs is None or name in configs):
                assignment = {each["partition"]: tuple(each["replicas"]) for each in topic["partitions"]}
                found[name] = Found(
                    partitions=len(assignment),
                    replicas=min(len(brokers) for brokers in assignment.values()),
                    configs=None if configs is None else configs[name],
                    in_sync=min(len(each["isr"]) for each in topic["partitions"]),
                    assignment=assignment,
                )
        return found

    async def _configs(self, names: Sequence[str]) -> dict[str, dict[str, str]] | None:
        """Settings per topic, or None from a broker that does not know the request."""
        resources = [ConfigResource(ConfigResourceType.TOPIC, name, None) for name in names]
        try:
            responses = await self._client.describe_configs(resources)
        except IncompatibleBrokerVersion:
            return None
        configs = {}
        for response in responses:
            for code, message, _, name, entries in response.resources:
                if code == UnknownTopicOrPartitionError.errno:  # it was there a moment ago
                    continue
                if code in FORBIDDEN:
                    raise for_code(code)({name})
                if code != 0:
                    raise TopicsError(f"{name}: settings cannot be read: {message or for_code(code).__name__}")
                configs[name] = {entry[0]: entry[1] for entry in entries}
        return configs

    async def racks(self) -> dict[int, str | None]:
        """The brokers that are up, with the rack of each where it has one."""
        cluster = await self._client.describe_cluster()
        return {broker["node_id"]: broker["rack"] or None for broker in cluster["brokers"]}

    async def create(self, specs: Sequence[TopicSpec], replicas: int) -> None:
        """Create topics and wait until they are known. One that somebody else creates meanwhile is no error."""
        new = [NewTopic(spec.name, spec.partitions or 1, replicas, topic_configs=spec.configs) for spec in specs]
        response = await self._client.create_topics(new)
        for name, code, message in response.topic_errors:
            if code in FORBIDDEN:
                raise for_code(code)({name})
            if code not in {0, TOPIC_ALREADY_EXISTS}:
                raise TopicsError(f"{name}: not created: {message or for_code(code).__name__}")
        names = [spec.name for spec in specs]
        async with asyncio.timeout(APPEAR_TIMEOUT_S):
            while len(await self.find(names)) < len(names):  # noqa: ASYNC110 -- the broker tells only if asked
                await asyncio.sleep(APPEAR_POLL_S)

    async def extend(self, topic: str, partitions: int) -> None:
        """Give a topic so many partitions in all. Raises what Kafka says where it does not."""
        await self._client.create_partitions({topic: NewPartitions(partitions)})


@asynccontextmanager
async def topic_admin(bootstrap_server: str, security: KafkaSecurity = NO_SECURITY) -> AsyncIterator[TopicAdmin]:
    """Connected while the block runs.

    Raises BrokerUnavailable if nobody answers, or stops answering; SettingsError if the broker refuses us.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it would log is raised as well
    connection = {"bootstrap_servers": bootstrap_server, **security.aiokafka()}
    client: Any = AIOKafkaAdminClient(**connection, request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        try:
            await client.start()
        except ValueError as error:  # what aiokafka makes of a malformed address
            raise BrokerUnavailable(f"{bootstrap_server!r} is no broker's address: expected HOST:PORT") from error
        yield TopicAdmin(client)
    except (KafkaError, TimeoutError, OSError) as error:
        refused = refusal(error, connection) or await diagnose(connection)
        if refused is not None:
            raise refused from error
        raise BrokerUnavailable(f"no Kafka broker at {bootstrap_server}: {error or type(error).__name__}") from error
    finally:
        await client.close()
