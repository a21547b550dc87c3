"""How a book's events reach the worker: in direct mode it reads the one source topic itself; in facts mode an ingest
does, and the worker reads the facts topic.
"""

from promisewatch.settings.values import InputKind
from schemas.book_model import Book, Source
from schemas.errors import SettingsError


def reads_facts(book: Book, mode: InputKind = InputKind.AUTO) -> bool:
    """Whether the worker reads the facts topic: by itself it does where it has to.

    Raises SettingsError if it is to read a source topic, and the book has several, or promises of several keys.
    """
    if mode is InputKind.DIRECT:
        direct_source(book)
    return mode is InputKind.FACTS or (mode is InputKind.AUTO and _several(book) is not None)


def direct_source(book: Book) -> Source:
    """The source whose topic a worker reads in direct mode. Raises SettingsError if that cannot be one."""
    several = _several(book)
    if several is not None:
        raise SettingsError(
            f"{book.path}: found {several}, expected one: in direct mode a worker reads one topic, keyed by one key; "
            "with --input facts it reads what `promisewatch ingest` makes of any number"
        )
    return next(iter(book.sources.values()))


def _several(book: Book) -> str | None:
    """What a book has too many of to be read directly."""
    keys = list(dict.fromkeys(promise.key for promise in book.promises))
    for what, found in (("sources", list(book.sources)), ("keys", keys)):
        if len(found) > 1:
            return f"{len(found)} {what} ({', '.join(found)})"
    return None
