"""What differs between two books, in words; every part is told, and nothing that means the same."""

import dataclasses

import pytest

from schemas.book import parse_book
from schemas.book_diff import Difference, compare
from schemas.book_model import Book, Promise
from schemas.book_words import promise_parts
from schemas.editions import text_digest
from schemas.instants import parse_instant

NOW = parse_instant("2026-05-01T12:00:00Z", None)
HEAD = """
sources: {shop: {topic: shop.events, format: json, id: id, type: type, time: at}}
defaults: {timezone: Europe/Amsterdam, key: order_id}
calendars:
  office: {days: [mon, tue], hours: "09:00-17:00"}
  carrier: {holidays: NL}
promises:
"""
BASE = """
- {id: p, title: P, when: {event: placed, where: {speed: next, kind: a}}, due: {within: 4h}, expect: {event: sent}}
"""
RICH = """
- {id: p, when: {event: [placed, made], if: "data.n > 1", again: true}, due: {plus: 2, unit: day, calendar: office,
   at: closing, cutoff: "18:00", of: carrier}, expect: {event: sent, count: 2, distinct: n, early: true, match: [m]},
   not_before: slot, release: {event: cancelled, where: {why: gone}}, warn: [-6h, 80%],
   repromise: {event: moved, field: slot, max: 2}, breach: {severity: high, audience: customer, template: t,
   group_by: n, impact: data.n}, owner: o, journey: j, step: s, retention: 10d, orphan_ttl: 3d}
"""
PAUSED = """
- {id: p, when: {event: case.opened}, due: {within: 8h, calendar: office}, expect: {event: case.closed},
   pause: {event: asked, until: answered, max: 30d}}
"""
DUE_AT = "2 open days of office later, at closing time, from {} on counted from the next open day of carrier"


def differences(old: str, new: str, head: tuple[str, str] = ("", "")) -> list[Difference]:
    """Between books with these promises; `head`: a part of the head, and what it is in the new book."""
    after = HEAD.replace(*head) if head[0] else HEAD
    return list(compare(parse_book(HEAD + old), parse_book(after + new), NOW).differences)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (BASE, BASE),
        ("within: 4h", "within: 240m"),
        ("speed: next, kind: a", "kind: a, speed: next"),
        ("id: p,", "version: 1, retention: 400d, id: p,"),
    ],
)
def test_what_means_the_same_is_no_difference(one: str, other: str) -> None:
    """Neither spelling nor order nor a default that is written out."""
    assert differences(BASE, BASE.replace(one, other)) == []


def test_the_order_of_a_list_that_has_none_is_no_difference() -> None:
    """Event lists, fields and warnings are sets, to the digest of the text as well."""
    turned = RICH.replace("[placed, made]", "[made, placed]").replace("[-6h, 80%]", "[80%, -6h]")
    assert differences(RICH, turned) == []
    one, two = (parse_book(HEAD + text) for text in (RICH, turned))
    assert text_digest(one.promises[0], one.calendars) == text_digest(two.promises[0], two.calendars)


@pytest.mark.parametrize(
    ("text", "part", "other", "told"),
    [
        (BASE, "title: P", "title: Q", ("title", "P", "Q")),
        (BASE, "{within: 4h}", "{within: 2h}", ("due", "within 4h", "within 2h")),
        (BASE, "{within: 4h}", "{within: 4h, calendar: office}",
         ("due", "within 4h", "within 4h of the open time of office")),
        (BASE, "{within: 4h}", '{field: slot, offset: -1h, at: "12:00"}',
         ("due", "within 4h", "what slot of the event says, 1h before it, a date alone at 12:00")),
        (BASE, "event: placed, ", "event: placed, again: true, ",
         ("when", 'placed where kind is "a" and speed is "next", the first time',
          'placed where kind is "a" and speed is "next", each time')),
        (BASE, "expect: {event: sent}", "expect: {event: sent, count: 2, shared: true}",
         ("expect", "sent", "sent, 2 times, one for several promises")),
        (BASE, "expect: {event: sent}", 'expect: {holds: "a.x == b.x", from: {a: sent, b: got}}',
         ("expect", "sent", "a.x == b.x (a the newest sent, b the newest got)")),
        (RICH, "data.n > 1", "data.n > 2",
         ("when", "made or placed where data.n > 1, each time", "made or placed where data.n > 2, each time")),
        (RICH, 'cutoff: "18:00"', 'cutoff: "17:00"', ("due", DUE_AT.format("18:00"), DUE_AT.format("17:00"))),
        (RICH, "count: 2, distinct: n, early: true, match: [m]", "match: [m]",
         ("expect", "sent where the same m, 2 times, each with another n, also before it opens",
          "sent where the same m")),
        (RICH, "not_before: slot", "not_before: start", ("not_before", "slot", "start")),
        (RICH, "why: gone", "why: lost", ("release", 'cancelled where why is "gone"', 'cancelled where why is "lost"')),
        (RICH, ", where: {why: gone}", "", ("release", 'cancelled where why is "gone"', "cancelled")),
        (RICH, "80%", "90%", ("warn", "-6h, 80%", "-6h, 90%")),
        (RICH, "max: 2", "max: 1", ("repromise", "moved brings a new due in slot, at most 2 times",
                                    "moved brings a new due in slot, at most once")),
        (RICH, "severity: high", "severity: low", ("severity", "high", "low")),
        (RICH, "audience: customer", "audience: operator", ("audience", "customer", "operator")),
        (RICH, "template: t", "template: u", ("template", "t", "u")),
        (RICH, "impact: data.n", "impact: data.m", ("impact", "data.n", "data.m")),
        (RICH, "owner: o", "owner: x", ("owner", "o", "x")),
        (RICH, "journey: j", "journey: x", ("journey", "j", "x")),
        (RICH, "step: s", "step: x", ("step", "s", "x")),
        (RICH, "retention: 10d", "retention: 11d", ("retention", "10d", "11d")),
        (RICH, "orphan_ttl: 3d", "orphan_ttl: 4d", ("orphan_ttl", "3d", "4d")),
        (PAUSED, "max: 30d", "max: 3d", ("pause", "from asked until answered, at most 30d",
                                         "from asked until answered, at most 3d")),
    ],
)  # fmt: skip
def test_each_part_of_a_promise_is_told_in_words(text: str, part: str, other: str, told: tuple[str, str, str]) -> None:
    """What it was and what it is."""
    assert part in text
    (found,) = (one for one in differences(text, text.replace(part, other)) if one.about == "promise")
    assert [tuple(change) for change in found.parts] == [told]


def test_an_expectation_that_becomes_a_prohibition_is_told_as_both() -> None:
    """One part goes and others come."""
    new = BASE.replace("expect: {event: sent}", "forbid: {event: sent, count: 3}, until: {event: done}")
    (found, *_) = differences(BASE, new)
    assert [tuple(change) for change in found.parts] == [
        ("forbid", None, "sent, not 3 times"), ("until", None, "done"), ("expect", "sent", None),
    ]  # fmt: skip


@pytest.mark.parametrize("text", [BASE, RICH, PAUSED])
def test_no_field_of_a_promise_is_left_out_of_its_words(text: str) -> None:
    """Whatever the model has: another value of it gives other words. A field added to the model fails here."""
    promise = parse_book(HEAD + text).promises[0]
    other = parse_book(HEAD + (PAUSED if text is RICH else RICH)).promises[0]
    others = {"effective_from": 5, "key": "k", "timezone": "Asia/Tokyo", "skew_ms": 1, "title": "other"}
    left_out = []
    for field in dataclasses.fields(Promise):
        value = others.get(field.name, getattr(other, field.name))
        if field.name in ("id", "version") or value == getattr(promise, field.name):
            continue
        if promise_parts(dataclasses.replace(promise, **{field.name: value})) == promise_parts(promise):
            left_out.append(field.name)
    assert left_out == []


def test_a_text_in_force_that_changed_under_its_number_is_warned_of() -> None:
    """One that was not in force yet, and a changed title, are not."""
    (found,) = differences(BASE, BASE.replace("4h", "5h"))
    assert (found.judged, len(found.warnings), found.notes) == (True, 1, ())
    assert "both are told as version 1" in found.warnings[0]
    coming = BASE.replace("id: p,", 'id: p, effective_from: "2026-06-01",')
    (later,) = differences(coming, coming.replace("4h", "5h"))
    assert (later.judged, later.warnings) == (True, ())
    assert "not in force yet" in later.notes[0]
    (title,) = differences(BASE, BASE.replace("title: P", "title: Q"))
    assert (title.judged, title.warnings, title.notes) == (False, (), ())


def test_a_version_from_this_very_instant_on_is_in_force() -> None:
    """As openings have it (promises/borders.py)."""
    text = BASE.replace("id: p,", 'id: p, effective_from: "2026-05-01T12:00:00Z",')
    old, new = parse_book(HEAD + text), parse_book(HEAD + text.replace("4h", "5h"))
    assert compare(old, new, NOW).warnings != []
    assert compare(old, new, NOW - 1).warnings == []


def test_a_new_version_is_compared_with_the_one_before_it() -> None:
    """What an analyst wants to know of it is what is new."""
    second = BASE.replace("id: p,", 'id: p, version: 2, effective_from: "2026-06-01",').replace("4h", "2h")
    (found,) = differences(BASE, BASE + second)
    assert (found.kind, found.version, found.compared_with, found.warnings) == ("added", 2, 1, ())
    assert [tuple(change) for change in found.parts] == [
        ("effective_from", "since ever", "2026-05-31T22:00:00.000Z"), ("due", "within 4h", "within 2h"),
    ]  # fmt: skip
    assert found.notes == ()
    (looks_back,) = differences(BASE, BASE + second.replace("2026-06-01", "2026-04-01"))
    assert "learnt from now on" in looks_back.notes[0]


def test_what_left_the_book_and_what_is_new_in_it_is_told_with_what_that_means() -> None:
    """Also events that nobody has kept so far."""
    other = "- {id: q, when: {event: visit}, due: {within: 1h}, expect: {event: sent}}"
    found = differences(BASE, other)
    assert [(one.about, one.name, one.kind) for one in found] == [
        ("promise", "q", "added"), ("promise", "p", "removed"), ("event", "visit", "added"),
    ]  # fmt: skip
    assert "kept to its end" in found[1].notes[0]
    assert "not known" in found[2].notes[0]


def test_a_changed_calendar_is_told_once_and_again_with_every_promise_that_uses_it() -> None:
    """It is no mistake, so it is noted and not warned of."""
    found = differences(PAUSED, PAUSED, ("office: {days: [mon, tue]", 'office: {add: ["2026-05-05"], days: [mon, wed]'))
    assert [(one.about, one.name) for one in found] == [("calendar", "office"), ("promise", "p")]
    assert [tuple(change) for change in found[0].parts] == [
        ("days", "mon, tue", "mon, wed"), ("add", None, "2026-05-05"),
    ]  # fmt: skip
    assert [tuple(change) for change in found[1].parts] == [("calendar office", "as before", "changed")]
    assert (found[1].warnings, len(found[1].notes)) == ((), 1)


def test_what_does_not_go_together_with_the_state_of_the_workers_is_warned_of() -> None:
    """Another topic, another source, another key."""
    (topic,) = differences(BASE, BASE, ("shop.events", "shop.other"))
    assert "--app-id" in topic.warnings[0]
    added, removed = differences(BASE, BASE, ("{shop:", "{store:"))
    assert (added.kind, len(added.warnings), removed.kind) == ("added", 1, "removed")
    (key,) = differences(BASE, BASE, ("order_id", "case_id"))
    assert "runs by order_id hears nothing any more" in key.warnings[0]


def test_defaults_are_told_where_they_take_effect() -> None:
    """A default changes promises and sources, and both say so."""
    found = differences(BASE, BASE, ("defaults: {", "defaults: {skew: 1m, settle: 3m, "))
    assert [(one.about, [tuple(part) for part in one.parts]) for one in found] == [
        ("source", [("settle", "2m", "3m")]), ("promise", [("skew", "5m", "1m")]),
    ]  # fmt: skip


def test_what_brings_a_source_into_doubt_is_compared() -> None:
    """A policy that never applies is one policy, whatever else it says."""
    (found,) = differences(BASE, BASE, ("time: at", "time: at, heartbeat: 30m, doubt: {late: never, share: 20%}"))
    assert [tuple(part) for part in found.parts] == [
        ("heartbeat", None, "30m"),
        (
            "doubt",
            "5 dead letters or 5 late facts within 10m, at least 10% of all",
            "5 dead letters within 10m, at least 20% of all",
        ),
    ]
    never, never_either = (
        parse_book(HEAD.replace("time: at", f"time: at, doubt: {{late: never, dead_letters: never{more}}}") + BASE)
        for more in ("", ", share: 9%")
    )
    assert compare(never, never_either, NOW).differences == ()


def test_a_book_does_not_differ_from_itself() -> None:
    """With everything that the language has."""
    one: Book = parse_book(HEAD + RICH + PAUSED.replace("id: p", "id: q"))
    assert compare(one, one, NOW).differences == ()
