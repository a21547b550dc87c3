"""The course of one cycle: what becomes of it as its facts are gone through in the order of time.

A course is told every fact that may concern it, once, by `promises/judging.py`. What it knows afterwards follows from
the facts alone: whether something was published, or proved, is not its business.
"""

from typing import Final

from promises import borders
from promises.gaps import ENDLESS
from promises.terms import Terms
from schemas.book_model import Expect, Forbid
from schemas.facts import Fact
from schemas.publications import RetractReason

FOREVER = 1 << 62
"""Later than every instant."""
MOVED_BEFORE_ITSELF: Final = "moved_before_itself"
"""Counted when a re-promise sets a due before itself: the cycle ends as released."""

_MISSING = object()


class Course:
    """One cycle on its way. `opening` carries the instant at which it opened, also where a breach opened it.

    From `unsure_from` on facts may have happened that it will never be told.
    """

    __slots__ = (
        "_paused", "_paused_since", "_plain_due", "_seen", "_set_at", "due", "due_base", "ended", "forbidden_at",
        "fulfilled_at", "late_at", "moves", "not_before", "opening", "place", "released", "terms", "unsure_from",
        "until_at",
    )  # fmt: skip

    def __init__(self, terms: Terms, opening: Fact, due: int, unsure_from: int = ENDLESS) -> None:
        self.terms = terms
        self.unsure_from = unsure_from
        self.opening = opening
        self.place = borders.place(opening)
        self.due_base = due
        self.due = due
        self.not_before = terms.not_before(opening)
        self.moves = 0
        self.fulfilled_at: int | None = None
        self.late_at: int | None = None
        self.forbidden_at: int | None = None
        self.until_at: int | None = None
        self.released: RetractReason | None = None
        self.ended = False
        """Whether no later fact can change what is known of it."""
        self._plain_due = due
        self._set_at = opening.time
        self._paused: list[tuple[int, int]] = []
        self._paused_since: int | None = None
        self._seen: list[object] = []

    @property
    def paused_ms(self) -> int:
        """For how long it has been paused; a pause whose end is not known counts in full."""
        return sum(end - start for start, end in self._spans())

    @property
    def taken(self) -> int:
        """How many fulfilments, or forbidden events, count for it so far."""
        return len(self._seen)

    @property
    def resolve_at(self) -> int:
        """The instant whose passing settles what absence has to prove."""
        if self.forbidden_at is not None:
            return self.forbidden_at
        if self.until_at is not None:
            return self.until_at
        # What comes within a pause is in time, also where the pause has moved nothing.
        return max([self.due, *(end for _, end in self._spans())])

    @property
    def unprovable(self) -> bool:
        """Whether what absence has to prove never can be proved."""
        return borders.unprovable(self.resolve_at, self.unsure_from)

    @property
    def due_since(self) -> int:
        """From which instant on the due is in force: its fact's, or the end of the pause that moved it."""
        return max([self._set_at, *(end for _, end in self._spans())])

    def meets(self, time: int) -> bool:
        """Whether something at `time` is in time for the due in force."""
        return borders.in_time(time, self.due_at(time))

    def over(self, time: int) -> bool:
        """Whether nothing forbidden that happens after `time` can break it any more."""
        return isinstance(self.terms.goal, Forbid) and not self.meets(time)

    def due_at(self, time: int) -> int:
        """The due in force at `time`, as far as the facts until then say; while a pause lasts there is none."""
        pause, since = self.terms.promise.pause, self._paused_since
        if pause is not None and since is not None and time < since + pause.max_ms:
            return FOREVER
        return self.due

    def may_take(self, fact: Fact) -> bool:
        """Whether a fulfilment may help to keep this cycle, in time or late."""
        terms, goal = self.terms, self.terms.goal
        if self.ended or (self.not_before is not None and fact.time < self.not_before):
            return False
        if not terms.early and not borders.within_skew(fact.time, self.opening.time, terms.skew_ms):
            return False
        if isinstance(goal, Expect) and goal.distinct is not None:
            value = fact.data.get(goal.distinct, _MISSING)
            if value is _MISSING or _identity(value) in self._seen:
                return False
        return terms.fulfils(fact, self.opening)

    def take(self, fact: Fact) -> None:
        """Count a fulfilment for this cycle."""
        goal = self.terms.goal
        if isinstance(goal, Expect):
            self._seen.append(None if goal.distinct is None else _identity(fact.data[goal.distinct]))
            if len(self._seen) < goal.count:
                return
        self.fulfil(fact.time)

    def fulfil(self, time: int) -> None:
        """Everything that was expected had come at `time`."""
        if self.meets(time):
            self.fulfilled_at = time
            self._stand(time)
        else:
            self.late_at = time
            self.ended = True

    def agree(self, time: int) -> None:
        """Values agreed at `time`, unless that is before it counts."""
        if not self.ended and time >= self.place[0] and (self.not_before is None or time >= self.not_before):
            self.fulfil(time)

    def until(self, fact: Fact) -> None:
        """From here on the forbidden is allowed, if the fact says so."""
        if fact.time >= self.place[0] and self.meets(fact.time) and self.terms.until(fact, self.opening):
            self.until_at = fact.time
            self._stand(fact.time)

    def release_or_forbid(self, fact: Fact) -> None:
        """End without a breach, or note what must not happen: at one instant the one that comes first by id."""
        self.release(fact)
        goal = self.terms.goal
        if isinstance(goal, Forbid) and self._runs(fact) and self.terms.forbidden(fact, self.opening):
            self._seen.append(None)
            if len(self._seen) >= goal.count:
                self.forbidden_at = fact.time
                self._stand(fact.time)

    def release(self, fact: Fact) -> None:
        """End without a breach, if the fact does that in time."""
        if (
            not self.ended
            and borders.within_skew(fact.time, self.opening.time, self.terms.skew_ms)
            and self.meets(fact.time)
            and self.terms.releases(fact, self.opening)
        ):
            self.released = "released_in_time"
            self._stand(fact.time)

    def change(self, fact: Fact) -> None:
        """Take a new due, or let it stand still or go on, if the fact says so."""
        self._end_long_pause(fact.time)
        self.move(fact)
        self.pause(fact)

    def move(self, fact: Fact) -> None:
        """Take a new due from a re-promise, if it is a valid one."""
        repromise = self.terms.promise.repromise
        if repromise is None or self.moves >= repromise.max or not self._runs(fact):
            return
        if not self.terms.moves(fact, self.opening):
            return
        due = self.terms.new_due(fact)
        if due is None:
            return
        self.moves += 1
        if borders.born_overdue(due, fact.time) and not self.terms.early:
            self.released = MOVED_BEFORE_ITSELF
            self._stand(fact.time)
            return
        self.not_before = self.terms.not_before(fact)
        self._restart(due, fact.time)

    def join(self, fact: Fact) -> None:
        """Take in a further opening while this cycle runs: fresh time for the values to agree."""
        due = None if self.ended else self.terms.due_or_none(fact)
        if due is not None and not borders.born_overdue(due, fact.time):
            self._end_long_pause(fact.time)
            if due > self._moved_by(self._paused):
                self._restart(due, fact.time)

    def pause(self, fact: Fact) -> None:
        """Let the due stand still, or go on, if the fact says so."""
        pause = self.terms.promise.pause
        if pause is None or self.ended or borders.place(fact) <= self.place:
            return
        if self._paused_since is None:
            if borders.may_pause(fact.time, self.due) and self.terms.pauses(fact, self.opening):
                self._paused_since = fact.time
                self._set_due()
        elif self.terms.resumes(fact, self.opening):
            self._resume(fact.time)

    def _restart(self, due: int, time: int) -> None:
        """Run until another due, promised at `time`. A pause that lasts goes on."""
        self._plain_due = due
        self._set_at = time
        self._paused = []
        self._set_due()

    def _runs(self, fact: Fact) -> bool:
        """Whether a fact lies between the opening and the due of a cycle that has not ended."""
        return not self.ended and borders.place(fact) > self.place and self.meets(fact.time)

    def _end_long_pause(self, time: int) -> None:
        pause, since = self.terms.promise.pause, self._paused_since
        if pause is not None and since is not None and time >= since + pause.max_ms:
            self._resume(since + pause.max_ms)

    def _resume(self, time: int) -> None:
        assert self._paused_since is not None, "only what stands still goes on"
        self._paused.append((self._paused_since, time))
        self._paused_since = None
        self._set_due()

    def _stand(self, time: int) -> None:
        """It has ended at `time`: a pause that lasted then has moved nothing."""
        self.ended = True
        pause, since = self.terms.promise.pause, self._paused_since
        if pause is None or since is None:
            return
        if time >= since + pause.max_ms:
            self._resume(since + pause.max_ms)
        else:
            self._paused_since = None
            self._set_due()

    def _set_due(self) -> None:
        self.due = self._moved_by(self._spans())

    def _moved_by(self, spans: list[tuple[int, int]]) -> int:
        """The due last promised, as these pauses move it."""
        return self.terms.moved(self._plain_due, spans) if spans else self._plain_due

    def _spans(self) -> list[tuple[int, int]]:
        pause, since = self.terms.promise.pause, self._paused_since
        if since is None or pause is None:
            return self._paused
        return [*self._paused, (since, since + pause.max_ms)]


def _identity(value: object) -> tuple[bool, object]:
    """By which a value is told from others: `true` is not 1."""
    return (isinstance(value, bool), value)
