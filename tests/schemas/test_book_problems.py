"""Wrong books: every problem at once, each at its place, in words that say what was found and what was expected."""

# ruff: noqa: E501 - a row of a table stays one line

import pytest

from schemas.book import parse_book
from schemas.errors import BookError

GOOD = """\
sources:
  shop:
    topic: shop.events
    format: json
    id: event_id
    type: type
    time: at
    events: [order.placed, parcel.delivered, order.cancelled]
defaults: {timezone: Europe/Amsterdam, key: order_id}
calendars:
  office: {days: [mon, tue], hours: "09:00-17:00", holidays: NL}
promises:
- id: p
  when: {event: order.placed}
  due: {within: 4h}
  expect: {event: parcel.delivered}
"""

PROMISE_KEYS = (
    "id, version, effective_from, title, owner, journey, step, key, timezone, when, due, expect, forbid, until, "
    "not_before, pause, release, repromise, warn, retention, orphan_ttl, breach"
)
DUE_KEYS = "within, plus, unit, cutoff, of, calendar, at, field, offset"
DURATION = "expected a duration such as 15m, 4h, 1h30m or 2d"
TEXT_FOR_HOURS = 'expected opening hours such as "09:00-17:00", "22:00-06:00" or "00:00-24:00"'


def problems_of(text):
    with pytest.raises(BookError) as refusal:
        parse_book(text, "book.yaml")
    return [str(problem).removeprefix("book.yaml:") for problem in refusal.value.problems]


def changed(old, new):
    assert old in GOOD
    return GOOD.replace(old, new, 1)


def test_the_good_book_is_good():
    """The base of the other cases has no problem of its own, nor has it with events that need no paths."""
    assert parse_book(GOOD).promises
    paths = "format: json\n    id: event_id\n    type: type\n    time: at\n"
    assert parse_book(changed(paths, "format: cloudevents\n")).promises


def test_what_paths_a_source_needs_is_told_with_all_that_is_wrong_about_it():
    """Also where another key of the same source is misspelt."""
    assert problems_of(changed("topic: shop.events\n    format: json\n    id: event_id\n    type: type\n", "topic: 5\n    format: json\n")) == [
        "3:5: missing key 'id'", "3:5: missing key 'type'",
        "3:12: found 5, expected a Kafka topic name (letters, digits, '.', '_' and '-', at most 249)",
    ]  # fmt: skip
    assert len(problems_of(changed("format: json", "format: cloudevents"))) == 3


WHEN, DUE, EXPECT = "{event: order.placed}", "{within: 4h}", "{event: parcel.delivered}"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        # the source
        ("topic: shop.events", "topic: shop events", "3:12: found 'shop events', expected a Kafka topic name (letters, digits, '.', '_' and '-', at most 249)"),
        ("topic: shop.events", "topic: 5", "3:12: found 5, expected a Kafka topic name (letters, digits, '.', '_' and '-', at most 249)"),
        ("    topic: shop.events\n", "", "3:5: missing key 'topic'"),
        ("format: json", "format: xml", "4:13: found 'xml', expected json, cloudevents or debezium"),
        ("format: json\n    id: event_id\n    type: type\n    time: at\n", "format: cloudevents\n    id: event_id\n", "5:5: 'id' does not go with format cloudevents: the id is its attribute 'id'"),
        ("format: json\n    id: event_id\n    type: type\n    time: at\n", "format: cloudevents\n    type: type\n", "5:5: 'type' does not go with format cloudevents: the type is its attribute 'type'"),
        ("format: json\n    id: event_id\n    type: type\n    time: at\n", "format: cloudevents\n    time: at\n", "5:5: 'time' does not go with format cloudevents: the time is its attribute 'time'"),
        ("format: json\n    id: event_id\n    type: type\n    time: at\n", "format: cloudevents\n    data: data\n", "5:5: 'data' does not go with format cloudevents: the payload is its data"),
        ("format: json\n    id: event_id\n    type: type\n    time: at\n", "format: cloudevents\n    frontier: marker\n", "5:15: found 'marker', expected 'clock' or 'markers'; did you mean 'markers'?"),
        ("id: event_id", "id: scan..id", "5:9: found 'scan..id', expected a field, or a path of fields such as scan.id"),
        ("id: event_id", "id: 7", "5:9: found 7, expected text (put it in quotes)"),
        ("id: event_id", "id: {const: x}", "5:9: found a mapping, expected a field: with a constant here all events would be alike"),
        ("type: type", "type: {konst: x}", "6:11: found a mapping, expected a field or {const: value}"),
        ("type: type", "type: {const: x, path: y}", "6:11: found a mapping, expected a field or {const: value}"),
        ("time: at", "time: [at]", "7:11: found a list, expected text"),
        ("    time: at\n", "", "3:5: missing key 'time'"),
        ("time: at\n", "time: at\n    frontier: markers\n    heartbeat: 30m\n", "9:5: 'heartbeat' does not go with frontier markers: such a source is complete as far as they say"),
        ("time: at\n", "time: at\n    doubt: {late: 3, letters: 4}\n", "8:22: unknown key 'letters'; expected one of dead_letters, late, share, window; did you mean 'dead_letters'?"),
        ("events: [order.placed, parcel.delivered, order.cancelled]", "events: order.placed", "8:13: found 'order.placed', expected a list"),
        ("events: [order.placed, parcel.delivered, order.cancelled]", "events: []", "8:13: found an empty list, expected the events this source can send"),
        ("time: at\n", "time: at\n    frontier: marker\n", "8:15: found 'marker', expected 'clock' or 'markers'; did you mean 'markers'?"),
        ("time: at\n", "time: at\n    settle: 2\n", f"8:13: found 2, {DURATION}"),
        ("time: at\n", "time: at\n    settle: -2m\n", "8:13: found a negative duration, expected one of zero or more"),
        ("time: at\n", "time: at\n    topik: x\n", "8:5: unknown key 'topik'; expected one of topic, format, id, type, time, data, events, settle, frontier, heartbeat, doubt, withdraws; did you mean 'topic'?"),
        # defaults
        ("timezone: Europe/Amsterdam", "timezone: Europe/Amsterdm", "9:22: unknown time zone 'Europe/Amsterdm', expected an IANA name such as Europe/Amsterdam; did you mean 'Europe/Amsterdam'?"),
        ("timezone: Europe/Amsterdam", "timezone: localtime", "9:22: unknown time zone 'localtime', expected an IANA name such as Europe/Amsterdam"),
        ("timezone: Europe/Amsterdam, ", "", "13:3: promise 'p' has no time zone: expected 'timezone' here or in defaults"),
        (", key: order_id}", "}", "13:3: promise 'p' has no key: expected 'key' here or in defaults"),
        ("key: order_id}", "key: order_id, retention: 1 year}", f"9:66: found '1 year', {DURATION}"),
        ("key: order_id}", "key: order_id, skew: 1.5h}", f"9:61: found '1.5h', {DURATION}"),
        ("key: order_id}", "key: order_id, orphan_tll: 1d}", "9:55: unknown key 'orphan_tll'; expected one of timezone, key, settle, skew, retention, orphan_ttl; did you mean 'orphan_ttl'?"),
        ("{timezone: Europe/Amsterdam, key: order_id}", "[UTC]", "9:11: found a list, expected a mapping"),
        # calendars
        ("[mon, tue]", "[mon, tues]", "11:24: found 'tues', expected 'mon', 'tue', 'wed', 'thu', 'fri', 'sat' or 'sun'; did you mean 'tue'?"),
        ("[mon, tue]", "[]", "11:18: this calendar never opens: found no days, expected at least one"),
        ("[mon, tue]", "mon-fri", "11:18: found 'mon-fri', expected a list"),
        ('"09:00-17:00"', "9-17", f"11:37: found '9-17', {TEXT_FOR_HOURS}"),
        ('"09:00-17:00"', "09:00-24:30", f"11:37: found '09:00-24:30', {TEXT_FOR_HOURS}"),
        ('"09:00-17:00"', "09:00-09:00", "11:37: found '09:00-09:00', expected opening hours that are not empty (all day is 00:00-24:00)"),
        ("holidays: NL", "holidays: XX", "11:62: unknown country 'XX', expected an ISO 3166 code such as NL or DE-BY"),
        ("holidays: NL", "holidays: NL-ZH", "11:62: unknown part 'ZH' of NL, expected one of: Midden, Noord, Zuid"),
        ("holidays: NL", "holidays: false", "11:62: found false, expected text (put it in quotes)"),
        ("holidays: NL", "add: [2026-02-30]", "11:58: found '2026-02-30', expected a date such as 2026-04-03"),
        ("holidays: NL", "add: 2026-02-03", "11:57: found '2026-02-03', expected a list"),
        ("holidays: NL", "add: [2026-02-03], remove: [2026-02-03]", "11:80: 2026-02-03 is both added and removed"),
        ("holidays: NL", "timezone: Mars/Olympus", "11:62: unknown time zone 'Mars/Olympus', expected an IANA name such as Europe/Amsterdam"),
        ("holidays: NL", "closed: [sun]", "11:52: unknown key 'closed'; expected one of days, hours, holidays, add, remove, timezone; a newer promisewatch may know it"),
        # identity
        ("- id: p\n", "- id: ''\n", "13:7: found '', expected text"),
        ("- id: p\n", "- id: 12\n", "13:7: found 12, expected text (put it in quotes)"),
        ("- id: p\n  when", "- when", "13:3: missing key 'id'"),
        ("- id: p\n", "- id: p\n  version: 0\n", "14:12: found 0, expected at least 1"),
        ("- id: p\n", "- id: p\n  version: '2'\n", "14:12: found '2', expected a whole number"),
        ("- id: p\n", "- id: p\n  version: 1.5\n", "14:12: found 1.5, expected a whole number"),
        ("- id: p\n", "- id: p\n  effective_from: soon\n", "14:19: found 'soon', expected an RFC 3339 instant such as 2026-04-24T17:59:59+02:00"),
        ("- id: p\n", "- id: p\n  effective_from: 2026-02-30\n", "14:19: found '2026-02-30', expected an RFC 3339 instant such as 2026-04-24T17:59:59+02:00"),
        ("- id: p\n", "- id: p\n  effective_from: 2026\n", "14:19: found 2026, expected text (put it in quotes)"),
        ("- id: p\n", "- id: p\n  timezone: Mars/Olympus\n", "14:13: unknown time zone 'Mars/Olympus', expected an IANA name such as Europe/Amsterdam"),
        ("- id: p\n", "- id: p\n  title:\n", "14:3: found nothing, expected a value"),
        ("- id: p\n", "- id: p\n  release:\n", "14:3: found nothing, expected a value"),
        ("- id: p\n", "- id: p\n  tittle: x\n", f"14:3: unknown key 'tittle'; expected one of {PROMISE_KEYS}; did you mean 'title'?"),
        ("- id: p\n", "- id: p\n  where: {a: b}\n", f"14:3: unknown key 'where'; expected one of {PROMISE_KEYS}; it belongs under 'when' or 'expect' or 'forbid' or 'until' or 'pause' or 'release' or 'repromise'"),
        # when, expect, release
        (WHEN, "order.placed", "14:9: found 'order.placed', expected a mapping"),
        (WHEN, "{}", "14:9: found none, expected exactly one of 'event' and 'breach_of'"),
        (WHEN, "{event: [order.placed, x]}", "14:32: unknown event (no source can send it) 'x', expected one of: order.cancelled, order.placed, parcel.delivered"),
        (WHEN, "{event: order.placd}", "14:17: unknown event (no source can send it) 'order.placd', expected one of: order.cancelled, order.placed, parcel.delivered; did you mean 'order.placed'?"),
        (WHEN, "{event: order.placed, where: {a: [1, 2]}}", "14:42: found a list, expected one value: text, a number, true, false or null"),
        (WHEN, "{event: order.placed, where: {a: {b: 1}}}", "14:42: found a mapping, expected one value: text, a number, true, false or null"),
        (WHEN, "{event: order.placed, where: {a..b: 1}}", "14:39: found 'a..b', expected a field, or a path of fields such as scan.id"),
        (WHEN, "{event: order.placed, where: [a]}", "14:38: found a list, expected a mapping"),
        (WHEN, "{event: order.placed, where: {a: .nan}}", "14:42: found nan, expected one value: text, a number, true, false or null"),
        (WHEN, "{event: order.placed, were: {a: 1}}", "14:31: unknown key 'were'; expected one of event, where, if, field, enter, breach_of, again; did you mean 'where'?"),
        (EXPECT, "{event: parcel.delivered, early: yes}", "16:44: found 'yes', expected true or false"),
        (EXPECT, "{event: parcel.delivered, early: 1}", "16:44: found 1, expected true or false"),
        ("  expect: {event: parcel.delivered}\n", "", "13:3: missing key 'expect' or 'forbid'"),
        (EXPECT, "{event: x}", "16:19: unknown event (no source can send it) 'x', expected one of: order.cancelled, order.placed, parcel.delivered"),
        ("- id: p\n", "- id: p\n  release: {event: order.canceled}\n", "14:20: unknown event (no source can send it) 'order.canceled', expected one of: order.cancelled, order.placed, parcel.delivered; did you mean 'order.cancelled'?"),
        ("- id: p\n", "- id: p\n  release: {where: {a: 1}}\n", "14:12: missing key 'event'"),
        ("- id: p\n", "- id: p\n  breach: {severity: urgent}\n", "14:22: found 'urgent', expected 'low', 'medium', 'high' or 'critical'"),
        ("- id: p\n", "- id: p\n  breach: high\n", "14:11: found 'high', expected a mapping"),
        # due
        (DUE, "{}", "15:8: found none, expected exactly one of 'within', 'plus' and 'field'"),
        (DUE, "4h", "15:8: found '4h', expected a mapping"),
        (DUE, "{within: 4hours}", f"15:17: found '4hours', {DURATION}"),
        (DUE, "{within: 4}", f"15:17: found 4, {DURATION}"),
        (DUE, "{within: -3d}", "15:17: a due before the opening needs 'early: true' under expect"),
        (DUE, "{within: 4h, plus: 1, unit: day}", "15:8: found 'within' and 'plus', expected exactly one of 'within', 'plus' and 'field'"),
        (DUE, "{within: 4h, at: closing}", "15:21: 'at' does not go with 'within'; it belongs to 'plus' or 'field'"),
        (DUE, "{within: 4h, offset: 1h}", "15:21: 'offset' does not go with 'within'; it belongs to 'field'"),
        (DUE, "{within: 4h, calendar: ofice}", "15:31: unknown calendar 'ofice', expected one of: office; did you mean 'office'?"),
        (DUE, "{within: 4h, calendar: [office]}", "15:31: found a list, expected text"),
        (DUE, "{within: 4h, of: office}", "15:21: 'of' does not go with 'within'; it belongs to 'plus'"),
        (DUE, "{plus: 1}", "15:8: missing key 'unit' next to 'plus', expected 'unit: day'"),
        (DUE, "{plus: 1, unit: days}", "15:24: found 'days', expected 'day'"),
        (DUE, "{plus: one, unit: day}", "15:15: found 'one', expected a whole number"),
        (DUE, "{plus: -1, unit: day}", "15:15: found -1, expected at least 0"),
        (DUE, "{plus: 1, unit: day, calendar: ofice}", "15:39: unknown calendar 'ofice', expected one of: office; did you mean 'office'?"),
        (DUE, '{plus: 1, unit: day, cutoff: "18:00"}', "15:29: 'cutoff' needs 'of', the calendar of the days it applies to"),
        (DUE, "{plus: 1, unit: day, of: office}", "15:29: 'of' needs 'cutoff', the time from which the next day counts"),
        (DUE, "{plus: 1, unit: day, cutoff: 18, of: office}", '15:37: found 18, expected a time of day such as "18:00"'),
        (DUE, "{plus: 1, unit: day, cutoff: 25:00, of: office}", "15:37: found '25:00', expected a time of day such as \"18:00\""),
        (DUE, "{plus: 1, unit: day, at: noon}", "15:33: found 'noon', expected end_of_day, closing or a time of day such as \"12:00\""),
        (DUE, "{plus: 1, unit: day, at: closing}", "15:33: closing needs 'calendar', whose closing time is meant"),
        (DUE, "{field: slot_end, at: closing}", "15:30: closing needs a calendar, and 'field' takes none; expected end_of_day or a time"),
        (DUE, "{field: slot_end, offset: soon}", f"15:34: found 'soon', {DURATION}"),
        (DUE, "{field: .slot}", "15:16: found '.slot', expected a field, or a path of fields such as scan.id"),
        (DUE, "{field: slot_end, calendar: office}", "15:26: 'calendar' does not go with 'field'; it belongs to 'within' or 'plus'"),
        (DUE, "{withn: 4h}", f"15:9: unknown key 'withn'; expected one of {DUE_KEYS}; did you mean 'within'?"),
        # the file
        ("calendars:", "kalendars:", "10:1: unknown key 'kalendars'; expected one of sources, defaults, calendars, promises; did you mean 'calendars'?"),
        ("promises:\n- id: p\n", "promises:\n  id: p\n", "13:3: found a mapping, expected a list of promises"),
        ("  due: {within: 4h}\n", "  due: {within: 4h}\n  due: {within: 5h}\n", "16:3: duplicate key 'due'; it is already given in line 15"),
        (DUE, "{within: 4h", "16:9: not valid YAML: while parsing a flow mapping; expected ',' or '}', but got ':'"),
    ],
)  # fmt: skip
def test_a_wrong_spelling_is_told_at_its_place(old, new, expected):
    """One change to a good book gives exactly one problem, at the line and column a person would look at."""
    assert problems_of(changed(old, new)) == [expected]


def test_promises_and_sources_may_differ_in_what_they_are_about():
    """A company has orders and cases, a shop and an ERP: one book says what it promised."""
    other = (
        "- {id: q, key: case_id, when: {event: order.placed}, due: {within: 1h}, expect: {event: parcel.delivered}}\n"
    )
    two = GOOD.replace("defaults:", "  erp: {topic: t, format: json, id: i, type: t, time: a}\ndefaults:")
    book = parse_book(two + other)
    assert list(book.sources) == ["shop", "erp"]
    assert [promise.key for promise in book.promises] == ["order_id", "case_id"]


def test_all_problems_are_told_at_once_in_the_order_of_the_file():
    """A bad duration hides neither the unknown calendar next to it nor the bad promise after it."""
    text = """\
sources: {s: {topic: a b, format: json, id: i, type: t, time: at}}
defaults: {timezone: UTC, key: k, settle: x}
calendars: {c: {days: [someday], timezone: Nowhere}}
promises:
- {id: p, when: {event: a}, due: {plus: x, unit: day, calendar: d}, expect: {event: b}, warn: [6h], timezone: No}
- {id: q, due: {within: -4h}, expect: {event: b}, when: {event: [a, 5], if: data.n}}
- nothing
"""
    assert problems_of(text) == [
        "1:22: found 'a b', expected a Kafka topic name (letters, digits, '.', '_' and '-', at most 249)",
        "2:43: found 'x', expected a duration such as 15m, 4h, 1h30m or 2d",
        "3:24: found 'someday', expected 'mon', 'tue', 'wed', 'thu', 'fri', 'sat' or 'sun'",
        "3:44: unknown time zone 'Nowhere', expected an IANA name such as Europe/Amsterdam",
        "5:41: found 'x', expected a whole number",
        "5:65: unknown calendar 'd', expected one of: c",
        "5:96: found '6h', expected a time before the due: -6h",
        "5:111: unknown time zone 'No', expected an IANA name such as Europe/Amsterdam",
        "6:69: found 5, expected text (put it in quotes)",
        "6:77: found a condition that gives whatever the field holds, expected true or false; compare it: data.x == true",
        "7:3: found 'nothing', expected a mapping",
    ]


def test_the_same_promise_and_version_twice_is_refused():
    """The second one is pointed at, and the first one named."""
    text = GOOD + "- {id: p, when: {event: order.placed}, due: {within: 1h}, expect: {event: parcel.delivered}}\n"
    assert problems_of(text) == ["17:8: promise 'p' version 1 is already defined in line 13"]


@pytest.mark.parametrize(
    ("start", "place", "same"),
    [
        ("", "17:3", "no 'effective_from' either"),
        (", effective_from: 2026-01-01", "18:39", "the same 'effective_from'"),
    ],
)
def test_two_versions_that_start_together_are_refused(start, place, same):
    """Which version a promise opened under must never be a toss-up."""
    rest = "when: {event: order.placed}, due: {within: 1h}, expect: {event: parcel.delivered}}\n"
    text = GOOD
    if start:
        text += f"- {{id: p, version: 2{start}, {rest}"
    text += f"- {{id: p, version: 3{start}, {rest}"
    first = 17 if start else 13
    message = f"version 3 of 'p': the version in line {first} has {same}; which one applies would be undecided"
    assert problems_of(text) == [f"{place}: {message}"]


def test_a_calendar_closed_for_more_than_a_year_is_refused():
    """Its promises would never come due; the search for an open day is bounded."""
    days = ", ".join(
        f"{year}-{month:02d}-{day:02d}" for year in (2026, 2027) for month in range(1, 13) for day in range(1, 29)
    )
    text = changed("days: [mon, tue]", "days: [mon]").replace("holidays: NL", f"add: [{days}]")
    assert parse_book(text)  # some Mondays fall on the 29th, 30th or 31st
    days += "".join(
        f", {year}-{month:02d}-{day}"
        for year in (2026, 2027)
        for month in (1, 3, 5, 7, 8, 10, 12)
        for day in (29, 30, 31)
    )
    days += "".join(
        f", {year}-{month:02d}-{day}" for year in (2026, 2027) for month in (4, 6, 9, 11) for day in (29, 30)
    )
    text = changed("days: [mon, tue]", "days: [mon]").replace("holidays: NL", f"add: [{days}]")
    assert problems_of(text) == ["11:52: this calendar does not open for 400 days from 2026-01-01"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1: the book is empty; expected sources, defaults, calendars and promises"),
        ("# only a comment\n", "1:1: the book is empty; expected sources, defaults, calendars and promises"),
        ("- a\n", "1:1: found a list, expected a mapping with sources, defaults, calendars and promises"),
        ("promises\n", "1:1: found 'promises', expected a mapping with sources, defaults, calendars and promises"),
        ("~\n", "1:1: found nothing, expected a promise book"),
        ("a: [1\n", "2:1: not valid YAML: while parsing a flow sequence; expected ',' or ']', but got '<stream end>'"),
        (
            "a: b\n---\nc: d\n",
            "2:1: not valid YAML: expected a single document in the stream; but found another document",
        ),
        (
            "\ta: b\n",
            "1:1: not valid YAML: while scanning for the next token; found character '\\t' that cannot start any token",
        ),
        ("a: *b\n", "1:4: not valid YAML: found undefined alias 'b'"),
        ("a: b\nc: \x01\n", "2:4: not valid YAML: found the character '\\x01'"),
        ("a: !!int x\n", "1:4: found 'x', expected a value of type int"),
        ('a: "\\ud801"\n', "1:4: found '\\ud801', expected text without half a surrogate pair"),
        ('"\\ud801": a\n', "1:1: found '\\ud801', expected text without half a surrogate pair"),
        ("? [a]\n: b\n", "1:3: found a key that is not a word"),
        ("a: &b [*b]\n", "1:4: more than 200000 values or 50 levels in one book"),
    ],
)
def test_what_is_not_a_book_at_all_is_told_at_its_first_place(text, expected):
    """Broken YAML is pointed at, never a traceback."""
    assert expected in problems_of(text)


def test_sources_and_promises_are_required():
    """A book without them would watch nothing and say so nowhere."""
    assert problems_of("defaults: {timezone: UTC}\n") == ["1:1: missing key 'promises'", "1:1: missing key 'sources'"]
    assert problems_of("sources: {}\npromises: []\n") == [
        "1:10: 'sources' is empty, expected at least one",
        "2:11: 'promises' is empty, expected at least one",
    ]


def test_deep_nesting_and_alias_bombs_are_refused_quickly():
    """A book is read by services: it must not be able to stop one."""
    bomb = "a: &a [x, x]\n" + "".join(
        f"{name}: &{name} [*{before}, *{before}]\n"
        for before, name in zip("abcdefghijklmnopqrst", "bcdefghijklmnopqrstu", strict=True)
    )
    assert any("more than 200000 values" in problem for problem in problems_of(bomb))
    assert problems_of("a: " + "[" * 600 + "]" * 600)[0].startswith("1:1: not valid YAML: more than 50 levels")
