"""The cycles of one promise that run, by the facts that may say something to them.

A subject may have hundreds of cycles and a thousand facts, so no fact is told to all of them: only from when a cycle
begins, only of the types its version names, and a fulfilment only to those whose `match` fields have its values.
"""

from promises.courses import FOREVER, Course
from promises.terms import Terms
from schemas.book_model import Expect, Forbid, Scalar
from schemas.facts import Fact

_Key = tuple[object, ...]


class Running:
    """The courses of one promise that have begun and not ended, at one instant after the other."""

    def __init__(self, courses: list[Course]) -> None:
        self.courses: list[Course] = []
        self._to_come = sorted(courses, key=_begins, reverse=True)
        self._versions = list({course.terms.pin: course.terms for course in courses}.values())
        self._may_be_over = any(isinstance(terms.goal, Forbid) for terms in self._versions)
        self._by_match: dict[_Key, list[Course]] = {}

    @property
    def over(self) -> bool:
        """Whether nothing that is still to happen says anything to any of them."""
        return not self.courses and not self._to_come

    def hears(self, group: list[Fact]) -> bool:
        """Whether these facts may say something to cycles of this promise."""
        return any(terms.hears(fact.type) for fact in group for terms in self._versions)

    def begin(self, time: int) -> None:
        """Let those begin to which facts of `time` may say something."""
        while self._to_come and _begins(self._to_come[-1]) <= time:
            course = self._to_come.pop()
            self.courses.append(course)
            key = _key(course.terms, course.opening)
            if key is not None:
                self._by_match.setdefault(key, []).append(course)

    def end(self, time: int) -> None:
        """Leave out those to which nothing after `time` says anything."""
        self.courses = [course for course in self.courses if not course.ended]
        if self._may_be_over:
            self.courses = [course for course in self.courses if not course.over(time)]

    def takers(self, fact: Fact) -> list[Course]:
        """Those that a fulfilment may help to keep, in time or late."""
        found: list[Course] = []
        for terms in self._versions:
            key = _key(terms, fact) if fact.type in terms.awaited else None
            if key in self._by_match:
                left = [course for course in self._by_match[key] if not course.ended]
                self._by_match[key] = left
                found += [course for course in left if course.may_take(fact)]
        return found

    def allowing(self, fact: Fact) -> list[Course]:
        """Those for which the fact may allow what was forbidden."""
        if not any(fact.type in terms.allowing for terms in self._versions):
            return []
        return [course for course in self.courses if fact.type in course.terms.allowing and not course.ended]

    def ending(self, fact: Fact) -> list[Course]:
        """Those that the fact may release or break."""
        if not any(fact.type in terms.ending for terms in self._versions):
            return []
        return [course for course in self.courses if fact.type in course.terms.ending and not course.ended]

    def changing(self, fact: Fact) -> list[Course]:
        """Those whose due the fact may move."""
        if not any(fact.type in terms.changing for terms in self._versions):
            return []
        return [course for course in self.courses if fact.type in course.terms.changing and not course.ended]


def _begins(course: Course) -> int:
    """The instant before which no fact says anything to a cycle."""
    return -FOREVER if course.terms.early else course.opening.time - course.terms.skew_ms


def _key(terms: Terms, fact: Fact) -> _Key | None:
    """What a fulfilment and an opening have in common if they belong together; None if the fact lacks a field."""
    goal = terms.goal
    same = goal.match.same if isinstance(goal, Expect) else ()
    if any(path not in fact.data for path in same):
        return None
    return (terms.pin, *(_rough(fact.data[path]) for path in same))


def _rough(value: Scalar) -> object:
    """The same for equal values; which values are equal exactly is asked of those that are left."""
    return value if isinstance(value, str | int | float) else None
