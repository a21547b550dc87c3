"""Compiled paths: one pass over the bytes finds what walking the decoded object finds."""

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from schemas.fields import compile_fields

names = st.sampled_from(["a", "b", "c", "class", "f0", "é"])
paths = st.lists(names, min_size=1, max_size=3).map(tuple)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


def walked(value, path):
    for part in path:
        if not isinstance(value, dict) or part not in value:
            return msgspec.UNSET
        value = value[part]
    return value


@given(st.sets(paths, min_size=1, max_size=6), st.dictionaries(names, values, max_size=6))
def test_each_getter_finds_what_walking_finds(wanted, event):
    """Also where one path runs through another, and where a value stands in an object's place."""
    struct, getters = compile_fields(wanted)
    decoded = msgspec.json.decode(json.dumps(event), type=struct)
    assert {path: get(decoded) for path, get in getters.items()} == {path: walked(event, path) for path in wanted}
