"""How far a source partition was worked off: what is kept as metadata with the ingest group's offset.

Everything below the offset is on the facts topic. The metadata says by which book, and what has to be known of the log
besides. Kafka takes some kilobytes of it; this is well below one.
"""

import msgspec

from schemas.errors import StateError

POSITION_FORMAT = 1
"""Anything else is refused, never guessed at."""


class SourcePosition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of one source partition at its offset. All instants are UTC milliseconds.

    `book` is the hash of the book that mapped its events, `at` when the process was started that began to use it.
    `topic` and `facts` are the ids of the source topic and of the facts topic (None: the broker tells none),
    `partitions` how many partitions the latter has.

    Every fact dated before `frontier` is on the facts topic. `marker` is the newest instant before which the source
    itself has said to be complete; the frontier follows it unless there is doubt. All facts dated from `known_since` on
    are known, or will be; None: the first fact that can be read tells it, and has not come yet. `gap` is a span in
    which facts may have expired unread, `gap_from` the beginning of one whose end that first fact tells as well.
    `doubt` is what is remembered of doubt about the source.
    """

    format: int
    book: str
    at: int
    topic: str | None = None
    facts: str | None = None
    partitions: int = 0
    frontier: int | None = None
    marker: int | None = None
    known_since: int | None = None
    gap: tuple[int, int] | None = None
    gap_from: int | None = None
    doubt: str = ""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(SourcePosition).decode


def encode_position(position: SourcePosition) -> str:
    """The metadata of an offset."""
    return _encode(position).decode()


def decode_position(metadata: str, where: str) -> SourcePosition | None:
    """Read an offset's metadata; None if there is none: an operator has set the offset.

    Raises StateError, naming `where`, for what this version of promisewatch has not written.
    """
    if not metadata:
        return None
    try:
        position = _decode(metadata)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        position = None
    if position is None or position.format != POSITION_FORMAT:
        raise StateError(
            f"{where}: found an offset with the metadata {metadata[:60]!r}, expected format {POSITION_FORMAT}: "
            "committed by another version of promisewatch, or by another program in this consumer group"
        )
    return position
