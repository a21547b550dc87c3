"""`promisewatch lint` as a user runs it."""

import json
import re
from pathlib import Path

import pytest

from tests.cli.running import ROOT, promisewatch, promisewatch_process

WEBSHOP = ROOT / "examples" / "webshop" / "book.yaml"
WRONG_BOOK = """\
sources:
  shop: {topic: shop.events, format: json, id: event_id, type: type, time: occurred_at}
defaults: {timezone: Europe/Amsterdam, key: order_id}
promises:
  - id: confirm
    when: {event: order.placed}
    due: {within: soon}
    expect: {event: message.sent}
  - id: deliver
    when: {event: order.placed}
    due: {plus: 1, unit: day, calendar: carrier}
    expect: {event: parcel.delivered}
    warn: [6h]
    colour: red
"""


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.yaml"
    path.write_text(WRONG_BOOK)
    return path


def test_a_good_book_is_in_order() -> None:
    """Exit code 0, and one line that says so."""
    run = promisewatch("lint", WEBSHOP)
    assert (run.code, run.err) == (0, "")
    assert run.out == f"{WEBSHOP}: ok, 3 promises\n"


def test_every_error_is_shown_at_once_with_its_place(wrong: Path) -> None:
    """One line an error, FILE:LINE:COLUMN: message, in the order of the file; exit code 1."""
    run = promisewatch("lint", wrong)
    assert run.code == 1
    found = [re.fullmatch(r"(.+?):(\d+):(\d+): (.+)", line) for line in run.out.splitlines()]
    assert all(found), run.out
    places = [(match[1], int(match[2])) for match in found if match]
    assert places == [(str(wrong), line) for line in (7, 11, 13, 14)]
    messages = [match[4] for match in found if match]
    assert "soon" in messages[0]
    assert "carrier" in messages[1]
    assert "-6h" in messages[2]
    assert "colour" in messages[3]
    assert run.err == f"{wrong}: 4 errors\n"


def test_programs_get_the_same_as_json(wrong: Path) -> None:
    """`--output json` is one document with the place and message of each problem."""
    run = promisewatch("lint", wrong, WEBSHOP, "--output", "json")
    assert run.code == 1
    document = json.loads(run.out)
    assert document["ok"] is False
    bad, good = document["books"]
    assert (good["ok"], good["problems"], good["promises"]) == (True, [], 3)
    assert [problem["line"] for problem in bad["problems"]] == [7, 11, 13, 14]
    assert {key for problem in bad["problems"] for key in problem} == {"file", "line", "column", "message"}


def test_a_missing_book_is_told_from_a_wrong_one(wrong: Path, tmp_path: Path) -> None:
    """Exit code 66 names the file that is not there; the other books are checked nevertheless."""
    missing = tmp_path / "missing.yaml"
    run = promisewatch("lint", missing, wrong)
    assert run.code == 66
    assert str(missing) in run.err
    assert f"{wrong}:7:" in run.out
    assert "Traceback" not in run.err


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"promises: [", b"- 1\n- 2\n", b"42"])
def test_what_is_no_book_at_all_is_said_in_one_line(content: bytes, tmp_path: Path) -> None:
    """Empty files, binary files, broken YAML and YAML of another shape are errors with a place, not tracebacks."""
    path = tmp_path / "book.yaml"
    path.write_bytes(content)
    run = promisewatch("lint", path)
    assert run.code == 1
    assert re.match(rf"{re.escape(str(path))}:\d+:\d+: ", run.out)
    assert "Traceback" not in run.err


def test_without_a_book_the_usage_is_shown() -> None:
    """Exit code 2, as for any wrong command line."""
    assert promisewatch("lint").code == 2


def test_the_command_runs_as_a_process(wrong: Path) -> None:
    """As a compiler does: problems on standard output, their number on standard error, exit code 1."""
    run = promisewatch_process("lint", wrong)
    assert (run.code, run.out) == (1, promisewatch("lint", wrong).out)
    assert run.err == f"{wrong}: 4 errors\n"
