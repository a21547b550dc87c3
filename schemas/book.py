"""The promise book: YAML text in, a typed and checked `Book` out, or all of its problems at once.

`load_book` reads a file, `parse_book` a text. The steps are one module each: `book_text` (YAML with places),
`book_spelling` and `book_reading` (each section by itself), `book_checks` (sections against each other), and here
the resolved model of `book_model`, with every default filled in.
"""

import hashlib
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import msgspec

from schemas.book_checks import check
from schemas.book_model import (
    CALENDAR_SEARCH_DAYS_MAX,
    At,
    Book,
    CalendarSpec,
    Const,
    Defaults,
    Due,
    DueField,
    DuePlus,
    DueWithin,
    FieldPath,
    Match,
    Promise,
    Scalar,
    Severity,
    Source,
)
from schemas.book_names import effective_ms
from schemas.book_reading import Spelled, spell
from schemas.book_spelling import (
    WEEKDAYS,
    CalendarSpelling,
    DueSpelling,
    MatchSpelling,
    PromiseSpelling,
    SourceSpelling,
)
from schemas.book_text import read_yaml
from schemas.errors import BookError, BookProblem, InputError

__all__ = [
    "CALENDAR_SEARCH_DAYS_MAX",
    "At",
    "Book",
    "CalendarSpec",
    "Const",
    "Defaults",
    "Due",
    "DueField",
    "DuePlus",
    "DueWithin",
    "FieldPath",
    "Match",
    "Promise",
    "Scalar",
    "Severity",
    "Source",
    "load_book",
    "parse_book",
]


def load_book(path: Path) -> Book:
    """Read a promise book. Raises InputError if there is no such file, BookError with every problem in it."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the promise book {path}: {error.strerror or error}") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        message = f"found the byte 0x{raw[error.start]:02x}, expected UTF-8 text"
        raise BookError([BookProblem(str(path), line, column, message)]) from None
    return parse_book(text, str(path))


def parse_book(text: str, filename: str = "book.yaml") -> Book:
    """Turn the text of a promise book into a Book. Raises BookError with every problem in it."""
    read = read_yaml(text, filename)
    if read.data is None:
        raise BookError(read.problems or [BookProblem(filename, 1, 1, "found nothing, expected a promise book")])
    spelled = spell(read)
    check(read, spelled)
    if read.problems:
        raise BookError(read.problems)
    return _resolve(spelled, read.data, filename)


def _resolve(spelled: Spelled, data: Any, filename: str) -> Book:
    defaults = spelled.defaults
    return Book(
        path=filename,
        digest=hashlib.sha256(msgspec.json.encode(data, order="sorted")).hexdigest(),
        defaults=Defaults(
            timezone=defaults.timezone,
            key=defaults.key,
            settle_ms=defaults.settle,
            skew_ms=defaults.skew,
            retention_ms=defaults.retention,
            orphan_ttl_ms=defaults.orphan_ttl,
        ),
        timezone=defaults.timezone,
        sources={name: _source(name, source, spelled.defaults.settle) for name, source in spelled.sources.items()},
        calendars={name: _calendar(name, calendar) for name, calendar in spelled.calendars.items()},
        promises=tuple(_promise(promise, spelled) for promise in spelled.promises.values()),
    )


def _source(name: str, source: SourceSpelling, default_settle_ms: int) -> Source:
    return Source(
        name=name,
        topic=source.topic,
        format=source.format,
        id=source.id,
        type=source.type,
        time=source.time,
        data=source.data,
        events=None if source.events is None else frozenset(source.events),
        settle_ms=default_settle_ms if source.settle is None else source.settle,
        frontier=source.frontier,
    )


def _calendar(name: str, calendar: CalendarSpelling) -> CalendarSpec:
    return CalendarSpec(
        name=name,
        days=frozenset(WEEKDAYS.index(day) for day in calendar.days),
        open_min=calendar.hours[0],
        close_min=calendar.hours[1],
        holidays=calendar.holidays,
        add=frozenset(calendar.add),
        remove=frozenset(calendar.remove),
        timezone=calendar.timezone,
    )


def _promise(promise: PromiseSpelling, spelled: Spelled) -> Promise:
    defaults = spelled.defaults
    # Both are there: a book where they are not has been refused by the checks.
    timezone = cast(str, promise.timezone or defaults.timezone)
    key = cast(str, promise.key or defaults.key)
    starts = promise.effective_from
    return Promise(
        id=promise.id,
        version=promise.version,
        effective_from=None if starts is None else effective_ms(starts, ZoneInfo(timezone)),
        title=promise.title or promise.id,
        key=key,
        timezone=timezone,
        severity=promise.breach.severity,
        when=_match(promise.when),
        due=_due(promise.due),
        expect=_match(promise.expect),
        early=promise.expect.early,
        release=None if promise.release is None else _match(promise.release),
        retention_ms=defaults.retention if promise.retention is None else promise.retention,
        orphan_ttl_ms=defaults.orphan_ttl if promise.orphan_ttl is None else promise.orphan_ttl,
        skew_ms=defaults.skew,
        owner=promise.owner,
        journey=promise.journey,
        step=promise.step,
    )


def _match(match: MatchSpelling) -> Match:
    return Match(match.event, tuple(match.where.items()))


def _due(due: DueSpelling) -> Due:
    if due.within is not None:
        return DueWithin(due.within)
    if due.plus is not None:
        return DuePlus(due.plus, due.cutoff, due.of, due.calendar, due.at)
    assert due.field is not None
    assert due.at != "closing"
    return DueField(due.field, due.offset or 0, due.at)
