"""What became of one subject's promises, as `promisewatch explain --facts` tells it: read, judged, made into data.

What is told are the accounts of `promises/accounts.py`; nothing is judged here.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from promises.accounts import Gathered, Refusal, Story, clans_of, gather, published, tell
from promises.calendars import Calendars
from promises.detector import Detector
from promises.listening import Lived, Step
from promises.standing_words import awaited, verdict_text
from promises.terms import ALWAYS
from promises.verdicts import OPEN
from promises.wording import moment_text
from promisewatch.recordings import Recording, read_lines
from promisewatch.retelling_steps import refusal_text, steps_of
from schemas.book_model import Book
from schemas.decoding import Decoder
from schemas.errors import EventError, PromisewatchError
from schemas.exits import ExitCode
from schemas.facts import Fact, Subject
from schemas.instants import format_duration, format_instant
from schemas.publications import Publication

SUBJECTS_NAMED_MAX = 5
PROBLEMS_TOLD_MAX = 10

Event = dict[str, str]


@dataclass
class Reading:
    """The facts of one subject (`place` says from which line), and why other lines cannot be used.

    `last` is the latest instant of any event that was read, UTC ms.
    """

    subject: Subject
    facts: list[Fact] = field(default_factory=list)
    place: dict[int, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    last: int = ALWAYS


@dataclass(frozen=True)
class StepTold:
    """One step of a cycle. `due` is the one in force afterwards, `details` how it came about."""

    at: str
    step: str
    event: Event | None
    due: str
    text: str
    details: tuple[str, ...]


@dataclass(frozen=True)
class CycleTold:
    """One cycle of a promise. Instants are RFC 3339 in UTC; `local` has those that people ask for, as they read.

    `awaited` is what is still to come (or, of a prohibition, not to come). `proved_from`: the first instant at which
    what absence has to prove can be known, None where that has been proved or nothing is to be. `warnings` are those to
    come, `published` what a worker says about the cycle if each event comes at once.
    """

    cycle: str
    opened_by: Event
    breach_of: str | None
    version: int
    timezone: str
    status: str
    text: str
    opened_at: str
    first_due: str
    due: str
    paused: str
    paused_since: str | None
    fulfilled_at: str | None
    breached_at: str | None
    awaited: str | None
    proved_from: str | None
    warnings: tuple[dict[str, str], ...]
    steps: tuple[StepTold, ...]
    published: tuple[dict[str, Any], ...]
    local: dict[str, str]


@dataclass(frozen=True)
class Refused:
    """An event that might have opened the promise and did not."""

    event: Event
    reason: str
    text: str


@dataclass(frozen=True)
class PromiseTold:
    """One promise: its cycles in the order of opening, and what opened none; `not_opened` counts the reasons."""

    promise: str
    title: str
    cycles: tuple[CycleTold, ...]
    refused: tuple[Refused, ...]
    not_opened: dict[str, int]


@dataclass(frozen=True)
class History:
    """Everything `explain --facts` says, as it is printed with `--output json`.

    Everything dated before `frontier` is taken to be known. `counted` is what was noticed of the events: duplicates,
    conflicts, events that mean nothing to any promise. `taken_back` are facts that others withdrew.
    """

    subject: dict[str, str]
    at: str | None
    frontier: str
    facts: int
    counted: dict[str, int]
    taken_back: tuple[Event, ...]
    promises: tuple[PromiseTold, ...]


def read_facts(
    book: Book, recordings: list[Recording], wanted: str | None, at_ms: int | None, key: str | None = None
) -> Reading:
    """The facts of one subject, up to an instant. `wanted` is its value, or `key=value`; with `key` only such count.

    Raises PromisewatchError if that is none of the recording, or if there are several and none was asked for.
    """
    readings: dict[Subject, Reading] = {}
    others: dict[Subject, None] = {}
    problems: list[str] = []
    last = ALWAYS
    for place, subject, fact in _facts(book, recordings, problems):
        if at_ms is not None and fact.time > at_ms:
            continue
        last = max(last, fact.time)
        if key is None or key == subject.key:
            if subject not in readings and _is_meant(subject, wanted, readings):
                readings[subject] = Reading(subject)
            if subject in readings:
                readings[subject].place[id(fact)] = place
                readings[subject].facts.append(fact)
            elif len(others) <= SUBJECTS_NAMED_MAX:
                others[subject] = None
    if len(readings) != 1 or (wanted is None and others):
        raise _no_subject(", ".join(str(path) for _, path in recordings), wanted, [*readings, *others], problems)
    (reading,) = readings.values()
    more = len(problems) - PROBLEMS_TOLD_MAX
    reading.problems = [*problems[:PROBLEMS_TOLD_MAX], *([f"... and {more:,} more"] if more > 0 else [])]
    reading.last = last
    return reading


def _facts(book: Book, recordings: list[Recording], problems: list[str]) -> Iterator[tuple[str, Subject, Fact]]:
    """What the lines of recordings say, each with its place; lines that cannot be used are added to `problems`."""
    decoder = Decoder(book)
    for source, path in recordings:
        for line in read_lines(path):
            place = f"{path}:{line.number}"
            try:
                found = decoder.facts(source, line.value)
            except EventError as error:
                problems.append(f"{place}: {error.reason}: {error}")
                continue
            for subject, fact in found:
                yield place, subject, fact


def _is_meant(subject: Subject, wanted: str | None, readings: dict[Subject, Reading]) -> bool:
    """Whether a subject is the one that was asked for; the first one if none was."""
    if wanted is None:
        return not readings
    return wanted in (subject.value, _named(subject))


def _named(subject: Subject) -> str:
    return f"{subject.key}={subject.value}"


def _no_subject(files: str, wanted: str | None, seen: list[Subject], problems: list[str]) -> PromisewatchError:
    if not seen:
        first = f"; the first line that cannot be used: {problems[0]}" if problems else ""
        return PromisewatchError(f"{files}: found no event that a promise of the book names{first}", ExitCode.DATA)
    keys = {subject.key for subject in seen}
    shown = [subject.value if len(keys) == 1 else _named(subject) for subject in seen[:SUBJECTS_NAMED_MAX]]
    expected = ", ".join(shown) + (", ..." if len(seen) > len(shown) else "")
    if wanted is None:
        of = f"one {seen[0].key} of" if len(keys) == 1 else "one of"
        message = f"{files}: found several subjects, expected --subject with {of} {expected}"
    elif any(wanted in (subject.value, _named(subject)) for subject in seen):
        message = f"{files}: found {wanted!r} under several keys, expected one of {expected}"
    else:
        named = f"with the {seen[0].key} {wanted!r}" if len(keys) == 1 else f"about {wanted!r}"
        message = f"{files}: found no event {named}, expected one of {expected}"
    return PromisewatchError(message, ExitCode.USAGE)


def retell(book: Book, reading: Reading, promise: str | None, at_ms: int | None, since_ms: int | None) -> History:
    """What became of a subject's promises by the frontier. Facts that cannot be used are added to what is wrong."""
    known = list(dict.fromkeys(one.id for one in book.promises if one.key == reading.subject.key))
    if promise is not None and promise not in known:
        expected_ids = ", ".join(known)
        message = f"{book.path}: found no promise {promise!r}, expected one of {expected_ids}"
        raise PromisewatchError(message, ExitCode.USAGE)
    settle_ms = max(0 if one.frontier == "markers" else one.settle_ms for one in book.sources.values())
    # A recording is complete up to its last event, that one included: the frontier is the millisecond after it.
    frontier = reading.last + 1 if at_ms is None else at_ms - settle_ms
    known_since = ALWAYS if since_ms is None else since_ms
    detector = Detector(book)
    gathered = gather(detector, reading.subject, reading.facts, known_since)
    unusable = {id(fact) for fact, _ in gathered.unusable}
    reading.problems += [f"{reading.place[id(fact)]}: {error.reason}: {error}" for fact, error in gathered.unusable]
    usable = [fact for fact in reading.facts if id(fact) not in unusable]
    clans = [clan for clan in clans_of(book) if clan.key == reading.subject.key]
    stories = tell(clans, gathered, frontier, known_since)
    said = published(detector, reading.subject, usable, frontier, settle_ms, known_since)
    teller = _Teller(Calendars(book.calendars), said, frontier, settle_ms)
    by_id = {story.clan.id: story for story in stories}
    return History(
        subject=reading.subject._asdict(),
        at=None if at_ms is None else format_instant(at_ms),
        frontier=format_instant(frontier),
        facts=len(reading.facts),
        counted=dict(sorted(gathered.counted.items())),
        taken_back=_taken_back(gathered),
        promises=tuple(teller.promise(by_id[name]) for name in known if name in by_id and promise in (None, name)),
    )


def event_of(fact: Fact) -> Event:
    """How an event is named: never its payload."""
    return {"source": fact.source, "id": fact.id, "type": fact.type, "time": format_instant(fact.time)}


def _taken_back(gathered: Gathered) -> tuple[Event, ...]:
    gone = {(fact.source, fact.withdraws) for fact in gathered.stored if fact.withdraws is not None}
    return tuple(event_of(fact) for fact in gathered.stored if fact.member in gone)


class _Teller:
    """Makes data of accounts. `said` is what a worker publishes."""

    def __init__(self, calendars: Calendars, said: list[Publication], frontier: int, settle_ms: int) -> None:
        self.calendars = calendars
        self.frontier = frontier
        self.settle_ms = settle_ms
        self.said: dict[tuple[str, str, str], list[Publication]] = {}
        for one in said:
            self.said.setdefault((one.promise, one.opening.source, one.cycle), []).append(one)

    def promise(self, story: Story) -> PromiseTold:
        refused = tuple(self._refused(refusal) for refusal in story.refusals)
        newest = story.clan.terms[0].promise
        return PromiseTold(
            promise=story.clan.id,
            title=newest.title,
            cycles=tuple(self._cycle(story.clan.id, lived) for lived in story.cycles),
            refused=refused,
            not_opened=dict(sorted(Counter(refusal.reason for refusal in refused).items())),
        )

    def _refused(self, refusal: Refusal) -> Refused:
        return Refused(event_of(refusal.fact), refusal.reason, refusal_text(refusal))

    def _cycle(self, promise_id: str, lived: Lived) -> CycleTold:
        course, found = lived.course, lived.standing
        terms, opening = course.terms, course.opening
        is_open = found.status == OPEN
        warnings = terms.warnings(opening.time, course.due) if is_open else []
        instants = {
            "opened_at": opening.time, "first_due": course.due_base, "due": course.due,
            "fulfilled_at": found.fulfilled_at, "breached_at": found.breached_at,
        }  # fmt: skip
        proved = course.resolve_at + self.settle_ms + 1
        return CycleTold(
            cycle=opening.id,
            opened_by=event_of(opening),
            breach_of=lived.cause,
            version=terms.promise.version,
            timezone=terms.civil.name,
            status=found.status,
            text=verdict_text(lived),
            opened_at=format_instant(opening.time),
            first_due=format_instant(course.due_base),
            due=format_instant(course.due),
            paused=format_duration(course.paused_ms),
            paused_since=_instant(lived.paused_since),
            fulfilled_at=_instant(found.fulfilled_at),
            breached_at=_instant(found.breached_at),
            awaited=awaited(lived),
            proved_from=format_instant(proved) if is_open else None,
            warnings=tuple(
                {"warn": text, "at": format_instant(instant)} for text, instant in warnings if instant >= self.frontier
            ),
            steps=tuple(self._step(lived, step) for step in lived.steps),
            published=tuple(_said(one) for one in self.said.get((promise_id, *opening.member), ())),
            local={name: moment_text(terms.civil, at) for name, at in instants.items() if at is not None},
        )

    def _step(self, lived: Lived, step: Step) -> StepTold:
        text, details = steps_of(lived, step, self.calendars)
        event = None if step.fact is None else event_of(step.fact)
        return StepTold(format_instant(step.at), step.kind, event, format_instant(step.due), text, tuple(details))


def _said(one: Publication) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "status": one.status,
        "revision": one.revision,
        "warn": one.warn,
        "due": format_instant(one.due),
        "text": one.explain,
    }


def _instant(instant: int | None) -> str | None:
    return None if instant is None else format_instant(instant)
