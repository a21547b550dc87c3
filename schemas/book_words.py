"""The parts of a promise book in words that people read who do not write books: one short text a part.

Two parts with equal words mean the same, and the other way round: `promisewatch diff` compares them.
"""

import json
from collections.abc import Iterable

from schemas.book_model import (
    At,
    Book,
    CalendarSpec,
    Const,
    DoubtPolicy,
    Due,
    DueField,
    DuePlus,
    DueWithin,
    Expect,
    FieldPath,
    Forbid,
    Holds,
    Leave,
    Match,
    Pause,
    Promise,
    Repromise,
    Scalar,
    Source,
    When,
)
from schemas.book_values import WEEKDAYS
from schemas.instants import format_duration, format_instant

Parts = dict[str, str]
"""By the part's name, what it says. A part that is not there is left out."""

TOLD = ("title", "severity", "audience", "template", "group_by", "impact", "owner", "journey", "step")
"""The parts of a promise that say how it is told of, not how it is judged."""


def promise_parts(promise: Promise) -> Parts:
    """Every part of one version but its id and number."""
    goal = promise.goal
    found = {
        "effective_from": "since ever" if promise.effective_from is None else format_instant(promise.effective_from),
        "title": promise.title,
        "key": promise.key,
        "timezone": promise.timezone,
        "when": when_words(promise.when),
        "due": due_words(promise.due),
    }
    if isinstance(goal, Forbid):
        found["forbid"] = match_words(goal.match) + (f", not {goal.count} times" if goal.count > 1 else "")
        found["until"] = "" if goal.until is None else match_words(goal.until)
    else:
        found["expect"] = goal_words(goal)
    found |= {
        "not_before": promise.not_before or "",
        "release": "" if promise.release is None else match_words(promise.release),
        "pause": "" if promise.pause is None else pause_words(promise.pause),
        "repromise": "" if promise.repromise is None else repromise_words(promise.repromise),
        "warn": ", ".join(sorted(warn.text for warn in promise.warn)),
        "retention": format_duration(promise.retention_ms),
        "orphan_ttl": format_duration(promise.orphan_ttl_ms),
        "skew": format_duration(promise.skew_ms),
        "severity": promise.severity,
        "audience": ", ".join(promise.audience),
        "template": promise.template or "",
        "group_by": ", ".join(promise.group_by),
        "impact": "" if promise.impact is None else promise.impact.text,
        "owner": promise.owner or "",
        "journey": promise.journey or "",
        "step": promise.step or "",
    }
    return {part: words for part, words in found.items() if words}


def when_words(when: When) -> str:
    """What opens the promise."""
    again = ", each time" if when.again else ", the first time"
    if when.match is None:
        return f"a breach of {when.breach_of}{again}"
    if when.enter:
        values = " or ".join(sorted(map(scalar_words, when.enter)))
        return f"{match_words(when.match)} when {when.field} becomes {values}{again}"
    field = "" if when.field is None else f" (status in {when.field})"
    return match_words(when.match) + field + again


def due_words(due: Due) -> str:
    """Until when."""
    if isinstance(due, DueWithin):
        amount = format_duration(abs(due.within_ms))
        before = " before it" if due.within_ms < 0 else ""
        return f"within {amount}{before}" + (f" of the open time of {due.calendar}" if due.calendar else "")
    if isinstance(due, DuePlus):
        days = "day" if due.days == 1 else "days"
        parts = [f"{due.days} open {days} of {due.calendar} later" if due.calendar else f"{due.days} {days} later"]
        parts.append("at the same time of day" if due.at is None else at_words(due.at))
        if due.cutoff_min is not None:
            parts.append(f"from {clock_words(due.cutoff_min)} on counted from the next open day of {due.of}")
        return ", ".join(parts)
    return field_words(due)


def field_words(due: DueField) -> str:
    """An instant in the event."""
    moved = ""
    if due.offset_ms:
        moved = f", {format_duration(abs(due.offset_ms))} {'before' if due.offset_ms < 0 else 'after'} it"
    at = "" if due.at is None else f", a date alone {at_words(due.at)}"
    return f"what {due.field} of the event says{moved}{at}"


def goal_words(goal: Expect | Leave | Holds) -> str:
    """What keeps the promise."""
    if isinstance(goal, Leave):
        return f"{goal.field} takes another value"
    if isinstance(goal, Holds):
        values = ", ".join(f"{alias} the newest {event}" for alias, event in sorted(goal.aliases))
        return f"{goal.condition.text} ({values})"
    words = [match_words(goal.match)]
    if goal.count > 1:
        words.append(times(goal.count))
    if goal.distinct:
        words.append(f"each with another {goal.distinct}")
    if goal.early:
        words.append("also before it opens")
    if goal.shared:
        words.append("one for several promises")
    return ", ".join(words)


def pause_words(pause: Pause) -> str:
    """While what the due stands still."""
    limit = format_duration(pause.max_ms)
    return f"from {match_words(pause.start)} until {match_words(pause.until)}, at most {limit}"


def repromise_words(repromise: Repromise) -> str:
    """What brings a new due."""
    return f"{match_words(repromise.match)} brings a new due in {repromise.field}, at most {times(repromise.max)}"


def match_words(match: Match) -> str:
    """Which events are meant."""
    words = " or ".join(sorted(match.events))
    conditions = [f"{path} is {scalar_words(value)}" for path, value in sorted(match.where, key=str)]
    conditions += [] if match.condition is None else [match.condition.text]
    conditions += [f"the same {path}" for path in sorted(match.same)]
    return words + (f" where {' and '.join(conditions)}" if conditions else "")


def calendar_parts(calendar: CalendarSpec) -> Parts:
    """Every part of one calendar but its name."""
    closes = calendar.close_min % 1440 if calendar.close_min > 1440 else calendar.close_min
    found = {
        "days": ", ".join(WEEKDAYS[day] for day in sorted(calendar.days)),
        "hours": f"{clock_words(calendar.open_min)}-{clock_words(closes)}",
        "holidays": calendar.holidays or "",
        "add": dates(calendar.add),
        "remove": dates(calendar.remove),
        "timezone": calendar.timezone or "",
    }
    return {part: words for part, words in found.items() if words}


def source_parts(source: Source) -> Parts:
    """Every part of one source but its name."""
    found = {
        "topic": source.topic,
        "format": source.format,
        "id": place_words(source.id),
        "type": place_words(source.type),
        "time": place_words(source.time),
        "data": place_words(source.data),
        "events": "any" if source.events is None else ", ".join(sorted(source.events)),
        "settle": format_duration(source.settle_ms),
        "frontier": source.frontier,
        "heartbeat": "" if source.heartbeat_ms is None else format_duration(source.heartbeat_ms),
        "doubt": doubt_words(source.doubt),
        "withdraws": place_words(source.withdraws),
    }
    return {part: words for part, words in found.items() if words}


def doubt_words(doubt: DoubtPolicy) -> str:
    """What brings a source into doubt, and for how long."""
    limits = ((doubt.dead_letters, "dead letters"), (doubt.late, "late facts"))
    kinds = [f"{limit} {kind}" for limit, kind in limits if limit is not None]
    if not kinds:
        return "never"
    return f"{' or '.join(kinds)} within {format_duration(doubt.window_ms)}, at least {doubt.share}% of all"


def book_parts(book: Book) -> Parts:
    """What holds for the whole book, but for what promises and sources take from it."""
    return {"timezone of events": book.timezone} if book.timezone else {}


def place_words(place: FieldPath | Const | None) -> str:
    """Where a value stands in an event, or which it always is."""
    if place is None:
        return ""
    return place.text if isinstance(place, FieldPath) else f"always {scalar_words(place.value)}"


def scalar_words(value: Scalar) -> str:
    """A value as JSON: text in quotes, so that "1" is not 1."""
    return json.dumps(value, ensure_ascii=False)


def at_words(at: At) -> str:
    """The instant of the due day."""
    if at == "end_of_day":
        return "at the end of the day"
    return "at closing time" if at == "closing" else f"at {clock_words(at)}"


def clock_words(minutes: int) -> str:
    """A time of day; the end of the day is 24:00."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def times(count: int) -> str:
    """Once, or so many times."""
    return "once" if count == 1 else f"{count} times"


def dates(days: Iterable[object]) -> str:
    """Dates in their order."""
    return ", ".join(sorted(map(str, days)))
