"""Recovery: a worker without local state reads its changelog and finds its timers, against Faust's stock recovery."""

import json
import os
import shutil
from datetime import datetime

from bench import runs
from bench.contenders import faust_table
from bench.kafka import Broker, unique
from bench.processes import Contender, module
from bench.results import Goal, Part, count, finish, interleaved, median, median_ratio
from promises.partition import CHECKPOINT_KEY
from schemas.topics import changelog

EVENTS = 400_000
STOCK_SHARE = 10
"""Stock recovery gets a tenth of the records: it takes as long for those."""
OURS, STOCK = "promisewatch worker", "stock Faust table"


def measure(broker: Broker, size: float = 1.0, rounds: int | None = None) -> Part:
    """Write a changelog with a worker, then recover it again and again; Faust recovers a copy of its records."""
    load, events, rounds = os.getloadavg()[0], int(EVENTS * size), rounds or 3
    topic, app_id = broker.shop("recovery.events", events), unique("recovery")
    book = broker.book(topic)
    with runs.running_worker(broker, book, topic, app_id) as contender:
        runs.until(lambda: broker.committed(app_id, topic) >= events, contender)

    def ours() -> dict[str, float]:
        shutil.rmtree(broker.folder / app_id)
        log = broker.folder / f"{app_id}.log"
        log.unlink()
        with runs.running_worker(broker, book, topic, app_id) as worker:
            runs.until_opened(worker)
            return told(log.read_text(), worker)

    stock_id = unique("stock")
    broker.create(faust_table.changelog(stock_id), compacted=True)
    stock_records = copy_records(broker, changelog(app_id), faust_table.changelog(stock_id))

    def stock() -> dict[str, float]:
        folder = broker.folder / unique("stock-state")
        arguments = (str(book), broker.server, stock_id, str(folder), "0")
        with Contender(module("bench.contenders.faust_table", *arguments), folder.with_suffix(".log")) as contender:
            said = runs.said(contender)
            figures = runs.rate(contender, stock_records, said["started"], said["ended"])
        shutil.rmtree(folder, ignore_errors=True)
        return {"records": float(stock_records), "seconds": said["ended"] - said["started"], **figures}

    found = interleaved(rounds, {OURS: ours, STOCK: stock})
    runs.forget(broker, app_id)
    broker.delete(topic)
    rows = [
        [name, count(median(found[name], "records")), f"{median(found[name], 'seconds'):.2f}",
         count(median(found[name], "per_second")), f"{median(found[name], 'cpu_us'):.1f}"]
        for name in found
    ]  # fmt: skip
    heap = [sample["timers_seconds"] / sample["seconds"] for sample in found[OURS]]
    return finish(
        Part(
            name="recovery",
            title="Recovery of an empty worker from its changelog",
            columns=["contender", "changelog records", "seconds", "records/s", "CPU us/record"],
            rows=rows,
            goals=[Goal("times stock recovery", median_ratio(found[OURS], found[STOCK], "per_second"), 20)],
            notes=[f"of our time, {min(heap):.0%} to {max(heap):.0%} goes into finding the timers again"],
            samples=dict(found),
            rounds=rounds,
        ),
        load,
    )


def told(log: str, worker: Contender) -> dict[str, float]:
    """What the worker's log says about its recovery: from the first changelog record read to the last timer found."""
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    restored = next(line for line in lines if line["event"] == "state restored")
    opened = [line for line in lines if line["event"] == "partition opened"]
    read_at, done_at = instant(restored["timestamp"]), instant(opened[-1]["timestamp"])
    seconds = restored["seconds"] + done_at - read_at
    return {
        "records": float(restored["records"]),
        "seconds": seconds,
        **runs.rate(worker, restored["records"], done_at - seconds, done_at),
        "timers_seconds": done_at - read_at,
    }


def instant(text: str) -> float:
    """Seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


def copy_records(broker: Broker, source: str, target: str) -> int:
    """Copy part of the records (not the checkpoints) of one changelog to another, to the same partitions."""
    records = [(key, value) for _, _, key, value, _ in broker.read(source) if key and value and key != CHECKPOINT_KEY]
    return broker.fill(target, records[: len(records) // STOCK_SHARE])
