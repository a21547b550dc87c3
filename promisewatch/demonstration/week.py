"""A web shop's week as messages: Thursday 23 to Wednesday 29 April 2026, with its weekend and King's Day on Monday.

The same seed writes the same week, byte for byte. Most orders go as they should; some confirmations and parcels are
late or never come, some orders are cancelled, and some events are sent twice or overtake each other. The messages of
`_borders`, `_disorder` and `_garbage` are there for one reason each.
"""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any, NamedTuple

from promisewatch.demonstration.expected import (
    HOUR_MS,
    MINUTE_MS,
    end_of,
    instant,
    local,
    next_day_due,
    pickup_due,
    working_day_from,
    working_days_after,
)

FIRST_DAY = date(2026, 4, 23)
DAYS = 7
FRIDAY, SATURDAY, MONDAY, TUESDAY = (FIRST_DAY + timedelta(days=days) for days in (1, 2, 4, 5))
START_MS = instant(FIRST_DAY, time(0))
BURST_MS = instant(MONDAY, time(12))
"""King's Day sale: the moment of the highest load."""
END_MS = instant(FIRST_DAY + timedelta(days=10), time(4))
"""Sunday night after the week: everything ordered in it is due by then."""
SENT_WITHIN_MS = 20 * MINUTE_MS
"""How long after it happened the shop publishes an event, at most."""


class Message(NamedTuple):
    """What the shop sends: `at` is the simulated instant of publication (UTC ms). `prompt` says that the shop keeps
    its word here and publishes within the book's `settle`; copies and deliberately late messages are not prompt.
    """

    at: int
    key: str
    value: bytes
    prompt: bool


class Week(NamedTuple):
    """All messages in the order of publication, and how many orders they are about."""

    messages: list[Message]
    orders: int


def write_week(seed: int, orders_a_day: int = 500, burst: int = 600) -> Week:
    """The week of this seed: `orders_a_day` on each of the seven days and `burst` more within two minutes."""
    shop = _Shop(Random(seed))
    for day in range(DAYS):
        for number in range(orders_a_day):
            hour = shop.random.triangular(6, 24, 20)
            placed = instant(FIRST_DAY + timedelta(days=day), time(0)) + int(hour * HOUR_MS)
            _order(shop, f"{day + 1}{number:04d}", placed)
    for number in range(burst):
        _order(shop, f"K{number:04d}", BURST_MS + shop.random.randrange(2 * MINUTE_MS))
    _borders(shop)
    _disorder(shop)
    _garbage(shop)
    return Week(sorted(message for message in shop.messages if message.at < END_MS), len(shop.orders))


class _Shop:
    """Collects messages; knows how events look on the wire and how promptly they are sent."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.messages: list[Message] = []
        self.orders: set[str] = set()
        self._ids = self._numbers()

    def tell(
        self, what: str, order: str, happened: int, /, at: int | None = None, event_id: str | None = None, **data: Any
    ) -> None:
        """One event that happened at `happened` (UTC ms), published `at` or a little later; now and then twice."""
        self.orders.add(order)
        body = {"event_id": event_id or next(self._ids), "type": what, "order_id": order}
        value = json.dumps(body | {"occurred_at": self._written(happened)} | data).encode()
        published = happened + self._on_the_way() if at is None else at
        self.messages.append(Message(published, order, value, prompt=at is None))
        if self.random.random() < 0.03:
            again = published + self.random.randrange(MINUTE_MS, 8 * HOUR_MS)
            self.messages.append(Message(again, order, value, prompt=False))

    def raw(self, value: bytes, at: int, key: str = "") -> None:
        self.messages.append(Message(at, key, value, prompt=False))

    def _on_the_way(self) -> int:
        """Mostly under a minute; one in ten takes up to twenty, and so is overtaken by others."""
        return self.random.randrange(SENT_WITHIN_MS if self.random.random() < 0.1 else MINUTE_MS)

    def _written(self, instant_ms: int) -> str:
        """RFC 3339, as different systems of one shop write it."""
        moment = local(instant_ms)
        style = self.random.randrange(3)
        if style == 0:
            moment = moment.astimezone(UTC)
        text = moment.isoformat(timespec="milliseconds" if style or moment.microsecond else "seconds")
        return text.replace("+00:00", "Z")

    def _numbers(self) -> Iterator[str]:
        """Event ids, in no order that would tell which event came first."""
        while True:
            yield f"e-{self.random.getrandbits(48):012x}"


def _order(shop: _Shop, order: str, placed: int) -> None:
    """An order of any day, from its placing to its end."""
    chance = shop.random.random
    method = "pickup" if chance() < 0.2 else "home"
    speed = "next" if method == "home" and chance() < 0.75 else "standard"
    shop.tell("order.placed", order, placed, speed=speed, total_cents=shop.random.randrange(500, 30_000))
    confirmed = chance()
    if confirmed < 0.994:
        delay = shop.random.randrange(-3 * MINUTE_MS, 10 * MINUTE_MS)
        shop.tell("message.sent", order, placed + delay, kind="confirmation", channel="mail")
    elif confirmed < 0.997:
        delay = shop.random.randrange(16 * MINUTE_MS, 4 * HOUR_MS)
        shop.tell("message.sent", order, placed + delay, kind="confirmation", channel="mail")
    if chance() < 0.1:
        shop.tell("message.sent", order, placed + HOUR_MS, kind="newsletter", channel="mail")
    if chance() < 0.02:
        shop.tell("order.cancelled", order, placed + shop.random.randrange(5 * HOUR_MS), by="customer")
    elif method == "pickup":
        _pick_up(shop, order, placed)
    else:
        _deliver(shop, order, placed, next_day=speed == "next")


def _deliver(shop: _Shop, order: str, placed: int, *, next_day: bool) -> None:
    due_day = local(next_day_due(placed)).date()
    fate = shop.random.random()
    if not next_day:
        due_day = working_days_after(due_day, 1)
    shipped = instant(due_day, time(4)) + shop.random.randrange(HOUR_MS)
    shop.tell("order.shipped", order, max(shipped, placed + MINUTE_MS), method="home")
    if fate < 0.985:
        shop.tell("parcel.delivered", order, _daytime(shop, due_day))
    elif fate < 0.993:
        shop.tell("parcel.delivered", order, _daytime(shop, working_days_after(due_day, 1)))


def _pick_up(shop: _Shop, order: str, placed: int) -> None:
    day = working_day_from(local(placed).date() + timedelta(days=1))
    shipped = instant(day, time(7)) + shop.random.randrange(2 * HOUR_MS)
    shop.tell("order.shipped", order, shipped, method="pickup")
    due_day = local(pickup_due(shipped)).date()
    fate = shop.random.random()
    if fate < 0.975:
        shop.tell("parcel.at_pickup", order, _daytime(shop, due_day))
    elif fate < 0.988:
        shop.tell("parcel.at_pickup", order, _daytime(shop, working_days_after(due_day, 1)))


def _daytime(shop: _Shop, day: date) -> int:
    return instant(day, time(8, 30)) + shop.random.randrange(13 * HOUR_MS)


def _borders(shop: _Shop) -> None:
    """Events exactly at a border, and a millisecond beside it."""
    before_cutoff, at_cutoff = instant(FRIDAY, time(18)) - 1, instant(FRIDAY, time(18))
    saturday_ends, tuesday_ends = end_of(SATURDAY), end_of(TUESDAY)
    noon = instant(FRIDAY, time(12))
    for name, placed, delivered in (
        ("at-due", before_cutoff, saturday_ends),
        ("past-due", before_cutoff, saturday_ends + 1),
        ("cutoff-at-due", at_cutoff, tuesday_ends),
        ("cutoff-past-due", at_cutoff, tuesday_ends + 1),
        ("sunday", instant(SATURDAY + timedelta(days=1), time(10)), tuesday_ends + 20 * HOUR_MS),
    ):
        _confirmed(shop, f"B-{name}", placed)
        shop.tell("parcel.delivered", f"B-{name}", delivered)
    releases: tuple[tuple[str, int, int | None], ...] = (
        ("cancelled-at-due", saturday_ends, None),
        ("cancelled-past-due", saturday_ends + 1, None),
        ("cancelled-then-delivered", saturday_ends - HOUR_MS, saturday_ends - MINUTE_MS),
        ("delivered-as-cancelled", saturday_ends - HOUR_MS, saturday_ends - HOUR_MS),
        ("delivered-then-cancelled", saturday_ends - MINUTE_MS, saturday_ends - HOUR_MS),
    )
    for name, cancelled, happened in releases:
        _confirmed(shop, f"B-{name}", noon)
        shop.tell("order.cancelled", f"B-{name}", cancelled, by="customer")
        if happened is not None:
            shop.tell("parcel.delivered", f"B-{name}", happened)
    for name, delay in (
        ("15m", 15 * MINUTE_MS),
        ("15m-and-1ms", 15 * MINUTE_MS + 1),
        ("5m-before", -5 * MINUTE_MS),
        ("5m-and-1ms-before", -5 * MINUTE_MS - 1),
    ):
        shop.tell("order.placed", f"B-confirmed-{name}", noon, speed="standard")
        shop.tell("message.sent", f"B-confirmed-{name}", noon + delay, kind="confirmation")
    for name, shipped in (("kings-day", instant(SATURDAY, time(9))), ("plain", instant(TUESDAY, time(9)))):
        for past in (0, 1):
            order = f"B-pickup-{name}-{past}"
            shop.tell("order.shipped", order, shipped, method="pickup")
            shop.tell("parcel.at_pickup", order, pickup_due(shipped) + past)


def _confirmed(shop: _Shop, order: str, placed: int) -> None:
    shop.tell("order.placed", order, placed, speed="next")
    shop.tell("message.sent", order, placed + MINUTE_MS, kind="confirmation")


def _disorder(shop: _Shop) -> None:
    """Overtaking, second openings, one id with two contents, proof that comes long after the fact."""
    friday, saturday_ends = instant(FRIDAY, time(10)), end_of(SATURDAY)
    # Placed twice under different ids, the older message arriving second: the older one is the opening.
    shop.tell("order.placed", "D-twice", friday + 5 * MINUTE_MS, at=friday + 6 * MINUTE_MS, speed="next")
    shop.tell("order.placed", "D-twice", friday, at=friday + 20 * MINUTE_MS, speed="next")
    shop.tell("message.sent", "D-twice", friday + 16 * MINUTE_MS, kind="confirmation")
    # The parcel is known before the order, and the cancellation before both.
    shop.tell("parcel.delivered", "D-reversed", friday + 26 * HOUR_MS, at=friday + 26 * HOUR_MS)
    shop.tell("order.placed", "D-reversed", friday + 25 * HOUR_MS, at=friday + 27 * HOUR_MS, speed="next")
    shop.tell("message.sent", "D-reversed", friday + 25 * HOUR_MS, at=friday + 25 * HOUR_MS, kind="confirmation")
    # One id, two contents, the later time first: the earlier time counts.
    _confirmed(shop, "D-conflict", friday)
    for past, at in ((1, 1), (0, 2)):
        happened = saturday_ends + past
        shop.tell("parcel.delivered", "D-conflict", happened, at=saturday_ends + at * MINUTE_MS, event_id="D-conflict")
    # Long offline: the breach was published rightly, and is taken back.
    for name in ("D-scanner-offline-1", "D-scanner-offline-2"):
        _confirmed(shop, name, friday)
        shop.tell("parcel.delivered", name, saturday_ends - 4 * HOUR_MS, at=saturday_ends + 18 * HOUR_MS)


def _garbage(shop: _Shop) -> None:
    """Messages that are no events go to the dead letters; types that no promise names are only counted."""
    noon = instant(FIRST_DAY, time(12))
    good = {"event_id": "G-1", "type": "order.placed", "order_id": "G-1", "occurred_at": "2026-04-23T10:00:00Z"}
    shop.raw(b'{"event_id": "G-2", "type": "order.pl', noon, "G-2")
    shop.raw(b"\xff\xfe\x00", noon, "G-3")
    for missing in ("event_id", "type", "occurred_at", "order_id"):
        shop.raw(json.dumps({key: value for key, value in good.items() if key != missing}).encode(), noon, "G-1")
    shop.raw(json.dumps(good | {"occurred_at": "yesterday"}).encode(), noon, "G-1")
    shop.raw(json.dumps(good | {"order_id": None}).encode(), noon, "G-1")
    shop.raw(json.dumps(good | {"occurred_at": datetime(2026, 6, 1, tzinfo=UTC).isoformat()}).encode(), noon, "G-1")
    for number in range(64):
        # The first messages of the week, on every partition: they also warm up the way to the broker.
        page = good | {"event_id": f"P-{number}", "type": "page.viewed", "order_id": f"P-{number}"}
        shop.raw(json.dumps(page | {"occurred_at": "2026-04-22T22:00:00Z"}).encode(), START_MS, f"P-{number}")
