"""Contenders as processes on one core of their own, their CPU time sampled while they run."""

import os
import subprocess
import sys
import threading
import time
from bisect import bisect_left
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from types import TracebackType
from typing import Self

import promises.detector
from promisewatch.brokers.leash import leashed

TICKS = os.sysconf("SC_CLK_TCK")
ROOT = Path(__file__).resolve().parent.parent
SAMPLE_SECONDS = 0.05


CORES = sorted(os.sched_getaffinity(0))
OURS = set(CORES[:-1] or CORES)
"""The cores of the broker and of this program."""
THEIRS = {CORES[-1]}
"""The one core of a contender."""


class Contender:
    """One process under measurement, on one core. Its standard output and error go to `log`."""

    def __init__(self, command: Sequence[str], log: Path, core: AbstractSet[int] = frozenset(THEIRS)) -> None:
        self.log = log
        pinned = ["taskset", "-c", ",".join(map(str, sorted(core))), *command]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                leashed(pinned), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT
            )
        self._samples: list[tuple[float, float]] = []
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            try:
                fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                return
            self._samples.append((time.time(), (int(fields[11]) + int(fields[12])) / TICKS))

    def cpu_seconds(self, begin: float, end: float) -> float:
        """CPU time used between two instants (seconds since the epoch)."""
        return self._cpu_at(end) - self._cpu_at(begin)

    def _cpu_at(self, instant: float) -> float:
        samples = self._samples
        if not samples:
            return 0.0
        index = bisect_left(samples, (instant, 0.0))
        if index == 0:
            return samples[0][1]
        if index == len(samples):
            return samples[-1][1]
        (t0, c0), (t1, c1) = samples[index - 1], samples[index]
        return c0 + (c1 - c0) * (instant - t0) / (t1 - t0)

    def memory_bytes(self) -> int:
        """Resident memory now."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError(f"process {self.pid} tells no resident memory")

    def check(self) -> None:
        """Raise if the process has ended."""
        if not self.running:
            raise RuntimeError(f"a contender ended with {self._process.returncode}; its last words:\n{self.tail()}")

    def tail(self) -> str:
        return self.log.read_bytes()[-3_000:].decode(errors="replace")

    def wait(self, timeout: float) -> None:
        """Wait for the end of a process that ends by itself. Raises if it fails or takes too long."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"a contender was not done within {timeout:g} s; it said:\n{self.tail()}") from None
        if code != 0:
            raise RuntimeError(f"a contender ended with {code}; its last words:\n{self.tail()}")

    def stop(self, *, kill: bool = False) -> None:
        """End the process."""
        if self.running:
            if kill:
                self._process.kill()
            else:
                self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._ended.set()
        self._sampler.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def module(name: str, *arguments: str) -> list[str]:
    """The command that runs one of our modules: with -P, lest the working folder come before what is installed."""
    return [sys.executable, "-P", "-m", name, *arguments]


def promisewatch(*arguments: str, interpreted: bool = False) -> list[str]:
    """The command line as installed; `interpreted`: the one whose core is not compiled."""
    folder = ROOT / ".venv" / "bin" if interpreted else Path(sys.executable).parent
    return [str(folder / "promisewatch"), *arguments]


def compiled() -> bool:
    """Whether the core that is measured is compiled."""
    return not str(promises.detector.__file__).endswith(".py")
