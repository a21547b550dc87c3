"""Simple promises: followed fact by fact, and published by timers that write nothing.

What is published is the difference between two verdicts of one cycle. Cycles passed in are never changed.
"""

import msgspec

from promises import borders
from promises.cycles import awaits_fire, caught_up, changes, count, open_cycle, standing
from promises.plans import Plan
from promises.publishing import publication
from promises.rules import Family, Rule, Rules
from promises.steps import Bounds, Work
from promises.verdicts import IS_VOID, OPEN, VOID, Verdict, verdict
from schemas.facts import Fact
from schemas.records import Cycle

_canonical = msgspec.json.Encoder(order="sorted").encode


class _Opening:
    """An accepted opening."""

    __slots__ = ("due", "fact", "rule")

    def __init__(self, rule: Rule, fact: Fact, due: int) -> None:
        self.rule = rule
        self.fact = fact
        self.due = due


class SimplePromises:
    """The simple promises of a book. It holds no state of any subject."""

    def __init__(self, rules: Rules) -> None:
        """Follow the simple promises of a compiled book."""
        self._rules = rules

    def fire(self, work: Work, upto: int) -> None:
        """Publish what timers owe up to and including `upto`; the record keeps no trace, the checkpoint tells."""
        gaps = work.bounds.gaps
        for cycle in work.runs:
            simple = cycle.promise not in self._rules.clans
            if simple and cycle.fire <= upto and awaits_fire(cycle, work.stored_as, work.bounds.checkpoint):
                rule = self._rules.family(cycle.promise).version(cycle.version)
                after = verdict(rule, work.after, cycle.opened_at, cycle.due, passed=True, gaps=gaps)
                self._publish(work, rule, cycle, standing(rule, cycle, work.after), after)

    def add(self, work: Work, plan: Plan, fact: Fact, counted: list[str]) -> bool:
        """Bring the cycles up to date with a fact that was not known before; whether it means anything to them."""
        runs = work.runs
        relevant = False
        for role in plan.roles:
            family = role.family
            index = _running(runs, family.id) if runs else None
            if role.opens:
                opening = self._accept(family, fact, work.bounds, counted)
                if opening is not None:
                    relevant = True
                    if index is None or _opens_earlier(fact, runs[index]):
                        self._reopen(work, index, opening)
                        continue
            if role.settles:
                if index is not None:
                    rule = family.version(runs[index].version)
                    if rule.serves(fact):
                        relevant = True
                        runs[index] = self._settle(work, rule, runs[index])
                        continue
                relevant = relevant or _serves(role.serves, fact)
        return relevant

    def replace(self, work: Work, plan: Plan, held: Fact, fact: Fact, counted: list[str], *, relevant: bool) -> bool:
        """Bring the cycles up to date with other content under a known (source, id): `fact` instead of `held`.

        Whether it counts: the smaller content does, of all those that mean something to a promise; `relevant`: it does
        to one that is not simple.
        """
        openings: dict[str, _Opening] = {}
        for role in plan.roles:
            family = role.family
            opening = self._accept(family, fact, work.bounds, counted) if role.opens else None
            if opening is not None:
                openings[family.id] = opening
            relevant = (
                relevant or opening is not None or _serves(role.serves, fact) or _settles(family, work.runs, fact)
            )
        if not relevant:
            return False
        counted.append("conflict")
        if not borders.wins((fact.time, content(fact)), (held.time, content(held))):
            return False
        runs = work.runs
        for family in self._rules.families.values():
            index = _running(runs, family.id)
            opening = openings.get(family.id)
            if index is None:
                if opening is not None:
                    self._reopen(work, None, opening)
            elif (runs[index].source, runs[index].opening) == held.member:
                self._reopen(work, index, self._earliest(family, work))
            elif opening is not None and _opens_earlier(fact, runs[index]):
                self._reopen(work, index, opening)
            else:
                runs[index] = self._settle(work, family.version(runs[index].version), runs[index])
        return True

    def _accept(self, family: Family, fact: Fact, bounds: Bounds, counted: list[str]) -> _Opening | None:
        """What a fact would open if it is the earliest to do so; why it opens nothing is counted."""
        rule = family.at(fact.time)
        if rule is None:
            if any(version.opens(fact) for version in family.rules):
                counted.append("not_effective")
            return None
        if not rule.opens(fact):
            return None
        if borders.before_known(fact.time, bounds.known_since + rule.known_for_ms):
            reason = "before_known"
        elif borders.too_old(fact.time, bounds.frontier, rule.retention_ms):
            reason = "too_old"
        else:
            due = rule.due(fact)
            if due is None:
                reason = "no_due"
            elif borders.born_overdue(due, fact.time) and not rule.early:
                reason = "born_overdue"
            else:
                return _Opening(rule, fact, due)
        counted.append(reason)
        return None

    def _earliest(self, family: Family, work: Work) -> _Opening | None:
        for fact in work.after:
            opening = self._accept(family, fact, work.bounds, [])
            if opening is not None:
                return opening
        return None

    def _reopen(self, work: Work, index: int | None, opening: _Opening | None) -> None:
        """Void the running cycle at `index`, if there is one, and run the one that `opening` opens, if it does."""
        runs = work.runs
        if index is not None:
            voided = self._void(work, self._rules.family(runs[index].promise).version(runs[index].version), runs[index])
            if voided.revision:
                runs[index] = voided  # kept, so that what it published is counted if it ever runs again
            else:
                del runs[index]
        if opening is None:
            return
        rule, fact, due = opening.rule, opening.fact, opening.due
        earlier = None
        for run in runs:
            if run.opening == fact.id and run.source == fact.source and run.promise == rule.promise.id:
                earlier = run
                runs.remove(run)
                break
        cycle = open_cycle(rule, fact, due, work.bounds.floor, earlier)
        if earlier is not None or len(work.after) > 1 or rule.serves(fact):  # otherwise nothing can be settled yet
            cycle = self._settle(work, rule, cycle)
        runs.append(cycle)
        work.timers.append(cycle.fire if cycle.status == OPEN else cycle.expires)

    def _void(self, work: Work, rule: Rule, cycle: Cycle) -> Cycle:
        cycle = self._caught_up(work, rule, cycle)
        if not cycle.revision:
            return cycle
        return self._publish(work, rule, cycle, standing(rule, cycle, work.before), IS_VOID)

    def _settle(self, work: Work, rule: Rule, cycle: Cycle) -> Cycle:
        """Publish what a fact changes for a running cycle. What timers published before is read off the checkpoint."""
        passed = borders.published((cycle.fire, work.stored_as), work.bounds.checkpoint)
        if passed:
            cycle = self._caught_up(work, rule, cycle)
        before = standing(rule, cycle, work.before)
        after = verdict(rule, work.after, cycle.opened_at, cycle.due, passed=passed, gaps=work.bounds.gaps)
        if after == before:
            return cycle
        if after.status == OPEN:  # it was settled, so its timer may be gone
            work.timers.append(cycle.fire)
        return self._publish(work, rule, cycle, before, after)

    def _caught_up(self, work: Work, rule: Rule, cycle: Cycle) -> Cycle:
        """The cycle with what a timer has published since its record was written."""
        if cycle.status == OPEN and borders.published((cycle.fire, work.stored_as), work.bounds.checkpoint):
            fired = verdict(rule, work.before, cycle.opened_at, cycle.due, passed=True, gaps=work.bounds.gaps)
            return caught_up(cycle, fired)
        return cycle

    def _publish(self, work: Work, rule: Rule, cycle: Cycle, before: Verdict, after: Verdict) -> Cycle:
        """Publish what lies between two verdicts; the cycle that counts it."""
        for change in changes(before, after):
            cycle, n, outcome_n = count(cycle, change)
            # Under a void cycle the content of its opening may have been replaced.
            opening = find(work.before if change.status == VOID else work.after, cycle.source, cycle.opening)
            assert opening is not None, "the fact that opened a cycle stays in the record as long as the cycle"
            work.publications.append(publication(rule, work.subject, cycle, opening, work.after, change, n, outcome_n))
        return cycle


def content(fact: Fact) -> bytes:
    """What two facts under one id are compared by, besides their time."""
    return _canonical([fact.type, fact.data] if fact.withdraws is None else [fact.type, fact.data, fact.withdraws])


def find(facts: list[Fact], source: str, fact_id: str) -> Fact | None:
    """The fact of that source and id."""
    for fact in facts:
        if fact.id == fact_id and fact.source == source:
            return fact
    return None


def _serves(rules: tuple[Rule, ...], fact: Fact) -> bool:
    """Whether the fact may settle a cycle under any of these versions."""
    for rule in rules:  # noqa: SIM110 - the generator that any() wants costs as much as the rest of a step
        if rule.serves(fact):
            return True
    return False


def _settles(family: Family, runs: list[Cycle], fact: Fact) -> bool:
    """Whether the fact may settle the running cycle of a promise."""
    index = _running(runs, family.id)
    return index is not None and family.version(runs[index].version).serves(fact)


def _running(runs: list[Cycle], promise: str) -> int | None:
    """Where the one cycle of a promise that is not void stands."""
    for index, cycle in enumerate(runs):
        if cycle.promise == promise and cycle.status != VOID:
            return index
    return None


def _opens_earlier(fact: Fact, cycle: Cycle) -> bool:
    return borders.opens_earlier(borders.place(fact), (cycle.opened_at, cycle.opening, cycle.source))
