"""Every border between two verdicts, each decided in exactly one function.

All instants are UTC milliseconds. Whether an instant that lies exactly on a border belongs to one side or to the other
is a decision, not a detail: it is taken here and nowhere else, and each function has one test that holds it.
"""

from schemas.facts import Fact

Moment = tuple[int, bytes]
"""A place in the order in which timers publish: (instant, subject key as stored)."""


def in_time(time: int, due: int) -> bool:
    """Whether something that happened at `time` met the deadline. At the deadline still counts as kept."""
    return time <= due


def overdue(instant: int, frontier: int) -> bool:
    """Whether `instant` is proved to have passed. The frontier says that everything *before* it is known: strict."""
    return instant < frontier


def before_cutoff(time_of_day_ms: int, cutoff_ms: int) -> bool:
    """Whether an order is still in time for today's cut-off. At the cut-off it is too late."""
    return time_of_day_ms < cutoff_ms


def within_skew(time: int, opened_at: int, skew_ms: int) -> bool:
    """Whether a fact dated at or before the opening may still belong to it: two systems' clocks differ by that much."""
    return time >= opened_at - skew_ms


def may_pause(time: int, due: int) -> bool:
    """Whether a pause may still start. At the due it is too late: what it was to wait for is due now."""
    return time < due


def released_first(released_at: int, fulfilled_at: int) -> bool:
    """Whether the release ended the promise before the fulfilment came. At one instant the fulfilment wins."""
    return released_at < fulfilled_at


def before_known(time: int, known_since: int) -> bool:
    """Whether an opening lies before everything is known. At the first known instant it opens."""
    return time < known_since


def seen_since(instant: int, since: int) -> bool:
    """Whether every fact dated at `instant` or later was seen by a text that has seen all dated after `since`."""
    return instant > since


def unprovable(instant: int, unsure_from: int) -> bool:
    """Whether it cannot be proved that nothing came by `instant`: facts from `unsure_from` on may never be known."""
    return instant >= unsure_from


def too_old(time: int, frontier: int, retention_ms: int) -> bool:
    """Whether an opening is so old that what it opened may have been forgotten already."""
    return time <= frontier - retention_ms


def born_overdue(due: int, opened_at: int) -> bool:
    """Whether the due lies before the opening itself. A due at the very opening does not."""
    return due < opened_at


def in_force(effective_from: int, opened_at: int, until: int) -> bool:
    """Whether a version applies to an opening: from its first instant on, and no longer when the next one counts."""
    return effective_from <= opened_at < until


def published(moment: Moment, checkpoint: Moment) -> bool:
    """Whether the timers have already published `moment`: the checkpoint is the last one they have."""
    return moment <= checkpoint


def opens_earlier(fact: tuple[int, str, str], opening: tuple[int, str, str]) -> bool:
    """Whether the first of two opening facts, as `place` orders them, is the one that opens the promise."""
    return fact < opening


def wins(content: tuple[int, bytes], held: tuple[int, bytes]) -> bool:
    """Whether new content under a known (source, id) replaces what is held: the smallest (time, bytes) wins."""
    return content < held


def place(fact: Fact) -> tuple[int, str, str]:
    """The place of a fact in the order of one subject's facts: by time, then id, then source."""
    return (fact.time, fact.id, fact.source)
