"""Facts on the facts topic: what is written is read again, and nothing else is."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import EventError
from schemas.factrecords import FACT_FORMAT, decode_fact, encode_fact
from schemas.facts import Fact

SCALARS = st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats(allow_nan=False) | st.text()
PAYLOADS = st.dictionaries(st.text(), st.recursive(SCALARS, lambda part: st.lists(part, max_size=3), max_leaves=5))


@given(
    st.builds(
        Fact, st.text(), st.text(), st.text(), st.integers(-(1 << 62), 1 << 62), PAYLOADS, st.none() | st.text()
    )
)  # fmt: skip
def test_a_fact_comes_back_as_it_was_sent(fact: Fact) -> None:
    """An infinite number, which JSON has none for, is null."""
    read = decode_fact(encode_fact(fact))
    assert encode_fact(read) == encode_fact(fact)
    assert (read.source, read.id, read.type, read.time, read.withdraws) == (
        fact.source, fact.id, fact.type, fact.time, fact.withdraws,
    )  # fmt: skip


def test_the_form_of_a_record_never_changes() -> None:
    """It is on topics: a reader of another version would have to be told by another format."""
    fact = Fact("shop", "e-1", "order.placed", 1_777_888_800_000, {"speed": "next", "lines.count": 2})
    assert FACT_FORMAT == 1
    assert encode_fact(fact) == (
        b'[1,["shop","e-1","order.placed",1777888800000,{"speed":"next","lines.count":2},null]]'
    )


def test_a_record_may_leave_out_that_it_takes_nothing_back() -> None:
    assert decode_fact(b'[1,["shop","e-1","order.placed",0,{}]]').withdraws is None


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"", "found ''"),
        (b"{}", "found '{}'"),
        (b"\xff\xfe", "expected a fact record of format 1"),
        (b'[1,["shop","e-1","order.placed","today",{}]]', "Expected `int`"),
        (b'[1,["shop","e-1"]]', "expected a fact record of format 1"),
        (b'[2,["shop","e-1","order.placed",0,{}]]', "found a fact record of format 2, expected format 1"),
        (b"[" * 100_000, "expected a fact record of format 1"),
    ],
)
def test_what_is_no_fact_record_is_refused_with_what_was_found(value: bytes, found: str) -> None:
    """One message, for the dead letters."""
    with pytest.raises(EventError, match=r"\A[^\n]+\Z") as error:
        decode_fact(value)
    assert error.value.reason == "bad_fact"
    assert found in error.value.message
    assert len(error.value.message) < 250


def test_a_fact_record_is_read_by_any_reader_of_json() -> None:
    """People look at topics."""
    value = encode_fact(Fact("shop", "e-1", "order.placed", 0, {}, "e-0"))
    assert msgspec.json.decode(value) == [1, ["shop", "e-1", "order.placed", 0, {}, "e-0"]]
