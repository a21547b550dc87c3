"""The promise book as the program uses it: typed, resolved, frozen. `schemas/book.py` makes it out of YAML.

Defaults are filled in, durations are milliseconds, times of day are minutes after midnight, instants UTC milliseconds.
"""

from dataclasses import dataclass
from datetime import date
from typing import Literal, NamedTuple

Scalar = str | int | float | bool | None
Severity = Literal["low", "medium", "high", "critical"]

CALENDAR_SEARCH_DAYS_MAX = 400
"""How many days are searched for an open one. A calendar closed for longer is refused when the book is loaded."""


class FieldPath(NamedTuple):
    """Where a value stands in an event: `scan.id` is the member `id` of the object `scan`."""

    text: str

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(self.text.split("."))


class Const(NamedTuple):
    """A value that every event of a source has, written `{const: parcel.scanned}`."""

    value: str


@dataclass(frozen=True, slots=True)
class Source:
    """One topic and how its events become facts. `data` is the path of the payload, None for the whole event."""

    name: str
    topic: str
    format: Literal["json"]
    id: FieldPath
    type: FieldPath | Const
    time: FieldPath
    data: FieldPath | None
    events: frozenset[str] | None
    settle_ms: int
    frontier: Literal["clock", "markers"]


@dataclass(frozen=True, slots=True)
class CalendarSpec:
    """Opening days and hours. Weekdays count from 0 = Monday; hours that cross midnight close after minute 1440."""

    name: str
    days: frozenset[int]
    open_min: int
    close_min: int
    holidays: str | None
    add: frozenset[date]
    """Closed, as if they were public holidays."""
    remove: frozenset[date]
    """Open though they are public holidays."""
    timezone: str | None


@dataclass(frozen=True, slots=True)
class Match:
    """Which facts are meant: the event type, and payload fields by dotted path with the value each must have."""

    event: str
    where: tuple[tuple[str, Scalar], ...] = ()


At = Literal["end_of_day", "closing"] | int
"""The instant of the due day: its end, the calendar's closing time, or minutes after midnight."""


@dataclass(frozen=True, slots=True)
class DueWithin:
    """So much elapsed time after the opening (negative: before it)."""

    within_ms: int


@dataclass(frozen=True, slots=True)
class DuePlus:
    """So many days after the opening's day: open days of `calendar`, civil days without one.

    From `cutoff_min` on (strict) the opening counts as made on the next open day of calendar `of`. `at` None is the
    opening's own local time.
    """

    days: int
    cutoff_min: int | None
    of: str | None
    calendar: str | None
    at: At | None


@dataclass(frozen=True, slots=True)
class DueField:
    """An instant in the opening's payload, moved by `offset_ms`. A date alone takes `at` (None: end of day)."""

    field: str
    offset_ms: int
    at: Literal["end_of_day"] | int | None


Due = DueWithin | DuePlus | DueField


@dataclass(frozen=True, slots=True)
class Promise:
    """One version of one promise. `effective_from` None: since ever."""

    id: str
    version: int
    effective_from: int | None
    title: str
    key: str
    timezone: str
    severity: Severity
    when: Match
    due: Due
    expect: Match
    early: bool
    release: Match | None
    retention_ms: int
    orphan_ttl_ms: int
    skew_ms: int
    owner: str | None = None
    journey: str | None = None
    step: str | None = None


@dataclass(frozen=True, slots=True)
class Defaults:
    """What sources and promises take where they say nothing themselves."""

    timezone: str | None
    key: str | None
    settle_ms: int
    skew_ms: int
    retention_ms: int
    orphan_ttl_ms: int


@dataclass(frozen=True, slots=True)
class Book:
    """A whole promise book. `digest` names its content (not its layout): equal digests mean equal books."""

    path: str
    digest: str
    defaults: Defaults
    timezone: str | None
    """The book's zone, in which event times without an offset are read; promises carry their own, resolved one."""
    sources: dict[str, Source]
    calendars: dict[str, CalendarSpec]
    promises: tuple[Promise, ...]
