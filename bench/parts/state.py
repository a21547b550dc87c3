"""What a subject costs with ever more facts: bytes of its record, and CPU time of one fact more."""

import os
import statistics
from functools import partial

from bench.books import Spelled, book_of
from bench.core import Core, Stopwatch
from bench.results import Goal, Part, count, finish, interleaved, median, median_ratio
from schemas.facts import Fact

SUBJECTS = 200
NUMBERS = (5, 20, 100)
MORE = 4
"""Facts over which the cost of one is taken."""
MINUTE_MS = 60_000

SIMPLE: Spelled = {
    "id": "confirmed", "when": {"event": "order.placed"}, "due": {"plus": 30, "unit": "day"},
    "expect": {"event": "message.sent", "where": {"kind": "confirmation"}},
}  # fmt: skip
EACH = SIMPLE | {"when": {"event": "order.placed", "again": True}, "expect": SIMPLE["expect"] | {"match": ["ref"]}}
KINDS: dict[str, tuple[Spelled, int]] = {
    "simple": (SIMPLE, 1),
    "with `again`, half of the facts open": (EACH, 2),
    "with `again`, all facts open": (EACH, 1),
}
"""A promise, and every how-manieth fact opens it: those between keep what was opened last."""


def measure(size: float = 1.0, rounds: int | None = None) -> Part:
    """The core by itself, with one promise; each fact is in a batch of its own, so each writes its subject's record."""
    load, rounds = os.getloadavg()[0], rounds or 3
    subjects = max(2, int(SUBJECTS * size))
    found = interleaved(
        rounds,
        {
            f"{kind}, {number}": partial(one, promise, every, number, subjects)
            for kind, (promise, every) in KINDS.items()
            for number in NUMBERS
        },
    )
    rows, goals = [], []
    for kind in KINDS:
        least = found[f"{kind}, {NUMBERS[0]}"]
        for number in NUMBERS:
            samples = found[f"{kind}, {number}"]
            stored = median(samples, "bytes")
            ratio = median_ratio(samples, least, "cpu_us")
            rows.append(
                [kind,
                    str(number), count(stored), count(stored / number), count(median(samples, "cpu_us")),
                 f"{ratio:.1f}"]
            )  # fmt: skip
        goals.append(
            Goal(f"a fact among {NUMBERS[-1]} against one among {NUMBERS[0]}: {kind}", ratio, 20, at_least=False)
        )
    return finish(
        Part(
            name="state",
            title="A subject with many facts",
            columns=[
                "a subject of a promise",
                "facts",
                "bytes stored",
                "bytes/fact",
                "CPU us a fact more",
                f"against {NUMBERS[0]}",
            ],
            rows=rows,
            goals=goals,
            notes=[
                "the core by itself; each fact writes its subject's record, so its cost grows at least as its bytes do",
                f"twenty times the facts, so 20 is growth in proportion; the cost of one is taken over {MORE}",
            ],
            samples=dict(found),
            rounds=rounds,
        ),
        load,
    )


def one(promise: Spelled, every: int, number: int, subjects: int) -> dict[str, float]:
    """Bytes of a record with that many facts, and CPU microseconds of one fact more."""
    core = Core(book_of([promise]))
    for index in range(number - MORE):
        core.learn("order_id", batch(index, every, subjects))
    with Stopwatch() as watch:
        for index in range(number - MORE, number):
            core.learn("order_id", batch(index, every, subjects))
    assert len(core.store) == subjects
    stored = statistics.fmean(map(len, core.store.values()))
    return {"bytes": stored, "cpu_us": watch.seconds / subjects / MORE * 1e6}


def batch(index: int, every: int, subjects: int) -> list[tuple[str, Fact]]:
    """The fact of that number of each subject."""
    opens = index % every == 0
    event, data = ("order.placed", {}) if opens else ("message.sent", {"kind": "confirmation"})
    data = data | {"ref": f"R-{index // every:07d}"}
    time = 1_790_000_000_000 + index * MINUTE_MS
    return [
        (f"C-{about:07d}", Fact("shop", f"W-{about:05d}-{index:06d}", event, time, data)) for about in range(subjects)
    ]
