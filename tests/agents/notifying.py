"""A notify partition over stand-ins: a channel that answers as a test asks, Kafka as lists, restarts on demand."""

import asyncio
from typing import TypeVar

import msgspec

from agents.channels import Delivery, Failure, Message
from agents.decisions import NotifyReason
from agents.delivery import Deliverer, RetryPolicy
from agents.notify import NotifyPartition, NotifySettings
from schemas.notifications import Notification, decode_notification
from schemas.publications import Breached, FulfilledLate, Retracted
from schemas.topics import BREACHES, NOTIFICATIONS
from streams.store import MemoryStore
from tests.agents.fakes import FakeApp, FakeProducer, HandClock, Record, as_any
from tests.agents.test_decisions import DAY, DUE_MS

EventT = TypeVar("EventT", Breached, FulfilledLate, Retracted)
encode = msgspec.json.Encoder().encode


def of(event: EventT, subject: str, event_id: str | None = None) -> EventT:
    """The same event about another subject."""
    data = msgspec.structs.replace(event.data, subject=subject)
    return msgspec.structs.replace(event, data=as_any(data), subject=subject, id=event_id or event.id)


class RecordingChannel:
    """Keeps what was delivered; `idempotent` as a test asks. `answers` has per event id how its attempts end."""

    name = "console"

    def __init__(self, *, idempotent: bool = False) -> None:
        self.idempotent = idempotent
        self.told: list[tuple[str, NotifyReason]] = []
        self.answers: dict[str, list[Failure]] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.under_way = 0

    async def deliver(self, message: Message) -> Delivery:
        self.told.append((message.event.id, message.reason))
        self.under_way += 1
        gate = self.gates.get(message.event.id)
        if gate is not None:
            await gate.wait()
        self.under_way -= 1
        answers = self.answers.get(message.event.id)
        return Delivery(answers.pop(0), "no") if answers else Delivery()

    async def close(self) -> None:
        """Nothing is open."""


class Partition:
    """One notify partition under test."""

    def __init__(self, channel: RecordingChannel | None = None, attempts_max: int = 1) -> None:
        self.channel = channel or RecordingChannel()
        self.producer = FakeProducer()
        self.app = FakeApp(HandClock(DUE_MS), MemoryStore())
        self.log: list[Record] = []
        self.attempts_max = attempts_max
        self.start()

    def start(self) -> None:
        """Open from the store, as after a restart."""
        settings = NotifySettings(max_age_ms=7 * DAY)
        deliverer = Deliverer(self.channel, RetryPolicy(attempts_max=self.attempts_max, wait_initial=0, jitter=0))
        self.handler = NotifyPartition(as_any(self.app), 0, as_any(self.producer), deliverer, settings)

    def append(self, value: bytes) -> None:
        """Write to the breaches log."""
        self.log.append(Record(BREACHES, 0, len(self.log), b"A", value))

    async def run(self) -> None:
        """Process what is left."""
        await self.handler.process(self.log[self.handler.next_offset :], len(self.log))

    def notifications(self) -> dict[str, Notification]:
        """The newest record an event id, as the compacted topic keeps it."""
        found = [decode_notification(record.value or b"") for record in self.producer.published(NOTIFICATIONS)]
        return {one.event_id: one for one in found}

    def records(self) -> dict[str, tuple[str, str]]:
        """The newest (outcome, reason) an event id."""
        return {one.event_id: (one.outcome, one.reason) for one in self.notifications().values()}
