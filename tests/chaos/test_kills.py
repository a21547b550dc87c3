"""Workers are killed, paused and cut off from their broker; what is published stays right, and is published once."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import pytest

from promisewatch.brokers import ApacheKafka
from tests.chaos.cluster import PARTITIONS, SESSION_SECONDS, Cluster, check, cluster, kill_under_load, now_ms
from tests.chaos.oracle import CONFIRM_MS, LONGEST_MS, World

pytestmark = [pytest.mark.kafka]

BASE_MS = 1_777_000_000_000
"""Any past instant: the recorded time of a run whose source tells by markers how far it is complete."""
WORKERS = ("one", "two")


async def step(one: Cluster, world: World) -> None:
    """Ten more seconds of recorded time in one burst: every second its events, then a marker that says so.

    Now and then that marker is the very instant of an event still to come, and of a due.
    """
    await one.feed_all([(world.advance(world.now + 1_000, 40), world.complete_until) for _ in range(10)])


async def survive_kills(
    one: Cluster, burst: Callable[[], Awaitable[None]], random: Random, kills: int, *, static: bool = True
) -> list[int]:
    """Feed bursts and kill a worker in the middle of each, `kills` times; returns the events that waited."""
    waited: list[int] = []
    while len(waited) < kills:
        await burst()
        waiting = await kill_under_load(one, WORKERS, random, static=static)
        # A few records more or less may wait for ever: those that changed nothing leave no trace.
        if waiting > 2 * PARTITIONS:
            waited.append(waiting)
        seen = len(one.outcomes)

        def worked(seen: int = seen) -> bool:
            return len(one.outcomes) > seen or one.lag.behind() <= 2 * PARTITIONS

        await one.until("work after a kill", worked)
    return waited


async def test_three_kills_of_two_workers_under_load_lose_and_repeat_nothing(
    broker: ApacheKafka, tmp_path: Path, unique: Callable[[str], str], seed: int
) -> None:
    """kill -9 while events wait, three times, two workers on eight partitions: the oracle's verdicts, each id once."""
    run = unique("kills")
    async with cluster(broker, tmp_path, run, frontier="markers") as one:
        world = World(seed, BASE_MS, run)
        for name in WORKERS:
            one.start(name)
        waited = await survive_kills(one, lambda: step(one, world), Random(seed), 3)
        print(f"events waiting at each kill: {waited}")
        await check(one, world, await one.finish(world) + 1)


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("static", [True, False], ids=["static members", "dynamic members"])
async def test_twenty_kills_of_two_workers_under_load_lose_and_repeat_nothing(
    broker: ApacheKafka, tmp_path: Path, unique: Callable[[str], str], seed: int, static: bool
) -> None:
    """kill -9 while events wait, twenty times: the oracle's verdicts, each id once."""
    run = unique("kills")
    async with cluster(broker, tmp_path, run, frontier="markers") as one:
        world = World(seed, BASE_MS, run)
        for name in WORKERS:
            one.start(name, static=static)
        waited = await survive_kills(one, lambda: step(one, world), Random(seed), 20, static=static)
        print(f"events waiting at each kill: {waited}")
        await check(one, world, await one.finish(world) + 1)


async def test_a_worker_stopped_past_its_session_and_continued_writes_nothing_more(
    broker: ApacheKafka, tmp_path: Path, unique: Callable[[str], str], seed: int
) -> None:
    """SIGSTOP under load until the other worker has taken over, then SIGCONT: the one that stood still is fenced."""
    run = unique("pause")
    async with cluster(broker, tmp_path, run, frontier="markers") as one:
        world = World(seed, BASE_MS, run)
        for name in WORKERS:
            one.start(name, static=False)
        await step(one, world)
        await one.until("both workers at work", lambda: all(map(one.has_opened, WORKERS)))
        await step(one, world)
        one.pause("one")
        stopped_at = time.monotonic()
        await step(one, world)
        await one.until("the other worker to take over", lambda: one.lag.behind() <= 2 * PARTITIONS)
        await asyncio.sleep(max(0.0, stopped_at + 2 * SESSION_SECONDS - time.monotonic()))
        one.resume("one")
        for _ in range(3):
            await step(one, world)
        await check(one, world, await one.finish(world) + 1)


async def test_an_outage_of_all_workers_with_a_backlog_causes_no_false_breach(
    broker: ApacheKafka, tmp_path: Path, unique: Callable[[str], str], seed: int
) -> None:
    """All workers are gone while promises fall due and are kept; on their return the clock alone proves nothing."""
    run = unique("outage")
    async with cluster(broker, tmp_path, run, frontier="clock", settle_ms=2_000) as one:
        for name in WORKERS:
            one.start(name)
        world = World(seed, now_ms(), run)
        async with one.live(world, orders=10):
            await one.until("a breach before the outage", lambda: bool(one.breaches))
            for name in WORKERS:
                one.kill(name)
            one.orders = 40
            await asyncio.sleep(8)
            for name in WORKERS:
                one.start(name)
            backlog = one.lag.ends()
            await one.until("the backlog to be read", lambda: one.lag.behind(backlog) <= 2 * PARTITIONS)
            one.orders = 0
            await asyncio.sleep((LONGEST_MS + CONFIRM_MS) / 1000)
        await check(one, world, await one.finish(world) + 1)


@pytest.mark.parametrize("seconds", [4, pytest.param(60, marks=[pytest.mark.full, pytest.mark.timeout(300)])])
async def test_a_broker_that_is_gone_for_a_while_loses_nothing(
    broker: ApacheKafka, tmp_path: Path, unique: Callable[[str], str], seed: int, seconds: int
) -> None:
    """The broker stops and returns on the same address: workers wait or are started again (75); nothing is lost."""
    run = unique("broker")
    async with cluster(broker, tmp_path, run, frontier="markers") as one:
        world = World(seed, BASE_MS, run)
        for name in WORKERS:
            one.start(name)
        await step(one, world)
        await one.until("a breach before the outage", lambda: bool(one.breaches))
        await step(one, world)
        try:
            await asyncio.to_thread(broker.stop)
            await asyncio.sleep(seconds)
        finally:
            broker.start()  # from this thread, which lasts: the broker ends with the thread that started it
        for _ in range(2):
            await step(one, world)
        await check(one, world, await one.finish(world) + 1)
        print(f"workers started again: {one.restarts}")
