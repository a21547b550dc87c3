"""The only place that reads a clock. Everything else is handed instants (UTC milliseconds)."""

import time
from typing import Protocol

from schemas import metrics


class Clock(Protocol):
    """Something that tells the time."""

    def now_ms(self) -> int:
        """Return the current instant in UTC milliseconds."""
        ...

    @property
    def factor(self) -> float:
        """How many milliseconds of this clock pass in one millisecond of real time."""
        ...


class SystemClock:
    """The machine's clock."""

    factor = 1.0

    def now_ms(self) -> int:
        """Return the machine's time."""
        return time.time_ns() // 1_000_000


class ScaledClock:
    """A clock that shows `simulated_ms` at the real instant `real_ms` and runs `factor` times as fast.

    Several processes given the same three numbers agree with each other.
    """

    def __init__(self, real_ms: int, simulated_ms: int, factor: float) -> None:
        """Fix the clock; `factor` must be positive."""
        if factor <= 0:
            raise ValueError(f"a clock's factor must be above 0, found {factor}")
        self._real_ms = real_ms
        self._simulated_ms = simulated_ms
        self.factor = factor
        self._system = SystemClock()

    def now_ms(self) -> int:
        """Return the simulated instant."""
        return self._simulated_ms + int((self._system.now_ms() - self._real_ms) * self.factor)


class SteadyClock:
    """Another clock, kept from running ahead when the machine's time is stepped, and from ever going back.

    Between two readings it advances by at most the monotonic time that passed plus `slack_ms`: a clock set to next
    year by mistake must not be checkpointed as "complete until next year".
    """

    def __init__(self, clock: Clock, slack_ms: int = 1_000) -> None:
        """Wrap `clock`."""
        self._clock = clock
        self._slack_ms = slack_ms
        self._last_ms: int | None = None
        self._monotonic = 0.0
        self.factor = clock.factor
        self.held_back = 0

    def now_ms(self) -> int:
        """Return the wrapped clock's instant, bounded by what can really have passed."""
        now, monotonic = self._clock.now_ms(), time.monotonic()
        if self._last_ms is not None:
            passed = (monotonic - self._monotonic) * 1_000 * self.factor
            most = self._last_ms + int(passed + self._slack_ms * max(1.0, self.factor))
            if now > most:
                self.held_back += 1
                metrics.CLOCK_HELD_BACK.inc()
                now = most
            now = max(now, self._last_ms)
        self._last_ms, self._monotonic = now, monotonic
        return now


def parse_clock(text: str) -> Clock:
    """Read "system" or "scaled:<real_ms>:<simulated_ms>:<factor>".

    Raises ValueError with what was found and expected.
    """
    if text == "system":
        return SystemClock()
    kind, *numbers = text.split(":")
    try:
        if kind == "scaled" and len(numbers) == 3:
            return ScaledClock(int(numbers[0]), int(numbers[1]), float(numbers[2]))
    except ValueError as error:
        raise ValueError(f"clock {text!r}: {error}") from error
    raise ValueError(f"clock {text!r}: expected 'system' or 'scaled:<real ms>:<simulated ms>:<factor>'")
