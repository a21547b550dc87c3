"""Runs the demo: a broker, the topics, a worker and a notifier as processes, the week, and the final comparison."""

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from aiokafka import AIOKafkaProducer

from promisewatch.brokers import ApacheKafka, BrokerChoice, EmbeddedBroker, choose_broker
from promisewatch.brokers.embedded import PARTITIONS_MIN
from promisewatch.brokers.folders import TemporaryFolder
from promisewatch.demonstration.expected import expect
from promisewatch.demonstration.feeder import Feeder
from promisewatch.demonstration.lag import Lag
from promisewatch.demonstration.processes import Child
from promisewatch.demonstration.report import Report, compare
from promisewatch.demonstration.table import Voice
from promisewatch.demonstration.watch import Watch
from promisewatch.demonstration.week import BURST_MS, END_MS, START_MS, Message, Week, write_week
from schemas import topics
from schemas.book import Book, load_book
from schemas.errors import PromisewatchError
from schemas.exits import ExitCode
from streams.clock import ScaledClock

T = TypeVar("T")
APP_ID = "promisewatch"
NOTIFIER_ID = "promisewatch-notifier"
PARTITIONS = 8
START_SECONDS = 8.0
"""Real time between the start of the processes and midnight before the first day."""
OUTAGE_SECONDS = 1.0
STOP_SECONDS = 0.3
"""How long the last thing the worker has written before it was stopped takes to be known here, at most."""
PATIENCE_SECONDS = 45.0
"""How long, after the last instant of the week, nothing may be published or told before it is taken for the end."""
RESTARTS_MAX = 5


class ProcessFailed(PromisewatchError):
    """The worker or the notifier ended by itself."""

    exit_code = ExitCode.DIFFERENT


@dataclass(frozen=True)
class Options:
    """What the command was asked for. `speed`: how many times as fast as in life the week is played."""

    book: Path
    broker: BrokerChoice
    seed: int
    speed: float


def play(
    options: Options, voice: Voice, scene: type["Scene"] | None = None, week: Callable[[int], Week] = write_week
) -> Report:
    """Play the week of a seed and compare. On a failure the logs are kept, and the voice says where."""
    scene = scene or Scene
    book = load_book(options.book)
    # A topic made a moment ago has no leader yet: its clients try again, and need not tell.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    chosen = choose_broker(options.broker)
    voice.say(chosen.reason)
    folder = TemporaryFolder("demo")
    kept = True
    try:
        with open_broker(chosen.broker, scene.topic_names(book)) as broker:
            played = scene(options, broker, book, week(options.seed), folder.path, voice)
            report = asyncio.run(played.play())
        kept = bool(report.problems)
    except (KeyboardInterrupt, SystemExit):  # Ctrl-C, or nobody reads what is printed any more
        kept = False
        raise
    finally:
        if kept:
            folder.keep()
            voice.say(f"logs and state of the worker and the notifier are kept in {folder.path}")
        else:
            folder.remove()
    return report


def open_broker(choice: BrokerChoice, names: Iterable[str]) -> ApacheKafka | EmbeddedBroker:
    """The broker, not started yet. The embedded one creates no topics later, so it is told the `names` of all."""
    if choice is BrokerChoice.KAFKA:
        return ApacheKafka()
    return EmbeddedBroker(dict.fromkeys(names, PARTITIONS_MIN))


@dataclass
class Scene:
    """One performance on a running broker: one shop, one worker, which is killed, and one notifier."""

    options: Options
    broker: ApacheKafka | EmbeddedBroker
    book: Book
    week: Week
    folder: Path
    voice: Voice
    outage: tuple[int, int] = (0, 0)
    burst: asyncio.Event = field(default_factory=asyncio.Event)
    killing: bool = False

    @classmethod
    def topic_names(cls, book: Book) -> list[str]:
        """Every topic that the performance needs."""
        sources = tuple(source.topic for source in book.sources.values())
        return [*sources, *(spec.name for spec in topics.required(sources, APP_ID))]

    @property
    def settle_ms(self) -> int:
        """How late a source may publish, which is waited for on purpose."""
        return max(source.settle_ms for source in self.book.sources.values())

    def topic_of(self, message: Message) -> str:
        """Where a message is published."""
        del message  # all go to the one topic
        (source,) = self.book.sources.values()
        return source.topic

    async def play(self) -> Report:
        self.expected = expect(((message.at, message.value) for message in self.week.messages), as_of=END_MS)
        if self.broker.transactional:
            self._create_topics()
        real_ms = time.time_ns() // 1_000_000 + int(START_SECONDS * 1000)
        numbers = (real_ms, START_MS, self.options.speed)
        self.clock = ScaledClock(*numbers)
        self.cast("scaled:{}:{}:{}".format(*numbers))
        committed, server = self.broker.transactional, self.broker.bootstrap_server
        sources = [source.topic for source in self.book.sources.values()]
        self.watch = Watch(server, *sources, committed=committed, on_breach=self.voice.breach)
        self.lag = Lag(server, topics.changelog(APP_ID), committed=committed)
        try:
            for child in self.children:
                child.start()
            self._introduce()
            return await self._perform()
        finally:
            for child in self.children:
                await asyncio.to_thread(child.stop)

    def cast(self, clock: str) -> None:
        """Say which processes take part, on this clock; none of them runs yet."""
        self.worker = self._child("worker", *self._book(), "--app-id", APP_ID, *self._member(), "--clock", clock)
        self.notifier = self._child("notifier", "--app-id", NOTIFIER_ID, "--clock", clock)
        self.children = [self.worker, self.notifier]

    async def _perform(self) -> Report:
        """Let everything run side by side until the week is judged; the first failure ends all of it."""
        background = [
            asyncio.create_task(work) for work in (self.watch.run(), self.lag.run(), self._supervise(), self.listen())
        ]
        try:
            await _unless(background, self._feed())
            return await _unless(background, self._judge())
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)

    async def _feed(self) -> None:
        """Let everything be published, and meanwhile something go wrong."""
        producer = AIOKafkaProducer(bootstrap_servers=self.broker.bootstrap_server, acks="all", linger_ms=0)
        await producer.start()
        try:
            feeder = Feeder(producer, self.topic_of, self.clock, self.settle_ms, self.lag.acknowledged)
            async with asyncio.TaskGroup() as both:
                both.create_task(feeder.play(self.week.messages, before=self._notice))
                both.create_task(self.trouble())
        except* PromisewatchError as errors:
            raise errors.exceptions[0] from None
        finally:
            await producer.stop()

    def _notice(self, message: Message) -> None:
        if message.at >= BURST_MS:
            self.burst.set()

    async def trouble(self) -> None:
        """Kill the worker while it has events to process, for sure, and start it again."""
        await self.burst.wait()
        seconds = (END_MS - self.clock.now_ms()) / self.options.speed / 1000
        try:
            ends = await asyncio.wait_for(self._stop_behind(), seconds)
        except TimeoutError:
            raise ProcessFailed("the worker had nothing to process whenever it was to be killed") from None
        began, pid = self.clock.now_ms(), self.worker.pid
        unread = self.lag.behind(ends)
        self.killing = True
        self.worker.kill()
        self.voice.at(began, "worker killed", f"kill -9 {pid}, with {unread} events not yet processed", "bold magenta")
        await asyncio.sleep(OUTAGE_SECONDS)
        self.worker.start()
        self.killing = False
        self.voice.at(self.clock.now_ms(), "worker started", f"again, as process {self.worker.pid}", "magenta")
        missed = self.lag.ends()
        await until_quiet(lambda: self.lag.behind(missed) > 0, lambda: self.lag.processed, pause=0.02)
        if unread := self.lag.behind(missed):
            raise ProcessFailed(f"the worker has not processed {unread} of the events it missed when it was killed")
        self.outage = (began, self.clock.now_ms())
        seconds = (self.outage[1] - began) / self.options.speed / 1000
        back = f"has processed all it missed, {seconds:.1f} s of real time after the kill"
        self.voice.at(self.outage[1], "worker is back", back, "magenta")

    async def _stop_behind(self) -> dict[int, int]:
        """Stop the worker (SIGSTOP) at an instant at which it has events to process; returns what was published then.

        What a running worker has processed is known a little later only, so that a kill could find it idle.
        """
        while True:
            await _until(lambda: self.lag.behind() > 0 and self.worker.running, 0.001)
            self.worker.signal(signal.SIGSTOP)
            ends = self.lag.ends()
            await asyncio.sleep(STOP_SECONDS)
            if self.lag.behind(ends):
                return ends
            self.worker.signal(signal.SIGCONT)

    async def _judge(self) -> Report:
        """Wait until everything due is proved and published, and a moment longer for what must not come."""
        await asyncio.sleep(max(0, END_MS - self.clock.now_ms()) / self.options.speed / 1000)
        await until_quiet(lambda: bool(self._compare().problems), lambda: self.watch.seen.records)
        await asyncio.sleep(1.0)
        report = self._compare()
        if isinstance(self.broker, EmbeddedBroker) and (dropped := await asyncio.to_thread(self.broker.dropped)):
            report.problems.append(f"the embedded broker dropped {sum(dropped.values())} records for lack of room")
        return report

    def _compare(self) -> Report:
        return compare(
            self.watch.seen,
            self.expected,
            settle_ms=self.settle_ms,
            factor=self.options.speed,
            outage=self.outage,
            exactly_once=self.broker.transactional,
        )

    async def _supervise(self) -> None:
        """Start again what ended with exit code 75, as an orchestrator would; anything else is a failure."""
        restarts = 0
        while True:
            await asyncio.sleep(0.1)
            for child in self.children:
                if child.running or (child is not self.notifier and self.killing):
                    continue
                if child.exit_code != ExitCode.RESTART or restarts == RESTARTS_MAX:
                    raise ProcessFailed(
                        f"the {child.name} ended with exit code {child.exit_code}:\n{child.last_words()}"
                    )
                restarts += 1
                self.voice.at(self.clock.now_ms(), child.name, "asked to be started again (exit code 75)", "magenta")
                child.start()

    async def listen(self) -> None:
        """Pass on what the notifier says to its console, a line a notification."""
        async for line in new_lines(self.notifier.out):
            self.voice.at(self.clock.now_ms(), "notified", line, "cyan")

    def _introduce(self) -> None:
        settle_hours = self.settle_ms / 3_600_000
        minutes = (END_MS - START_MS) / self.options.speed / 60_000
        self.voice.say(
            f"{self.week.orders} orders, {len(self.week.messages)} messages, Thursday 23 to Wednesday 29 April 2026, "
            f"in about {minutes:.0f} minutes: {self.options.speed:g} times as fast as in life.\n"
            f"Nothing counts as missing before {settle_hours:g} hours beyond its due have passed "
            f"({settle_hours * 3600 / self.options.speed:.1f} s of real time): so late may the shop publish (`settle`)."
        )
        self.voice.say(", ".join(f"{child.name} is process {child.pid}" for child in self.children))

    def _book(self) -> tuple[str, str]:
        return ("--book", str(self.options.book))

    def _member(self) -> tuple[str, str]:
        """Under a name of its own a process gets its partitions back at once, also after kill -9."""
        return ("--instance-id", "demo") if self.broker.transactional else ("--session-timeout", "6")

    def _create_topics(self) -> None:
        arguments = (*self._book(), "--partitions", str(PARTITIONS), "--app-id", APP_ID)
        create = Child("topics", ["topics", "create", *arguments, *self._server()], self.folder)
        create.start()
        if code := create.wait():
            raise ProcessFailed(f"`promisewatch topics create` ended with exit code {code}:\n{create.last_words()}")

    def _child(self, command: str, *arguments: str, stateful: bool = True) -> Child:
        state = ("--state-dir", str(self.folder / f"{command}-state"))
        honest = () if self.broker.transactional else ("--no-transactions",)
        kept = (*state, *honest) if stateful else ()
        return Child(command, [command, *arguments, *kept, *self._server()], self.folder)

    def _server(self) -> tuple[str, str]:
        return ("--bootstrap-server", self.broker.bootstrap_server)


async def new_lines(file: Path) -> AsyncIterator[str]:
    """Every line of a file that another process writes, soon after it is written; there is no end to it."""
    with file.open(errors="replace") as written:
        rest = ""
        while True:
            rest += written.read()
            *lines, rest = rest.split("\n")
            for line in lines:
                yield line
            await asyncio.sleep(0.2)


async def _until(true: Callable[[], bool], pause: float) -> None:
    """Wait for something that happens in other processes, so that it can only be looked for."""
    while not true():  # noqa: ASYNC110
        await asyncio.sleep(pause)


async def until_quiet(
    lacking: Callable[[], bool],
    come: Callable[[], int],
    monotonic: Callable[[], float] = time.monotonic,
    pause: float = 0.5,
) -> None:
    """Wait while something is lacking, until no more has come for `PATIENCE_SECONDS`: a slow machine gets there too.

    `come` is how much has come so far; `pause` is in seconds.
    """
    known, since = come(), monotonic()
    while lacking() and monotonic() - since < PATIENCE_SECONDS:
        await asyncio.sleep(pause)
        if (now_known := come()) > known:
            known, since = now_known, monotonic()


async def _unless(background: list[asyncio.Task[None]], work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`; raises instead as soon as something in the background, which never ends, has failed."""
    task = asyncio.create_task(work)
    try:
        done, _ = await asyncio.wait([task, *background], return_when=asyncio.FIRST_COMPLETED)
        for other in background:
            if other in done:
                other.result()
        return await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
