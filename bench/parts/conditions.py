"""What a condition costs: the same promises with `if` (CEL) and with `where`."""

import os
import time
from functools import partial

from bench.books import Spelled, book_of
from bench.core import cpu_us
from bench.results import Goal, Part, count, finish, interleaved, median, median_ratio
from bench.stream import Stream

EVENTS = 40_000
CONFIRMED: Spelled = {
    "id": "confirmed", "when": {"event": "order.placed", "where": {"speed": "next"}}, "due": {"within": "15m"},
    "expect": {"event": "message.sent", "where": {"kind": "confirmation"}}, "release": {"event": "order.cancelled"},
}  # fmt: skip
WARNED = {"warn": ["80%"]}
IFS = {
    "when": {"event": "order.placed", "if": "data.speed == 'next'"},
    "expect": {"event": "message.sent", "if": "data.kind == 'confirmation'"},
}
OPENED = {
    "when": {"event": "order.placed", "if": "data.speed == 'next' && data.amount_cents > 10000"},
    "expect": {
        "event": "message.sent",
        "if": "data.kind == 'confirmation' && data.customer_id == opened.customer_id",
    },
}
SIMPLE, WHERE, IF, BOTH = (
    "where (a simple promise)", "where", "if, one comparison", "if, two comparisons, one with the opening",
)  # fmt: skip


def measure(size: float = 1.0, rounds: int | None = None) -> Part:
    """The core by itself, with a book of one promise; only events that it names are read."""
    load, rounds = os.getloadavg()[0], rounds or 5
    named = (b'"order.placed"', b'"message.sent"', b'"order.cancelled"')
    stream = Stream(int(time.time() * 1_000)).events(int(EVENTS * size) * 4)
    events = [value for _, value in stream if any(name in value for name in named)]
    books = {
        SIMPLE: book_of([CONFIRMED]),
        WHERE: book_of([CONFIRMED | WARNED]),
        IF: book_of([CONFIRMED | WARNED | IFS]),
        BOTH: book_of([CONFIRMED | WARNED | OPENED]),
    }
    found = interleaved(rounds, {name: partial(cpu_us, book, events) for name, book in books.items()})
    where = found[WHERE]
    rows = [
        [name, count(median(samples, "cpu_us")), count(median(samples, "cpu_us") - median(where, "cpu_us")),
         f"{median_ratio(samples, where, 'cpu_us'):.2f}"]
        for name, samples in found.items()
    ]  # fmt: skip
    return finish(
        Part(
            name="conditions",
            title="Cost of conditions: `if` (CEL) against `where`",
            columns=["a promise with", "CPU us/event", "more than `where`", "against `where`"],
            rows=rows,
            goals=[Goal("`if` against `where`", median_ratio(found[IF], where, "cpu_us"), 1.5, at_least=False)],
            notes=[
                "each event is of a type that the promise names; a warning keeps all but the first off the simple path"
            ],
            samples=dict(found),
            rounds=rounds,
        ),
        load,
    )
