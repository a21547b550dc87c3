"""The frontier: what is known to be complete, and never more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.frontier import MARKS_MAX, Marks


def test_there_is_no_frontier_before_the_first_mark_is_passed() -> None:
    """Nothing is complete until something is known to be."""
    marks = Marks(settle_ms=100)
    assert marks.passed(10) is None
    marks.add(5_000, 20)
    assert marks.passed(19) is None


def test_the_frontier_is_the_marks_instant_less_settle_once_its_offset_is_processed() -> None:
    """What was appended before the clock was read lies below the end offset asked after it."""
    marks = Marks(settle_ms=100)
    marks.add(5_000, 20)
    assert marks.passed(20) == 4_900


def test_an_idle_log_moves_the_frontier_with_the_clock() -> None:
    """Nothing came, and that is known."""
    marks = Marks(settle_ms=0)
    for clock in (1_000, 2_000, 3_000):
        marks.add(clock, 7)
    assert marks.passed(7) == 3_000


def test_the_frontier_moves_under_a_load_that_is_never_caught_up_with() -> None:
    """Marks wait for the processing to pass them; catching up with "now" is not needed."""
    marks = Marks(settle_ms=0)
    frontiers = []
    for second in range(1, 50):
        marks.add(second * 1_000, second * 100)
        frontiers.append(marks.passed(second * 100 - 1_000))
    assert frontiers[-1] == 39_000


def test_a_log_that_ends_earlier_than_before_is_refused() -> None:
    """A recreated topic gives old offsets a new meaning."""
    marks = Marks(settle_ms=0)
    marks.add(1_000, 50)
    with pytest.raises(ValueError, match="ended at offset 50"):
        marks.add(2_000, 49)


def test_waiting_marks_are_bounded() -> None:
    """A worker that lags for days keeps a bounded number of marks, and the newest among them."""
    marks = Marks(settle_ms=0)
    for n in range(MARKS_MAX * 3):
        marks.add(n, n + 1)
    assert len(marks._waiting) <= MARKS_MAX + 1
    assert marks.passed(MARKS_MAX * 3) == MARKS_MAX * 3 - 1


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9), st.integers(0, 9)), max_size=60))
def test_the_frontier_never_claims_a_record_that_is_not_processed(steps: list[tuple[int, int, int]]) -> None:
    """For any pace of clock, appends and processing: every record below the frontier's instant is processed."""
    marks, clock, end, done, appended = Marks(settle_ms=0), 0, 0, 0, []
    last = None
    for passed, appends, processes in steps:
        clock += passed
        appended += [clock] * appends
        end += appends
        marks.add(clock, end)
        done = min(end, done + processes)
        frontier = marks.passed(done)
        if frontier is not None:
            assert all(instant >= frontier for instant in appended[done:])
            assert last is None or frontier >= last
            last = frontier
