"""Where notifications go: one module a channel, all behind the `Channel` protocol."""

from typing import NamedTuple, Protocol

from agents.decisions import NotifyReason
from schemas.publications import Breached, FulfilledLate, Retracted

BreachEvent = Breached | FulfilledLate | Retracted


class Delivery(NamedTuple):
    """How one delivery went. `error` is None when it arrived; `recoverable` says whether trying again may help."""

    error: str | None = None
    recoverable: bool = False


class Channel(Protocol):
    """A way to tell somebody."""

    name: str
    idempotent: bool
    """Whether the other side recognises a repeated delivery by the event's id. If not, an intent is recorded first and
    a delivery that may have happened is not repeated."""

    async def deliver(self, event: BreachEvent, reason: NotifyReason) -> Delivery:
        """Tell about one event."""
        ...
