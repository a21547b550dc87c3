"""What differs between two promise books, part by part and in words, and what that means for what runs.

Books are compared by what they mean: another layout, another order or another spelling of the same is no difference.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeVar

from schemas.book_model import Book, Promise
from schemas.book_words import TOLD, Parts, book_parts, calendar_parts, promise_parts, source_parts
from schemas.editions import calendars_of, text_digest
from schemas.looks import looked_at

Kind = Literal["added", "removed", "changed"]
_Part = TypeVar("_Part")

CHANGED_IN_PLACE = (
    "it was in force, and its text has changed under the same number: what runs keeps the old text, what opens from "
    "now on gets the new one, and both are told as version {version}; expected a new version with effective_from"
)
CALENDAR_CHANGED = "what runs keeps the calendar as it was; what opens from now on gets the new one"
NOT_YET_IN_FORCE = "it was not in force yet: nothing has opened under its old text"
GONE = "nothing opens under it any more; what runs is kept to its end"
LOOKS_BACK = "it is in force since before now: openings since then that are learnt from now on are judged by it"
OTHER_KEY = (
    "another key: what runs by {before} hears nothing any more, and workers refuse the book while anything does; "
    "start under another --app-id"
)
OTHER_TOPIC = "another topic: the state of the workers belongs to the old one; start under another --app-id"
OTHER_SOURCE = "events are known by source and id: under another name, those that are sent again count as other events"
UNHEARD = "named for the first time: what came before the workers have this book is not known"


class PartChange(NamedTuple):
    """One part, and what it says in either book; None where it is not there."""

    part: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Difference:
    """What differs about one thing: `about` is book, source, calendar, promise or event, `version` that of a promise.

    `compared_with` is the version of the old book with which an added one is compared. `judged`: it is judged otherwise
    than before. `notes` say what that means, `warnings` what is most likely not meant.
    """

    about: str
    name: str
    kind: Kind
    version: int | None = None
    compared_with: int | None = None
    judged: bool = False
    parts: tuple[PartChange, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class BookDiff:
    """All differences, in the order of the new book; none if the two mean the same."""

    differences: tuple[Difference, ...] = field(default=())

    @property
    def warnings(self) -> list[str]:
        """Every warning, with what it is about."""
        return [f"{title(one)}: {warning}" for one in self.differences for warning in one.warnings]


def title(one: Difference) -> str:
    """What a difference is about."""
    return one.about if one.about == "book" else f"{one.about} {one.name}" + (
        "" if one.version is None else f" version {one.version}"
    )  # fmt: skip


def compare(old: Book, new: Book, now_ms: int) -> BookDiff:
    """What differs; versions with an `effective_from` up to `now_ms` (UTC milliseconds) are in force."""
    found = []
    whole = part_changes(book_parts(old), book_parts(new))
    if whole:
        found.append(Difference("book", "", "changed", parts=whole))
    found += named("source", old.sources, new.sources, source_parts)
    found = [with_source_warnings(one) for one in found]
    found += named("calendar", old.calendars, new.calendars, calendar_parts)
    found += promises(old, new, now_ms)
    seen = looked_at(old.promises)
    found += [
        Difference("event", event, "added", notes=(UNHEARD,))
        for event in sorted(looked_at(new.promises))
        if event not in seen
    ]
    return BookDiff(tuple(found))


def named(
    about: str, old: Mapping[str, _Part], new: Mapping[str, _Part], words: Callable[[_Part], Parts]
) -> list[Difference]:
    """The differences between two mappings of names."""
    found = []
    for name in dict.fromkeys([*new, *old]):
        before = words(old[name]) if name in old else {}
        after = words(new[name]) if name in new else {}
        kind: Kind = "added" if name not in old else "removed" if name not in new else "changed"
        changes = part_changes(before, after)
        if changes or kind != "changed":
            found.append(Difference(about, name, kind, parts=changes))
    return found


def with_source_warnings(one: Difference) -> Difference:
    """A difference between sources with what it means for the state of the workers."""
    if one.about != "source":
        return one
    warnings = [OTHER_TOPIC for part in one.parts if part.part == "topic" and None not in part]
    warnings += [OTHER_SOURCE] if one.kind == "added" else []
    return Difference(one.about, one.name, one.kind, parts=one.parts, warnings=tuple(warnings))


def promises(old: Book, new: Book, now_ms: int) -> list[Difference]:
    """The differences between the versions of all promises."""
    before = {(one.id, one.version): one for one in old.promises}
    after = {(one.id, one.version): one for one in new.promises}
    found = []
    for name in dict.fromkeys([*after, *before]):
        if name not in after:
            parts = part_changes(promise_parts(before[name]), {})
            found.append(Difference("promise", name[0], "removed", name[1], judged=True, parts=parts, notes=(GONE,)))
        elif name not in before:
            found.append(added(old, after[name], now_ms))
        else:
            one = changed(old, new, before[name], after[name], now_ms)
            found += [] if one is None else [one]
    return found


def added(old: Book, promise: Promise, now_ms: int) -> Difference:
    """A version that is new, compared with the newest one that the old book has of its promise."""
    earlier = [one for one in old.promises if one.id == promise.id]
    newest = max(earlier, key=lambda one: one.version, default=None)
    before = {} if newest is None else promise_parts(newest)
    warnings = () if newest is None else key_warning(newest, promise)
    in_force = newest is not None and is_in_force(promise, now_ms)
    return Difference(
        "promise", promise.id, "added", promise.version,
        compared_with=None if newest is None else newest.version,
        judged=True,
        parts=part_changes(before, promise_parts(promise)),
        notes=(LOOKS_BACK,) if in_force else (),
        warnings=warnings,
    )  # fmt: skip


def changed(old: Book, new: Book, before: Promise, after: Promise, now_ms: int) -> Difference | None:
    """What differs between two texts of one version, None if nothing does."""
    parts = part_changes(promise_parts(before), promise_parts(after))
    judged = text_digest(before, old.calendars) != text_digest(after, new.calendars)
    if not parts and not judged:
        return None
    notes, warnings = [], list(key_warning(before, after))
    own = [part.part for part in parts if part.part not in (*TOLD, "effective_from")]
    if not is_in_force(before, now_ms):
        notes += [NOT_YET_IN_FORCE] if judged else []
    elif own:
        warnings.append(CHANGED_IN_PLACE.format(version=before.version))
    elif judged:
        notes.append(CALENDAR_CHANGED)
    calendars = tuple(
        PartChange(f"calendar {name}", "as before", "changed")
        for name in calendars_of(after)
        if name in old.calendars and old.calendars[name] != new.calendars[name]
    )
    return Difference(
        "promise", after.id, "changed", after.version,
        judged=judged, parts=parts + calendars, notes=tuple(notes), warnings=tuple(warnings),
    )  # fmt: skip


def key_warning(before: Promise, after: Promise) -> tuple[str, ...]:
    """What another key means."""
    return () if before.key == after.key else (OTHER_KEY.format(before=before.key),)


def is_in_force(promise: Promise, now_ms: int) -> bool:
    """Whether something may have opened under a version."""
    return promise.effective_from is None or promise.effective_from <= now_ms


def part_changes(before: Parts, after: Parts) -> tuple[PartChange, ...]:
    """The parts that differ, in their order."""
    return tuple(
        PartChange(part, before.get(part), after.get(part))
        for part in dict.fromkeys([*after, *before])
        if before.get(part) != after.get(part)
    )
