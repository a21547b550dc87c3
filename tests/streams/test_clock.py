"""Clocks: what they show, and what a step of the machine's time can do to them."""

import pytest

from streams.clock import ScaledClock, SteadyClock, SystemClock, parse_clock


class HandClock:
    """A clock that shows what the test sets."""

    factor = 1.0

    def __init__(self, now: int) -> None:
        self.now = now

    def now_ms(self) -> int:
        return self.now


def test_scaled_clock_runs_faster_by_its_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second of real time is a factor's worth of simulated seconds."""
    monkeypatch.setattr(SystemClock, "now_ms", lambda _: 11_000)
    assert ScaledClock(10_000, 500_000, 60.0).now_ms() == 560_000


def test_two_scaled_clocks_with_the_same_numbers_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's worker, notifier and feeder live in one simulated time."""
    monkeypatch.setattr(SystemClock, "now_ms", lambda _: 12_345)
    spelled = "scaled:10000:777000:5040.5"
    assert parse_clock(spelled).now_ms() == parse_clock(spelled).now_ms()


@pytest.mark.parametrize("text", ["sytem", "scaled:1:2", "scaled:a:2:3", "scaled:1:2:0", "scaled:1:2:-1", ""])
def test_a_wrong_clock_is_refused_with_what_was_found(text: str) -> None:
    """A typing error in a flag is told, not guessed at."""
    with pytest.raises(ValueError, match="clock"):
        parse_clock(text)


def test_a_clock_set_to_next_year_advances_by_no_more_than_what_passed() -> None:
    """A step of the machine's clock must not be checkpointed as "complete until next year"."""
    hand = HandClock(1_000)
    steady = SteadyClock(hand, slack_ms=500)
    assert steady.now_ms() == 1_000
    hand.now += 365 * 86_400_000
    assert steady.now_ms() < 1_000 + 500 + 60_000
    assert steady.held_back == 1


def test_a_clock_set_back_stands_still() -> None:
    """Time never goes back."""
    hand = HandClock(5_000)
    steady = SteadyClock(hand)
    steady.now_ms()
    hand.now = 1_000
    assert steady.now_ms() == 5_000
