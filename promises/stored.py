"""Records as they are stored: written, read and checked. What is not of our format is refused, never guessed at.

`where` begins each error, such as "partition 3, "; `stored_as` is the key of a subject.
"""

import msgspec

from promises.detector import SEPARATOR
from schemas.errors import StateError
from schemas.facts import Fact
from schemas.records import RECORD_FORMAT, Record, RecordHead

encode_record = msgspec.json.Encoder().encode
"""The stored form of a record."""

_decode = msgspec.json.Decoder(Record).decode
_decode_head = msgspec.json.Decoder(RecordHead).decode
_decode_facts = msgspec.json.Decoder(list[Fact]).decode


def read_record(where: str, stored_as: bytes, value: bytes) -> Record:
    """A whole record. Raises StateError for one of another format."""
    try:
        record = _decode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise unreadable(where, stored_as, value) from None
    if record.format != RECORD_FORMAT:
        raise unreadable(where, stored_as, value)
    return record


def read_head(where: str, stored_as: bytes, value: bytes) -> RecordHead:
    """A record whose facts are not looked at yet. Raises StateError for one of another format."""
    try:
        head = _decode_head(value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise unreadable(where, stored_as, value) from None
    if head.format != RECORD_FORMAT:
        raise unreadable(where, stored_as, value)
    return head


def with_facts(head: RecordHead) -> Record:
    """The whole record, now that its facts are needed too."""
    return Record(head.format, _decode_facts(head.facts), head.cycles)


def unreadable(where: str, stored_as: bytes, value: bytes) -> StateError:
    """What is wrong with a record that is not of our format."""
    try:
        found = msgspec.json.decode(value)[0]
    except (msgspec.MsgspecError, ValueError, TypeError, LookupError, RecursionError):
        found = f"{value[:20]!r}"
    whose = stored_as.replace(SEPARATOR, b" ").decode(errors="backslashreplace")
    return foreign(where, f"the record of {whose!r}", found)


def foreign(where: str, what: str, found: object) -> StateError:
    """`what` is stored in the format `found`, which is not ours."""
    return StateError(
        f"{where}{what}: found state of format {found}, expected format {RECORD_FORMAT}; "
        "it was written by another version of promisewatch, or by something else"
    )
