"""The steps of an account in words: what happened to a cycle, by which event, and how its due came about."""

from promises.accounts import Refusal
from promises.calendars import Calendars
from promises.courses import Course
from promises.dues import compute_due, due_from
from promises.listening import Lived, Step
from promises.standing_words import local_text, values_of
from promises.wording import span_text
from promisewatch.matches import opening_text
from schemas.book_model import DueField, DuePlus, DueWithin, Expect, Forbid
from schemas.errors import EventError
from schemas.facts import Fact

WHY_REFUSED = {
    "not_effective": "no version of the promise was in force then",
    "before_known": "it lies before everything is known",
    "too_old": "it is older than what is kept",
    "no_due": "its payload names no due",
    "born_overdue": "its due would lie before it, and the promise does not say `early: true`",
    "unreadable_due": "the due in its payload cannot be read",
    "calendar_closed": "the calendar does not open for so long",
    "opened_already": "the promise opens once, and had opened before",
    "condition_unclear": "its condition cannot be told: a field is missing, or of another kind",
    "not_entered": "the status was that already",
}
WHY_IGNORED = {
    "before_opening": "it is dated before the opening",
    "after_due": "it is dated after the due",
    "moved_enough": "it had been promised again as often as it may",
    "no_due": "its payload names no due",
    "paused_already": "the promise stood still already",
    "before_not_before": "it is dated before the earliest instant that counts",
    "no_value": "it lacks the field by which fulfilments are told apart",
    "counted_already": "the same value has been counted",
    "kept_another": "it kept another cycle of the promise",
    "condition_unclear": "the condition cannot be told: a field is missing, or of another kind",
}
ROLE_NAMES = {"expect": "fulfilment", "release": "release", "repromise": "re-promise", "pause": "pause"}


def refusal_text(refusal: Refusal) -> str:
    """Why an event opened nothing, as a sentence without its subject."""
    text = WHY_REFUSED.get(refusal.reason, refusal.reason)
    if refusal.reason == "condition_unclear" and refusal.terms is not None:
        return f"{text} ({opening_text(refusal.terms.promise.when)})"
    return text


def steps_of(lived: Lived, step: Step, calendars: Calendars) -> tuple[str, list[str]]:
    """One step as a sentence, and how the due came about if the step set it."""
    course = lived.course
    event = "" if step.fact is None else f"{step.fact.type} {step.fact.id}"
    due = f"due {local_text(course, step.due)}"
    if step.kind == "opened":
        opened = f"{event} opens it" if lived.cause is None else f"the breach of {lived.cause} opens it"
        return f"{opened}: {due}", _due_steps(course, course.opening, calendars)
    if step.kind == "joined" and step.fact is not None:
        return f"{event} joins it: {due}", _due_steps(course, step.fact, calendars)
    if step.kind == "moved" and step.fact is not None:
        return f"{event} promises again: {due}", _moved_steps(course, step.fact, calendars)
    details = values_of(lived) if step.kind in ("agreed", "agreed_late") else []
    return _pause_text(course, step, event) or _other_text(course, step, event), details


def _pause_text(course: Course, step: Step, event: str) -> str | None:
    pause = course.terms.promise.pause
    if step.kind == "paused" and pause is not None:
        until = local_text(course, step.at + pause.max_ms)
        return f"{event} pauses it: no due while that lasts, until {until} at most"
    if step.kind in ("resumed", "pause_ran_out") and step.since is not None:
        by = f"{event} ends the pause" if step.kind == "resumed" else "the pause ends by itself, having lasted its max"
        return (
            f"{by}, which had lasted {span_text(step.at - step.since)} since {local_text(course, step.since)}: "
            f"counted as {_counted_as(course)}, due {local_text(course, step.due)}"
        )
    return None


def _other_text(course: Course, step: Step, event: str) -> str:
    if step.kind == "ignored":
        role, _, why = (step.why or "").partition(": ")
        return f"{event} is no {ROLE_NAMES[role]} of it: {WHY_IGNORED[why]}"
    goal = course.terms.goal
    of = f" ({step.number} of {goal.count})" if isinstance(goal, Expect | Forbid) and goal.count > 1 else ""
    late = span_text(step.at - step.due) if step.at > step.due else ""
    return {
        "counted": f"{event} counts{of}",
        "fulfilled": f"{event} keeps it{of}",
        "fulfilled_late": f"{event} fulfils it{of}, {late} late",
        "agreed": "the values agree: kept",
        "agreed_late": f"the values agree, {late} late",
        "allowed": f"{event} allows from here on what was forbidden: kept",
        "released": f"{event} releases it",
        "moved_before_itself": f"{event} promises it for a time that had passed: released",
        "forbidden": f"{event} is what was forbidden{of}",
    }[step.kind]


def _due_steps(course: Course, opening: Fact, calendars: Calendars) -> list[str]:
    """The steps between the opening and the due."""
    try:
        return compute_due(course.terms.promise, calendars, opening, explain=True).steps[1:-1]
    except EventError:
        return []


def _moved_steps(course: Course, moving: Fact, calendars: Calendars) -> list[str]:
    steps: list[str] = []
    try:
        due_from(course.terms.promise, course.terms.civil, calendars, moving.data, steps)
    except EventError:
        return []
    return steps


def _counted_as(course: Course) -> str:
    """How paused time moves the due, as `promises/pauses.py` counts it."""
    due = course.terms.promise.due
    if isinstance(due, DueWithin | DuePlus) and due.calendar is not None:
        return f"open time of {due.calendar!r}"
    if isinstance(due, DuePlus):
        return "time by the clock on the wall"
    assert isinstance(due, DueWithin | DueField), "there are three kinds of due"
    return "elapsed time"
