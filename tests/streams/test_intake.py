"""How much of a fetch waits for the application."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from streams.intake import BYTES_IN_HAND_MAX, BatchConsumer, BatchMessage


def consumer(records_max: int) -> BatchConsumer:
    """One that accounts, and cannot fetch."""
    made = cast("Any", BatchConsumer.__new__(BatchConsumer))
    made.app = SimpleNamespace(records_in_hand_max=records_max)
    made._in_hand = made._bytes_in_hand = 0
    made._room = asyncio.Event()
    return cast("BatchConsumer", made)


def batch(values: list[bytes]) -> BatchMessage:
    """What a fetch made of records with these values."""
    records: Any = [SimpleNamespace(key=None, value=value, timestamp=0, timestamp_type=0) for value in values]
    tp: Any = SimpleNamespace(topic="t", partition=0)
    return BatchConsumer._batch_message(cast("Any", None), tp, records, len(values), 1)


@pytest.mark.parametrize(
    ("records_max", "values"),
    [(2, [b"x", b"y", b"z"]), (50_000, [b"x" * (BYTES_IN_HAND_MAX // 2)] * 2 + [b"y"])],
    ids=["by number", "by size"],
)
async def test_nothing_more_is_fetched_while_too_much_is_in_hand(records_max: int, values: list[bytes]) -> None:
    """Fifty thousand small events are little, fifty thousand large ones are not."""
    one = consumer(records_max)
    few, rest = batch(values[:-1]), batch(values[-1:])
    one._account(len(values) - 1, few.size)
    assert one._room.is_set()
    one._account(1, rest.size)
    assert not one._room.is_set()
    one.done([few])
    assert one._room.is_set()
