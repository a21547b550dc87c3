"""The core against the second opinion, over many worlds in which the borders are met often."""

import os
import random
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.reference.coverage import Coverage
from tests.reference.made_books import PAIRS, make_book
from tests.reference.playing import as_yaml, disagreement, expectation
from tests.reference.shrinking import parsed, script, shrink
from tests.reference.worlds import Arrival, World, make_arrival, make_world

PROMISES_PER_BOOK = 6
WORLDS_PER_BOOK = 12
ARRIVALS_PER_WORLD = 2
PROCESSES = 2
STRIDE = 1 << 32


@pytest.mark.timeout(600)
def test_the_core_agrees_with_the_reference_on_two_thousand_worlds(seed: int) -> None:
    """Whatever the order, the repetitions, the frontier steps, the batches and restarts: the same final verdicts."""
    coverage = Coverage()
    failure = compare(seed, 2_004 // WORLDS_PER_BOOK, coverage)
    assert failure is None, failure
    print(coverage.table())
    assert not coverage.rare(), "the worlds have become too tame to show anything"


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_the_core_agrees_with_the_reference_on_a_hundred_thousand_worlds(seed: int) -> None:
    """The same on fifty times as many worlds, and every combination of two constructs far more often."""
    share = 250
    seeds = [seed + (number + 1) * STRIDE for number in range(100_000 // WORLDS_PER_BOOK // share + 1)]
    coverage = Coverage()
    with ProcessPoolExecutor(PROCESSES) as pool:
        for failure, part in pool.map(compare_share, [(one, share) for one in seeds]):
            assert failure is None, failure
            coverage.add(part)
    print(coverage.table())
    assert coverage.worlds >= 100_000
    assert not coverage.rare()


def compare_share(part: tuple[int, int]) -> tuple[str | None, Coverage]:
    coverage = Coverage()
    os.nice(5)
    return compare(*part, coverage), coverage


def compare(seed: int, books: int, coverage: Coverage) -> str | None:
    """Play the worlds of one seed; the first disagreement, made small."""
    chance = random.Random(seed)
    pairs = chance.sample(PAIRS, len(PAIRS))
    for number in range(books):
        wanted = coverage.rarest(pairs, PROMISES_PER_BOOK)
        spelled = make_book(chance, wanted, lambda made: parsed(as_yaml(made)) is not None)
        book = parsed(as_yaml(spelled))
        assert book is not None
        for _ in range(WORLDS_PER_BOOK):
            world = make_world(chance, spelled)
            expected = expectation(world)
            arrivals = [make_arrival(chance, world) for _ in range(ARRIVALS_PER_WORLD)]
            for arrival in arrivals:
                try:
                    problem = disagreement(world, book, arrival, expected)
                except Exception as error:  # noqa: BLE001 - told with the world in which it happened
                    problem = f"raised {type(error).__name__}: {error}"
                if problem:
                    return (
                        f"seed {seed}, book {number}:\n{problem}\n\nThe same, made small:\n{smallest(world, arrival)}"
                    )
            coverage.world(world, expected, arrivals)
    return None


def smallest(world: World, arrival: Arrival) -> str:
    return script(*shrink(world, arrival))
