"""The worker against what it was at an earlier commit: the same events, the same book of five promises."""

import os
import shutil
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from bench import runs
from bench.kafka import Broker
from bench.processes import ROOT, compiled
from bench.results import Goal, Part, count, finish, interleaved, median, median_ratio

COMMIT = "6d2fae0"
"""The last one that knew simple promises only."""
EVENTS = 300_000
BUILDS = ROOT / "dist" / "before"
NOW = "this tree"


class Built(NamedTuple):
    """A commit (its full hash), and the command line that was built of it, its core compiled."""

    commit: str
    program: Path


def build(commit: str) -> Built:
    """Build a commit as the image is built, unless that has been done before. Raises SystemExit if there is none."""
    named = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"], cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if named.returncode:
        raise SystemExit(f"--against: found {commit!r}, expected a commit of {ROOT}")
    full = named.stdout.strip()
    folder = BUILDS / full
    program = folder / "venv" / "bin" / "promisewatch"
    ready = folder / "ready"
    if not ready.exists():
        shutil.rmtree(folder, ignore_errors=True)
        _build(full, folder)
        ready.touch()
    return Built(full, program)


def _build(commit: str, folder: Path) -> None:
    source = folder / "source"
    source.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        tar.extractall(source, filter="data")
    environment = {
        **os.environ, "HATCH_BUILD_HOOK_ENABLE_MYPYC": "1", "UV_PROJECT_ENVIRONMENT": str(folder / "venv"),
        "UV_PYTHON_DOWNLOADS": "never",
    }  # fmt: skip

    def uv(*arguments: str) -> None:
        command = [str(ROOT / ".venv" / "bin" / "uv"), *arguments]
        subprocess.run(command, cwd=source, env=environment, check=True)

    # By way of a source distribution, as `make compiled`.
    uv("build", "--quiet", "--out-dir", str(folder / "wheels"))
    uv("sync", "--frozen", "--quiet", "--no-install-project", "--no-dev", "--python", sys.executable)
    wheel = next((folder / "wheels").glob("*.whl"))
    uv("pip", "install", "--quiet", "--no-deps", "--python", str(folder / "venv" / "bin" / "python"), str(wheel))


def measure(broker: Broker, size: float = 1.0, rounds: int | None = None, built: Built | None = None) -> Part:
    """Both read the same topic; `built` is what this tree is compared with."""
    built = built or build(COMMIT)
    then = f"commit {built.commit[:7]}"
    load, events, rounds = os.getloadavg()[0], int(EVENTS * size), rounds or 5
    topic = broker.shop("shop.events", events)
    found = interleaved(
        rounds,
        {
            NOW: lambda: runs.worker(broker, topic, events),
            then: lambda: runs.worker(broker, topic, events, program=built.program),
        },
    )
    broker.delete(topic)
    rows = [
        [name, count(median(found[name], "per_second")), count(median(found[name], "cpu_us")),
         f"{median_ratio(found[name], found[then], 'per_second'):.2f}"]
        for name in found
    ]  # fmt: skip
    ratio = median_ratio(found[NOW], found[then], "per_second")
    return finish(
        Part(
            name="before",
            title=f"The worker against what it was at {then}",
            columns=["worker", "events/s", "CPU us/event", "of the speed then"],
            rows=rows,
            goals=[Goal(f"of the speed at {then}", ratio, 0.95)],
            notes=[f"the book of five simple promises; its core compiled then, and {'' if compiled() else 'not '}now"],
            samples=dict(found),
            rounds=rounds,
        ),
        load,
    )
