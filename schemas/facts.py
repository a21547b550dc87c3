"""Facts: what is known about one subject, as the decision sees it.

A fact is one event of one source, reduced to what the promise book names. Facts form a *set* keyed by
(source, id): arrival order does not matter and a duplicate changes nothing.
"""

from typing import Any, NamedTuple

import msgspec


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


class FactRef(msgspec.Struct, frozen=True, gc=False):
    """A fact as other teams see it in a published event: no payload, so no customer data travels."""

    type: str
    time: str
    source: str
    id: str
