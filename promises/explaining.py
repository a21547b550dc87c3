"""One sentence about a published breach that a service employee can read to a customer."""

from promises import borders
from promises.cycles import FULFILLED_IN_TIME, OPENING_CHANGED, RETRACTED, Change
from promises.rules import Rule
from promises.verdicts import BREACHED
from promises.wording import moment_text, span_text, subject_text
from schemas.facts import Fact, Subject
from schemas.records import Cycle


def explain(rule: Rule, subject: Subject, cycle: Cycle, facts: list[Fact], change: Change) -> str:
    """What was promised, until when, and what came of it, in the local time of the promise's zone."""
    civil = rule.civil
    due = f"{moment_text(civil, cycle.due)} ({civil.name})"
    who = subject_text(*subject)
    title = f"'{rule.promise.title}'"
    if change.kind == RETRACTED:
        return f"{who}: {title} is no longer broken (it was due {due}); {_why_retracted(rule, cycle, facts, change)}."
    if change.kind == BREACHED:
        return f"{who}: {title} was due {due}; no {rule.expect_event} by then. {_last_seen(rule, cycle, facts)}."
    assert change.fulfilled_at is not None, "a late fulfilment has an instant"
    came = moment_text(civil, change.fulfilled_at)
    late_by = span_text(change.fulfilled_at - cycle.due)
    return f"{who}: {title} was due {due}; {rule.expect_event} came {came}, {late_by} late."


def _why_retracted(rule: Rule, cycle: Cycle, facts: list[Fact], change: Change) -> str:
    if change.reason == OPENING_CHANGED:
        return f"it was not {rule.when_event} {cycle.opening} that opened it"
    if change.reason == FULFILLED_IN_TIME and change.fulfilled_at is not None:
        return f"{rule.expect_event} came in time, {moment_text(rule.civil, change.fulfilled_at)}, but was known late"
    release = rule.first_release(facts, cycle.opened_at, cycle.due)
    when = f" {moment_text(rule.civil, release.time)}" if release is not None else ""
    event = rule.release_event or "a release"
    return f"{event} ended it in time,{when}, but was known late"


def _last_seen(rule: Rule, cycle: Cycle, facts: list[Fact]) -> str:
    for fact in reversed(facts):
        if borders.in_time(fact.time, cycle.due):
            return f"Last seen: {fact.type} {moment_text(rule.civil, fact.time, year=False)}"
    return "Nothing was seen by then"
