"""Ids: the same publication has the same name everywhere, and no two have the same."""

import itertools
import uuid

from promises.ids import NAMESPACE, event_id
from tests.promises.builders import Partition, at, book, placed


def test_an_id_is_the_version_5_uuid_of_what_it_names() -> None:
    """Any language can compute it: parts joined by the unit separator, the warning offset empty."""
    parts = ("next-day", "order_id", "A-17", "shop", "o1", "breached", "1777154399999", "", "0")
    for subject in ("A-17", "Ä", "x" * 300, *map(str, range(200))):
        named = [subject if part == "A-17" else part for part in parts]
        expected = str(uuid.uuid5(NAMESPACE, "\x1f".join(named)))
        assert event_id("next-day", "order_id", subject, "shop", "o1", "breached", 1777154399999, 0) == expected


def test_ids_are_durable() -> None:
    """This one was published long ago: a change here renames every event there ever was."""
    assert event_id("p", "k", "s", "src", "o", "breached", 0, 0) == "555f6f5b-55f5-5b17-872f-9841930b72d1"


def test_every_part_makes_another_id() -> None:
    """No part is left out."""
    base = ("p", "k", "s", "src", "o", "breached", 1, 0)
    changed = [(*base[:i], 9 if isinstance(base[i], int) else "z", *base[i + 1 :]) for i in range(len(base))]
    ids = [event_id(*parts) for parts in [base, *changed]]  # type: ignore[arg-type]
    assert all(one != other for one, other in itertools.combinations(ids, 2))


def test_the_same_breach_has_the_same_id_on_every_machine() -> None:
    """Two processes that never heard of each other publish one event."""
    ids = set()
    for slice_size in (1, 100):
        partition = Partition(book())
        partition.learn(placed(at("2026-05-04 10:00"), "o"))
        ids.update((one.id, one.outcome_id) for one in partition.frontier("2026-05-05 00:00", slice_size))
    assert len(ids) == 1
