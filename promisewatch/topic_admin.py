"""Topics as they must be, as they are, and the difference; the asking and creating is done through aiokafka."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    IncompatibleBrokerVersion,
    KafkaError,
    TopicAuthorizationFailedError,
    for_code,
)

from schemas.errors import BrokerUnavailable, TopicsError
from schemas.topics import TopicSpec, required
from streams.refusals import diagnose, refusal
from streams.security import NO_SECURITY, KafkaSecurity

REQUEST_TIMEOUT_MS = 15_000
TOPIC_ALREADY_EXISTS = 36
FORBIDDEN = {TopicAuthorizationFailedError.errno, ClusterAuthorizationFailedError.errno}
APPEAR_TIMEOUT_S = 15.0
APPEAR_POLL_S = 0.1
REPLICAS_FOR_TWO_IN_SYNC = 3
"""From this many replicas on, one may be lost without losing either writes or what was acknowledged."""


@dataclass(frozen=True, slots=True)
class Found:
    """One topic as the broker has it. `configs` is None where the broker cannot say."""

    partitions: int
    replicas: int
    configs: dict[str, str] | None


@dataclass(frozen=True, slots=True)
class Checked:
    """One required topic: `status` is ok, created, missing or differs; `problems` says what differs."""

    spec: TopicSpec
    found: Found | None
    status: str
    problems: tuple[str, ...] = field(default=())

    @property
    def in_order(self) -> bool:
        return self.status in {"ok", "created"}


def wanted(source_topics: Sequence[str], app_id: str, partitions: int, replicas: int | None) -> list[TopicSpec]:
    """Every topic with its partitions, the source topics first (their settings are their owners' business)."""
    own = [replace(spec, partitions=spec.partitions or partitions) for spec in required(tuple(source_topics), app_id)]
    if replicas is not None and replicas >= REPLICAS_FOR_TWO_IN_SYNC:
        safe = {"min.insync.replicas": str(replicas - 1)}
        own = [replace(spec, configs={**spec.configs, **safe}) for spec in own]
    return [*(TopicSpec(topic, partitions=partitions) for topic in source_topics), *own]


def compare(spec: TopicSpec, found: Found | None, replicas: int | None) -> Checked:
    """Hold one topic against what it must be. `replicas` None leaves the replication factor unchecked."""
    if found is None:
        return Checked(spec, None, "missing", ("there is no such topic",))
    problems = []
    if spec.partitions is not None and found.partitions != spec.partitions:
        problems.append(f"partitions: found {found.partitions}, expected {spec.partitions}")
    if replicas is not None and found.replicas < replicas:
        problems.append(f"replicas: found {found.replicas}, expected {replicas}")
    for name, value in spec.configs.items():
        actual = None if found.configs is None else found.configs.get(name, "nothing")
        if actual is not None and not same_setting(actual, value):
            problems.append(f"{name}: found {actual}, expected {value}")
    return Checked(spec, found, "differs" if problems else "ok", tuple(problems))


def same_setting(found: str, expected: str) -> bool:
    """Equality of a setting's value, where `0.10` is `0.1`."""
    try:
        return float(found) == float(expected)
    except ValueError:
        return found == expected


class TopicAdmin:
    """Asks and creates topics on one cluster."""

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
            if topic["error_code"] == 0 and topic["partitions"]:
                replicas = min(len(partition["replicas"]) for partition in topic["partitions"])
                name = topic["topic"]
                found[name] = Found(len(topic["partitions"]), replicas, None if configs is None else configs[name])
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
                if code in FORBIDDEN:
                    raise for_code(code)({name})
                if code != 0:
                    raise TopicsError(f"{name}: settings cannot be read: {message or for_code(code).__name__}")
                configs[name] = {entry[0]: entry[1] for entry in entries}
        return configs

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
