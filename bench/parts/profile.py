"""Where the worker's time goes, by stage and by line."""

import json
import os
from collections import Counter
from pathlib import Path

from bench import runs
from bench.kafka import Broker, unique
from bench.parts import burst
from bench.results import Part, finish

EVENTS = 200_000
LINES_SHOWN = 15


def measure(broker: Broker, size: float = 1.0, rounds: int | None = None) -> Part:
    """Sample the worker while it reads a filled topic, and while it publishes a burst of breaches."""
    load, rounds = os.getloadavg()[0], rounds or 1
    reading, bursting = Profile(), Profile()
    for _ in range(rounds):
        read(broker, int(EVENTS * size), reading)
        publish_burst(broker, int(burst.PROMISES * size), bursting)
    names = [name for name, _ in (reading.stages + bursting.stages).most_common()]
    rows = [[name, *reading.cells(name), *bursting.cells(name)] for name in names]
    rows.append(["all", *reading.cells(None), *bursting.cells(None)])
    notes = [f"reading, {line}" for line in reading.hot()] + [f"burst, {line}" for line in bursting.hot()]
    return finish(
        Part(
            name="profile",
            title="Where the worker's CPU time goes",
            columns=["stage", "us/event read", "share", "us/breach of a burst", "share"],
            rows=rows,
            notes=notes,
            samples={"reading": reading.stages, "burst": bursting.stages},
            rounds=rounds,
        ),
        load,
    )


class Profile:
    """CPU seconds by stage and by line, and what they were spent on."""

    def __init__(self) -> None:
        self.stages: Counter[str] = Counter()
        self.lines: Counter[str] = Counter()
        self.units = 0

    def cells(self, stage: str | None) -> list[str]:
        """Microseconds a unit and share of one stage, or of all."""
        total = self.stages.total()
        spent = total if stage is None else self.stages[stage]
        return [f"{spent / self.units * 1e6:.2f}", f"{spent / total:.0%}"]

    def hot(self) -> list[str]:
        """The lines that cost most."""
        return [f"{spent / self.units * 1e6:.2f} us: {line}" for line, spent in self.lines.most_common(LINES_SHOWN)]

    def add(self, file: Path, begin: float, end: float, units: int) -> None:
        """Add the samples between two instants, in which so many units were done."""
        self.units += units
        for text in file.read_text().splitlines():
            sample = json.loads(text)
            if begin < sample["at"] <= end:
                self.stages.update(sample["stages"])
                self.lines.update(sample["functions"])
                unseen = sample["process"] - sum(sample["stages"].values())
                self.stages["threads without Python (RocksDB)"] += max(0.0, unseen)


def read(broker: Broker, events: int, profile: Profile) -> None:
    """Sample the worker over a filled topic."""
    topic, app_id = broker.shop("shop.events", events), unique("profiled")
    file = broker.folder / f"{app_id}.samples"
    with runs.running_worker(broker, broker.book(topic), topic, app_id, profile=file) as contender:
        runs.until(lambda: broker.committed(app_id, topic) >= events, contender)
    profile.add(file, *runs.span(broker.checkpoints(app_id)))
    runs.forget(broker, app_id)
    broker.delete(topic)


def publish_burst(broker: Broker, promises: int, profile: Profile) -> None:
    """Sample the worker while it publishes breaches that are due at one instant."""
    file = broker.folder / f"{unique('profiled')}.samples"
    figures, _ = burst.publish(broker, promises, file)
    profile.add(file, figures["begin"], figures["end"], promises)
