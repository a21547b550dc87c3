"""What happens to courses while they are run, step by step: the account's ear at `promises/judging.py`.

A course does not tell what it does. It is asked after each instant what it knows, and what has changed is put down to
the fact that was meant for that part of the promise.
"""

from typing import Final, Literal, NamedTuple

from promises import borders
from promises.courses import FOREVER, Course
from promises.ignoring import role_of, why_ignored
from promises.judging import Standing, standing
from schemas.book_model import Expect, Forbid, Holds, Leave
from schemas.facts import Fact

StepKind = Literal[
    "opened", "joined", "moved", "moved_before_itself", "paused", "resumed", "pause_ran_out", "counted", "fulfilled",
    "fulfilled_late", "agreed", "agreed_late", "allowed", "released", "forbidden", "ignored",
]  # fmt: skip


ENDINGS: Final = frozenset(
    {"moved_before_itself", "fulfilled", "fulfilled_late", "agreed", "agreed_late", "allowed", "released", "forbidden"}
)
"""The steps that end a cycle."""


class Step(NamedTuple):
    """What happened to a cycle at an instant (UTC ms), by which fact, and the due in force afterwards.

    `why` says why a fact was ignored; `since` is when a pause that ends had begun; `number` counts fulfilments, or
    forbidden events. While a pause lasts, the due is the one that holds if it lasts as long as it may.
    """

    at: int
    kind: StepKind
    fact: Fact | None
    due: int
    why: str | None = None
    since: int | None = None
    number: int = 0


class Lived(NamedTuple):
    """One cycle: its course, how it stands, and its steps in the order of time.

    `paused_since` and `runs_out_at` tell of a pause that lasts. `cause` is the promise whose breach opened it. `values`
    are the newest facts of each alias of `holds`, when they agreed or else last of all.
    """

    course: Course
    standing: Standing
    steps: list[Step]
    paused_since: int | None
    runs_out_at: int | None
    cause: str | None
    values: dict[str, Fact]


class _Known:
    """What a course knew when it was last looked at."""

    __slots__ = ("due", "ended", "moves", "not_before", "paused_since", "taken")

    def __init__(self, course: Course) -> None:
        self.ended = False
        self.due = course.due_base
        self.moves = 0
        self.taken = 0
        self.not_before = course.not_before
        self.paused_since: int | None = None


class Listener:
    """Hears what courses know after each instant, and tells what has changed since."""

    def __init__(self, facts: list[Fact]) -> None:
        self.facts = facts
        self.joined: set[tuple[str, str]] = set()
        self._known: dict[tuple[str, str], _Known] = {}
        self._steps: dict[tuple[str, str], list[Step]] = {}

    def instant(self, group: list[Fact], courses: list[Course]) -> None:
        """An instant is over, at which these facts are dated."""
        used: set[tuple[str, str]] = set()
        late_last = sorted(courses, key=lambda course: (course.late_at is not None, course.due, course.place))
        changed = {id(course) for course in late_last if self._changed(course, group, used)}
        for course in courses:
            known = self._of(course)
            if not known.ended:
                self._ignored(course, known, group, used, changed=id(course) in changed)
                self._remember(course, known)

    def lived(self, course: Course, frontier: int, cause: str | None) -> Lived:
        """A course that is over, with the steps it took; a pause that ran out before the frontier has ended."""
        known = self._of(course)
        steps = self._steps[course.opening.member]
        since, pause = known.paused_since, course.terms.promise.pause
        until = None
        if since is not None and pause is not None and not course.ended:
            until = since + pause.max_ms
            if borders.overdue(until, frontier):
                steps.append(Step(until, "pause_ran_out", None, course.due, since=since))
                since = until = None
        steps.sort(key=lambda step: step.at)
        found = standing(course, passed=borders.overdue(course.resolve_at, frontier))
        return Lived(course, found, steps, None if course.ended else since, until, cause, self._values(course))

    def ran(self, course: Course, time: int) -> bool:
        """Whether a cycle was running at an instant, the one at which it ended included."""
        steps = self._steps[course.opening.member]
        ends = [step.at for step in steps if step.kind in ENDINGS]
        return course.opening.time <= time <= min([*ends, course.due])

    def _values(self, course: Course) -> dict[str, Fact]:
        goal = course.terms.goal
        if not isinstance(goal, Holds):
            return {}
        agreed_at = course.late_at if course.fulfilled_at is None else course.fulfilled_at
        newest = {fact.type: fact for fact in self.facts if agreed_at is None or fact.time <= agreed_at}
        return {alias: newest[event] for alias, event in goal.aliases if event in newest}

    def _of(self, course: Course) -> _Known:
        name = course.opening.member
        if name not in self._known:
            self._known[name] = _Known(course)
            self._steps[name] = [Step(course.opening.time, "opened", course.opening, course.due_base)]
        return self._known[name]

    def _remember(self, course: Course, known: _Known) -> None:
        known.ended, known.due, known.moves = course.ended, course.due, course.moves
        known.taken, known.not_before = course.taken, course.not_before

    def _changed(self, course: Course, group: list[Fact], used: set[tuple[str, str]]) -> bool:
        """Tell what has become of a course at an instant; whether anything has."""
        known, steps = self._of(course), self._steps[course.opening.member]
        if known.ended:
            return False
        before = len(steps)
        time, goal = group[0].time, course.terms.goal
        pause = course.terms.promise.pause
        if known.paused_since is not None and pause is not None and time >= known.paused_since + pause.max_ms:
            steps.append(
                Step(known.paused_since + pause.max_ms, "pause_ran_out", None, course.due, since=known.paused_since)
            )
            known.paused_since = None
        self._counted(course, known, group, used, steps)
        if course.until_at is not None:
            steps.append(Step(time, "allowed", role_of("until", course, group), course.due))
        elif course.released == "released_in_time":
            steps.append(Step(time, "released", role_of("release", course, group), course.due))
        elif course.released is not None:
            steps.append(Step(time, "moved_before_itself", role_of("repromise", course, group), course.due))
        elif course.ended and isinstance(goal, Holds):
            kind: StepKind = "agreed" if course.late_at is None else "agreed_late"
            steps.append(Step(time, kind, None, course.due))
        elif course.ended and isinstance(goal, Leave):
            kind = "fulfilled" if course.late_at is None else "fulfilled_late"
            steps.append(Step(time, kind, role_of("expect", course, group), course.due, number=1))
        if not course.ended:
            self._paused(course, known, group, steps)
        return len(steps) > before

    def _counted(
        self, course: Course, known: _Known, group: list[Fact], used: set[tuple[str, str]], steps: list[Step]
    ) -> None:
        """Fulfilments that count, or forbidden events."""
        goal, time = course.terms.goal, group[0].time
        role = "forbid" if isinstance(goal, Forbid) else "expect"
        taken = course.taken - known.taken
        if not taken:
            return
        shared = isinstance(goal, Forbid) or (isinstance(goal, Expect) and goal.shared)
        free = [fact for fact in group if shared or fact.member not in used]
        meant = [fact for fact in free if role_of(role, course, [fact]) is not None]
        for index, fact in enumerate(meant[:taken]):
            used.add(fact.member)
            last = course.ended and index == taken - 1
            kind: StepKind = "counted"
            if last and course.forbidden_at is not None:
                kind = "forbidden"
            elif last and (course.fulfilled_at is not None or course.late_at is not None):
                kind = "fulfilled" if course.late_at is None else "fulfilled_late"
            steps.append(Step(time, kind, fact, course.due, number=known.taken + index + 1))

    def _paused(self, course: Course, known: _Known, group: list[Fact], steps: list[Step]) -> None:
        """A pause that ends or begins, a re-promise, a join: what moves the due."""
        time = group[0].time
        if course.moves > known.moves:
            steps.append(Step(time, "moved", role_of("repromise", course, group), course.due))
        elif isinstance(course.terms.goal, Holds) and course.due_since == time and course.due != known.due:
            joining = _latest_due(course, group)
            if joining is not None:
                self.joined.add(joining.member)
                steps.append(Step(time, "joined", joining, course.due))
        stands_still = course.due_at(time) == FOREVER
        if known.paused_since is not None and not stands_still:
            fact = role_of("pause.until", course, group)
            steps.append(Step(time, "resumed", fact, course.due, since=known.paused_since))
            known.paused_since = None
        elif known.paused_since is None and stands_still:
            known.paused_since = time
            steps.append(Step(time, "paused", role_of("pause", course, group), course.due))

    def _ignored(
        self, course: Course, known: _Known, group: list[Fact], used: set[tuple[str, str]], *, changed: bool
    ) -> None:
        """Facts that might have done something to a cycle that ran, and did not."""
        if changed:
            return
        steps = self._steps[course.opening.member]
        for fact in group:
            why = why_ignored(course, fact, known.not_before, elsewhere=fact.member in used)
            if why is not None:
                steps.append(Step(fact.time, "ignored", fact, course.due, why=why))


def _latest_due(course: Course, group: list[Fact]) -> Fact | None:
    """Of several openings that join a cycle at one instant, the one that moves its due."""
    opening, terms = course.opening.member, course.terms
    dues = [
        (due, fact)
        for fact in group
        if fact.member != opening and fact.type in terms.opening_types and (due := terms.due_or_none(fact)) is not None
    ]
    return max(dues, key=lambda one: one[0])[1] if dues else None
