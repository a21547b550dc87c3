"""Facts put aside: those that a group of promises cannot judge yet, since it is not known since when its sources are.

Judged too early, an opening would count whose fulfilment may have expired unread; refused, it would be lost. Facts are
a set, so judging them later changes nothing but when.
"""

from collections.abc import Callable, Iterable

import msgspec

from promises.simple import content
from schemas.errors import EventError, StateError
from schemas.facts import FACTS_MAX, Fact

ASIDE_FORMAT = 1
"""First element of what is stored. Anything else is refused, never guessed at."""

Waiting = tuple[int, Fact]
"""A fact, and the instant (UTC ms) before which no due that it sets is published: the floor when it came."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[int, list[tuple[int, Fact]]]).decode


class Aside:
    """The facts that one group of promises has put aside, by subject as stored."""

    def __init__(self, read: Callable[[bytes], bytes | None], prefix: bytes) -> None:
        """`read` gets what is stored; the keys begin with `prefix`."""
        self._read = read
        self._prefix = prefix
        self._subjects: set[bytes] = set()
        self._waiting: list[bytes] = []
        self._changed: dict[bytes, list[Waiting]] = {}

    def __contains__(self, stored_as: object) -> bool:
        return stored_as in self._subjects

    def __len__(self) -> int:
        return len(self._subjects)

    @property
    def pending(self) -> int:
        """How many subjects `take` would hand out."""
        return len(self._changed)

    def rebuild(self, keys: Iterable[bytes]) -> None:
        """Find again of whom facts are put aside, by the keys of what is stored."""
        begin = len(self._prefix)
        self._subjects = {key[begin:] for key in keys if key.startswith(self._prefix)}

    def check_room(self, stored_as: bytes) -> None:
        """Raise EventError (`too_many_facts`) if no more facts about a subject may be put aside."""
        if len(self._facts(stored_as)) >= FACTS_MAX:
            raise EventError("too_many_facts", f"found {FACTS_MAX} facts of this subject already, expected no more")

    def put(self, stored_as: bytes, fact: Fact, floor: int) -> None:
        """Put a fact aside, unless it is there already; no due that it sets is published before `floor`."""
        facts = self._facts(stored_as)
        if any(_is_same(fact, one) for _, one in facts):
            return
        self._changed[stored_as] = [*facts, (floor, fact)]
        self._subjects.add(stored_as)

    def next_subject(self) -> bytes:
        """One whose facts are put aside, always in the same order. There has to be one."""
        while not self._waiting or self._waiting[-1] not in self._subjects:
            if self._waiting:
                self._waiting.pop()
            else:
                self._waiting = sorted(self._subjects, reverse=True)
        return self._waiting[-1]

    def fetch(self, stored_as: bytes) -> list[Waiting]:
        """What is put aside about a subject, and is so no longer; in the order in which it came."""
        facts = self._facts(stored_as)
        self._subjects.discard(stored_as)
        self._changed[stored_as] = []
        return facts

    def take(self) -> dict[bytes, bytes | None]:
        """What has changed since the last `take`, to be stored; None removes."""
        changes = {
            self._prefix + stored_as: _encode((ASIDE_FORMAT, facts)) if facts else None
            for stored_as, facts in self._changed.items()
        }
        self._changed = {}
        return changes

    def _facts(self, stored_as: bytes) -> list[Waiting]:
        if stored_as in self._changed:
            return self._changed[stored_as]
        stored = self._read(self._prefix + stored_as) if stored_as in self._subjects else None
        if stored is None:
            return []
        try:
            found, facts = _decode(stored)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise _foreign(repr(stored[:20])) from None
        if found != ASIDE_FORMAT:
            raise _foreign(found)
        return facts


def _is_same(fact: Fact, other: Fact) -> bool:
    return fact.member == other.member and fact.time == other.time and content(fact) == content(other)


def _foreign(found: object) -> StateError:
    return StateError(
        f"facts put aside: found state of format {found}, expected format {ASIDE_FORMAT}; it was written by another "
        "version of promisewatch, or by something else"
    )
