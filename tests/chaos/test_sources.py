"""Promises that span four systems: ingest and detect workers are killed, paused and absent, sources grow, stand still
and repeat themselves; breaches are late then, never false and never missed.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from promisewatch.brokers import ApacheKafka
from promisewatch.demonstration.report import verdict_problems
from promisewatch.demonstration.watch import RETRACTED
from schemas.exits import ExitCode
from tests.chaos.cluster import SESSION_SECONDS, check, now_ms
from tests.chaos.oracle import AHEAD_MS, CONFIRM_MS, LONGEST_MS, World
from tests.chaos.systems import Systems, kill_while, systems
from tests.chaos.troubles import Troubles
from tests.cli.running import promisewatch

pytestmark = [pytest.mark.kafka]

BASE_MS = 1_777_000_000_000
"""Any past instant: the recorded time of a run whose sources tell by markers how far they are complete."""
INGEST, DETECT = ("in-one", "in-two"), ("one", "two")
LATE = (LONGEST_MS + CONFIRM_MS) / 1000
"""Seconds by which every order begun has come to its end."""


async def step(one: Systems, world: World, orders: int = 40) -> None:
    """Ten more seconds of recorded time in one burst: every second its events, then each system's markers."""
    await one.feed_all([(world.advance(world.now + 1_000, orders), world.complete_until) for _ in range(10)])


def start(one: Systems, *names: str) -> None:
    for name in names or (*INGEST, *DETECT):
        one.start(name)


async def survive_kills(one: Systems, world: World, random: Random, kills: int) -> None:
    for _ in range(kills):
        await kill_while(one, step(one, world), (*INGEST, *DETECT), random)


async def test_kills_of_ingest_and_detect_workers_under_load_lose_and_repeat_nothing(
    broker: ApacheKafka, tmp_path: Path, unique: Callable[[str], str], seed: int
) -> None:
    """kill -9 on either kind, four times, two workers of each: the oracle's verdicts, each event id once."""
    run = unique("sources")
    async with systems(broker, tmp_path, run, frontier="markers") as one:
        world = World(seed, BASE_MS, run)
        start(one)
        await survive_kills(one, world, Random(seed), 4)
        await check(one, world, await one.finish(world) + 1)


@pytest.mark.full
@pytest.mark.timeout(900)
async def test_twenty_kills_of_ingest_and_detect_workers_lose_and_repeat_nothing(
    broker: ApacheKafka, tmp_path: Path, unique: Callable[[str], str], seed: int
) -> None:
    """kill -9 on either kind, twenty times: the oracle's verdicts, each event id once."""
    run = unique("sources")
    async with systems(broker, tmp_path, run, frontier="markers") as one:
        world = World(seed, BASE_MS, run)
        start(one)
        await survive_kills(one, world, Random(seed), 20)
        await check(one, world, await one.finish(world) + 1)


@pytest.mark.full
@pytest.mark.timeout(1_200)
async def test_troubles_of_every_kind_one_upon_the_other_lose_and_repeat_nothing(
    broker: ApacheKafka, tmp_path: Path, unique: Callable[[str], str], seed: int
) -> None:
    """Thirty bursts, each with a worker killed, paused or away while a system grows, hangs, repeats itself or says
    nothing: the oracle's verdicts, each event id once.
    """
    run = unique("troubles")
    async with systems(broker, tmp_path, run, frontier="markers") as one:
        world = World(seed, BASE_MS, run)
        start(one)
        troubles = Troubles(one, world, seed, INGEST, DETECT)
        for _ in range(30):
            await troubles.burst()
        print(dict(troubles.seen))
        await check(one, world, await one.finish(world) + 1)


async def test_an_ingest_worker_stopped_past_its_session_and_continued_does_no_harm(
    broker: ApacheKafka, tmp_path: Path, unique: Callable[[str], str], seed: int
) -> None:
    """SIGSTOP until the other has taken over, then SIGCONT: what it still sends is known already, and true."""
    run = unique("paused")
    async with systems(broker, tmp_path, run, frontier="markers") as one:
        world = World(seed, BASE_MS, run)
        for name in INGEST:
            one.start(name, static=False)
        start(one, "one")
        await step(one, world)
        await one.until("a first breach", lambda: bool(one.breaches))
        one.pause("in-one")
        stopped_at = time.monotonic()
        await step(one, world)
        await asyncio.sleep(max(0.0, stopped_at + 2 * SESSION_SECONDS - time.monotonic()))
        one.resume("in-one")
        await step(one, world)
        await check(one, world, await one.finish(world) + 1)


@pytest.mark.parametrize("absent_s", [6, pytest.param(180, marks=[pytest.mark.full, pytest.mark.timeout(900)])])
async def test_while_no_ingest_worker_runs_nothing_is_broken_and_afterwards_nothing_is_missed(
    broker: ApacheKafka, tmp_path: Path, unique: Callable[[str], str], seed: int, absent_s: int
) -> None:
    """The clock goes on, promises fall due and are kept, and nobody reads the systems: detect proves nothing."""
    run = unique("absent")
    async with systems(broker, tmp_path, run, frontier="clock") as one:
        start(one)
        world = World(seed, now_ms(), run)
        async with one.live(world, orders=6):
            await one.until("a breach before", lambda: bool(one.breaches))
            for name in INGEST:
                one.kill(name)
            await asyncio.sleep(3)
            seen = len(one.breaches)
            await asyncio.sleep(absent_s)
            assert len(one.breaches) == seen
            start(one, *INGEST)
            one.orders = 0
            await asyncio.sleep(LATE)
        await check(one, world, await one.finish(world) + 1)


async def test_partitions_added_to_a_source_are_waited_for_from_their_first_record_on(
    broker: ApacheKafka, tmp_path: Path, unique: Callable[[str], str], seed: int
) -> None:
    """The carrier's topic grows from four to seven partitions while it tells of deliveries on all of them."""
    run = unique("grown")
    async with systems(broker, tmp_path, run, frontier="clock") as one:
        start(one)
        world = World(seed, now_ms(), run)
        async with one.live(world, orders=6):
            await one.until("a breach before", lambda: bool(one.breaches))
            await one.grow("carrier", 7)
            await asyncio.sleep(12)
            one.orders = 0
            await asyncio.sleep(LATE)
        await check(one, world, await one.finish(world) + 1)


async def test_a_source_that_is_blocked_holds_the_promises_that_wait_for_it_and_no_others(
    broker: ApacheKafka, tmp_path: Path, unique: Callable[[str], str], seed: int
) -> None:
    """A transaction of the carrier hangs: its facts cannot be read; confirmations go on being judged meanwhile."""
    run = unique("blocked")
    async with systems(broker, tmp_path, run, frontier="clock") as one:
        start(one)
        world = World(seed, now_ms(), run)
        async with one.live(world, orders=6):
            await one.until("a breach before", lambda: bool(one.breaches))
            async with one.open_transaction("carrier"):
                await asyncio.sleep(4)
                before = [breach.promise for breach in one.breaches]
                await asyncio.sleep(6)
                after = [breach.promise for breach in one.breaches]
            assert after.count("confirm") > before.count("confirm")
            assert after.count("deliver") == before.count("deliver")
            assert after.count("label") == before.count("label")
            one.orders = 0
            await asyncio.sleep(LATE)
        await check(one, world, await one.finish(world) + 1)


async def test_a_source_that_has_nothing_to_say_holds_nobody_up(
    broker: ApacheKafka, tmp_path: Path, unique: Callable[[str], str], seed: int
) -> None:
    """The warehouse is idle: its clock says that nothing came, and labels that are missing are proved so."""
    run = unique("idle")
    async with systems(broker, tmp_path, run, frontier="clock") as one:
        start(one)
        world = World(seed, now_ms(), run)
        world.mute("label")
        async with one.live(world, orders=6):
            await one.until("a missing label", lambda: "label" in {b.promise for b in one.breaches})
            one.orders = 0
            await asyncio.sleep(LATE)
        await check(one, world, await one.finish(world) + 1)


async def test_a_source_that_is_replayed_changes_nothing(
    broker: ApacheKafka, tmp_path: Path, unique: Callable[[str], str], seed: int
) -> None:
    """The carrier sends everything once more: facts are a set, so no verdict and no event comes of it."""
    run = unique("replayed")
    async with systems(broker, tmp_path, run, frontier="markers") as one:
        world = World(seed, BASE_MS, run)
        start(one, "in-one", "one")
        told = [(world.advance(world.now + 1_000, 40), world.complete_until) for _ in range(10)]
        await one.feed_all(told)
        await one.until("a first breach", lambda: bool(one.breaches))
        again = [sent for part, _ in told for sent in part if sent.event.type in ("shipped", "delivered")]
        await one.feed_all([(again, None)])
        await step(one, world)
        await check(one, world, await one.finish(world) + 1)


async def test_a_changed_schema_breaks_no_promise_and_once_it_is_mended_it_is_as_if_nothing_had_happened(
    broker: ApacheKafka, tmp_path: Path, unique: Callable[[str], str], seed: int
) -> None:
    """Everything the carrier sends goes to dead letters: it is in doubt. The book is mended, the letters redriven."""
    run = unique("schema")
    async with systems(broker, tmp_path, run, frontier="clock") as one:
        start(one)
        world = World(seed, now_ms(), run)
        async with one.live(world, orders=4):
            await one.until("a breach before", lambda: "deliver" in {b.promise for b in one.breaches})
            one.renamed.add("carrier")
            await one.until("doubt", lambda: any(one.doubts(name, "carrier", "dead_letters") for name in DETECT))
            await asyncio.sleep(3)  # what had been proved by then is published
            before = Counter(breach.promise for breach in one.breaches)
            await asyncio.sleep(6)
            after = Counter(breach.promise for breach in one.breaches)
            assert after["confirm"] > before["confirm"]
            assert (after["deliver"], after["label"]) == (before["deliver"], before["label"])
            for name in (*INGEST, *DETECT):
                one.kill(name)
            one.remap("carrier")
            start(one)
            letters = f"{one.topic_of('carrier')}.dlq"
            done = await asyncio.to_thread(
                promisewatch, "redrive", letters, "--bootstrap-server", broker.bootstrap_server
            )
            assert done.code == 0, done.err
            one.orders = 0
            await asyncio.sleep(LATE)
        await check(one, world, await one.finish(world) + 1)


async def test_a_source_that_is_recreated_is_refused_and_read_anew_it_breaks_nothing_that_it_may_have_kept(
    broker: ApacheKafka, tmp_path: Path, unique: Callable[[str], str], seed: int
) -> None:
    """The mail's topic is made anew under the ingest, which ends. Once an operator has let go of the positions,
    confirmations that ran meanwhile are held; what does not wait for mail, and later confirmations, are as ever.
    """
    run = unique("recreated")
    async with systems(broker, tmp_path, run, frontier="markers") as one:
        world = World(seed, BASE_MS, run)
        start(one)
        await step(one, world)
        await one.until("a breach before", lambda: "confirm" in {b.promise for b in one.breaches})
        for name in INGEST:
            one.expect_end(name)
        await one.recreate("mail")
        await one.until("an ingest to end", lambda: not all(one.workers[name].running for name in INGEST))
        for name in INGEST:
            ended = one.workers[name].exit_code
            assert ended in {ExitCode.CONFIG, ExitCode.RESTART, None}, one.workers[name].last_words()
            one.kill(name)  # whoever is left may read anew already: Kafka forgets offsets together with a topic
        await one.let_go("mail")
        start(one, *INGEST)
        for _ in range(2):
            await step(one, world)
        later = world.now + AHEAD_MS
        await step(one, world)
        opened = Opened(world)

        def exact(name: tuple[str, str]) -> bool:
            return name[0] != "confirm" or opened[name[1]] >= later

        as_of = await one.finish(world, exact) + 1
        seen, expected = await one.published(), world.verdicts(as_of)
        told = {name: outcomes for name, outcomes in seen.last_outcomes().items() if exact(name)}
        assert verdict_problems({name: one for name, one in expected.items() if exact(name)}, told) == []
        standing = {name for name, breach in seen.last_breaches().items() if breach.type != RETRACTED}
        assert standing <= {name for name, verdict in expected.items() if verdict.broken}
        held = {(o.promise, o.subject) for o in seen.outcomes if o.status == "held"}
        assert held
        assert {promise for promise, _ in held} == {"confirm"}


class Opened:
    """When an order was first placed, by its name."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __getitem__(self, order: str) -> int:
        placed = [event.time for event in self._world.told if event.subject == order and event.type == "placed"]
        return min(placed)
