"""What a book's size costs: the same events, of which ever fewer of the book's promises are concerned."""

import os
import time
from functools import partial

from bench.books import WHOLE_LANGUAGE, book_of, many, of_another_shop, of_other_events, simple
from bench.core import cpu_us
from bench.results import Goal, Part, count, finish, interleaved, median, median_ratio
from bench.stream import Stream

EVENTS = 40_000
NUMBERS = (5, 50, 500)
KINDS = {
    "simple": (simple(), of_other_events),
    "whole language": (WHOLE_LANGUAGE, of_other_events),
    "simple, of one shop": (simple(), of_another_shop),
    "whole language, of one shop": (WHOLE_LANGUAGE, of_another_shop),
}


def measure(size: float = 1.0, rounds: int | None = None) -> Part:
    """The core by itself, with books of 5, 50 and 500 promises, of which these events concern the same five."""
    load, rounds = os.getloadavg()[0], rounds or 5
    events = [value for _, value in Stream(int(time.time() * 1_000)).events(int(EVENTS * size))]
    books = {
        f"{number} promises, {kind}": book_of(many(promises, number, another))
        for kind, (promises, another) in KINDS.items()
        for number in NUMBERS
    }
    found = interleaved(rounds, {name: partial(cpu_us, book, events) for name, book in books.items()})
    rows, goals = [], []
    for kind, (_, another) in KINDS.items():
        least = found[f"{NUMBERS[0]} promises, {kind}"]
        for number in NUMBERS:
            samples = found[f"{number} promises, {kind}"]
            ratio = median_ratio(samples, least, "cpu_us")
            rows.append([f"{number} promises, {kind}", count(median(samples, "cpu_us")), f"{ratio:.2f}"])
        if another is of_other_events:
            goals.append(Goal(f"{NUMBERS[-1]} promises against {NUMBERS[0]}, {kind}", ratio, 1.2, at_least=False))
    return finish(
        Part(
            name="promises",
            title="Cost of a book's size: the events concern the same five promises",
            columns=["book", "CPU us/event", f"against {NUMBERS[0]}"],
            rows=rows,
            goals=goals,
            notes=[
                "the core by itself: decoded, judged, and the records encoded, in batches of 500 events",
                "the others are about other events; of one shop: about the same events, opened with another `where`",
                "what fulfils a promise of one shop concerns all of them",
            ],
            samples=dict(found),
            rounds=rounds,
        ),
        load,
    )
