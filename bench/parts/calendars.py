"""What working time costs: open time added to an instant, and counted between two, in calendars of several kinds."""

import os
from functools import partial
from random import Random

from bench.books import book_of, simple
from bench.core import Stopwatch
from bench.results import Goal, Part, count, finish, interleaved, median
from promises.calendars import Calendar, Calendars
from schemas.book_model import Book

CALLS = 20_000
DAY_MS = 86_400_000
BEGIN = 1_790_000_000_000
"""Instants are spread over the two years from here on."""
SPANS = {"1 hour": DAY_MS // 24, "10 days": 10 * DAY_MS, "2 years": 731 * DAY_MS}
CALENDARS = {
    "office": {"days": ["mon", "tue", "wed", "thu", "fri"], "hours": "09:00-17:00", "holidays": "NL"},
    "never closed but on holidays": {
        "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "hours": "00:00-24:00", "holidays": "NL",
    },
    "past midnight": {"days": ["mon", "tue", "wed", "thu", "fri"], "hours": "22:00-06:00", "holidays": "NL"},
}  # fmt: skip


def measure(size: float = 1.0, rounds: int | None = None) -> Part:
    """Every calendar is asked about new instants each round, after one question that makes it look up its days."""
    load, calls, rounds = os.getloadavg()[0], max(10, int(CALLS * size)), rounds or 5
    book = book_of(simple(), CALENDARS)
    chance = Random(3)
    found = interleaved(
        rounds,
        {
            f"{name}, {span}": partial(one, book, name, ms, calls, chance)
            for name in CALENDARS
            for span, ms in SPANS.items()
        },
    )
    rows = [
        [name, *(count(median(samples, key)) for key in ("first_us", "add_us", "between_us"))]
        for name, samples in found.items()
    ]
    goals = [
        Goal(
            f"adding what is open in {span} against in {next(iter(SPANS))}, office",
            median(found[f"office, {span}"], "add_us") / median(found[f"office, {next(iter(SPANS))}"], "add_us"),
            2, at_least=False,
        )
        for span in list(SPANS)[1:]
    ]  # fmt: skip
    return finish(
        Part(
            name="calendars",
            title="Working time (CPU us a call)",
            columns=["calendar, and how long", "the first call", "add open time", "count open time"],
            rows=rows,
            goals=goals,
            notes=["the amount that is added is what the calendar is open for in that time from a first instant on"],
            samples=dict(found),
            rounds=rounds,
        ),
        load,
    )


def one(book: Book, name: str, span_ms: int, calls: int, chance: Random) -> dict[str, float]:
    """CPU microseconds of the first call of all, and of one more, in a calendar that nobody has asked yet."""
    calendar: Calendar = Calendars(book.calendars).calendar(name, book.promises[0].timezone)
    another = Calendars(book.calendars).calendar(name, book.promises[0].timezone)
    amount = another.open_between(BEGIN, BEGIN + span_ms) or span_ms
    instants = [BEGIN + chance.randrange(731 * DAY_MS) for _ in range(calls)]
    with Stopwatch() as first:
        calendar.add_open(BEGIN, amount)
        calendar.open_between(BEGIN, BEGIN + 3 * 731 * DAY_MS)
    with Stopwatch() as add:
        for instant in instants:
            calendar.add_open(instant, amount)
    with Stopwatch() as between:
        for instant in instants:
            calendar.open_between(instant, instant + span_ms)
    return {
        "first_us": first.seconds * 1e6,
        "add_us": add.seconds / calls * 1e6,
        "between_us": between.seconds / calls * 1e6,
    }
