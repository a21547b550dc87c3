"""Migrations: a control record that moves running promises to another version of their text.

It has an empty value and one header with JSON. `promisewatch migrate` sends one to every partition of the source topic,
and each worker acts on it where it stands in the log.
"""

from collections.abc import Iterable

import msgspec

from schemas.errors import EventError

HEADER = "promisewatch-migrate"


class Migration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Move what runs of `promise` under one of `versions` (None: any) to version `to`.

    `text` is the digest of the text that is meant by version `to` (`schemas/editions.py`), `book` that of the book it
    stands in. `assume_known`: also where the new text looks at events that the old one did not.
    """

    promise: str
    to: int
    text: str
    book: str
    versions: tuple[int, ...] | None = None
    assume_known: bool = False


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Migration).decode


def migration_headers(migration: Migration) -> list[tuple[str, bytes]]:
    """The headers of the control record; its value is empty."""
    return [(HEADER, _encode(migration))]


def read_migration(headers: Iterable[tuple[str, bytes | None]]) -> Migration | None:
    """The migration if this record, which has no value, asks for one. Raises EventError (`bad_migration`)."""
    found = [content for name, content in headers if name == HEADER]
    if not found:
        return None
    try:
        return _decode(found[-1] or b"")
    except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
        raise EventError("bad_migration", f"header {HEADER}: {problem}") from None
