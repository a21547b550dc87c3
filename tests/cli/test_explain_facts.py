"""`promisewatch explain --facts`: what became of one subject's promises, step by step, and why."""

# ruff: noqa: E501 - a row of a table stays one line

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from schemas.instants import format_instant, parse_instant
from tests.cli.running import Run, promisewatch
from tests.language.books import COMMON, SOURCE
from tests.language.golden_cases import CASES, IDS, Case
from tests.language.golden_words import END, happened, text, wording

Lines = list[str]


def recording(path: Path, key: str, story: Lines, subject: str = "A-17") -> Path:
    """A story in lines of `local time, event, id field=value` as its source sends it."""
    events = [happened(line) for line in story]
    path.write_text("".join(json.dumps(sent(event, key, subject)) + "\n" for event in events))
    return path


def sent(event: dict[str, Any], key: str, subject: str) -> dict[str, Any]:
    envelope = {"event_id": event["id"], "type": event["type"], "occurred_at": format_instant(event["time"])}
    return envelope | {key: subject} | event["data"]


def explain(tmp_path: Path, book: str, story: Lines, *options: str, key: str = "order_id") -> Run:
    path = tmp_path / "book.yaml"
    path.write_text(book)
    facts = recording(tmp_path / "facts.jsonl", key, story)
    return promisewatch("explain", path, "--facts", facts, *options)


def history(tmp_path: Path, book: str, story: Lines, *options: str, key: str = "order_id") -> dict[str, Any]:
    run = explain(tmp_path, book, story, *options, "--output", "json", key=key)
    assert run.code == 0, run.err
    return dict(json.loads(run.out))


def book_of(promise: str, source: str = SOURCE) -> str:
    return f"{source}{COMMON}promises:\n- {promise}\n"


def ms(instant: str | None) -> int | None:
    return None if instant is None else parse_instant(instant, None)


KEYS = {
    "confirm-mutation": "customer_id", "debit-notice": "invoice_id", "no-dunning": "invoice_id", "same-address": "customer_id",
    "charged-once": "subscription_id", "callback": "case_id", "complaint-ack": "case_id", "complaint-10bd": "case_id",
    "handover-4h": "case_id", "no-third-call": "case_id",
}  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_every_golden_case_is_told_with_its_verdict(case: Case, tmp_path: Path) -> None:
    """Every worked example of the language: the cycles, statuses, dues and instants that people have checked."""
    example = case.example.split(" ")[0]
    at = END.replace(" ", "T") + ":00"
    found = history(tmp_path, text(case.example), case.story, "--at", at, key=KEYS.get(example, "order_id"))
    told = next(promise for promise in found["promises"] if promise["promise"] == example)
    cycles = {}
    for one in told["cycles"]:
        due, fulfilled_at, breached_at = (ms(one[name]) for name in ("due", "fulfilled_at", "breached_at"))
        assert due is not None
        like = case.cycles.get(one["cycle"], "")
        cycles[one["cycle"]] = wording(one["status"], due, fulfilled_at, breached_at, like)
    assert cycles == case.cycles


@pytest.mark.parametrize(
    ("example", "name", "said"),
    [
        ("next-day", "ordered at the cut-off on a Friday: Monday is King's Day", [
            "o: broken: due Tue 28 Apr 2026 23:59 (Europe/Amsterdam), and by then no parcel.delivered",
            "order.placed o opens it: due Tue 28 Apr 2026 23:59",
            "- not before the cut-off at 18:00: counts for the next open day of 'warehouse', Sat 25 Apr 2026",
            "- Mon 27 Apr 2026 is closed: King's Day",
            "published: breached: Order A-17: 'next-day' was due Tue 28 Apr 2026 23:59",
        ]),
        ("next-day", "cancelled by the customer", ["o: released by order.cancelled x", "Sat 25 Apr 2026 09:00  order.cancelled x releases it"]),
        ("next-day", "delivered in the first millisecond of the next", [
            "o: fulfilled 1 ms late by parcel.delivered d, Sun 26 Apr 2026 00:00", "published: at_risk:", "published: fulfilled_late:",
        ]),
        ("two-sims", "one SIM scanned twice", [
            "and by then 1 of 2 times sim.delivered of different sim_id", "sim.delivered x counts (1 of 2)",
            "sim.delivered y is no fulfilment of it: the same value has been counted",
            "awaited:   2 times sim.delivered of different sim_id (1 so far)",
        ]),
        ("two-sims", "both SIMs, one of them before the slot", ["sim.delivered x is no fulfilment of it: it is dated before the earliest instant that counts"]),
        ("two-sims", "the appointment is moved in time", [
            "appointment.moved m promises again: due Thu 7 May 2026 12:00", "- slot_end in the payload is 2026-05-07T12:00:00",
            "sim.delivered y keeps it (2 of 2)", "due:       Thu 7 May 2026 12:00, first promised for Wed 6 May 2026 12:00",
        ]),
        ("two-sims", "the appointment is moved after it was due", ["appointment.moved m is no re-promise of it: it is dated after the due"]),
        ("two-sims", "an appointment with one SIM promises nothing", ["Nothing here opens two-sims."]),
        ("told-before-visit", "booked twenty hours ahead: nothing to be told in time", [
            "opened nothing: appointment.made a (1 born_overdue): its due would lie before it, and the promise does not say `early: true`",
        ]),
        ("stuck-4h", "the same status told again enters nothing", ["opened nothing: order.status b (1 not_entered): the status was that already"]),
        ("charged-once", "charged on 1 May and on 20 May", [
            "a: broken by payment.charged b, Wed 20 May 2026 10:00: no payment.charged was promised until Thu 28 May 2026 10:00",
            "payment.charged b is what was forbidden", "b: kept: nothing forbidden came until Tue 16 Jun 2026 10:00",
        ]),
        ("no-third-call", "the second call breaks nothing", ["contact.started b counts (1 of 2)", "(1 opened_already)"]),
        ("no-dunning", "a reminder at the instant of the correction, and one after it", [
            "a: kept: invoice.corrected i came before anything forbidden, Sun 10 May 2026 10:00",
            "invoice.corrected i allows from here on what was forbidden: kept",
        ]),
        ("confirm-mutation without match", "June's notice is missed, July's comes in time", ["message.sent c is no fulfilment of it: it kept another cycle of the promise"]),
        ("debit-notice", "two days' notice is a day late", ["d: fulfilled 1 d late by message.sent n, Mon 18 May 2026 12:00"]),
        ("same-price", "charged too much", [
            "and by then p.cents == q.cents does not hold (p.cents = 101 of payment.charged p, q.cents = 100 of quote.accepted q)",
        ]),
        ("same-price", "charged something else, and a new quote three months later changes nothing", ["- q.cents = 100 of quote.accepted q"]),
        ("same-address", "all agree, then one changes and the carrier follows", [
            "crm.address e joins it: due Mon 4 May 2026 11:10", "the values agree: kept", '- k.addr = "y" of carrier.address f',
            "a: kept: the values agreed, Fri 1 May 2026 09:20",
        ]),
        ("complaint-10bd", "paused for three working days: Ascension Day is skipped", [
            "info.requested q pauses it: no due while that lasts, until Wed 3 Jun 2026 10:00 at most",
            "info.received i ends the pause, which had lasted 3 d since Mon 4 May 2026 10:00: counted as open time of 'office', due Fri 15 May 2026 17:00",
            "paused:    for 3d in all",
        ]),
        ("refund-14d", "a parcel that never comes is paid back", ["the breach of next-day opens it: due Sat 9 May 2026 23:59", "refund.paid r keeps it"]),
        ("handover-4h", "four working hours over a weekend and King's Day", ["1 h 30 min on Fri 24 Apr 2026, 15:30-17:00", "agreement.booked b keeps it"]),
    ],
)  # fmt: skip
def test_what_happened_is_told_in_words(example: str, name: str, said: Lines, tmp_path: Path) -> None:
    """What moved each due, which event did what, and which did nothing and why: for employees, in local time."""
    case = next(case for case in CASES if (case.example, case.name) == (example, name))
    run = explain(tmp_path, text(example), case.story, key=KEYS.get(example.split(" ", maxsplit=1)[0], "order_id"))
    whole = explain(
        tmp_path,
        text(example),
        case.story,
        "--at",
        END.replace(" ", "T") + ":00",
        key=KEYS.get(example.split(" ", maxsplit=1)[0], "order_id"),
    )
    assert (run.code, whole.code) == (0, 0), run.err
    for words in said:
        assert words in whole.out, whole.out


PAUSED = "{id: p, when: {event: a}, due: {within: 1h}, expect: {event: b}, pause: {event: q, until: r, max: 2h}, warn: [-30m]}"


@pytest.mark.parametrize(
    ("at", "status", "paused_since", "due", "warnings"),
    [
        ("2026-05-04T10:10:00", "open", None, "2026-05-04T09:00:00.000Z", ["2026-05-04T08:30:00.000Z"]),
        ("2026-05-04T11:00:00", "open", "2026-05-04T08:20:00.000Z", "2026-05-04T11:00:00.000Z", ["2026-05-04T10:30:00.000Z"]),
        ("2026-05-04T12:00:00", "open", None, "2026-05-04T10:20:00.000Z", ["2026-05-04T09:50:00.000Z"]),
        ("2026-05-04T13:00:00", "breached", None, "2026-05-04T10:20:00.000Z", []),
    ],
)  # fmt: skip
def test_with_an_instant_it_is_told_as_known_then(
    at: str, status: str, paused_since: str | None, due: str, warnings: Lines, tmp_path: Path
) -> None:
    """Later events are left out, and what is not proved yet is open. While it is paused the due is the latest it may be."""
    story = ["2026-05-04 10:00  a  a", "2026-05-04 10:20  q  q", "2026-05-04 11:40  r  r"]
    found = history(tmp_path, book_of(PAUSED), story, "--at", at)
    (cycle,) = found["promises"][0]["cycles"]
    assert (cycle["status"], cycle["paused_since"], cycle["due"]) == (status, paused_since, due)
    assert [warning["at"] for warning in cycle["warnings"]] == [one for one in warnings if one >= found["frontier"]]
    assert (cycle["proved_from"] is None) == (status == "breached")
    assert cycle["awaited"] == "b"


def test_the_settle_of_the_source_has_to_pass_before_a_breach_is_proved(tmp_path: Path) -> None:
    """At `proved_from` it is broken, a millisecond before it is open."""
    story = ["2026-05-04 10:00  a  a"]
    promise = "{id: p, when: {event: a}, due: {within: 1h}, expect: {event: b}}"
    (cycle,) = history(tmp_path, book_of(promise), story)["promises"][0]["cycles"]
    proved = cycle["proved_from"]
    assert proved == "2026-05-04T09:02:00.001Z"
    before = format_instant(parse_instant(proved, None) - 1)
    for at, status in ((before, "open"), (proved, "breached")):
        (cycle,) = history(tmp_path, book_of(promise), story, "--at", at)["promises"][0]["cycles"]
        assert cycle["status"] == status


def test_without_an_instant_the_recording_is_complete_up_to_its_last_event(tmp_path: Path) -> None:
    """Whoever's it is: that other subjects went on proves that nothing came."""
    book = tmp_path / "book.yaml"
    book.write_text(book_of("{id: p, when: {event: a}, due: {within: 1h}, expect: {event: b}}"))
    mine = recording(tmp_path / "mine.jsonl", "order_id", ["2026-05-04 10:00  a  a1"], "A-1")
    others = recording(tmp_path / "others.jsonl", "order_id", ["2026-05-04 11:00  a  a2"], "A-2")
    for last, status in (("10:59:59.999", "open"), ("11:00", "breached")):
        recording(others, "order_id", [f"2026-05-04 {last}  a  a2"], "A-2")
        run = promisewatch("explain", book, "--facts", mine, "--facts", others, "--subject", "A-1", "--output", "json")
        found = json.loads(run.out)
        assert found["subject"] == {"key": "order_id", "value": "A-1"}
        assert [cycle["status"] for cycle in found["promises"][0]["cycles"]] == [status]


def test_only_one_promise_is_told_if_it_is_asked_for(tmp_path: Path) -> None:
    """A remedy too, whose cause is judged all the same."""
    case = next(case for case in CASES if case.example == "refund-14d")
    found = history(tmp_path, text("refund-14d"), case.story, "--promise", "refund-14d", "--at", "2026-06-01T00:00:00Z")
    (told,) = found["promises"]
    assert told["promise"] == "refund-14d"
    assert [(cycle["breach_of"], cycle["status"]) for cycle in told["cycles"]] == [("next-day", "kept")]


KEYED = """\
{id: placed, when: {event: a}, due: {within: 1h}, expect: {event: b}}
- {id: billed, key: invoice_id, when: {event: a}, due: {within: 2h}, expect: {event: c}}"""


@pytest.mark.parametrize(
    ("options", "promises"),
    [
        (["--subject", "A-17"], ["placed"]),
        (["--subject", "invoice_id=A-17"], 2),
        (["--subject", "I-1"], ["billed"]),
        (["--subject", "invoice_id=I-1"], ["billed"]),
        (["--promise", "billed"], ["billed"]),
    ],
)
def test_a_book_with_several_keys_tells_of_one_subject_of_one_key(
    options: Lines, promises: Lines | int, tmp_path: Path
) -> None:
    """An event may say something about an order and about an invoice; whose story is told is asked for."""
    run = explain(tmp_path, book_of(KEYED), ["2026-05-04 10:00  a  a invoice_id=I-1"], *options, "--output", "json")
    if isinstance(promises, int):
        assert run.code == promises
        assert "found no event about 'invoice_id=A-17', expected one of order_id=A-17, invoice_id=I-1" in run.err
    else:
        assert [promise["promise"] for promise in json.loads(run.out)["promises"]] == promises


def test_one_value_under_two_keys_is_asked_for_with_its_key(tmp_path: Path) -> None:
    """Which of the two is meant must not be a toss-up."""
    story = ["2026-05-04 10:00  a  a invoice_id=A-17"]
    run = explain(tmp_path, book_of(KEYED), story, "--subject", "A-17")
    assert (run.code, "found 'A-17' under several keys, expected one of" in run.err) == (2, True)
    assert explain(tmp_path, book_of(KEYED), story, "--subject", "order_id=A-17").code == 0


def test_why_events_opened_nothing_is_counted(tmp_path: Path) -> None:
    """By reason, with each event."""
    promise = "{id: p, version: 2, effective_from: 2026-05-02, when: {event: a, if: data.n > 1}, due: {field: f}, expect: {event: b}}"
    story = [
        "2026-05-01 10:00  a  early n=2 f=2026-05-09", "2026-05-03 09:00  a  unknown n=2 f=2026-05-09",
        "2026-05-04 10:00  a  unclear f=2026-05-09", "2026-05-04 11:00  a  dueless n=2",
        "2026-05-04 12:00  a  over n=2 f=2026-05-01", "2026-05-04 13:00  a  opens n=2 f=2026-05-09",
        "2026-05-04 14:00  a  again n=2 f=2026-05-09", "2026-05-04 15:00  a  less n=1 f=2026-05-09",
    ]  # fmt: skip
    found = history(tmp_path, book_of(promise), story, "--since", "2026-05-04T00:00:00")
    (told,) = found["promises"]
    assert {refused["event"]["id"]: refused["reason"] for refused in told["refused"]} == {
        "early": "not_effective", "unknown": "before_known", "unclear": "condition_unclear", "dueless": "no_due",
        "over": "born_overdue", "again": "opened_already",
    }  # fmt: skip
    assert told["not_opened"] == dict.fromkeys(sorted(refused["reason"] for refused in told["refused"]), 1)
    assert [cycle["cycle"] for cycle in told["cycles"]] == ["opens"]
    assert found["counted"]["condition_unclear"] == 1
    assert found["counted"]["irrelevant"] == 1  # the one whose condition is false


def test_a_fact_that_was_taken_back_is_told_and_does_nothing(tmp_path: Path) -> None:
    """The promise is judged without it."""
    source = SOURCE.replace("time: occurred_at", "time: occurred_at, withdraws: undoes")
    promise = "{id: p, when: {event: a}, due: {within: 1h}, expect: {event: b}}"
    story = ["2026-05-04 10:00  a  a1", "2026-05-04 10:10  b  b1", "2026-05-04 12:00  b  x undoes=b1"]
    found = history(tmp_path, book_of(promise, source), story)
    assert [event["id"] for event in found["taken_back"]] == ["b1"]
    assert [cycle["status"] for cycle in found["promises"][0]["cycles"]] == ["breached"]


def test_duplicates_and_conflicts_are_counted(tmp_path: Path) -> None:
    """The smaller content holds, whichever came first."""
    promise = "{id: p, when: {event: a}, due: {within: 1h}, expect: {event: b}}"
    story = [
        "2026-05-04 10:00  a  a1", "2026-05-04 10:00  a  a1", "2026-05-04 10:30  b  b1", "2026-05-04 10:20  b  b1",
    ]  # fmt: skip
    found = history(tmp_path, book_of(promise), story)
    assert found["counted"] == {"conflict": 1, "duplicate": 1}
    assert found["promises"][0]["cycles"][0]["fulfilled_at"] == "2026-05-04T08:20:00.000Z"


def test_lines_that_cannot_be_used_are_told_with_file_and_line(tmp_path: Path) -> None:
    """The rest is told all the same; exit code 65."""
    promise = "{id: p, when: {event: a}, due: {field: f}, expect: {event: b}}"
    path, facts = tmp_path / "book.yaml", tmp_path / "facts.jsonl"
    path.write_text(book_of(promise))
    good = {"event_id": "1", "type": "a", "occurred_at": "2026-05-04T10:00:00Z", "order_id": "A-17", "f": "2026-05-09"}
    lines = [json.dumps(good), '{"event_id": ', "", json.dumps(good | {"event_id": "2", "f": "soon"}),
             json.dumps(good | {"event_id": "3", "occurred_at": "noon"})]  # fmt: skip
    facts.write_text("\n".join(lines) + "\n")
    run = promisewatch("explain", path, "--facts", facts)
    assert run.code == 65
    assert "1: open: due Sat 9 May 2026 23:59" in run.out
    for place in (f"{facts}:2: ", f"{facts}:4: ", f"{facts}:5: "):
        assert place in run.err, run.err
    assert "soon" in run.err
    assert "Traceback" not in run.err


def test_recordings_are_read_as_the_backtest_reads_them(tmp_path: Path) -> None:
    """Compressed, named by their source, several of them: the same answer."""
    case = next(case for case in CASES if case.example == "next-day")
    plain = explain(tmp_path, text("next-day"), case.story)
    packed = tmp_path / "facts.gz"
    packed.write_bytes(gzip.compress((tmp_path / "facts.jsonl").read_bytes()))
    run = promisewatch("explain", tmp_path / "book.yaml", "--facts", f"shop={packed}")
    assert (run.code, run.out) == (0, plain.out)


def test_events_of_several_sources_and_formats_make_one_story(tmp_path: Path) -> None:
    """Paths in JSON and CloudEvents, each recording under its source's name."""
    sources = SOURCE + "  erp: {topic: erp.events, format: cloudevents}\n"
    book, cloud = tmp_path / "book.yaml", tmp_path / "erp.jsonl"
    book.write_text(book_of("{id: p, when: {event: a}, due: {within: 1h}, expect: {event: b}}", sources))
    shop = recording(tmp_path / "shop.jsonl", "order_id", ["2026-05-04 10:00  a  a1"])
    event = {"specversion": "1.0", "id": "b1", "source": "/erp", "type": "b", "time": "2026-05-04T10:30:00+02:00"}
    cloud.write_text(json.dumps(event | {"data": {"order_id": "A-17"}}) + "\n")
    run = promisewatch("explain", book, "--facts", f"shop={shop}", "--facts", f"erp={cloud}", "--output", "json")
    assert run.code == 0, run.err
    (cycle,) = json.loads(run.out)["promises"][0]["cycles"]
    assert (cycle["status"], cycle["steps"][-1]["event"]["source"]) == ("kept", "/erp")
    alone = promisewatch("explain", book, "--facts", shop)
    assert (alone.code, "expected SOURCE=FILE with SOURCE one of shop, erp" in alone.err) == (66, True)


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ([], 2, "--facts"),
        (["--facts", "FACTS", "--event", "{}"], 2, "expected exactly one"),
        (["--event", "{}"], 2, "--promise"),
        (["--event", "{}", "--promise", "p", "--subject", "A-17"], 2, "goes with --facts"),
        (["--facts", "FACTS", "--source", "shop"], 2, "--facts SOURCE=FILE"),
        (["--facts", "FACTS"], 2, "found several subjects, expected --subject with one order_id of A-1, A-2"),
        (
            ["--facts", "FACTS", "--subject", "A-9"],
            2,
            "found no event with the order_id 'A-9', expected one of A-1, A-2",
        ),
        (["--facts", "FACTS", "--subject", "A-1", "--promise", "q"], 2, "found no promise 'q', expected one of p"),
        (["--facts", "FACTS", "--subject", "A-1", "--at", "noon"], 2, "noon"),
        (["--facts", "FACTS", "--subject", "A-1", "--since", "noon"], 2, "noon"),
        (["--facts", "nothing.jsonl"], 66, "nothing.jsonl"),
        (["--facts", "erp=FACTS"], 66, "the book's sources are shop"),
        (["--facts", "EMPTY"], 65, "found no event that a promise of the book names"),
        (["--facts", "BAD"], 65, "BAD:1: "),
    ],
)
def test_what_cannot_be_asked_is_one_message(options: Lines, code: int, said: str, tmp_path: Path) -> None:
    """What was found, what was expected, and the documented exit code."""
    book, facts, empty, bad = (tmp_path / name for name in ("book.yaml", "FACTS", "EMPTY", "BAD"))
    book.write_text(book_of("{id: p, when: {event: a}, due: {within: 1h}, expect: {event: b}}"))
    lines = [sent(happened("2026-05-04 10:00  a  a1"), "order_id", subject) for subject in ("A-1", "A-2")]
    facts.write_text("".join(json.dumps(line) + "\n" for line in lines))
    empty.write_text("")
    bad.write_text("nonsense\n")
    named = [option.replace("FACTS", str(facts)).replace("EMPTY", str(empty)) for option in options]
    run = promisewatch(
        "explain", book, *(option.replace("BAD", str(bad)) if option == "BAD" else option for option in named)
    )
    assert run.code == code, run.err
    said_on = " ".join(run.err.replace("│", " ").split())
    assert said.replace("BAD", str(bad)) in said_on, said_on
    assert "Traceback" not in run.err


def test_a_story_of_many_cycles_is_told_whole(tmp_path: Path) -> None:
    """Each cycle with its own fulfilment, in the order of opening."""
    promise = "{id: p, when: {event: a, again: true}, due: {within: 1h}, expect: {event: b}}"
    story = [
        f"2026-05-04 10:{minute:02d}:{second:02d}  {kind}  {kind}{minute}"
        for minute in range(40)
        for second, kind in ((0, "a"), (30, "b"))
    ]
    cycles = history(tmp_path, book_of(promise), story)["promises"][0]["cycles"]
    by = {
        cycle["cycle"]: [step["event"]["id"] for step in cycle["steps"] if step["step"] == "fulfilled"]
        for cycle in cycles
    }
    assert by == {f"a{minute}": [f"b{minute}"] for minute in range(40)}
