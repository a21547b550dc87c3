"""The promise book as the program uses it: typed, resolved, frozen. `schemas/book.py` makes it out of YAML.

Defaults are filled in, durations are milliseconds, times of day are minutes after midnight, instants UTC milliseconds.
"""

from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal, NamedTuple

from schemas.conditions import Condition

Scalar = str | int | float | bool | None
Severity = Literal["low", "medium", "high", "critical"]
Format = Literal["json", "cloudevents", "debezium"]

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
class DoubtPolicy:
    """What brings a source into doubt: so many of a kind within `window_ms` (None: no number does), if that is at least
    `share` per cent of what was read.
    """

    dead_letters: int | None
    late: int | None
    share: int
    window_ms: int


@dataclass(frozen=True, slots=True)
class Source:
    """One topic and how its events become facts. `data` is the path of the payload, None for the whole event.

    Paths of CloudEvents are those in structured mode; those of Debezium are from the envelope, where `row` is the row
    (see `schemas/debezium.py`). `id` and `type` are None where they are made of several members of that envelope.
    """

    name: str
    topic: str
    format: Format
    id: FieldPath | None
    type: FieldPath | Const | None
    time: FieldPath
    data: FieldPath | None
    events: frozenset[str] | None
    settle_ms: int
    frontier: Literal["clock", "markers"]
    doubt: DoubtPolicy
    heartbeat_ms: int | None = None
    """The longest that the source is silent while it is well; None: as long as it likes."""
    withdraws: FieldPath | None = None
    """Path of the id of an earlier event of this source that this event takes back."""


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
    """Which facts are meant: the event types, payload fields by dotted path with the value each must have, a condition
    (`if`), and payload fields that must equal those of the opening fact (`match`; not under `when`).
    """

    events: tuple[str, ...]
    where: tuple[tuple[str, Scalar], ...] = ()
    condition: Condition | None = None
    same: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class When:
    """What opens the promise. Exactly one of the three: a fact that matches (`match`), a fact that matches and whose
    payload field `field` takes on one of the values `enter` coming from another value, or a breach of the promise
    `breach_of` on the same subject (then `match` is None).

    `again`: each further opening starts a cycle of its own.
    """

    match: Match | None
    again: bool = False
    enter: tuple[Scalar, ...] = ()
    field: str | None = None
    breach_of: str | None = None


@dataclass(frozen=True, slots=True)
class Expect:
    """Facts that keep the promise: `count` of them, with different values of the payload field `distinct`.

    `early`: also those dated before the opening. `shared`: one fact may keep several cycles.
    """

    match: Match
    count: int = 1
    distinct: str | None = None
    early: bool = False
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Leave:
    """The payload field `field` of the opening's event type takes on another value than the opening's."""

    field: str


@dataclass(frozen=True, slots=True)
class Holds:
    """The condition is true over the newest fact of each alias; `aliases` are (alias, event type)."""

    condition: Condition
    aliases: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Forbid:
    """What must not happen (for the `count`-th time) before `until`, or before the due."""

    match: Match
    count: int = 1
    until: Match | None = None


Goal = Expect | Leave | Holds | Forbid


@dataclass(frozen=True, slots=True)
class Pause:
    """While it lasts the due stands still; after `max_ms` it ends by itself."""

    start: Match
    until: Match
    max_ms: int


@dataclass(frozen=True, slots=True)
class Repromise:
    """A new due in the payload field `field` of a matching fact, at most `max` times."""

    match: Match
    field: str
    max: int


@dataclass(frozen=True, slots=True)
class Warn:
    """When a running promise is at risk: `offset_ms` (negative) before its due, or past `share` per cent of its time.
    `text` is how the book spells it, and part of the event's id.
    """

    text: str
    offset_ms: int | None = None
    share: int | None = None


At = Literal["end_of_day", "closing"] | int
"""The instant of the due day: its end, the calendar's closing time, or minutes after midnight."""


@dataclass(frozen=True, slots=True)
class DueWithin:
    """So much time after the opening (negative: before it): elapsed time, or open time of `calendar`."""

    within_ms: int
    calendar: str | None = None


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
    when: When
    due: Due
    goal: Goal
    release: Match | None
    not_before: str | None
    """A payload field of the opening (or of what moved the due): fulfilments dated before that instant do not count."""
    pause: Pause | None
    repromise: Repromise | None
    warn: tuple[Warn, ...]
    audience: tuple[str, ...]
    template: str | None
    group_by: tuple[str, ...]
    """Payload fields of the opening that a breach event carries: readers can put breaches of one cause together."""
    impact: Condition | None
    """CEL over the opening's payload: what the breach is worth, a number or text, carried by the breach event."""
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
    data: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """The book as it is written, as plain data."""
