"""Four systems of one company, each with topics, partitions and keys of its own, and the ingest and detect workers that
make one picture of them. The world and its verdicts are those of `tests/chaos/oracle.py`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2
from aiokafka.structs import RecordMetadata
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from promisewatch.brokers import ApacheKafka
from promisewatch.demonstration.expected import Event
from promisewatch.demonstration.processes import Child
from schemas import topics
from schemas.markers import marker_headers
from tests.chaos.cluster import PARTITIONS, SESSION_SECONDS, Cluster
from tests.chaos.oracle import Sent, World

MARKER_INTERVAL = "0.2"


class System(NamedTuple):
    """One system: what it tells of, on how many partitions, and what its records are keyed by."""

    name: str
    events: tuple[str, ...]
    partitions: int
    key: Callable[[Event], bytes | None]


SYSTEMS = (
    System("shop", ("placed", "cancelled"), 3, lambda event: event.subject.encode()),
    System("mail", ("sent",), 2, lambda event: event.id.encode()),
    System("carrier", ("shipped", "delivered"), 4, lambda event: event.subject[::-1].encode()),
    System("wms", ("label",), 1, lambda _: None),
)
OF_EVENT = {event: system for system in SYSTEMS for event in system.events}

BOOK = """
sources:
  shop: {{topic: {topic}.shop, format: json, id: id, type: type, time: at, events: [placed, cancelled],
    settle: {settle_ms}ms, frontier: {frontier}, doubt: {{late: never}}}}
  mail: {{topic: {topic}.mail, format: json, id: id, type: type, time: at, events: [sent],
    settle: {settle_ms}ms, frontier: {frontier}, doubt: {{late: never}}}}
  carrier: {{topic: {topic}.carrier, format: json, id: id, type: type, time: at, events: [shipped, delivered],
    settle: {settle_ms}ms, frontier: {frontier}, doubt: {{late: never, window: 30s}}}}
  wms: {{topic: {topic}.wms, format: json, id: id, type: type, time: at, events: [label],
    settle: {settle_ms}ms, frontier: {frontier}, doubt: {{late: never}}}}
defaults: {{timezone: Europe/Amsterdam, key: order, skew: 2s, orphan_ttl: 20s}}
promises:
- {{id: deliver, when: {{event: placed}}, due: {{field: by}},
   expect: {{event: delivered}}, release: {{event: cancelled}}}}
- {{id: confirm, when: {{event: placed}}, due: {{within: 5s}}, expect: {{event: sent, where: {{kind: confirmation}}}}}}
- {{id: label, when: {{event: shipped, where: {{method: post}}}}, due: {{within: 2s}},
   expect: {{event: label, early: true}}}}
"""


def facts_partition(subject: str) -> int:
    """The facts partition of an order, as Java's default partitioner chooses it over the key of its facts."""
    return (murmur2(f"order\x1f{subject}".encode()) & 0x7FFFFFFF) % PARTITIONS


class Systems(Cluster):
    """Ingest and detect workers of one book over four systems. Ingest workers are those whose names begin with `in`."""

    def __init__(self, broker: ApacheKafka, folder: Path, run: str, *, frontier: str, settle_ms: int) -> None:
        super().__init__(broker, folder, run, frontier=frontier, settle_ms=settle_ms, book=BOOK)
        self.sources = [self.topic_of(system.name) for system in SYSTEMS]
        self.facts = f"{run}.facts"
        self.partitions = {system.name: system.partitions for system in SYSTEMS}
        self.silent: set[str] = set()
        """Systems that happen to say nothing: what they have to say waits."""
        self.renamed: set[str] = set()
        """Systems that call an event's id `ident` by now."""
        self._waiting: list[Sent] = []

    def topic_of(self, system: str) -> str:
        return f"{self.topic}.{system}"

    # What an operator does

    def start(self, name: str, *more: str, static: bool = True) -> Child:
        """Start an ingest worker (`in...`) or a detect worker."""
        if not name.startswith("in"):
            return super().start(name, "--facts-topic", self.facts, *more, static=static)
        child = self.workers.get(name)
        if child is None:
            instance = ("--instance-id", name) if static else ()
            arguments = ("--book", str(self.book), "--app-id", f"{self.run}-ingest", "--facts-topic", self.facts)
            server = ("--bootstrap-server", self.broker.bootstrap_server, "--session-timeout", str(SESSION_SECONDS))
            pace = ("--marker-interval", MARKER_INTERVAL)
            child = Child(name, ["ingest", *arguments, *server, *pace, *instance, *more], self.folder)
            self.workers[name] = child
        child.start()
        self._wanted.add(name)
        return child

    async def grow(self, system: str, partitions: int) -> None:
        """Give a source more partitions while everything runs; it uses them as soon as its producer knows of them."""
        admin = AdminClient({"bootstrap.servers": self.broker.bootstrap_server})
        topic = self.topic_of(system)
        await asyncio.to_thread(admin.create_partitions([NewPartitions(topic, partitions)])[topic].result, 30)
        while len(await self.producer.partitions_for(topic)) < partitions:
            await self.producer.client.force_metadata_update()
        self.partitions[system] = partitions

    async def recreate(self, system: str) -> None:
        """Delete the topic of a source and make it anew, as somebody who wants to be rid of its events."""
        admin, topic = AdminClient({"bootstrap.servers": self.broker.bootstrap_server}), self.topic_of(system)
        await asyncio.to_thread(admin.delete_topics([topic])[topic].result, 30)
        new = NewTopic(topic, self.partitions[system], 1)
        while error := await asyncio.to_thread(admin.create_topics([new])[topic].exception, 30):
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # for a moment the name is still taken
                raise error
            await asyncio.sleep(0.1)

    async def let_go(self, system: str) -> None:
        """Set the ingest's position on a source to its beginning, while no ingest runs."""
        admin, topic = AdminClient({"bootstrap.servers": self.broker.bootstrap_server}), self.topic_of(system)
        places = [TopicPartition(topic, partition, 0) for partition in range(self.partitions[system])]
        asked = ConsumerGroupTopicPartitions(f"{self.run}-ingest", places)
        while True:  # Kafka refuses as long as the group has members, static ones that do not run included
            (future,) = admin.alter_consumer_group_offsets([asked]).values()
            try:
                done = await asyncio.to_thread(future.result, 30)
            except KafkaException as error:
                assert error.args[0].code() in {KafkaError.NON_EMPTY_GROUP, KafkaError.UNKNOWN_MEMBER_ID}, error  # noqa: PT017
            else:
                if all(place.error is None for place in done.topic_partitions):
                    return
            await asyncio.sleep(0.5)

    def remap(self, system: str) -> None:
        """Mend the book after a system has renamed its events' ids; who starts from now on reads them."""
        topic = self.topic_of(system)
        self.book.write_text(
            self.book.read_text().replace(f"{topic}, format: json, id: id", f"{topic}, format: json, id: ident")
        )

    # What the systems do

    @contextmanager
    def silence(self, system: str) -> Iterator[None]:
        """Meanwhile one system says nothing and promises nothing; afterwards it says everything at once."""
        self.silent.add(system)
        try:
            yield
        finally:
            self.silent.discard(system)

    async def feed_all(self, parts: Iterable[tuple[Sequence[Sent], int | None]]) -> None:
        """Publish one part after the other, each event on its system's topic, and return when all is acknowledged."""
        pending: list[Awaitable[RecordMetadata]] = []
        for messages, complete_until in parts:
            due, self._waiting = [*self._waiting, *messages], []
            for one in due:
                system = OF_EVENT[one.event.type]
                if system.name in self.silent:
                    self._waiting.append(one)
                else:
                    pending.append(await self._send(system, one))
            if complete_until is not None:
                pending += await self._mark(complete_until)
        await asyncio.gather(*pending)

    async def _send(
        self, system: System, one: Sent, producer: AIOKafkaProducer | None = None
    ) -> Awaitable[RecordMetadata]:
        """To a partition of its own choosing: nothing may depend on what a source's records are keyed by."""
        key = system.key(one.event)
        count = self.partitions[system.name]
        partition = None if key is None else (murmur2(key) & 0x7FFFFFFF) % count
        chosen = producer or self.producer
        value = one.value.replace(b'"id":', b'"ident":') if system.name in self.renamed else one.value
        sent: Awaitable[RecordMetadata] = await chosen.send(
            self.topic_of(system.name), value, key=key, partition=partition
        )
        return sent

    async def _mark(self, complete_until: int) -> list[Awaitable[RecordMetadata]]:
        return [
            await self.producer.send(
                self.topic_of(system.name), b"", partition=partition, headers=marker_headers(complete_until)
            )
            for system in SYSTEMS
            if system.name not in self.silent
            for partition in range(self.partitions[system.name])
        ]

    @asynccontextmanager
    async def open_transaction(self, system: str) -> AsyncIterator[None]:
        """Meanwhile a producer of that source has a transaction open on each partition: readers see nothing beyond."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.broker.bootstrap_server, transactional_id=f"{self.run}-{system}", acks="all"
        )
        await producer.start()
        try:
            async with producer.transaction():
                for partition in range(self.partitions[system]):
                    event = b'{"id":"x","type":"page.viewed","order":"x","at":"2026-01-01T00:00:00Z"}'
                    await producer.send_and_wait(self.topic_of(system), event, partition=partition)
                yield
        finally:
            await producer.stop()

    # What must be true

    def doubts(self, name: str, system: str, reason: str) -> bool:
        """Whether a worker has ever told that this source is in doubt."""
        lines = self.workers[name].log.read_text().splitlines()
        told = [line for line in lines if "source is in doubt " in line and "no more" not in line]
        return any(f"source={system}" in line and f"reason={reason}" in line for line in told)

    def one_a_partition(self) -> list[str]:
        """An order on each facts partition, sorted behind all others of its instant."""
        found: dict[int, str] = {}
        number = 0
        while len(found) < PARTITIONS:
            subject = f"{self.run}-~{number}"
            found.setdefault(facts_partition(subject), subject)
            number += 1
        return list(found.values())

    async def finish(self, world: World, judged: Callable[[tuple[str, str]], bool] = lambda _: True) -> int:
        """End the world with one last broken promise a facts partition and wait for those; returns the last due.

        `judged`: of which (promise, order) a verdict is to be waited for.
        """
        last = max(verdict.due for verdict in world.verdicts(world.now).values()) + 1
        last = max(last, world.now + 1_000)
        subjects = self.one_a_partition()
        await self.feed(world.sentinels(subjects, last), last + 1 if self.frontier == "markers" else None)
        waited = {("deliver", subject) for subject in subjects}
        await self.until("the last breach of every partition", lambda: waited <= self._breached())
        await self.until("every verdict", lambda: self._settled(world, last + 1, judged))
        return last

    def _settled(self, world: World, as_of: int, judged: Callable[[tuple[str, str]], bool]) -> bool:
        """Whether all that is expected was seen: not every promise waits for the sources of the last breaches."""
        verdicts = world.verdicts(as_of).items()
        expected = {name for name, verdict in verdicts if verdict.status != "open" and judged(name)}
        return expected <= {(one.promise, one.subject) for one in self.outcomes}

    def _create_topics(self) -> None:
        client = AdminClient({"bootstrap.servers": self.broker.bootstrap_server})
        there = client.list_topics(timeout=30).topics
        wanted = [NewTopic(self.topic_of(name), count, 1) for name, count in self.partitions.items()]
        wanted += [NewTopic(self.facts, PARTITIONS, 1), NewTopic(topics.texts_changelog(f"{self.run}-ingest"), 1, 1)]
        wanted += [
            NewTopic(spec.name, PARTITIONS, 1, config=spec.configs)
            for spec in topics.required((*self.sources, self.facts), self.run)
        ]
        for future in client.create_topics([topic for topic in wanted if topic.topic not in there]).values():
            future.result(30)


@asynccontextmanager
async def systems(
    broker: ApacheKafka, folder: Path, run: str, *, frontier: str, settle_ms: int = 2_000
) -> AsyncIterator[Systems]:
    """Four systems without workers yet; everything it started has ended afterwards."""
    one = Systems(broker, folder, run, frontier=frontier, settle_ms=settle_ms)
    await one.open()
    try:
        yield one
    finally:
        await one.close()


async def kill_while(one: Systems, feeding: Awaitable[None], names: Sequence[str], random: Random) -> None:
    """kill -9 on one of the workers at a random moment of the feeding; it is started again at once."""
    task = asyncio.ensure_future(feeding)
    await asyncio.sleep(random.random())
    name = random.choice(names)
    one.kill(name)
    if not name.startswith("in") and random.random() < 0.3:
        one.wipe(name)
    await asyncio.sleep(random.random() * 0.5)
    one.start(name)
    await task
