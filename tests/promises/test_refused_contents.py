"""Two contents under one event id, of which the smaller one would be refused if it had come alone."""

import itertools

import pytest

from tests.promises.builders import ALWAYS, DAY, HOUR, OPENED, SLOT, Partition, at, book, fact, start


@pytest.mark.parametrize(
    ("known_since", "refused", "reason"),
    [
        (OPENED, OPENED - 1, "before_known"),
        (ALWAYS, OPENED - 401 * DAY, "too_old"),
        (ALWAYS, OPENED - HOUR, "born_overdue"),
    ],
)
def test_smaller_content_that_opens_nothing_does_not_stand_in_the_way(
    known_since: int, refused: int, reason: str
) -> None:
    """It means nothing to any promise, so it takes no part: no conflict, and the order of arrival is no matter."""
    usable = fact("visit.made", OPENED, "v", slot="2026-05-04T12:00:00")
    unusable = fact("visit.made", refused, "v", slot="2026-05-04T08:00:00")
    for first, second in ((usable, unusable), (unusable, usable)):
        partition = Partition(book(SLOT), start(known_since=known_since, frontier=OPENED - DAY))
        partition.learn(first, second)
        assert partition.counted[reason] == 1
        assert partition.counted["conflict"] == 0
        (one,) = partition.frontier("2026-05-04 13:00")
        assert (one.kind, one.opened_at, one.due) == ("breached", OPENED, at("2026-05-04 12:00"))


def test_smaller_content_that_is_refused_as_an_opening_counts_where_it_fulfils() -> None:
    """It means something to another promise, so it takes part, as a whole: what it would open, it does not."""
    promises = (
        SLOT
        + """
- {id: seen, when: {event: visit.planned}, due: {within: 2d}, expect: {event: visit.made}}
"""
    )
    planned = fact("visit.planned", OPENED - DAY, "p")
    larger = fact("visit.made", OPENED, "v", slot="2026-05-04T12:00:00")
    smaller = fact("visit.made", OPENED - 1, "v", slot="2026-05-04T08:00:00")
    ends = []
    for facts in itertools.permutations((planned, larger, smaller)):
        partition = Partition(book(promises), start(frontier=OPENED - 2 * DAY))
        partition.learn(*facts)
        partition.frontier(OPENED + 3 * DAY)
        assert partition.counted["conflict"] == 1
        ends.append({name[0]: end for name, end in partition.final().items() if end[0] != "void"})
    assert all(end == {"seen": ("kept", OPENED - 1)} for end in ends)
