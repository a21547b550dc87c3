"""Facts as they stand on the facts topic: what ingest sends and what is judged.

The key of such a record is its subject as records are stored (`promises.detector.subject_key`), so that Kafka's own
partitioner puts everything about a subject into one partition; the value is the fact. A fact sent twice changes
nothing: facts are a set.
"""

from typing import Final

import msgspec

from schemas.errors import EventError
from schemas.facts import Fact

FACT_FORMAT: Final = 1
"""First element of every fact record. Anything else is refused, never guessed at."""

BAD_FACT: Final = "bad_fact"

_SHOWN_BYTES = 40


class FactRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The value of a fact record, `[1, [source, id, type, time, data, withdraws]]` in JSON."""

    format: int
    fact: Fact


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(FactRecord).decode


def encode_fact(fact: Fact) -> bytes:
    """The value of a fact's record."""
    return _encode(FactRecord(FACT_FORMAT, fact))


def decode_fact(value: bytes) -> Fact:
    """The fact of a record. Raises EventError (`bad_fact`) if it is none of this format."""
    try:
        record = _decode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        found = repr(value[:_SHOWN_BYTES].decode(errors="replace"))
        raise EventError(BAD_FACT, f"found {found}, expected a fact record of format {FACT_FORMAT}: {error}") from None
    if record.format != FACT_FORMAT:
        raise EventError(BAD_FACT, f"found a fact record of format {record.format}, expected format {FACT_FORMAT}")
    return record.fact
