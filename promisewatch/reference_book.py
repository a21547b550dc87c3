"""The tables of docs/promise-language.md: which keys each construct of a promise book has, and what they mean.

The page is written by hand but for what stands between `<!-- keys: NAME -->` and `<!-- end -->`.
"""

import re
from typing import Any

from schemas.export import book_schema

_BLOCK = re.compile(r"(<!-- keys: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_SPAN = r"(\d+y)?(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?"
_TIME = r"([01]\d|2[0-3]):[0-5]\d"
_PATTERNS = {
    f"^{_SPAN}$": "duration",
    f"^-?{_SPAN}$": "duration, also negative",
    f"^{_TIME}$": "time of day",
    f"^(end_of_day|closing|{_TIME})$": "`end_of_day`, `closing` or a time of day",
    f"^([1-9]\\d?%|-{_SPAN})$": "negative duration or share",
    r"^[^.]+(\.[^.]+)*$": "path",
    r"^\d\d:\d\d-\d\d:\d\d$": "hours",
    r"^\d{4}-\d\d-\d\d$": "date",
    r"^[A-Za-z0-9._-]{1,249}$": "topic",
    r"^([1-9]\d?|100)%$": "share",
}
_SECTIONS = {
    "SourceSpelling": "source", "DefaultsSpelling": "defaults", "CalendarSpelling": "calendar",
    "PromiseSpelling": "promise", "MatchSpelling": "match", "WhenSpelling": "when", "DueSpelling": "due",
    "ExpectSpelling": "expect", "ForbidSpelling": "forbid", "PauseSpelling": "pause",
    "RepromiseSpelling": "repromise", "BreachSpelling": "breach", "DoubtSpelling": "doubt",
}  # fmt: skip


def filled(page: str) -> str:
    """The page with its tables as the spelling models have them. Raises KeyError for a construct that there is not."""
    return _BLOCK.sub(lambda block: f"{block[1]}{table(block[2])}\n{block[3]}", page)


def constructs() -> set[str]:
    """Every construct that has a table."""
    return {"BookSpelling", *book_schema()["$defs"]}


def table(name: str) -> str:
    """One construct's keys, what each takes, and what it means."""
    schema = book_schema()
    construct = schema if name == "BookSpelling" else schema["$defs"][name]
    required = set(construct.get("required", ()))
    choice = {key for one in construct.get("oneOf", ()) for key in one["required"]}
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key, value in construct["properties"].items():
        default = "required" if key in required else "one of these" if key in choice else _default(value)
        cells = (f"`{key}`", _kind(value), default, value["description"])
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def _default(value: dict[str, Any]) -> str:
    default = value.get("default")
    if default in (None, [], {}):
        return ""
    if isinstance(default, list):
        return f"`{', '.join(default)}`"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _kind(value: dict[str, Any]) -> str:
    """What a value looks like, in words."""
    if "$ref" in value:
        return _SECTIONS[value["$ref"].rpartition("/")[2]]
    if "anyOf" in value:
        kinds = [_kind(choice) for choice in value["anyOf"] if choice != {"type": "null"}]
        return " or ".join(dict.fromkeys(kinds))
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return ", ".join(f"`{one}`" for one in value["enum"])
    if "pattern" in value:
        return _PATTERNS[value["pattern"]]
    return _plain_kind(value)


def _plain_kind(value: dict[str, Any]) -> str:
    kind = value["type"]
    if kind == "array":
        items = _kind(value["items"])
        return f"list of {items}s" if items in ("path", "date", "promise") else f"list of {items}"
    if kind == "object":
        inner = next(iter(value.get("patternProperties", {}).values()), value.get("additionalProperties"))
        if not inner:
            return "`{const: text}`"
        named = _kind(inner)
        return f"mapping of names to {named}" if "$ref" not in inner else f"mapping of names to {named}s"
    if kind == "integer":
        least, most = value["minimum"], value["maximum"]
        return f"whole number, {least} to {most:,}" if most < 2**31 else f"whole number from {least}"
    if isinstance(kind, list):
        return "text, number, true, false or null"
    return {"boolean": "`true` or `false`", "string": "text"}[kind]
