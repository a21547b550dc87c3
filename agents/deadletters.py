"""Dead letters on their way: what an owned partition has read and could not use, until it is written."""

from collections import Counter
from typing import Any

import structlog

from schemas import metrics
from schemas.errors import EventError
from streams.deadletters import dead_letter
from streams.emit import Outgoing
from streams.logs import trace_id

SLICE_BAD_BYTES = 16 << 20
"""One write holds at most about this much of dead letters: there may be thousands of them, of megabytes each."""


class DeadLetters:
    """The dead letters of one partition since the last write."""

    def __init__(self, log_name: str) -> None:
        """Each letter is told of in the log of this name."""
        self._log = structlog.get_logger(log_name)
        self._reasons: Counter[str] = Counter()
        self._bytes = 0
        self.records: list[Outgoing] = []
        """What is to be written, in the order it was read."""

    def __len__(self) -> int:
        """How many wait to be written."""
        return len(self.records)

    @property
    def are_full(self) -> bool:
        """Whether they should be written before more is read."""
        return self._bytes >= SLICE_BAD_BYTES

    def add(self, record: Any, error: EventError) -> None:
        """Take a record that cannot be used, as it came, with the reason why."""
        self.records.append(dead_letter(record, error.reason, error.message))
        self._bytes += len(record.value or b"")
        self._reasons[error.reason] += 1
        self._log.warning(
            "event sent to dead letters",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=error.reason,
            trace_id=trace_id(record.headers),
        )

    def written(self, topic: str) -> None:
        """Count them as letters of the `topic` they were read from, and begin anew: they are on the broker now."""
        for reason, count in self._reasons.items():
            metrics.DEAD_LETTERS.labels(topic=topic, reason=reason).inc(count)
        self.records = []
        self._bytes = 0
        self._reasons.clear()
