"""Bringing the cycles of the whole language up to date: what is published is the difference to what is stored.

A simple promise (`promises/detector.py`) is followed fact by fact. All others are judged anew, over the whole set of
facts of their subject, each time a fact or a timer has to do with them, and each cycle is compared with its record.
Unlike those of simple promises, these records are written by timers too, so they say what has been published.

It reads no clock and does no I/O. Cycles passed in are never changed.
"""

from typing import Final, NamedTuple

import msgspec

from promises import borders
from promises.accepting import Name, View, accept, candidates, openings, remedies
from promises.courses import MOVED_BEFORE_ITSELF, Course
from promises.cycles import OPENING_CHANGED, OUTCOME, RETRACTED, Change, count
from promises.gaps import NO_GAPS, Gap
from promises.judging import Standing, effective, run, standing
from promises.rules import Rules
from promises.telling import telling
from promises.terms import UNCLEAR, Clan, Terms, unclear
from promises.verdicts import BREACHED, KEPT, LATE, OPEN, RELEASED, VOID
from schemas.book_model import Forbid
from schemas.facts import Fact, Subject
from schemas.publications import Publication, RetractReason
from schemas.records import Cycle, General

AT_RISK: Final = "at_risk"
BROKEN = frozenset({BREACHED, LATE})
ENDED_WELL = frozenset({KEPT, RELEASED})


class Scene(NamedTuple):
    """One subject, and all that is known when it is judged. Instants are UTC milliseconds.

    `facts` are all that are stored, in their order. `moment` is the last (instant, subject) that timers have published,
    `since` the one before it where a timer is at work. `floor`: no due learnt now is published before it. `frontier` is
    what openings are too old by: where a timer is at work, its instant. `proved_before` is the frontier itself.
    `replaced` is the fact whose content is another now: what it opened is opened anew. `gaps`: when facts may have
    happened that will never be known.
    """

    subject: Subject
    stored_as: bytes
    facts: list[Fact]
    known_since: int
    frontier: int
    floor: int
    proved_before: int
    moment: borders.Moment
    since: borders.Moment | None = None
    replaced: Name | None = None
    gaps: tuple[Gap, ...] = NO_GAPS

    def passed(self, instant: int) -> bool:
        """Whether timers have published what was to be published at an instant."""
        return borders.published((instant, self.stored_as), self.moment)


class Outcome(NamedTuple):
    """What came of judging a subject: its cycles, what to publish, when timers have to look at it, what was noticed."""

    runs: list[Cycle]
    publications: list[Publication]
    timers: list[int]
    counted: list[str]


def concerned(rules: Rules, clans: tuple[Clan, ...]) -> list[Clan]:
    """The promises to be judged with these: their remedies, and what are remedies of those."""
    if not clans:
        return []
    ids = {clan.id for clan in clans}
    for clan in rules.clans.values():  # causes come before their remedies
        if clan.causes & ids:
            ids.add(clan.id)
    return [clan for clan in rules.clans.values() if clan.id in ids]


def concerns(clan: Clan, fact: Fact, scene: Scene, counted: list[str]) -> bool:
    """Whether a fact may mean anything to a promise; why it opens nothing is counted if it could do no more than that.

    Raises EventError if it opens the promise and its due cannot be told.
    """
    if clan.may_concern(fact, counted):
        return True
    terms = clan.at(fact.time)
    if terms is None:
        if any(version.opens(fact, {}) for version in clan.terms):
            counted.append("not_effective")
        return False
    if not terms.opens(fact, {}):
        when = terms.promise.when.match
        if when is not None and unclear(when, fact, None):
            counted.append(UNCLEAR)
        return False
    return accept(terms, fact, View(scene.known_since, scene.frontier, {}), counted.append) is not None


def refuse_opening(clan: Clan, facts: list[Fact], fact: Fact, scene: Scene, counted: list[str]) -> None:
    """Count why a new fact opens nothing though it says that it opens the promise.

    Raises EventError if its due cannot be told: the event cannot be used.
    """
    view = View(scene.known_since, scene.frontier, {})
    for terms, candidate in candidates(clan, effective(facts), view):
        if candidate.member == fact.member:
            accept(terms, fact, view, counted.append)
            return
    if clan.at(fact.time) is None and any(terms.opens(fact, {}) for terms in clan.terms):
        counted.append("not_effective")


def bring_up(clans: list[Clan], scene: Scene, before: list[Fact], runs: list[Cycle]) -> Outcome:
    """Judge these promises and publish what has changed.

    `before` are the facts that were stored, `runs` all cycles of the subject; they stay as they are.
    """
    outcome = Outcome(runs.copy(), [], [], [])
    facts = effective(scene.facts)
    runs = outcome.runs
    earlier = scene._replace(facts=before, moment=scene.moment if scene.since is None else scene.since)
    for clan in clans:
        for index, cycle in enumerate(runs):
            if cycle.promise == clan.id and cycle.general is None:
                runs[index] = adopted(clan, earlier, cycle)
        _bring_up(clan, scene, facts, outcome)
    return outcome


def adopted(clan: Clan, scene: Scene, cycle: Cycle) -> Cycle:
    """A cycle of what was a simple promise when its record was written, with what its timer has published since."""
    running = {} if cycle.status == VOID else {(cycle.source, cycle.opening): cycle}
    view = View(scene.known_since, scene.frontier, running, scene.gaps)
    courses = run([one for one in openings(clan, scene.facts, view) if one.fact.member in running], scene.facts)
    found = Standing(cycle.status)
    for course in courses:
        found = standing(course, passed=scene.passed(cycle.fire))
    if cycle.status == OPEN:
        for change in between(Standing(OPEN), found, None):
            cycle = count(cycle, change)[0]
    next_at = cycle.fire if cycle.status == OPEN else cycle.expires
    general = General(cycle.due, cycle.fire, next_at, found.fulfilled_at, found.breached_at, 0)
    return msgspec.structs.replace(cycle, general=general)


def between(before: Standing, after: Standing, reason: RetractReason | None) -> tuple[Change, ...]:
    """What to publish, in order, when a cycle's standing turns from `before` into `after`.

    `reason` is why it is no longer broken, or was released, if it is so.
    """
    if before == after:
        return ()
    was_broken = before.status in BROKEN
    if after.status == BREACHED and before.status == BREACHED and before.breached_at == after.breached_at:
        return (Change(OUTCOME, BREACHED, None),)  # broken as before, but promised until another due
    if after.status == BREACHED:  # also when a late fulfilment turns out never to have been
        return (Change(BREACHED, BREACHED, None),)
    if after.status == LATE:
        late = Change(LATE, LATE, after.fulfilled_at)
        same = was_broken and before.breached_at == after.breached_at
        return (late,) if same else (Change(BREACHED, BREACHED, None), late)
    if was_broken:
        return (Change(RETRACTED, after.status, after.fulfilled_at, reason),)
    return (Change(OUTCOME, after.status, after.fulfilled_at, reason if after.status == RELEASED else None),)


def _bring_up(clan: Clan, scene: Scene, facts: list[Fact], outcome: Outcome) -> None:
    runs = outcome.runs
    stored = {(cycle.source, cycle.opening): index for index, cycle in enumerate(runs) if cycle.promise == clan.id}
    running = {name: runs[index] for name, index in stored.items() if runs[index].status != VOID}
    courses = courses_of(clan, scene, facts, runs, running)
    told = set()
    for course in courses:
        name = course.opening.member
        told.add(name)
        index = stored.get(name)
        cycle = _updated(scene, facts, course, None if index is None else runs[index], outcome)
        if index is None:
            runs.append(cycle)
        else:
            runs[index] = cycle
    gone = []
    for name, cycle in running.items():
        if name not in told:
            ended = _without_course(scene, facts, clan.version(cycle.version), cycle, outcome)
            if ended.revision:
                runs[stored[name]] = ended
            else:
                gone.append(stored[name])
    for index in sorted(gone, reverse=True):
        del runs[index]


def courses_of(
    clan: Clan, scene: Scene, facts: list[Fact], runs: list[Cycle], running: dict[Name, Cycle]
) -> list[Course]:
    """The course of every cycle of a promise: those that facts open, and those that other promises' breaches open."""
    facts = [fact for fact in facts if fact.type in clan.types]
    pinned = {name: cycle for name, cycle in running.items() if name != scene.replaced}
    view = View(scene.known_since, scene.frontier, pinned, scene.gaps)
    opened = openings(clan, facts, view)
    if clan.causes:
        causes = []
        for cycle in runs:
            if cycle.promise in clan.causes and cycle.status in BROKEN and cycle.general is not None:
                breached_at = cycle.general.breached_at
                assert breached_at is not None, "what is broken was broken at some time"
                causes.append((opening_of(scene.facts, cycle), breached_at))
        opened = sorted(opened + remedies(clan, causes, view), key=lambda one: borders.place(one.fact))
    return run(opened, facts)


def published_standing(terms: Terms, cycle: Cycle, general: General) -> Standing:
    """What has been published of a cycle."""
    before_due = cycle.status in ENDED_WELL or (cycle.status == BREACHED and isinstance(terms.goal, Forbid))
    met = (cycle.base_due, cycle.due) if before_due else None
    return Standing(cycle.status, general.fulfilled_at, general.breached_at, met)


def opening_of(facts: list[Fact], cycle: Cycle) -> Fact:
    """The fact that opened a cycle, or its cause."""
    for fact in facts:
        if fact.id == cycle.opening and fact.source == cycle.source:
            return fact
    raise AssertionError("the fact that opened a cycle stays in the record as long as the cycle")


def _updated(scene: Scene, facts: list[Fact], course: Course, stored: Cycle | None, outcome: Outcome) -> Cycle:
    """The cycle as its course has it now, with everything published that this changes."""
    terms, opening, due = course.terms, course.opening, course.due
    promise = terms.promise
    general = None if stored is None else stored.general
    before = Standing(OPEN)
    if stored is not None and general is not None:
        before = published_standing(terms, stored, general)
    is_new = stored is None or general is None or stored.status == VOID or stored.opened_at != opening.time
    floor = scene.floor if is_new or stored is None or general is None or stored.due != due else general.floor
    fire = _fire_time(scene, course, None if is_new else stored)
    after = standing(course, passed=scene.passed(fire))
    expires = max(max(due, opening.time) + promise.retention_ms, fire)
    if stored is not None and not is_new and stored.due == due:
        expires = max(expires, stored.expires)  # it may have been made to wait for others
    cycle = Cycle(
        promise.id, terms.pin, opening.source, opening.id, opening.time, course.due_base, due, fire, expires,
        OPEN if stored is None else stored.status,
        0 if stored is None else stored.revision,
        {} if stored is None else stored.counts,
    )  # fmt: skip
    if course.released == MOVED_BEFORE_ITSELF and before.status != RELEASED:
        outcome.counted.append(MOVED_BEFORE_ITSELF)
    reason = _why_not_broken(course, after, moved=stored is not None and stored.due != due)
    cycle = _publish(scene, facts, terms, cycle, course.paused_ms, before, after, reason, outcome)
    next_at = cycle.expires
    if after.status == OPEN:
        warnings = [] if course.unprovable else terms.warnings(opening.time, due)
        windows = [(max(instant, course.due_since, floor), instant, text) for text, instant in warnings]
        cycle = _warn(scene, facts, course, cycle, windows, outcome)
        next_at = min([fire, *(fires for fires, _, _ in windows if not scene.passed(fires))])
    cycle.general = General(course.resolve_at, floor, next_at, after.fulfilled_at, after.breached_at, course.paused_ms)
    if cycle != stored:
        outcome.timers.append(next_at)
        return cycle
    return stored


def _fire_time(scene: Scene, course: Course, stored: Cycle | None) -> int:
    """When what absence proves is published: when `resolve_at` has passed, but not before the floor if it is new."""
    if stored is None or stored.general is None:
        return max(course.resolve_at, scene.floor)
    if stored.general.resolve_at == course.resolve_at:
        return stored.fire
    earlier = course.resolve_at < stored.general.resolve_at
    if earlier and course.forbidden_at is not None and stored.status == BREACHED and scene.passed(stored.fire):
        return stored.fire  # broken even earlier than was known: nothing to take back in between
    return max(course.resolve_at, scene.floor)


def _why_not_broken(course: Course, after: Standing, *, moved: bool) -> RetractReason:
    if after.status == RELEASED and course.released is not None:
        return course.released
    if after.status == KEPT and not isinstance(course.terms.goal, Forbid):
        return "fulfilled_in_time"
    return "due_moved" if moved else "evidence_changed"


def _without_course(scene: Scene, facts: list[Fact], terms: Terms, cycle: Cycle, outcome: Outcome) -> Cycle:
    """A running cycle that nothing opens (any more): void, or released if it was a remedy of what is not broken."""
    general = cycle.general
    assert general is not None, "it has been adopted"
    remedy = terms.promise.when.breach_of is not None
    before = published_standing(terms, cycle, general)
    after = Standing(RELEASED, None, None, (cycle.base_due, cycle.due)) if remedy else Standing(VOID)
    if before == after or (after.status == VOID and not cycle.revision):
        return cycle
    reason: RetractReason = "cause_retracted" if remedy else OPENING_CHANGED
    ended = _publish(scene, facts, terms, cycle, general.paused_ms, before, after, reason, outcome)
    ended.status = VOID  # should its cause be broken again, it is opened anew: what it says may be other by then
    ended.general = General(general.resolve_at, general.floor, cycle.expires, None, None, general.paused_ms)
    outcome.timers.append(cycle.expires)
    return ended


def _warn(
    scene: Scene, facts: list[Fact], course: Course, cycle: Cycle, windows: list[tuple[int, int, str]], outcome: Outcome
) -> Cycle:
    """Say that a running cycle is at risk, if a timer has just come to that: of several warnings the latest."""
    since = scene.since
    if since is None or borders.overdue(course.due, scene.proved_before):
        return cycle
    due_now = [
        (instant, text)
        for fires, instant, text in windows
        if scene.passed(fires) and not borders.published((fires, scene.stored_as), since)
    ]
    if not due_now:
        return cycle
    at, text = max(due_now)
    key = f"{AT_RISK}:{text}@{cycle.due}"
    if key in cycle.counts:
        return cycle
    warned = msgspec.structs.replace(cycle, revision=cycle.revision + 1, counts={**cycle.counts, key: 1})
    change = Change(AT_RISK, OPEN, None)
    opening = opening_of(scene.facts, cycle)
    outcome.publications.append(
        telling(
            course.terms, scene.subject, warned, opening, facts, change, 0, 0,
            breached_at=None, paused_ms=course.paused_ms, warn=(text, at),
        )
    )  # fmt: skip
    return warned


def _publish(
    scene: Scene,
    facts: list[Fact],
    terms: Terms,
    cycle: Cycle,
    paused_ms: int,
    before: Standing,
    after: Standing,
    reason: RetractReason | None,
    outcome: Outcome,
) -> Cycle:
    """Publish what lies between two standings of a cycle; the cycle that counts it."""
    for change in between(before, after, reason):
        cycle, n, outcome_n = count(cycle, change)
        opening = opening_of(scene.facts, cycle)
        outcome.publications.append(
            telling(
                terms, scene.subject, cycle, opening, facts, change, n, outcome_n,
                breached_at=after.breached_at, paused_ms=paused_ms, warn=None,
            )
        )  # fmt: skip
    return cycle
