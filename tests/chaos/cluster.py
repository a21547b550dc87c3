"""Workers as processes on a real broker, and what may happen to them: killed, paused, stopped, started again."""

import asyncio
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.partitioner import murmur2
from aiokafka.structs import RecordMetadata
from confluent_kafka.admin import AdminClient, NewTopic

from promisewatch.brokers import ApacheKafka
from promisewatch.demonstration.expected import Event
from promisewatch.demonstration.lag import Lag
from promisewatch.demonstration.processes import Child
from promisewatch.demonstration.report import order_problems, verdict_problems
from promisewatch.demonstration.watch import RETRACTED, Breach, Outcome, Seen, Watch, read_breach, read_outcome
from schemas import topics
from schemas.exits import ExitCode
from schemas.markers import marker_headers
from tests.chaos.oracle import BOOK, JITTER_MS, Sent, World

PARTITIONS = 8
SESSION_SECONDS = 6.0
PATIENCE_SECONDS = 180.0


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def partition_of(subject: str) -> int:
    """The partition of a subject, as Java's default partitioner chooses it."""
    return (murmur2(subject.encode()) & 0x7FFFFFFF) % PARTITIONS


def one_a_partition(prefix: str) -> dict[int, str]:
    """A subject on each partition, sorted behind all others of its instant."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < PARTITIONS:
        subject = f"{prefix}-~{number}"
        found.setdefault(partition_of(subject), subject)
        number += 1
    return found


class Cluster:
    """One book, its topics, and workers that an orchestrator would keep running. `run` names topics and subjects."""

    def __init__(
        self, broker: ApacheKafka, folder: Path, run: str, *, frontier: str, settle_ms: int, book: str = BOOK
    ) -> None:
        self.broker = broker
        self.run = run
        self.topic = f"{run}.events"
        self.sources = [self.topic]
        self.frontier = frontier
        self.settle_ms = settle_ms
        self.folder = folder
        self.book = folder / "book.yaml"
        self.book.write_text(book.format(topic=self.topic, settle_ms=settle_ms, frontier=frontier))
        self.workers: dict[str, Child] = {}
        self.restarts = 0
        self.slowest_ms = 0
        self.orders = 0
        self._living = False
        self.log: dict[int, list[tuple[int, Event]]] = {partition: [] for partition in range(PARTITIONS)}
        self._wanted: set[str] = set()
        self._faults: list[str] = []

    async def open(self) -> None:
        """Topics, the producer of the source, and the watchers."""
        await asyncio.to_thread(self._create_topics)
        server = self.broker.bootstrap_server
        self.producer = AIOKafkaProducer(bootstrap_servers=server, acks="all", linger_ms=1, request_timeout_ms=120_000)
        await self.producer.start()
        self.watch = Watch(server, *self.sources, committed=True, on_breach=lambda _: None)
        self.lag = Lag(server, topics.changelog(self.run), committed=True)
        self._tasks = [asyncio.create_task(work) for work in (self.watch.run(), self.lag.run(), self._orchestrate())]

    async def close(self) -> None:
        self._wanted.clear()
        await asyncio.gather(*(asyncio.to_thread(worker.stop) for worker in self.workers.values()))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.producer.stop()

    # What an operator does

    def start(self, name: str, *more: str, static: bool = True) -> Child:
        """Start a worker with a state folder of its own; `static`: it gets its partitions back after a restart."""
        instance = ("--instance-id", name) if static else ()
        arguments = ("--app-id", self.run, "--state-dir", str(self.folder / f"state-{name}"), *instance)
        server = ("--bootstrap-server", self.broker.bootstrap_server, "--session-timeout", str(SESSION_SECONDS))
        child = self.workers.get(name)
        if child is None:
            child = Child(name, ["worker", "--book", str(self.book), *arguments, *server, *more], self.folder)
            self.workers[name] = child
        child.start()
        self._wanted.add(name)
        return child

    def kill(self, name: str) -> None:
        """kill -9; it stays down until `start`."""
        self._wanted.discard(name)
        self.workers[name].kill()

    def expect_end(self, name: str) -> None:
        """The worker is going to end by itself, and shall not be started again."""
        self._wanted.discard(name)

    def wipe(self, name: str) -> None:
        """Take away the local state of a worker that does not run, as a new machine would."""
        assert not self.workers[name].running
        shutil.rmtree(self.folder / f"state-{name}", ignore_errors=True)

    def pause(self, name: str) -> None:
        self.workers[name].signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self.workers[name].signal(signal.SIGCONT)

    async def _orchestrate(self) -> None:
        """Start again what asks for it; remember what ends otherwise."""
        while True:
            await asyncio.sleep(0.05)
            for name in sorted(self._wanted):
                worker = self.workers[name]
                if worker.running:
                    continue
                if worker.exit_code == ExitCode.RESTART:
                    self.restarts += 1
                    worker.start()
                else:
                    self._wanted.discard(name)
                    self._faults.append(f"{name} ended with exit code {worker.exit_code}:\n{worker.last_words(30)}")

    # What the source does

    async def feed(self, messages: Sequence[Sent], complete_until: int | None = None) -> None:
        """Publish, and return when all is acknowledged; `complete_until` follows as a marker on every partition."""
        await self.feed_all([(messages, complete_until)])

    async def feed_all(self, parts: Iterable[tuple[Sequence[Sent], int | None]]) -> None:
        """Publish one part after the other, in order, and return when all of it is acknowledged."""
        events: list[Event] = []
        pending: list[Awaitable[RecordMetadata]] = []
        markers: list[Awaitable[RecordMetadata]] = []
        for messages, complete_until in parts:
            for sent in messages:
                key = sent.event.subject.encode()
                pending.append(await self.producer.send(self.topic, sent.value, key=key))
                events.append(sent.event)
            if complete_until is not None:
                for partition in range(PARTITIONS):
                    headers = marker_headers(complete_until)
                    markers.append(await self.producer.send(self.topic, b"", partition=partition, headers=headers))
        for event, done in zip(events, await asyncio.gather(*pending), strict=True):
            self.lag.acknowledged(done.partition, done.offset)
            self.log[done.partition].append((done.offset, event))
        await asyncio.gather(*markers)

    @asynccontextmanager
    async def live(self, world: World, orders: int) -> AsyncIterator[None]:
        """Meanwhile feed at the machine's own time, `orders` new ones (see `orders`) every 50 ms, without a gap."""
        self.orders = orders
        self._living = True
        feeding = asyncio.create_task(self._live(world))
        try:
            yield
        finally:
            self._living = False
            await feeding

    async def _live(self, world: World) -> None:
        """Notes how long the slowest step took: an event may have waited that long before it was in the log."""
        while self._living:
            began = world.now
            await self.feed(world.advance(now_ms(), self.orders))
            self.slowest_ms = max(self.slowest_ms, now_ms() - began)
            await asyncio.sleep(0.05)

    @property
    def kept_its_word(self) -> bool:
        """Whether every event was in the log within `settle` of its time: if not, a breach may be taken back."""
        return self.frontier == "markers" or self.slowest_ms < self.settle_ms - JITTER_MS

    # What must be true

    async def until(
        self, what: str, true: Callable[[], bool], patience: float = PATIENCE_SECONDS, pause: float = 0.02
    ) -> None:
        """Wait for a condition; a fault of a worker, or no end to the waiting, fails with everything known."""
        deadline = asyncio.get_running_loop().time() + patience
        while not true():
            assert not self._faults, "\n".join(self._faults)
            for task in self._tasks:
                if task.done():
                    task.result()
            if asyncio.get_running_loop().time() > deadline:
                words = "\n".join(f"--- {name}\n{worker.last_words(15)}" for name, worker in self.workers.items())
                raise AssertionError(f"waited {patience:.0f} s for: {what}; lag {self.lag.behind()}\n{words}")
            await asyncio.sleep(pause)

    def has_opened(self, name: str) -> bool:
        """Whether this worker has ever been given a partition."""
        return "partition opened" in self.workers[name].log.read_text()

    async def finish(self, world: World) -> int:
        """End the world with one last broken promise a partition and wait for those; returns the last due."""
        last = max(verdict.due for verdict in world.verdicts(world.now).values()) + 1
        last = max(last, world.now + 1_000)
        subjects = one_a_partition(self.run).values()
        await self.feed(world.sentinels(subjects, last), last + 1 if self.frontier == "markers" else None)
        waited = {("deliver", subject) for subject in subjects}
        await self.until("the last breach of every partition", lambda: waited <= self._breached())
        return last

    @property
    def breaches(self) -> list[Breach]:
        """What was published so far about this run's subjects: the topic still holds what earlier runs published."""
        return [breach for breach in self.watch.seen.breaches if breach.subject.startswith(f"{self.run}-")]

    @property
    def outcomes(self) -> list[Outcome]:
        """How this run's promises ended so far."""
        return [outcome for outcome in self.watch.seen.outcomes if outcome.subject.startswith(f"{self.run}-")]

    def _breached(self) -> set[tuple[str, str]]:
        return {(breach.promise, breach.subject) for breach in self.breaches}

    async def published(self) -> Seen:
        """Everything published about this run's subjects, read anew from the beginning, committed records only."""
        seen = Seen()
        async for topic, value in self._read(topics.BREACHES, topics.OUTCOMES):
            if topic == topics.BREACHES and (breach := read_breach(value)).subject.startswith(f"{self.run}-"):
                seen.breaches.append(breach)
            elif topic == topics.OUTCOMES and (outcome := read_outcome(value)).subject.startswith(f"{self.run}-"):
                seen.outcomes.append(outcome)
        return seen

    async def _read(self, *names: str) -> AsyncIterator[tuple[str, bytes]]:
        server = self.broker.bootstrap_server
        consumer = AIOKafkaConsumer(bootstrap_servers=server, isolation_level="read_committed", fetch_max_wait_ms=50)
        await consumer.start()
        try:
            places = [TopicPartition(name, partition) for name in names for partition in range(PARTITIONS)]
            consumer.assign(places)
            await consumer.seek_to_beginning()
            ends = await consumer.end_offsets(places)
            while any([await consumer.position(place) < end for place, end in ends.items()]):
                for place, records in (await consumer.getmany(timeout_ms=200)).items():
                    for record in records:
                        yield place.topic, record.value
        finally:
            await consumer.stop()

    def _create_topics(self) -> None:
        """This run's topics, and the shared ones where an earlier run has not made them."""
        client = AdminClient({"bootstrap.servers": self.broker.bootstrap_server})
        there = client.list_topics(timeout=30).topics
        wanted = [NewTopic(self.topic, PARTITIONS, 1)]
        wanted += [
            NewTopic(spec.name, PARTITIONS, 1, config=spec.configs) for spec in topics.required((self.topic,), self.run)
        ]
        for future in client.create_topics([topic for topic in wanted if topic.topic not in there]).values():
            future.result(30)


@asynccontextmanager
async def cluster(
    broker: ApacheKafka, folder: Path, run: str, *, frontier: str, settle_ms: int = 2_000, book: str = BOOK
) -> AsyncIterator[Cluster]:
    """A cluster without workers yet; everything it started has ended afterwards. `book` has topic, settle and kind of
    frontier left open.
    """
    one = Cluster(broker, folder, run, frontier=frontier, settle_ms=settle_ms, book=book)
    await one.open()
    try:
        yield one
    finally:
        await one.close()


async def check(one: Cluster, world: World, as_of: int, *, known_since: dict[str, int] | None = None) -> Seen:
    """0 missed, 0 false, 0 duplicate ids, by what is on the topics in the end; and, where the source kept its word,
    nothing that had to be taken back either.
    """
    seen = await one.published()
    expected = world.verdicts(as_of, known_since)
    problems = verdict_problems(expected, seen.last_outcomes())
    standing = {key for key, breach in seen.last_breaches().items() if breach.type != RETRACTED}
    broken = {key for key, verdict in expected.items() if verdict.broken}
    problems += [f"{key}: missed" for key in sorted(broken - standing)]
    problems += [f"{key}: false" for key in sorted(standing - broken)]
    problems += [f"{name}: published twice" for name in repeated(breach.id for breach in seen.breaches)]
    problems += [f"{name}: outcome published twice" for name in repeated(outcome.id for outcome in seen.outcomes)]
    problems += order_problems(seen.breaches)
    if one.kept_its_word:
        problems += [f"{b.promise} {b.subject}: taken back" for b in seen.breaches if b.type == RETRACTED]
    assert not problems, f"{len(problems)} problems, the first: " + "\n".join(problems[:20])
    assert broken, "a world without a broken promise proves nothing"
    return seen


def repeated(ids: Iterable[str]) -> list[str]:
    known: set[str] = set()
    return [one for one in ids if one in known or known.add(one)]  # type: ignore[func-returns-value]


async def kill_under_load(one: Cluster, names: Sequence[str], random: Random, *, static: bool = True) -> int:
    """kill -9 on one of the workers at a random moment while events wait; returns how many waited then."""
    await one.until("events waiting", lambda: one.lag.behind() > 0, pause=0.001)
    await asyncio.sleep(random.random() * 0.05)
    name = random.choice(names)
    one.kill(name)
    ends = one.lag.ends()
    await asyncio.sleep(random.random() * 0.5)
    waiting = one.lag.behind(ends)
    if random.random() < 0.3:
        one.wipe(name)
    one.start(name, static=static)
    return waiting
