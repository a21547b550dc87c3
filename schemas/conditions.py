"""Conditions in CEL (`if`, `holds`, `impact`): checked and compiled when the book is loaded, bounded when evaluated."""

from collections.abc import Mapping
from typing import Any, Protocol


class Condition(Protocol):
    """One compiled expression. `fields` names, per variable (`data`, `opened`, an alias of `holds`), the payload fields
    by dotted path that it looks at: only those are stored.
    """

    text: str
    fields: Mapping[str, frozenset[str]]

    def holds(self, variables: Mapping[str, Any]) -> bool | None:
        """Whether it is true; None if a key is missing or the evaluation failed (taken for false, and counted)."""
        ...

    def value(self, variables: Mapping[str, Any]) -> str | float | int | bool | None:
        """What it evaluates to (`impact`); None if that cannot be told."""
        ...
