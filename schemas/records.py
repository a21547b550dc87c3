"""What is stored per subject, on the changelog topic and in the partition store. Versioned: see `RECORD_FORMAT`."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from schemas.errors import StateError
from schemas.facts import Fact
from schemas.publications import Status

RECORD_FORMAT = 1
"""First element of every stored record and checkpoint. Anything else is refused, never guessed at."""

TEXTS_KEY: Final = b"\x00texts"
"""Where the texts of promise versions are kept, beside the records and the checkpoint."""

_Stored = TypeVar("_Stored")


class General(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a cycle of the whole language stores besides (`promises/general.py`). All instants are UTC milliseconds.

    `resolve_at` is the instant whose passing `fire` waits for. `floor` is the one before which no warning about the due
    in force is published. `next_at` is when a timer has to look at the cycle. `fulfilled_at` and `breached_at` are
    those last published, `paused_ms` is for how long the promise has been paused.
    """

    resolve_at: int
    floor: int
    next_at: int
    fulfilled_at: int | None
    breached_at: int | None
    paused_ms: int


class Cycle(msgspec.Struct, array_like=True, gc=False):
    """One run of one promise on one subject, named by the fact that opened it.

    `version` is the pin of the text under which it runs (`schemas/editions.py`): the number of the version, unless the
    text of that has changed in place. All instants are UTC milliseconds. `due` is the deadline in force, `base_due` the
    one computed at opening (it never changes when a calendar does). `fire` is when the breach may be published:
    max(due, floor). `expires` is when the cycle leaves the store. `status`, `revision` and `counts` say what had been
    published when the record was last written; what timers published since then follows from the checkpoint
    (`promises/cycles.py`). With `general` they say what has been published, timers included: such cycles are written
    whenever a timer has to do with them.
    """

    promise: str
    version: int
    source: str
    opening: str
    opened_at: int
    base_due: int
    due: int
    fire: int
    expires: int
    status: Status = "open"
    revision: int = 0
    counts: dict[str, int] = {}
    general: General | None = None


class Record(msgspec.Struct, array_like=True, gc=False):
    """Everything kept about one subject: its facts and its cycles, newest format first."""

    format: int
    facts: list[Fact]
    cycles: list[Cycle]


class RecordHead(msgspec.Struct, array_like=True, gc=False):
    """A record whose facts are not looked at: all that most timers need."""

    format: int
    facts: msgspec.Raw
    cycles: list[Cycle]


class Checkpoint(msgspec.Struct, frozen=True, array_like=True):
    """How far one facts partition is complete, one per (partition, set of sources).

    Everything with (fire, subject) <= (`fire`, `subject`) has been published. `next_offset` is the next input offset
    to read. `known_since` is the instant before which nothing opens; `live_since` the one before which what is
    published counts as replay; `floor` the one before which no due learnt from here on is published. `vector` is the
    frontier per source partition ("source/partition" -> UTC ms) and `book` the hash of the book that mapped the facts.
    `gaps` are the spans (since, until) within which facts may have expired unread.
    """

    format: int
    sources: tuple[str, ...]
    fire: int
    subject: bytes
    next_offset: int
    known_since: int
    live_since: int
    vector: dict[str, int]
    book: str
    floor: int = -(1 << 62)
    gaps: tuple[tuple[int, int], ...] = ()


class StoredText(msgspec.Struct, frozen=True, array_like=True):
    """The text of one version of one promise, as a book spells it, with every default that it took written out.

    `edition` counts how often the text of that version had changed in place before. `in_book`: it is the text of the
    book named with it, and what it looks at has been kept of all facts dated after `since` (UTC ms). `calendars` are
    those it uses, by name, each as its place in the list of all.
    """

    promise: str
    version: int
    edition: int
    in_book: bool
    since: int
    spelling: dict[str, Any]
    calendars: dict[str, int]


class Texts(msgspec.Struct, frozen=True, array_like=True):
    """The texts under which cycles of one partition run or may be opened; `book` is the hash of the last book."""

    format: int
    book: str
    texts: list[StoredText]
    calendars: list[dict[str, Any]]


_encode = msgspec.json.Encoder().encode
_decode_texts = msgspec.json.Decoder(Texts).decode
_decode_checkpoint = msgspec.json.Decoder(Checkpoint).decode


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """Return the stored form of a checkpoint."""
    return _encode(checkpoint)


def decode_checkpoint(stored: bytes, where: str) -> Checkpoint:
    """Read a stored checkpoint. Raises StateError, naming `where`, for one of another format."""
    return _decoded(_decode_checkpoint, stored, f"{where}: found a checkpoint")


def encode_texts(texts: Texts) -> bytes:
    """Return the stored form of the texts of a partition."""
    return _encode(texts)


def decode_texts(stored: bytes, where: str) -> Texts:
    """Read the stored texts of a partition. Raises StateError, naming `where`, for those of another format."""
    return _decoded(_decode_texts, stored, f"{where}: found texts of promises")


def _decoded(decode: Callable[[bytes], _Stored], stored: bytes, what: str) -> _Stored:
    try:
        found = msgspec.json.decode(stored)[0]
        if found == RECORD_FORMAT:
            return decode(stored)
    except (msgspec.MsgspecError, LookupError, TypeError, ValueError, RecursionError):
        found = repr(stored[:20])
    raise StateError(
        f"{what} of format {found}, expected format {RECORD_FORMAT}: written by another version of promisewatch, or by "
        "something else"
    )
