"""The promise book: YAML text in, a typed and checked `Book` out, or all of its problems at once.

`load_book` reads a file, `parse_book` a text. The steps are one module each: `book_text` (YAML with places),
`book_spelling` and `book_reading` (each section by itself), `book_conditions` (CEL), `book_checks` and the modules it
calls (parts against each other), `book_resolving` (the model of `book_model`, with every default filled in).
"""

from pathlib import Path

from schemas.book_checks import check
from schemas.book_conditions import compile_conditions
from schemas.book_model import (
    CALENDAR_SEARCH_DAYS_MAX,
    At,
    Book,
    CalendarSpec,
    Const,
    Defaults,
    DoubtPolicy,
    Due,
    DueField,
    DuePlus,
    DueWithin,
    Expect,
    FieldPath,
    Forbid,
    Goal,
    Holds,
    Leave,
    Match,
    Pause,
    Promise,
    Repromise,
    Scalar,
    Severity,
    Source,
    Warn,
    When,
)
from schemas.book_reading import spell
from schemas.book_resolving import resolve
from schemas.book_text import read_yaml
from schemas.errors import BookError, BookProblem, InputError

__all__ = [
    "CALENDAR_SEARCH_DAYS_MAX",
    "At",
    "Book",
    "CalendarSpec",
    "Const",
    "Defaults",
    "DoubtPolicy",
    "Due",
    "DueField",
    "DuePlus",
    "DueWithin",
    "Expect",
    "FieldPath",
    "Forbid",
    "Goal",
    "Holds",
    "Leave",
    "Match",
    "Pause",
    "Promise",
    "Repromise",
    "Scalar",
    "Severity",
    "Source",
    "Warn",
    "When",
    "load_book",
    "parse_book",
]


def load_book(path: Path) -> Book:
    """Read a promise book. Raises InputError if there is no such file, BookError with every problem in it."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the promise book {path}: {error.strerror or error}") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        message = f"found the byte 0x{raw[error.start]:02x}, expected UTF-8 text"
        raise BookError([BookProblem(str(path), line, column, message)]) from None
    return parse_book(text, str(path))


def parse_book(text: str, filename: str = "book.yaml") -> Book:
    """Turn the text of a promise book into a Book. Raises BookError with every problem in it."""
    read = read_yaml(text, filename)
    if read.data is None:
        raise BookError(read.problems or [BookProblem(filename, 1, 1, "found nothing, expected a promise book")])
    spelled = spell(read)
    conditions = compile_conditions(read)
    check(read, spelled, conditions)
    if read.problems:
        raise BookError(read.problems)
    return resolve(spelled, conditions, read.data, filename)
