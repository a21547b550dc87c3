"""What a command line may be given by mistake or by a newer version: one clear message, a documented exit code."""

import re
from pathlib import Path

import pytest

from tests.cli.running import promisewatch

BOOK = """
sources: {shop: {topic: shop, format: json, id: id, type: type, time: at}}
defaults: {timezone: Europe/Amsterdam, key: order_id}
promises:
- {id: told, when: {event: placed}, due: {within: 15m}, expect: {event: told}}
"""
COMMANDS = [
    "lint", "diff", "explain", "backtest", "worker", "notifier", "topics", "status", "feed", "redrive", "migrate",
    "kafka", "demo", "config",
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_flag_is_a_wrong_command_line(command: str) -> None:
    """Exit code 2 with the flag's name, before anything is done."""
    run = promisewatch(command, "--bootstrap-servr", "x:1")
    assert run.code == 2
    assert "No such option" in run.err
    assert "--bootstrap-servr" in run.err
    assert "Traceback" not in run.err


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("due: {within: 15m}", "due: {within: 15m, grace: 5m}", "5:56: unknown key 'grace'"),
        ("when: {event: placed}", "when: {event: placed, sentiment: angry}", "5:36: unknown key 'sentiment'"),
        ("promises:", "language: 2\npromises:", "4:1: unknown key 'language'"),
        ("expect: {event: told}}", "expect: {event: told}, compensate: voucher}", "5:80: unknown key 'compensate'"),
    ],
)
def test_a_book_for_a_newer_promisewatch_is_refused_with_the_place_of_what_is_new(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    """Never ignored: a condition that is not understood would make promises of other orders than were meant."""
    book = tmp_path / "book.yaml"
    book.write_text(BOOK.replace(old, new))
    run = promisewatch("lint", book)
    assert run.code == 1
    (line,) = run.out.splitlines()
    assert line.startswith(f"{book}:{problem}; expected one of ")
    assert line.endswith("; a newer promisewatch may know it")


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        ("{n: .inf}", "found inf, expected one value: text, a number, true, false or null"),
        ("{n: [1]}", "expected one value: text, a number, true, false or null"),
        (f"{{n: {'x' * 501}}}", "expected at most 500 characters"),
        (f"{{n: 1{'0' * 400}}}", "expected a number within the range of a double"),
    ],
)
def test_a_condition_that_no_event_could_meet_is_refused(tmp_path: Path, where: str, problem: str) -> None:
    """Such values are not kept of an event: the promise would silently concern nobody."""
    book = tmp_path / "book.yaml"
    book.write_text(BOOK.replace("{event: placed}", f"{{event: placed, where: {where}}}"))
    run = promisewatch("lint", book)
    assert (run.code, len(run.out.splitlines())) == (1, 1)
    assert problem in run.out


def test_a_recording_full_of_garbage_is_judged_by_what_can_be_used(tmp_path: Path) -> None:
    """Every other line is named with its reason; none ends the command."""
    good = b'{"id":"1","type":"placed","at":"2026-04-24T10:00:00Z","order_id":"A"}'
    bad = [
        b"x", b"\xff\xfe", b"[" * 100_000, b"\xef\xbb\xbf" + good, good.replace(b'"A"', b'"\\u001f"'),
        good.replace(b'"A"', b"1" + b"0" * 600), good.replace(b"2026-04-24", b"0000-00-00"),
        good.replace(b'"1"', b"1e400"), good.replace(b"2026-04-24T10:00:00Z", b"9" * 1_000_000),
    ]  # fmt: skip
    book, recording = tmp_path / "book.yaml", tmp_path / "events.jsonl"
    book.write_text(BOOK)
    recording.write_bytes(b"\n".join([*bad, good]) + b"\n")
    run = promisewatch("backtest", "--book", book, "--as-of", "2026-05-01T00:00:00Z", "--output", "json", recording)
    assert [(row["subject"], row["status"]) for row in run.rows()] == [("A", "breached")]
    assert {int(number) for number in re.findall(r"events\.jsonl:(\d+): ", run.err)} <= set(range(1, len(bad) + 1))
    assert "Traceback" not in run.err
    assert len(run.err) < 10_000
