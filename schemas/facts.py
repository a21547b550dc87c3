"""Facts: what is known about one subject, as the decision sees it.

A fact is one event of one source, reduced to what the promise book names. Facts form a *set* keyed by
(source, id): arrival order does not matter and a duplicate changes nothing.
"""

import re
from typing import Any, NamedTuple

import msgspec

TEXT_MAX = 500
"""Characters of an id, of a key's value and of a text that is kept of a payload. What names something is shorter."""

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
"""What no id and no subject contains: U+001F separates the parts of stored keys and of what ids are made of,
CloudEvents allows none in a subject, and a terminal, a log or an HTTP header would obey them."""

WHOLE_BYTES_MAX = 4_096
"""Bytes of JSON of a list or object that a condition looks into; a larger one counts as missing."""
INTEGER_BITS_MAX = 1_024
"""Bits of a whole number that is kept of a payload: the range of a double."""

FACTS_MAX = 1_000
"""Facts kept of one subject. More is no order but a key such as "unknown", whose one record would grow without end."""


class Subject(NamedTuple):
    """Whom a promise is made about: the name of the key field and its value, e.g. ("order_id", "A-17")."""

    key: str
    value: str


class Fact(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One event of one source.

    `time` is UTC milliseconds since the epoch (finer input is truncated). `data` holds only the payload
    fields that the book names, by their dotted path. `withdraws` is the id of another fact of its source that this one
    takes back.
    """

    source: str
    id: str
    type: str
    time: int
    data: dict[str, Any]
    withdraws: str | None = None

    @property
    def member(self) -> tuple[str, str]:
        """The identity under which the set of facts holds this fact."""
        return (self.source, self.id)


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """One event: its subject and fact, or both None and `unknown` if no promise names its type."""

    subject: Subject | None
    fact: Fact | None
    unknown: bool


class FactRef(msgspec.Struct, frozen=True, gc=False):
    """A fact as other teams see it in a published event: no payload, so no customer data travels."""

    type: str
    time: str
    source: str
    id: str
