"""Restarts that are asked for: SIGTERM drains within its bound, and a rolling restart loses nothing."""

import asyncio
import signal
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from promisewatch.brokers import ApacheKafka
from schemas.exits import ExitCode
from tests.chaos.cluster import PARTITIONS, Cluster, check, cluster, now_ms
from tests.chaos.oracle import World
from tests.chaos.test_kills import BASE_MS, step

pytestmark = [pytest.mark.kafka]

DRAIN_SECONDS = 20.0


async def drained(one: Cluster, name: str) -> float:
    """SIGTERM, and return how many seconds it took to end; fails when it ended otherwise than with 0."""
    one.expect_end(name)
    began = time.monotonic()
    one.workers[name].signal(signal.SIGTERM)
    code = await asyncio.to_thread(one.workers[name].wait, DRAIN_SECONDS + 10)
    assert code == ExitCode.OK, one.workers[name].last_words(30)
    return time.monotonic() - began


@pytest.mark.parametrize("static", [True, False], ids=["static members", "dynamic members"])
async def test_sigterm_under_load_drains_within_its_bound_and_loses_nothing(
    broker: ApacheKafka, tmp_path: Path, unique: Callable[[str], str], seed: int, static: bool
) -> None:
    """While events wait: exit code 0, in less than the bound, every verdict right and each id once."""
    run = unique("term")
    bound = ("--drain-timeout", str(DRAIN_SECONDS))
    async with cluster(broker, tmp_path, run, frontier="markers") as one:
        world = World(seed, BASE_MS, run)
        for name in ("one", "two"):
            one.start(name, *bound, static=static)
        await step(one, world)
        await one.until("both workers at work", lambda: all(map(one.has_opened, ("one", "two"))))
        seconds = []
        for name in ("one", "two", "one"):
            # While partitions change hands, a worker may be fenced by the next owner, and then ends with 75.
            await one.until("what was sent to be processed", lambda: one.lag.behind() <= 2 * PARTITIONS)
            feeding = asyncio.create_task(step(one, world))
            await one.until("events that wait", lambda: one.lag.behind() > 0, pause=0.001)
            seconds.append(await drained(one, name))
            await feeding
            opened = openings(one, name)
            one.start(name, *bound, static=static)
            await step(one, world)
            await one.until("the restarted worker at work", lambda: openings(one, name) > opened)  # noqa: B023
        print(f"seconds from SIGTERM to the end: {[round(each, 2) for each in seconds]}")
        assert max(seconds) < DRAIN_SECONDS
        await check(one, world, await one.finish(world) + 1)


@pytest.mark.full
@pytest.mark.timeout(600)
async def test_a_rolling_restart_of_three_workers_under_load_loses_nothing(
    broker: ApacheKafka, tmp_path: Path, unique: Callable[[str], str], seed: int
) -> None:
    """One after the other, while events keep coming; prints the longest pause between two outcomes of one partition."""
    run = unique("rolling")
    names = ("one", "two", "three")
    bound = ("--drain-timeout", str(DRAIN_SECONDS))
    async with cluster(broker, tmp_path, run, frontier="clock", settle_ms=2_000) as one:
        for name in names:
            one.start(name, *bound)
        await one.until("all workers at work", lambda: all(map(one.has_opened, names)))
        world = World(seed, now_ms(), run)
        async with one.live(world, orders=10):
            await one.until("a first breach", lambda: bool(one.breaches))
            pauses, stops = [], []
            for name in names:
                watching = asyncio.create_task(longest_standstill(one, 12.0))
                stops.append(await drained(one, name))
                one.start(name, *bound)
                pauses.append(await watching)
            one.orders = 0
            await asyncio.sleep(12)
        print(f"stop, s: {[round(each, 2) for each in stops]}; standstill of a partition, s: {pauses}")
        await check(one, world, await one.finish(world) + 1)


def openings(one: Cluster, name: str) -> int:
    """How often this worker has opened a partition, over all its starts."""
    return one.workers[name].log.read_text().count("partition opened")


async def longest_standstill(one: Cluster, seconds: float) -> float:
    """Watch for `seconds`; return the longest time for which a partition with events waiting did not move."""
    moved: dict[int, list[float]] = {partition: [time.monotonic()] for partition in range(PARTITIONS)}
    processed: dict[int, int] = {}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for partition in range(PARTITIONS):
            found = one.lag._processed[partition]
            if found != processed.get(partition):
                processed[partition] = found
                moved[partition].append(time.monotonic())
        await asyncio.sleep(0.01)
    gaps = [later - earlier for times in moved.values() for earlier, later in pairwise([*times, time.monotonic()])]
    return round(max(gaps), 2)
