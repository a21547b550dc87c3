"""What the notifier records about each breach event: that it was told, to which channel, or why not.

Records live on the compacted notifications topic under `record_key`; the newest per event and channel is in force.
"""

from typing import Literal

import msgspec

NOTIFICATION_FORMAT = 1
"""First member of every record. Anything else is refused, never guessed at."""


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """One decision or delivery. `reason` is the decision's name, `at` RFC 3339.

    Outcome intended: about to be sent. unknown: the process ended between intent and delivery, so nobody can say.
    failed: given up after `attempts` attempts, the last of which ended with `error`; the event is in the dead letters.
    """

    format: int = NOTIFICATION_FORMAT
    event_id: str
    promise: str
    subject: str
    revision: int
    channel: str
    outcome: Literal["intended", "sent", "skipped", "unknown", "failed"]
    reason: str
    at: str
    attempts: int = 0
    error: str | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Notification).decode


def record_key(notification: Notification) -> bytes:
    """The Kafka key of a record: one per event and channel."""
    return f"{notification.event_id}\x1f{notification.channel}".encode()


def encode_notification(notification: Notification) -> bytes:
    """The Kafka value of a record."""
    return _encode(notification)


def decode_notification(value: bytes) -> Notification:
    """Read a record. Raises msgspec.ValidationError or msgspec.DecodeError if it is not one of this format."""
    notification = _decode(value)
    if notification.format != NOTIFICATION_FORMAT:
        raise msgspec.ValidationError(
            f"found notification format {notification.format}, expected {NOTIFICATION_FORMAT}"
        )
    return notification
