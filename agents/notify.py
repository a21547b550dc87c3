"""The notify agent: breach events in, somebody told, and a record of it.

Its own consumer group and process: telling people is slow and fails in its own ways, and must never hold up detection.
What was told is remembered per cycle on a compacted changelog and published on the notifications topic, in the same
transaction as the position in the breaches topic.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from agents.channels import BreachEvent, Channel
from agents.decisions import MEMORY_FORMAT, Decision, Memory, NotifyReason, decide, remember
from schemas import metrics
from schemas.errors import StateError
from schemas.instants import format_instant, parse_instant
from schemas.notifications import Notification, encode_notification, record_key
from schemas.publications import Outcome, decode_event
from schemas.topics import BREACHES, NOTIFICATIONS, dlq
from streams.app import BatchApp, StreamSettings, build_app
from streams.deadletters import dead_letter
from streams.emit import Outgoing, PartitionProducer

log = structlog.get_logger("promisewatch.notify")

POSITION_KEY = b"\x00position"

_encode = msgspec.json.Encoder().encode
_decode_memory = msgspec.json.Decoder(Memory).decode


@dataclass(frozen=True)
class NotifySettings:
    """What the notifier needs besides its channel. `max_age_ms`: older breaches are recorded and told to nobody."""

    max_age_ms: int


@dataclass
class Task:
    """One event of a batch, and what was decided about it."""

    event: BreachEvent
    key: bytes
    decision: Decision
    outcome: str = "skipped"


class NotifyPartition:
    """One owned partition of the breaches topic."""

    def __init__(
        self, app: BatchApp, partition: int, producer: PartitionProducer, channel: Channel, settings: NotifySettings
    ) -> None:
        """Take over a partition whose memory is restored. Raises StateError for memory of another version."""
        self._app = app
        self._partition = partition
        self._producer = producer
        self._channel = channel
        self._settings = settings
        self._read = app.store.reader(partition)
        stored = self._read(POSITION_KEY)
        self._next_offset = 0
        if stored is not None:
            found = msgspec.json.decode(stored)
            if not isinstance(found, list) or found[0] != MEMORY_FORMAT:
                raise StateError(
                    f"{app.settings.changelog}/{partition}: found a position {stored[:40]!r}, expected format "
                    f"{MEMORY_FORMAT}: it was written by another version of promisewatch"
                )
            self._next_offset = found[1]

    @property
    def next_offset(self) -> int:
        """The next offset to read."""
        return self._next_offset

    async def process(self, records: Sequence[Any], next_offset: int) -> None:
        """Decide about every event, deliver what is to be delivered, record all of it."""
        bad: list[Outgoing] = []
        changed: dict[bytes, Memory] = {}
        tasks: list[Task] = []
        for record in records:
            try:
                event = decode_event(record.value)
            except (msgspec.MsgspecError, TypeError) as error:
                log.warning("unreadable breach event", partition=record.partition, offset=record.offset)
                bad.append(dead_letter(record, "unreadable_event", str(error)))
                continue
            if isinstance(event, Outcome):
                continue
            task = self._decide(event, changed)
            if task.decision.reason is NotifyReason.ALREADY_HANDLED:
                # Its record stands; a second one would overwrite what became of the first.
                metrics.NOTIFICATIONS.labels(channel=self._channel.name, outcome="repeated").inc()
            else:
                tasks.append(task)
        outgoing = [task for task in tasks if task.decision.deliver]
        if outgoing and not self._channel.idempotent:
            # Without this record a crash after the delivery would deliver once more.
            await self._write(changed, [self._record(task, "intended") for task in outgoing], [], None)
        for task in outgoing:
            await self._deliver(task, changed)
        await self._write(changed, [self._record(task, task.outcome) for task in tasks], bad, next_offset)
        self._next_offset = next_offset
        for task in tasks:
            metrics.NOTIFICATIONS.labels(channel=self._channel.name, outcome=task.outcome).inc()

    def _decide(self, event: BreachEvent, changed: dict[bytes, Memory]) -> Task:
        data = event.data
        key = f"{data.key}\x1f{data.subject}\x1f{data.promise}\x1f{data.cycle}".encode()
        memory = changed.get(key) or self._memory(key)
        breached = parse_instant(data.breached_at or data.due, None)
        now, limit = self._app.clock.now_ms(), self._settings.max_age_ms
        if memory is not None and memory.events.get(event.id) == "intended" and key not in changed:
            task = Task(event, key, Decision(False, NotifyReason.INTERRUPTED), "unknown")
            if self._channel.idempotent:
                task = Task(event, key, Decision(True, NotifyReason.FIRST_BREACH), "intended")
            changed[key] = remember(memory, event.id, data.revision, task.outcome, told=True)
            return task
        decision = decide(event, memory, breached, now, limit)
        task = Task(event, key, decision, "intended" if decision.deliver else "skipped")
        if decision.reason is not NotifyReason.ALREADY_HANDLED:
            # After good news nobody believes any more that the promise is broken.
            told = decision.reason is not NotifyReason.RETRACTED if decision.deliver else None
            changed[key] = remember(memory, event.id, data.revision, task.outcome, told=told)
        return task

    def _memory(self, key: bytes) -> Memory | None:
        stored = self._read(key)
        return None if stored is None else _decode_memory(stored)

    async def _deliver(self, task: Task, changed: dict[bytes, Memory]) -> None:
        delivery = await self._channel.deliver(task.event, task.decision.reason)
        task.outcome = "sent" if delivery.error is None else "unknown"
        if delivery.error is not None:
            log.error("delivery failed", channel=self._channel.name, event_id=task.event.id, error=delivery.error)
        memory = changed[task.key]
        changed[task.key] = remember(memory, task.event.id, memory.revision, task.outcome, told=None)

    def _record(self, task: Task, outcome: str) -> Outgoing:
        data = task.event.data
        notification = Notification(
            event_id=task.event.id,
            promise=data.promise,
            subject=data.subject,
            revision=data.revision,
            channel=self._channel.name,
            outcome=outcome,  # type: ignore[arg-type]
            reason=task.decision.reason.value,
            at=format_instant(self._app.clock.now_ms()),
        )
        return Outgoing(record_key(notification), encode_notification(notification))

    async def _write(
        self, changed: dict[bytes, Memory], told: list[Outgoing], bad: list[Outgoing], next_offset: int | None
    ) -> None:
        changes = [Outgoing(key, _encode(memory)) for key, memory in changed.items()]
        if next_offset is not None:
            changes.append(Outgoing(POSITION_KEY, _encode([MEMORY_FORMAT, next_offset])))
        offset = await self._producer.write(
            {NOTIFICATIONS: told, dlq(BREACHES): bad}, self._app.settings.changelog, changes
        )
        if offset is not None:
            self._app.remember(self._partition, changes, offset)

    async def tick(self) -> None:
        """Time alone asks for nothing here."""

    async def close(self) -> None:
        """Let go of the partition."""
        await self._producer.stop()


def build_notifier(settings: StreamSettings, notify: NotifySettings, channel: Channel) -> BatchApp:
    """Wire the notify agent: one app, reading the breaches topic."""

    async def open_partition(app: BatchApp, partition: int, producer: PartitionProducer) -> NotifyPartition:
        handler = NotifyPartition(app, partition, producer, channel, notify)
        log.info("partition opened", partition=partition, next_offset=handler.next_offset)
        return handler

    return build_app(settings, open_partition)
