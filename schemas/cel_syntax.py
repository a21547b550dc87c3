"""The syntax tree of a compiled CEL expression, as far as we ask it: what it looks at, and where it loops.

The library tells a compiled expression's tree only as bytes: an `Any` that holds a `CheckedExpr` of CEL's published
`checked.proto` and `syntax.proto`. The few messages of it that matter are read here, without a protobuf runtime.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_CONTENT_OF_ANY, _EXPR_OF_CHECKED = 2, 4
_CONST, _IDENT, _SELECT, _CALL, _LIST, _STRUCT, _COMPREHENSION = 3, 4, 5, 6, 7, 8, 9
_STRING_CONST = 6
_INDEX = "_[_]"


class Look(NamedTuple):
    """A place where an expression looks at a variable: the members below it (none for all of it), and whether it does
    so in each turn of a loop.
    """

    variable: str
    path: tuple[str, ...]
    in_loop: bool


@dataclass(slots=True)
class Looks:
    """What an expression looks at, how many loops it has, and how deep they stand in each other."""

    found: list[Look] = field(default_factory=list)
    loops: int = 0
    depth: int = 0


def looks_of(serialized: bytes) -> Looks:
    """What a serialized expression looks at."""
    looks = Looks()
    checked = _message(serialized, _CONTENT_OF_ANY)
    assert _text(serialized, 1).endswith("cel.expr.CheckedExpr"), "found another kind of expression"
    root = _message(checked or b"", _EXPR_OF_CHECKED)
    assert root is not None, "a checked expression has an expression"
    _Walk(looks).expression(root, frozenset(), 0)
    return looks


class _Walk:
    def __init__(self, looks: Looks) -> None:
        self.looks = looks

    def expression(self, message: bytes, bound: frozenset[str], depth: int) -> None:
        """Note the looks of one expression; `bound` are the variables of the loops around it."""
        chain = _chain(message)
        if chain is not None:
            name, members = chain
            if name not in bound:
                self.looks.found.append(Look(name, members, depth > 0))
            return
        for kind, part in _fields(message):
            if kind == _COMPREHENSION:
                self.loop(part, bound, depth)
            elif kind in (_SELECT, _CALL, _LIST, _STRUCT):
                for child in _children(kind, part):
                    self.expression(child, bound, depth)

    def loop(self, message: bytes, bound: frozenset[str], depth: int) -> None:
        """Loops in the range count as deep too: chained `map` can double its list each time."""
        self.looks.loops += 1
        self.looks.depth = max(self.looks.depth, depth + 1)
        parts = dict(_fields(message))
        inner = bound | {parts[number].decode() for number in (1, 3, 8) if number in parts}
        before = self.looks.loops
        self.expression(parts[2], bound, depth)
        if self.looks.loops > before:
            self.looks.depth = max(self.looks.depth, depth + 2)
        for number in (4, 5, 6, 7):
            self.expression(parts[number], inner, depth + 1)


def _chain(message: bytes) -> tuple[str, tuple[str, ...]] | None:
    """`data.a["b"]` as ("data", ("a", "b")); None for what is no chain of members of a variable."""
    kind, part = _only(message)
    if kind == _IDENT:
        return _text(part, 1), ()
    if kind == _SELECT:
        inner = _message(part, 1)
        member: str | None = _text(part, 2)
    elif kind == _CALL and _text(part, 2) == _INDEX:
        inner, index = (each for number, each in _fields(part) if number == 3)
        member = _constant_text(index)
    else:
        return None
    chain = _chain(inner) if inner is not None else None
    return None if chain is None or member is None else (chain[0], (*chain[1], member))


def _constant_text(message: bytes) -> str | None:
    kind, part = _only(message)
    return _text(part, _STRING_CONST) if kind == _CONST and _message(part, _STRING_CONST) is not None else None


def _children(kind: int, part: bytes) -> Iterator[bytes]:
    if kind == _STRUCT:
        for number, entry in _fields(part):
            if number == 2:
                yield from (value for inner, value in _fields(entry) if inner in (3, 4))
        return
    wanted = {_SELECT: (1,), _CALL: (1, 3), _LIST: (1,)}[kind]
    yield from (child for number, child in _fields(part) if number in wanted)


def _only(message: bytes) -> tuple[int, bytes]:
    """The one member that says of which kind an expression is."""
    return next(((number, part) for number, part in _fields(message) if number > 2), (0, b""))


def _message(message: bytes, wanted: int) -> bytes | None:
    return next((part for number, part in _fields(message) if number == wanted), None)


def _text(message: bytes, wanted: int) -> str:
    return (_message(message, wanted) or b"").decode()


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Field numbers and contents of the members that have a length; numbers are skipped."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            _, at = _varint(message, at)
        elif wire == _BYTES:
            size, at = _varint(message, at)
            yield number, message[at : at + size]
            at += size
        else:
            assert wire in (_FIXED64, _FIXED32), f"found wire type {wire} in a serialized expression"
            at += 8 if wire == _FIXED64 else 4


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
