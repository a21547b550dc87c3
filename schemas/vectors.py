"""Vector markers: how ingest tells a facts partition how far each source partition is complete.

A marker has no key, an empty value and one header. It stands behind every fact it vouches for, and stays true whoever
sent it: later markers only say more.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from schemas.errors import EventError, StateError

VECTOR_HEADER: Final = "promisewatch-vector"
VECTOR_FORMAT: Final = 1
"""Of markers and of the stored form of what they said. Anything else is refused, never guessed at."""

VECTOR_KEY: Final = b"\x00vector"
"""Where what the markers said is stored, beside the checkpoints."""

BAD_MARKER: Final = "bad_marker"

KNOWN_FOR_EVER: Final = -(1 << 62)
"""`known_since` of a log that was read from its offset 0."""
KNOWN_NEVER: Final = 1 << 62
"""`known_since` while it cannot be told yet."""


class SourceMark(msgspec.Struct, array_like=True, frozen=True):
    """How far one partition of a source is complete. Instants are UTC milliseconds.

    `frontier`: every fact dated before it is on the facts topic; None: that is not known yet. `floor`: the clock of the
    newest mark, before which no due learnt now is published; None where the source's own markers say how far it is
    complete. `known_since`: no fact dated from it on was lost before the log was first read. `gap`: facts dated from
    the first to before the second instant may have expired unread; it is told once its end is known, and no later than
    a frontier that lies behind it.
    """

    frontier: int | None
    floor: int | None
    known_since: int
    gap: tuple[int, int] | None = None


class Hold(msgspec.Struct, array_like=True, frozen=True):
    """Why the frontier of a source partition is held back on purpose, and since when (UTC ms)."""

    reason: str
    since: int


class VectorMarker(msgspec.Struct, frozen=True):
    """What one ingest process knows. Source partitions are named `source/partition`.

    `book` is the digest of the book by which facts were mapped, `counts` the partitions of each source as asked with
    this mark: one that is counted but named by nobody holds.
    """

    format: int
    book: str
    sender: str
    counts: dict[str, int]
    marks: dict[str, SourceMark]
    holds: dict[str, Hold] = {}


class KnownMark(msgspec.Struct, array_like=True, frozen=True):
    """The newest that any marker said about a source partition; as `SourceMark`, with every gap."""

    frontier: int | None
    floor: int | None
    known_since: int | None
    gaps: tuple[tuple[int, int], ...] = ()


class StoredVector(msgspec.Struct, array_like=True, frozen=True):
    """What the markers of a book said so far, as a facts partition keeps it."""

    format: int
    book: str
    counts: dict[str, int]
    marks: dict[str, KnownMark]
    holds: dict[str, Hold]


_encode = msgspec.json.Encoder().encode
_decode_marker = msgspec.json.Decoder(VectorMarker).decode
_decode_stored = msgspec.json.Decoder(StoredVector).decode


def source_partition(source: str, partition: int) -> str:
    """The name of a source partition in markers."""
    return f"{source}/{partition}"


def split_source_partition(name: str) -> tuple[str, int]:
    """The source and partition of a name. Raises EventError (`bad_marker`) if it is none."""
    source, slash, partition = name.rpartition("/")
    if not (source and slash and partition.isascii() and partition.isdigit()):
        raise EventError(BAD_MARKER, f"found the name {name!r}, expected source/partition")
    return source, int(partition)


def encode_vector(marker: VectorMarker) -> list[tuple[str, bytes]]:
    """The headers of a marker's record; its value is empty."""
    return [(VECTOR_HEADER, _encode(marker))]


def read_vector(value: bytes | None, headers: Iterable[tuple[str, bytes | None]]) -> VectorMarker | None:
    """The marker if this record is one, None if it is something else.

    Raises EventError (`bad_marker`) if the header is there but cannot be read, or comes with a value.
    """
    found = [content for name, content in headers if name == VECTOR_HEADER]
    if not found:
        return None
    if value:
        message = f"a record with header {VECTOR_HEADER} has a value of {len(value)} bytes; expected none"
        raise EventError(BAD_MARKER, message)
    try:
        marker = _decode_marker(found[-1] or b"")
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise EventError(BAD_MARKER, f"header {VECTOR_HEADER}: {error}") from None
    if marker.format != VECTOR_FORMAT:
        message = f"header {VECTOR_HEADER}: found format {marker.format}, expected format {VECTOR_FORMAT}"
        raise EventError(BAD_MARKER, message)
    for name in (*marker.marks, *marker.holds):
        split_source_partition(name)
    return marker


def encode_stored_vector(vector: StoredVector) -> bytes:
    """What is stored of the markers of a partition."""
    return _encode(vector)


def decode_stored_vector(stored: bytes, where: str) -> StoredVector:
    """Read what was stored of the markers. Raises StateError, naming `where`, for another format."""
    try:
        vector = _decode_stored(stored)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise _foreign(where, repr(stored[:20])) from None
    if vector.format != VECTOR_FORMAT:
        raise _foreign(where, vector.format)
    return vector


def _foreign(where: str, found: object) -> StateError:
    return StateError(
        f"{where}: found a vector of format {found}, expected format {VECTOR_FORMAT}: written by another version of "
        "promisewatch, or by something else"
    )
