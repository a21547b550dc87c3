"""The same week told by four systems, one of which falls silent from Saturday to Sunday and comes back."""

import json
from datetime import time, timedelta
from typing import Final

from promisewatch.demonstration.expected import HOUR_MS, instant
from promisewatch.demonstration.week import END_MS, SATURDAY, START_MS, Message, Week, write_week

SHOP, MAILER, WAREHOUSE, CARRIER = "shop", "mailer", "warehouse", "carrier"
OF_TYPE: Final = {
    "order.placed": SHOP,
    "order.cancelled": SHOP,
    "message.sent": MAILER,
    "order.shipped": WAREHOUSE,
    "parcel.delivered": CARRIER,
    "parcel.at_pickup": CARRIER,
    "carrier.alive": CARRIER,
}
SILENT_MS, BACK_MS = instant(SATURDAY, time(10)), instant(SATURDAY + timedelta(days=1), time(14))
"""From when to when the carrier sends nothing. Whatever it has to tell of that time, it tells at its return."""
ALIVE_EVERY_MS = HOUR_MS
WAITS_FOR_CARRIER = ("next-day", "pickup-2d")
"""The promises of which nothing can be proved while the carrier is silent."""


def system_of(message: Message) -> str:
    """Which system sends a message. What is no event at all comes from the shop."""
    try:
        event = json.loads(message.value)
    except ValueError:
        return SHOP
    return OF_TYPE.get(event.get("type"), SHOP)


def write_systems_week(seed: int) -> Week:
    """The shop's week of this seed, and every hour a word of the carrier that it is there; all but what it would have
    sent in its silence, which comes afterwards.
    """
    week = write_week(seed)
    messages = [_after_silence(message) for message in (*week.messages, *_alive())]
    return Week(sorted(messages), week.orders)


def _alive() -> list[Message]:
    """What says that the carrier is there, though at night or on a holiday it has no parcel to tell of."""
    event = {"type": "carrier.alive", "order_id": "none", "occurred_at": "2026-04-22T22:00:00Z"}
    return [
        Message(at, f"alive-{number}", json.dumps(event | {"event_id": f"alive-{number}"}).encode(), prompt=False)
        for number, at in enumerate(range(START_MS, END_MS, ALIVE_EVERY_MS))
    ]


def _after_silence(message: Message) -> Message:
    if not SILENT_MS <= message.at < BACK_MS or system_of(message) != CARRIER:
        return message
    return message._replace(at=BACK_MS, prompt=False)
