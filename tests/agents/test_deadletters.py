"""Dead letters of one partition between two writes: what is written, when it is time, and what is counted."""

import pytest

from agents import deadletters
from agents.deadletters import DeadLetters
from schemas import metrics
from schemas.errors import EventError
from tests.agents.fakes import Record


def counted(reason: str) -> float:
    return float(metrics.DEAD_LETTERS.labels(topic="letters.test", reason=reason)._value.get())


def test_letters_are_counted_once_when_they_have_been_written() -> None:
    """By reason; those of a write that came before are not counted again."""
    letters = DeadLetters("promisewatch.test")
    before = {reason: counted(reason) for reason in ("bad_json", "empty")}
    letters.add(Record("letters.test", 0, 7, b"k", b"{"), EventError("bad_json", "cut off"))
    letters.add(Record("letters.test", 0, 8, None, None), EventError("empty", "nothing"))
    assert [(one.key, one.value) for one in letters.records] == [(b"k", b"{"), (None, None)]
    assert {reason: counted(reason) for reason in before} == before
    letters.written("letters.test")
    assert (len(letters), letters.records) == (0, [])
    letters.add(Record("letters.test", 0, 9, None, None), EventError("empty", "nothing"))
    letters.written("letters.test")
    assert {reason: counted(reason) - count for reason, count in before.items()} == {"bad_json": 1, "empty": 2}


def test_they_are_full_by_their_bytes_and_empty_again_after_a_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few large ones are as much of a burden as many."""
    monkeypatch.setattr(deadletters, "SLICE_BAD_BYTES", 10)
    letters = DeadLetters("promisewatch.test")
    for size, full in ((9, False), (1, True)):
        letters.add(Record("letters.test", 0, 0, None, b"x" * size), EventError("bad_json", "cut off"))
        assert letters.are_full is full
    letters.written("letters.test")
    assert not letters.are_full
