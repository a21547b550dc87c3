"""Whether the well spelled parts of a book fit together. Every check notes its problems; none stops the others."""

from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from schemas import debezium
from schemas.book_conditions import Conditions
from schemas.book_due_checks import check_due
from schemas.book_model import CALENDAR_SEARCH_DAYS_MAX, Const, FieldPath
from schemas.book_names import check_names, effective_ms, holiday_calendars, zone_named
from schemas.book_promise_checks import check_promise
from schemas.book_reach import check_reach
from schemas.book_reading import Spelled
from schemas.book_spelling import ENVELOPE_PATHS, NEEDED_PATHS, CalendarSpelling, PromiseSpelling, SourceSpelling
from schemas.book_text import BookText, Path
from schemas.book_values import WEEKDAYS


def check(text: BookText, spelled: Spelled, conditions: Conditions) -> None:
    """Note every contradiction between parts of the book in `text`."""
    check_names(text)
    _check_sources(text, spelled)
    for name, calendar in spelled.calendars.items():
        _check_calendar(text, ("calendars", name), calendar)
    for index, promise in spelled.promises.items():
        path: Path = ("promises", index)
        check_promise(text, path, promise, conditions)
        check_due(text, path, promise, spelled)
        check_reach(text, path, promise, conditions, promise.key or spelled.defaults.key)
    _check_versions(text, spelled)


def _check_sources(text: BookText, spelled: Spelled) -> None:
    for name, raw in _mappings(text, "sources"):
        _check_paths(text, ("sources", name), raw)
    for name, source in spelled.sources.items():
        if isinstance(source.type, Const) and source.events is not None and source.events != [source.type.value]:
            message = f"every event of this source is {source.type.value!r} (type), but events lists others"
            text.problem(("sources", name, "events"), message)
        if source.format == "debezium":
            _check_change_paths(text, ("sources", name), source)
        if source.withdraws is not None and source.withdraws == source.id:
            message = "found the event's own id, expected the path of the id of an earlier event, which it takes back"
            text.problem(("sources", name, "withdraws"), message)
        if source.heartbeat is not None and source.frontier == "markers":
            message = "'heartbeat' does not go with frontier markers: such a source is complete as far as they say"
            text.problem(("sources", name, "heartbeat"), message, at_key=True)
        if source.events == []:
            text.problem(("sources", name, "events"), "found an empty list, expected the events this source can send")


def _mappings(text: BookText, section: str) -> list[tuple[str, dict[str, Any]]]:
    """Those parts of a section that are mappings at all, by name and as they were read."""
    parts = text.data.get(section) if isinstance(text.data, dict) else None
    found = parts.items() if isinstance(parts, dict) else ()
    return [(name, part) for name, part in found if isinstance(part, dict)]


def _check_change_paths(text: BookText, path: Path, source: SourceSpelling) -> None:
    """A path into a change event begins with a member of its envelope; that of a column with the row."""
    for key in (*ENVELOPE_PATHS, "withdraws"):
        place = getattr(source, key)
        if isinstance(place, FieldPath) and place.parts[0] not in debezium.MEMBERS:
            expected = f"a path that begins with {', '.join(debezium.MEMBERS[:-1])} or {debezium.MEMBERS[-1]}"
            text.problem(
                (*path, key), f"found {place.text!r}, expected {expected}; a column is {debezium.ROW}.{place.text}"
            )


def _check_paths(text: BookText, path: Path, source: dict[str, Any]) -> None:
    """JSON needs the paths that CloudEvents must not and Debezium may have. Told of badly spelled sources too."""
    if source.get("format") == "cloudevents":
        for key in ENVELOPE_PATHS:
            if key in source:
                where = "the payload is its data" if key == "data" else f"the {key} is its attribute {key!r}"
                text.problem((*path, key), f"{key!r} does not go with format cloudevents: {where}", at_key=True)
        return
    for key in NEEDED_PATHS if source.get("format") != "debezium" else ():
        if key not in source:
            text.problem(path, f"missing key {key!r}")


def _check_calendar(text: BookText, path: Path, calendar: CalendarSpelling) -> None:
    for day in sorted(set(calendar.add) & set(calendar.remove)):
        text.problem((*path, "remove", calendar.remove.index(day)), f"{day} is both added and removed")
    if not calendar.days:
        text.problem((*path, "days"), "this calendar never opens: found no days, expected at least one")
        return
    closed_from = _closed_too_long(calendar)
    if closed_from:
        message = f"this calendar does not open for {CALENDAR_SEARCH_DAYS_MAX} days from {closed_from}"
        text.problem((*path, "add"), message)


def _closed_too_long(calendar: CalendarSpelling) -> date | None:
    """The first day of a closed stretch longer than is searched, if the added closing days make one."""
    weekly = len(calendar.days)
    # Public holidays are a handful a year; only a great many added days can close a calendar for over a year.
    if len(calendar.add) * 7 < (CALENDAR_SEARCH_DAYS_MAX // 2) * weekly:
        return None
    import holidays  # noqa: PLC0415 - slow to import, and hardly any book comes here

    closed = set(calendar.add)
    first, last = min(closed), max(closed)
    public: set[date] = set()
    country, _, subdivision = (calendar.holidays or "").partition("-")
    if country in holiday_calendars():
        years = range(first.year, last.year + 2)
        public = set(holidays.country_holidays(country, subdiv=subdivision or None, years=years))
    open_weekdays = {WEEKDAYS.index(name) for name in calendar.days}
    start = first
    for offset in range((last - first).days + 2):
        day = first + timedelta(days=offset)
        if day.weekday() in open_weekdays and day not in closed and day not in public - set(calendar.remove):
            start = day + timedelta(days=1)
        elif (day - start).days >= CALENDAR_SEARCH_DAYS_MAX:
            return start
    return None


def _check_versions(text: BookText, spelled: Spelled) -> None:
    versions: dict[tuple[str, int], int] = {}
    starts: dict[tuple[str, int | None], int] = {}
    for index, promise in spelled.promises.items():
        path: Path = ("promises", index)
        first = versions.setdefault((promise.id, promise.version), index)
        if first != index:
            line = text.places["promises", first][0]
            message = f"promise {promise.id!r} version {promise.version} is already defined in line {line}"
            text.problem((*path, "version") if "version" in promise.model_fields_set else (*path, "id"), message)
            continue
        start = _start_of(promise, spelled)
        other = starts.setdefault((promise.id, start), index)
        if other != index:
            line = text.places["promises", other][0]
            same = "no 'effective_from' either" if start is None else "the same 'effective_from'"
            message = f"version {promise.version} of {promise.id!r}: the version in line {line} has {same}"
            text.problem((*path, "effective_from"), f"{message}; which one applies would be undecided")


def _start_of(promise: PromiseSpelling, spelled: Spelled) -> int | None:
    if promise.effective_from is None:
        return None
    zone = zone_named(promise.timezone or spelled.defaults.timezone or "UTC") or ZoneInfo("UTC")
    try:
        return effective_ms(promise.effective_from, zone)
    except ValueError:
        return -promise.version  # reported already; like no other version's
