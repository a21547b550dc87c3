"""Gaps: spans of time in which facts may have happened that nobody will ever read.

A promise that was running, and whose due, or whatever instant it still awaits, lies within or after a gap, cannot be
proved broken: what kept it may be among what was lost. It is held, unless evidence comes that it was kept or released.
"""

from typing import Final

from promises import borders

Gap = tuple[int, int]
"""From when until when facts may be unknown, UTC milliseconds: `since` is within, `until` is known again."""

ENDLESS: Final = 1 << 62
"""Later than every instant. The `until` of a gap whose end is not known yet, and where there is no gap at all."""

NO_GAPS: Final[tuple[Gap, ...]] = ()


def with_gap(gaps: tuple[Gap, ...], since: int, until: int) -> tuple[Gap, ...]:
    """These gaps and one more, in order; those that touch are one."""
    found: list[Gap] = []
    for gap in sorted([*gaps, (since, until)]):
        if found and gap[0] <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], gap[1]))
        else:
            found.append(gap)
    return tuple(found)


def ended(gaps: tuple[Gap, ...], until: int) -> tuple[Gap, ...]:
    """The gaps, now that it is known when the endless one ended: not before it began."""
    return tuple((since, max(since, until) if end == ENDLESS else end) for since, end in gaps)


def unsure_from(gaps: tuple[Gap, ...], looks_from: int) -> int:
    """The earliest instant from which facts may be unknown to what looks at all facts dated `looks_from` or later."""
    for since, until in gaps:
        if borders.before_known(looks_from, until):
            return since
    return ENDLESS
