"""Plain data to spelling models, section by section, so that one bad promise hides nothing about the next.

pydantic's errors are put into the words of a book's author: what was found, what was expected, which key was meant.
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.book_spelling import (
    BookSpelling,
    BreachSpelling,
    CalendarSpelling,
    DefaultsSpelling,
    DoubtSpelling,
    DueSpelling,
    ExpectSpelling,
    ForbidSpelling,
    MatchSpelling,
    PauseSpelling,
    PromiseSpelling,
    RepromiseSpelling,
    SourceSpelling,
    Spelling,
    WhenSpelling,
)
from schemas.book_text import BookText, Path
from schemas.book_values import shown

_PARTS: dict[str, type[Spelling]] = {
    "when": WhenSpelling,
    "due": DueSpelling,
    "expect": ExpectSpelling,
    "forbid": ForbidSpelling,
    "until": MatchSpelling,
    "pause": PauseSpelling,
    "release": MatchSpelling,
    "repromise": RepromiseSpelling,
    "breach": BreachSpelling,
    "doubt": DoubtSpelling,
}
_EXPECTED = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_Model = TypeVar("_Model", bound=Spelling)
_Name = TypeVar("_Name", str, int)


@dataclass
class Spelled:
    """The parts of a book that are well spelled, each under the path at which it stands."""

    defaults: DefaultsSpelling = field(default_factory=DefaultsSpelling)
    sources: dict[str, SourceSpelling] = field(default_factory=dict)
    calendars: dict[str, CalendarSpelling] = field(default_factory=dict)
    promises: dict[int, PromiseSpelling] = field(default_factory=dict)


def spell(text: BookText) -> Spelled:
    """Read every section of the book, noting all problems in `text`."""
    data = text.data
    if not isinstance(data, dict):
        text.problem((), f"found {shown(data)}, expected a mapping with sources, defaults, calendars and promises")
        return Spelled()
    for key in data:
        if key not in BookSpelling.model_fields:
            text.problem((key,), _unknown_key(key, BookSpelling), at_key=True)
    for key in ("sources", "promises"):
        if key not in data:
            text.problem((), f"missing key {key!r}")
    return spell_sections(text)


def spell_sections(text: BookText) -> Spelled:
    """Read the sections that are there, noting all problems in `text`, whose data is a mapping."""
    spelled, data = Spelled(), text.data
    if "defaults" in data:
        spelled.defaults = _read(text, DefaultsSpelling, ("defaults",), data["defaults"]) or spelled.defaults
    spelled.sources = _read_all(text, SourceSpelling, "sources", _section(text, "sources", dict).items())
    spelled.calendars = _read_all(text, CalendarSpelling, "calendars", _section(text, "calendars", dict).items())
    spelled.promises = _read_all(text, PromiseSpelling, "promises", enumerate(_section(text, "promises", list)))
    return spelled


def keys_of(model: type[Spelling]) -> list[str]:
    """The keys of a kind of mapping as a book spells them."""
    return [field.alias or name for name, field in model.model_fields.items()]


def keys_given(part: Spelling) -> set[str]:
    """The keys that a mapping has, as the book spells them."""
    return {type(part).model_fields[name].alias or name for name in part.model_fields_set}


def nearest(word: str, words: Any) -> str:
    """`; did you mean 'x'?` if one of `words` is close to `word`, else nothing."""
    close = difflib.get_close_matches(str(word), [str(each) for each in words if each != word], n=1, cutoff=0.7)
    return f"; did you mean {close[0]!r}?" if close else ""


def _section(text: BookText, key: str, kind: type) -> Any:
    section = text.data.get(key, kind())
    expected = "a mapping of names" if kind is dict else "a list of promises"
    if not isinstance(section, kind):
        text.problem((key,), f"found {shown(section)}, expected {expected}")
        return kind()
    if not section and key in text.data and key != "calendars":
        text.problem((key,), f"{key!r} is empty, expected at least one")
    return section


def _read_all(
    text: BookText, model: type[_Model], section: str, parts: Iterable[tuple[_Name, Any]]
) -> dict[_Name, _Model]:
    read = {name: _read(text, model, (section, name), part) for name, part in parts}
    return {name: part for name, part in read.items() if part is not None}


def _read(text: BookText, model: type[_Model], path: Path, part: Any) -> _Model | None:
    empty = _empty_places(part)
    try:
        read = model.model_validate(part)
    except ValidationError as error:
        read, details = None, error.errors(include_url=False)
    else:
        details = []
    for location in empty - {detail["loc"] for detail in details}:
        # A key without a value has been forgotten, not left to its default.
        text.problem((*path, *location), "found nothing, expected a value")
    for detail in details:
        location, at_key = detail["loc"], detail["type"] == "extra_forbidden"
        if location[-1:] == ("[key]",):
            location, at_key = location[:-1], True
        text.problem((*path, *location), _message(model, detail), at_key=at_key)
    return read


def _empty_places(part: Any, location: Path = ()) -> set[Path]:
    """Where keys stand that have no value; in `where` and `enter` null is a value like any other."""
    if part is None:
        return {location}
    children = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    return {
        place
        for key, child in children
        if key not in ("where", "enter") or child is None
        for place in _empty_places(child, (*location, key))
    }


def _message(model: type[Spelling], detail: ErrorDetails) -> str:
    kind, location, found = detail["type"], detail["loc"], detail["input"]
    if kind == "extra_forbidden":
        return _unknown_key(str(location[-1]), _model_at(model, location[:-1]))
    if kind == "missing":
        return f"missing key {location[-1]!r}"
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    if kind == "literal_error":
        expected = str(detail["ctx"]["expected"])
        words = expected.replace(" or ", ", ").replace("'", "").split(", ")
        return f"found {shown(found)}, expected {expected}{nearest(found, words) if len(words) > 1 else ''}"
    if kind in ("greater_than_equal", "less_than_equal"):
        bound = detail["ctx"].get("ge", detail["ctx"].get("le"))
        side = "at least" if kind == "greater_than_equal" else "at most"
        return f"found {shown(found)}, expected {side} {bound}"
    return f"found {shown(found)}, expected {_EXPECTED.get(kind, detail['msg'])}"


def _model_at(model: type[Spelling], location: tuple[str | int, ...]) -> type[Spelling]:
    for step in location:
        model = _PARTS.get(str(step), model)
    return model


def _unknown_key(key: str, model: type[Spelling]) -> str:
    homes = [name for name, part in _PARTS.items() if key in keys_of(part)]
    expected = ", ".join(keys_of(model))
    close = nearest(key, keys_of(model))
    if not close and homes and model is PromiseSpelling:
        close = f"; it belongs under {' or '.join(repr(home) for home in homes)}"
    newer = "" if close or homes else "; a newer promisewatch may know it"
    return f"unknown key {key!r}; expected one of {expected}{close}{newer}"
