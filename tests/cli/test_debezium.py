"""Recordings of change events: every command that reads events reads them."""

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.exits import ExitCode
from tests.cli.running import promisewatch

BOOK = """
sources: {erp: {topic: erp.public.orders, format: debezium, heartbeat: 1h, doubt: {dead_letters: 20}}}
defaults: {timezone: Europe/Amsterdam, key: id}
promises:
- {id: shipped, when: {event: orders.created}, due: {field: promised_at},
   expect: {event: orders.updated, where: {status: shipped}}, release: {event: orders.deleted}}
"""
COMMITTED_MS = 1_777_046_399_123


def change(op: str, number: int, seconds: int, **columns: Any) -> dict[str, Any]:
    """A row of a PostgreSQL table, promised for an hour after it was written."""
    at = COMMITTED_MS + seconds * 1_000
    row = {"id": number, "status": "new", "promised_at": (COMMITTED_MS + 3 * 3_600_000) * 1_000, **columns}
    before, after = (row, None) if op == "d" else (None, row)
    source = {"version": "3.0.5.Final", "connector": "postgresql", "ts_ms": at, "table": "orders", "lsn": 100 + seconds}
    return {"before": before, "after": after, "source": source, "op": op, "ts_ms": at + 5, "transaction": None}


EVENTS = [
    change("c", 1, 0),
    change("c", 2, 1),
    change("u", 1, 60, status="shipped"),
    {"schema": {"type": "struct"}, "payload": change("c", 3, 61)},
    change("d", 3, 62),
    None,  # the tombstone behind it, as a consumer on the command line writes it
    change("t", 0, 63),
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the book and a recording."""
    (tmp_path / "book.yaml").write_text(BOOK)
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in EVENTS))
    return tmp_path


def test_a_backtest_reads_change_events(place: Path) -> None:
    """Kept by a row that changed, released by one that was deleted, broken by one to which nothing happened."""
    assert promisewatch("lint", place / "book.yaml").code == ExitCode.OK
    arguments = ["--book", place / "book.yaml", "--as-of", "2026-04-25T00:00:00Z", "--output", "json"]
    run = promisewatch("backtest", *arguments, place / "events.jsonl")
    assert run.code == ExitCode.OK, run.err
    statuses = {row["subject"]: row["status"] for row in run.rows() if "subject" in row}
    assert statuses == {"1": "kept", "2": "breached", "3": "released"}


def test_explain_says_how_a_due_in_a_column_comes_about(place: Path) -> None:
    """Microseconds of a column without a time zone, as the local time that they are."""
    event = json.dumps(EVENTS[0])
    run = promisewatch("explain", place / "book.yaml", "--promise", "shipped", "--event", event, "--output", "json")
    assert run.code == ExitCode.OK, run.err
    assert json.loads(run.out)["due"] == "2026-04-24T16:59:59.123Z"


def test_explain_tells_what_became_of_a_row(place: Path) -> None:
    """By its key, from the recording."""
    run = promisewatch("explain", place / "book.yaml", "--facts", place / "events.jsonl", "--subject", "1")
    assert run.code == ExitCode.OK, run.err
    assert "kept by orders.updated" in run.out
