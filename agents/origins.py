"""Where a source partition goes on: what is known of its log, and whether the log is still the one that was read.

A pure decision on what was asked of Kafka beforehand. Instants are UTC milliseconds.
"""

from dataclasses import dataclass

from schemas.errors import StateError
from schemas.sourcepositions import SourcePosition
from schemas.vectors import KNOWN_FOR_EVER


@dataclass(frozen=True)
class Found:
    """What Kafka says of a source partition when it is opened.

    `topic_id` and `facts_id` are the ids of the source topic and of the facts topic as they are now (None: not told),
    `worked_ids` those of all topics of this name that this application has ever read, as its own memory says. `offset`
    is the group's offset (None: it has none) and `position` what was committed with it.
    """

    topic: str
    partition: int
    beginning: int
    end: int
    topic_id: str | None
    facts: str
    facts_id: str | None
    facts_partitions: int
    worked_ids: tuple[str, ...]
    offset: int | None
    position: SourcePosition | None


@dataclass(frozen=True)
class Origin:
    """Where reading goes on and what is known by then; the fields are those of `SourcePosition`.

    `expired` records were lost unread. `outdated`: a process that was started later works the partition with another
    book, so it is left alone.
    """

    next_offset: int
    at: int
    known_since: int | None
    frontier: int | None = None
    marker: int | None = None
    gap: tuple[int, int] | None = None
    gap_from: int | None = None
    doubt: str = ""
    last_book: str | None = None
    expired: int = 0
    outdated: bool = False


def origin_of(found: Found, book: str, started: int) -> Origin:
    """Where a process that was `started` with `book` goes on. Raises StateError if the log is another one."""
    position = found.position
    if position is None:
        return _without_position(found, started)
    _check_topics(found, position)
    assert found.offset is not None, "metadata come with an offset"
    if found.offset > found.end:
        raise _recreated(found, f"it ends at offset {found.end}, and was processed up to {found.offset}")
    if position.book != book and position.at > started:
        return Origin(found.offset, position.at, position.known_since, last_book=position.book, outdated=True)
    expired = max(0, found.beginning - found.offset)
    known_since, gap_from = position.known_since, position.gap_from
    if expired:
        # The first fact that can still be read tells since when everything is known again.
        known_since = None
        gap_from = _earlier(gap_from, KNOWN_FOR_EVER if position.frontier is None else position.frontier)
    return Origin(
        next_offset=max(found.offset, found.beginning),
        at=position.at if position.book == book else started,
        known_since=known_since,
        frontier=position.frontier,
        marker=position.marker,
        gap=position.gap,
        gap_from=gap_from,
        doubt=position.doubt,
        last_book=position.book,
        expired=expired,
    )


def _without_position(found: Found, started: int) -> Origin:
    """A partition that nobody has worked, or of which nothing is known any more: offsets expire where a group is away
    for days, and operators take them away or set them.
    """
    offset = found.beginning if found.offset is None else max(found.beginning, min(found.offset, found.end))
    from_the_first = offset == 0
    another = found.topic_id is not None and any(worked != found.topic_id for worked in found.worked_ids)
    known = from_the_first and not another
    # What this application had read before may have gone on unread: what waits for it is not judged across that.
    lost = bool(found.worked_ids) and not known
    return Origin(
        next_offset=offset,
        at=started,
        known_since=KNOWN_FOR_EVER if known else None,
        gap_from=KNOWN_FOR_EVER if lost else None,
    )


def _check_topics(found: Found, position: SourcePosition) -> None:
    if _differ(position.topic, found.topic_id):
        raise _recreated(found, f"it has the id {found.topic_id}, and what was processed came from {position.topic}")
    if _differ(position.facts, found.facts_id):
        raise StateError(
            f"{found.facts} was recreated: it has the id {found.facts_id}, and facts were sent to one with the id "
            f"{position.facts}, which the new one lacks; start under another --app-id, which sends all of them again"
        )
    if position.partitions != found.facts_partitions:
        raise StateError(
            f"{found.facts} has {found.facts_partitions} partitions, and had {position.partitions} when facts were "
            "sent there: subjects would be in two places; expected the number it had, or another --app-id and another "
            "--facts-topic"
        )


def _recreated(found: Found, how: str) -> StateError:
    return StateError(
        f"{found.topic}/{found.partition} is not the log that was read before: {how}. If the topic was recreated on "
        "purpose, stop all ingest processes and let go of their offsets ('kafka-consumer-groups --delete-offsets "
        f"--topic {found.topic}' for their group): it is read anew then, and what ran meanwhile is held, not broken"
    )


def _differ(before: str | None, now: str | None) -> bool:
    return before is not None and now is not None and before != now


def _earlier(one: int | None, other: int) -> int:
    return other if one is None else min(one, other)
