"""The detector: one fact, or a fire time that has passed, in; the changed record and what to publish, out.

    what is published = the difference between the verdict before and the verdict after

It reads no clock and does no I/O. Records and cycles passed in are never changed: a step returns new ones.
"""

from bisect import insort
from typing import Final

import msgspec

from promises import borders
from promises.cycles import wake
from promises.gaps import NO_GAPS, Gap
from promises.general import Scene, bring_up, concerned, concerns, refuse_opening
from promises.plans import Plan
from promises.retiring import is_needless, needed, retire
from promises.rules import Rules
from promises.simple import SimplePromises, content, find
from promises.steps import Bounds, Step, Work
from promises.terms import Clan
from schemas.book_model import Book
from schemas.editions import NO_EDITIONS, Editions
from schemas.errors import EventError
from schemas.facts import FACTS_MAX, Fact, Subject
from schemas.records import RECORD_FORMAT, Cycle, Record

CONCERNED_REMEMBERED_MAX = 10_000
"""Sets of promises of which it is remembered what else has to be judged with them."""

SEPARATOR: Final = b"\x1f"
"""Between the two parts of a stored subject. A key's value contains none (`schemas/decoding.py`), nor does a name."""


def subject_key(subject: Subject) -> bytes:
    """The key under which a subject is stored, and by which subjects due at one instant are ordered."""
    return f"{subject.key}\x1f{subject.value}".encode()


def subject_of(stored_as: bytes) -> Subject:
    """The subject of a key that `subject_key` made."""
    key, _, value = stored_as.decode().partition("\x1f")
    return Subject(key, value)


class Detector:
    """The compiled book and the difference function. It holds no state of any subject."""

    def __init__(self, book: Book, editions: Editions = NO_EDITIONS) -> None:
        """`editions` are the texts that cycles run under besides the book's own. Raises StateError as `Rules`."""
        self.book = book
        self.editions = editions
        self.rules = Rules(book, editions)
        self._simple = SimplePromises(self.rules)
        self._remedied: dict[tuple[Clan, ...], list[Clan]] = {}

    def apply(self, subject: Subject, stored_as: bytes, record: Record | None, fact: Fact, bounds: Bounds) -> Step:
        """Add one fact to what is known of a subject; `stored_as` is `subject_key(subject)`.

        Raises EventError if the fact opens a promise whose due cannot be told, or is one too many; StateError if the
        record needs a promise version that the book has lost.
        """
        plan = self._plan(subject, fact)
        if plan is None:
            return _unchanged(record, ("irrelevant" if fact.type in self.rules.types else "unknown_type",))
        known = record.facts if record is not None else []
        held = find(known, fact.source, fact.id)
        counted: list[str] = []
        if held is None:
            after = known.copy()
            if after and fact.time <= after[-1].time:
                insort(after, fact, key=borders.place)
            else:  # most facts come in the order in which things happen
                after.append(fact)
        else:
            if held.time == fact.time and content(held) == content(fact):
                return _unchanged(record, ("duplicate",))
            after = sorted([fact, *(one for one in known if one is not held)], key=borders.place)

        runs = record.cycles.copy() if record is not None else []
        work = Work(subject, stored_as, known, after, bounds, runs)
        if not self._bring_up(work, plan, held, fact, counted):
            return _unchanged(record, tuple(counted) or ("irrelevant",))
        is_old = held is None and borders.overdue(fact.time + plan.orphan_ttl_ms, bounds.frontier)
        # It has been forgotten, if it ever was known: told again it must change nothing.
        if is_old and (not runs or (fact.withdraws is None and is_needless(self.rules, fact, runs))):
            return _unchanged(record, (*counted, "too_old"))
        _check_room(after)
        changed = Record(RECORD_FORMAT, after, runs)
        timers = work.timers
        if not runs:
            timer = self.wake(subject, stored_as, changed, bounds.checkpoint)
        else:
            timer = min(timers) if timers else None
        return Step(changed, True, work.publications, timer, tuple(counted))

    def fire(
        self,
        subject: Subject,
        stored_as: bytes,
        record: Record,
        checkpoint: borders.Moment,
        upto: int,
        *,
        known_since: int = 0,
        frontier: int | None = None,
        gaps: tuple[Gap, ...] = NO_GAPS,
    ) -> Step:
        """Do what the timers owe a subject at instants up to and including `upto`, which the `frontier` has passed.

        Breaches of simple promises are published and leave no trace in the record: the checkpoint says that they were.
        Cycles that have expired, and facts that nothing needs any more, leave the record.
        """
        bounds = Bounds(upto, upto, known_since, checkpoint, gaps)
        work = Work(subject, stored_as, record.facts, record.facts, bounds, record.cycles)
        clans = self.rules.clans
        self._simple.fire(work, upto)
        runs = [cycle for cycle in record.cycles if cycle.expires > upto or cycle.promise in clans]
        facts = record.facts
        left = len(runs) < len(record.cycles)
        if any(cycle.general is not None or cycle.promise in clans for cycle in runs):
            proved_before = upto if frontier is None else frontier
            facts, runs = self._fire_general(work, runs, facts, record, proved_before, left=left)
        elif left or not runs:
            facts = needed(self.rules, facts, runs, upto, lambda fact: self._forget_at(subject, fact))
        if not runs:
            facts = [fact for fact in facts if self._forget_at(subject, fact) > upto]
        kept: Record | None = record
        changed = runs != record.cycles or len(facts) < len(record.facts)
        if changed:
            kept = Record(RECORD_FORMAT, facts, runs) if runs or facts else None
        passed = (upto, stored_as)
        next_wake = self.wake(subject, stored_as, kept, passed) if kept is not None else None
        return Step(kept, changed, work.publications, next_wake, ())

    def wake(self, subject: Subject, stored_as: bytes, record: Record, checkpoint: borders.Moment) -> int | None:
        """The next instant at which a timer has to look at this subject."""
        if record.cycles:
            return wake(record.cycles, stored_as, checkpoint)
        return min((self._forget_at(subject, fact) for fact in record.facts), default=None)

    def _forget_at(self, subject: Subject, fact: Fact) -> int:
        """When a fact that no cycle needs is no longer kept."""
        plan = self._plan(subject, fact)
        if plan is None:
            return fact.time
        kept_for = plan.orphan_ttl_ms
        # What opened nothing because an earlier one had must not do so when it is told again and that one has left.
        for role in plan.roles:
            rule = role.family.at(fact.time) if role.opens else None
            if rule is not None and rule.opens(fact):
                kept_for = max(kept_for, rule.retention_ms)
        return fact.time + kept_for

    def _plan(self, subject: Subject, fact: Fact) -> Plan | None:
        """What a fact is to the promises about a subject."""
        if fact.withdraws is not None:
            return self.rules.plan_of_withdrawal(subject.key)
        plan = self.rules.plan(subject.key, fact.type)
        return plan if plan is None or plan.narrowed is None else plan.narrowed.plan(fact)

    def _bring_up(self, work: Work, plan: Plan, held: Fact | None, fact: Fact, counted: list[str]) -> bool:
        """Bring all cycles up to date with a fact, new or instead of `held`; whether it means anything to them."""
        if held is None and not plan.clans:
            return self._simple.add(work, plan, fact, counted)
        bounds, judged = work.bounds, fact.withdraws is not None
        scene = Scene(
            work.subject, work.stored_as, work.after, bounds.known_since, bounds.frontier, bounds.floor,
            bounds.frontier, bounds.checkpoint, gaps=bounds.gaps,
        )  # fmt: skip
        clans, idle = [], []
        is_new = held is None and fact.withdraws is None
        running = {cycle.promise for cycle in work.runs}
        for clan in plan.clans:
            if is_new and clan.id not in running and fact.type not in clan.opening_types:
                idle.append(clan)  # nothing of it runs, and this opens nothing
                continue
            if (
                fact.withdraws is not None
                or concerns(clan, fact, scene, counted)
                or (clan.closed and clan.concerns_closed(fact, work.runs, counted))
            ):
                clans.append(clan)
                judged = True
        if not judged:  # it may still be what a promise waits for that opens later
            judged = any(clan.may_concern(fact, counted) for clan in idle)
        if held is None:
            counts = self._simple.add(work, plan, fact, counted) or judged
        else:
            counts = self._simple.replace(work, plan, held, fact, counted, relevant=judged)
        if counts and (judged or (held is not None and self.rules.clans)):
            if held is not None:
                scene = scene._replace(replaced=held.member)
                clans = [clan for clan in self.rules.clans.values() if clan.key == work.subject.key]
            self._judge(work, tuple(clans), scene, fact, counted)
        return counts

    def _judge(self, work: Work, clans: tuple[Clan, ...], scene: Scene, fact: Fact, counted: list[str]) -> None:
        """Bring the cycles of these promises, and of their remedies, up to date with a fact that is known now."""
        for clan in clans:
            refuse_opening(clan, work.after, fact, scene, counted)
        found = bring_up(self._concerned(clans), scene, work.before, work.runs)
        work.runs[:] = found.runs
        work.publications.extend(found.publications)
        work.timers.extend(found.timers)
        counted.extend(found.counted)

    def _concerned(self, clans: tuple[Clan, ...]) -> list[Clan]:
        """As `concerned`, and remembered: an event of five promises costs the same in a book of five hundred."""
        found = self._remedied.get(clans)
        if found is None:
            if len(self._remedied) >= CONCERNED_REMEMBERED_MAX:
                self._remedied.clear()
            found = self._remedied[clans] = concerned(self.rules, clans)
        return found

    def _fire_general(
        self, work: Work, runs: list[Cycle], facts: list[Fact], record: Record, frontier: int, *, left: bool
    ) -> tuple[list[Fact], list[Cycle]]:
        """Do what the timers owe the cycles of the whole language; the facts and cycles that stay."""
        upto, subject, known = work.bounds.frontier, work.subject, self.rules.clans
        moment = (upto, work.stored_as)
        # What has become a simple promise again is one from here on.
        runs = [cycle if cycle.promise in known else _simplified(cycle) for cycle in runs]
        due = [cycle for cycle in runs if cycle.general is None or cycle.general.next_at <= upto]
        clans = tuple({cycle.promise: known[cycle.promise] for cycle in due if cycle.promise in known}.values())
        scene = Scene(
            subject, work.stored_as, facts, work.bounds.known_since, upto, upto, frontier, moment,
            work.bounds.checkpoint, gaps=work.bounds.gaps,
        )  # fmt: skip
        found = bring_up(self._concerned(clans), scene, facts, runs)
        work.publications.extend(found.publications)
        brought = Record(record.format, facts, found.runs)
        return retire(self.rules, scene, brought, upto, lambda fact: self._forget_at(subject, fact), left=left)


def _unchanged(record: Record | None, counted: tuple[str, ...]) -> Step:
    return Step(record, False, [], None, counted)


def _check_room(facts: list[Fact]) -> None:
    """Refuse a fact too many: one record that grows without end would one day fit into no topic."""
    if len(facts) > FACTS_MAX:
        raise EventError("too_many_facts", f"found {FACTS_MAX} facts of this subject already, expected no more")


def _simplified(cycle: Cycle) -> Cycle:
    return cycle if cycle.general is None else msgspec.structs.replace(cycle, general=None)
