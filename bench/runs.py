"""Runs of single contenders over a filled topic: what each says about itself, in the same units."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.kafka import PARTITIONS, Broker, unique
from bench.processes import ROOT, Contender, module, promisewatch
from schemas.topics import changelog

QUIX = Path(__file__).parent / "quix"
QUIX_ENV = QUIX / ".venv"
TIMEOUT_S = 300.0
POLL_S = 0.2
OPENED = '"event":"partition opened"'

Figures = dict[str, float]


def said(contender: Contender, timeout: float = TIMEOUT_S) -> Figures:
    """Wait for a contender that measures itself; return what it said: `records`, `started`, `ended`."""
    contender.wait(timeout)
    line = next(line for line in reversed(contender.log.read_text().splitlines()) if '{"records"' in line)
    found: Figures = json.loads(line[line.index("{") :])
    return found


def spoken(contender: Contender) -> Figures:
    """Wait for a contender that measures itself; return its rate."""
    found = said(contender)
    return rate(contender, found["records"], found["started"], found["ended"])


def rate(contender: Contender, records: float, started: float, ended: float) -> Figures:
    """Events a second, and microseconds of CPU an event, between two instants (seconds since the epoch)."""
    cpu = contender.cpu_seconds(started, ended)
    return {"per_second": records / (ended - started), "cpu_us": cpu / records * 1e6}


def bare(broker: Broker, topic: str, records: int) -> Figures:
    """Bare aiokafka and msgspec."""
    command = module("bench.contenders.bare", broker.server, topic, str(records))
    with Contender(command, broker.folder / f"{unique('bare')}.log") as contender:
        return spoken(contender)


def faust_table(broker: Broker, topic: str, records: int) -> Figures:
    """An idiomatic Faust agent with a table."""
    name = unique("faust")
    folder = broker.folder / name
    arguments = (str(broker.book(topic)), broker.server, name, str(folder), str(records))
    command = module("bench.contenders.faust_table", *arguments)
    with Contender(command, broker.folder / f"{name}.log") as contender:
        figures = spoken(contender)
    shutil.rmtree(folder, ignore_errors=True)
    return figures


def quix(broker: Broker, topic: str, records: int, guarantee: str = "at-least-once") -> Figures:
    """Quix Streams, in its own environment."""
    name = unique("quix")
    folder = broker.folder / name
    arguments = (broker.server, topic, name, str(folder), str(records), guarantee)
    command = [str(quix_python()), str(QUIX / "contender.py"), *arguments]
    with Contender(command, broker.folder / f"{name}.log") as contender:
        figures = spoken(contender)
    shutil.rmtree(folder, ignore_errors=True)
    return figures


def quix_python() -> Path:
    """The interpreter of the locked environment of Quix Streams, made when it is not there yet."""
    python = QUIX_ENV / "bin" / "python"
    uv = ROOT / ".venv" / "bin" / "uv"
    environment = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(QUIX_ENV), "UV_PYTHON_DOWNLOADS": "never"}
    command = [str(uv), "sync", "--frozen", "--quiet", "--project", str(QUIX), "--python", sys.executable]
    subprocess.run(command, env=environment, check=True)
    return python


@contextmanager
def running_worker(
    broker: Broker,
    book: Path,
    topic: str,
    app_id: str,
    *options: str,
    profile: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    interpreted: bool = False,
    program: Path | None = None,
) -> Iterator[Contender]:
    """`promisewatch worker` as shipped, on one core; with a profiler, or with stream settings that have no flag.

    `program` is another build's command line.
    """
    broker.create_for_worker(topic, app_id)
    command = promisewatch(interpreted=interpreted) if program is None else [str(program)]
    if profile is not None or settings is not None:
        command = module("bench.contenders.worker")
        command += [] if profile is None else ["--profile", str(profile)]
        command += [
            part for name, value in (settings or {}).items() for part in ("--set", f"{name}={json.dumps(value)}")
        ]
    command += ["worker", "--book", str(book), "--bootstrap-server", broker.server, "--app-id", app_id]
    command += ["--state-dir", str(broker.folder / app_id), "--log-format", "json", *options]
    with Contender(command, broker.folder / f"{app_id}.log") as contender:
        yield contender


def worker(
    broker: Broker, topic: str, records: int, *options: str, interpreted: bool = False, program: Path | None = None
) -> Figures:
    """`promisewatch worker` over a filled topic, from its first checkpoint to its last; or `program`, another build."""
    app_id, book = unique("worker"), broker.book(topic)
    with running_worker(broker, book, topic, app_id, *options, interpreted=interpreted, program=program) as contender:
        until(lambda: broker.committed(app_id, topic) >= records, contender)
        figures = from_checkpoints(broker, app_id, contender)
    forget(broker, app_id)
    return figures


def from_checkpoints(broker: Broker, app_id: str, contender: Contender, *, after: float = 0.0) -> Figures:
    """The rate between the first and the last checkpoint after the instant `after`."""
    begin, end, records = span(broker.checkpoints(app_id), after)
    return rate(contender, records, begin, end)


def span(checkpoints: list[tuple[float, int, int]], after: float = 0.0) -> tuple[float, float, int]:
    """(first instant, last instant, records processed between them) over all partitions."""
    reached: dict[int, int] = {}
    first: tuple[float, int] | None = None
    last = 0.0
    for instant, partition, offset in checkpoints:
        moved = offset > reached.get(partition, 0)
        reached[partition] = max(offset, reached.get(partition, 0))
        if instant <= after or not moved:
            continue
        if first is None:
            first = (instant, sum(reached.values()))
        last = instant
    if first is None or last <= first[0]:
        raise RuntimeError(f"found {len(checkpoints)} checkpoints, too few to tell a rate: use more events")
    return first[0], last, sum(reached.values()) - first[1]


def until(ready: Callable[[], bool], contender: Contender, timeout: float = TIMEOUT_S) -> None:
    """Wait until `ready`. Raises if the contender ends first or time runs out."""
    deadline = time.monotonic() + timeout
    while not ready():
        contender.check()
        if time.monotonic() > deadline:
            raise RuntimeError(f"not ready within {timeout:g} s; the contender said:\n{contender.tail()}")
        time.sleep(POLL_S)


def until_opened(contender: Contender) -> None:
    """Wait until a worker has opened every partition."""
    until(lambda: contender.log.exists() and contender.log.read_text().count(OPENED) >= PARTITIONS, contender)


def forget(broker: Broker, app_id: str) -> None:
    """Remove a worker's state and changelog."""
    shutil.rmtree(broker.folder / app_id, ignore_errors=True)
    broker.delete(changelog(app_id))
