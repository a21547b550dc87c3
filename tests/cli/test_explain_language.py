"""`promisewatch explain` for every construct of the promise language: what keeps, breaks, ends, moves or pauses it."""

# ruff: noqa: E501 - a row of a table stays one line

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import promisewatch
from tests.language.books import text_of

AT = "2026-04-24T16:50:00+02:00"
KEYS = {"complaint-10bd": "case_id", "no-dunning": "invoice_id"}


def explain(tmp_path: Path, promise: str, kind: str, *options: str, **data: Any) -> Any:
    book = tmp_path / "book.yaml"
    book.write_text(text_of(promise))
    event = {"event_id": "1", KEYS.get(promise, "order_id"): "c", "type": kind, "occurred_at": AT} | data
    return promisewatch("explain", book, "--promise", promise, "--event", json.dumps(event), *options)


@pytest.mark.parametrize(
    ("promise", "kind", "data", "said"),
    [
        ("two-sims", "appointment.made", {"sims": 2, "slot_start": "2026-05-01T12:00:00Z", "slot_end": "2026-05-01T14:00:00Z"}, [
            "kept by:       2 x sim.delivered with different sim_id, from 2026-05-01T12:00:00.000Z until the due",
            "moved by:      appointment.moved to its slot_end, once at most",
        ]),
        ("complaint-10bd", "complaint.received", {}, [
            "due:           Mon 11 May 2026 17:00",
            "paused by:     info.requested until info.received, for 30d at most",
        ]),
        ("no-dunning", "correction.agreed", {}, [
            "broken by:     dunning.sent, after the event until the due, but for what comes after invoice.corrected",
            "proved:        a breach, 2m after the forbidden event; that it is kept, 2026-06-23T14:52:00.001Z at the earliest",
        ]),
        ("stuck-4h", "order.status", {"status": "paid"}, ["kept by:       another status than the event's own"]),
        ("same-price", "payment.charged", {"cents": 5}, [
            "kept by:       p.cents == q.cents, with p of payment.charged, q of quote.accepted, from 2026-04-24T14:50:00.000Z",
        ]),
        ("next-day", "order.placed", {"speed": "next"}, ["at risk:       2026-04-25T15:59:59.999Z (-6h)"]),
    ],
)  # fmt: skip
def test_what_may_become_of_a_promise_is_told(
    promise: str, kind: str, data: dict[str, Any], said: list[str], tmp_path: Path
) -> None:
    """One row each, in the words of the book."""
    run = explain(tmp_path, promise, kind, **data)
    assert run.code == 0, run.err
    for words in said:
        assert words in run.out


@pytest.mark.parametrize(
    ("promise", "kind", "data", "opens_with"),
    [
        ("two-sims", "appointment.made", {"sims": 1}, "appointment.made where data.sims == 2"),
        ("stuck-4h", "order.status", {"status": "new"}, 'order.status, when status becomes "paid" or "picking"'),
        ("refund-14d", "order.placed", {"speed": "next"}, "a breach of next-day"),
    ],
)
def test_what_would_have_opened_it_is_told(
    promise: str, kind: str, data: dict[str, Any], opens_with: str, tmp_path: Path
) -> None:
    """A condition, a status that is entered, another promise's breach."""
    run = explain(tmp_path, promise, kind, **data)
    assert run.code == 1
    assert f"{promise} opens with {opens_with} [not_an_opening]" in run.out


@pytest.mark.parametrize(("at", "status"), [("2026-06-01T00:00:00Z", "open"), ("2026-07-01T00:00:00Z", "kept")])
def test_a_prohibition_is_kept_when_nothing_comes(at: str, status: str, tmp_path: Path) -> None:
    """The same silence that breaks other promises."""
    run = explain(tmp_path, "no-dunning", "correction.agreed", "--at", at, "--output", "json")
    found = json.loads(run.out)
    assert (found["verdict"]["status"], found["awaited"]) == (status, None)
    assert found["forbidden"] == {
        "event": "dunning.sent",
        "where": {},
        "unless": {"event": "invoice.corrected", "where": {}},
        "until": "2026-06-23T14:50:00.000Z",
    }
