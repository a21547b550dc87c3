"""Dead letters: the original bytes of an event that could not be used, and why."""

from typing import Any

from streams.emit import Outgoing

MESSAGE_MAX = 1_000
"""Characters of the message in a dead letter's header: whoever reads it has the event itself."""


def dead_letter(record: Any, reason: str, message: str) -> Outgoing:
    """Wrap a consumed record for its dead letter topic: key, value and headers as they came, plus where and why."""
    return Outgoing(
        record.key,
        record.value,
        (
            *record.headers,
            ("dlq-original-topic", record.topic.encode()),
            ("dlq-original-partition", str(record.partition).encode()),
            ("dlq-original-offset", str(record.offset).encode()),
            ("dlq-original-timestamp", str(record.timestamp).encode()),
            ("dlq-exception-class", reason.encode()),
            ("dlq-exception-message", message[:MESSAGE_MAX].encode(errors="backslashreplace")),
        ),
    )
