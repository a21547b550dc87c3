"""When a promise is due, from what opened it or what moved it. All instants are UTC milliseconds.

A due is computed once, at opening, and stored: a changed calendar moves nothing that already runs.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from promises import borders
from promises.calendars import Calendar, Calendars
from promises.civil import Civil, day_of, nearest_instant
from promises.due_steps import closed_days, working_time
from promises.wording import clock_text, day_text, moment_text
from schemas.book_model import At, DueField, DuePlus, DueWithin, Promise
from schemas.errors import EventError
from schemas.facts import Fact
from schemas.instants import MINUTE_MS, format_duration, parse_date, parse_instant

_MIDNIGHT = 0  # minutes after midnight


class Dued(NamedTuple):
    """A due instant, None if the payload names none; and how it came about, a sentence a step, if that was asked."""

    due: int | None
    steps: list[str]


def compute_due(promise: Promise, calendars: Calendars, opening: Fact, *, explain: bool = False) -> Dued:
    """When `promise`, opened by `opening`, is due, and with `explain` how that comes about. Raises as `due_of`."""
    civil = calendars.civil(promise.timezone)
    if not explain:
        return Dued(due_of(promise, civil, calendars, opening.time, opening.data), [])
    steps = [f"opened by {opening.type} at {moment_text(civil, opening.time)}"]
    due = due_of(promise, civil, calendars, opening.time, opening.data, steps)
    if due is None:
        steps.append("so there is no due, and the promise does not open")
    else:
        steps.append(f"due {moment_text(civil, due)}; at that instant still counts as kept")
    return Dued(due, steps)


def due_of(
    promise: Promise,
    civil: Civil,
    calendars: Calendars,
    opened_at: int,
    data: Mapping[str, Any],
    steps: list[str] | None = None,
) -> int | None:
    """When `promise`, opened at `opened_at` by something with the payload `data`, is due; None if `data` names no due.

    A promise that a breach opens is opened at the instant of the breach, and has no payload. `civil` is the promise's
    zone. Appends a sentence a step to `steps`. Raises EventError: `unreadable_due` for a payload instant that cannot be
    read, `calendar_closed`.
    """
    spec = promise.due
    due: int | None
    if isinstance(spec, DueWithin):
        due = _within(spec, civil, calendars, opened_at, steps)
    elif isinstance(spec, DuePlus):
        due = _plus(spec, civil, calendars, opened_at, steps)
    else:
        due = _field(spec, civil, data.get(spec.field), steps)
    return None if due is None else nearest_instant(due)


def due_from(
    promise: Promise,
    civil: Civil,
    calendars: Calendars,
    data: Mapping[str, Any],
    steps: list[str] | None = None,
) -> int | None:
    """The new due that a re-promise with the payload `data` sets; None if it names none. Raises as `due_of`.

    The offset of a due that is itself a payload field applies again. A date alone takes the promise's `at`: with
    `closing` the hour at which its calendar closes, also on a day on which it is closed, for that is the day that was
    promised.
    """
    assert promise.repromise is not None, "only a promise with `repromise` is promised again"
    field, spec = promise.repromise.field, promise.due
    if isinstance(spec, DueField):
        due = _field(DueField(field, spec.offset_ms, spec.at), civil, data.get(field), steps)
    elif isinstance(spec, DuePlus):
        calendar = calendars.calendar(spec.calendar, civil.name) if spec.calendar is not None else None
        due = _read(field, data.get(field), civil, spec.at, calendar, steps)
    else:
        due = _read(field, data.get(field), civil, None, None, steps)
    return None if due is None else nearest_instant(due)


def earliest_from(promise: Promise, civil: Civil, data: Mapping[str, Any]) -> int | None:
    """The instant before which a fulfilment does not count (`not_before`), by the payload of the opening or of what
    moved the due; None if it names none. A date alone is the first instant of that day. Raises EventError
    `unreadable_due`.
    """
    if promise.not_before is None:
        return None
    instant = _read(promise.not_before, data.get(promise.not_before), civil, _MIDNIGHT, None, None)
    return None if instant is None else nearest_instant(instant)


def _within(spec: DueWithin, civil: Civil, calendars: Calendars, opened_at: int, steps: list[str] | None) -> int:
    if spec.calendar is None:
        if steps is not None:
            steps.append(f"within {format_duration(spec.within_ms)} of elapsed time")
        return opened_at + spec.within_ms
    calendar = calendars.calendar(spec.calendar, civil.name)
    due = calendar.add_open(opened_at, spec.within_ms)
    if steps is not None:
        steps.extend(working_time(calendar, civil, opened_at, spec.within_ms, due))
    return due


def _plus(spec: DuePlus, civil: Civil, calendars: Calendars, opened_at: int, steps: list[str] | None) -> int:
    day, time_ms = civil.local(opened_at)
    if spec.cutoff_min is not None and spec.of is not None:
        day = _after_cutoff(spec.cutoff_min, calendars.calendar(spec.of, civil.name), opened_at, steps)
    calendar = calendars.calendar(spec.calendar, civil.name) if spec.calendar is not None else None
    if calendar is None:
        day += spec.days
        if steps is not None:
            steps.append(f"plus {spec.days} civil days: {day_text(day)}")
    else:
        start, day = day, calendar.next_open_day(day, spec.days)
        if steps is not None:
            steps.append(f"plus {spec.days} open days of {calendar.name!r}: {day_text(day)}")
            steps.extend(closed_days(calendar, start + 1 if spec.days else start, day))
    if spec.at is None:
        _say(steps, "at the same local time as the opening")
        return civil.instant(day, time_ms)
    return _at(spec.at, civil, calendar, day, steps)


def _after_cutoff(cutoff_min: int, calendar: Calendar, opened_at: int, steps: list[str] | None) -> int:
    """The day the opening counts for, by the clock of the place that has the cut-off."""
    day, time_ms = calendar.civil.local(opened_at)
    cutoff_ms = cutoff_min * MINUTE_MS
    in_time = borders.before_cutoff(time_ms, cutoff_ms)
    if in_time and calendar.is_open_day(day):
        if steps is not None:
            steps.append(
                f"before the cut-off of {calendar.name!r} at {clock_text(cutoff_ms)}: counts for {day_text(day)}"
            )
        return day
    counts_for = calendar.next_open_day(day)
    if steps is not None:
        why = f"{day_text(day)} is closed" if in_time else f"not before the cut-off at {clock_text(cutoff_ms)}"
        steps.append(f"{why}: counts for the next open day of {calendar.name!r}, {day_text(counts_for)}")
        steps.extend(closed_days(calendar, day if in_time else day + 1, counts_for))
    return counts_for


def _field(spec: DueField, civil: Civil, value: Any, steps: list[str] | None) -> int | None:
    due = _read(spec.field, value, civil, spec.at, None, steps)
    if due is not None and spec.offset_ms:
        _say(steps, f"moved by {format_duration(spec.offset_ms)}")
        due += spec.offset_ms
    return due


def _read(
    field: str, value: Any, civil: Civil, at: At | None, calendar: Calendar | None, steps: list[str] | None
) -> int | None:
    """The instant that stands in a payload field; a date alone takes `at` (None: the end of that day)."""
    if value is None:
        _say(steps, f"the payload has no {field}")
        return None
    if not isinstance(value, str):
        raise EventError("unreadable_due", f"{field}: found {value!r}, expected an RFC 3339 instant or a date")
    if steps is not None:
        steps.append(f"{field} in the payload is {value}")
    day = parse_date(value)
    if day is not None:
        return _at("end_of_day" if at is None else at, civil, calendar, day_of(day), steps)
    try:
        return parse_instant(value, civil.zone)
    except ValueError as problem:
        raise EventError("unreadable_due", f"{field}: {problem}") from None


def _at(at: At, civil: Civil, calendar: Calendar | None, day: int, steps: list[str] | None) -> int:
    if at == "end_of_day":
        _say(steps, "at the end of that day")
        return civil.end_of_day(day)
    if at == "closing":
        assert calendar is not None, "the book is refused when `at: closing` has no calendar"
        if steps is not None:
            steps.append(f"at the closing time of {calendar.name!r}")
        return calendar.hours(day)[1]
    if steps is not None:
        steps.append(f"at {clock_text(at * MINUTE_MS)}")
    return civil.instant(day, at * MINUTE_MS)


def _say(steps: list[str] | None, step: str) -> None:
    if steps is not None:
        steps.append(step)
