"""What must come out of a web shop's week, calculated on its own.

Imports nothing of `promises/` or `schemas/` and reads no promise book: the three promises, the Dutch holidays and the
rules of the borders are written down here a second time, so that a mistake there is not repeated here. All instants
are UTC milliseconds.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
SKEW_MS = 5 * MINUTE_MS
CLOSED = {
    date(2026, 4, 5): "Easter Sunday",
    date(2026, 4, 6): "Easter Monday",
    date(2026, 4, 27): "King's Day",
    date(2026, 5, 14): "Ascension Day",
    date(2026, 5, 25): "Whit Monday",
}
"""Days of spring 2026 on which neither the warehouse nor the carrier works, Sundays aside."""


class Event(NamedTuple):
    """One event about one subject. `rank` orders several contents published under one id: the smallest counts."""

    id: str
    type: str
    time: int
    subject: str
    data: dict[str, Any]

    @property
    def rank(self) -> tuple[int, str]:
        return (self.time, json.dumps(self.data, sort_keys=True))


class Rule(NamedTuple):
    """One promise. `due` gives the instant at which keeping it still counts, or None where nothing is promised."""

    promise: str
    opens: Callable[[Event], bool]
    due: Callable[[Event], int | None]
    keeps: Callable[[Event], bool]
    releases: Callable[[Event], bool] = lambda _: False
    early: bool = False
    skew_ms: int = SKEW_MS


class Verdict(NamedTuple):
    """How one promise to one subject ended: open, kept, released, breached (never kept) or fulfilled_late."""

    status: str
    opening: str
    opened_at: int
    due: int
    fulfilled_at: int | None

    @property
    def broken(self) -> bool:
        return self.status in ("breached", "fulfilled_late")


def judge(rule: Rule, events: Iterable[Event], as_of: int, known_since: int | None = None) -> Verdict | None:
    """The verdict on one subject from all its events, in any order and with any duplicates; None where nothing opened.

    `as_of` is the instant up to which absence is proved. Openings before `known_since` promise nothing.
    """
    facts = distinct(events)
    openings = {by_time(e): (e, due) for e in facts if (due := _promised(rule, e, known_since)) is not None}
    if not openings:
        return None
    opening, due = openings[min(openings)]
    since = opening.time - rule.skew_ms
    kept = min((e for e in facts if rule.keeps(e) and (rule.early or e.time >= since)), key=by_time, default=None)
    released = min((e for e in facts if rule.releases(e) and since <= e.time <= due), key=by_time, default=None)
    head = (opening.id, opening.time, due)
    in_time = kept is not None and kept.time <= due
    if kept is not None and in_time and (released is None or kept.time <= released.time):
        return Verdict("kept", *head, kept.time)
    if released is not None:
        return Verdict("released", *head, None)
    if due >= as_of:
        return Verdict("open", *head, None)
    return Verdict("breached", *head, None) if kept is None else Verdict("fulfilled_late", *head, kept.time)


def _promised(rule: Rule, event: Event, known_since: int | None) -> int | None:
    """The due that this event promises, None where it promises nothing."""
    if not rule.opens(event) or (known_since is not None and event.time < known_since):
        return None
    due = rule.due(event)
    return None if due is not None and due < event.time and not rule.early else due


def distinct(events: Iterable[Event]) -> list[Event]:
    """One event per id: of several contents under one id the smallest."""
    chosen: dict[str, Event] = {}
    for event in events:
        held = chosen.get(event.id)
        if held is None or event.rank < held.rank:
            chosen[event.id] = event
    return list(chosen.values())


def by_time(event: Event) -> tuple[int, str]:
    return (event.time, event.id)


# The calendar of the shop and its carrier: Monday to Saturday, not on public holidays.


def working_day(day: date) -> bool:
    return day.weekday() != 6 and day not in CLOSED


def working_day_from(day: date) -> date:
    """The day itself where it is a working day, else the next one."""
    while not working_day(day):
        day += timedelta(days=1)
    return day


def working_days_after(day: date, count: int) -> date:
    for _ in range(count):
        day = working_day_from(day + timedelta(days=1))
    return day


def instant(day: date, at: time) -> int:
    """UTC milliseconds of a local time in Amsterdam."""
    local = datetime.combine(day, at, AMSTERDAM)
    return round(local.astimezone(UTC).timestamp() * 1000)


def local(instant_ms: int) -> datetime:
    """Local time in Amsterdam, exact to the millisecond."""
    seconds, ms = divmod(instant_ms, 1000)
    return datetime.fromtimestamp(seconds, AMSTERDAM) + timedelta(milliseconds=ms)


def end_of(day: date) -> int:
    """The last millisecond of a local day."""
    return instant(day + timedelta(days=1), time(0)) - 1


def next_day_due(placed_ms: int) -> int:
    """Ordered before 18:00 on a working day: end of the next one. Otherwise as if ordered on the next working day."""
    placed = local(placed_ms)
    day = working_day_from(placed.date())
    if day == placed.date() and placed.time() >= time(18):
        day = working_days_after(day, 1)
    return end_of(working_days_after(day, 1))


def pickup_due(shipped_ms: int) -> int:
    """End of the second working day after shipping."""
    return end_of(working_days_after(local(shipped_ms).date(), 2))


def _is(event_type: str, /, **where: str) -> Callable[[Event], bool]:
    return lambda event: event.type == event_type and all(event.data.get(key) == value for key, value in where.items())


RULES = (
    Rule(
        "next-day",
        opens=_is("order.placed", speed="next"),
        due=lambda opening: next_day_due(opening.time),
        keeps=_is("parcel.delivered"),
        releases=_is("order.cancelled"),
    ),
    Rule(
        "confirm-15m",
        opens=_is("order.placed"),
        due=lambda opening: opening.time + 15 * MINUTE_MS,
        keeps=_is("message.sent", kind="confirmation"),
    ),
    Rule(
        "pickup-2d",
        opens=_is("order.shipped", method="pickup"),
        due=lambda opening: pickup_due(opening.time),
        keeps=_is("parcel.at_pickup"),
        releases=_is("order.cancelled"),
    ),
)


class Expected(NamedTuple):
    """What must come out: a verdict per (promise, order), and the number of messages that are no events at all."""

    verdicts: dict[tuple[str, str], Verdict]
    dead_letters: int


def expect(messages: Iterable[tuple[int, bytes]], as_of: int, rules: Sequence[Rule] = RULES) -> Expected:
    """Judge what was published: (instant of publication, bytes) in any order, everything up to `as_of` being known."""
    orders: dict[str, list[Event]] = defaultdict(list)
    unreadable = 0
    for published_ms, value in messages:
        event = read(value)
        if event is None or event.time > published_ms + SKEW_MS:
            unreadable += 1
        else:
            orders[event.subject].append(event)
    judged = {(rule.promise, order): judge(rule, events, as_of) for order, events in orders.items() for rule in rules}
    return Expected({key: verdict for key, verdict in judged.items() if verdict is not None}, unreadable)


def read(value: bytes) -> Event | None:
    """The event in a message of the shop, or None where something that every event needs is missing or unreadable."""
    try:
        data = json.loads(value)
        time_ms = datetime.fromisoformat(data["occurred_at"]).timestamp() * 1000
        event = Event(data["event_id"], data["type"], round(time_ms), data["order_id"], data)
    except (ValueError, TypeError, KeyError):
        return None
    return event if isinstance(event.id, str) and isinstance(event.subject, str) and event.subject else None
