"""The conditions of a book: each compiled where it stands, with the variables that mean something there."""

from schemas.book_names import at, children
from schemas.book_text import BookText, Path
from schemas.conditions import Condition, ConditionError, Returns, Variables, compile_condition

Conditions = dict[Path, Condition]
"""Every condition of a book under the path at which it stands."""

_OPENING = Variables(("data",))
_LATER = Variables(("data", "opened"))
_PLACES: tuple[tuple[Path, Variables, Returns], ...] = (
    (("when", "if"), _OPENING, "bool"),
    (("expect", "if"), _LATER, "bool"),
    (("forbid", "if"), _LATER, "bool"),
    (("until", "if"), _LATER, "bool"),
    (("release", "if"), _LATER, "bool"),
    (("pause", "if"), _LATER, "bool"),
    (("pause", "until", "if"), _LATER, "bool"),
    (("repromise", "if"), _LATER, "bool"),
    (("breach", "impact"), _LATER, "amount"),
)


def compile_conditions(text: BookText) -> Conditions:
    """Compile what stands where a condition may, noting in `text` what is none.

    This looks at the data as written: a promise with a misspelt duration has its conditions checked all the same.
    """
    compiled: Conditions = {}
    for promise in children(text.data, "promises"):
        for place, variables, returns in _PLACES:
            _compile(text, (*promise, *place), variables, returns, compiled)
        aliases = at(text.data, (*promise, "expect", "from"))
        if isinstance(aliases, dict) and aliases:
            names = Variables(tuple(sorted(map(str, aliases))), event=False)
            _compile(text, (*promise, "expect", "holds"), names, "bool", compiled)
    return compiled


def _compile(text: BookText, path: Path, variables: Variables, returns: Returns, compiled: Conditions) -> None:
    written = at(text.data, path)
    if not isinstance(written, str) or not written.strip():
        return  # reported already, or not there
    try:
        compiled[path] = compile_condition(written, variables, returns)
    except ConditionError as error:
        for problem in error.problems:
            text.problem(path, problem)
