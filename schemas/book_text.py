"""YAML text to plain data that remembers where everything stood.

ruamel.yaml reads the text into nodes; turning the nodes into data here, instead of letting it build objects, keeps the
place of every key and value, and lets all duplicate keys be reported at once rather than the first alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from schemas.errors import BookProblem

Path = tuple[str | int, ...]
"""Where a value stands in the data: ("promises", 3, "due", "within")."""

BOOK_NODES_MAX = 200_000
"""More values than this (aliases counted each time they are used) is not a book but an attack or a mistake."""
BOOK_BYTES_MAX = 10_000_000
BOOK_DEPTH_MAX = 50


@dataclass
class BookText:
    """The plain data of a book, the place (line, column, from 1) of each key and value, and what was wrong so far."""

    file: str
    data: Any = None
    places: dict[Path, tuple[int, int]] = field(default_factory=dict)
    key_places: dict[Path, tuple[int, int]] = field(default_factory=dict)
    problems: list[BookProblem] = field(default_factory=list)

    def problem(self, path: Path, message: str, *, at_key: bool = False) -> None:
        """Note a problem at the value (or the key) that stands at `path`, or at the nearest thing around it."""
        places = self.key_places if at_key else self.places
        while path and path not in places:
            path, places = path[:-1], self.places
        line, column = places.get(path, (1, 1))
        self.problems.append(BookProblem(self.file, line, column, message))


def read_yaml(text: str, file: str) -> BookText:
    """Read YAML 1.2. `data` is None if the text is not YAML at all; then `problems` says why."""
    result = BookText(file)
    yaml = YAML(typ="rt", pure=True)
    if len(text) > BOOK_BYTES_MAX:
        result.problem((), f"the book has {len(text)} characters; expected at most {BOOK_BYTES_MAX}")
        return result
    try:
        root = yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = _place(mark) if mark else (1, 1)
        message = "; ".join(part for part in (error.context, error.problem) if part)
        result.problems.append(BookProblem(file, *place, f"not valid YAML: {message}"))
        return result
    except YAMLError as error:
        # A character that YAML forbids; the reader knows only its position in the text.
        position = int(getattr(error, "position", 0))
        place = (text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position))
        found = text[position : position + 1]
        result.problems.append(BookProblem(file, *place, f"not valid YAML: found the character {found!r}"))
        return result
    except RecursionError:
        result.problem((), f"not valid YAML: more than {BOOK_DEPTH_MAX} levels")
        return result
    if root is None:
        result.problem((), "the book is empty; expected sources, defaults, calendars and promises")
        return result
    _Reader(result).value(root, ())
    return result


class _Reader:
    def __init__(self, result: BookText) -> None:
        self.result = result
        self.nodes = 0

    def value(self, node: Node, path: Path) -> Any:
        self.result.places.setdefault(path, _place(node.start_mark))
        self.nodes += 1
        if self.nodes > BOOK_NODES_MAX or len(path) > BOOK_DEPTH_MAX:
            if self.nodes <= BOOK_NODES_MAX + 1:
                self.result.problem(path, f"more than {BOOK_NODES_MAX} values or {BOOK_DEPTH_MAX} levels in one book")
                self.nodes = BOOK_NODES_MAX + 1
            return None
        if isinstance(node, MappingNode):
            data: Any = self.mapping(node, path)
        elif isinstance(node, SequenceNode):
            data = [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        else:
            assert isinstance(node, ScalarNode)
            data = self.scalar(node, path)
        if not path:
            self.result.data = data
        return data

    def mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = _place(key_node.start_mark)
            if not isinstance(key_node, ScalarNode):
                self.result.problems.append(BookProblem(self.result.file, *place, "found a key that is not a word"))
                continue
            key = self.text(key_node)
            key_path = (*path, key)
            if key in data:
                line = self.result.key_places[key_path][0]
                message = f"duplicate key {key!r}; it is already given in line {line}"
                self.result.problems.append(BookProblem(self.result.file, *place, message))
                continue
            self.result.key_places[key_path] = place
            if value_node.start_mark.index == value_node.end_mark.index:
                # Nothing is written: ruamel's place is where the next thing starts, far from the forgotten value.
                self.result.places[key_path] = place
            data[key] = self.value(value_node, key_path)
        return data

    def scalar(self, node: ScalarNode, path: Path) -> Any:
        kind = str(node.tag).rpartition(":")[2]
        if kind == "null":
            return None
        if kind in _SCALARS:
            try:
                return _SCALARS[kind](node.value)
            except (ValueError, KeyError):
                self.result.problem(path, f"found {node.value!r}, expected a value of type {kind}")
                return None
        # Everything else is taken as written: a date without quotes is the text of that date.
        return self.text(node)

    def text(self, node: ScalarNode) -> str:
        """The text of a node. Half of a surrogate pair, escaped, is text to YAML and to nobody else."""
        text = str(node.value)
        try:
            text.encode()
        except UnicodeEncodeError:
            message = f"found {text!r}, expected text without half a surrogate pair"
            self.result.problems.append(BookProblem(self.result.file, *_place(node.start_mark), message))
            return text.encode(errors="replace").decode()
        return text


def _int(text: str) -> int:
    digits = text.replace("_", "")
    return int(digits, 0) if digits.lstrip("+-")[:2].lower() in ("0x", "0o", "0b") else int(digits)


def _float(text: str) -> float:
    return float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan").replace(".NaN", "nan"))


def _bool(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


_SCALARS: dict[str, Callable[[str], Any]] = {"int": _int, "float": _float, "bool": _bool}


def _place(mark: StringMark) -> tuple[int, int]:
    return mark.line + 1, mark.column + 1
