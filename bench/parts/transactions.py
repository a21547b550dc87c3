"""What exactly-once costs: the worker with transactions against the same without."""

import os

from bench import runs
from bench.kafka import Broker
from bench.results import Part, count, finish, interleaved, median, median_ratio

EVENTS = 200_000
WITH, WITHOUT = "transactions", "--no-transactions"


def measure(broker: Broker, size: float = 1.0, rounds: int | None = None) -> Part:
    """Both read the same topic."""
    load, events, rounds = os.getloadavg()[0], int(EVENTS * size), rounds or 3
    topic = broker.shop("shop.events", events)
    found = interleaved(
        rounds,
        {
            WITH: lambda: runs.worker(broker, topic, events),
            WITHOUT: lambda: runs.worker(broker, topic, events, "--no-transactions"),
        },
    )
    broker.delete(topic)
    rows = [
        [name, count(median(found[name], "per_second")), count(median(found[name], "cpu_us")),
         f"{median_ratio(found[name], found[WITHOUT], 'per_second'):.2f}"]
        for name in found
    ]  # fmt: skip
    return finish(
        Part(
            name="transactions",
            title="Cost of transactions",
            columns=["worker", "events/s", "CPU us/event", "of the speed without"],
            rows=rows,
            samples=dict(found),
            rounds=rounds,
        ),
        load,
    )
