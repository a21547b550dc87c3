"""Worlds of a seed played to the core one after another, in as many processes as there are processors."""

import os
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from promises.detector import Detector
from tests.reference.coverage import Coverage
from tests.reference.made_books import PAIRS, make_book
from tests.reference.playing import as_yaml, disagreement, expectation
from tests.reference.shrinking import parsed, script, shrink
from tests.reference.worlds import Arrival, Expected, World, make_arrival, make_world

PROMISES_PER_BOOK = 6
STRIDE = 1 << 32
"""Between the seeds of two shares: the next run's seed is a smaller number away."""

Share = tuple[int, int, int]
"""Worlds that one process plays at a stretch: their seed, how many books, and how many worlds with each."""


def play(shares: list[Share]) -> Coverage:
    """Play them all; what they were made of. The first disagreement is an AssertionError, told small."""
    coverage = Coverage()
    processes = min(len(shares), len(os.sched_getaffinity(0)))
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for failure, part in pool.map(compare, shares):
            if failure:
                pool.shutdown(wait=False, cancel_futures=True)
            assert failure is None, failure
            coverage.add(part)
    return coverage


def compare(share: Share) -> tuple[str | None, Coverage]:
    """Play one share; its first disagreement, and what its worlds were made of."""
    seed, books, worlds = share
    chance = random.Random(seed)
    coverage = Coverage()
    pairs = chance.sample(PAIRS, len(PAIRS))
    for number in range(books):
        wanted = coverage.rarest(pairs, PROMISES_PER_BOOK)
        spelled = make_book(chance, wanted, lambda made: parsed(as_yaml(made)) is not None)
        book = parsed(as_yaml(spelled))
        assert book is not None
        detector = Detector(book)
        for _ in range(worlds):
            world = make_world(chance, spelled)
            expected = expectation(world)
            arrivals = [make_arrival(chance, world) for _ in range(chance.choice([1, 2]))]
            for arrival, problem in problems(world, detector, arrivals, expected):
                small = script(*shrink(world, arrival))
                return f"seed {seed}, book {number}:\n{problem}\n\nThe same, made small:\n{small}", coverage
            coverage.world(world, detector, expected, arrivals)
    return None, coverage


def problems(
    world: World, detector: Detector, arrivals: list[Arrival], expected: Expected
) -> Iterator[tuple[Arrival, str]]:
    """The ways of arriving in which something is wrong, and what; an exception is wrong too."""
    for arrival in arrivals:
        try:
            problem = disagreement(world, detector, arrival, expected)
        except Exception as error:  # noqa: BLE001 - told with the world in which it happened
            problem = f"raised {type(error).__name__}: {error}"
        if problem:
            yield arrival, problem
