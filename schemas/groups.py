"""Groups: promises that wait for the same sources are judged together, apart from all others.

A promise waits for every source that can send an event it names. So a nightly file holds up the promises that look at
it, and no other. Each group has its own records, timers and frontier in each facts partition. A remedy needs its cause
beside it: where the two wait for different sources, the remedy's group follows the cause too, *silently*: what it says
of the cause is told by the cause's own group.

Which group a promise is in is stored. It stays there when the book changes, since its running cycles are there.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from schemas.book_model import Book, Promise
from schemas.editions import NO_EDITIONS, Editions
from schemas.errors import StateError
from schemas.looks import Looked, looked_at

GROUPS_KEY: Final = b"\x00groups"
"""Where it is stored which promises are in which group, beside the checkpoints."""
GROUPS_FORMAT: Final = 1
"""First element of that record. Anything else is refused, never guessed at."""

FROM_ALWAYS: Final = -(1 << 62)
"""An instant before every other."""
FROM_NEVER: Final = 1 << 62
"""An instant after every other."""


def record_prefix(index: int) -> bytes:
    """What the keys begin with under which a group's records are stored; the subject as stored follows."""
    return b"\x01%d:" % index


def aside_prefix(index: int) -> bytes:
    """What the keys begin with under which facts are put aside that a group cannot judge yet; the subject follows."""
    return b"\x02%d:" % index


def checkpoint_key(index: int) -> bytes:
    """Where the checkpoint of a group is stored."""
    return b"\x00checkpoint/%d" % index


@dataclass(frozen=True, slots=True)
class Group:
    """Promises judged together. `sources` are those they wait for, `promises` the ids that the group tells of, `silent`
    those of causes that it follows only for their remedies; each in the order of the book.

    `opens_from` has the texts that open nothing dated before an instant (UTC ms), by promise and pin.
    """

    index: int
    sources: tuple[str, ...]
    promises: tuple[str, ...]
    silent: tuple[str, ...]
    opens_from: dict[tuple[str, int], int]

    @property
    def name(self) -> str:
        """How operators know it: the sources it waits for."""
        return "+".join(self.sources)


class StoredGroup(msgspec.Struct, array_like=True, frozen=True):
    """A group as it is stored. `texts` are those it has had, `promise@pin`, each with the instant (UTC ms) before which
    it opens nothing, if there is one.
    """

    index: int
    promises: list[str]
    silent: list[str]
    texts: dict[str, int | None]


class StoredGroups(msgspec.Struct, array_like=True, frozen=True):
    """All groups of a facts partition; `next` is the index of the next new one: none is ever used again."""

    format: int
    next: int
    groups: list[StoredGroup]


class Grouping(NamedTuple):
    """The groups of a book, in the order of their indices, and the form in which they are stored. `dropped` are the
    indices of those that have no promise left.
    """

    groups: tuple[Group, ...]
    stored: StoredGroups
    dropped: tuple[int, ...]

    @property
    def waits(self) -> bool:
        """Whether texts open nothing until it is known that their events are sent (`latest` was FROM_NEVER)."""
        return any(FROM_NEVER in group.opens_from.values() for group in self.groups)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(StoredGroups).decode


def encode_groups(stored: StoredGroups) -> bytes:
    """What is stored under GROUPS_KEY."""
    return _encode(stored)


def decode_groups(stored: bytes, where: str) -> StoredGroups:
    """Read what was stored. Raises StateError, naming `where`, for another format."""
    try:
        found = msgspec.json.decode(stored)[0]
        if found == GROUPS_FORMAT:
            return _decode(stored)
    except (msgspec.MsgspecError, LookupError, TypeError, ValueError, RecursionError):
        found = repr(stored[:20])
    raise StateError(
        f"{where}: found groups of format {found}, expected format {GROUPS_FORMAT}: written by another version of "
        "promisewatch, or by something else"
    )


def awaited_sources(book: Book, promises: Iterable[Promise]) -> tuple[str, ...]:
    """The sources that can send an event which these promises name, in the order of the book."""
    types = frozenset(looked_at(tuple(promises)))
    return tuple(
        name for name, source in book.sources.items() if source.events is None or not types.isdisjoint(source.events)
    )


def check_senders(book: Book, editions: Editions, where: str) -> None:
    """Refuse a book without a source that can send what still runs under closed texts waits for. Raises StateError."""
    for promise, *_ in editions.closed:
        for event in sorted(looked_at((promise,))):
            if not any(source.events is None or event in source.events for source in book.sources.values()):
                raise StateError(
                    f"{where}: promise {promise.id!r} version {promise.version} runs on and looks at {event!r}, but no "
                    "source of the book can send it: nothing would be heard of what runs; keep the source until that "
                    "has ended, or start under another --app-id"
                )


def source_groups(book: Book) -> tuple[Group, ...]:
    """The groups of a book in a partition that nobody has worked yet."""
    return group_promises(book).groups


def group_promises(
    book: Book, editions: Editions = NO_EDITIONS, stored: StoredGroups | None = None, latest: int = FROM_ALWAYS
) -> Grouping:
    """The groups of a book, and of what runs besides under the closed texts of `editions`.

    `stored` are the groups of the partition so far: a promise stays in its group. No fact dated after `latest` (UTC ms)
    has been processed, and none has been sent that was mapped without the new texts; FROM_NEVER while that is not known
    yet. New texts open nothing dated until then, unless all that they look at has been kept already.
    """
    return _Grouper(book, editions, stored, latest).grouping()


class _Grouper:
    """Puts promises into groups. Ids stand for all texts of a promise: those of the book and the closed ones."""

    def __init__(self, book: Book, editions: Editions, stored: StoredGroups | None, latest: int) -> None:
        self._book = book
        self._editions = editions
        self._latest = latest
        self._fresh = stored is None
        self._next = 0 if stored is None else stored.next
        self._texts: dict[str, list[Promise]] = {}
        for promise in (*book.promises, *(text.promise for text in editions.closed)):
            self._texts.setdefault(promise.id, []).append(promise)
        self._causes = {promise_id: self._causes_of(promise_id) for promise_id in self._texts}
        self._stored: dict[int, StoredGroup] = {}
        self._told: dict[int, list[str]] = {}
        self._dropped: list[int] = []
        for group in () if stored is None else stored.groups:
            told = [promise_id for promise_id in group.promises if promise_id in self._texts]
            if told:
                self._stored[group.index] = group
                self._told[group.index] = told
            else:
                self._dropped.append(group.index)
        self._mapped = self._mapped_so_far()

    def grouping(self) -> Grouping:
        """All groups, the new ones included."""
        placed = {promise_id for told in self._told.values() for promise_id in told}
        for promise_id in self._causes_first():
            if promise_id not in placed:
                self._told[self._place(promise_id)].append(promise_id)
        groups = [self._group(index) for index in sorted(self._told)]
        stored = [
            StoredGroup(one.index, list(one.promises), list(one.silent), self._texts_of(one)) for one in groups
        ]  # fmt: skip
        return Grouping(tuple(groups), StoredGroups(GROUPS_FORMAT, self._next, stored), tuple(self._dropped))

    def _place(self, promise_id: str) -> int:
        """The index of the group that a promise joins, which may be a new one.

        It joins a group of stored records only with causes that this has followed so far: what these went through
        before is not known elsewhere.
        """
        awaited = self._awaited([promise_id])
        for index in sorted(self._told):
            group = self._stored.get(index)
            follows = group is None or self._causes[promise_id] <= {*self._told[index], *group.silent}
            if follows and self._awaited(self._told[index]) == awaited:
                return index
        index = self._next
        self._next += 1
        self._told[index] = []
        return index

    def _group(self, index: int) -> Group:
        told = set(self._told[index])
        stored = self._stored.get(index)
        # What was followed once has cycles in the group's records, also where no remedy needs it any more.
        followed = set() if stored is None else {*stored.silent, *stored.promises}
        for promise_id in told:
            followed |= self._causes[promise_id]
        promises = tuple(promise_id for promise_id in self._texts if promise_id in told)
        silent = tuple(promise_id for promise_id in self._texts if promise_id in followed - told)
        opens_from = {}
        for promise in self._book.promises:
            if promise.id in told or promise.id in followed:
                instant = self._opens_from(promise, stored)
                if instant is not None:
                    opens_from[promise.id, self._editions.pin(promise)] = instant
        return Group(index, self._awaited(promises), promises, silent, opens_from)

    def _opens_from(self, promise: Promise, stored: StoredGroup | None) -> int | None:
        """Before which instant a text opens nothing in a group, None if before none."""
        name = _text_name(promise, self._editions)
        if stored is not None and name in stored.texts:
            known = stored.texts[name]
            return self._latest if known == FROM_NEVER else known
        if self._fresh or self._latest == FROM_ALWAYS:
            return None
        joined = stored is None or promise.id not in (*stored.promises, *stored.silent)
        return self._latest if joined or not self._is_mapped(promise) else None

    def _texts_of(self, group: Group) -> dict[str, int | None]:
        members = {*group.promises, *group.silent}
        return {
            _text_name(promise, self._editions): group.opens_from.get((promise.id, self._editions.pin(promise)))
            for promise in self._book.promises
            if promise.id in members
        }

    def _is_mapped(self, promise: Promise) -> bool:
        """Whether facts had everything that a text looks at before it was there."""
        causes = [one for cause in self._causes[promise.id] for one in self._texts[cause]]
        mapped = self._mapped.get(promise.key, {})
        for event, looked in looked_at((promise, *causes)).items():
            known = mapped.get(event)
            if known is None or not looked.fields <= known.fields or not looked.whole <= known.whole:
                return False
        return True

    def _mapped_so_far(self) -> dict[str, dict[str, Looked]]:
        """What was looked at by the texts before those of the book that are new, by key and event type."""
        known = {name for group in self._stored.values() for name in group.texts}
        texts = [one for one in self._book.promises if _text_name(one, self._editions) in known]
        texts += [text.promise for text in self._editions.closed]
        keys = {promise.key for promise in texts}
        return {key: looked_at(tuple(promise for promise in texts if promise.key == key)) for key in keys}

    def _awaited(self, promises: Iterable[str]) -> tuple[str, ...]:
        """The sources that promises wait for, and their causes with them."""
        ids = {one for promise_id in promises for one in (promise_id, *self._causes[promise_id])}
        return awaited_sources(self._book, [text for promise_id in ids for text in self._texts[promise_id]])

    def _causes_of(self, promise_id: str) -> frozenset[str]:
        """What a promise is a remedy for, and what that is a remedy for, and so on."""
        found: set[str] = set()
        waiting = [promise_id]
        while waiting:
            for text in self._texts[waiting.pop()]:
                cause = text.when.breach_of
                if cause is not None and cause in self._texts and cause not in found:
                    found.add(cause)
                    waiting.append(cause)
        return frozenset(found - {promise_id})

    def _causes_first(self) -> list[str]:
        """All promises in the order of the book, but causes before their remedies."""
        return sorted(self._texts, key=lambda promise_id: len(self._causes[promise_id]))


def _text_name(promise: Promise, editions: Editions) -> str:
    return f"{promise.id}@{editions.pin(promise)}"
