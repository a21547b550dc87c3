"""Instants and durations at the boundary: RFC 3339 text to UTC milliseconds and back.

An instant is an int, milliseconds since 1970-01-01T00:00:00Z; finer input is truncated. The three pieces of an RFC 3339
text (`2026-04-24T17`, `:59:59`, `.123+02:00`) are valid or not independently of each other, so each is worked out once
and remembered: parsing the next event costs three slices and three look-ups.
"""

import re
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

DURATION_MS_MAX = 100 * 366 * DAY_MS
"""Longest duration that is taken for meant. Anything longer is a slip of the keyboard, not a promise."""
INSTANT_LENGTH_MAX = 64
"""Characters of an instant, be its seconds ever so fine. A longer text is something else."""
PIECES_REMEMBERED_MAX = 100_000
"""Entries kept per piece of RFC 3339 text (eleven years of hours). Past it, pieces are parsed anew."""

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_EPOCH_NAIVE = datetime(1970, 1, 1)  # noqa: DTZ001 - local times are naive until their zone is known
_LAST_MS = (date(9999, 12, 31).toordinal() - _EPOCH_ORDINAL + 1) * DAY_MS - 1
_FIRST_MS = (date(1, 1, 1).toordinal() - _EPOCH_ORDINAL) * DAY_MS

_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d+)?(Z|z|[+-](?:[01]\d|2[0-3]):[0-5]\d)?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DURATION = re.compile(r"(-)?(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII)
_UNITS_MS = {
    "y": 365 * DAY_MS, "w": 7 * DAY_MS, "d": DAY_MS, "h": HOUR_MS, "m": MINUTE_MS, "s": SECOND_MS, "ms": 1,
}  # fmt: skip

_hours: dict[str, int] = {}
_seconds: dict[str, int] = {}
_tails: dict[str, int] = {}
_DIGITS = "0123456789"
_minute_texts: dict[int, str] = {}
_SECOND_TEXTS = [f"{second:02d}." for second in range(60)]
_MILLISECOND_TEXTS = [f"{millisecond:03d}Z" for millisecond in range(1000)]


def parse_instant(text: str, zone: ZoneInfo | None) -> int:
    """UTC milliseconds of an RFC 3339 date-time.

    Without an offset the text is local time in `zone`: a time that does not exist there (clocks going forward) moves
    forward, an ambiguous one is the earlier. Raises ValueError that says what was found and what was expected.
    """
    try:
        return _hours[text[:13]] + _seconds[text[13:19]] + _tails[text[19:]]
    except KeyError:
        return _parse_long(text, zone)


def parse_date(text: str) -> date | None:
    """The day, if `text` is a date alone (`2026-04-24`); None if it is anything else."""
    if len(text) != 10 or not _DATE.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def local_to_ms(local: datetime, zone: ZoneInfo) -> int:
    """UTC milliseconds of a naive local time; non-existent moves forward, ambiguous is the earlier."""
    # fold=0 gives exactly that: inside a gap the offset before it, inside an overlap the first of the two.
    offset = local.replace(tzinfo=zone, fold=0).utcoffset()
    assert offset is not None
    return (local - _EPOCH_NAIVE - offset) // timedelta(milliseconds=1)  # `local - offset` may lie before the year 1


def format_instant(ms: int) -> str:
    """RFC 3339 in UTC with milliseconds, `2026-04-24T15:59:59.000Z`.

    RFC 3339 ends with the year 9999 and starts with the year 1: what lies beyond is written as the nearest it can say.
    """
    minute, rest = divmod(ms, MINUTE_MS)
    seconds, milliseconds = divmod(rest, SECOND_MS)
    try:
        return _minute_texts[minute] + _SECOND_TEXTS[seconds] + _MILLISECOND_TEXTS[milliseconds]
    except KeyError:
        return _format_anew(ms)


def parse_duration(text: str) -> int:
    """Milliseconds of a duration as Prometheus and Kubernetes write it: `15m`, `1h30m`, `2d`, `-3d`, `500ms`.

    Units y (365 days), w, d, h, m, s, ms, the largest first, each once; a day is 24 hours. Raises ValueError.
    """
    found = _DURATION.fullmatch(text)
    if text == "0":
        return 0
    if not found or not any(found.groups()[1:]):
        raise ValueError(f"found {text!r}, expected a duration such as 15m, 4h, 1h30m or 2d")
    total = sum(
        int(count or 0) * unit_ms for count, unit_ms in zip(found.groups()[1:], _UNITS_MS.values(), strict=True)
    )
    if total > DURATION_MS_MAX:
        raise ValueError(f"found {text!r}, expected a duration of at most {format_duration(DURATION_MS_MAX)}")
    return -total if found[1] else total


def format_duration(ms: int) -> str:
    """The shortest spelling in days, hours, minutes, seconds and milliseconds: 5400000 -> `1h30m`, 0 -> `0s`."""
    parts = []
    rest = abs(ms)
    for unit in ("d", "h", "m", "s", "ms"):
        count, rest = divmod(rest, _UNITS_MS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return ("-" if ms < 0 else "") + ("".join(parts) or "0s")


def _parse_long(text: str, zone: ZoneInfo | None) -> int:
    """An instant with a piece not met yet; often only for its microseconds, which are cut off and not remembered."""
    if len(text) > INSTANT_LENGTH_MAX:
        raise ValueError(f"found {text[:40]!r}... ({len(text)} characters), expected an RFC 3339 instant")
    if text[22:23] in _DIGITS:
        try:
            return _hours[text[:13]] + _seconds[text[13:19]] + _tails[text[19:23] + text[23:].lstrip(_DIGITS)]
        except KeyError:
            pass
    return _parse_anew(text, zone)


def _parse_anew(text: str, zone: ZoneInfo | None) -> int:
    found = _INSTANT.fullmatch(text)
    if not found:
        raise ValueError(f"found {text!r}, expected an RFC 3339 instant such as 2026-04-24T17:59:59+02:00")
    day_text, time_text, fraction, offset = found.groups()
    try:
        day_ms = (date.fromisoformat(day_text).toordinal() - _EPOCH_ORDINAL) * DAY_MS
        time_ms = _time_of_day_ms(time_text)
    except ValueError as problem:
        raise ValueError(f"found {text!r}, expected an RFC 3339 instant: {problem}") from None
    leap_second = time_text.endswith(":60")
    # A leap second has no milliseconds of its own: all of it is the last one before.
    fraction_ms = int(fraction[1:4].ljust(3, "0")) if fraction and not leap_second else 0
    if offset is None:
        if zone is None:
            raise ValueError(f"found {text!r}, expected an instant with an offset such as Z or +02:00")
        return local_to_ms(_EPOCH_NAIVE + timedelta(milliseconds=day_ms + time_ms), zone) + fraction_ms
    offset_ms = _offset_ms(offset)
    if not leap_second:
        hour_ms = time_ms // HOUR_MS * HOUR_MS
        _remember(_hours, text[:13], day_ms + hour_ms)
        _remember(_seconds, text[13:19], time_ms - hour_ms)
        _remember(_tails, (fraction or "")[:4] + offset, fraction_ms - offset_ms)
    return day_ms + time_ms + fraction_ms - offset_ms


def _time_of_day_ms(text: str) -> int:
    """Milliseconds since midnight of `HH:MM:SS`; second 60 (a leap second) is the last millisecond of its minute."""
    if text.endswith(":60"):
        return _time_of_day_ms(text[:-2] + "59") + SECOND_MS - 1
    hours, minutes, seconds = int(text[:2]), int(text[3:5]), int(text[6:])
    time(hours, minutes, seconds)  # raises ValueError for 24:00:00 and the like
    return hours * HOUR_MS + minutes * MINUTE_MS + seconds * SECOND_MS


def _offset_ms(text: str) -> int:
    if text in "Zz":
        return 0
    size = int(text[1:3]) * HOUR_MS + int(text[4:6]) * MINUTE_MS
    return -size if text[0] == "-" else size


def _remember(pieces: dict[str, int], text: str, value_ms: int) -> None:
    if len(pieces) < PIECES_REMEMBERED_MAX:
        pieces[text] = value_ms


def _format_anew(ms: int) -> str:
    minute, rest = divmod(min(max(ms, _FIRST_MS), _LAST_MS), MINUTE_MS)
    seconds, milliseconds = divmod(rest, SECOND_MS)
    day, minute_of_day = divmod(minute, 24 * 60)
    hours, minutes = divmod(minute_of_day, 60)
    text = f"{date.fromordinal(day + _EPOCH_ORDINAL).isoformat()}T{hours:02d}:{minutes:02d}:"
    if len(_minute_texts) >= PIECES_REMEMBERED_MAX:
        _minute_texts.clear()  # unlike the pieces of what is read, minutes wander on
    _minute_texts[minute] = text
    return text + _SECOND_TEXTS[seconds] + _MILLISECOND_TEXTS[milliseconds]
