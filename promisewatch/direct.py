"""What a worker can read by itself: one source, whose records are keyed by what all promises are about."""

from schemas.book_model import Book, Source
from schemas.errors import SettingsError


def direct_source(book: Book) -> Source:
    """The source whose topic a worker reads. Raises SettingsError if the book has several, or promises of several keys.

    Such a book can be linted, explained and tried on recordings.
    """
    keys = list(dict.fromkeys(promise.key for promise in book.promises))
    for what, found in (("sources", list(book.sources)), ("keys", keys)):
        if len(found) > 1:
            names = ", ".join(found)
            message = f"found {len(found)} {what} ({names}), expected one: a worker reads one topic, keyed by one key"
            raise SettingsError(f"{book.path}: {message}; give each a book and an app id of its own")
    return next(iter(book.sources.values()))
