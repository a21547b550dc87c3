"""Spelling models to the resolved model of `book_model`, with every default filled in.

Only a book without problems comes here; what the checks have refused cannot occur.
"""

import hashlib
from typing import Any, NamedTuple, cast
from zoneinfo import ZoneInfo

import msgspec

from schemas.book_conditions import Conditions
from schemas.book_model import (
    Book,
    CalendarSpec,
    Defaults,
    DoubtPolicy,
    Due,
    DueField,
    DuePlus,
    DueWithin,
    Expect,
    FieldPath,
    Forbid,
    Goal,
    Holds,
    Leave,
    Match,
    Pause,
    Promise,
    Repromise,
    Source,
    When,
)
from schemas.book_names import effective_ms
from schemas.book_reading import Spelled
from schemas.book_spelling import (
    CalendarSpelling,
    DefaultsSpelling,
    DoubtSpelling,
    DueSpelling,
    ExpectSpelling,
    MatchSpelling,
    PromiseSpelling,
    SourceSpelling,
    WhenSpelling,
)
from schemas.book_text import Path
from schemas.book_values import WEEKDAYS


class _Envelope(NamedTuple):
    """Where a format has what a source in JSON says by paths."""

    id: FieldPath | None = None
    type: FieldPath | None = None
    time: FieldPath = FieldPath("time")
    data: FieldPath | None = None


_ENVELOPES = {
    "cloudevents": _Envelope(FieldPath("id"), FieldPath("type"), FieldPath("time"), FieldPath("data")),
    "debezium": _Envelope(time=FieldPath("source.ts_ms"), data=FieldPath("row")),
}


def resolve(spelled: Spelled, conditions: Conditions, data: Any, filename: str) -> Book:
    """The book that a file's sections say; `data` is what its digest is of."""
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
        sources={name: _source(name, source, defaults.settle) for name, source in spelled.sources.items()},
        calendars={name: _calendar(name, calendar) for name, calendar in spelled.calendars.items()},
        promises=tuple(
            _Resolver(("promises", index), conditions).promise(promise, defaults)
            for index, promise in spelled.promises.items()
        ),
        data=data,
    )


def _source(name: str, source: SourceSpelling, default_settle_ms: int) -> Source:
    withdraws = source.withdraws
    if source.format == "cloudevents" and withdraws is not None:
        withdraws = FieldPath(f"data.{withdraws.text}")
    # Where the envelope has them; that a source in JSON says so itself has been checked.
    envelope = _ENVELOPES.get(source.format, _Envelope())
    return Source(
        name=name,
        topic=source.topic,
        format=source.format,
        id=source.id or envelope.id,
        type=source.type or envelope.type,
        time=source.time or envelope.time,
        data=source.data or envelope.data,
        events=None if source.events is None else frozenset(source.events),
        settle_ms=default_settle_ms if source.settle is None else source.settle,
        frontier=source.frontier,
        doubt=_doubt(source.doubt),
        heartbeat_ms=source.heartbeat,
        withdraws=withdraws,
    )


def _doubt(doubt: DoubtSpelling) -> DoubtPolicy:
    return DoubtPolicy(doubt.dead_letters, doubt.late, doubt.share, doubt.window)


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


class _Resolver:
    """Resolves the promise at `path`, whose conditions are compiled already."""

    def __init__(self, path: Path, conditions: Conditions) -> None:
        self.path = path
        self.conditions = conditions

    def promise(self, promise: PromiseSpelling, defaults: DefaultsSpelling) -> Promise:
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
            when=self.when(promise.when),
            due=_due(promise.due),
            goal=self.goal(promise),
            release=None if promise.release is None else self.match(promise.release, "release"),
            not_before=promise.not_before,
            pause=self.pause(promise),
            repromise=self.repromise(promise),
            warn=tuple(promise.warn),
            audience=promise.breach.audience,
            template=promise.breach.template,
            group_by=promise.breach.group_by,
            impact=self.conditions.get((*self.path, "breach", "impact")),
            retention_ms=defaults.retention if promise.retention is None else promise.retention,
            orphan_ttl_ms=defaults.orphan_ttl if promise.orphan_ttl is None else promise.orphan_ttl,
            skew_ms=defaults.skew,
            owner=promise.owner,
            journey=promise.journey,
            step=promise.step,
        )

    def when(self, when: WhenSpelling) -> When:
        if when.event is None:
            return When(None, again=when.again, breach_of=when.breach_of)
        condition = self.conditions.get((*self.path, "when", "if"))
        match = Match(when.event, tuple(when.where.items()), condition)
        return When(match, again=when.again, enter=tuple(when.enter or ()), field=when.field)

    def goal(self, promise: PromiseSpelling) -> Goal:
        expect, forbid = promise.expect, promise.forbid
        if forbid is not None:
            until = None if promise.until is None else self.match(promise.until, "until")
            return Forbid(self.match(forbid, "forbid"), forbid.count, until)
        assert expect is not None
        if expect.leave is not None:
            return Leave(expect.leave)
        if expect.holds is not None:
            assert expect.aliases is not None
            return Holds(self.conditions[*self.path, "expect", "holds"], tuple(expect.aliases.items()))
        return Expect(
            self.match(expect, "expect"),
            count=expect.count,
            distinct=expect.distinct,
            early=expect.early,
            shared=expect.shared,
        )

    def pause(self, promise: PromiseSpelling) -> Pause | None:
        pause = promise.pause
        if pause is None:
            return None
        return Pause(self.match(pause, "pause"), self.match(pause.until, "pause", "until"), pause.max)

    def repromise(self, promise: PromiseSpelling) -> Repromise | None:
        repromise = promise.repromise
        if repromise is None:
            return None
        return Repromise(self.match(repromise, "repromise"), repromise.field, repromise.max)

    def match(self, match: MatchSpelling | ExpectSpelling, *place: str) -> Match:
        assert match.event is not None
        condition = self.conditions.get((*self.path, *place, "if"))
        return Match(match.event, tuple(match.where.items()), condition, tuple(match.match))


def _due(due: DueSpelling) -> Due:
    if due.within is not None:
        return DueWithin(due.within, due.calendar)
    if due.plus is not None:
        return DuePlus(due.plus, due.cutoff, due.of, due.calendar, due.at)
    assert due.field is not None
    assert due.at != "closing"
    return DueField(due.field, due.offset or 0, due.at)
