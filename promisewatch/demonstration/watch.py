"""Reads what the pipeline publishes, as any other team would: from the topics, committed records only."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas import topics
from streams.stopping import stop_consumer

BREACHED = "promise.breached.v1"
FULFILLED_LATE = "promise.fulfilled_late.v1"
RETRACTED = "promise.retracted.v1"


@dataclass(frozen=True)
class Breach:
    """One record of the breaches topic; instants are UTC milliseconds."""

    id: str
    type: str
    promise: str
    subject: str
    cycle: str
    revision: int
    due: int
    detected_at: int
    explain: str


@dataclass(frozen=True)
class Outcome:
    """One record of the outcomes topic; instants are UTC milliseconds, None where there is none."""

    id: str
    promise: str
    subject: str
    cycle: str
    revision: int
    status: str
    due: int
    fulfilled_at: int | None


@dataclass
class Seen:
    """Everything read so far."""

    breaches: list[Breach] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    notified: Counter[str] = field(default_factory=Counter)
    dead_letters: Counter[tuple[str, int, int]] = field(default_factory=Counter)

    @property
    def records(self) -> int:
        """How many there were."""
        return len(self.breaches) + len(self.outcomes) + self.notified.total() + self.dead_letters.total()

    def last_breaches(self) -> dict[tuple[str, str], Breach]:
        """The newest word on each (promise, subject) of which a breach was published."""
        last: dict[tuple[str, str], Breach] = {}
        for breach in sorted(self.breaches, key=lambda b: b.revision):
            last[breach.promise, breach.subject] = breach
        return last

    def last_outcomes(self) -> dict[tuple[str, str], list[Outcome]]:
        """The newest outcome of each cycle, per (promise, subject), but of those taken back (void, or open again)."""
        cycles: dict[tuple[str, str, str], Outcome] = {}
        for outcome in self.outcomes:
            name = (outcome.promise, outcome.subject, outcome.cycle)
            held = cycles.get(name)
            if held is None or outcome.revision >= held.revision:
                cycles[name] = outcome
        last: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
        for outcome in cycles.values():
            if outcome.status not in ("void", "open"):
                last[outcome.promise, outcome.subject].append(outcome)
        return dict(last)


class Watch:
    """Consumes the output topics from their beginning until it is cancelled. `on_breach` is told of every breach."""

    def __init__(
        self, bootstrap_server: str, *source_topics: str, committed: bool, on_breach: Callable[[Breach], None]
    ) -> None:
        self.seen = Seen()
        self._on_breach = on_breach
        self._dlqs = [topics.dlq(topic) for topic in source_topics]
        self._consumer = AIOKafkaConsumer(
            topics.BREACHES,
            topics.OUTCOMES,
            topics.NOTIFICATIONS,
            *self._dlqs,
            bootstrap_servers=bootstrap_server,
            auto_offset_reset="earliest",
            isolation_level="read_committed" if committed else "read_uncommitted",
            fetch_max_wait_ms=50,
        )

    async def run(self) -> None:
        await self._consumer.start()
        try:
            while True:
                for tp, records in (await self._consumer.getmany(timeout_ms=100)).items():
                    for record in records:
                        self._take(tp, record)
        finally:
            await stop_consumer(self._consumer)

    def _take(self, tp: TopicPartition, record: Any) -> None:
        if tp.topic in self._dlqs:
            headers = {name: content.decode(errors="replace") for name, content in record.headers}
            place = (int(headers["dlq-original-partition"]), int(headers["dlq-original-offset"]))
            origin = (headers["dlq-original-topic"], *place)
            self.seen.dead_letters[origin] += 1
        elif record.value is None:
            return  # a tombstone of a compacted topic
        elif tp.topic == topics.NOTIFICATIONS:
            notification = json.loads(record.value)
            if notification["outcome"] == "sent":
                self.seen.notified[notification["event_id"]] += 1
        elif tp.topic == topics.OUTCOMES:
            self.seen.outcomes.append(read_outcome(record.value))
        else:
            breach = read_breach(record.value)
            self.seen.breaches.append(breach)
            self._on_breach(breach)


def read_breach(value: bytes) -> Breach:
    event = json.loads(value)
    data = event["data"]
    return Breach(
        id=event["id"],
        type=event["type"],
        promise=data["promise"],
        subject=data["subject"],
        cycle=data["cycle"],
        revision=data["revision"],
        due=to_ms(data["due"]),
        detected_at=to_ms(data["detected_at"]),
        explain=data["explain"],
    )


def read_outcome(value: bytes) -> Outcome:
    event = json.loads(value)
    data = event["data"]
    fulfilled_at = data.get("fulfilled_at")
    return Outcome(
        id=event["id"],
        promise=data["promise"],
        subject=data["subject"],
        cycle=data["cycle"],
        revision=data["revision"],
        status=data["status"],
        due=to_ms(data["due"]),
        fulfilled_at=None if fulfilled_at is None else to_ms(fulfilled_at),
    )


def to_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
