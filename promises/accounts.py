"""The account of one subject: what each promise about it went through, step by step, and what opened nothing and why.

    facts -> what the detector stores of them -> courses, watched while they are run -> steps

Nothing is decided here. Openings, courses and standings are those that verdicts come from (`promises/accepting.py`,
`promises/judging.py`); the account compares what a course knows before and after each instant, and names the fact.
Simple promises are judged as all others: one that changes its path with the book is so too (`promises/general.py`).
"""

from collections import Counter
from typing import NamedTuple

from promises import borders
from promises.accepting import View, accept, candidates, openings, remedies
from promises.calendars import Calendars
from promises.courses import Course
from promises.detector import Detector, subject_key
from promises.judging import effective, run
from promises.listening import Listener, Lived
from promises.partition import PartitionDetector
from promises.rules import causes_first
from promises.steps import Bounds
from promises.terms import ALWAYS, Clan, Terms, unclear
from promises.verdicts import BREACHED, LATE
from schemas.book_model import Book, Holds, Promise
from schemas.errors import EventError
from schemas.facts import Fact, Subject
from schemas.publications import Publication
from schemas.records import RECORD_FORMAT, Checkpoint, Record


class Refusal(NamedTuple):
    """A fact that might have opened a promise and did not. `terms` None: no version was in force."""

    fact: Fact
    reason: str
    terms: Terms | None


class Story(NamedTuple):
    """One promise and one subject."""

    clan: Clan
    cycles: list[Lived]
    refusals: list[Refusal]


class Gathered(NamedTuple):
    """What the detector makes of a subject's facts.

    `stored` are those that mean something, in their order; `others` were given and opened or settled nothing. `counted`
    is what was noticed, `unusable` what was refused and why.
    """

    stored: list[Fact]
    others: list[Fact]
    counted: Counter[str]
    unusable: list[tuple[Fact, EventError]]


def clans_of(book: Book) -> list[Clan]:
    """Every promise of a book, simple ones too; causes before their remedies."""
    calendars = Calendars(book.calendars)
    versions: dict[str, list[Promise]] = {}
    for promise in book.promises:
        versions.setdefault(promise.id, []).append(promise)
    return causes_first([Clan(promise_id, promises, calendars) for promise_id, promises in versions.items()])


def gather(detector: Detector, subject: Subject, facts: list[Fact], known_since: int = ALWAYS) -> Gathered:
    """Let a detector know all these facts before any time passes."""
    stored_as, bounds = subject_key(subject), Bounds(ALWAYS, ALWAYS, known_since, (ALWAYS, b""))
    record: Record | None = None
    counted: Counter[str] = Counter()
    unusable: list[tuple[Fact, EventError]] = []
    given: dict[tuple[str, str], Fact] = {}
    for fact in facts:
        try:
            step = detector.apply(subject, stored_as, record, fact, bounds)
        except EventError as error:
            unusable.append((fact, error))
            continue
        record = step.record
        counted.update(step.counted)
        given.setdefault(fact.member, fact)
    stored = [] if record is None else record.facts
    names = {fact.member for fact in stored}
    return Gathered(stored, [fact for fact in given.values() if fact.member not in names], counted, unusable)


def tell(clans: list[Clan], gathered: Gathered, frontier: int, known_since: int = ALWAYS) -> list[Story]:
    """What each promise went through, judged as if every fact dated before the frontier were known (UTC ms)."""
    view = View(known_since, ALWAYS, {})
    facts = effective(gathered.stored)
    given = effective(sorted([*gathered.stored, *gathered.others], key=borders.place))
    told: dict[str, Story] = {}
    for clan in clans:
        opened = openings(clan, facts, view)
        causes: dict[tuple[str, str], str] = {}
        if clan.causes:
            broken = []
            for cause in clan.causes:
                for cycle in told[cause].cycles if cause in told else ():
                    if cycle.standing.status in (BREACHED, LATE) and cycle.standing.breached_at is not None:
                        broken.append((_as_stored(gathered.stored, cycle.course.opening), cycle.standing.breached_at))
                        causes[cycle.course.opening.member] = cause
            opened = sorted(opened + remedies(clan, broken, view), key=lambda one: borders.place(one.fact))
        listener = Listener(facts)
        courses = run(opened, facts, listener.instant)
        cycles = [listener.lived(course, frontier, causes.get(course.opening.member)) for course in courses]
        told[clan.id] = Story(clan, cycles, _refusals(clan, given, view, listener, courses))
    return [told[clan.id] for clan in clans]


def published(
    detector: Detector, subject: Subject, facts: list[Fact], frontier: int, settle_ms: int, known_since: int = ALWAYS
) -> list[Publication]:
    """What a worker publishes up to a frontier if each of these facts comes at the instant at which it is dated.

    Other than an account it forgets what is older than retention, as a worker does.
    """
    store: dict[bytes, bytes] = {}
    sources = tuple(detector.book.sources)
    begin = Checkpoint(
        format=RECORD_FORMAT, sources=sources, fire=ALWAYS, subject=b"", next_offset=0, known_since=known_since,
        live_since=ALWAYS, vector={}, book=detector.book.digest,
    )  # fmt: skip
    partition = PartitionDetector(detector, store.get, begin)
    found: list[Publication] = []
    for fact in sorted(facts, key=borders.place):
        found += _advanced(partition, store, fact.time - settle_ms)
        partition.floor = fact.time
        partition.fact(subject, fact, partition.next_offset)
    return found + _advanced(partition, store, frontier)


def _advanced(partition: PartitionDetector, store: dict[bytes, bytes], frontier: int) -> list[Publication]:
    """Move the frontier as a live one moves: past one instant after the other, so that warnings are given in time."""
    found: list[Publication] = []
    while (timer := partition.next_timer) is not None and timer < frontier:
        found += _fired(partition, store, max(timer + 1, partition.frontier))
    return found + _fired(partition, store, max(frontier, partition.frontier))


def _fired(partition: PartitionDetector, store: dict[bytes, bytes], frontier: int) -> list[Publication]:
    partition.advance_to(frontier)
    left = True
    found: list[Publication] = []
    while left:
        left = partition.fire_due(1)
        batch = partition.take()
        found += batch.publications
        for stored_as, value in batch.changes.items():
            if value is None:
                store.pop(stored_as, None)
            else:
                store[stored_as] = value
    return found


def _refusals(clan: Clan, facts: list[Fact], view: View, listener: Listener, courses: list[Course]) -> list[Refusal]:
    """Why facts that might have opened a promise did not; `facts` are all that were given, in their order."""
    opening = {course.opening.member for course in courses} | listener.joined
    candidate = {fact.member: terms for terms, fact in candidates(clan, facts, view)}
    found: list[Refusal] = []
    for fact in facts:
        if fact.member in opening or fact.type not in clan.types:
            continue
        terms = candidate.get(fact.member)
        if terms is not None:
            reasons: list[str] = []
            try:
                accept(terms, fact, view, reasons.append)
            except EventError as error:
                reasons.append(error.reason)
            if not reasons and isinstance(terms.goal, Holds) and any(listener.ran(one, fact.time) for one in courses):
                continue  # what makes the values of a running cycle agree is part of it
            found.append(Refusal(fact, reasons[0] if reasons else "opened_already", terms))
            continue
        terms = clan.at(fact.time)
        if terms is None:
            if any(version.opens(fact, {}) for version in clan.terms):
                found.append(Refusal(fact, "not_effective", None))
        elif terms.promise.when.match is not None and unclear(terms.promise.when.match, fact, None):
            found.append(Refusal(fact, "condition_unclear", terms))
        elif terms.opens(fact, {}):
            found.append(Refusal(fact, "not_entered", terms))
    return found


def _as_stored(facts: list[Fact], opening: Fact) -> Fact:
    """The fact of this name; an opening by a breach carries another instant."""
    for fact in facts:
        if fact.member == opening.member:
            return fact
    raise AssertionError("the fact that opened a cycle is among those it was judged by")
