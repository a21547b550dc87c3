"""Moving running promises to another version of their text, on an operator's explicit word.

A cycle that runs is pinned to the new text and its due computed anew from its opening. That due is learnt now, so it is
published no earlier than the floor. What has been published stays: settled and broken cycles are not touched, and where
the move of one would change another's verdict, none of the promise's cycles about that subject moves.

Pure, and the same for the worker, which acts on it, and for a dry run, which tells what it would do.
"""

from typing import Final, NamedTuple

import msgspec

from promises import borders
from promises.courses import FOREVER
from promises.cycles import awaits_fire, changes, count
from promises.detector import Detector
from promises.general import Scene, adopted, bring_up, concerned
from promises.publishing import publication
from promises.rules import Rule
from promises.steps import Bounds
from promises.terms import Clan, Terms
from promises.unseen import unseen
from promises.verdicts import OPEN, VOID, Verdict, verdict
from schemas.editions import text_digest, version_of
from schemas.errors import EventError
from schemas.facts import Fact, Subject
from schemas.migrations import Migration
from schemas.publications import Publication, Status
from schemas.records import RECORD_FORMAT, Cycle, Record

MOVED: Final = "moved"
ALREADY: Final = "already"
NOT_OPENED: Final = "not_opened"
NO_DUE: Final = "no_due"
BORN_OVERDUE: Final = "born_overdue"
BEFORE_KNOWN: Final = "before_known"
UNSEEN: Final = "unseen"
SHARES: Final = "shares"

REASONS: Final = {
    MOVED: "moved to the new version",
    ALREADY: "under the new version already",
    NOT_OPENED: "left: the event that opened it does not open the new version",
    NO_DUE: "left: by the new version it has no due, or one that cannot be told",
    BORN_OVERDUE: "left: by the new version it was due before it opened",
    BEFORE_KNOWN: "left: the new version looks at events from before everything is known",
    UNSEEN: "left: the new version looks at events that the old one did not, and earlier ones may not have been kept",
    SHARES: "left: it would not run beside the other cycles of its subject without changing their verdicts",
}
"""What may become of a running cycle, and how that is told."""


class Fate(NamedTuple):
    """What became of one running cycle. Instants are UTC milliseconds; `due` and `status` are those after it.

    `overdue`: its new due has passed already, so that it counts as broken once everything until now has been read.
    """

    opening: str
    version: int
    reason: str
    due_before: int
    due: int
    status: Status
    overdue: bool


class Moved(NamedTuple):
    """What a migration did to one subject: its record, None where nothing changed; when a timer has to look at it."""

    record: Record | None
    publications: list[Publication]
    wake: int | None
    fates: list[Fate]


class Migrating:
    """One migration, applied subject by subject.

    Raises EventError if the book lacks the promise (`unknown_promise`) or the version (`unknown_version`), or has
    another text for it than the one meant (`other_text`).
    """

    def __init__(self, detector: Detector, migration: Migration) -> None:
        self.detector = detector
        self.migration = migration
        promise_id, to, book = migration.promise, migration.to, detector.book
        versions = [promise for promise in book.promises if promise.id == promise_id]
        if not versions:
            known = ", ".join(dict.fromkeys(promise.id for promise in book.promises))
            raise EventError("unknown_promise", f"the book has no promise {promise_id!r}, expected one of {known}")
        target = next((promise for promise in versions if promise.version == to), None)
        if target is None:
            known = ", ".join(str(promise.version) for promise in versions)
            message = f"the book has no version {to} of promise {promise_id!r}, expected one of {known}"
            raise EventError("unknown_version", message)
        if text_digest(target, book.calendars) != migration.text:
            message = f"the book has another text for version {to} of promise {promise_id!r} than the one meant"
            raise EventError("other_text", message)
        rules = detector.rules
        self.clan: Clan | None = rules.clans.get(promise_id)
        self._pin = next(
            one.pin
            for one in (self.clan.terms if self.clan is not None else rules.families[promise_id].rules)
            if one.promise is target
        )  # fmt: skip
        # A text that a partition is told of for the first time now has seen nothing yet.
        self._since = detector.editions.since.get((promise_id, to), FOREVER)
        self._unseen: dict[int, bool] = {}

    def concerns(self, cycle: Cycle) -> bool:
        """Whether a cycle is one that may be meant, going by its record alone."""
        meant, wanted = self.migration, self.migration.versions
        return cycle.promise == meant.promise and cycle.status == OPEN and (
            wanted is None or version_of(cycle.version) in wanted
        )  # fmt: skip

    def move(self, subject: Subject, stored_as: bytes, record: Record, bounds: Bounds) -> Moved:
        """Move what runs about one subject; the record passed in stays as it is."""
        if self.clan is not None:
            return self._move_general(self.clan, subject, stored_as, record, bounds)
        return self._move_simple(subject, stored_as, record, bounds)

    def _move_simple(self, subject: Subject, stored_as: bytes, record: Record, bounds: Bounds) -> Moved:
        family = self.detector.rules.families[self.migration.promise]
        target = family.version(self._pin)
        runs = record.cycles.copy()
        published: list[Publication] = []
        fates: list[Fate] = []
        wake: int | None = None
        for index, cycle in enumerate(runs):
            if not self.concerns(cycle) or not awaits_fire(cycle, stored_as, bounds.checkpoint):
                continue
            opening = _opening_of(record.facts, cycle)
            pinned = family.version(cycle.version)
            reason, due = self._due(target, pinned, cycle, opening, bounds, opens=target.opens(opening))
            if due is None:
                fates.append(_left(cycle, reason))
                continue
            moved = _pinned(cycle, self._pin, due, target.retention_ms, bounds)
            after = verdict(target, record.facts, moved.opened_at, due, passed=False, gaps=bounds.gaps)
            for change in changes(Verdict(OPEN, None), after):
                moved, n, outcome_n = count(moved, change)
                published.append(
                    publication(target, subject, moved, opening, record.facts, change, n, outcome_n)
                )  # fmt: skip
            runs[index] = moved
            fates.append(_fate(cycle, moved, bounds))
            wake = moved.fire if moved.status == OPEN else moved.expires
        if wake is None:
            return Moved(None, [], None, fates)
        return Moved(Record(RECORD_FORMAT, record.facts, runs), published, wake, fates)

    def _move_general(
        self, clan: Clan, subject: Subject, stored_as: bytes, record: Record, bounds: Bounds
    ) -> Moved:  # fmt: skip
        target = clan.version(self._pin)
        scene = Scene(
            subject, stored_as, record.facts, bounds.known_since, bounds.frontier, bounds.floor, bounds.frontier,
            bounds.checkpoint, gaps=bounds.gaps,
        )  # fmt: skip
        runs = record.cycles.copy()
        fates: dict[int, Fate] = {}
        meant: dict[int, Cycle] = {}
        for index, cycle in enumerate(runs):
            if not self.concerns(cycle):
                continue
            if cycle.general is None:
                cycle = adopted(clan, scene, cycle)  # noqa: PLW2901 - the same cycle, told of what its timer did
            if cycle.status != OPEN:
                continue
            pinned = clan.version(cycle.version)
            opening = msgspec.structs.replace(_opening_of(record.facts, cycle), time=cycle.opened_at)
            opens = _opens(target, pinned, opening)
            reason, due = self._due(target, pinned, cycle, opening, bounds, opens=opens)
            if due is None:
                fates[index] = _left(cycle, reason)
                continue
            meant[index] = cycle
            assert cycle.general is not None, "it has been adopted"
            # As learnt now: warnings that the new text adds are given from the floor on.
            general = msgspec.structs.replace(cycle.general, floor=bounds.floor)
            runs[index] = msgspec.structs.replace(cycle, version=self._pin, base_due=due, general=general)
        if not meant:
            return Moved(None, [], None, list(fates.values()))
        found = bring_up(concerned(self.detector.rules, (clan,)), scene, record.facts, runs)
        after = {(one.promise, one.source, one.opening): one for one in found.runs if one.status != VOID}
        others = [one for index, one in enumerate(record.cycles) if index not in meant and one.status != VOID]
        if len(after) != len(others) + len(meant) or any(_disturbed(one, after) for one in others):
            fates |= {index: _left(cycle, SHARES) for index, cycle in meant.items()}
            return Moved(None, [], None, list(fates.values()))
        for index, cycle in meant.items():
            fates[index] = _fate(cycle, after[cycle.promise, cycle.source, cycle.opening], bounds)
        wake = min(found.timers) if found.timers else None
        told = [fates[index] for index in sorted(fates)]
        return Moved(Record(RECORD_FORMAT, record.facts, found.runs), found.publications, wake, told)

    def _due(
        self,
        target: Rule | Terms,
        pinned: Rule | Terms,
        cycle: Cycle,
        opening: Fact,
        bounds: Bounds,
        *,
        opens: bool,
    ) -> tuple[str, int | None]:
        """The due by the new text; or None, and why the cycle stays where it is."""
        if cycle.version == self._pin:
            return ALREADY, None
        if not opens:
            return NOT_OPENED, None
        looks_from = cycle.opened_at - max(target.skew_ms, target.known_for_ms)
        if not self.migration.assume_known and not borders.seen_since(looks_from, self._since):
            if cycle.version not in self._unseen:
                self._unseen[cycle.version] = bool(unseen(target.promise, pinned.promise))
            if self._unseen[cycle.version]:
                return UNSEEN, None
        if borders.before_known(cycle.opened_at, bounds.known_since + target.known_for_ms):
            return BEFORE_KNOWN, None
        try:
            due = target.due(opening)
        except EventError:
            due = None
        if due is not None and borders.born_overdue(due, cycle.opened_at) and not target.early:
            return BORN_OVERDUE, None
        return NO_DUE, due


def _pinned(cycle: Cycle, pin: int, due: int, retention_ms: int, bounds: Bounds) -> Cycle:
    """A cycle of a simple promise under another text. One whose due stays is published when it was to be."""
    fire = cycle.fire if due == cycle.due else max(due, bounds.floor)
    expires = max(max(due, cycle.opened_at) + retention_ms, fire)
    return msgspec.structs.replace(
        cycle, version=pin, base_due=due, due=due, fire=fire, expires=expires, general=None
    )  # fmt: skip


def _opens(target: Terms, pinned: Terms, opening: Fact) -> bool:
    """Whether what opened a cycle opens it by the new text too: its event, or the breach that it makes good."""
    if pinned.promise.when.breach_of is not None:
        return target.promise.when.breach_of == pinned.promise.when.breach_of
    return target.opens(opening, {})


def _disturbed(cycle: Cycle, after: dict[tuple[str, str, str], Cycle]) -> bool:
    """Whether a cycle that was not to move stands otherwise than before."""
    found = after.get((cycle.promise, cycle.source, cycle.opening))
    return found is None or (found.revision, found.status, found.due) != (cycle.revision, cycle.status, cycle.due)


def _left(cycle: Cycle, reason: str) -> Fate:
    return Fate(cycle.opening, version_of(cycle.version), reason, cycle.due, cycle.due, cycle.status, False)


def _fate(before: Cycle, after: Cycle, bounds: Bounds) -> Fate:
    is_overdue = after.status == OPEN and borders.overdue(after.due, bounds.frontier)
    return Fate(
        before.opening, version_of(before.version), MOVED, before.due, after.due, after.status, is_overdue
    )  # fmt: skip


def _opening_of(facts: list[Fact], cycle: Cycle) -> Fact:
    for fact in facts:
        if fact.id == cycle.opening and fact.source == cycle.source:
            return fact
    raise AssertionError("the fact that opened a cycle stays in the record as long as the cycle")
