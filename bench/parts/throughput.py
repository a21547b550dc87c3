"""Events a second of one worker, against three others on the same events."""

import os

from bench import runs
from bench.kafka import Broker
from bench.results import Goal, Part, count, finish, interleaved, median, median_ratio

OURS, FAUST, BARE, QUIX = "promisewatch worker", "Faust agent and table", "aiokafka and msgspec", "Quix Streams"
INTERPRETED = "promisewatch worker, core not compiled"

EVENTS = 300_000


def measure(broker: Broker, size: float = 1.0, rounds: int | None = None) -> Part:
    """Everyone reads the same topic; those that are slow read less of it."""
    load, events, rounds = os.getloadavg()[0], int(EVENTS * size), rounds or 3
    topic = broker.shop("shop.events", events)
    found = interleaved(
        rounds,
        {
            OURS: lambda: runs.worker(broker, topic, events),
            INTERPRETED: lambda: runs.worker(broker, topic, events, interpreted=True),
            FAUST: lambda: runs.faust_table(broker, topic, events // 15),
            BARE: lambda: runs.bare(broker, topic, events),
            QUIX: lambda: runs.quix(broker, topic, events // 3),
        },
    )
    broker.delete(topic)
    ours = found[OURS]
    rows = [
        [name, count(median(found[name], "per_second")), count(median(found[name], "cpu_us")),
         f"{median_ratio(ours, found[name], 'per_second'):.2f}", f"{median_ratio(found[name], ours, 'cpu_us'):.2f}"]
        for name in found
    ]  # fmt: skip
    return finish(
        Part(
            name="throughput",
            title="Detect: events a second, five promises, one core",
            columns=["contender", "events/s", "CPU us/event", "ours / this", "the same by CPU"],
            rows=rows,
            goals=[
                Goal("times an idiomatic Faust agent", median_ratio(ours, found[FAUST], "per_second"), 15),
                Goal("share of bare consumption", median_ratio(ours, found[BARE], "per_second"), 0.2),
                Goal("times Quix Streams", median_ratio(ours, found[QUIX], "per_second"), 1.5),
            ],
            samples=dict(found),
            rounds=rounds,
        ),
        load,
    )
