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
    for path in children(text.data, "calendars"):
        _check_zone(text, (*path, "timezone"))
        _check_holidays(text, (*path, "holidays"))
    calendars = _mapping(at(text.data, ("calendars",)))
    senders = _sendable(text.data)
    for path in children(text.data, "promises"):
        _check_zone(text, (*path, "timezone"))
        _check_effective_from(text, path)
        _check_given(text, path)
        for key in ("of", "calendar"):
            _check_one_of(text, (*path, "due", key), set(calendars), "calendar")
        for place in _event_places(text.data, path) if senders is not None else ():
            _check_one_of(text, place, senders or set(), "event (no source can send it)")
    _check_causes(text)


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
    name = at(text.data, path)
    if isinstance(name, str) and zone_named(name) is None:
        close = nearest(name, zoneinfo.available_timezones())
        text.problem(path, f"unknown time zone {name!r}, expected an IANA name such as Europe/Amsterdam{close}")


def _check_holidays(text: BookText, path: Path) -> None:
    name = at(text.data, path)
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
    written = at(text.data, (*path, "effective_from"))
    if isinstance(written, str):
        try:
            effective_ms(written, ZoneInfo("UTC"))  # whether it can be read does not depend on the zone
        except ValueError as problem:
            text.problem((*path, "effective_from"), str(problem))


def _check_given(text: BookText, path: Path) -> None:
    """A promise has a zone and a key, of its own or the book's."""
    if not isinstance(at(text.data, ("defaults",)), dict | None):
        return  # reported already, and what they were meant to say is not known
    for key, what in (("timezone", "time zone"), ("key", "key")):
        given = {*_mapping(at(text.data, path)), *_mapping(at(text.data, ("defaults",)))}
        if key not in given:
            message = f"promise {at(text.data, (*path, 'id'))!r} has no {what}: expected {key!r} here or in defaults"
            text.problem(path, message)


def _check_one_of(text: BookText, path: Path, known: set[str], what: str) -> None:
    name = at(text.data, path)
    if isinstance(name, str) and name not in known:
        expected = f"expected one of: {', '.join(sorted(known))}" if known else "and none is defined"
        text.problem(path, f"unknown {what} {name!r}, {expected}{nearest(name, known)}")


_EVENT_PLACES: tuple[Path, ...] = (
    ("when", "event"),
    ("expect", "event"),
    ("forbid", "event"),
    ("until",),
    ("until", "event"),
    ("pause", "event"),
    ("pause", "until"),
    ("pause", "until", "event"),
    ("release", "event"),
    ("repromise", "event"),
)


def _event_places(data: Any, promise: Path) -> Iterator[Path]:
    """Where in a promise events are named, one by one."""
    for place in _EVENT_PLACES:
        found = at(data, (*promise, *place))
        if isinstance(found, list):
            yield from ((*promise, *place, index) for index in range(len(found)))
        else:
            yield (*promise, *place)
    aliases = _mapping(at(data, (*promise, "expect", "from")))
    yield from ((*promise, "expect", "from", alias) for alias in aliases)


def _check_causes(text: BookText) -> None:
    """The promises that `breach_of` names are there, have the same key, and do not wait for each other."""
    keys: dict[str, Any] = {}
    causes: dict[str, set[str]] = {}
    default = at(text.data, ("defaults", "key"))
    for path in children(text.data, "promises"):
        name, key = at(text.data, (*path, "id")), at(text.data, (*path, "key"))
        if isinstance(name, str):
            keys.setdefault(name, default if key is None else key)
    for path in children(text.data, "promises"):
        place = (*path, "when", "breach_of")
        name, cause = at(text.data, (*path, "id")), at(text.data, place)
        if not isinstance(cause, str):
            continue
        _check_one_of(text, place, set(keys), "promise")
        if cause == name:
            text.problem(place, "found the promise itself, expected another one, whose breach opens this one")
            continue
        if cause not in keys or not isinstance(name, str):
            continue
        if keys[cause] != keys[name]:
            message = (
                f"promise {cause!r} is about {keys[cause]!r}, this one about {keys[name]!r}; expected the same key"
            )
            text.problem(place, message)
        circle = _way(causes, cause, name)
        causes.setdefault(name, set()).add(cause)
        if circle:
            text.problem(place, f"each waits for the other to be broken: {' -> '.join([name, *circle])}")


def _way(causes: dict[str, set[str]], start: str, goal: str) -> list[str]:
    """The way from a promise to another along its causes, none if there is none."""
    ways, seen = [[start]], {start}
    while ways:
        way = ways.pop()
        if way[-1] == goal:
            return way
        further = causes.get(way[-1], set()) - seen
        seen |= further
        ways += [[*way, name] for name in sorted(further)]
    return []


def _sendable(data: Any) -> set[str] | None:
    """Every event type that a source can send; None if one of the sources may send anything."""
    names: set[str] = set()
    for path in children(data, "sources"):
        kind = at(data, (*path, "type"))
        events = (
            list(kind.values()) if isinstance(kind, dict) and set(kind) == {"const"} else at(data, (*path, "events"))
        )
        if isinstance(kind, dict) and set(kind) != {"const"}:
            return None
        if not isinstance(events, list) or not events:
            return None
        names.update(str(event) for event in events)
    return names or None


def children(data: Any, section: str) -> Iterator[Path]:
    """The paths of the mappings in a section."""
    part = at(data, (section,))
    keys = part if isinstance(part, dict) else range(len(part)) if isinstance(part, list) else ()
    return ((section, key) for key in keys if isinstance(part[key], dict))


def at(data: Any, path: Path) -> Any:
    """What stands at a path, None if nothing does."""
    for key in path:
        if (isinstance(data, dict) and key in data) or (isinstance(data, list) and isinstance(key, int)):
            data = data[key]  # type: ignore[index]
        else:
            return None
    return data


def _mapping(data: Any) -> dict[str, Any]:
    return data if isinstance(data, dict) else {}
