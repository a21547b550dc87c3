"""The verdict on one cycle: a pure function of the rule, the facts known and whether its fire time has passed."""

from typing import Final, NamedTuple

from promises import borders
from promises.gaps import Gap, unsure_from
from promises.rules import Rule
from schemas.facts import Fact
from schemas.publications import Status

OPEN: Final = "open"
KEPT: Final = "kept"
RELEASED: Final = "released"
BREACHED: Final = "breached"
LATE: Final = "fulfilled_late"
VOID: Final = "void"
HELD: Final = "held"


class Verdict(NamedTuple):
    """How a cycle stands, and when it was fulfilled (UTC ms) if it was."""

    status: Status
    fulfilled_at: int | None


STILL_OPEN = Verdict(OPEN, None)
IS_RELEASED = Verdict(RELEASED, None)
IS_BREACHED = Verdict(BREACHED, None)
IS_VOID = Verdict(VOID, None)
IS_HELD = Verdict(HELD, None)


def verdict(
    rule: Rule, facts: list[Fact], opened_at: int, due: int, *, passed: bool, gaps: tuple[Gap, ...]
) -> Verdict:  # fmt: skip
    """How a cycle opened at `opened_at` and due at `due` stands; `facts` in their order (`borders.place`).

    `passed`: the absence of an in-time fulfilment is proved and published. Before that nothing is late, also when a
    late fulfilment is known already: an earlier one may still come. Across one of `gaps` nothing is ever late.
    """
    first = rule.first_fulfilment(facts, opened_at)
    release = rule.first_release(facts, opened_at, due)
    if (
        first is not None
        and borders.in_time(first.time, due)
        and not (release is not None and borders.released_first(release.time, first.time))
    ):
        return Verdict(KEPT, first.time)
    if release is not None:
        return IS_RELEASED
    if not passed:
        return STILL_OPEN
    if gaps and borders.unprovable(due, unsure_from(gaps, opened_at - rule.looks_back_ms)):
        return IS_HELD
    return IS_BREACHED if first is None else Verdict(LATE, first.time)
