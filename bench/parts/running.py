"""What running promises cost: speed with few and with very many of them, memory and disk each."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

from bench import runs
from bench.kafka import Broker, unique
from bench.processes import Contender
from bench.results import Goal, Part, count, finish
from bench.stream import Stream
from schemas.instants import format_instant

NUMBERS = (10_000, 100_000, 1_000_000)
EVENTS = 120_000
TOUCHING = 0.2
"""Share of the measured events that concern a random one of the running promises."""
DUE_IN_MS = 6 * 3_600_000


def openings(stream: Stream, promises: int, now_ms: int) -> Iterator[tuple[bytes, bytes]]:
    """One order each, with one promise that stays running."""
    time_text, due = format_instant(now_ms), format_instant(now_ms + DUE_IN_MS)
    for number in range(promises):
        yield stream.event(number, "delivery.planned", time_text, f',"slot_end":"{due}"')


def mixed(stream: Stream, promises: int, events: int, now_ms: int) -> Iterator[tuple[bytes, bytes]]:
    """The shop's usual events, and among them some that concern the running promises (a scan and a second plan)."""
    random = Random(2)
    usual = Stream(now_ms, prefix="N").events(events)
    time_text, due = format_instant(now_ms + 1), format_instant(now_ms + DUE_IN_MS)
    for event in usual:
        if random.random() < TOUCHING:
            yield stream.event(random.randrange(promises), "delivery.planned", time_text, f',"slot_end":"{due}"')
        else:
            yield event


def measure(broker: Broker, size: float = 1.0, rounds: int | None = None) -> Part:
    """One worker a number of promises: load them, let it rest, look at memory and disk, then measure speed."""
    load = os.getloadavg()[0]
    numbers = [int(number * size) for number in NUMBERS]
    samples: dict[str, list[dict[str, float]]] = {str(number): [] for number in numbers}
    for _ in range(rounds or 1):
        for number in numbers:
            samples[str(number)].append(one(broker, number, int(EVENTS * size)))
    best = {name: sorted(found, key=lambda f: f["per_second"])[len(found) // 2] for name, found in samples.items()}
    least = best[str(numbers[0])]
    rows = []
    for number in numbers:
        found = best[str(number)]
        more = number - numbers[0]
        rows.append(
            [
                f"{number:,}", count(found["per_second"]), count(found["cpu_us"]),
                f"{found['cpu_us'] / least['cpu_us']:.2f}",
                f"{found['rss'] / 1e6:.0f} MB", f"{found['disk'] / 1e6:.0f} MB",
                count((found["rss"] - least["rss"]) / more) if more else "", count(found["disk"] / number),
            ]
        )  # fmt: skip
    rates = [found["per_second"] for found in best.values()]
    return finish(
        Part(
            name="running",
            title="Speed and size with running promises",
            columns=[
                "running",
                "events/s",
                "CPU us/event",
                "CPU against the fewest",
                "memory",
                "on disk",
                "bytes of memory each",
                "bytes on disk each",
            ],
            rows=rows,
            goals=[Goal("fastest against slowest", max(rates) / min(rates), 1.5, at_least=False)],
            notes=[
                f"memory each: what more promises add to the worker that holds {numbers[0]:,}; one promise an order",
                f"{TOUCHING:.0%} of the measured events concern a random one of the running promises",
            ],
            samples=dict(samples),
            rounds=rounds or 1,
        ),
        load,
    )


def one(broker: Broker, promises: int, events: int) -> dict[str, float]:
    """Speed, memory (bytes) and disk (bytes) with so many promises running."""
    topic, app_id = unique("running.events"), unique("running")
    broker.create(topic)
    now_ms = int(time.time() * 1_000)
    stream = Stream(now_ms, prefix="R")
    broker.fill(topic, openings(stream, promises, now_ms))
    with runs.running_worker(broker, broker.book(topic), topic, app_id) as contender:
        runs.until(lambda: broker.committed(app_id, topic) >= promises, contender)
        memory, disk = settled_memory(contender), folder_bytes(broker.folder / app_id)
        begun = time.time()
        broker.fill(topic, mixed(stream, promises, events, now_ms))
        runs.until(lambda: broker.committed(app_id, topic) >= promises + events, contender)
        figures = runs.from_checkpoints(broker, app_id, contender, after=begun)
    runs.forget(broker, app_id)
    broker.delete(topic)
    return {**figures, "rss": float(memory), "disk": float(disk)}


def settled_memory(contender: Contender) -> int:
    """Resident memory once it has stopped changing by more than 1%."""
    last = contender.memory_bytes()
    for _ in range(10):
        time.sleep(0.5)
        now = contender.memory_bytes()
        if abs(now - last) < last / 100:
            return now
        last = now
    return last


def folder_bytes(folder: Path) -> int:
    """What the files of a folder take on disk; files may come and go meanwhile."""
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.stat().st_blocks * 512
        except FileNotFoundError:
            continue
    return total
