"""Topics must take what their source may send: a dead letter is larger than its event."""

import pytest

from promisewatch.topic_admin import Found, compare, event_bytes, wanted
from schemas.topics import LARGEST, dlq_spec


def test_the_dead_letter_topic_follows_what_its_source_takes() -> None:
    """A source of 20 MB has letters of 21 MiB; where the broker does not tell, 8 MiB are assumed to do."""
    sources = {"large": Found(4, 1, {LARGEST: "20971520"}), "silent": Found(4, 1, None), "odd": Found(4, 1, {})}
    limits = event_bytes(sources)
    specs = {spec.name: spec.configs.get(LARGEST) for spec in wanted(list(sources), "app", 4, None, event_bytes=limits)}
    assert specs["large"] is None, "a source is its owner's"
    assert (specs["large.dlq"], specs["silent.dlq"], specs["odd.dlq"]) == ("22020096", "8388608", "8388608")


@pytest.mark.parametrize(
    ("found", "problems"),
    [("8388608", 0), ("100000000", 0), ("1048588", 1), ("nothing", 1)],
)
def test_more_room_than_needed_is_in_order_and_less_is_not(found: str, problems: int) -> None:
    """An operator who raised the limit further knows why."""
    spec = dlq_spec("orders")
    checked = compare(spec, Found(1, 1, {**spec.configs, LARGEST: found}), None)
    assert len(checked.problems) == problems
    assert all("max.message.bytes" in problem for problem in checked.problems)
