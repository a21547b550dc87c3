"""Conditions in CEL (`if`, `holds`, `impact`): checked and compiled when the book is loaded, bounded when evaluated.

Everything that a book's author can get wrong is refused by `compile_condition` with ConditionError; what an event can
get wrong (a missing field, text where a number was meant) makes a condition None when it is evaluated, never an error.

What bounds an evaluation: the text has at most CHARACTERS_MAX characters, the library's parser goes 32 levels deep, no
loop stands in another's body or range, the library's evaluator gives up after 10,000 turns, and large values are
measured before they are handed over (WORK_MAX). Regular expressions are RE2's, linear in their text.
"""

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from schemas.cel_syntax import Looks, looks_of

CHARACTERS_MAX = 1000
"""A longer condition belongs into the source, as a field of its own."""
WORK_MAX = 1_000_000
"""Values (or hundreds of characters) that one evaluation may go through, loops multiplied out: about 0.1 s."""
DEPTH_MAX = 100
"""How deep lists and objects may stand in each other in one payload field."""
RESULTS_REMEMBERED_MAX = 4096
"""Results kept per condition; past it the memory starts anew. The same facts are judged again and again."""
REMEMBERED_CHARACTERS_MAX = 200
"""Longer texts are not remembered."""

# Ours live in a container: CEL has a `type` of its own, and inside a container ours is found first. No alias of
# `holds` begins like it.
_CONTAINER = "__event"
_TYPE, _TIME = f"{_CONTAINER}.type", f"{_CONTAINER}.time"
_IN_CONTAINER = f" (in container '{_CONTAINER}')"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CEL_PROBLEM = re.compile(r"^(?:[A-Z_]+: )?ERROR: <input>:(-?\d+):(-?\d+): (.*)$", re.MULTILINE)
_CEL_FAILURE = re.compile(r"^[A-Z_]+: (.*?)(?: \[[A-Z_]+\])?$", re.DOTALL)
_KINDS = {
    "BOOL": "true or false", "INT": "a number", "UINT": "a number", "DOUBLE": "a number", "STRING": "text",
    "DYN": "whatever the field holds", "TIMESTAMP": "an instant", "DURATION": "a duration", "NULL": "null",
}  # fmt: skip
_AMOUNTS = frozenset({"INT", "UINT", "DOUBLE", "STRING", "DYN"})

Returns = Literal["bool", "amount"]
"""What a condition is to give: true or false (`if`, `holds`), or a number or text (`impact`)."""
Result = str | float | int | bool | None


class ConditionError(ValueError):
    """Why a text is no condition; `problems` are sentences without a place."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Variables(NamedTuple):
    """What a condition may look at: payloads by name (`data`, `opened`, the aliases of `holds`), and whether also the
    `type` and `time` of the event.
    """

    payloads: tuple[str, ...]
    event: bool = True


class _Field(NamedTuple):
    """A payload field that is looked at: its dotted path as facts hold it, and the way to it."""

    text: str
    above: tuple[str, ...]
    member: str


class Condition:
    """One compiled expression. `fields` names, per payload variable (`data`, `opened`, an alias of `holds`), the fields
    by dotted path that it looks at: only those are stored. They may be looked at as lists and objects too.
    """

    __slots__ = (
        "_eval", "_in_loops", "_payloads", "_results", "_time", "_type", "fields", "returns", "text", "variables",
    )  # fmt: skip

    def __init__(self, text: str, variables: Variables, returns: Returns) -> None:
        self.text = text
        self.variables = variables
        self.returns = returns
        expression, looks = _compiled(text, variables, returns)
        self._eval = expression.eval
        paths = _paths(looks, variables)
        self._payloads = tuple(
            (name, tuple(_Field(".".join(path), path[:-1], path[-1]) for path in sorted(paths[name]))) for name in paths
        )
        self.fields: Mapping[str, frozenset[str]] = {
            name: frozenset(field.text for field in fields) for name, fields in self._payloads
        }
        self._in_loops = tuple(
            (name, ".".join(path))
            for name, top in paths.items()
            for path in top
            for look in looks.found
            if look.in_loop and look.variable == f"{_CONTAINER}.{name}" and look.path[: len(path)] == path
        )
        used = {look.variable for look in looks.found}
        self._type, self._time = _TYPE in used, _TIME in used
        self._results: dict[tuple[Any, ...], Result] = {}

    def holds(self, variables: Mapping[str, Any]) -> bool | None:
        """Whether it is true; None if a key is missing or the evaluation failed (taken for false, and counted).

        `variables`: per payload variable its fields by dotted path as facts hold them, `type` as text, `time` in UTC
        milliseconds. A payload that is not there has no fields.
        """
        result = self._result(variables)
        return result if result is True or result is False else None

    def value(self, variables: Mapping[str, Any]) -> str | float | int | None:
        """What it evaluates to (`impact`), a number or text; None if that cannot be told."""
        result = self._result(variables)
        return None if result is True or result is False else result

    def _result(self, variables: Mapping[str, Any]) -> Result:
        seen: list[Any] = []
        plain = True
        for name, fields in self._payloads:
            payload = variables.get(name) or _NOTHING
            for field in fields:
                value = payload.get(field.text, _MISSING)
                kind = type(value)
                plain = plain and (
                    kind in _PLAIN
                    or (kind is str and len(value) <= REMEMBERED_CHARACTERS_MAX)
                    or (kind is float and value != 0)  # 0.0 and -0.0 are the same key, and not the same text
                )
                # With its kind: 1, 1.0 and true are the same key of a dict, and not the same to CEL.
                seen.append(kind)
                seen.append(value)
        if self._type:
            seen.append(variables["type"])
        if self._time:
            seen.append(variables["time"])
        if not plain:
            return self._evaluate(variables) if self._work(variables) <= WORK_MAX else None
        key = tuple(seen)
        try:
            return self._results[key]
        except KeyError:
            pass
        if len(self._results) >= RESULTS_REMEMBERED_MAX:
            self._results.clear()
        self._results[key] = result = self._evaluate(variables)
        return result

    def _evaluate(self, variables: Mapping[str, Any]) -> Result:
        data: dict[str, Any] = {}
        for name, fields in self._payloads:
            payload = variables.get(name) or _NOTHING
            nested: dict[str, Any] = {}
            data[f"{_CONTAINER}.{name}"] = nested
            for field in fields:
                place = nested
                for step in field.above:
                    place = place.setdefault(step, {})
                if field.text in payload:
                    place[field.member] = payload[field.text]
        if self._type:
            data[_TYPE] = variables["type"]
        try:
            if self._time:
                data[_TIME] = _EPOCH + timedelta(milliseconds=variables["time"])
            result = self._eval(data=data)
        except (RuntimeError, OverflowError, TypeError):
            return None
        value, kind = result.value(), str(result.type())
        # An error has its text for a value, which would pass for true and for an amount: the kind has to be asked.
        if (kind == "BOOL" and type(value) is bool) or kind in ("INT", "UINT", "STRING"):
            return value  # type: ignore[no-any-return]
        return value if kind == "DOUBLE" and math.isfinite(value) else None

    def _work(self, variables: Mapping[str, Any]) -> int:
        """How many values an evaluation goes through at most: a loop over everything, in each turn what is inside."""
        sizes = {
            (name, field.text): _size((variables.get(name) or _NOTHING).get(field.text))
            for name, fields in self._payloads
            for field in fields
        }
        return sum(sizes.values()) * (1 + sum(sizes[inner] for inner in self._in_loops))

    def looks_at(self, variable: Literal["type", "time"]) -> bool:
        """Whether it looks at that of the event itself."""
        return self._type if variable == "type" else self._time

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Condition) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def __repr__(self) -> str:
        return f"Condition({self.text!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (Condition, self._identity())

    def _identity(self) -> tuple[str, Variables, Returns]:
        return (self.text, self.variables, self.returns)


def compile_condition(text: str, variables: Variables, returns: Returns = "bool") -> Condition:
    """Check and compile an expression. Raises ConditionError with every reason why it is none."""
    return Condition(text, variables, returns)


_MISSING = object()
_NOTHING: Mapping[str, Any] = {}
_SIZED = frozenset({str, list, dict})
_PLAIN = frozenset({int, bool, type(None), object})
"""What can be remembered by its value; `object` is the kind of what is missing."""


def _compiled(text: str, variables: Variables, returns: Returns) -> tuple[Any, Looks]:
    if len(text) > CHARACTERS_MAX:
        raise ConditionError([f"found a condition of {len(text)} characters, expected at most {CHARACTERS_MAX}"])
    try:
        expression = _environment(variables).compile(text)
    except RuntimeError as error:
        raise ConditionError(_in_words(str(error), variables)) from None
    except TypeError:  # half of a surrogate pair, which is no text to the library
        raise ConditionError(["found a character that is none in Unicode, expected text"]) from None
    looks = looks_of(expression.serialize())
    problems = [*_wrong_kind(str(expression.return_type()), variables, returns), *_untellable(looks, variables)]
    if looks.depth > 1:
        problems.append("found a loop in the body or range of another one, expected one loop at a time")
    ours = {f"{_CONTAINER}.{name}" for name in (*variables.payloads, "type", "time")}
    if ours.isdisjoint(look.variable for look in looks.found):
        problems.append(f"found a condition that looks at no event, expected one about {_names(variables)}")
    if problems:
        raise ConditionError(problems)
    return expression, looks


@lru_cache(maxsize=64)
def _environment(variables: Variables) -> Any:
    # A large library, and many books have no condition.
    from cel_expr_python import cel  # noqa: PLC0415

    payload = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    declared = dict.fromkeys((f"{_CONTAINER}.{name}" for name in variables.payloads), payload)
    if variables.event:
        declared |= {_TYPE: cel.Type.STRING, _TIME: cel.Type.TIMESTAMP}
    return cel.NewEnv(variables=declared, container=_CONTAINER)


def _in_words(message: str, variables: Variables) -> list[str]:
    """CEL's own messages, each with the character at which it was found."""
    problems: list[str] = []
    for line, column, words in _CEL_PROBLEM.findall(message):
        where = f" at character {column}" if int(column) > 0 else ""
        where += f" of line {line}" if int(line) > 1 else ""
        known = f"; known are {_names(variables)}" if "undeclared reference" in words else ""
        problem = f"not valid CEL{where}: {words.replace(_IN_CONTAINER, '')}{known}"
        if problem not in problems:
            problems.append(problem)
    return problems or ["not valid CEL: " + _CEL_FAILURE.sub(r"\1", message)]


def _wrong_kind(kind: str, variables: Variables, returns: Returns) -> Iterator[str]:
    found = f"found a condition that gives {_KINDS.get(kind, kind.lower())}"
    if returns == "bool" and kind != "BOOL":
        hint = f"; compare it: {variables.payloads[0]}.x == true"
        yield f"{found}, expected true or false" + (hint if kind == "DYN" else "")
    if returns == "amount" and kind not in _AMOUNTS:
        yield f"{found}, expected a number or text"


def _untellable(looks: Looks, variables: Variables) -> Iterator[str]:
    """Only fields that the book names are stored: not a payload as a whole, nor a field that only the event names."""
    if not variables.event and "type" in {look.variable for look in looks.found}:
        yield f"found 'type', which is none of an event here; known are {_names(variables)}"  # CEL has one of its own
    for name in variables.payloads:
        paths = {look.path for look in looks.found if look.variable == f"{_CONTAINER}.{name}"}
        if () in paths:
            yield f'found {name!r} as a whole, expected its fields: {name}.x, {name}["x"] or has({name}.x)'
        for member in sorted({step for path in paths for step in path}):
            if not member or "." in member:
                yield f"found the field {member!r} of {name!r}, expected a name without a dot"


def _paths(looks: Looks, variables: Variables) -> dict[str, set[tuple[str, ...]]]:
    """Per payload the paths looked at, without those below another: an object comes with its members."""
    paths: dict[str, set[tuple[str, ...]]] = {}
    for name in variables.payloads:
        found = {look.path for look in looks.found if look.variable == f"{_CONTAINER}.{name}"}
        top = {path for path in found if not any(path[:depth] in found for depth in range(1, len(path)))}
        if top:
            paths[name] = top
    return paths


def _names(variables: Variables) -> str:
    return ", ".join((*variables.payloads, *(("type", "time") if variables.event else ())))


def _size(value: Any) -> int:
    """How many values one payload field holds; a long text counts as one for every hundred characters.

    More than WORK_MAX if it is nested so deep that the library might not come back from it.
    """
    size, waiting = 1, [(value, 0)]
    while waiting and size <= WORK_MAX:
        one, depth = waiting.pop()
        if isinstance(one, str):
            size += len(one) // 100
        elif isinstance(one, (dict, list)):
            if depth == DEPTH_MAX:
                return WORK_MAX + 1
            members = one.values() if isinstance(one, dict) else one
            size += len(members)
            waiting.extend((member, depth + 1) for member in members if type(member) in _SIZED)
    return size
