"""Every key of every construct in at least three wrong spellings, each told at its place in words that help.

A key takes one kind of value; a kind can be got wrong in the same ways wherever it stands. Names that mean nothing and
keys that do not go together are the matter of the other tests of the book.
"""

# ruff: noqa: E501 - a row of a table stays one line

import pytest

from schemas.book import parse_book
from schemas.book_keys import MEANINGS
from schemas.errors import BookError

BOOK = {
    "sources": "{s: {topic: t, format: json, id: i, type: type, time: at}}",
    "defaults": "{timezone: UTC, key: k}",
    "calendars": "{office: {}}",
    "promises": "[{id: p, when: {event: a}, due: {within: 4h}, expect: {event: b}}]",
}
VALUE = "<value>"

TEXT = [("5", 0, "found 5, expected text (put it in quotes)"), ("[a]", 0, "found a list, expected text"),
        ("''", 0, "found '', expected text")]  # fmt: skip
NAME = [*TEXT[:2], ("{a: b}", 0, "found a mapping, expected text")]
PATH = [*TEXT[:2], ("a..b", 0, "found 'a..b', expected a field, or a path of fields such as scan.id")]
EVENT_PATH = [
    *PATH,
    ("{const: a}", 0, "found a mapping, expected a field: with a constant here all events would be alike"),
]
TYPE_PATH = [*PATH, ("{konst: a}", 0, "found a mapping, expected a field or {const: value}")]
PATHS = [("a", 0, "found 'a', expected a list"), ("[5]", 1, "found 5, expected text (put it in quotes)"),
         ("[a..b]", 1, "found 'a..b', expected a field, or a path of fields such as scan.id")]  # fmt: skip
PATHS_OR_ONE = [("5", 0, "found 5, expected text (put it in quotes)"), *PATHS[1:]]
EVENTS = [("5", 0, "found 5, expected text (put it in quotes)"),
          ("[]", 0, "found an empty list, expected an event or a list of events"),
          ("[x, x]", 0, "found 'x' twice, expected each event once"), ("[[x]]", 1, "found a list, expected text")]  # fmt: skip
SENT = [("x", 0, "found 'x', expected a list"), ("{a: b}", 0, "found a mapping, expected a list"),
        ("[]", 0, "found an empty list, expected the events this source can send")]  # fmt: skip
WHERE = [("[n]", 0, "found a list, expected a mapping"), ("5", 0, "found 5, expected a mapping"),
         ("{n: [1]}", 4, "found a list, expected one value: text, a number, true, false or null"),
         ("{n..m: 1}", 1, "found 'n..m', expected a field, or a path of fields such as scan.id")]  # fmt: skip
CONDITION = [(wrong, 0, f'found {shown}, expected a condition in CEL such as "data.amount > 100"')
             for wrong, shown in (("5", "5"), ("''", "''"), ("[a]", "a list"))]  # fmt: skip
FLAG = [
    (wrong, 0, f"found {shown}, expected true or false")
    for wrong, shown in (("1", "1"), ("yes", "'yes'"), ("[]", "a list"))
]
WHOLE = [("two", 0, "found 'two', expected a whole number"), ("1.5", 0, "found 1.5, expected a whole number"),
         ("'1'", 0, "found '1', expected a whole number")]  # fmt: skip
NUMBER = [("0", 0, "found 0, expected at least 1"), *WHOLE[:2]]
DURATION = [(wrong, 0, f"found {shown}, expected a duration such as 15m, 4h, 1h30m or 2d")
            for wrong, shown in (("4", "4"), ("soon", "'soon'"), ("[1h]", "a list"))]  # fmt: skip
SPAN = [*DURATION, ("-1d", 0, "found a negative duration, expected one of zero or more")]
LIMIT = [(wrong, 0, f"found {shown}, expected a whole number from 1 to 1000000, or never")
         for wrong, shown in (("0", "0"), ("1.5", "1.5"), ("'5'", "'5'"), ("true", "true"), ("off", "'off'"))]  # fmt: skip
SHARE = [(wrong, 0, f"found {shown}, expected a share from 1% to 100%")
         for wrong, shown in (("10", "10"), ("0%", "'0%'"), ("101%", "'101%'"), ("a tenth", "'a tenth'"))]  # fmt: skip
TIME = [(wrong, 0, f'found {shown}, expected a time of day such as "18:00"')
        for wrong, shown in (("18", "18"), ("25:00", "'25:00'"), ("[a]", "a list"))]  # fmt: skip
AT = [(wrong, 0, f'found {shown}, expected end_of_day, closing or a time of day such as "12:00"')
      for wrong, shown in (("18", "18"), ("noon", "'noon'"), ("[closing]", "a list"))]  # fmt: skip
HOURS = [(wrong, 0, f'found {shown}, expected opening hours such as "09:00-17:00", "22:00-06:00" or "00:00-24:00"')
         for wrong, shown in (("9-17", "'9-17'"), ("09:00", "'09:00'"), ("[a]", "a list"))]  # fmt: skip
DATES = [("2026-01-01", 0, "found '2026-01-01', expected a list"), ("[2026]", 1, "found 2026, expected a date such as 2026-04-03"),
         ("[2026-02-30]", 1, "found '2026-02-30', expected a date such as 2026-04-03")]  # fmt: skip
MAPPING = [("a", 0, "found 'a', expected a mapping"), ("[a]", 0, "found a list, expected a mapping"),
           ("5", 0, "found 5, expected a mapping")]  # fmt: skip
MAPPING_OF_NAMES = [(wrong, offset, f"{message} of names") for wrong, offset, message in MAPPING]
UNTIL = [("5", 0, "found 5, expected an event or a mapping"), ("[a]", 0, "found a list, expected an event or a mapping"),
         ("{}", 0, "missing key 'event'")]  # fmt: skip


def one_of(*names: str) -> list[tuple[str, int, str]]:
    """A word out of few."""
    expected = ", ".join(map(repr, names[:-1])) + (" or " if len(names) > 1 else "") + repr(names[-1])
    return [
        (wrong, 0, f"found {shown}, expected {expected}")
        for wrong, shown in (("no-such", "'no-such'"), ("5", "5"), ("[a]", "a list"))
    ]


def in_promise(part: str) -> str:
    return "[{id: p, " + part + "}]"


def source(part: str) -> tuple[str, str]:
    keys = {"topic": "t", "format": "json", "id": "i", "type": "type", "time": "at"}
    keys.pop(part.partition(":")[0], None)
    return "sources", "{s: {" + "".join(f"{key}: {value}, " for key, value in keys.items()) + part + "}}"


def promise(part: str, without: str = "") -> tuple[str, str]:
    parts = {"id": "p", "when": "{event: a}", "due": "{within: 4h}", "expect": "{event: b}"}
    for key in (part.partition(":")[0], *without.split()):
        parts.pop(key, None)
    return "promises", "[{" + "".join(f"{key}: {value}, " for key, value in parts.items()) + part + "}]"


def matches(
    construct: str, inner: str, without: str = ""
) -> dict[str, tuple[tuple[str, str], list[tuple[str, int, str]]]]:
    """The keys that every match has, in a construct written `inner` with `...` for more of it."""

    def put(part: str) -> tuple[str, str]:
        return promise(inner.replace("...", part), without)

    return {
        f"{construct}.event": (put(f"event: {VALUE}"), EVENTS),
        f"{construct}.where": (put(f"event: x, where: {VALUE}"), WHERE),
        f"{construct}.if": (put(f"event: x, if: {VALUE}"), CONDITION),
        f"{construct}.match": (put(f"event: x, match: {VALUE}"), PATHS),
    }


LINES = {
    "BookSpelling.sources": (("sources", VALUE), MAPPING_OF_NAMES),
    "BookSpelling.defaults": (("defaults", VALUE), MAPPING),
    "BookSpelling.calendars": (("calendars", VALUE), MAPPING_OF_NAMES),
    "BookSpelling.promises": (("promises", VALUE), [
        ("{p: 1}", 0, "found a mapping, expected a list of promises"), ("5", 0, "found 5, expected a list of promises"),
        ("[]", 0, "'promises' is empty, expected at least one"),
    ]),
    "SourceSpelling.topic": (source(f"topic: {VALUE}"), [
        (wrong, 0, f"found {shown}, expected a Kafka topic name (letters, digits, '.', '_' and '-', at most 249)")
        for wrong, shown in (("5", "5"), ("a b", "'a b'"), ("[a]", "a list"))
    ]),
    "SourceSpelling.format": (source(f"format: {VALUE}"), [
        (wrong, 0, f"found {shown}, expected json, cloudevents or debezium")
        for wrong, shown in (("xml", "'xml'"), ("5", "5"), ("[json]", "a list"))
    ]),
    "SourceSpelling.id": (source(f"id: {VALUE}"), EVENT_PATH),
    "SourceSpelling.type": (source(f"type: {VALUE}"), TYPE_PATH),
    "SourceSpelling.time": (source(f"time: {VALUE}"), EVENT_PATH),
    "SourceSpelling.data": (source(f"data: {VALUE}"), EVENT_PATH),
    "SourceSpelling.events": (source(f"events: {VALUE}"), SENT),
    "SourceSpelling.settle": (source(f"settle: {VALUE}"), SPAN),
    "SourceSpelling.frontier": (source(f"frontier: {VALUE}"), one_of("clock", "markers")),
    "SourceSpelling.heartbeat": (source(f"heartbeat: {VALUE}"), [
        *SPAN, ("0s", 0, "found 0s, expected how long the source is silent at most"),
    ]),
    "SourceSpelling.doubt": (source(f"doubt: {VALUE}"), MAPPING),
    **{f"DoubtSpelling.{key}": (source(f"doubt: {{{key}: {VALUE}}}"), LIMIT) for key in ("dead_letters", "late")},
    "DoubtSpelling.share": (source(f"doubt: {{share: {VALUE}}}"), SHARE),
    "DoubtSpelling.window": (source(f"doubt: {{window: {VALUE}}}"), [
        *SPAN, ("0", 0, "found 0s, expected how long the source stays in doubt"),
    ]),
    "SourceSpelling.withdraws": (source(f"withdraws: {VALUE}"), EVENT_PATH),
    "DefaultsSpelling.timezone": (("defaults", f"{{key: k, timezone: {VALUE}}}"), NAME),
    "DefaultsSpelling.key": (("defaults", f"{{timezone: UTC, key: {VALUE}}}"), PATH),
    **{f"DefaultsSpelling.{key}": (("defaults", f"{{timezone: UTC, key: k, {key}: {VALUE}}}"), SPAN)
       for key in ("settle", "skew", "retention", "orphan_ttl")},
    "CalendarSpelling.days": (("calendars", f"{{office: {{days: {VALUE}}}}}"), [
        ("mon", 0, "found 'mon', expected a list"), ("[]", 0, "this calendar never opens: found no days, expected at least one"),
        ("[monday]", 1, "found 'monday', expected 'mon', 'tue', 'wed', 'thu', 'fri', 'sat' or 'sun'"),
    ]),
    "CalendarSpelling.hours": (("calendars", f"{{office: {{hours: {VALUE}}}}}"), HOURS),
    "CalendarSpelling.holidays": (("calendars", f"{{office: {{holidays: {VALUE}}}}}"), NAME),
    "CalendarSpelling.add": (("calendars", f"{{office: {{add: {VALUE}}}}}"), DATES),
    "CalendarSpelling.remove": (("calendars", f"{{office: {{remove: {VALUE}}}}}"), DATES),
    "CalendarSpelling.timezone": (("calendars", f"{{office: {{timezone: {VALUE}}}}}"), NAME),
    **matches("MatchSpelling", "release: {...}"),
    **{name: line for name, line in matches("WhenSpelling", "when: {...}").items() if name != "WhenSpelling.match"},
    "WhenSpelling.field": (promise(f"when: {{event: a, enter: [x], field: {VALUE}}}"), PATH),
    "WhenSpelling.enter": (promise(f"when: {{event: a, field: s, enter: {VALUE}}}"), [
        ("x", 0, "found 'x', expected a list"), ("[]", 0, "found an empty list, expected the values that 'field' takes on"),
        ("[[x]]", 1, "found a list, expected one value: text, a number, true, false or null"),
        ("[x, x]", 4, "found 'x' twice, expected each value once"),
    ]),
    "WhenSpelling.breach_of": (promise(f"when: {{breach_of: {VALUE}}}"), NAME),
    "WhenSpelling.again": (promise(f"when: {{event: a, again: {VALUE}}}"), FLAG),
    "DueSpelling.within": (promise(f"due: {{within: {VALUE}}}"), DURATION),
    "DueSpelling.plus": (promise(f"due: {{unit: day, plus: {VALUE}}}"), [*WHOLE, ("-1", 0, "found -1, expected at least 0")]),
    "DueSpelling.unit": (promise(f"due: {{plus: 1, unit: {VALUE}}}"), one_of("day")),
    "DueSpelling.cutoff": (promise(f"due: {{plus: 1, unit: day, of: office, cutoff: {VALUE}}}"), TIME),
    "DueSpelling.of": (promise(f'due: {{plus: 1, unit: day, cutoff: "18:00", of: {VALUE}}}'), NAME),
    "DueSpelling.calendar": (promise(f"due: {{within: 4h, calendar: {VALUE}}}"), NAME),
    "DueSpelling.at": (promise(f"due: {{plus: 1, unit: day, at: {VALUE}}}"), AT),
    "DueSpelling.field": (promise(f"due: {{field: {VALUE}}}"), PATH),
    "DueSpelling.offset": (promise(f"due: {{field: f, offset: {VALUE}}}"), DURATION),
    **matches("ExpectSpelling", "expect: {...}"),
    "ExpectSpelling.count": (promise(f"expect: {{event: b, count: {VALUE}}}"), NUMBER),
    "ExpectSpelling.distinct": (promise(f"expect: {{event: b, count: 2, distinct: {VALUE}}}"), PATH),
    "ExpectSpelling.early": (promise(f"expect: {{event: b, early: {VALUE}}}"), FLAG),
    "ExpectSpelling.shared": (promise(f"expect: {{event: b, shared: {VALUE}}}"), FLAG),
    "ExpectSpelling.leave": (promise(f"expect: {{leave: {VALUE}}}"), PATH),
    "ExpectSpelling.holds": (promise(f"expect: {{holds: {VALUE}, from: {{x: a}}}}"), CONDITION),
    "ExpectSpelling.from": (promise(f"expect: {{holds: x.n == 1, from: {VALUE}}}"), [
        ("[a]", 0, "found a list, expected a mapping"), ("a", 0, "found 'a', expected a mapping"),
        ("{}", 0, "found an empty mapping, expected names and the events they stand for"),
        ("{x: [a]}", 4, "found a list, expected text"),
    ]),
    **matches("ForbidSpelling", "forbid: {...}", "expect"),
    "ForbidSpelling.count": (promise(f"forbid: {{event: x, count: {VALUE}}}", "expect"), NUMBER),
    **matches("PauseSpelling", "pause: {until: y, max: 1d, ...}"),
    "PauseSpelling.until": (promise(f"pause: {{event: x, max: 1d, until: {VALUE}}}"), UNTIL),
    "PauseSpelling.max": (promise(f"pause: {{event: x, until: y, max: {VALUE}}}"), [
        *SPAN, ("0s", 0, "found 0s, expected how long the pause may last at most"),
    ]),
    **matches("RepromiseSpelling", "repromise: {field: f, max: 1, ...}"),
    "RepromiseSpelling.field": (promise(f"repromise: {{event: x, max: 1, field: {VALUE}}}"), PATH),
    "RepromiseSpelling.max": (promise(f"repromise: {{event: x, field: f, max: {VALUE}}}"), NUMBER),
    "BreachSpelling.severity": (promise(f"breach: {{severity: {VALUE}}}"), one_of("low", "medium", "high", "critical")),
    "BreachSpelling.audience": (promise(f"breach: {{audience: {VALUE}}}"), [
        ("boss", 0, "found 'boss', expected 'employee', 'customer' or 'operator'"),
        ("[boss]", 1, "found 'boss', expected 'employee', 'customer' or 'operator'"),
        ("[]", 0, "found an empty list, expected whom a breach concerns"),
    ]),
    "BreachSpelling.template": (promise(f"breach: {{template: {VALUE}}}"), TEXT),
    "BreachSpelling.group_by": (promise(f"breach: {{group_by: {VALUE}}}"), PATHS_OR_ONE),
    "BreachSpelling.impact": (promise(f"breach: {{impact: {VALUE}}}"), CONDITION),
    **{f"PromiseSpelling.{key}": (promise(f"{key}: {VALUE}"), TEXT)
       for key in ("id", "title", "owner", "journey", "step")},
    **{f"PromiseSpelling.{key}": (promise(f"{key}: {VALUE}"), NAME) for key in ("effective_from", "timezone")},
    "PromiseSpelling.version": (promise(f"version: {VALUE}"), NUMBER),
    "PromiseSpelling.key": (promise(f"key: {VALUE}"), PATH),
    "PromiseSpelling.not_before": (promise(f"not_before: {VALUE}"), PATH),
    **{f"PromiseSpelling.{key}": (promise(f"{key}: {VALUE}"), MAPPING)
       for key in ("when", "due", "expect", "release", "pause", "repromise", "breach")},
    "PromiseSpelling.forbid": (promise(f"forbid: {VALUE}", "expect"), MAPPING),
    "PromiseSpelling.until": (promise(f"forbid: {{event: x}}, until: {VALUE}", "expect"), UNTIL),
    "PromiseSpelling.warn": (promise(f"warn: {VALUE}"), [
        ("-6h", 0, "found '-6h', expected a list"), ("[6h]", 1, "found '6h', expected a time before the due: -6h"),
        ("[120%]", 1, "found '120%', expected a share from 1% to 99%"),
        ("[]", 0, "found an empty list, expected when to warn, such as -6h or 80%"),
    ]),
    **{f"PromiseSpelling.{key}": (promise(f"{key}: {VALUE}"), SPAN) for key in ("retention", "orphan_ttl")},
}  # fmt: skip
CASES = [
    (name, place, wrong, offset, message) for name, (place, ways) in LINES.items() for wrong, offset, message in ways
]


def test_every_key_is_here_with_three_wrong_spellings() -> None:
    """A key that is added to the language has to be added here."""
    assert set(LINES) == {f"{construct}.{key}" for construct, keys in MEANINGS.items() for key in keys}
    assert [name for name, (_, ways) in LINES.items() if len(ways) < 3] == []


def test_the_book_that_is_misspelt_is_good() -> None:
    """What is told is the one wrong value and nothing else."""
    assert parse_book("".join(f"{section}: {text}\n" for section, text in BOOK.items())).promises


@pytest.mark.parametrize(
    ("name", "place", "wrong", "offset", "message"), CASES, ids=[f"{name}: {wrong}" for name, _, wrong, _, _ in CASES]
)
def test_a_misspelt_value_is_told_at_its_place(
    name: str, place: tuple[str, str], wrong: str, offset: int, message: str
) -> None:
    """Exactly one problem, with the line and column at which a person would look."""
    section, text = place
    column = len(f"{section}: {text.partition(VALUE)[0]}") + 1 + offset
    lines = {**BOOK, section: text.replace(VALUE, wrong)}
    with pytest.raises(BookError) as refusal:
        parse_book("".join(f"{section}: {text}\n" for section, text in lines.items()), "b")
    assert name.partition(".")[0] in MEANINGS
    line = list(lines).index(section) + 1
    assert [str(problem) for problem in refusal.value.problems] == [f"b:{line}:{column}: {message}"]
