"""How a cycle stands and why, in one sentence, and what it waits for: for accounts and for answers about a subject."""

import msgspec

from promises.courses import Course
from promises.listening import ENDINGS, Lived
from promises.telling import expected
from promises.verdicts import BREACHED, HELD, KEPT, LATE, OPEN, RELEASED
from promises.wording import moment_text, span_text
from schemas.book_model import Expect, Forbid, Holds, Leave


def verdict_text(lived: Lived) -> str:
    """How a cycle stands and why, as a sentence."""
    course, found = lived.course, lived.standing
    by = next((step.fact for step in reversed(lived.steps) if step.kind in ENDINGS), None)
    named = "" if by is None else f"{by.type} {by.id}"
    due = f"{local_text(course, course.due)} ({course.terms.civil.name})"
    if found.status == RELEASED:
        return f"released by {named}"
    if found.status == KEPT:
        return _kept_text(course, found.fulfilled_at, named, due)
    if found.status in (BREACHED, LATE):
        return _broken_text(lived, named, due)
    if found.status == HELD:
        return _held_text(lived, due)
    return _open_text(lived, due)


def _broken_text(lived: Lived, named: str, due: str) -> str:
    course, fulfilled_at = lived.course, lived.standing.fulfilled_at
    what = expected(course.terms, course.opening)
    if fulfilled_at is not None:
        by = "" if isinstance(course.terms.goal, Holds) else f" by {named}"
        late = span_text(fulfilled_at - course.due)
        return f"fulfilled {late} late{by}, {local_text(course, fulfilled_at)}; it was due {due}"
    if course.forbidden_at is not None:
        return f"broken by {named}, {local_text(course, course.forbidden_at)}: {what} was promised until {due}"
    return f"broken: due {due}, and by then {_missing(lived, what)}"


def _held_text(lived: Lived, due: str) -> str:
    what = expected(lived.course.terms, lived.course.opening)
    so_far = what if isinstance(lived.course.terms.goal, Forbid) else f"so far {_missing(lived, what)}"
    return f"held: due {due}, {so_far}; events from before then expired unread, so nobody can tell"


def _open_text(lived: Lived, due: str) -> str:
    course = lived.course
    what = expected(course.terms, course.opening)
    if lived.paused_since is not None and lived.runs_out_at is not None:
        since, until = local_text(course, lived.paused_since), local_text(course, lived.runs_out_at)
        return f"open: it stands still since {since}, until {until} at most; then due {due}"
    if isinstance(course.terms.goal, Forbid):
        seen = "" if course.forbidden_at is None else ", though that has come: it is not yet proved"
        return f"open: {what} until {due}{seen}"
    if course.late_at is not None:
        late = span_text(course.late_at - course.due)
        came = "the values agreed" if isinstance(course.terms.goal, Holds) else f"{what} had come"
        return f"open: due {due}; {came} {late} late, and that it was not in time is not yet proved"
    return f"open: due {due}, so far {_missing(lived, what)}"


def _kept_text(course: Course, fulfilled_at: int | None, named: str, due: str) -> str:
    goal = course.terms.goal
    if isinstance(goal, Forbid):
        if course.until_at is not None:
            return f"kept: {named} came before anything forbidden, {local_text(course, course.until_at)}"
        return f"kept: nothing forbidden came until {due}"
    assert fulfilled_at is not None, "what is kept was fulfilled at some time"
    by = ": the values agreed" if isinstance(goal, Holds) else f" by {named}"
    return f"kept{by}, {local_text(course, fulfilled_at)}; it was due {due}"


def _missing(lived: Lived, what: str) -> str:
    course, goal = lived.course, lived.course.terms.goal
    if isinstance(goal, Leave):
        return f"{goal.field} is still {course.opening.data.get(goal.field)}"
    if isinstance(goal, Holds):
        return f"{what} does not hold ({', '.join(values_of(lived)) or 'nothing is known of them'})"
    if isinstance(goal, Expect) and goal.count > 1:
        return f"{course.taken} of {what}"
    return f"no {what}"


def values_of(lived: Lived) -> list[str]:
    """What the aliases of `holds` stand for: `p.cents = 100 of payment.charged p`; only what the condition looks at."""
    goal = lived.course.terms.goal
    if not isinstance(goal, Holds):
        return []
    found = []
    for alias, event in goal.aliases:
        fact = lived.values.get(alias)
        for path in sorted(goal.condition.fields.get(alias, ())):
            if fact is None or path not in fact.data:
                found.append(f"no {alias}.{path} of {event}")
            else:
                value = msgspec.json.encode(fact.data[path]).decode()
                found.append(f"{alias}.{path} = {value} of {event} {fact.id}")
    return found


def awaited(lived: Lived) -> str | None:
    """What is still to come, or is not to come; None where it no longer matters."""
    course, goal = lived.course, lived.course.terms.goal
    if lived.standing.status not in (OPEN, BREACHED, HELD):
        return None
    if lived.standing.status == BREACHED and isinstance(goal, Forbid):
        return None
    what = expected(course.terms, course.opening)
    if isinstance(goal, Expect | Forbid) and goal.count > 1:
        return f"{what} ({course.taken} so far)"
    return what


def local_text(course: Course, instant: int) -> str:
    """An instant on the clock of the promise's zone."""
    return moment_text(course.terms.civil, instant)
