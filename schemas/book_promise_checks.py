"""Whether the keys of one promise go together: what opens it, what keeps or breaks it, what it means to people."""

from typing import Any

from schemas.book_conditions import Conditions
from schemas.book_reading import keys_given
from schemas.book_spelling import ExpectSpelling, PromiseSpelling, Spelling, WhenSpelling
from schemas.book_text import BookText, Path

_WHEN_FORMS = {
    "event": frozenset({"event", "where", "if", "enter", "field", "again"}),
    "breach_of": frozenset({"breach_of", "again"}),
}
_EXPECT_FORMS = {
    "event": frozenset({"event", "where", "if", "match", "count", "distinct", "early", "shared"}),
    "leave": frozenset({"leave"}),
    "holds": frozenset({"holds", "from"}),
}


def check_promise(text: BookText, path: Path, promise: PromiseSpelling, conditions: Conditions) -> None:
    """Note what does not go together in one promise."""
    _check_when(text, (*path, "when"), promise.when)
    _check_goal(text, path, promise)
    if promise.expect is not None:
        _check_expect(text, (*path, "expect"), promise.expect, conditions)
        _check_status_and_values(text, path, promise, promise.expect)
    _check_lists(text, path, promise)
    if promise.pause is not None and promise.pause.max == 0:
        text.problem((*path, "pause", "max"), "found 0s, expected how long the pause may last at most")


def _check_when(text: BookText, path: Path, when: WhenSpelling) -> None:
    if check_form(text, path, when, _WHEN_FORMS) != "event":
        return
    if when.enter is not None and when.field is None:
        text.problem(
            (*path, "enter"), "'enter' needs 'field', the payload field that takes on these values", at_key=True
        )
    if when.field is not None and when.enter is None:
        text.problem((*path, "field"), "'field' needs 'enter', the values that it takes on", at_key=True)
    if when.enter == []:
        text.problem((*path, "enter"), "found an empty list, expected the values that 'field' takes on")
    for index, value in enumerate(when.enter or ()):
        if any(value == other and isinstance(value, bool) == isinstance(other, bool) for other in when.enter[:index]):  # type: ignore[index]
            text.problem((*path, "enter", index), f"found {value!r} twice, expected each value once")


def _check_goal(text: BookText, path: Path, promise: PromiseSpelling) -> None:
    if promise.expect is None and promise.forbid is None:
        text.problem(path, "missing key 'expect' or 'forbid'")
    if promise.expect is not None and promise.forbid is not None:
        text.problem((*path, "forbid"), "found 'expect' and 'forbid', expected exactly one of them", at_key=True)
    if promise.until is not None and promise.forbid is None:
        text.problem((*path, "until"), "'until' needs 'forbid', what must not happen until then", at_key=True)
    if promise.warn and promise.forbid is not None:
        message = "'warn' does not go with 'forbid': the nearer its due, the better it is kept"
        text.problem((*path, "warn"), message, at_key=True)


def _check_expect(text: BookText, path: Path, expect: ExpectSpelling, conditions: Conditions) -> None:
    form = check_form(text, path, expect, _EXPECT_FORMS)
    if form == "holds":
        _check_aliases(text, path, expect, conditions)
    elif form == "event" and expect.distinct is not None and expect.count < 2:
        if "count" in expect.model_fields_set:
            text.problem(
                (*path, "count"), "found 1, expected at least 2 next to 'distinct': one value is always distinct"
            )
        else:
            text.problem(
                (*path, "distinct"), "'distinct' needs 'count', how many different values there are to be", at_key=True
            )


def _check_aliases(text: BookText, path: Path, expect: ExpectSpelling, conditions: Conditions) -> None:
    if expect.aliases is None:
        text.problem((*path, "holds"), "'holds' needs 'from', the event that each of its names stands for", at_key=True)
        return
    if not expect.aliases:
        text.problem((*path, "from"), "found an empty mapping, expected names and the events they stand for")
    condition = conditions.get((*path, "holds"))
    names: dict[str, str] = {}
    for alias, event in expect.aliases.items():
        if condition is not None and alias not in condition.fields:
            text.problem((*path, "from", alias), f"{alias!r} is not looked at in 'holds'", at_key=True)
        if names.setdefault(event, alias) != alias:
            text.problem((*path, "from", alias), f"found {event!r}, which {names[event]!r} stands for already")


def _check_status_and_values(text: BookText, path: Path, promise: PromiseSpelling, expect: ExpectSpelling) -> None:
    """What goes with single events only."""
    form = next((key for key in ("leave", "holds") if getattr(expect, key) is not None), None)
    if form is None:
        return
    if promise.when.breach_of is not None:
        message = f"{form!r} does not go with 'breach_of': it looks at the events that open the promise"
        text.problem((*path, "expect", form), message, at_key=True)
    if promise.not_before is not None:
        message = f"'not_before' does not go with {form!r}; it belongs to 'event' under expect"
        text.problem((*path, "not_before"), message, at_key=True)


def _check_lists(text: BookText, path: Path, promise: PromiseSpelling) -> None:
    """Lists that are given say something, and nothing twice."""
    if promise.forbid is not None and promise.not_before is not None:
        message = "'not_before' does not go with 'forbid'; it belongs to 'event' under expect"
        text.problem((*path, "not_before"), message, at_key=True)
    _check_list(text, (*path, "breach", "audience"), promise.breach, "audience", "whom a breach concerns")
    _check_list(text, (*path, "breach", "group_by"), promise.breach, "group_by", "payload fields of the opening")
    if "warn" in promise.model_fields_set and not promise.warn:
        text.problem((*path, "warn"), "found an empty list, expected when to warn, such as -6h or 80%")
    matches = {
        ("expect",): promise.expect, ("forbid",): promise.forbid, ("until",): promise.until, ("pause",): promise.pause,
        ("pause", "until"): promise.pause.until if promise.pause else None, ("release",): promise.release,
        ("repromise",): promise.repromise,
    }  # fmt: skip
    for place, match in matches.items():
        if match is not None:
            what = "payload fields that equal those of the opening"
            _check_list(text, (*path, *place, "match"), match, "match", what)


def _check_list(text: BookText, path: Path, part: Spelling, key: str, expected: str) -> None:
    found: Any = getattr(part, key)
    if key in part.model_fields_set and not found:
        text.problem(path, f"found an empty list, expected {expected}")
    for index, value in enumerate(found):
        if value in found[:index]:
            text.problem((*path, index), f"found {value!r} twice, expected it once")


def check_form(text: BookText, path: Path, part: Spelling, forms: dict[str, frozenset[str]]) -> str | None:
    """Which of several ways of saying it is used; notes when it is none, or several, or mixed with keys of another."""
    given = keys_given(part)
    found = [form for form in forms if form in given]
    if len(found) != 1:
        names = [repr(form) for form in forms]
        expected = f"{', '.join(names[:-1])} and {names[-1]}"
        text.problem(path, f"found {' and '.join(map(repr, found)) or 'none'}, expected exactly one of {expected}")
        return None
    for key in sorted(given - forms[found[0]]):
        owners = " or ".join(repr(form) for form, keys in forms.items() if key in keys)
        text.problem((*path, key), f"{key!r} does not go with {found[0]!r}; it belongs to {owners}", at_key=True)
    return found[0]
