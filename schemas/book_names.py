"""Whether the names a book uses exist: time zones, countries, calendars, events, keys.

These checks look at the data as written, not at the spelling models: a promise with a misspelt duration still has its
unknown calendar reported in the same run.
"""

import zoneinfo
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from schemas.book_reading import nearest
from schemas.book_text import BookText, Path
from schemas.instants import parse_date, parse_instant


def check_names(text: BookText) -> None:
    """Note in `text` every name that stands for nothing."""
    _check_zone(text, ("defaults", "timezone"))
    for path in _children(text.data, "calendars"):
        _check_zone(text, (*path, "timezone"))
        _check_holidays(text, (*path, "holidays"))
    calendars = _mapping(_at(text.data, ("calendars",)))
    senders = _sendable(text.data)
    for path in _children(text.data, "promises"):
        _check_zone(text, (*path, "timezone"))
        _check_effective_from(text, path)
        _check_given(text, path)
        for key in ("of", "calendar"):
            _check_one_of(text, (*path, "due", key), set(calendars), "calendar")
        if senders is not None:
            for part in ("when", "expect", "release"):
                _check_one_of(text, (*path, part, "event"), senders, "event (no source can send it)")


def zone_named(name: str) -> ZoneInfo | None:
    """The IANA zone of this name, None if there is none. `localtime` is not one: it is another zone on each machine."""
    if name == "localtime":
        return None
    try:
        return ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def effective_ms(written: str, zone: ZoneInfo) -> int:
    """UTC milliseconds of an `effective_from`: an instant, or a date for the start of that day. Raises ValueError."""
    day = parse_date(written)
    if day is not None:
        return parse_instant(f"{day}T00:00:00", zone)
    return parse_instant(written, zone)


@lru_cache(maxsize=1)
def holiday_calendars() -> dict[str, list[str]]:
    """Country code -> its subdivisions, as the `holidays` library knows them."""
    import holidays.utils  # noqa: PLC0415 - slow to import, and many books need no holidays

    found: dict[str, list[str]] = holidays.utils.list_supported_countries(include_aliases=True)
    return found


def _check_zone(text: BookText, path: Path) -> None:
    name = _at(text.data, path)
    if isinstance(name, str) and zone_named(name) is None:
        close = nearest(name, zoneinfo.available_timezones())
        text.problem(path, f"unknown time zone {name!r}, expected an IANA name such as Europe/Amsterdam{close}")


def _check_holidays(text: BookText, path: Path) -> None:
    name = _at(text.data, path)
    if not isinstance(name, str):
        return
    country, _, subdivision = name.partition("-")
    countries = holiday_calendars()
    if country not in countries:
        close = nearest(country.upper(), countries)
        text.problem(path, f"unknown country {country!r}, expected an ISO 3166 code such as NL or DE-BY{close}")
    elif subdivision and subdivision not in countries[country]:
        known = ", ".join(countries[country]) or "none"
        text.problem(path, f"unknown part {subdivision!r} of {country}, expected one of: {known}")


def _check_effective_from(text: BookText, path: Path) -> None:
    written = _at(text.data, (*path, "effective_from"))
    if isinstance(written, str):
        try:
            effective_ms(written, ZoneInfo("UTC"))  # whether it can be read does not depend on the zone
        except ValueError as problem:
            text.problem((*path, "effective_from"), str(problem))


def _check_given(text: BookText, path: Path) -> None:
    """A promise has a zone and a key, of its own or the book's."""
    if not isinstance(_at(text.data, ("defaults",)), dict | None):
        return  # reported already, and what they were meant to say is not known
    for key, what in (("timezone", "time zone"), ("key", "key")):
        given = {*_mapping(_at(text.data, path)), *_mapping(_at(text.data, ("defaults",)))}
        if key not in given:
            message = f"promise {_at(text.data, (*path, 'id'))!r} has no {what}: expected {key!r} here or in defaults"
            text.problem(path, message)


def _check_one_of(text: BookText, path: Path, known: set[str], what: str) -> None:
    name = _at(text.data, path)
    if isinstance(name, str) and name not in known:
        expected = f"expected one of: {', '.join(sorted(known))}" if known else "and none is defined"
        text.problem(path, f"unknown {what} {name!r}, {expected}{nearest(name, known)}")


def _sendable(data: Any) -> set[str] | None:
    """Every event type that a source can send; None if one of the sources may send anything."""
    names: set[str] = set()
    for path in _children(data, "sources"):
        kind = _at(data, (*path, "type"))
        events = (
            list(kind.values()) if isinstance(kind, dict) and set(kind) == {"const"} else _at(data, (*path, "events"))
        )
        if isinstance(kind, dict) and set(kind) != {"const"}:
            return None
        if not isinstance(events, list) or not events:
            return None
        names.update(str(event) for event in events)
    return names or None


def _children(data: Any, section: str) -> Iterator[Path]:
    """The paths of the mappings in a section."""
    part = _at(data, (section,))
    keys = part if isinstance(part, dict) else range(len(part)) if isinstance(part, list) else ()
    return ((section, key) for key in keys if isinstance(part[key], dict))


def _at(data: Any, path: Path) -> Any:
    """What stands at a path, None if nothing does."""
    for key in path:
        if (isinstance(data, dict) and key in data) or (isinstance(data, list) and isinstance(key, int)):
            data = data[key]  # type: ignore[index]
        else:
            return None
    return data


def _mapping(data: Any) -> dict[str, Any]:
    return data if isinstance(data, dict) else {}
