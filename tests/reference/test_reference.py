"""The core against the second opinion, over many worlds in which the borders are met often."""

import pytest

from tests.conftest import ROOT
from tests.reference.comparing import STRIDE, Share, play
from tests.reference.coverage import Coverage

TABLES = ROOT / "dist" / "worlds"


@pytest.mark.timeout(600)
def test_the_core_agrees_with_the_reference_on_two_thousand_worlds(seed: int) -> None:
    """Whatever the order, the repetitions, the frontier steps, the batches and restarts: the same final verdicts."""
    coverage = play(shares(seed, number=4, books=42, worlds=12))
    show(coverage, "two-thousand.txt")
    assert coverage.worlds >= 2_000
    assert not coverage.rare(0.005), "the worlds have become too tame to show anything"


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_the_core_agrees_with_the_reference_on_a_hundred_thousand_worlds(seed: int) -> None:
    """The same on fifty times as many worlds, with each combination of two constructs in at least 1% of them."""
    coverage = play(shares(seed, number=50, books=50, worlds=40))
    show(coverage, "hundred-thousand.txt")
    assert coverage.worlds >= 100_000
    assert not coverage.rare()


def shares(seed: int, number: int, books: int, worlds: int) -> list[Share]:
    return [(seed + one * STRIDE, books, worlds) for one in range(number)]


def show(coverage: Coverage, name: str) -> None:
    """Print what the worlds were made of, and leave it in a file."""
    table = coverage.table()
    print(table)
    TABLES.mkdir(parents=True, exist_ok=True)
    (TABLES / name).write_text(f"{table}\n")
