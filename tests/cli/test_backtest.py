"""`promisewatch backtest` as a user runs it."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests.cli.running import ROOT, promisewatch, promisewatch_process

WEBSHOP = ROOT / "examples" / "webshop" / "book.yaml"
AS_OF = "2026-04-29T12:00:00+02:00"


def event(number: int, kind: str, order: str, at: str, **data: Any) -> str:
    """A line of a recording of the web shop."""
    return json.dumps({"event_id": f"e{number}", "type": kind, "order_id": order, "occurred_at": at, **data})


def order_events() -> list[str]:
    """Five orders for next-day delivery, none of them confirmed: one of each status."""
    return [
        event(1, "order.placed", "kept", "2026-04-24T17:59:59+02:00", speed="next"),
        event(2, "order.placed", "late", "2026-04-24T17:59:59+02:00", speed="next"),
        event(3, "order.placed", "never", "2026-04-24T17:59:59+02:00", speed="next"),
        event(4, "order.placed", "released", "2026-04-24T18:00:00+02:00", speed="next"),
        event(5, "order.cancelled", "released", "2026-04-25T09:00:00+02:00"),
        event(6, "parcel.delivered", "kept", "2026-04-25T23:59:59.999+02:00"),
        event(7, "parcel.delivered", "late", "2026-04-26T00:00:00.000+02:00"),
        event(8, "order.placed", "open", "2026-04-29T11:50:00+02:00", speed="next"),
        event(9, "parcel.delivered", "never", "2026-04-29T12:00:00.001+02:00"),
    ]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "shop.jsonl"
    path.write_text("\n".join(order_events()) + "\n")
    return path


def backtest(*files: str | Path, as_of: str = AS_OF) -> list[dict[str, Any]]:
    run = promisewatch("backtest", "--book", WEBSHOP, "--as-of", as_of, "--output", "json", *files)
    assert run.code == 0, run.err
    return run.rows()


def test_each_status_is_a_json_line(recording: Path) -> None:
    """Seven fields a line: instants as RFC 3339, null where there is none, the cycle named by its opening event."""
    rows = {row["subject"]: row for row in backtest(recording) if row["promise"] == "next-day"}
    due = "2026-04-25T21:59:59.999Z"
    opened = {"promise": "next-day", "opened_at": "2026-04-24T15:59:59.000Z", "due": due}
    kept = {"subject": "kept", "cycle": "e1", "status": "kept", "fulfilled_at": due}
    late = {"subject": "late", "cycle": "e2", "status": "fulfilled_late", "fulfilled_at": "2026-04-25T22:00:00.000Z"}
    never = {"subject": "never", "cycle": "e3", "status": "breached", "fulfilled_at": None}
    assert rows["kept"] == opened | kept
    assert rows["late"] == opened | late
    assert rows["never"] == opened | never
    assert (rows["released"]["status"], rows["released"]["due"]) == ("released", "2026-04-28T21:59:59.999Z")
    assert (rows["open"]["status"], rows["open"]["due"]) == ("open", "2026-04-30T21:59:59.999Z")
    assert len(rows) == 5


def test_a_due_equal_to_the_instant_is_open_and_later_events_are_ignored(recording: Path) -> None:
    """The frontier is the as-of instant: due then is not yet overdue, and what comes after it is not known."""
    due = "2026-04-25T21:59:59.999Z"
    at_due = {row["subject"]: row["status"] for row in backtest(recording, as_of=due) if row["promise"] == "next-day"}
    assert at_due == {"kept": "kept", "late": "open", "never": "open", "released": "released"}
    after = backtest(recording, as_of="2026-04-25T22:00:00Z")
    statuses = {row["subject"]: row["status"] for row in after if row["promise"] == "next-day"}
    assert statuses == {"kept": "kept", "late": "fulfilled_late", "never": "breached", "released": "released"}


def test_verdicts_do_not_fade(recording: Path) -> None:
    """As of years later, when a live worker has forgotten the orders, everything is settled and still reported."""
    statuses = {
        row["subject"]: row["status"] for row in backtest(recording, as_of="2036-01-01T00:00:00Z")
        if row["promise"] == "next-day"
    }  # fmt: skip
    late = {"late": "fulfilled_late", "never": "fulfilled_late"}
    assert statuses == {"kept": "kept", "released": "released", "open": "breached"} | late


def test_compression_order_and_parts_change_nothing(recording: Path, tmp_path: Path) -> None:
    """Plain, gzip and zstd files, in parts and in any order, give the same lines."""
    lines = recording.read_bytes().splitlines(keepends=True)
    first, second = tmp_path / "b.jsonl.gz", tmp_path / "a.jsonl.zst"
    first.write_bytes(gzip.compress(b"".join(reversed(lines[4:]))))
    second.write_bytes(zstandard.compress(b"".join(lines[:6])))
    assert backtest(f"shop={second}", first) == backtest(recording)
    assert backtest(first, second) == backtest(recording)


def test_the_table_counts_each_status(recording: Path) -> None:
    """One row a promise with its counts and the share kept, and the worst cases below it."""
    run = promisewatch("backtest", "--book", WEBSHOP, "--as-of", AS_OF, recording)
    assert run.code == 0, run.err
    table, _, worst = run.out.partition("\n\n")
    rows = {line.split()[0]: line.split()[1:] for line in table.splitlines()}
    assert rows["promise"] == ["open", "kept", "fulfilled_late", "breached", "released", "kept", "rate"]
    assert rows["next-day"] == ["1", "1", "1", "1", "1", "33.3%"]
    assert rows["confirm-15m"] == ["1", "0", "0", "4", "0", "0.0%"]
    assert rows["pickup-2d"] == ["0", "0", "0", "0", "0", "-"]
    assert worst.splitlines()[1].split() == [
        "confirm-15m", "kept", "2026-04-24T16:14:59.000Z", "breached", "4", "d", "17", "h"
    ]  # fmt: skip


def test_a_long_subject_is_shown_in_full(tmp_path: Path) -> None:
    """Nobody can look up half an order number."""
    subject = "0123456789abcdef" * 4
    path = tmp_path / "shop.jsonl"
    path.write_text(event(1, "order.placed", subject, "2026-04-24T12:00:00Z") + "\n")
    run = promisewatch("backtest", "--book", WEBSHOP, "--as-of", AS_OF, path)
    assert f" {subject} " in run.out


def test_bad_lines_are_named_and_the_rest_is_judged(recording: Path) -> None:
    """Unusable lines are reported with file, line and reason; the results are printed all the same; exit code 65."""
    good = backtest(recording)
    lines = recording.read_text().splitlines()
    lines[2:2] = ["{broken", json.dumps({"type": "order.placed", "order_id": "x", "occurred_at": AS_OF}), ""]
    recording.write_text("\n".join(lines))
    run = promisewatch("backtest", "--book", WEBSHOP, "--as-of", AS_OF, "--output", "json", recording)
    assert run.code == 65
    assert run.rows() == good
    assert f"{recording}:3: " in run.err
    assert f"{recording}:4: " in run.err
    assert "2 bad lines" in run.err


def test_many_bad_lines_are_counted_not_listed(tmp_path: Path) -> None:
    """Only the first few bad lines are shown."""
    path = tmp_path / "bad.jsonl"
    path.write_text("nonsense\n" * 1000)
    run = promisewatch("backtest", "--book", WEBSHOP, "--as-of", AS_OF, path)
    assert run.code == 65
    assert "1,000 bad lines" in run.err
    assert len(run.err.splitlines()) < 30


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--as-of", "yesterday", "{recording}"], 2, "yesterday"),
        (["--as-of", AS_OF, "{missing}"], 66, "missing.jsonl"),
        (["--as-of", AS_OF, "warehouse={recording}"], 66, "shop"),
        (["--as-of", AS_OF], 2, "FILE"),
        (["{recording}"], 2, "--as-of"),
    ],
)
def test_a_wrong_command_line_is_one_message(
    arguments: list[str], code: int, said: str, recording: Path, tmp_path: Path
) -> None:
    """What was found and expected, and the documented exit code."""
    names = {"recording": str(recording), "missing": str(tmp_path / "missing.jsonl")}
    run = promisewatch("backtest", "--book", WEBSHOP, *[argument.format(**names) for argument in arguments])
    assert run.code == code, run.err
    assert said in run.err
    assert "Traceback" not in run.err


def test_a_cut_off_file_is_no_result(recording: Path, tmp_path: Path) -> None:
    """A damaged file ends with exit code 66: verdicts over half the events would be wrong, so none is printed."""
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(recording.read_bytes())[:-40])
    run = promisewatch("backtest", "--book", WEBSHOP, "--as-of", AS_OF, "--output", "json", cut)
    assert run.code == 66
    assert run.out == ""
    assert str(cut) in run.err


def test_standard_output_holds_nothing_but_results(recording: Path) -> None:
    """As a process: JSON lines on standard output, the summary on standard error."""
    run = promisewatch_process("backtest", "--book", WEBSHOP, "--as-of", AS_OF, "--output", "json", recording)
    assert run.code == 0
    assert run.rows() == backtest(recording)
    assert "9 events" in run.err
