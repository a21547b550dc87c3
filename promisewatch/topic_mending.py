"""`promisewatch topics mend`: changes what differs about topics, one thing at a time, and says what became of it.

Partitions and replicas are asked for through aiokafka, settings through confluent-kafka: its incremental request
changes the settings that are named and no other, where the one aiokafka has would replace all an operator had set.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import confluent_kafka.admin
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import BrokerResponseError, IncompatibleBrokerVersion, RequestTimedOutError, for_code
from aiokafka.protocol.admin import AlterPartitionReassignmentsRequest, ListPartitionReassignmentsRequest
from confluent_kafka import KafkaError as LibrdkafkaError
from confluent_kafka import KafkaException

from promisewatch.topic_admin import (
    APPEAR_POLL_S,
    APPEAR_TIMEOUT_S,
    FORBIDDEN,
    PARTITIONS,
    REPLICAS,
    REQUEST_TIMEOUT_MS,
    Checked,
    Difference,
    TopicAdmin,
    compare,
)
from promisewatch.topic_judging import Log, judge, spread
from schemas.errors import BrokerUnavailable
from streams.security import KafkaSecurity

kafka: Any = confluent_kafka.admin  # re-exports without saying so, which mypy does not take
COPY_TIMEOUT_S = 30.0
"""How long new replicas may take to catch up before what depends on them is left for the next time."""
Place = tuple[str, str]
"""A topic, and what about it."""


class Refused(Exception):
    """One change that Kafka did not make. `forbidden`: for want of a permission."""

    def __init__(self, why: str, *, forbidden: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.forbidden = forbidden


class Mender:
    """Mends the topics of one cluster. `forbidden` is whether a permission was missing for anything so far."""

    def __init__(self, admin: TopicAdmin, bootstrap_server: str, security: KafkaSecurity) -> None:
        self._admin = admin
        self._address = bootstrap_server
        self._security = security
        self._who = f"user {security.username!r}" if security.username else "this client"
        self._refused: dict[Place, str] = {}
        self._accepted: set[Place] = set()
        self.forbidden = False

    async def mend(
        self, before: Sequence[Checked], replicas: int | None, logs: Mapping[str, Log], racks: Mapping[int, str | None]
    ) -> list[Checked]:
        """Change what may be changed; return the topics as they are then, with what was done and what was not."""

        async def look(patience: float, *, copied: bool = False) -> list[Checked]:
            """The topics once all that was accepted is to be seen (and copied), or as they are when patience ends."""
            names = [topic.spec.name for topic in before]
            deadline = asyncio.get_running_loop().time() + patience
            while True:
                found = await self._admin.find(names)
                compared = [compare(topic.spec, found.get(topic.spec.name), replicas) for topic in before]
                now = judge(compared, logs, len(racks))
                copying = copied and any(self._awaits_copies(each) for each in now)
                late = asyncio.get_running_loop().time() > deadline
                if late or not (copying or self._accepted & {place for place, _ in _places(now)}):
                    return now
                await asyncio.sleep(APPEAR_POLL_S)

        for place, difference in _places(before):
            if difference.what == PARTITIONS and difference.left is None:
                work = self._admin.extend(place[0], int(difference.expected))
                await self._try([place], work, "Alter on the topic")
        more = {
            place[0] for place, difference in _places(before) if difference.what == REPLICAS and not difference.left
        }
        if more:
            there = await look(APPEAR_TIMEOUT_S)
            await self._replicate([topic for topic in there if topic.spec.name in more], racks)
        await self._set(await look(COPY_TIMEOUT_S if more else APPEAR_TIMEOUT_S, copied=True))
        now = await look(APPEAR_TIMEOUT_S)
        return [self._told(old, new) for old, new in zip(before, now, strict=True)]

    async def _try(self, places: Sequence[Place], work: Awaitable[None], operation: str) -> None:
        """Do one thing, and remember whether Kafka took it. `operation` is the permission that it needs."""
        try:
            await work
        except RequestTimedOutError:
            raise
        except BrokerResponseError as error:
            forbidden = error.errno in FORBIDDEN
            self._note(places, f"{self._who} has no permission {operation}" if forbidden else str(error), forbidden)
        except Refused as refused:
            why = f"{self._who} has no permission {operation}" if refused.forbidden else refused.why
            self._note(places, why, refused.forbidden)
        else:
            self._accepted.update(places)

    def _note(self, places: Iterable[Place], why: str, forbidden: bool) -> None:
        self.forbidden = self.forbidden or forbidden
        self._refused.update(dict.fromkeys(places, f"not changed: {why}"))

    def _awaits_copies(self, topic: Checked) -> bool:
        """Whether replicas that we asked for are not in sync yet."""
        found = topic.found
        return found is not None and (topic.spec.name, REPLICAS) in self._accepted and found.in_sync < found.replicas

    async def _set(self, checked: Iterable[Checked]) -> None:
        """Set the settings that differ, a request a topic."""
        client: Any = None
        for topic in checked:
            changes = [each for each in topic.mendable if each.what not in {PARTITIONS, REPLICAS}]
            if changes:
                client = client or self._librdkafka()
                work = set_configs(client, topic.spec.name, {each.what: each.expected for each in changes})
                places = [(topic.spec.name, each.what) for each in changes]
                await self._try(places, work, "AlterConfigs on the topic")

    def _librdkafka(self) -> Any:
        return kafka.AdminClient(
            {"bootstrap.servers": self._address, "log_level": 0, **self._security.librdkafka()},
        )

    async def _replicate(self, checked: Sequence[Checked], racks: Mapping[int, str | None]) -> None:
        """Ask for the replicas that are missing."""
        assignments = {topic.spec.name: topic.found.assignment for topic in checked if topic.found is not None}
        load = Counter(broker for each in assignments.values() for brokers in each.values() for broker in brokers)
        client = AIOKafkaClient(
            bootstrap_servers=self._address, request_timeout_ms=REQUEST_TIMEOUT_MS, **self._security.aiokafka()
        )
        try:
            await client.bootstrap()
            for (topic, what), difference in _places(checked):
                if what == REPLICAS and difference.left is None:
                    brokers = spread(assignments[topic], racks, int(difference.expected), load)
                    await self._try([(topic, what)], reassign(client, topic, brokers), "Alter on the cluster")
        finally:
            await client.close()

    def _told(self, before: Checked, after: Checked) -> Checked:
        """The topic as it is now, with what has been done to it since."""
        left = {each.what for each in after.differences}
        done = tuple(each.change for each in before.differences if each.what not in left)
        if after.found is None:
            return replace(after, status="missing")
        status = "differs" if after.differences else "mended" if done else before.status
        differences = tuple(
            replace(each, left=self._refused.get((after.spec.name, each.what), each.left)) for each in after.differences
        )
        return replace(after, status=status, differences=differences, mended=done)


def _places(checked: Iterable[Checked]) -> list[tuple[Place, Difference]]:
    return [((topic.spec.name, each.what), each) for topic in checked for each in topic.differences]


async def set_configs(client: Any, topic: str, values: Mapping[str, str]) -> None:
    """Set these settings of a topic and touch no other. Raises Refused, or BrokerUnavailable where nobody answers."""
    entries = [
        kafka.ConfigEntry(name, value, incremental_operation=kafka.AlterConfigOpType.SET)
        for name, value in values.items()
    ]
    resource = kafka.ConfigResource(kafka.ResourceType.TOPIC, topic, incremental_configs=entries)
    futures = client.incremental_alter_configs([resource], request_timeout=REQUEST_TIMEOUT_MS / 1_000)
    try:
        await asyncio.wrap_future(futures[resource])
    except KafkaException as raised:
        error = raised.args[0]
        if error.code() == LibrdkafkaError._UNSUPPORTED_FEATURE:  # noqa: SLF001 -- the library's spelling
            raise Refused("this broker cannot change single settings (Apache Kafka can, from 2.3 on)") from raised
        if error.code() < 0:
            raise BrokerUnavailable(f"no answer to changing settings of {topic}: {error.str()}") from raised
        raise Refused(error.str(), forbidden=error.code() in FORBIDDEN) from raised


async def reassign(client: AIOKafkaClient, topic: str, brokers: Mapping[int, Sequence[int]]) -> None:
    """Have partitions of a topic copied to these brokers, the ones that have them included. Raises Refused."""
    node, timeout = client.get_random_node(), REQUEST_TIMEOUT_MS  # any broker passes it on to the controller
    try:
        under_way = await client.send(
            node, ListPartitionReassignmentsRequest(timeout, [(topic, list(brokers), {})], {})
        )
        _accept(under_way.error_code, under_way.error_message)
        if under_way.topics:
            raise Refused("its partitions are being reassigned already; see again when that is done")
        places: list[Any] = [(partition, list(chosen), {}) for partition, chosen in brokers.items()]
        done = await client.send(node, AlterPartitionReassignmentsRequest(timeout, [(topic, places, {})], {}))
    except IncompatibleBrokerVersion as error:
        raise Refused("this broker takes no reassignments (Apache Kafka does, from 2.4 on)") from error
    _accept(done.error_code, done.error_message)
    for _, partitions, _ in done.responses:
        for _, code, message, _ in partitions:
            _accept(code, message)


def _accept(code: int, message: str | None) -> None:
    if code:
        raise Refused(message or for_code(code).__name__, forbidden=code in FORBIDDEN)
