"""The notify agent: breach events in, somebody told, and a record of it.

Its own consumer group and process: telling people is slow and fails in its own ways, and must never hold up detection.
What was told is remembered per cycle on a compacted changelog and published on the notifications topic, in the same
transaction as the position in the breaches topic and the dead letters of what could not be delivered.

Records are taken in windows of bounded size, a window in waves: the first event of every subject side by side, then
the second of each, and so on. So subjects do not wait for one another for long, a subject's events keep their order,
each decision knows how the one before it ended, and every wave is recorded before the next begins.
"""

import asyncio
import gc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import mode
import msgspec
import structlog
from structlog.contextvars import bound_contextvars

from agents.channels import BreachEvent, Channel, Message
from agents.decisions import MEMORY_FORMAT, Decision, Memory, NotifyReason, decide, forget, remember
from agents.delivery import Deliverer, Patience, Report, RetryPolicy
from schemas import metrics
from schemas.errors import StateError
from schemas.facts import CONTROL
from schemas.instants import format_instant, parse_instant
from schemas.notifications import Notification, encode_notification, record_key
from schemas.publications import AtRisk, Event, Outcome, decode_event
from schemas.topics import BREACHES, NOTIFICATIONS, dlq
from streams.app import BatchApp, StreamSettings, build_app
from streams.deadletters import dead_letter
from streams.emit import Outgoing, PartitionProducer

log = structlog.get_logger("promisewatch.notify")

POSITION_KEY = b"\x00position"
WINDOW_RECORDS = 256
"""Records decided about before the position moves past them: the most that is looked at again after a crash."""
POSITION_EVERY = 50_000
"""Offsets that may pass without anything to record before the position is stored all the same."""
UNREADABLE = "unreadable_event"
REVISION_BITS_MAX = 32
GC_THRESHOLDS = (5_000, 10, 5)
"""The detector's thresholds suit batches; with them a notifier would grow for hours before old garbage is looked at."""

_encode = msgspec.json.Encoder().encode
_decode_memory = msgspec.json.Decoder(Memory).decode
_decode_position = msgspec.json.Decoder(tuple[Literal[1], int]).decode  # MEMORY_FORMAT, offset


@dataclass(frozen=True)
class NotifySettings:
    """What the notifier needs besides its channel. `max_age_ms`: older breaches are recorded and told to nobody."""

    max_age_ms: int


class Item(NamedTuple):
    """A record of the window with the event it holds."""

    record: Any
    event: BreachEvent


@dataclass
class Task:
    """One event of a wave: what was remembered of its cycle, what was decided, and how the delivery ended."""

    item: Item
    key: bytes
    before: Memory | None
    decision: Decision
    outcome: str = "skipped"
    report: Report | None = None

    @property
    def error(self) -> str | None:
        """What the last attempt failed with, for a person."""
        if self.report is None or self.report.last.failure is None:
            return None
        return f"{self.report.last.failure}: {self.report.last.detail}"

    def settle(self, report: Report, *, idempotent: bool) -> None:
        """Take over how the delivery ended."""
        self.report, failure = report, report.last.failure
        if failure is None:
            self.outcome = "sent"
        else:
            # Where nobody recognises a repetition, nothing that may have arrived is offered for a redrive.
            self.outcome = "unknown" if failure.ambiguous and not idempotent else "failed"

    def intent(self) -> Memory:
        """Return what is to be remembered of the cycle while the delivery is under way."""
        event = self.item.event
        risk = isinstance(event, AtRisk)
        return remember(self.before, event.id, 0, "intended", told=None if risk else True, risk=risk)

    def memory(self) -> Memory:
        """Return what is to be remembered of the cycle from now on."""
        event, told = self.item.event, None
        risk = isinstance(event, AtRisk)
        if risk:
            pass  # nobody is told by it that a promise is broken
        elif self.decision.reason is NotifyReason.INTERRUPTED:
            told = True
        elif self.report is not None:
            failure, good_news = self.report.last.failure, self.decision.reason is NotifyReason.RETRACTED
            # After good news nobody believes any more that the promise is broken. Where it may or may not have
            # arrived, it is assumed that somebody does, so that good news will follow.
            if failure is None:
                told = not good_news
            elif failure.ambiguous and not good_news:
                told = True
        failed_at = self.item.record.offset if self.outcome == "failed" else None
        return remember(
            self.before, event.id, event.data.revision, self.outcome, told=told, failed_at=failed_at, risk=risk
        )


class NotifyPartition:
    """One owned partition of the breaches topic."""

    def __init__(
        self, app: BatchApp, partition: int, producer: PartitionProducer, deliverer: Deliverer, settings: NotifySettings
    ) -> None:
        """Take over a partition whose memory is restored. Raises StateError for memory of another version."""
        self._app = app
        self._partition = partition
        self._producer = producer
        self._deliverer = deliverer
        self._channel = deliverer.channel
        self._settings = settings
        self._patience = Patience(lambda seconds: app.health.patient(str(partition), seconds))
        self._read = app.store.reader(partition)
        stored = self._read(POSITION_KEY)
        self._next_offset = 0
        if stored is not None:
            try:
                self._next_offset = _decode_position(stored)[1]
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                raise StateError(
                    f"{app.settings.changelog}/{partition}: found a position {stored[:40]!r}, expected format "
                    f"{MEMORY_FORMAT}: it was written by another version of promisewatch, or by something else"
                ) from error
        self._stored_offset = self._next_offset

    @property
    def next_offset(self) -> int:
        """The next offset to read."""
        return self._next_offset

    async def process(self, records: Sequence[Any], next_offset: int) -> None:
        """Decide about every event, deliver what is to be delivered, record all of it.

        Returns early, with what is done recorded, when the partition is being taken away.
        """
        for start in range(0, len(records), WINDOW_RECORDS):
            window = records[start : start + WINDOW_RECORDS]
            last = start + WINDOW_RECORDS >= len(records)
            await self._window(window, next_offset if last else window[-1].offset + 1)
            if self._patience.ended:
                return
        if not records:
            await self._window((), next_offset)

    async def _window(self, records: Sequence[Any], end: int) -> None:
        """Handle records, then stand at `end`; or, when patience ends, before the first that is not handled."""
        waiting, bad = _read_events(records)
        while waiting or bad or end > self._next_offset:
            tasks, later = self._next_wave(waiting)
            await self._deliver(tasks)
            undone = [task.item for task in tasks if task.outcome == "intended"]
            waiting = sorted([*undone, *later], key=lambda item: int(item.record.offset))
            position = waiting[0].record.offset if waiting else end
            passed = [record for record in bad if record[0].offset < position]
            bad = bad[len(passed) :]
            await self._record(tasks, passed, position)
            if self._patience.ended:
                return

    def _next_wave(self, waiting: Sequence[Item]) -> tuple[list[Task], list[Item]]:
        """Return the first event of every subject, decided about, and the events that come later."""
        subjects: set[tuple[str, str]] = set()
        tasks: list[Task] = []
        later: list[Item] = []
        for item in waiting:
            subject = (item.event.data.key, item.event.data.subject)
            if subject in subjects:
                later.append(item)
                continue
            subjects.add(subject)
            tasks.append(self._decide(item))
        return tasks, later

    def _decide(self, item: Item) -> Task:
        event, data = item.event, item.event.data
        key = f"{data.key}\x1f{data.subject}\x1f{data.promise}\x1f{data.cycle}".encode()
        stored = self._read(key)
        memory = None if stored is None else self._memory(key, stored)
        if memory is not None and memory.events.get(event.id) == "intended":
            if not self._channel.idempotent:
                return Task(item, key, memory, Decision(False, NotifyReason.INTERRUPTED), "unknown")
            memory = forget(memory, event.id)
        breached = parse_instant(data.breached_at or data.due, None)
        now, limit = self._app.clock.now_ms(), self._settings.max_age_ms
        decision = decide(event, memory, breached, now, limit, offset=item.record.offset)
        return Task(item, key, memory, decision, "intended" if decision.deliver else "skipped")

    def _memory(self, key: bytes, stored: bytes) -> Memory:
        found: object = f"{stored[:20]!r}"
        try:
            memory = _decode_memory(stored)
            found = memory.format
            if found == MEMORY_FORMAT:
                return memory
        except (msgspec.MsgspecError, ValueError, RecursionError):
            pass
        whose = key.decode().replace("\x1f", " ")
        raise StateError(
            f"{self._app.settings.changelog}/{self._partition}: found a memory of format {found} for {whose!r}, "
            f"expected format {MEMORY_FORMAT}: it was written by another version of promisewatch, or by something else"
        )

    async def _deliver(self, tasks: Sequence[Task]) -> None:
        """Deliver the wave. What patience did not suffice for stays intended."""
        outgoing = [task for task in tasks if task.decision.deliver]
        if not outgoing:
            return
        if not self._channel.idempotent:
            # Without this record a crash after the delivery would deliver once more.
            intents = [Outgoing(task.key, _encode(task.intent())) for task in outgoing]
            await self._write([self._notification(task) for task in outgoing], [], [], intents)
        await asyncio.gather(*(self._deliver_one(task) for task in outgoing))

    async def _deliver_one(self, task: Task) -> None:
        item = task.item
        message = Message(item.event, item.record.value, task.decision.reason)
        data = item.event.data
        with bound_contextvars(event_id=item.event.id, promise=data.promise, subject=data.subject):
            report = await self._deliverer.deliver(message, self._patience)
            if report is None:
                return
            task.settle(report, idempotent=self._channel.idempotent)
            if report.last.failure is not None:
                log.error(
                    "delivery failed",
                    channel=self._channel.name,
                    attempts=report.attempts,
                    reason=report.last.failure.value,
                    error=report.last.detail,
                )

    async def _record(self, tasks: Sequence[Task], bad: Sequence[tuple[Any, str]], position: int) -> None:
        """Record how the wave went and where the partition stands, in one transaction."""
        told: list[Outgoing] = []
        undelivered: list[Outgoing] = []
        changes: list[Outgoing] = []
        finished: list[Task] = []
        for task in tasks:
            if task.outcome == "intended":
                if not self._channel.idempotent:  # it was not begun after all: take the intent back
                    changes.append(Outgoing(task.key, None if task.before is None else _encode(task.before)))
                continue
            finished.append(task)
            if task.decision.reason is NotifyReason.ALREADY_HANDLED:
                continue  # its record stands; a second one would overwrite what became of the first
            changes.append(Outgoing(task.key, _encode(task.memory())))
            told.append(self._notification(task))
            if task.outcome == "failed" and task.report is not None and task.report.last.failure is not None:
                why = f"{task.report.last.detail} (attempts: {task.report.attempts})"
                undelivered.append(dead_letter(task.item.record, task.report.last.failure.value, why))
        unreadable = [dead_letter(record, UNREADABLE, why) for record, why in bad]
        if changes or unreadable or position - self._stored_offset >= POSITION_EVERY:
            changes.append(Outgoing(POSITION_KEY, _encode([MEMORY_FORMAT, position])))
            await self._write(told, undelivered, unreadable, changes)
            self._stored_offset = position
        self._next_offset = position
        self._measure(finished, len(bad))

    def _measure(self, finished: Sequence[Task], unreadable: int) -> None:
        for task in finished:
            repeated = task.decision.reason is NotifyReason.ALREADY_HANDLED
            outcome = "repeated" if repeated else task.outcome
            metrics.NOTIFICATIONS.labels(channel=self._channel.name, outcome=outcome).inc()
            if task.outcome == "failed" and task.report is not None and task.report.last.failure is not None:
                reason = task.report.last.failure.value
                metrics.DEAD_LETTERS.labels(topic=NOTIFICATIONS, reason=reason).inc()
        if unreadable:
            metrics.DEAD_LETTERS.labels(topic=BREACHES, reason=UNREADABLE).inc(unreadable)

    def _notification(self, task: Task) -> Outgoing:
        event = task.item.event
        notification = Notification(
            event_id=event.id,
            promise=event.data.promise,
            subject=event.data.subject,
            revision=event.data.revision,
            channel=self._channel.name,
            outcome=task.outcome,  # type: ignore[arg-type]
            reason=task.decision.reason.value,
            at=format_instant(self._app.clock.now_ms()),
            attempts=0 if task.report is None else task.report.attempts,
            error=task.error,
        )
        return Outgoing(record_key(notification), encode_notification(notification))

    async def _write(
        self,
        told: list[Outgoing],
        undelivered: list[Outgoing],
        unreadable: list[Outgoing],
        changes: list[Outgoing],
    ) -> None:
        offset = await self._producer.write(
            {NOTIFICATIONS: told, dlq(NOTIFICATIONS): undelivered, dlq(BREACHES): unreadable},
            self._app.settings.changelog,
            changes,
        )
        if offset is not None:
            self._app.remember(self._partition, changes, offset)

    async def tick(self) -> None:
        """Time alone asks for nothing here."""

    def hurry(self) -> None:
        """Stop waiting between attempts: those under way end, everything else is left to the next owner."""
        self._patience.end()

    async def close(self) -> None:
        """Let go of the partition."""
        await self._producer.stop()


def _read_events(records: Sequence[Any]) -> tuple[list[Item], list[tuple[Any, str]]]:
    """Return the events of a window in offset order, and the records that are none, with why."""
    items: list[Item] = []
    bad: list[tuple[Any, str]] = []
    for record in records:
        try:
            event = decode_event(record.value)
            _check(event)
        except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
            log.warning("unreadable breach event", partition=record.partition, offset=record.offset)
            bad.append((record, str(error)))
            continue
        if not isinstance(event, Outcome):
            items.append(Item(record, event))
    return items, bad


def _check(event: Event) -> None:
    """Raise ValueError for what has the form of our events and is none: no detector writes such names and instants."""
    data = event.data
    for name in (event.id, data.promise, data.key, data.subject, data.cycle):
        if CONTROL.search(name):
            raise ValueError(f"found {name[:40]!r}, expected a name without control characters")
    if data.revision.bit_length() > REVISION_BITS_MAX:
        raise ValueError(f"found a revision of {data.revision.bit_length()} bits, expected a count of publications")
    parse_instant(data.breached_at or data.due, None)


class ChannelService(mode.Service):
    """Sees to the process's garbage, and closes the channel after everything that uses it."""

    mundane_level = "debug"

    def __init__(self, channel: Channel, **kwargs: Any) -> None:
        """Hold the channel."""
        super().__init__(**kwargs)
        self._channel = channel

    async def on_first_start(self) -> None:
        """Collect garbage often enough: every attempt leaves cycles (stamina's, aiohttp's), some 2 KB each."""
        gc.set_threshold(*GC_THRESHOLDS)

    async def on_stop(self) -> None:
        """Let go of its connections."""
        await self._channel.close()


def build_notifier(
    settings: StreamSettings, notify: NotifySettings, channel: Channel, policy: RetryPolicy | None = None
) -> BatchApp:
    """Wire the notify agent: one app, reading the breaches topic."""
    deliverer = Deliverer(channel, policy)

    async def open_partition(app: BatchApp, partition: int, producer: PartitionProducer) -> NotifyPartition:
        handler = NotifyPartition(app, partition, producer, deliverer, notify)
        log.info("partition opened", partition=partition, next_offset=handler.next_offset)
        return handler

    app = build_app(settings, open_partition)
    app.services.insert(0, ChannelService(channel))
    return app
