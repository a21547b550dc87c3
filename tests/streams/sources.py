"""Processes that read sources (reading_sources.py), and what they have told."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

WAIT_S = 45.0


class Told(NamedTuple):
    """One thing that a process told about a partition."""

    at: str
    topic: str
    partition: int
    what: dict[str, Any]


class Reader:
    """One such process."""

    def __init__(self, arguments: Sequence[str], **environment: str) -> None:
        self._lines: list[dict[str, Any]] = []
        self.log: list[str] = []
        command = [sys.executable, "-m", "tests.streams.reading_sources", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **environment}, text=True)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                self._lines.append(json.loads(line))
            else:
                self.log.append(line)

    def told(self, at: str) -> list[Told]:
        """What it told of one kind, in order."""
        found = [line for line in list(self._lines) if line["at"] == at]
        return [Told(at, line.get("topic", ""), line.get("partition", -1), line) for line in found]

    def values(self) -> list[str]:
        """The values of all records that it read, in order within a partition."""
        return [value for told in self.told("processed") for value in told.what["values"]]

    def held(self) -> dict[tuple[str, int], int]:
        """The partitions it has open, and how far it was told to go on from: -1 where nothing was committed."""
        held: dict[tuple[str, int], int] = {}
        for line in list(self._lines):
            if line["at"] == "opened":
                held[line["topic"], line["partition"]] = line["committed"][0] if line["committed"] else -1
            elif line["at"] == "closed":
                held.pop((line["topic"], line["partition"]), None)
        return held

    def ends(self, code: int) -> None:
        """Wait for its end with this code."""
        wait_until(lambda: self.process.poll() is not None, lambda: "".join(self.log))
        assert self.process.returncode == code, "".join(self.log)
        self._thread.join(WAIT_S)

    def drain(self) -> None:
        """Ask it to end, and wait until it has."""
        self.process.send_signal(signal.SIGTERM)
        self.ends(0)

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        self.process.kill()
        self.process.wait()
        self._thread.join(WAIT_S)


class Readers:
    """Starts members of one group; ends what is left of them."""

    def __init__(self, bootstrap_server: str, group: str, topics: dict[str, int]) -> None:
        self._arguments = [bootstrap_server, group]
        self._topics = [f"{topic}:{count}" for topic, count in topics.items()]
        self._started: list[Reader] = []

    def start(self, name: str, **environment: str) -> Reader:
        """Start a member."""
        reader = Reader([*self._arguments, name, *self._topics], **environment)
        self._started.append(reader)
        return reader

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for reader in self._started:
            if reader.process.poll() is None:
                reader.kill()


def wait_until(condition: Callable[[], bool], what: Callable[[], object] = lambda: "") -> None:
    """Wait until something is so; say what was instead."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"did not happen in time: {what()}"
        time.sleep(0.05)
