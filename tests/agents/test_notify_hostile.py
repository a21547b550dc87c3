"""Whatever somebody else writes to the breaches topic: a dead letter byte by byte, and what follows is told."""

# ruff: noqa: E501 - a row of a table stays one line

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.notify import POSITION_KEY
from schemas.errors import StateError
from schemas.topics import BREACHES, dlq
from tests.agents.notifying import Partition, encode
from tests.agents.test_decisions import breach

VALID = json.loads(encode(breach()))


def changed(data: dict[str, Any] | None = None, **attributes: Any) -> bytes:
    return json.dumps({**VALID, **attributes, "data": {**VALID["data"], **(data or {})}}).encode()


@pytest.mark.parametrize(
    "value",
    [
        b"", b"null", b"[]", b"{}", b"\xff\xfe", b"\xef\xbb\xbf" + encode(breach()), b"[" * 100_000, b"x" * 5_000_000,
        changed(type="promise.promoted.v9"), changed(type=None), changed(id=7), changed(subject=None), changed({"due": 7}),
        changed({"due": "soon", "breached_at": "soon"}), changed({"breached_at": "9999-99-99T00:00:00Z"}), changed({"revision": -1}),
        changed({"revision": 10**400}), changed({"severity": "severe"}), changed({"mode": []}), changed({"facts": None}),
        changed(id="a\r\nx-injected: yes"), changed({"subject": "A\x1fB"}), changed({"subject": "\x1b[2J"}), changed({"cycle": "\x00"}),
    ],
    ids=lambda value: repr(value)[:30],
)  # fmt: skip
async def test_what_is_no_breach_event_is_put_aside_and_the_next_one_is_told(value: bytes) -> None:
    """Nor is anything told of an event with a name that a terminal or an HTTP header would obey."""
    partition = Partition()
    partition.append(value)
    partition.append(encode(breach()))
    await partition.run()
    (letter,) = partition.producer.published(dlq(BREACHES))
    assert letter.value == value
    assert dict(letter.headers)["dlq-exception-class"] == b"unreadable_event"
    assert len(partition.channel.told) == 1


@given(st.lists(st.binary(max_size=60) | st.builds(
    lambda place, instead: encode(breach())[:place] + instead + encode(breach())[place + 3 :],
    st.integers(0, len(encode(breach()))), st.binary(max_size=6) | st.sampled_from([b"1e400", b"null", b"[" * 3_000]),
), max_size=8))  # fmt: skip
def test_no_bytes_break_the_notifier(hostile: list[bytes]) -> None:
    """Each record is told of, decided against or put aside; none ends the process."""
    partition = Partition()
    for value in hostile:
        partition.append(value)
    asyncio.run(partition.run())
    letters = [letter.value for letter in partition.producer.published(dlq(BREACHES))]
    assert [value for value in hostile if value in letters] == letters
    assert partition.handler.next_offset == len(hostile)


@pytest.mark.parametrize("stored", [b"", b"5", b"[]", b"[99,5]", b'[1,"5"]', b"\xff", b"[" * 100_000])
def test_a_position_that_is_none_is_told_with_its_place(stored: bytes) -> None:
    """Guessing at it could tell everybody everything again."""
    partition = Partition()
    partition.app.store.write(0, {POSITION_KEY: stored}, 0, 0)
    with pytest.raises(StateError, match="the-changelog/0: found a position .* expected format 1"):
        partition.start()


@pytest.mark.parametrize("stored", [b"", b"{}", b"[99,{},0,false]", b"\xff", b"[" * 100_000])
async def test_a_memory_that_is_none_is_told_with_its_place(stored: bytes) -> None:
    """The notifier stops rather than tell somebody for the second time."""
    partition = Partition()
    event = breach()
    key = f"{event.data.key}\x1f{event.data.subject}\x1f{event.data.promise}\x1f{event.data.cycle}".encode()
    partition.app.store.write(0, {key: stored}, 0, 0)
    partition.append(encode(event))
    with pytest.raises(StateError, match="the-changelog/0: found a memory of format .* expected format 1"):
        await partition.run()
    assert partition.channel.told == []
