"""Vector markers: what is written is read again, and what is none is refused."""

import pytest

from schemas.errors import EventError, StateError
from schemas.vectors import (
    KNOWN_FOR_EVER,
    VECTOR_FORMAT,
    VECTOR_HEADER,
    Hold,
    KnownMark,
    SourceMark,
    StoredVector,
    VectorMarker,
    decode_stored_vector,
    encode_stored_vector,
    encode_vector,
    read_vector,
    source_partition,
    split_source_partition,
)

MARKER = VectorMarker(
    VECTOR_FORMAT,
    "digest",
    "ingest-1",
    {"shop": 2, "erp": 1},
    {"shop/0": SourceMark(100, 220, KNOWN_FOR_EVER), "erp/0": SourceMark(None, None, 50, (20, 30))},
    {"erp/0": Hold("silent", 90)},
)


def test_a_marker_comes_back_as_it_was_sent() -> None:
    assert read_vector(b"", encode_vector(MARKER)) == MARKER
    assert read_vector(None, [("trace", b"1"), *encode_vector(MARKER)]) == MARKER


def test_the_form_of_a_marker_never_changes() -> None:
    """It is on topics: a reader of another version would have to be told by another format."""
    assert VECTOR_FORMAT == 1
    ((name, content),) = encode_vector(MARKER)
    assert name == "promisewatch-vector"
    assert content == (
        b'{"format":1,"book":"digest","sender":"ingest-1","counts":{"shop":2,"erp":1},"marks":'
        b'{"shop/0":[100,220,-4611686018427387904,null],"erp/0":[null,null,50,[20,30]]},'
        b'"holds":{"erp/0":["silent",90]}}'
    )


def test_a_record_without_the_header_is_something_else() -> None:
    assert read_vector(b"", []) is None
    assert read_vector(b"{}", [("promisewatch-frontier", b"2026-05-04T10:00:00Z")]) is None


@pytest.mark.parametrize(
    ("value", "content", "message"),
    [
        (b"{}", encode_vector(MARKER)[0][1], "has a value of 2 bytes; expected none"),
        (b"", None, "header promisewatch-vector"),
        (b"", b"soon", "header promisewatch-vector"),
        (b"", b'{"format":1,"book":"b"}', "missing required field"),
        (b"", b'{"format":2,"book":"b","sender":"s","counts":{},"marks":{}}', "found format 2, expected format 1"),
        (
            b"",
            b'{"format":1,"book":"b","sender":"s","counts":{},"marks":{"shop":[1,1,1]}}',
            "found the name 'shop', expected source/partition",
        ),
        (
            b"",
            b'{"format":1,"book":"b","sender":"s","counts":{},"marks":{},"holds":{"shop/x":["silent",1]}}',
            "found the name 'shop/x', expected source/partition",
        ),
    ],
)
def test_a_marker_that_cannot_be_read_is_refused_with_what_was_found(
    value: bytes, content: bytes | None, message: str
) -> None:
    """Taken for something else it would hold up everything, and nobody would know why."""
    with pytest.raises(EventError) as error:
        read_vector(value, [(VECTOR_HEADER, content)])
    assert error.value.reason == "bad_marker"
    assert message in error.value.message


def test_a_source_partition_is_named_by_both() -> None:
    assert source_partition("shop", 12) == "shop/12"
    assert split_source_partition("shop/12") == ("shop", 12)
    assert split_source_partition("a/b/0") == ("a/b", 0)


@pytest.mark.parametrize("name", ["shop", "/1", "shop/", "shop/-1", "shop/1.0", "shop/\u0661"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(EventError, match="expected source/partition"):
        split_source_partition(name)


def test_what_is_stored_comes_back() -> None:
    stored = StoredVector(
        VECTOR_FORMAT, "digest", {"shop": 1}, {"shop/0": KnownMark(1, 2, None, ((3, 4),))}, {"shop/0": Hold("late", 1)}
    )
    assert decode_stored_vector(encode_stored_vector(stored), "facts/0") == stored


@pytest.mark.parametrize("stored", [b'[2,"digest",{},{},{}]', b"nothing", b"{}"])
def test_stored_state_of_another_format_is_refused_where_it_was_found(stored: bytes) -> None:
    with pytest.raises(StateError, match="facts/0: found a vector of format .*, expected format 1"):
        decode_stored_vector(stored, "facts/0")
