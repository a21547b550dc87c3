"""Which payload fields the promises of a book look at, by event type: what a fact keeps.

Everything a promise may ask of an event, whether it opens, keeps, ends or moves something, is noted here.
"""

from dataclasses import dataclass, field

from schemas.book_model import DueField, Expect, Forbid, Holds, Leave, Match, Promise


@dataclass(slots=True)
class Looked:
    """What is looked at in events of one type: all payload fields by dotted path; those of them that may be lists and
    objects, for conditions; and those that have to be instants, with the match of the events that need them.
    """

    fields: set[str] = field(default_factory=set)
    whole: set[str] = field(default_factory=set)
    instants: list[tuple[str, Match]] = field(default_factory=list)


def looked_at(promises: tuple[Promise, ...]) -> dict[str, Looked]:
    """By event type, for every type that a promise names."""
    looked: dict[str, Looked] = {}
    for promise in promises:
        _look(looked, promise)
        for opening in _openings(promise, promises):
            _look_at_opening(looked, promise, opening)
    return looked


def _openings(promise: Promise, promises: tuple[Promise, ...]) -> list[Match]:
    """What opens a promise; a remedy's opening is that of its cause, under any of its versions."""
    waiting, seen, found = [promise], {promise.id}, []
    while waiting:
        one = waiting.pop()
        if one.when.match is not None:
            found.append(one.when.match)
        cause = one.when.breach_of
        if cause is not None and cause not in seen:
            seen.add(cause)
            waiting += [other for other in promises if other.id == cause]
    return found


def _look(looked: dict[str, Looked], promise: Promise) -> None:
    goal = promise.goal
    for match in _matches(promise):
        _note(looked, match, {path for path, _ in match.where} | set(match.same))
        if match.condition is not None:
            _note_whole(looked, match.events, match.condition.fields.get("data", frozenset()))
    if isinstance(goal, Expect) and goal.distinct is not None:
        _note(looked, goal.match, {goal.distinct})
    if isinstance(goal, Holds):
        for alias, event in goal.aliases:
            _note_whole(looked, (event,), goal.condition.fields.get(alias, frozenset()))
    if promise.repromise is not None:
        _note_instant(looked, promise.repromise.match, promise.repromise.field)
        if promise.not_before is not None:
            _note_instant(looked, promise.repromise.match, promise.not_before)


def _look_at_opening(looked: dict[str, Looked], promise: Promise, opening: Match) -> None:
    goal, field_name = promise.goal, promise.when.field
    fields = {*promise.group_by, *([] if field_name is None else [field_name])}
    whole: set[str] = set()
    if isinstance(goal, Leave):
        fields.add(goal.field)
    for match in _matches(promise):
        fields.update(match.same)
        if match.condition is not None:
            whole |= match.condition.fields.get("opened", frozenset())
    if promise.impact is not None:
        for looked_into in promise.impact.fields.values():
            whole |= looked_into
    _note(looked, opening, fields)
    _note_whole(looked, opening.events, whole)
    if isinstance(promise.due, DueField):
        _note_instant(looked, opening, promise.due.field)
    if promise.not_before is not None:
        _note_instant(looked, opening, promise.not_before)


def _note(looked: dict[str, Looked], match: Match, fields: set[str]) -> None:
    for event in match.events:
        looked.setdefault(event, Looked()).fields.update(fields)


def _note_whole(looked: dict[str, Looked], events: tuple[str, ...], fields: frozenset[str] | set[str]) -> None:
    for event in events:
        one = looked.setdefault(event, Looked())
        one.fields.update(fields)
        one.whole.update(fields)


def _note_instant(looked: dict[str, Looked], match: Match, field_name: str) -> None:
    _note(looked, match, {field_name})
    for event in match.events:
        looked[event].instants.append((field_name, match))


def _matches(promise: Promise) -> list[Match]:
    goal = promise.goal
    found: list[Match | None] = [promise.when.match, promise.release]
    if isinstance(goal, Expect):
        found.append(goal.match)
    elif isinstance(goal, Forbid):
        found += [goal.match, goal.until]
    if promise.pause is not None:
        found += [promise.pause.start, promise.pause.until]
    if promise.repromise is not None:
        found.append(promise.repromise.match)
    return [match for match in found if match is not None]
