"""Loading promise books: the language's worked examples, defaults, versions, and everything that YAML could spoil."""

# ruff: noqa: E501 - a row of a table stays one line

import re
from datetime import date
from pathlib import Path

import pytest

from schemas.book import (
    CalendarSpec,
    Const,
    DoubtPolicy,
    DueField,
    DuePlus,
    DueWithin,
    Expect,
    FieldPath,
    Forbid,
    Holds,
    Leave,
    Match,
    Pause,
    Repromise,
    Warn,
    When,
    load_book,
    parse_book,
)
from schemas.conditions import Variables, compile_condition
from schemas.errors import BookError, InputError
from schemas.exits import ExitCode
from schemas.instants import parse_instant
from tests.language.books import COMMON, EXAMPLES, SOURCE, book_of

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

WORKED = SOURCE + COMMON + "promises:\n" + EXAMPLES["next-day"] + EXAMPLES["confirm-15m"]

SOURCES = "sources: {shop: {topic: t, format: json, id: id, type: type, time: at}}\n"


def promise_of(due="{within: 1h}", more="", defaults="timezone: Europe/Amsterdam, key: order_id", before=""):
    text = f"{SOURCES}defaults: {{{defaults}}}\n{before}promises:\n"
    text += f"- {{id: p, when: {{event: a}}, due: {due}, expect: {{event: b}}{more}}}\n"
    return parse_book(text).promises[0]


LATER = Variables(("data", "opened"))


def worked(promise_id):
    return book_of(promise_id).promises[-1]


@pytest.mark.parametrize(
    ("promise_id", "when"),
    [
        ("next-day", When(Match(("order.placed",), (("speed", "next"),)))),
        ("confirm-mutation", When(Match(("mutation.accepted",)), again=True)),
        ("stuck-4h", When(Match(("order.status",)), again=True, enter=("paid", "picking"), field="status")),
        ("two-sims", When(Match(("appointment.made",), condition=compile_condition("data.sims == 2", Variables(("data",)))))),
        ("same-address", When(Match(("oms.address", "crm.address", "carrier.address")), again=True)),
        ("refund-14d", When(None, breach_of="next-day")),
    ],
)  # fmt: skip
def test_what_opens_the_worked_examples(promise_id, when):
    """One event or several, fields, a condition, a status that is entered, another promise's breach."""
    assert worked(promise_id).when == when


@pytest.mark.parametrize(
    ("promise_id", "due"),
    [
        ("next-day", DuePlus(1, 18 * 60, "warehouse", "carrier", "end_of_day")),
        ("pickup-2d", DuePlus(2, None, None, "carrier", "end_of_day")),
        ("confirm-15m", DueWithin(900_000)),
        ("told-before-visit", DueField("slot_start", -DAY_MS, None)),
        ("debit-notice", DueWithin(-3 * DAY_MS)),
        ("no-dunning", DuePlus(60, None, None, None, None)),
        ("complaint-ack", DuePlus(1, None, None, "office", "closing")),
        ("handover-4h", DueWithin(4 * HOUR_MS, "office")),
    ],
)
def test_when_the_worked_examples_are_due(promise_id, due):
    """Elapsed time, working time, days and instants in the payload."""
    assert worked(promise_id).due == due


@pytest.mark.parametrize(
    ("promise_id", "goal"),
    [
        ("next-day", Expect(Match(("parcel.delivered",)))),
        ("confirm-mutation", Expect(Match(("message.sent",), (("kind", "mutation"),), None, ("mutation_id",)))),
        ("two-sims", Expect(Match(("sim.delivered",)), count=2, distinct="sim_id")),
        ("debit-notice", Expect(Match(("message.sent",), (("kind", "debit_notice"),)), early=True)),
        ("stuck-4h", Leave("status")),
        ("same-price", Holds(
            compile_condition("p.cents == q.cents", Variables(("p", "q"), event=False)),
            (("p", "payment.charged"), ("q", "quote.accepted")),
        )),
        ("no-dunning", Forbid(Match(("dunning.sent",)), 1, Match(("invoice.corrected",)))),
        ("no-third-call", Forbid(Match(("contact.started",)), 2)),
    ],
)  # fmt: skip
def test_what_keeps_the_worked_examples(promise_id, goal):
    """Events, a status that is left, values that agree, and what must not happen."""
    assert worked(promise_id).goal == goal


def test_what_else_happens_to_the_worked_examples():
    """A release, a pause, a new due, an earliest instant, a warning."""
    assert worked("next-day").release == Match(("order.cancelled",))
    assert worked("next-day").warn == (Warn("-6h", offset_ms=-6 * HOUR_MS),)
    assert worked("complaint-10bd").pause == Pause(Match(("info.requested",)), Match(("info.received",)), 30 * DAY_MS)
    moved = Match(("message.sent",), (("kind", "callback_moved"),))
    assert worked("callback").repromise == Repromise(moved, "slot_end", 1)
    assert worked("callback").not_before == "slot_start"


def test_every_worked_example_is_a_book_of_its_own():
    """They run as written, with a source of their own; a remedy brings what it remedies."""
    assert [len(book_of(promise_id).promises) for promise_id in EXAMPLES] == [1] * (len(EXAMPLES) - 1) + [2]
    assert {promise_id: worked(promise_id).id for promise_id in EXAMPLES} == {name: name for name in EXAMPLES}
    assert worked("debit-notice").key == "invoice_id"


def test_what_a_breach_means_to_people_is_read():
    """One word stands for a list of it; the impact is a condition that gives an amount."""
    breach = "{severity: low, audience: customer, template: sorry, group_by: [carrier.name, depot], impact: data.cents}"
    promise = promise_of(more=f", breach: {breach}")
    assert (promise.severity, promise.audience, promise.template) == ("low", ("customer",), "sorry")
    assert promise.group_by == ("carrier.name", "depot")
    assert promise.impact == compile_condition("data.cents", LATER, "amount")
    assert promise_of(more=", breach: {audience: [operator, employee]}").audience == ("operator", "employee")
    quiet = promise_of()
    assert (quiet.audience, quiet.template, quiet.group_by, quiet.impact) == ((), None, (), None)


def test_conditions_stand_wherever_events_are_named():
    """`if`, `where` and `match` mean the same everywhere; `until` and `pause.until` may be an event alone."""
    match = "event: [x, y], where: {n: 1}, if: data.m > opened.m, match: [id]"
    expected = Match(("x", "y"), (("n", 1),), compile_condition("data.m > opened.m", LATER), ("id",))
    assert promise_of(more=f", release: {{{match}}}").release == expected
    pause = promise_of(more=f", pause: {{{match}, until: {{{match}}}, max: 1h}}").pause
    assert pause == Pause(expected, expected, HOUR_MS)
    assert promise_of(more=f", pause: {{{match}, until: z, max: 1h}}").pause == Pause(expected, Match(("z",)), HOUR_MS)
    repromise = promise_of(more=f", repromise: {{{match}, field: f, max: 2}}").repromise
    assert repromise == Repromise(expected, "f", 2)
    forbid = parse_book(
        f"{SOURCES}defaults: {{timezone: UTC, key: k}}\npromises:\n"
        f"- {{id: p, when: {{event: a}}, due: {{within: 1h}}, forbid: {{{match}, count: 3}}, until: z}}\n"
    )
    assert forbid.promises[0].goal == Forbid(expected, 3, Match(("z",)))


def test_warnings_are_offsets_or_shares_in_the_books_order():
    """Their spelling is kept: it is part of the published event's id."""
    warn = promise_of(due="{within: 2d}", more=", warn: [50%, -1d, -1h30m]").warn
    assert warn == (Warn("50%", share=50), Warn("-1d", offset_ms=-DAY_MS), Warn("-1h30m", offset_ms=-5_400_000))


def test_the_worked_calendars_load_as_written():
    """Days, hours, holidays and single dates, none of them turned into a number or a boolean by YAML."""
    calendars = parse_book(WORKED).calendars
    assert calendars["carrier"] == CalendarSpec(
        name="carrier",
        days=frozenset(range(6)),
        open_min=0,
        close_min=1440,
        holidays="NL",
        add=frozenset({date(2026, 12, 31)}),
        remove=frozenset({date(2026, 4, 3)}),
        timezone=None,
    )
    office = calendars["office"]
    assert (office.open_min, office.close_min, office.timezone) == (9 * 60, 17 * 60, "Europe/Amsterdam")


def test_the_worked_source_loads_as_written():
    """Defaults of a source: the book's settle, any event, the clock for a frontier, the whole event for payload."""
    source = parse_book(WORKED).sources["shop"]
    assert (source.topic, source.format, source.settle_ms, source.frontier) == ("shop.events", "json", 120_000, "clock")
    assert (source.id, source.type, source.time) == (FieldPath("event_id"), FieldPath("type"), FieldPath("occurred_at"))
    assert (source.data, source.events, source.withdraws) == (None, None, None)


def test_a_source_is_in_doubt_after_five_that_are_a_tenth_unless_it_says_otherwise():
    """Silent it may be for as long as it likes."""
    source = parse_book(WORKED).sources["shop"]
    assert (source.doubt, source.heartbeat_ms) == (DoubtPolicy(5, 5, 10, 600_000), None)
    said = "format: json, heartbeat: 30m, doubt: {dead_letters: 20, late: never, share: 50%, window: 1h}"
    source = parse_book(WORKED.replace("format: json", said, 1)).sources["shop"]
    assert (source.doubt, source.heartbeat_ms) == (DoubtPolicy(20, None, 50, 3_600_000), 1_800_000)
    one = parse_book(WORKED.replace("format: json", "format: json, doubt: {late: 1}", 1)).sources["shop"]
    assert one.doubt == DoubtPolicy(5, 1, 10, 600_000)


def test_a_source_of_debezium_needs_no_paths():
    """The payload is the row and the time that of the commit; id and type are made of the envelope."""
    text = "{topic: shop.events, format: debezium}"
    source = parse_book(re.sub(r"\{topic: shop.events.*?\}", text, WORKED, count=1)).sources["shop"]
    assert (source.id, source.type) == (None, None)
    assert (source.time, source.data) == (FieldPath("source.ts_ms"), FieldPath("row"))


def test_a_source_with_paths_constant_and_markers():
    """A scanner's nested event: every place in it can be named."""
    source = parse_book(
        """
sources:
  wms: {topic: wms.scans, format: json, id: scan.id, type: {const: parcel.scanned}, time: scan.at, data: scan,
        settle: 2h, frontier: markers, events: [parcel.scanned], withdraws: scan.cancels}
defaults: {timezone: UTC, key: order_id}
promises: [{id: p, when: {event: parcel.scanned}, due: {within: 1h}, forbid: {event: parcel.scanned}}]
"""
    ).sources["wms"]
    assert source.id.parts == ("scan", "id")
    assert source.type == Const("parcel.scanned")
    assert source.data == FieldPath("scan")
    assert source.withdraws == FieldPath("scan.cancels")
    assert (source.settle_ms, source.frontier) == (7_200_000, "markers")
    assert source.events == frozenset({"parcel.scanned"})


def test_defaults_are_filled_in():
    """What a book leaves unsaid: two minutes to settle, five of skew, 400 days kept, 30 for orphans, medium severity."""
    book = parse_book(WORKED)
    promise = book.promises[0]
    assert (book.defaults.settle_ms, promise.skew_ms) == (120_000, 300_000)
    assert (promise.retention_ms, promise.orphan_ttl_ms) == (400 * DAY_MS, 30 * DAY_MS)
    assert (promise.version, promise.effective_from, promise.severity, promise.title) == (1, None, "medium", "next-day")
    assert (promise.timezone, promise.key) == ("Europe/Amsterdam", "order_id")


def test_a_promise_overrides_the_defaults():
    """Its own zone, retention, words for people and severity."""
    more = (
        ", title: Delivered in time, owner: logistics, journey: order, step: delivery, timezone: America/New_York,"
        " retention: 30d, orphan_ttl: 1d, breach: {severity: critical}"
    )
    promise = promise_of(more=more, defaults="timezone: Europe/Amsterdam, key: order_id, retention: 10d, skew: 0s")
    assert (promise.title, promise.owner, promise.journey, promise.step) == (
        "Delivered in time", "logistics", "order", "delivery",
    )  # fmt: skip
    assert (promise.timezone, promise.severity) == ("America/New_York", "critical")
    assert (promise.retention_ms, promise.orphan_ttl_ms, promise.skew_ms) == (30 * DAY_MS, DAY_MS, 0)


def test_norway_stays_a_country_and_a_cutoff_a_time():
    """YAML 1.1 would read NO as false and 18:00 as 1080 seconds; dates without quotes would become objects."""
    book = parse_book(
        SOURCES
        + """
defaults: {timezone: Europe/Oslo, key: order_id}
calendars: {c: {holidays: NO, hours: 22:00-06:00, add: [2026-12-31]}, d: {holidays: DE-BY}}
promises:
- {id: p, when: {event: a, where: {code: NO, off: off, n: 1, f: 1.5, t: true, "null": null, d: 2026-01-01, s: "1"}},
   due: {plus: 1, unit: day, cutoff: 18:00, of: c, at: 12:30}, expect: {event: b}}
"""
    )
    assert book.calendars["c"].holidays == "NO"
    assert book.calendars["d"].holidays == "DE-BY"
    assert (book.calendars["c"].open_min, book.calendars["c"].close_min) == (22 * 60, 30 * 60)
    assert book.calendars["c"].days == frozenset(range(7))
    assert book.calendars["c"].add == frozenset({date(2026, 12, 31)})
    assert book.promises[0].due == DuePlus(1, 18 * 60, "c", None, 12 * 60 + 30)
    assert book.promises[0].when.match.where == (
        ("code", "NO"), ("off", "off"), ("n", 1), ("f", 1.5), ("t", True), ("null", None), ("d", "2026-01-01"),
        ("s", "1"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-05-01T00:00:00+02:00", "2026-04-30T22:00:00Z"),
        ("2026-05-01T00:00:00", "2026-04-30T22:00:00Z"),
        ("2026-05-01", "2026-04-30T22:00:00Z"),
    ],
)
def test_effective_from_is_an_instant_or_the_start_of_a_day_in_the_promises_zone(written, expected):
    """A version starts at midnight where the customers are."""
    assert promise_of(more=f", effective_from: {written}").effective_from == parse_instant(expected, None)


def test_versions_of_one_promise_stand_side_by_side():
    """One may have been there for ever, the others each start at an instant of their own."""
    text = SOURCES + "defaults: {timezone: UTC, key: k}\npromises:\n"
    for version, start in ((1, ""), (2, ", effective_from: 2026-01-01"), (3, ", effective_from: 2026-02-01")):
        text += (
            f"- {{id: p, version: {version}{start}, when: {{event: a}}, due: {{within: 1h}}, expect: {{event: b}}}}\n"
        )
    assert [promise.version for promise in parse_book(text).promises] == [1, 2, 3]


def test_a_date_due_may_say_at_what_time_of_that_day():
    """`at` with `field` is for payloads that hold a day alone."""
    assert promise_of("{field: slot.end, at: '12:00'}").due == DueField("slot.end", 0, 720)
    assert promise_of("{field: slot.end, at: end_of_day}").due == DueField("slot.end", 0, "end_of_day")


def test_civil_days_need_no_calendar():
    """Without `at` the due keeps the opening's local time."""
    assert promise_of("{plus: 14, unit: day}").due == DuePlus(14, None, None, None, None)


def test_the_digest_is_of_the_content_not_of_the_layout():
    """Comments, blanks and the order of keys change nothing; a changed value does."""
    digest = parse_book(WORKED).digest
    assert parse_book("# a comment\n" + WORKED.replace("{within: 15m}", "{  within:   15m  }")).digest == digest
    assert (
        parse_book(
            WORKED.replace(
                "{id: confirm-15m, when: {event: order.placed}", "{when: {event: order.placed}, id: confirm-15m"
            )
        ).digest
        == digest
    )
    assert parse_book(WORKED.replace("within: 15m", "within: 16m")).digest != digest


def test_anchors_may_be_used_for_what_repeats():
    """Plain YAML: an alias means the same as writing it out."""
    text = SOURCES + "defaults: {timezone: UTC, key: k}\npromises:\n"
    text += "- {id: p, when: &order {event: a}, due: {within: 1h}, expect: {event: b}}\n"
    text += "- {id: q, when: *order, due: {within: 1h}, expect: {event: b}}\n"
    first, second = parse_book(text).promises
    assert first.when == second.when


def test_a_book_is_read_from_a_file_with_or_without_byte_order_mark(tmp_path):
    """Editors on Windows write one."""
    path = tmp_path / "book.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + WORKED.encode())
    assert load_book(path).path == str(path)
    assert load_book(path).digest == parse_book(WORKED).digest


def test_a_missing_book_is_an_input_error(tmp_path):
    """The message names the file; there is no line to point at."""
    with pytest.raises(InputError, match=r"cannot read the promise book .*none\.yaml: No such file") as refusal:
        load_book(tmp_path / "none.yaml")
    assert refusal.value.exit_code is ExitCode.NO_INPUT
    with pytest.raises(InputError, match="Is a directory"):
        load_book(tmp_path)


def test_a_book_in_another_encoding_is_refused_at_its_first_bad_byte(tmp_path):
    """A Latin-1 file is not guessed at."""
    path = tmp_path / "book.yaml"
    path.write_bytes(b"# caf\n# caf\xe9\n")
    with pytest.raises(BookError) as refusal:
        load_book(path)
    assert str(refusal.value) == f"{path}:2:6: found the byte 0xe9, expected UTF-8 text"
    assert refusal.value.exit_code is ExitCode.DATA


@pytest.mark.parametrize(
    "book", sorted(Path(__file__).parents[2].glob("examples/*/book.yaml")), ids=lambda p: p.parent.name
)
def test_the_books_of_the_examples_load(book):
    """What newcomers copy must be right."""
    assert load_book(book).promises
