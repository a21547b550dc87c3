"""Names of published events. The same publication has the same id on every machine, in every replay."""

from hashlib import sha1
from uuid import UUID

NAMESPACE = UUID("6f0c9e5a-6a39-5d0e-9d3c-0b1f5b8c7a11")
"""Durable: changing it renames everything ever published."""

_NAMESPACE_BYTES = NAMESPACE.bytes
_VARIANTS = {digit: f"{int(digit, 16) & 0x3 | 0x8:x}" for digit in "0123456789abcdef"}


def event_id(
    promise: str, key: str, subject: str, source: str, opening: str, kind: str, due: int, n: int, warn: str = ""
) -> str:
    """A version 5 UUID of one publication of the cycle that the fact (`source`, `opening`) opened.

    `n` counts the earlier publications of the same kind and due in that cycle; `warn` is the warning as the book spells
    it, of kind at_risk only. The unit separator joins the parts.
    """
    name = f"{promise}\x1f{key}\x1f{subject}\x1f{source}\x1f{opening}\x1f{kind}\x1f{due}\x1f{warn}\x1f{n}"
    # uuid.uuid5 without its detours: this is on the hot path of every settled cycle.
    digits = sha1(_NAMESPACE_BYTES + name.encode()).hexdigest()  # noqa: S324 - a name, not a secret
    variant = _VARIANTS[digits[16]]
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"
