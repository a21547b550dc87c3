"""What is told of one subject when somebody asks: what is kept of it, and what has been published about it.

Nothing is decided here. Statuses, revisions and ids are those that have been published, read off the record and the
checkpoint; that a promise waits, stands still or has counted so far comes from the courses that verdicts come from.
"""

from collections.abc import Iterable
from typing import NamedTuple, cast

from promises import borders
from promises.accepting import View, openings, remedies
from promises.calendars import Calendars
from promises.courses import Course
from promises.cycles import OUTCOME
from promises.detector import Detector, subject_key
from promises.gaps import NO_GAPS, Gap
from promises.general import AT_RISK, BROKEN, Scene, adopted, opening_of, published_standing
from promises.ids import event_id
from promises.judging import effective, run
from promises.listening import Listener, Lived
from promises.rules import ALWAYS
from promises.standing_words import awaited, verdict_text
from promises.telling import expected
from promises.terms import Clan, Terms
from promises.verdicts import BREACHED, LATE, OPEN, RELEASED, VOID
from schemas.facts import Fact, FactRef, Subject
from schemas.instants import format_instant
from schemas.partitioning import facts_partition
from schemas.publications import Kind, Status
from schemas.records import Cycle, General, Record
from schemas.subjects import SubjectEvent, SubjectFact, SubjectPromise, SubjectWarning

STATUS_OF: dict[str, Status] = {BREACHED: BREACHED, LATE: LATE, AT_RISK: OPEN}
"""By kind of event, the status it announces. What a retraction announces is said by the outcome published with it."""


class Kept(NamedTuple):
    """What a partition keeps of a subject, as of its last commit. Instants are UTC milliseconds.

    `moment` is the last (instant, subject) that timers have published, `known_since` the instant before which nothing
    opens; everything dated before `frontier` is known, but for what was lost in `gaps`.
    """

    record: Record
    moment: borders.Moment
    frontier: int
    known_since: int
    gaps: tuple[Gap, ...] = NO_GAPS


class Topics(NamedTuple):
    """Where events are published: breaches and warnings, and outcomes."""

    breaches: str
    outcomes: str


class SubjectTeller:
    """Tells what is kept under one compiled book; it holds no state of any subject."""

    def __init__(self, detector: Detector, topics: Topics) -> None:
        """Tell by the texts of this detector."""
        self._detector = detector
        self._topics = topics
        self._clans: dict[str, Clan] = {}

    def promises(self, subject: Subject, kept: Kept, silent: frozenset[str] = frozenset()) -> list[SubjectPromise]:
        """Every run of a promise that is kept, what runs first; without the promises that are `silent`."""
        record = kept.record
        scene = Scene(
            subject, subject_key(subject), record.facts, kept.known_since, kept.frontier, kept.frontier, kept.frontier,
            kept.moment, gaps=kept.gaps,
        )  # fmt: skip
        # Simple promises are told as all others: with what their timers have published since the record was written.
        cycles = [
            cycle if cycle.general is not None else adopted(self._clan(cycle.promise), scene, cycle)
            for cycle in record.cycles
        ]
        told = []
        for promise_id in dict.fromkeys(cycle.promise for cycle in cycles if cycle.promise not in silent):
            clan = self._clan(promise_id)
            lives = _lives(clan, scene, cycles)
            told += [
                _told(clan, subject, cycle, scene, lives.get((cycle.source, cycle.opening)), self._topics)
                for cycle in cycles
                if cycle.promise == promise_id
            ]
        return in_order(told)

    def _clan(self, promise_id: str) -> Clan:
        """All versions of a promise, those included under which nothing opens any more; simple promises too."""
        clan = self._detector.rules.clans.get(promise_id) or self._clans.get(promise_id)
        if clan is None:
            book, editions = self._detector.book, self._detector.editions
            promises = [promise for promise in book.promises if promise.id == promise_id]
            closed = [
                Terms(text.promise, Calendars(text.calendars), text.pin, text.until)
                for text in editions.closed
                if text.promise.id == promise_id
            ]
            clan = self._clans[promise_id] = Clan(promise_id, promises, Calendars(book.calendars), editions, closed)
        return clan


def home_of(subject: Subject, partitions: int, *, from_facts: bool) -> int:
    """The partition in which a subject belongs, as Kafka's default partitioner has it: a source is keyed by what the
    promises are about, the facts topic by the subject as it is stored.
    """
    return facts_partition(subject_key(subject) if from_facts else subject.value.encode(), partitions)


def in_order(promises: Iterable[SubjectPromise]) -> list[SubjectPromise]:
    """What runs, by its due, then what has ended, the newest first."""
    every = sorted(promises, key=lambda one: (one.opened_at, one.promise, one.cycle), reverse=True)
    running = sorted((one for one in every if one.status == OPEN), key=lambda one: (one.due, one.promise, one.cycle))
    return running + [one for one in every if one.status != OPEN]


def facts_told(records: Iterable[Record]) -> list[SubjectFact]:
    """The facts of these records of one subject, each once, in their order."""
    facts = {fact.member: fact for record in records for fact in record.facts}
    taken_back = {(fact.source, fact.withdraws) for fact in facts.values() if fact.withdraws is not None}
    return [
        SubjectFact(
            type=fact.type,
            time=format_instant(fact.time),
            source=fact.source,
            id=fact.id,
            data=fact.data,
            withdraws=fact.withdraws,
            taken_back=fact.member in taken_back,
        )
        for fact in sorted(facts.values(), key=borders.place)
    ]


def _lives(clan: Clan, scene: Scene, cycles: list[Cycle]) -> dict[tuple[str, str], Lived]:
    """What the running cycles of a promise have lived through, by the fact that opened them."""
    facts = [fact for fact in effective(scene.facts) if fact.type in clan.types]
    running = {
        (cycle.source, cycle.opening): cycle for cycle in cycles if cycle.promise == clan.id and cycle.status != VOID
    }
    view = View(scene.known_since, scene.frontier, running, scene.gaps)
    opened = openings(clan, facts, view)
    if clan.causes:
        opened += remedies(clan, _causes(clan, scene.facts, cycles), view)
    # What would open something but has not yet is none of what is kept.
    opened = sorted((one for one in opened if one.fact.member in running), key=lambda one: borders.place(one.fact))
    listener = Listener(facts)
    courses = run(opened, facts, listener.instant)
    return {course.opening.member: _lived(listener, course, scene, running) for course in courses}


def _causes(clan: Clan, facts: list[Fact], cycles: list[Cycle]) -> list[tuple[Fact, int]]:
    """The broken cycles that a promise is to make good: the fact that opened each, and when it was broken."""
    return [
        (opening_of(facts, cycle), cycle.general.breached_at)
        for cycle in cycles
        if cycle.promise in clan.causes
        and cycle.status in BROKEN
        and cycle.general is not None
        and cycle.general.breached_at is not None
    ]


def _lived(listener: Listener, course: Course, scene: Scene, running: dict[tuple[str, str], Cycle]) -> Lived:
    """A course with the standing that has been published of it."""
    cycle = running[course.opening.member]
    general = _general(cycle)
    found = listener.lived(course, scene.frontier, course.terms.promise.when.breach_of)
    return found._replace(standing=published_standing(course.terms, cycle, general))


def _told(
    clan: Clan, subject: Subject, cycle: Cycle, scene: Scene, lived: Lived | None, topics: Topics
) -> SubjectPromise:
    terms, general, opening = clan.version(cycle.version), _general(cycle), opening_of(scene.facts, cycle)
    promise, cause = terms.promise, terms.promise.when.breach_of
    # A remedy whose cause is not broken (any more) was published as released, and is kept as if it had never been.
    status: Status = RELEASED if cycle.status == VOID and cause is not None else cycle.status
    is_open = status == OPEN
    return SubjectPromise(
        promise=promise.id,
        title=promise.title,
        version=promise.version,
        severity=promise.severity,
        timezone=terms.civil.name,
        cycle=cycle.opening,
        opened_by=FactRef(type=opening.type, time=format_instant(opening.time), source=opening.source, id=opening.id),
        breach_of=cause,
        opened_at=format_instant(cycle.opened_at),
        status=status,
        text=_text(terms, cycle, opening, lived),
        awaits=None if lived is None else awaited(lived),
        first_due=format_instant(cycle.base_due),
        due=format_instant(cycle.due),
        judged_at=format_instant(cycle.fire) if is_open else None,
        known_until=None if scene.frontier <= ALWAYS else format_instant(scene.frontier),
        paused_ms=general.paused_ms,
        paused_since=_instant(lived.paused_since if is_open and lived is not None else None),
        paused_until=_instant(lived.runs_out_at if is_open and lived is not None else None),
        fulfilled_at=_instant(general.fulfilled_at),
        breached_at=_instant(general.breached_at),
        warnings=_warnings(terms, cycle, lived, scene.frontier) if is_open else [],
        revision=cycle.revision,
        published=_published(subject, cycle, topics),
        kept_until=format_instant(cycle.expires),
    )


def _text(terms: Terms, cycle: Cycle, opening: Fact, lived: Lived | None) -> str:
    if lived is not None:
        return verdict_text(lived)
    cause = terms.promise.when.breach_of
    if cycle.status == VOID and cause is not None:
        return f"released: {cause}, whose breach it was to make good, is not broken"
    if cycle.status == VOID:
        return f"void: it was not {opening.type} {opening.id} that opened it"
    return f"{cycle.status}: {expected(terms, opening)}"


def _warnings(terms: Terms, cycle: Cycle, lived: Lived | None, frontier: int) -> list[SubjectWarning]:
    """The warnings about the due in force that have been given or are to come: those that were passed over are not, nor
    are those of what can never be proved.
    """
    silent = lived is not None and lived.course.unprovable
    found = []
    for text, at in terms.warnings(cycle.opened_at, cycle.due):
        given = f"{AT_RISK}:{text}@{cycle.due}" in cycle.counts
        if given or (at >= frontier and not silent):
            found.append(SubjectWarning(warn=text, at=format_instant(at), given=given))
    return found


def _published(subject: Subject, cycle: Cycle, topics: Topics) -> list[SubjectEvent]:
    """Every event that has been published about a cycle, by what it has counted."""
    name = (cycle.promise, *subject, cycle.source, cycle.opening)
    found: list[SubjectEvent] = []
    for key, count in cycle.counts.items():
        counted_as, _, due_text = key.rpartition("@")
        kind, _, more = counted_as.partition(":")
        due, is_outcome = int(due_text), kind == OUTCOME
        warn = more if kind == AT_RISK else None
        found.extend(
            SubjectEvent(
                kind=cast("Kind", kind),
                status=cast("Status", more) if is_outcome else STATUS_OF.get(kind),
                due=format_instant(due),
                warn=warn,
                id=event_id(*name, counted_as if is_outcome else kind, due, n, warn or ""),
                topic=topics.outcomes if is_outcome else topics.breaches,
            )
            for n in range(count)
        )
    return found


def _general(cycle: Cycle) -> General:
    assert cycle.general is not None, "it has been adopted"
    return cycle.general


def _instant(instant: int | None) -> str | None:
    return None if instant is None else format_instant(instant)
