"""Records as they are stored: read whole or without their facts, and refused by name where they are not ours."""

from collections.abc import Callable
from typing import Any

import pytest

from promises.stored import encode_record, read_head, read_record, with_facts
from schemas.errors import StateError
from schemas.facts import Fact
from schemas.records import RECORD_FORMAT, Cycle, Record

KEY = b"order_id\x1fA-17"
CYCLES = [Cycle("confirm", 1, "shop", "o", 0, 10, 10, 10, 99)]
RECORD = Record(RECORD_FORMAT, [Fact("shop", "o", "order.placed", 0, {"n": 1})], CYCLES)


def test_what_is_written_is_read_whole_or_in_two_steps() -> None:
    """A timer may do without the facts; with them it is the same record."""
    value = encode_record(RECORD)
    head = read_head("", KEY, value)
    assert read_record("", KEY, value) == RECORD == with_facts(head)
    assert head.cycles == CYCLES


@pytest.mark.parametrize("read", [read_head, read_record])
def test_a_record_that_only_its_format_tells_apart_is_refused(read: Callable[[str, bytes, bytes], Any]) -> None:
    """Another version may mean something else by the same fields; the message says whose record it is, and where."""
    value = encode_record(Record(RECORD_FORMAT + 1, RECORD.facts, RECORD.cycles))
    with pytest.raises(
        StateError, match="^partition 3, the record of 'order_id A-17': found state of format 2, expected format 1"
    ):
        read("partition 3, ", KEY, value)
