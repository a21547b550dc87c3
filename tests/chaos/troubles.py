"""What may go wrong with four systems and their workers, one upon the other, while bursts of events go on.

Each trouble lasts for a part of one burst or for all of it, and is over before the next one begins.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from random import Random

from tests.chaos.cluster import SESSION_SECONDS
from tests.chaos.oracle import Sent, World
from tests.chaos.systems import OF_EVENT, SYSTEMS, Systems

BURST_SECONDS = 10
ORDERS = 40
PARTITIONS_MAX = 8
REMEMBERED = 2
"""Bursts of which a system may send everything again."""


class Troubles:
    """Bursts of recorded time, each with one trouble of a worker and one of a system. The same seed, the same plan."""

    def __init__(self, one: Systems, world: World, seed: int, ingest: tuple[str, ...], detect: tuple[str, ...]) -> None:
        self._one = one
        self._world = world
        self._random = Random(seed)
        self._ingest = ingest
        self._detect = detect
        self._bursts: list[list[Sent]] = []
        self.seen: Counter[str] = Counter()
        """How often there was which trouble."""

    async def burst(self) -> None:
        """Ten more seconds of recorded time in one burst, with two troubles, at random moments of it."""
        of_workers = self._random.choice((self._kill, self._kill, self._pause, self._absent))
        of_systems = self._random.choice((self._grow, self._hang, self._repeat, None))
        silent = self._random.choice(SYSTEMS).name if of_systems is None else None
        with nullcontext() if silent is None else self._one.silence(silent):
            async with asyncio.TaskGroup() as together:
                together.create_task(self._feed())
                together.create_task(self._soon(of_workers))
                if of_systems is not None:
                    together.create_task(self._soon(of_systems))
        if silent is not None:
            self.seen["silence"] += 1

    async def _feed(self) -> None:
        world = self._world
        told = [(world.advance(world.now + 1_000, ORDERS), world.complete_until) for _ in range(BURST_SECONDS)]
        self._bursts = [*self._bursts, [sent for part, _ in told for sent in part]][-REMEMBERED:]
        for part in told:
            await self._one.feed_all([part])
            await asyncio.sleep(0.05)

    async def _soon(self, trouble: Callable[[], Coroutine[None, None, None]]) -> None:
        self.seen[trouble.__name__.removeprefix("_")] += 1
        await asyncio.sleep(self._random.random() * 0.5)
        await trouble()

    # Of workers

    async def _kill(self) -> None:
        """kill -9; now and then with the disk lost."""
        name = self._random.choice((*self._ingest, *self._detect))
        self._one.kill(name)
        if name in self._detect and self._random.random() < 0.3:
            self._one.wipe(name)
        await asyncio.sleep(self._random.random())
        self._one.start(name)

    async def _pause(self) -> None:
        """It stands still, sometimes past its session, and goes on as if nothing had happened."""
        name = self._random.choice((*self._ingest, *self._detect))
        self._one.pause(name)
        await asyncio.sleep(self._random.random() * 2 * SESSION_SECONDS)
        self._one.resume(name)

    async def _absent(self) -> None:
        """Nobody reads the systems."""
        for name in self._ingest:
            self._one.kill(name)
        await asyncio.sleep(self._random.random() * 4)
        for name in self._ingest:
            self._one.start(name)

    # Of systems

    async def _grow(self) -> None:
        """One more partition."""
        system = self._random.choice(SYSTEMS).name
        if self._one.partitions[system] < PARTITIONS_MAX:
            await self._one.grow(system, self._one.partitions[system] + 1)

    async def _hang(self) -> None:
        """A transaction stays open: nobody sees what comes after it began."""
        async with self._one.open_transaction(self._random.choice(SYSTEMS).name):
            await asyncio.sleep(self._random.random() * 4)

    async def _repeat(self) -> None:
        """A system sends everything of the last bursts once more."""
        system = self._random.choice(SYSTEMS)
        again = [sent for burst in self._bursts for sent in burst if OF_EVENT[sent.event.type] is system]
        await self._one.feed_all([(again, None)])
