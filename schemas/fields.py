"""Paths into JSON objects, compiled: one msgspec type that decodes exactly the wanted fields, and a getter for each."""

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

import msgspec

Parts = tuple[str, ...]
Getter = Callable[[Any], Any]
_Tree = dict[str, "_Tree"]


def compile_fields(paths: Iterable[Parts]) -> tuple[type[msgspec.Struct], dict[Parts, Getter]]:
    """A type for `msgspec.json.Decoder`, and per path a getter that takes what it decoded.

    A getter returns the value (any JSON value), or `msgspec.UNSET` where the path leads nowhere: a member is missing,
    or what should have members is not an object.
    """
    wanted = set(paths)
    tree: _Tree = {}
    for parts in wanted:
        branch = tree
        for part in parts:
            branch = branch.setdefault(part, {})
    return _struct(tree, (), wanted), {parts: _getter(parts, wanted) for parts in wanted}


def _struct(tree: _Tree, prefix: Parts, wanted: set[Parts]) -> type[msgspec.Struct]:
    fields: list[tuple[str, Any, Any]] = []
    names: dict[str, str] = {}
    for index, (member, branch) in enumerate(sorted(tree.items())):
        kind: Any = Any
        # Where the object itself is wanted too, it is decoded whole and its members are looked up in the dict.
        if branch and (*prefix, member) not in wanted:
            nested = _struct(branch, (*prefix, member), wanted)
            kind = nested | str | int | float | bool | list[Any] | None
        fields.append((f"f{index}", kind | msgspec.UnsetType if kind is not Any else Any, msgspec.UNSET))
        names[f"f{index}"] = member
    return msgspec.defstruct("Event", fields, rename=names, gc=False, module=__name__)


def _getter(parts: Parts, wanted: set[Parts]) -> Getter:
    siblings = _names_at(wanted, ())
    first = attrgetter(siblings[parts[0]])
    if len(parts) == 1:
        return first
    steps: list[tuple[str, str | None]] = []
    whole = parts[:1] in wanted
    for depth in range(1, len(parts)):
        steps.append((parts[depth], None if whole else _names_at(wanted, parts[:depth])[parts[depth]]))
        whole = whole or parts[: depth + 1] in wanted

    def walk(event: Any) -> Any:
        value = first(event)
        for member, attribute in steps:
            if attribute is not None and isinstance(value, msgspec.Struct):
                value = getattr(value, attribute)
            elif attribute is None and isinstance(value, dict):
                value = value.get(member, msgspec.UNSET)
            else:
                return msgspec.UNSET
        return value

    return walk


def _names_at(wanted: set[Parts], prefix: Parts) -> dict[str, str]:
    """Attribute names of the struct under `prefix`, numbered in the same order as `_struct` does."""
    depth = len(prefix)
    members = sorted({parts[depth] for parts in wanted if len(parts) > depth and parts[:depth] == prefix})
    return {member: f"f{index}" for index, member in enumerate(members)}
