"""Whether facts that one text of a promise looks at were kept while another was in force.

Only facts that mean something to a promise are stored, and only the payload fields it names. A text that looks at more
than the one a cycle ran under does not know what came before it.
"""

import dataclasses

from schemas.book_model import Expect, Forbid, Holds, Leave, Match, Promise
from schemas.looks import looked_at


def unseen(target: Promise, pinned: Promise) -> list[str]:
    """The event types of which `target` looks at facts, or fields of them, that `pinned` may not have kept; sorted."""
    kept = _served(pinned)
    found = {event for match in _served(target) for event in match.events if not _is_kept(match, event, kept)}
    before = looked_at((_judging(pinned),))
    for event, looked in looked_at((_judging(target),)).items():
        if event not in before or looked.fields - before[event].fields or looked.whole - before[event].whole:
            found.add(event)
    return sorted(found)


def _is_kept(match: Match, event: str, kept: list[Match]) -> bool:
    """Whether every fact of a type that a match means is meant by one of the others too."""
    text = None if match.condition is None else match.condition.text
    return any(
        event in one.events
        and set(one.where) <= set(match.where)
        and (one.condition is None or one.condition.text == text)
        for one in kept
    )  # fmt: skip


def _served(promise: Promise) -> list[Match]:
    """Which facts matter to a cycle that runs."""
    goal = promise.goal
    found: list[Match | None] = [promise.release]
    if isinstance(goal, Expect):
        found.append(goal.match)
    elif isinstance(goal, Forbid):
        found += [goal.match, goal.until]
    elif isinstance(goal, Holds):
        found += [Match((event,)) for _, event in goal.aliases]
    elif isinstance(goal, Leave):
        found.append(promise.when.match)
    if promise.pause is not None:
        found += [promise.pause.start, promise.pause.until]
    if promise.repromise is not None:
        found.append(promise.repromise.match)
    return [match for match in found if match is not None]


def _judging(promise: Promise) -> Promise:
    """The promise without what only a breach's event tells."""
    return dataclasses.replace(promise, impact=None, group_by=())
