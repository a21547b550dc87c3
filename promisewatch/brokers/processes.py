"""A broker as a child process: started on a leash, awaited, ended by its own process id within a bound."""

import os
import random
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from promisewatch.brokers.leash import leashed
from schemas.errors import BrokerUnavailable

LOG_TAIL_BYTES = 4000
POLL_S = 0.02
PORTS = range(20000, 32768)
"""Where free ports are looked for: below the kernel's range for outgoing connections, because while a broker is down
its clients knock at its port, and one of them might be given that very port as its own."""


class ChildProcess:
    """One child. Its output goes to a file, which is also where its last words are found."""

    def __init__(self, command: list[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                leashed(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,  # Ctrl-C reaches us alone; we end the child when its clients have gone
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    def last_words(self) -> str:
        """The end of what the child has written."""
        content = self.log.read_bytes() if self.log.exists() else b""
        return content[-LOG_TAIL_BYTES:].decode(errors="replace").strip()

    def wait_until(self, ready: Callable[[], bool], what: str, timeout_s: float) -> None:
        """Return once `ready` says so. Raises BrokerUnavailable if the child ends first or time runs out."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if not self.running:
                raise BrokerUnavailable(f"{what} ended with exit code {self.exit_code}; it said:\n{self.last_words()}")
            if time.monotonic() > deadline:
                raise BrokerUnavailable(f"{what} was not ready within {timeout_s:g} s; it said:\n{self.last_words()}")
            time.sleep(POLL_S)

    def end(self, patience_s: float) -> None:
        """Ask the child to end, and after `patience_s` make it. Returns when it is gone."""
        if self.running:
            self._process.terminate()
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the child at once, as a crash would (SIGKILL). Returns when it is gone."""
        if self.running:
            self._process.kill()
        self._process.wait()


def free_ports(count: int) -> list[int]:
    """Different TCP ports of the loopback interface that nobody listens on."""
    found: list[int] = []
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        if len(found) == count:
            break
        if is_free(port):
            found.append(port)
    return found


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def accepts(port: int) -> bool:
    """Whether a server accepts connections on this loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
