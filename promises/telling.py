"""What is published about a cycle of the whole language, and the sentence that a service employee can read out.

The counterpart of `promises/publishing.py` and `promises/explaining.py`, which tell of simple promises.
"""

from promises import borders
from promises.cycles import OUTCOME, OUTCOME_KINDS, RETRACTED, Change
from promises.ids import event_id
from promises.terms import Terms
from promises.verdicts import BREACHED, LATE
from promises.wording import moment_text, span_text, subject_text
from schemas.book_model import Expect, Forbid, Holds, Leave
from schemas.facts import Fact, Subject
from schemas.publications import Publication
from schemas.records import Cycle


def telling(
    terms: Terms,
    subject: Subject,
    cycle: Cycle,
    opening: Fact,
    facts: list[Fact],
    change: Change,
    n: int,
    outcome_n: int,
    *,
    breached_at: int | None,
    paused_ms: int,
    warn: tuple[str, int] | None,
) -> Publication:
    """What is published about `change`: the cycle has it counted already, `facts` are all that were known.

    `opening` is the fact that opened the cycle or its cause, `n` and `outcome_n` the numbers that the two ids carry,
    `warn` the warning as the book spells it and its instant.
    """
    promise, due, status = terms.promise, cycle.due, change.status
    name = (promise.id, *subject, cycle.source, cycle.opening)
    outcome_id = event_id(*name, OUTCOME_KINDS[status], due, outcome_n)
    text, risk_at = (None, None) if warn is None else warn
    announced = change.kind != OUTCOME
    late_by_ms = change.fulfilled_at - due if status == LATE and change.fulfilled_at is not None else None
    return Publication(
        kind=change.kind,
        id=event_id(*name, change.kind, due, n, text or "") if announced else outcome_id,
        outcome_id=outcome_id,
        promise=promise.id,
        version=promise.version,
        title=promise.title,
        severity=promise.severity,
        key=subject.key,
        subject=subject.value,
        cycle=cycle.opening,
        opening=opening,
        opened_at=cycle.opened_at,
        due=due,
        breached_at=breached_at,
        fulfilled_at=change.fulfilled_at,
        late_by_ms=late_by_ms,
        status=status,
        revision=cycle.revision,
        expected=expected(terms, opening),
        facts=tuple(facts),
        reason=change.reason,
        explain=sentence(terms, subject, cycle, opening, facts, change, breached_at, paused_ms) if announced else "",
        timezone=promise.timezone,
        first_due=cycle.base_due,
        paused_ms=paused_ms,
        impact=impact(terms, opening),
        group={
            path: opening.data[path]
            for path in promise.group_by
            if path in opening.data and not isinstance(opening.data[path], list | dict)
        },
        warn=text,
        risk_at=risk_at,
    )


def impact(terms: Terms, opening: Fact) -> str | float | int | None:
    """What a breach is worth by the book; None if it does not say so, or it cannot be told of this opening."""
    condition = terms.promise.impact
    if condition is None:
        return None
    seen = {"data": opening.data, "opened": opening.data, "type": opening.type, "time": opening.time}
    return condition.value(seen)


def expected(terms: Terms, opening: Fact) -> str:
    """What is awaited, in words: an event, a status to be left, values that agree, or that something does not come."""
    goal = terms.goal
    if isinstance(goal, Leave):
        return f"{goal.field} to leave {opening.data.get(goal.field)}"
    if isinstance(goal, Holds):
        return goal.condition.text
    events = " or ".join(goal.match.events)
    if isinstance(goal, Forbid):
        return f"no {events}" if goal.count == 1 else f"less than {goal.count} times {events}"
    if goal.count == 1:
        return events
    return f"{goal.count} times {events}" + (f" of different {goal.distinct}" if goal.distinct else "")


def sentence(
    terms: Terms,
    subject: Subject,
    cycle: Cycle,
    opening: Fact,
    facts: list[Fact],
    change: Change,
    breached_at: int | None,
    paused_ms: int,
) -> str:
    """What was promised, until when, and what came of it, in the local time of the promise's zone."""
    who = f"{subject_text(*subject)}: '{terms.promise.title}'"
    due = _due_text(terms, cycle, paused_ms)
    if change.kind == RETRACTED:
        return f"{who} is no longer broken ({_was(terms)} {due}); {_why_retracted(terms, opening, change)}."
    if change.kind == BREACHED:
        if isinstance(terms.goal, Forbid):
            assert breached_at is not None, "what is broken was broken at some time"
            return f"{who} promised {expected(terms, opening)} until {due}; it came {_moment(terms, breached_at)}."
        return f"{who} was due {due}; {_missing(terms, opening)}. {_last_seen(terms, cycle, facts)}."
    if change.kind == LATE:
        assert change.fulfilled_at is not None, "a late fulfilment has an instant"
        late_by = span_text(change.fulfilled_at - cycle.due)
        return f"{who} was due {due}; {_came(terms, opening)} {_moment(terms, change.fulfilled_at)}, {late_by} late."
    return f"{who} is due {due}; so far {_missing(terms, opening, '')}. {_last_seen(terms, cycle, facts)}."


def _due_text(terms: Terms, cycle: Cycle, paused_ms: int) -> str:
    parts = [f"{_moment(terms, cycle.due)} ({terms.civil.name})"]
    if cycle.base_due != cycle.due:
        parts.append(f"first promised {_moment(terms, cycle.base_due)}")
    if paused_ms:
        parts.append(f"paused for {span_text(paused_ms)}")
    return ", ".join(parts)


def _was(terms: Terms) -> str:
    return "it was to hold until" if isinstance(terms.goal, Forbid) else "it was due"


def _missing(terms: Terms, opening: Fact, by_then: str = " by then") -> str:
    goal = terms.goal
    if isinstance(goal, Leave):
        return f"{goal.field} was still {opening.data.get(goal.field)}{by_then}"
    if isinstance(goal, Holds):
        return f"{goal.condition.text} did not hold{by_then}"
    if isinstance(goal, Expect) and goal.count > 1:
        return f"not all of {expected(terms, opening)}{by_then}"
    if isinstance(goal, Forbid):
        return expected(terms, opening)
    return f"no {expected(terms, opening)}{by_then}"


def _came(terms: Terms, opening: Fact) -> str:
    goal = terms.goal
    if isinstance(goal, Leave):
        return f"{goal.field} left {opening.data.get(goal.field)}"
    if isinstance(goal, Holds):
        return f"{goal.condition.text} held from"
    if isinstance(goal, Expect) and goal.count > 1:
        return f"the last of {expected(terms, opening)} came"
    return f"{expected(terms, opening)} came"


def _why_retracted(terms: Terms, opening: Fact, change: Change) -> str:
    if change.reason == "fulfilled_in_time" and change.fulfilled_at is not None:
        return f"{_came(terms, opening)} in time, {_moment(terms, change.fulfilled_at)}, but was known late"
    return {
        "released_in_time": "what ended it came in time, but was known late",
        "opening_changed": f"it was not {opening.type} {opening.id} that opened it",
        "due_moved": "it turned out to be due at another time, which is not over",
        "moved_before_itself": "it was promised again for a time that had passed already",
        "cause_retracted": f"'{terms.promise.when.breach_of}', whose breach it was to make good, is not broken",
    }.get(change.reason or "", "what had broken it was taken back, or allowed")


def _last_seen(terms: Terms, cycle: Cycle, facts: list[Fact]) -> str:
    for fact in reversed(facts):
        if borders.in_time(fact.time, cycle.due):
            return f"Last seen: {fact.type} {moment_text(terms.civil, fact.time, year=False)}"
    return "Nothing was seen by then"


def _moment(terms: Terms, instant: int) -> str:
    return moment_text(terms.civil, instant)
