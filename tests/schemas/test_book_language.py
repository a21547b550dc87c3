"""Wrong spellings of every construct of the promise language, each told at its place in words that help.

Each row changes parts of a small book; what is expected are all problems it then has, in the order of the file.
"""

# ruff: noqa: E501 - a row of a table stays one line

import pytest

from schemas.book import parse_book
from schemas.errors import BookError

HEAD = """\
sources: {s: {topic: t, format: json, id: i, type: type, time: at, settle: 2m}}
defaults: {timezone: UTC, key: k}
calendars: {office: {}}
promises:
- id: p
"""
PARTS = {"when": "{event: a}", "due": "{within: 4h}", "expect": "{event: b}"}


def written(parts):
    """A book of one promise, a part a line from line 6 on; a part that is None is left out."""
    lines = {key: value for key, value in (PARTS | parts).items() if value is not None}
    return HEAD + "".join(f"  {key}: {value}\n" for key, value in lines.items())


def problems_of(text):
    with pytest.raises(BookError) as refusal:
        parse_book(text, "book.yaml")
    return [str(problem).removeprefix("book.yaml:") for problem in refusal.value.problems]


def test_the_book_that_is_spoiled_is_good():
    """Its parts and those added to it have no problems of their own."""
    assert parse_book(written({})).promises
    assert parse_book(written({"release": "{event: x}", "warn": "[-6h, 50%]"})).promises


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"when": "{event: []}"}, ["6:17: found an empty list, expected an event or a list of events"]),
        ({"when": "{event: [a, a]}"}, ["6:17: found 'a' twice, expected each event once"]),
        ({"when": "{event: [a, [c]]}"}, ["6:21: found a list, expected text"]),
        ({"when": "{event: {a: c}}"}, ["6:17: found a mapping, expected text"]),
        ({"when": "{event: a, if: 5}"}, ['6:24: found 5, expected a condition in CEL such as "data.amount > 100"']),
        ({"when": "{event: a, if: ''}"}, ['6:24: found \'\', expected a condition in CEL such as "data.amount > 100"']),
        ({"when": "{event: a, if: data.x}"}, ["6:24: found a condition that gives whatever the field holds, expected true or false; compare it: data.x == true"]),
        ({"when": "{event: a, if: data.x + 1}"}, ["6:24: found a condition that gives a number, expected true or false"]),
        ({"when": "{event: a, if: opened.x == 1}"}, ["6:24: not valid CEL at character 7: undeclared reference to 'opened.x'; known are data, type, time"]),
        ({"when": "{event: a, if: data.x = 1}"}, ["6:24: not valid CEL at character 10: Syntax error: extraneous input '1' expecting <EOF>", "6:24: not valid CEL at character 8: Syntax error: token recognition error at: '= '"]),
        ({"when": '{event: a, if: \'1 == "a"\'}'}, ["6:24: not valid CEL at character 3: found no matching overload for '_==_' applied to '(int, string)'"]),
        ({"when": "{event: a, if: 'data[type] == 1'}"}, ['6:24: found \'data\' as a whole, expected its fields: data.x, data["x"] or has(data.x)']),
        ({"when": "{event: a, if: 'data == {}'}"}, ['6:24: found \'data\' as a whole, expected its fields: data.x, data["x"] or has(data.x)']),
        ({"when": "{event: a, if: 'true'}"}, ["6:24: found a condition that looks at no event, expected one about data, type, time"]),
        ({"when": "{event: a, enter: [x]}"}, ["6:20: 'enter' needs 'field', the payload field that takes on these values"]),
        ({"when": "{event: a, field: s}"}, ["6:20: 'field' needs 'enter', the values that it takes on"]),
        ({"when": "{event: a, field: s, enter: x}"}, ["6:37: found 'x', expected a list"]),
        ({"when": "{event: a, field: s, enter: []}"}, ["6:37: found an empty list, expected the values that 'field' takes on"]),
        ({"when": "{event: a, field: s, enter: [x, x]}"}, ["6:41: found 'x' twice, expected each value once"]),
        ({"when": "{event: a, field: s, enter: [{x: y}]}"}, ["6:38: found a mapping, expected one value: text, a number, true, false or null"]),
        ({"when": "{event: a, field: s.., enter: [x]}"}, ["6:27: found 's..', expected a field, or a path of fields such as scan.id"]),
        ({"when": "{event: a, again: 1}"}, ["6:27: found 1, expected true or false"]),
        ({"when": "{event: a, again: yes}"}, ["6:27: found 'yes', expected true or false"]),
        ({"when": "{event: a, agian: true}"}, ["6:20: unknown key 'agian'; expected one of event, where, if, field, enter, breach_of, again; did you mean 'again'?"]),
        ({"when": "{event: a, match: [x]}"}, ["6:20: unknown key 'match'; expected one of event, where, if, field, enter, breach_of, again"]),
        ({"when": "{breach_of: q}"}, ["6:21: unknown promise 'q', expected one of: p"]),
        ({"when": "{breach_of: p}"}, ["6:21: found the promise itself, expected another one, whose breach opens this one"]),
        ({"when": "{breach_of: [p]}"}, ["6:21: found a list, expected text"]),
        ({"when": "{event: a, breach_of: q}"}, ["6:9: found 'event' and 'breach_of', expected exactly one of 'event' and 'breach_of'", "6:31: unknown promise 'q', expected one of: p"]),
        ({"when": "{breach_of: q, where: {x: 1}, again: true}"}, ["6:21: unknown promise 'q', expected one of: p", "6:24: 'where' does not go with 'breach_of'; it belongs to 'event'"]),
        ({"when": "{enter: [x]}"}, ["6:9: found none, expected exactly one of 'event' and 'breach_of'"]),
    ],
)  # fmt: skip
def test_a_wrong_spelling_of_an_opening_is_told(parts, expected):
    """What opens a promise: events, a status that is entered, or another promise's breach."""
    assert problems_of(written(parts)) == expected


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"expect": "{}"}, ["8:11: found none, expected exactly one of 'event', 'leave' and 'holds'"]),
        ({"expect": "{early: true}"}, ["8:11: found none, expected exactly one of 'event', 'leave' and 'holds'"]),
        ({"expect": "{event: b, leave: s}"}, ["8:11: found 'event' and 'leave', expected exactly one of 'event', 'leave' and 'holds'"]),
        ({"expect": "{leave: s, holds: x.a == y.a, from: {x: a, y: b}}"}, ["8:11: found 'leave' and 'holds', expected exactly one of 'event', 'leave' and 'holds'"]),
        ({"expect": "{event: b, match: m}"}, ["8:29: found 'm', expected a list"]),
        ({"expect": "{event: b, match: [m..n]}"}, ["8:30: found 'm..n', expected a field, or a path of fields such as scan.id"]),
        ({"expect": "{event: b, match: [m, m]}"}, ["8:33: found 'm' twice, expected it once"]),
        ({"expect": "{event: b, match: []}"}, ["8:29: found an empty list, expected payload fields that equal those of the opening"]),
        ({"expect": "{event: b, count: 0}"}, ["8:29: found 0, expected at least 1"]),
        ({"expect": "{event: b, count: two}"}, ["8:29: found 'two', expected a whole number"]),
        ({"expect": "{event: b, count: 1001}"}, ["8:29: found 1001, expected at most 1000"]),
        ({"expect": "{event: b, count: 1.5}"}, ["8:29: found 1.5, expected a whole number"]),
        ({"expect": "{event: b, distinct: d}"}, ["8:22: 'distinct' needs 'count', how many different values there are to be"]),
        ({"expect": "{event: b, distinct: d, count: 1}"}, ["8:42: found 1, expected at least 2 next to 'distinct': one value is always distinct"]),
        ({"expect": "{event: b, distinct: [d], count: 2}"}, ["8:32: found a list, expected text"]),
        ({"expect": "{event: b, distinct: d., count: 2}"}, ["8:32: found 'd.', expected a field, or a path of fields such as scan.id"]),
        ({"expect": "{event: b, shared: 1}"}, ["8:30: found 1, expected true or false"]),
        ({"expect": "{event: b, shared: always}"}, ["8:30: found 'always', expected true or false"]),
        ({"expect": "{event: b, shraed: true}"}, ["8:22: unknown key 'shraed'; expected one of event, where, if, match, count, distinct, early, shared, leave, holds, from; did you mean 'shared'?"]),
        ({"expect": "{event: b, early: 1h}"}, ["8:29: found '1h', expected true or false"]),
        ({"expect": "{event: b, early: }"}, ["8:22: found nothing, expected true or false"]),
        ({"expect": "{leave: [s]}"}, ["8:19: found a list, expected text"]),
        ({"expect": "{leave: 5}"}, ["8:19: found 5, expected text (put it in quotes)"]),
        ({"expect": "{leave: s, where: {x: 1}}"}, ["8:22: 'where' does not go with 'leave'; it belongs to 'event'"]),
        ({"expect": "{leave: s, count: 2}"}, ["8:22: 'count' does not go with 'leave'; it belongs to 'event'"]),
        ({"expect": "{holds: x.a == y.a}"}, ["8:12: 'holds' needs 'from', the event that each of its names stands for"]),
        ({"expect": "{holds: x.a == y.a, from: {}}"}, ["8:37: found an empty mapping, expected names and the events they stand for"]),
        ({"expect": "{holds: x.a == y.a, from: [a, b]}"}, ["8:37: found a list, expected a mapping"]),
        ({"expect": "{holds: x.a == y.a, from: {x: a}}"}, ["8:19: not valid CEL at character 9: undeclared reference to 'y.a'; known are x"]),
        ({"expect": "{holds: x.a == y.a, from: {x: a, y: b, z: c}}"}, ["8:50: 'z' is not looked at in 'holds'"]),
        ({"expect": "{holds: x.a == y.a, from: {x: a, y: a}}"}, ["8:47: found 'a', which 'x' stands for already"]),
        ({"expect": "{holds: x.a == 1, from: {x: a, y-z: b}}"}, ["8:42: found 'y-z', expected a name of letters, digits and _, for use in the condition"]),
        ({"expect": "{holds: x.a == 1, from: {x: a, in: b}}"}, ["8:42: found 'in', expected a name that is no word of CEL's own"]),
        ({"expect": "{holds: x.a == 1, from: {x: [a, b]}}"}, ["8:39: found a list, expected text"]),
        ({"expect": "{holds: x.a, from: {x: a}}"}, ["8:19: found a condition that gives whatever the field holds, expected true or false; compare it: x.x == true"]),
        ({"expect": "{holds: x == y, from: {x: a, y: b}}"}, ['8:19: found \'x\' as a whole, expected its fields: x.x, x["x"] or has(x.x)', '8:19: found \'y\' as a whole, expected its fields: y.x, y["x"] or has(y.x)']),
        ({"expect": "{holds: [x], from: {x: a}}"}, ['8:19: found a list, expected a condition in CEL such as "data.amount > 100"']),
        ({"expect": "{event: b, from: {x: a}}"}, ["8:22: 'from' does not go with 'event'; it belongs to 'holds'"]),
    ],
)  # fmt: skip
def test_a_wrong_spelling_of_an_expectation_is_told(parts, expected):
    """What keeps a promise: events, a status that is left, or values that agree."""
    assert problems_of(written(parts)) == expected


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"expect": None, "forbid": "x"}, ["8:11: found 'x', expected a mapping"]),
        ({"expect": None, "forbid": "{}"}, ["8:11: missing key 'event'"]),
        ({"expect": None, "forbid": "{event: x, distinct: d}"}, ["8:22: unknown key 'distinct'; expected one of event, where, if, match, count"]),
        ({"expect": None, "forbid": "{event: x, count: 0}"}, ["8:29: found 0, expected at least 1"]),
        ({"expect": None, "forbid": "{event: x, count: third}"}, ["8:29: found 'third', expected a whole number"]),
        ({"expect": None, "forbid": "{event: x, if: data.y >}"}, ["8:26: not valid CEL at character 9: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"]),
        ({"expect": None, "forbid": "{event: x, match: [[m]]}"}, ["8:30: found a list, expected text"]),
        ({"expect": None}, ["5:3: missing key 'expect' or 'forbid'"]),
        ({"forbid": "{event: x}"}, ["9:3: found 'expect' and 'forbid', expected exactly one of them"]),
        ({"until": "x"}, ["9:3: 'until' needs 'forbid', what must not happen until then"]),
        ({"expect": None, "forbid": "{event: x}", "until": "5"}, ["9:10: found 5, expected an event or a mapping"]),
        ({"expect": None, "forbid": "{event: x}", "until": "[y, z]"}, ["9:10: found a list, expected an event or a mapping"]),
        ({"expect": None, "forbid": "{event: x}", "until": "{evnt: y}"}, ["9:10: missing key 'event'", "9:11: unknown key 'evnt'; expected one of event, where, if, match; did you mean 'event'?"]),
        ({"expect": None, "forbid": "{event: x}", "until": "{event: y, if: data.y}"}, ["9:25: found a condition that gives whatever the field holds, expected true or false; compare it: data.x == true"]),
        ({"expect": None, "forbid": "{event: x}", "until": "{event: y, count: 2}"}, ["9:21: unknown key 'count'; expected one of event, where, if, match"]),
        ({"expect": None, "forbid": "{event: x}", "not_before": "slot"}, ["9:3: 'not_before' does not go with 'forbid'; it belongs to 'event' under expect"]),
        ({"expect": None, "forbid": "{event: x}", "warn": "[-1h]"}, ["9:3: 'warn' does not go with 'forbid': the nearer its due, the better it is kept"]),
    ],
)  # fmt: skip
def test_a_wrong_spelling_of_what_is_forbidden_is_told(parts, expected):
    """What must not happen, and until when."""
    assert problems_of(written(parts)) == expected


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"pause": "{event: x}"}, ["9:10: missing key 'max'", "9:10: missing key 'until'"]),
        ({"pause": "{event: x, until: y}"}, ["9:10: missing key 'max'"]),
        ({"pause": "{until: y, max: 1d}"}, ["9:10: missing key 'event'"]),
        ({"pause": "[x, y, 1d]"}, ["9:10: found a list, expected a mapping"]),
        ({"pause": "{event: x, until: [y], max: 1d}"}, ["9:28: found a list, expected an event or a mapping"]),
        ({"pause": "{event: x, until: {where: {n: 1}}, max: 1d}"}, ["9:28: missing key 'event'"]),
        ({"pause": "{event: x, until: {event: y, if: data.n}, max: 1d}"}, ["9:43: found a condition that gives whatever the field holds, expected true or false; compare it: data.x == true"]),
        ({"pause": "{event: x, until: y, max: 0s}"}, ["9:36: found 0s, expected how long the pause may last at most"]),
        ({"pause": "{event: x, until: y, max: 30}"}, ["9:36: found 30, expected a duration such as 15m, 4h, 1h30m or 2d"]),
        ({"pause": "{event: x, until: y, max: -1d}"}, ["9:36: found a negative duration, expected one of zero or more"]),
        ({"pause": "{event: x, until: y, maxi: 1d}"}, ["9:10: missing key 'max'", "9:31: unknown key 'maxi'; expected one of event, where, if, match, until, max; did you mean 'max'?"]),
        ({"due": "{within: -3d}", "expect": "{event: b, early: true}", "pause": "{event: x, until: y, max: 1d}"}, ["9:3: 'pause' does not go with a due before the opening: what is over cannot stand still"]),
    ],
)  # fmt: skip
def test_a_wrong_spelling_of_a_pause_is_told(parts, expected):
    """While the due stands still, and for how long at most."""
    assert problems_of(written(parts)) == expected


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"release": "x"}, ["9:12: found 'x', expected a mapping"]),
        ({"release": "{event: x, if: [data.n]}"}, ['9:27: found a list, expected a condition in CEL such as "data.amount > 100"']),
        ({"release": "{event: x, match: m}"}, ["9:30: found 'm', expected a list"]),
        ({"release": "{event: x, matches: [m]}"}, ["9:23: unknown key 'matches'; expected one of event, where, if, match; did you mean 'match'?"]),
        ({"release": "{event: x, until: y}"}, ["9:23: unknown key 'until'; expected one of event, where, if, match"]),
    ],
)  # fmt: skip
def test_a_wrong_spelling_of_a_release_is_told(parts, expected):
    """What ends a promise without a breach."""
    assert problems_of(written(parts)) == expected


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"repromise": "{event: m}"}, ["9:14: missing key 'field'", "9:14: missing key 'max'"]),
        ({"repromise": "{event: m, field: f}"}, ["9:14: missing key 'max'"]),
        ({"repromise": "{event: m, field: f, max: 0}"}, ["9:40: found 0, expected at least 1"]),
        ({"repromise": "{event: m, field: [f], max: 1}"}, ["9:32: found a list, expected text"]),
        ({"repromise": "{event: m, field: f, max: ever}"}, ["9:40: found 'ever', expected a whole number"]),
        ({"repromise": "{event: m, field: f, max: 1, offset: 1h}"}, ["9:43: unknown key 'offset'; expected one of event, where, if, match, field, max"]),
        ({"repromise": "moved"}, ["9:14: found 'moved', expected a mapping"]),
    ],
)  # fmt: skip
def test_a_wrong_spelling_of_a_repromise_is_told(parts, expected):
    """What sets a new due."""
    assert problems_of(written(parts)) == expected


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"not_before": "[slot]"}, ["9:15: found a list, expected text"]),
        ({"not_before": "5"}, ["9:15: found 5, expected text (put it in quotes)"]),
        ({"not_before": "a..b"}, ["9:15: found 'a..b', expected a field, or a path of fields such as scan.id"]),
        ({"expect": "{leave: s}", "not_before": "slot"}, ["9:3: 'not_before' does not go with 'leave'; it belongs to 'event' under expect"]),
        ({"expect": "{holds: x.a == y.a, from: {x: a, y: b}}", "not_before": "slot"}, ["9:3: 'not_before' does not go with 'holds'; it belongs to 'event' under expect"]),
        ({"due": "{field: slot}", "not_before": "slot"}, ["9:15: can never be kept: 'not_before' is 'slot', and so is the due; nothing lies in between"]),
        ({"due": "{field: slot, offset: -1h}", "not_before": "slot"}, ["9:15: can never be kept: 'not_before' is 'slot', and so is the due; nothing lies in between"]),
    ],
)  # fmt: skip
def test_a_wrong_spelling_of_not_before_is_told(parts, expected):
    """The earliest instant that counts."""
    assert problems_of(written(parts)) == expected


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"warn": "-6h"}, ["9:9: found '-6h', expected a list"]),
        ({"warn": "[6h]"}, ["9:10: found '6h', expected a time before the due: -6h"]),
        ({"warn": "[80]"}, ["9:10: found 80, expected a time before the due such as -6h, or a share such as 80%"]),
        ({"warn": "[0%]"}, ["9:10: found '0%', expected a share from 1% to 99%"]),
        ({"warn": "[100%]"}, ["9:10: found '100%', expected a share from 1% to 99%"]),
        ({"warn": "[80.5%]"}, ["9:10: found '80.5%', expected a time before the due such as -6h, or a share such as 80%"]),
        ({"warn": "[soon]"}, ["9:10: found 'soon', expected a time before the due such as -6h, or a share such as 80%"]),
        ({"warn": "[]"}, ["9:9: found an empty list, expected when to warn, such as -6h or 80%"]),
        ({"warn": "[0s]"}, ["9:10: found '0s', expected a time before the due such as -6h, or a share such as 80%"]),
        ({"warn": "[-1h, -1h]"}, ["9:15: found '-1h', the same instant as '-1h' before it"]),
        ({"warn": "[-1h, -60m]"}, ["9:15: found '-60m', the same instant as '-1h' before it"]),
        ({"warn": "[80%, -1h, 80%]"}, ["9:20: found '80%', the same instant as '80%' before it"]),
        ({"warn": "[-1m]"}, ["9:10: '-1m' warns 1m before the due, but what is known lags by 'settle' (2m): it would come too late"]),
        ({"warn": "[100ms]"}, ["9:10: found '100ms', expected a time before the due: -100ms"]),
        ({"warn": "[-119999ms]"}, ["9:10: '-119999ms' warns 1m59s999ms before the due, but what is known lags by 'settle' (2m): it would come too late"]),
        ({"warn": "[{before: 6h}]"}, ["9:10: found a mapping, expected a time before the due such as -6h, or a share such as 80%"]),
        ({"due": "{within: 10m}", "warn": "[90%, 80%]"}, ["9:10: '90%' warns 1m before the due, but what is known lags by 'settle' (2m): it would come too late"]),
        ({"due": "{within: -3d}", "expect": "{event: b, early: true}", "warn": "[-6h]"}, ["9:3: 'warn' does not go with a due before the opening: there is no time left to warn"]),
    ],
)  # fmt: skip
def test_a_wrong_spelling_of_a_warning_is_told(parts, expected):
    """When a promise is at risk."""
    assert problems_of(written(parts)) == expected


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"breach": "{audience: boss}"}, ["9:22: found 'boss', expected 'employee', 'customer' or 'operator'"]),
        ({"breach": "{audience: []}"}, ["9:22: found an empty list, expected whom a breach concerns"]),
        ({"breach": "{audience: [customer, customer]}"}, ["9:33: found 'customer' twice, expected it once"]),
        ({"breach": "{audience: {to: customer}}"}, ["9:22: found a mapping, expected 'employee', 'customer' or 'operator'"]),
        ({"breach": "{template: 5}"}, ["9:22: found 5, expected text (put it in quotes)"]),
        ({"breach": "{template: ''}"}, ["9:22: found '', expected text"]),
        ({"breach": "{template: [t]}"}, ["9:22: found a list, expected text"]),
        ({"breach": "{group_by: a..b}"}, ["9:22: found 'a..b', expected a field, or a path of fields such as scan.id"]),
        ({"breach": "{group_by: [a, 5]}"}, ["9:26: found 5, expected text (put it in quotes)"]),
        ({"breach": "{group_by: [a, a]}"}, ["9:26: found 'a' twice, expected it once"]),
        ({"breach": "{group_by: []}"}, ["9:22: found an empty list, expected payload fields of the opening"]),
        ({"breach": "{impact: 5}"}, ['9:20: found 5, expected a condition in CEL such as "data.amount > 100"']),
        ({"breach": "{impact: data.}"}, ["9:20: not valid CEL at character 6: Syntax error: no viable alternative at input '.'"]),
        ({"breach": "{impact: data.a > 1}"}, ["9:20: found a condition that gives true or false, expected a number or text"]),
        ({"breach": "{impact: time}"}, ["9:20: found a condition that gives an instant, expected a number or text"]),
        ({"breach": "{impact: '1'}"}, ["9:20: found a condition that looks at no event, expected one about data, opened, type, time"]),
        ({"breach": "{severty: high}"}, ["9:12: unknown key 'severty'; expected one of severity, audience, template, group_by, impact; did you mean 'severity'?"]),
    ],
)  # fmt: skip
def test_a_wrong_spelling_of_what_a_breach_means_is_told(parts, expected):
    """What a breach means to people."""
    assert problems_of(written(parts)) == expected


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"due": "{within: 4h, calendar: ofice}"}, ["7:31: unknown calendar 'ofice', expected one of: office; did you mean 'office'?"]),
        ({"due": "{within: 4h, calendar: true}"}, ["7:31: found true, expected text (put it in quotes)"]),
        ({"due": "{within: 4h, calendar: office, at: closing}"}, ["7:39: 'at' does not go with 'within'; it belongs to 'plus' or 'field'"]),
        ({"due": "{within: -3d}"}, ["7:17: a due before the opening needs 'early: true' under expect"]),
        ({"due": "{within: -3 days}"}, ["7:17: found '-3 days', expected a duration such as 15m, 4h, 1h30m or 2d"]),
        ({"due": '{plus: 0, unit: day, at: "00:00"}'}, ["7:33: a due at the start of the opening's own day lies before it; 'plus: 1' is the day after"]),
        ({"due": "{within: -3d}", "expect": "{event: b, early: false}"}, ["7:17: a due before the opening needs 'early: true' under expect"]),
        ({"due": "{within: -3d}", "expect": None, "forbid": "{event: x}"}, ["7:17: a due before the opening needs 'early: true' under expect"]),
    ],
)  # fmt: skip
def test_a_wrong_spelling_of_a_due_is_told(parts, expected):
    """Working time, and a due before the opening."""
    assert problems_of(written(parts)) == expected


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"when": "{event: a, where: {s: x}, field: s, enter: [y]}"}, ["6:53: can never open with 'y': 'where' demands that 's' is 'x'"]),
        ({"when": "{event: a, where: {s: x}, field: s, enter: [x, y]}"}, ["6:56: can never open with 'y': 'where' demands that 's' is 'x'"]),
        ({"when": "{event: a, where: {s: x}, if: data.s == 'y'}"}, ["6:39: can never open: 'if' is not true of what 'where' demands"]),
        ({"when": "{event: a, where: {n: 1, m: 2}, if: data.n > data.m && type == 'a'}"}, ["6:45: can never open: 'if' is not true of what 'where' demands"]),
        ({"expect": "{event: b, where: {s: x}, if: data.s == 'y'}"}, ["8:41: can never be kept: 'if' is not true of what 'where' demands"]),
        ({"when": "{event: a, where: {m: 1}}", "expect": "{event: b, where: {m: 2}, match: [m]}"}, ["8:45: can never be kept: 'm' is 1 under when, 2 here"]),
        ({"expect": "{event: b, count: 2, distinct: k}"}, ["8:42: can never be kept: 'k' has no different values, it is the key, the same in all events of a promise"]),
        ({"expect": "{event: b, count: 2, distinct: d, where: {d: 1}}"}, ["8:42: can never be kept: 'd' has no different values, 'where' demands one value of it"]),
        ({"expect": "{event: b, count: 2, distinct: d, match: [d]}"}, ["8:42: can never be kept: 'd' has no different values, 'match' demands the value of the opening"]),
        ({"expect": "{event: b, count: 2}", "release": "{event: b}"}, ["9:12: can never be kept: the first event that 'expect' counts releases the promise"]),
        ({"expect": "{event: [a, b]}"}, ["8:11: can never be broken: every event that opens the promise keeps it at once"]),
        ({"expect": "{event: b}", "release": "{event: b}"}, ["9:12: 'release' has no effect: every event that it names keeps the promise already"]),
        ({"expect": "{event: b}", "release": "{event: b, where: {n: 1}}"}, ["9:12: 'release' has no effect: every event that it names keeps the promise already"]),
        ({"expect": "{event: b}", "repromise": "{event: b, field: f, max: 1}"}, ["9:14: 'repromise' has no effect: every event that it names keeps the promise already"]),
        ({"expect": "{event: [b, c]}", "pause": "{event: b, until: d, max: 1d}"}, ["9:10: 'pause' has no effect: every event that it names keeps the promise already"]),
        ({"release": "{event: x}", "repromise": "{event: x, where: {n: 1}, field: f, max: 1}"}, ["10:14: 'repromise' has no effect: every event that it names releases the promise"]),
        ({"release": "{event: [x, y]}", "pause": "{event: x, until: y, max: 1d}"}, ["10:10: 'pause' has no effect: every event that it names releases the promise"]),
        ({"release": "{event: a}"}, ["9:12: can never be broken: every event that opens the promise releases it at once"]),
        ({"release": "{event: x, where: {n: 1}, if: data.n == 2}"}, ["9:42: 'release' has no effect: 'if' is not true of what 'where' demands"]),
        ({"pause": "{event: x, until: {event: y, where: {n: 1}, if: data.n == 2}, max: 1d}"}, ["9:58: 'pause.until' has no effect: 'if' is not true of what 'where' demands"]),
        ({"expect": None, "forbid": "{event: x}", "until": "x"}, ["9:10: can never be broken: every event that 'forbid' names is also an 'until', which comes first"]),
        ({"expect": None, "forbid": "{event: x, where: {n: 1}}", "until": "{event: [x, y]}"}, ["9:10: can never be broken: every event that 'forbid' names is also an 'until', which comes first"]),
        ({"expect": None, "forbid": "{event: x}", "release": "{event: x}"}, ["9:12: can never be broken: every event that 'forbid' names is also a 'release', which comes first"]),
        ({"expect": None, "forbid": "{event: x, where: {n: 1}, if: data.n == 2}"}, ["8:41: can never be broken: 'if' is not true of what 'where' demands"]),
    ],
)  # fmt: skip
def test_a_promise_that_can_never_do_what_it_says_is_refused(parts, expected):
    """What can never happen is found before it is silently watched."""
    assert problems_of(written(parts)) == expected
