"""Child processes of this program: started with their output in files, ended by their own process id."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from promisewatch.brokers.leash import leashed

END_SECONDS = 15.0
"""How long a process asked to end may take before it is killed."""


class Child:
    """One `promisewatch` command as a process of its own, which may be killed and started again.

    Its standard output and error are appended to `<name>.out` and `<name>.log` in `folder`. It leads a session of its
    own, so that Ctrl-C at the terminal reaches this program only, which then ends its children in order; and it dies
    with this program (with the thread that started it, says the kernel), however that ends.
    """

    def __init__(self, name: str, arguments: Sequence[str], folder: Path) -> None:
        self.name = name
        self.out = folder / f"{name}.out"
        self.log = folder / f"{name}.log"
        self._command = [sys.executable, "-m", "promisewatch.main", *arguments]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        return self._started.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, None while it runs; negative where a signal ended it."""
        return self._started.poll()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, also again after it ended."""
        if self.running:
            raise RuntimeError(f"{self.name} runs already")
        with self.out.open("ab") as out, self.log.open("ab") as log:
            self._process = subprocess.Popen(
                leashed(self._command),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )

    def signal(self, number: signal.Signals) -> None:
        self._started.send_signal(number)

    def kill(self) -> None:
        """End it with SIGKILL: it gets no chance to finish anything. Returns when it is gone."""
        self._started.kill()
        self._started.wait()

    def stop(self, patience: float = END_SECONDS) -> int | None:
        """Ask it to end, kill it where it does not; returns its exit code (None: it was never started)."""
        if self._process is None:
            return None
        if self._process.poll() is None:
            self._process.terminate()
            # A stopped process does not see the request before it is continued.
            self._process.send_signal(signal.SIGCONT)
            try:
                self._process.wait(patience)
            except subprocess.TimeoutExpired:
                self._process.kill()
        return self._process.wait()

    def wait(self, patience: float | None = None) -> int:
        """Its exit code, once it has ended by itself."""
        return self._started.wait(patience)

    def last_words(self, lines: int = 12) -> str:
        """The end of its log, for an error message."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    @property
    def _started(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process
