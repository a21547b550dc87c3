"""The texts of promise versions: a running promise is judged by the words in which it was made.

A book may leave out a version that still runs, or change its text under the same number. Each partition therefore keeps
the texts under which its cycles run (`schemas/records.py`). One that the book no longer has is *closed*: what runs
under it goes on, nothing opens under it. Where a text has changed in place, the old and the new one are two *editions*
of a version, and a cycle is pinned to one of them.

What counts as the text is what a promise is judged by, its calendars included. Title, severity and the like are taken
from the book as long as the rest is unchanged.
"""

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Final, NamedTuple

import msgspec

from schemas.book_conditions import compile_conditions
from schemas.book_model import Book, CalendarSpec, DuePlus, DueWithin, Promise
from schemas.book_names import zone_named
from schemas.book_reading import spell_sections
from schemas.book_resolving import resolve
from schemas.book_text import BookText
from schemas.conditions import Condition
from schemas.errors import StateError
from schemas.instants import format_duration
from schemas.records import RECORD_FORMAT, StoredText, Texts

EDITION_BITS = 32
"""A pin is the version's number (a book allows no more than 31 bits) and above these bits the edition."""
SHORT_DIGITS = 12
"""Of a digest, where people read it."""

Name = tuple[str, int]
"""A version: the promise's id and the version's number."""


def pin_of(version: int, edition: int) -> int:
    """By which number cycles name an edition of a version; of the first one it is the version's own."""
    return edition << EDITION_BITS | version


def version_of(pin: int) -> int:
    """The version whose text a pin names."""
    return pin & (1 << EDITION_BITS) - 1


NOTHING_OPENS: Final = -(1 << 62)
"""Earlier than every instant: under most closed texts nothing opens that happened since."""


class ClosedText(NamedTuple):
    """A text that the book has no longer, with its own calendars. Cycles run under it, and it opens what happened
    before `until` (UTC ms): the text after it counts from then on only.
    """

    promise: Promise
    calendars: dict[str, CalendarSpec]
    pin: int
    until: int = NOTHING_OPENS


@dataclass(frozen=True)
class Editions:
    """The texts that a partition knows besides the book's own. `pins` has those of the book's versions that are not
    their number, `since` the instants (UTC ms) after which every fact was seen by their texts. `stored` are all texts
    in the form in which they are stored; `changed`: that form is a new one.
    """

    pins: dict[Name, int] = field(default_factory=dict)
    since: dict[Name, int] = field(default_factory=dict)
    closed: tuple[ClosedText, ...] = ()
    stored: Texts | None = None
    changed: bool = False

    def pin(self, promise: Promise) -> int:
        """The pin of one of the book's versions."""
        return self.pins.get((promise.id, promise.version), promise.version)


NO_EDITIONS = Editions()


def text_digest(promise: Promise, calendars: dict[str, CalendarSpec]) -> str:
    """What names the text of a version: equal digests mean that promises are judged alike."""
    used = [calendars[name] for name in calendars_of(promise)]
    judged = [
        promise.key, promise.timezone, promise.when, promise.due, promise.goal, promise.release, promise.not_before,
        promise.pause, promise.repromise, promise.warn, promise.retention_ms, promise.orphan_ttl_ms, promise.skew_ms,
        used,
    ]  # fmt: skip
    return hashlib.sha256(msgspec.json.encode(_plain(judged), order="sorted")).hexdigest()


def calendars_of(promise: Promise) -> tuple[str, ...]:
    """The names of the calendars that a promise uses."""
    due = promise.due
    if isinstance(due, DuePlus):
        return tuple(dict.fromkeys(name for name in (due.of, due.calendar) if name is not None))
    return (due.calendar,) if isinstance(due, DueWithin) and due.calendar is not None else ()


def editions_of(book: Book, stored: Texts | None, where: str, latest: int) -> Editions:
    """How the texts of a book go together with those that a partition knows (None: it knows none yet).

    No fact that the partition has processed is dated after `latest`, UTC milliseconds. Raises StateError, naming
    `where`, if a stored text cannot be read by this program.
    """
    known: dict[Name, list[StoredText]] = {}
    for one in stored.texts if stored is not None else ():
        known.setdefault((one.promise, one.version), []).append(one)
    pool = _Pool(stored)
    read = _reader(pool, where)
    pins: dict[Name, int] = {}
    since: dict[Name, int] = {}
    texts: list[StoredText] = []
    for promise in book.promises:
        name = (promise.id, promise.version)
        candidates = known.get(name, [])
        written = _written(book, promise, pool)
        same = _same_text(book, promise, written, candidates, read)
        edition = max((one.edition for one in candidates), default=-1) + 1 if same is None else same.edition
        if same is not None:
            candidates.remove(same)
        if edition:
            pins[name] = pin_of(promise.version, edition)
        since[name] = same.since if same is not None and same.in_book else latest
        texts.append(msgspec.structs.replace(written, edition=edition, since=since[name]))
    left = [one for ones in known.values() for one in ones]
    closed = tuple(ClosedText(*read(one), pin_of(one.version, one.edition)) for one in left)
    texts += [msgspec.structs.replace(one, in_book=False) for one in left]
    found = _compact(Texts(RECORD_FORMAT, book.digest, texts, pool.specs))
    return Editions(pins, since, closed, found, changed=found != stored)


def still_needed(editions: Editions, pinned: Collection[tuple[str, int]]) -> Editions:
    """Without the closed texts under which nothing runs any more; `pinned` are promises and pins of all cycles."""
    if editions.stored is None or all((one.promise.id, one.pin) in pinned for one in editions.closed):
        return editions
    stored = editions.stored
    texts = [one for one in stored.texts if one.in_book or (one.promise, pin_of(one.version, one.edition)) in pinned]
    closed = tuple(one for one in editions.closed if (one.promise.id, one.pin) in pinned)
    return Editions(
        editions.pins, editions.since, closed, _compact(msgspec.structs.replace(stored, texts=texts)), changed=True
    )  # fmt: skip


def has_text(stored: Texts, book: Book, promise: Promise, where: str) -> bool:
    """Whether the book that a partition was last worked with has the same text for one of this book's versions."""
    pool = _Pool(stored)
    candidates = [
        one for one in stored.texts if one.in_book and (one.promise, one.version) == (promise.id, promise.version)
    ]
    return _same_text(book, promise, _written(book, promise, pool), candidates, _reader(pool, where)) is not None


def check_keys(book: Book, editions: Editions, where: str) -> None:
    """Refuse a book under whose key no fact would ever reach what runs under closed texts. Raises StateError."""
    keys = dict.fromkeys(promise.key for promise in book.promises)
    for promise, *_ in editions.closed:
        if promise.key not in keys:
            raise StateError(
                f"{where}: promise {promise.id!r} version {promise.version} runs by the key {promise.key!r}, but the "
                f"book has only {', '.join(map(repr, keys))}: nothing would be heard of what runs; keep the key until "
                "that has ended, or start under another --app-id"
            )


class _Pool:
    """The calendars of stored texts, each once however many texts use it."""

    def __init__(self, stored: Texts | None) -> None:
        self.specs: list[dict[str, Any]] = [] if stored is None else list(stored.calendars)

    def place(self, spec: dict[str, Any]) -> int:
        if spec not in self.specs:
            self.specs.append(spec)
        return self.specs.index(spec)


_Read = Callable[[StoredText], tuple[Promise, dict[str, CalendarSpec]]]


def _reader(pool: _Pool, where: str) -> _Read:
    def read(one: StoredText) -> tuple[Promise, dict[str, CalendarSpec]]:
        calendars = {name: pool.specs[place] for name, place in one.calendars.items()}
        return _read_text(one.spelling, calendars, f"{where}: the stored text of {one.promise!r} version {one.version}")

    return read


def _same_text(
    book: Book, promise: Promise, written: StoredText, candidates: list[StoredText], read: _Read
) -> StoredText | None:
    """The stored text that means what the book's does. By what it means to this program, not by how it is written."""
    for one in candidates:
        if (one.spelling, one.calendars) == (written.spelling, written.calendars):
            return one
    digest = text_digest(promise, book.calendars) if candidates else ""
    return next((one for one in candidates if text_digest(*read(one)) == digest), None)


def _written(book: Book, promise: Promise, pool: _Pool) -> StoredText:
    """The text of one of the book's versions in the form in which it is stored."""
    written = next(
        one for one in book.data["promises"] if one["id"] == promise.id and one.get("version", 1) == promise.version
    )
    spelling = {
        "defaults": {"skew": format_duration(promise.skew_ms)},
        "promises": [
            {
                **written,
                "key": promise.key,
                "timezone": promise.timezone,
                "retention": format_duration(promise.retention_ms),
                "orphan_ttl": format_duration(promise.orphan_ttl_ms),
            }
        ],
    }
    calendars = {name: pool.place(book.data["calendars"][name]) for name in calendars_of(promise)}
    return StoredText(promise.id, promise.version, 0, True, 0, spelling, calendars)


def _read_text(
    spelling: dict[str, Any], calendars: dict[str, dict[str, Any]], what: str
) -> tuple[Promise, dict[str, CalendarSpec]]:
    """A stored text, resolved. Raises StateError, beginning with `what`, if this program cannot read it."""
    text = BookText(what, {**spelling, "calendars": calendars})
    spelled = spell_sections(text)
    conditions = compile_conditions(text)
    zones = [one.timezone for one in spelled.promises.values()] + [one.timezone for one in spelled.calendars.values()]
    problems = [problem.message for problem in text.problems]
    problems += [f"unknown time zone {zone!r}" for zone in zones if zone and zone_named(zone) is None]
    if problems or not spelled.promises:
        raise StateError(f"{what} cannot be read by this version of promisewatch: {'; '.join(problems)}")
    book = resolve(spelled, conditions, text.data, what)
    return book.promises[0], book.calendars


def _compact(texts: Texts) -> Texts:
    """The same texts with only the calendars that they use, in the order in which they use them."""
    places: dict[int, int] = {}
    for one in texts.texts:
        for place in one.calendars.values():
            places.setdefault(place, len(places))
    moved = [
        msgspec.structs.replace(one, calendars={name: places[place] for name, place in one.calendars.items()})
        for one in texts.texts
    ]
    return Texts(texts.format, texts.book, moved, [texts.calendars[place] for place in places])


def _plain(value: Any) -> Any:
    """A part of a promise as plain data, which does not depend on the order in which a book says it."""
    if isinstance(value, Condition):
        return value.text
    if is_dataclass(value):
        return {part.name: _plain(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, tuple | frozenset):  # a tuple in a tuple is a pair, whose order says which is which
        return sorted((list(one) if isinstance(one, tuple) else _plain(one) for one in value), key=msgspec.json.encode)
    return [_plain(one) for one in value] if isinstance(value, list) else value
