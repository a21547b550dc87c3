"""Putting a change of verdict into the form in which it is published."""

from promises.cycles import OUTCOME, OUTCOME_KINDS, Change
from promises.explaining import explain
from promises.ids import event_id
from promises.rules import Rule
from promises.verdicts import BREACHED, LATE
from schemas.facts import Fact, Subject
from schemas.publications import Publication
from schemas.records import Cycle


def publication(
    rule: Rule, subject: Subject, cycle: Cycle, opening: Fact, facts: list[Fact], change: Change, n: int, outcome_n: int
) -> Publication:
    """What is published about `change`: the cycle has it counted already, `facts` are all that were known.

    `n` and `outcome_n` are the numbers that the two ids carry.
    """
    promise = rule.promise
    key, value = subject
    source, due = cycle.source, cycle.due
    status = change.status
    outcome_id = event_id(promise.id, key, value, source, cycle.opening, OUTCOME_KINDS[status], due, outcome_n)
    announced = change.kind != OUTCOME
    late_by_ms = None
    if status == LATE and change.fulfilled_at is not None:
        late_by_ms = change.fulfilled_at - due
    return Publication(
        kind=change.kind,
        id=event_id(promise.id, key, value, source, cycle.opening, change.kind, due, n) if announced else outcome_id,
        outcome_id=outcome_id,
        promise=promise.id,
        version=promise.version,
        title=promise.title,
        severity=promise.severity,
        key=key,
        subject=value,
        cycle=cycle.opening,
        opening=opening,
        opened_at=cycle.opened_at,
        due=due,
        breached_at=due if status in (BREACHED, LATE) else None,
        fulfilled_at=change.fulfilled_at,
        late_by_ms=late_by_ms,
        status=status,
        revision=cycle.revision,
        expected=rule.expect_event,
        facts=tuple(facts),
        reason=change.reason,
        explain=explain(rule, subject, cycle, facts, change) if announced else "",
        timezone=promise.timezone,
    )
