"""The web shop's events: interleaved orders, about 300 bytes an event, the same for one seed.

An order in flight sends about thirteen events. Some open promises, some fulfil them, and about half mean nothing to the
book, as in a real shop: page views, scans, marketing mail. One order in fifty is never confirmed or delivered.
"""

from collections.abc import Iterator
from random import Random

from schemas.instants import format_instant

IN_FLIGHT_STEPS = 4_000
"""Orders are in flight for at most this many steps; one order begins a step."""

EVENT_MS = 1
"""Event time between two orders: it runs about as fast as the contenders do."""

_TAIL = (
    ',"channel":"web","shop":"nl","currency":"EUR","amount_cents":12995,"customer_id":"C-%07d",'
    '"items":[{"sku":"SKU-48213","qty":2}],"trace":"%016x"}'
)


class Stream:
    """Events as (key, value), keyed by order id. Event time starts at `start_ms` (UTC milliseconds)."""

    def __init__(self, start_ms: int, prefix: str = "W", seed: int = 1) -> None:
        self._random = Random(seed)
        self._start_ms = start_ms
        self._prefix = prefix
        self._number = 0
        self._tail_of = [_TAIL % (n * 7919, n * 0x9E3779B97F4A7C15F39CC0605CEDC834 % (1 << 64)) for n in range(1024)]

    def events(self, count: int) -> Iterator[tuple[bytes, bytes]]:
        """Yield `count` events, beginning with a shop in full swing (all stages of an order are under way)."""
        waiting: list[list[tuple[int, str, str]]] = [[] for _ in range(IN_FLIGHT_STEPS)]
        sent = 0
        for order in range(10**9):
            self._begin(order, waiting)
            slot = order % IN_FLIGHT_STEPS
            at, waiting[slot] = waiting[slot], []
            time_text = format_instant(self._start_ms + order * EVENT_MS)
            for number, kind, extra in at:
                if order < IN_FLIGHT_STEPS // 2:
                    continue  # until orders of every age are under way
                yield self.event(number, kind, time_text, extra)
                sent += 1
                if sent == count:
                    return

    def event(self, order: int, kind: str, time_text: str, extra: str) -> tuple[bytes, bytes]:
        """One event of one order."""
        self._number += 1
        key = f"{self._prefix}-2026-{order:09d}"
        value = (
            f'{{"event_id":"{self._prefix}-{self._number:012d}","order_id":"{key}","type":"{kind}",'
            f'"occurred_at":"{time_text}"{extra}{self._tail_of[order & 1023]}'
        )
        return key.encode(), value.encode()

    def _begin(self, order: int, waiting: list[list[tuple[int, str, str]]]) -> None:
        chance = self._random.random

        def later(share: float, kind: str, extra: str = "") -> None:
            step = order + int(IN_FLIGHT_STEPS * share * (0.8 + 0.2 * chance()))
            waiting[step % IN_FLIGHT_STEPS].append((order, kind, extra))

        pickup, unlucky, cancelled = chance() < 0.25, chance() < 0.02, chance() < 0.03
        speed = "next" if chance() < 0.6 else "standard"
        later(0.0, "page.viewed", ',"page":"/checkout"')
        later(0.0, "order.placed", f',"speed":"{speed}"')
        if not unlucky:
            later(0.1, "message.sent", ',"kind":"confirmation"')
        later(0.15, "payment.captured", ',"provider":"ideal"')
        later(0.2, "page.viewed", ',"page":"/account"')
        if cancelled:
            later(0.3, "order.cancelled", ',"reason":"customer"')
            return
        later(0.3, "order.picked", ',"zone":"B4"')
        later(0.4, "order.shipped", f',"method":"{"pickup" if pickup else "home"}"')
        later(0.5, "parcel.scanned", ',"hub":"UTR"')
        later(0.55, "message.sent", ',"kind":"marketing"')
        if not pickup:
            slot = format_instant(self._start_ms + order * EVENT_MS + 6 * 3_600_000)
            later(0.6, "delivery.planned", f',"slot_end":"{slot}"')
        later(0.7, "parcel.scanned", ',"hub":"AMS"')
        later(0.75, "stock.moved", ',"bin":"17-3"')
        later(0.8, "message.sent", ',"kind":"track_and_trace"')
        if not unlucky:
            later(0.95, "parcel.at_pickup" if pickup else "parcel.delivered", ',"carrier":"PNL"')
