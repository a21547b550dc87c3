"""Looking at logs and at a consumer group from outside: never joins a group, commits or writes anything."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    IncompatibleBrokerVersion,
    NotCoordinatorForGroupError,
    for_code,
)

from streams.addresses import advertised
from streams.offsets import LogOffsets

FIRST_STEP = 64
"""Offsets that are looked at first, from the end back; each further step is so many times larger."""
STEP_GROWTH = 8
READ_SECONDS = 30.0
"""A log that cannot be read to its end for so long is given up."""
POLL_MS = 200
UUID_LENGTH = 36
NOT_YET = (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError)
"""What a broker says about a group that it has not heard of since it started."""

_Found = TypeVar("_Found")


class LogReader(LogOffsets):
    """Reads parts of logs, committed records only, with a consumer of no group."""

    def __init__(self, client: Mapping[str, Any]) -> None:
        """Keep the connection settings; ends stop at the first open transaction."""
        super().__init__(
            client, "read_committed", enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_wait_ms=50
        )

    async def records(self, topic: str, ranges: Mapping[int, tuple[int, int]]) -> AsyncIterator[Any]:
        """Yield the records of each partition's half-open range of offsets, in order within a partition.

        Raises TimeoutError when a range cannot be read to its end, which must not lie behind `ends`.
        """
        consumer = self._ready
        left = {TopicPartition(topic, p): end for p, (begin, end) in ranges.items() if begin < end}
        if not left:
            return
        consumer.assign(list(left))
        for tp in left:
            consumer.seek(tp, ranges[tp.partition][0])
        deadline = asyncio.get_running_loop().time() + READ_SECONDS
        while left:
            for tp, records in (await consumer.getmany(*left, timeout_ms=POLL_MS)).items():
                for record in records:
                    if record.offset < left[tp]:
                        yield record
            # What counts is the position: a commit marker, or a removed record, may be the last thing in a range.
            left = {tp: end for tp, end in left.items() if await consumer.position(tp) < end}
            if left and asyncio.get_running_loop().time() > deadline:
                names = ", ".join(f"{tp.topic}/{tp.partition}" for tp in sorted(left))
                raise TimeoutError(f"{names} could not be read to the end within {READ_SECONDS:.0f} s")


class Newest(Generic[_Found]):
    """The newest record of some kind in each partition of a topic. Asked again, it reads only what is new."""

    def __init__(self, topic: str, read: Callable[[Any], _Found | None], depth: int | None = None) -> None:
        """Look for records of which `read` makes something, at most `depth` offsets back (None: to the beginning)."""
        self._topic = topic
        self._read = read
        self._depth = depth
        self._seen: dict[int, int] = {}
        self._found: dict[int, _Found] = {}

    async def look(self, reader: LogReader, partitions: Iterable[int]) -> dict[int, _Found]:
        """Return what was found, by partition."""
        asked = list(partitions)
        highs = await reader.ends(self._topic, asked)
        floors = await reader.beginnings(self._topic, asked)
        ends = dict(highs)
        for partition, end in ends.items():
            seen = self._seen.get(partition, 0)
            if seen > end:  # the topic was made again
                self._found.pop(partition, None)
                seen = 0
            floors[partition] = max(floors[partition], seen, 0 if self._depth is None else end - self._depth)
        step = FIRST_STEP
        open_partitions = {partition for partition in asked if floors[partition] < highs[partition]}
        while open_partitions:
            windows = {p: (max(floors[p], highs[p] - step), highs[p]) for p in open_partitions}
            found = {}
            async for record in reader.records(self._topic, windows):
                made = self._read(record)
                if made is not None:
                    found[record.partition] = made
            self._found.update(found)
            highs.update({p: begin for p, (begin, _) in windows.items()})
            open_partitions = {p for p in open_partitions - found.keys() if floors[p] < highs[p]}
            step *= STEP_GROWTH
        self._seen.update(ends)
        return {partition: self._found[partition] for partition in asked if partition in self._found}


class Counted(NamedTuple):
    """How many records a partition holds: exactly, or at most so many, and the newest one."""

    records: int
    exact: bool
    newest: Any


class Counting:
    """How many records the partitions of a topic hold. Only so many are read at the first look, then what is new."""

    def __init__(self, topic: str, depth: int) -> None:
        """Read at most `depth` offsets back."""
        self._topic = topic
        self._depth = depth
        self._seen: dict[int, tuple[int, int]] = {}
        self._counted: dict[int, Counted] = {}

    async def look(self, reader: LogReader, partitions: Iterable[int]) -> dict[int, Counted]:
        """Return the counts of partitions that hold something."""
        asked = list(partitions)
        ends, beginnings = await reader.ends(self._topic, asked), await reader.beginnings(self._topic, asked)
        ranges = {}
        for partition, end in ends.items():
            beginning = beginnings[partition]
            first, seen = self._seen.get(partition, (None, 0))
            if first != beginning or seen > end or end - seen > self._depth:  # not seen yet, or some expired since
                seen = max(beginning, end - self._depth)
                self._counted[partition] = Counted(seen - beginning, seen == beginning, None)
            ranges[partition] = (seen, end)
        async for record in reader.records(self._topic, ranges):
            count, exact, _ = self._counted[record.partition]
            self._counted[record.partition] = Counted(count + 1, exact, record)
        self._seen.update({partition: (beginnings[partition], end) for partition, end in ends.items()})
        return {partition: self._counted[partition] for partition in asked if self._counted[partition].records}


@dataclass(frozen=True)
class Member:
    """One process in a consumer group, and the partitions of the asked topic that it has. `url`: where it is asked by
    HTTP, empty if nowhere (`streams/addresses.py`).
    """

    member_id: str
    client_id: str
    host: str
    partitions: tuple[int, ...]
    url: str = ""

    @property
    def name(self) -> str:
        """What tells it from others at a glance: its static id where it has one, else its client id."""
        return self.member_id[: -UUID_LENGTH - 1] or self.client_id


@dataclass(frozen=True)
class Group:
    """What a consumer group does with one topic, as its coordinator has it.

    Kafka's name of its state, its members, and committed positions with their metadata, by partition.
    """

    state: str
    members: tuple[Member, ...]
    positions: Mapping[int, int]
    metadata: Mapping[int, str] = field(default_factory=dict)


async def read_group(client: Mapping[str, Any], group: str, topic: str) -> Group | None:
    """Return what a group does with `topic`; None from a broker that does not tell.

    Raises GroupAuthorizationFailedError without permission to describe the group.
    """
    found = await read_group_topics(client, group, [topic])
    return None if found is None else found[topic]


async def read_group_topics(client: Mapping[str, Any], group: str, topics: Iterable[str]) -> dict[str, Group] | None:
    """Return the same for each of several topics, every member with each of them."""
    admin = AIOKafkaAdminClient(**client)
    try:
        await admin.start()
        return await _described(admin, group, topics)
    except IncompatibleBrokerVersion:
        return None
    except NOT_YET:
        return {topic: Group("Dead", (), {}) for topic in topics}
    finally:
        await admin.close()


async def _described(admin: AIOKafkaAdminClient, group: str, topics: Iterable[str]) -> dict[str, Group]:
    (response,) = await admin.describe_consumer_groups([group])
    code, _, state, _, _, found = response.groups[0][:6]
    if code:
        raise for_code(code)(group)
    positions = await admin.list_consumer_group_offsets(group)
    described = {}
    for topic in topics:
        members = sorted((_member(each, topic) for each in found), key=lambda member: (member.partitions, member.name))
        own = {tp.partition: at for tp, at in positions.items() if tp.topic == topic and at.offset >= 0}
        described[topic] = Group(
            state,
            tuple(members),
            {partition: at.offset for partition, at in own.items()},
            {partition: at.metadata for partition, at in own.items()},
        )
    return described


def _member(described: tuple[Any, ...], topic: str) -> Member:
    member_id, client_id, host, metadata, assignment = described[:5]
    has = (
        ConsumerProtocolMemberAssignment.decode(assignment).partitions() if assignment else []
    )  # none yet: rebalancing
    partitions = sorted(tp.partition for tp in has if tp.topic == topic)
    return Member(member_id, client_id, host.removeprefix("/"), tuple(partitions), advertised(metadata))
