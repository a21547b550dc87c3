"""`promisewatch explain` as a user runs it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import ROOT, Run, promisewatch, promisewatch_process

WEBSHOP = ROOT / "examples" / "webshop" / "book.yaml"


def placed(at: str, **data: Any) -> str:
    event = {"event_id": "e1", "type": "order.placed", "order_id": "A-17", "occurred_at": at, "speed": "next"}
    return json.dumps(event | data)


def explain(event: str, *options: str, promise: str = "next-day") -> Run:
    return promisewatch("explain", WEBSHOP, "--promise", promise, "--event", event, *options)


def explained(event: str, *options: str, promise: str = "next-day") -> dict[str, Any]:
    run = explain(event, *options, "--output", "json", promise=promise)
    assert run.code == 0, run.err
    return dict(json.loads(run.out))


def test_the_due_is_explained_step_by_step_in_local_time() -> None:
    """Cut-off, skipped Sunday, holiday by name, end of day, zone and UTC: what an employee needs to retell it."""
    run = explain(placed("2026-04-24T18:00:00+02:00"))
    assert run.code == 0, run.err
    for said in (
        "Europe/Amsterdam", "Fri 24 Apr 2026 18:00", "cut-off", "Sunday", "King's Day", "end of that day",
        "Tue 28 Apr 2026 23:59", "2026-04-28T21:59:59.999Z", "parcel.delivered", "order.cancelled",
    ):  # fmt: skip
        assert said in run.out, said


@pytest.mark.parametrize(
    ("placed_at", "due"),
    [
        ("2026-04-24T17:59:59+02:00", "2026-04-25T21:59:59.999Z"),
        ("2026-04-24T18:00:00+02:00", "2026-04-28T21:59:59.999Z"),
        ("2026-12-24T18:30:00+01:00", "2026-12-29T22:59:59.999Z"),
    ],
)
def test_the_due_is_that_of_the_calendar(placed_at: str, due: str) -> None:
    """Before the cut-off, at it, and over Christmas."""
    assert explained(placed(placed_at))["due"] == due


def test_the_breach_is_proved_once_the_due_has_settled() -> None:
    """Not before settle (3 h in this book) has gone by after the due, and then only past it."""
    found = explained(placed("2026-04-24T12:00:00+02:00"))
    assert (found["due"], found["settle"]) == ("2026-04-25T21:59:59.999Z", "3h")
    assert found["proved_from"] == "2026-04-26T01:00:00.000Z"
    assert found["verdict"] is None


@pytest.mark.parametrize(
    ("at", "status"),
    [
        ("2026-04-24T09:00:00Z", None),
        ("2026-04-24T10:00:00Z", "open"),
        ("2026-04-26T00:59:59.999Z", "open"),
        ("2026-04-26T01:00:00Z", "breached"),
        ("2026-04-26T03:00:00", "breached"),
    ],
)
def test_with_an_instant_the_verdict_of_then_is_told(at: str, status: str | None) -> None:
    """Nothing before it opened, open until the breach is proved; without an offset the instant is local."""
    assert explained(placed("2026-04-24T12:00:00+02:00"), "--at", at)["verdict"]["status"] == status


def test_the_event_may_come_from_a_file_or_standard_input(tmp_path: Path) -> None:
    """All three ways give the same answer."""
    event = placed("2026-04-24T12:00:00+02:00")
    path = tmp_path / "event.json"
    path.write_text(json.dumps(json.loads(event), indent=2))
    piped = promisewatch("explain", WEBSHOP, "--promise", "next-day", "--event", "-", "--output", "json", stdin=event)
    assert json.loads(piped.out) == explained(str(path)) == explained(event)


@pytest.mark.parametrize(
    ("event", "promise", "reason", "said"),
    [
        (placed("2026-04-24T12:00:00Z", speed="slow"), "next-day", "not_an_opening", 'speed = "next"'),
        (placed("2026-04-24T12:00:00Z"), "pickup-2d", "not_an_opening", "order.shipped"),
    ],
)
def test_an_event_that_opens_nothing_is_told_why(event: str, promise: str, reason: str, said: str) -> None:
    """Exit code 1, with what would have opened the promise."""
    run = explain(event, "--output", "json", promise=promise)
    assert run.code == 1
    found = json.loads(run.out)
    assert (found["opens"], found["reason"], found["due"]) == (False, reason, None)
    assert said in found["message"]
    assert said in explain(event, promise=promise).out


VERSIONS = """\
sources:
  visits: {topic: visits, format: json, id: id, type: type, time: at, frontier: markers}
defaults: {timezone: Europe/Amsterdam, key: case}
promises:
  - id: visit
    version: 2
    effective_from: "2026-05-01T00:00:00+02:00"
    when: {event: visit.booked}
    due: {field: slot, offset: -1h}
    expect: {event: visit.announced}
"""


@pytest.mark.parametrize(
    ("at", "slot", "reason"),
    [
        ("2026-04-30T23:59:59+02:00", "2026-05-02T09:00:00", "not_effective"),
        ("2026-05-01T00:00:00+02:00", None, "no_due"),
        ("2026-05-02T08:30:00+02:00", "2026-05-02T09:00:00", "born_overdue"),
        ("2026-05-02T08:00:00+02:00", "2026-05-02T09:00:00", None),
    ],
)
def test_why_a_promise_does_not_open(at: str, slot: str | None, reason: str | None, tmp_path: Path) -> None:
    """A version not in force yet, a payload without the due, and a due before the event itself."""
    book = tmp_path / "book.yaml"
    book.write_text(VERSIONS)
    event = json.dumps({"id": 1, "type": "visit.booked", "case": "c", "at": at, "slot": slot})
    run = promisewatch("explain", book, "--promise", "visit", "--event", event, "--output", "json")
    found = json.loads(run.out)
    assert (run.code, found["reason"]) == (0 if reason is None else 1, reason)
    assert found["proved_from"] is None


@pytest.mark.parametrize(
    ("event", "options", "code", "said"),
    [
        ("missing.json", [], 66, "missing.json"),
        ('{"type": ', [], 65, "JSON"),
        (placed("2026-04-24"), [], 65, "2026-04-24"),
        (placed("2026-04-24T12:00:00Z", type="stock.counted"), [], 65, "no promise"),
        (placed("2026-04-24T12:00:00Z"), ["--at", "noon"], 2, "noon"),
        (placed("2026-04-24T12:00:00Z"), ["--source", "erp"], 2, "shop"),
        (placed("2026-04-24T12:00:00Z"), ["--promise", "nextday"], 2, "next-day"),
    ],
)
def test_what_cannot_be_used_is_one_message(event: str, options: list[str], code: int, said: str) -> None:
    """What was found and expected, and the documented exit code."""
    run = explain(event, *options)
    assert run.code == code, run.err
    assert said in run.err
    assert "Traceback" not in run.err


def test_the_command_runs_as_a_process() -> None:
    """With the same answer as within this process."""
    event = placed("2026-04-24T12:00:00Z")
    run = promisewatch_process("explain", WEBSHOP, "--promise", "confirm-15m", "--event", event)
    assert (run.code, run.err) == (0, "")
    assert run.out == explain(event, promise="confirm-15m").out
