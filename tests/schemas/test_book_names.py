"""Names that stand for nothing, and promises that follow the breach of others: events, promises, keys, circles."""

# ruff: noqa: E501 - a row of a table stays one line

import re

import pytest

from schemas.book import parse_book
from schemas.errors import BookError

HEAD = """\
sources: {s: {topic: t, format: json, id: i, type: type, time: at, events: [a, b, c, d]}}
defaults: {timezone: UTC, key: k}
promises:
"""
KNOWN = "expected one of: a, b, c, d"
REST = "due: {within: 1h}, expect: {event: b}"


def problems_of(*promises):
    with pytest.raises(BookError) as refusal:
        parse_book(HEAD + "".join(f"- {promise}\n" for promise in promises), "book.yaml")
    return [str(problem).removeprefix("book.yaml:") for problem in refusal.value.problems]


@pytest.mark.parametrize(
    "promise",
    [
        "{id: p, when: {event: x}, due: {within: 1h}, expect: {event: b}}",
        "{id: p, when: {event: [a, x]}, due: {within: 1h}, expect: {event: b}}",
        "{id: p, when: {event: a}, due: {within: 1h}, expect: {event: [b, x]}}",
        "{id: p, when: {event: a}, due: {within: 1h}, expect: {holds: l.n == r.n, from: {l: a, r: x}}}",
        "{id: p, when: {event: a}, due: {within: 1h}, forbid: {event: x}}",
        "{id: p, when: {event: a}, due: {within: 1h}, forbid: {event: b}, until: x}",
        "{id: p, when: {event: a}, due: {within: 1h}, forbid: {event: b}, until: {event: x}}",
        "{id: p, when: {event: a}, due: {within: 1h}, expect: {event: b}, release: {event: [c, x]}}",
        "{id: p, when: {event: a}, due: {within: 1h}, expect: {event: b}, repromise: {event: x, field: f, max: 1}}",
        "{id: p, when: {event: a}, due: {within: 1h}, expect: {event: b}, pause: {event: x, until: d, max: 1d}}",
        "{id: p, when: {event: a}, due: {within: 1h}, expect: {event: b}, pause: {event: c, until: x, max: 1d}}",
        "{id: p, when: {event: a}, due: {within: 1h}, expect: {event: b}, pause: {event: c, until: {event: x}, max: 1d}}",
    ],
)  # fmt: skip
def test_an_event_that_no_source_can_send_is_told_wherever_it_stands(promise):
    """A promise about it would wait for ever."""
    column = re.search(r"\bx\b", f"- {promise}").start() + 1
    assert problems_of(promise) == [f"4:{column}: unknown event (no source can send it) 'x', {KNOWN}"]


def test_a_promise_may_follow_the_breach_of_another():
    """Also of one further down, and a chain of them."""
    text = HEAD + "".join(
        f"- {{id: {name}, when: {when}, {REST}}}\n"
        for name, when in (("r", "{breach_of: q}"), ("q", "{breach_of: p, again: true}"), ("p", "{event: a}"))
    )
    assert [promise.when.breach_of for promise in parse_book(text).promises] == ["q", "p", None]


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        (["{id: q, when: {breach_of: pp}, " + REST + "}"], ["5:29: unknown promise 'pp', expected one of: p, q"]),
        (["{id: q, when: {breach_of: q}, " + REST + "}"], ["5:29: found the promise itself, expected another one, whose breach opens this one"]),
        (
            ["{id: q, when: {breach_of: r}, " + REST + "}", "{id: r, when: {breach_of: q}, " + REST + "}"],
            ["6:29: each waits for the other to be broken: r -> q -> r"],
        ),
        (
            ["{id: q, when: {breach_of: s}, " + REST + "}", "{id: r, when: {breach_of: q}, " + REST + "}", "{id: s, when: {breach_of: r}, " + REST + "}"],
            ["7:29: each waits for the other to be broken: s -> r -> q -> s"],
        ),
        (
            ["{id: q, key: other, when: {breach_of: p}, " + REST + "}"],
            [
                "5:41: promise 'p' is about 'k', this one about 'other'; expected the same key",
            ],
        ),
        (["{id: q, when: {breach_of: p, event: c}, " + REST + "}"], ["5:17: found 'event' and 'breach_of', expected exactly one of 'event' and 'breach_of'"]),
        (["{id: q, when: {breach_of: p, if: data.n == 1}, " + REST + "}"], ["5:32: 'if' does not go with 'breach_of'; it belongs to 'event'"]),
        (
            ["{id: q, when: {breach_of: p}, due: {within: 1h}, expect: {leave: s}}"],
            ["5:61: 'leave' does not go with 'breach_of': it looks at the events that open the promise"],
        ),
        (
            ["{id: q, when: {breach_of: p}, due: {within: 1h}, expect: {holds: l.n > r.n, from: {l: a, r: b}}}"],
            ["5:61: 'holds' does not go with 'breach_of': it looks at the events that open the promise"],
        ),
    ],
)  # fmt: skip
def test_a_breach_that_can_never_open_a_promise_is_told(others, expected):
    """Unknown, its own, of another key, or in a circle."""
    assert problems_of("{id: p, when: {event: a}, " + REST + "}", *others) == expected


def test_an_event_cannot_take_back_itself():
    """`withdraws` names the id of an earlier one."""
    text = HEAD.replace("events:", "withdraws: i, events:")
    with pytest.raises(BookError) as refusal:
        parse_book(text + "- {id: p, when: {event: a}, " + REST + "}\n", "b")
    expected = "found the event's own id, expected the path of the id of an earlier event, which it takes back"
    assert str(refusal.value) == f"b:1:79: {expected}"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("5", "b:1:79: found 5, expected text (put it in quotes)"),
        ("{const: x}", "b:1:79: found a mapping, expected a field: with a constant here all events would be alike"),
        ("scan..id", "b:1:79: found 'scan..id', expected a field, or a path of fields such as scan.id"),
    ],
)
def test_a_wrong_spelling_of_withdraws_is_told(written, expected):
    """A path to an id, like that of the event's own."""
    text = HEAD.replace("events:", f"withdraws: {written}, events:")
    with pytest.raises(BookError) as refusal:
        parse_book(text + "- {id: p, when: {event: a}, " + REST + "}\n", "b")
    assert str(refusal.value) == expected


def test_a_warning_is_compared_with_the_settle_of_the_clock_alone():
    """A source with markers says itself how far it is complete: its settle delays nothing."""
    promise = "- {id: p, when: {event: a}, due: {within: 1h}, expect: {event: b}, warn: [-1m]}\n"
    assert parse_book(HEAD.replace("events:", "frontier: markers, events:") + promise).promises
    assert parse_book(HEAD.replace("events:", "settle: 1m, events:") + promise).promises
    with pytest.raises(BookError, match="lags by 'settle' \\(3h\\): it would come too late"):
        parse_book(HEAD.replace("events:", "settle: 3h, events:") + promise)


def test_what_only_some_cycles_do_is_not_refused():
    """Only what can never happen is: other spellings are the author's business."""
    for promise in (
        "{id: p, when: {event: a, again: true}, due: {within: 1h}, expect: {event: b}, release: {event: b}}",
        "{id: p, when: {event: a}, due: {within: 1h}, expect: {event: b, where: {n: 1}}, release: {event: b}}",
        "{id: p, when: {event: a}, due: {within: 1h}, expect: {event: a, count: 2}}",
        "{id: p, when: {event: a}, due: {within: 1h}, expect: {event: a, match: [m]}}",
        "{id: p, when: {event: a}, due: {within: 1h}, expect: {event: a, where: {n: 1}}}",
        "{id: p, when: {event: a}, due: {field: f}, not_before: g, expect: {event: a}, release: {event: a, where: {n: 1}}}",
        "{id: p, when: {event: a, where: {n: 1}, if: data.n == 1}, due: {within: 1h}, expect: {event: b}}",
        "{id: p, when: {event: [a, b], where: {n: 1}, if: type == 'a'}, due: {within: 1h}, expect: {event: b, count: 2}}",
        "{id: p, when: {event: a, where: {n: 1}, if: time > timestamp('2026-01-01T00:00:00Z') && data.n == 1}, due: {within: 1h}, expect: {event: b}}",
        "{id: p, when: {event: a}, due: {within: 1h}, forbid: {event: a}}",
        "{id: p, when: {event: a}, due: {within: 1h}, forbid: {event: b}, until: {event: b, where: {n: 1}}}",
        "{id: p, when: {event: a}, due: {plus: 0, unit: day, at: '12:00'}, expect: {event: b}}",
        "{id: p, when: {event: a}, due: {field: f, offset: 1h}, not_before: f, expect: {event: b}}",
    ):
        assert parse_book(f"{HEAD}- {promise}\n").promises
