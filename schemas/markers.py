"""Frontier markers: a record by which a producer says how far its topic partition is complete.

A marker has an empty value and one header naming an instant; everything dated before that instant has been sent.
"""

from collections.abc import Iterable

from schemas.errors import EventError
from schemas.instants import format_instant, parse_instant

HEADER = "promisewatch-frontier"


def marker_headers(ms: int) -> list[tuple[str, bytes]]:
    """The headers of a marker that says "complete before `ms`" (UTC milliseconds); its value is empty."""
    return [(HEADER, format_instant(ms).encode())]


def read_marker(value: bytes | None, headers: Iterable[tuple[str, bytes | None]]) -> int | None:
    """The instant (UTC milliseconds) if this record is a marker, None if it is an ordinary event.

    Raises EventError (`bad_marker`) if the header is there but names no instant, or comes with a value.
    """
    found = [content for name, content in headers if name == HEADER]
    if not found:
        return None
    if value:
        raise EventError(
            "bad_marker", f"a record with header {HEADER} has a value of {len(value)} bytes; expected none"
        )
    try:
        return parse_instant((found[-1] or b"").decode(), None)
    except ValueError as problem:  # UnicodeDecodeError is one too
        raise EventError("bad_marker", f"header {HEADER}: {problem}") from None
