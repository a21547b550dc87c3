"""Books about several kinds of subjects, from several systems: everything that needs no Kafka."""

import json
from pathlib import Path
from typing import Any

import pytest

from promisewatch.direct import reads_facts
from promisewatch.settings.values import InputKind
from schemas.book import parse_book
from schemas.exits import ExitCode
from tests.cli.running import promisewatch
from tests.language import books

TWO = """
sources:
  shop: {topic: shop.events, format: json, id: id, type: type, time: at, events: [paid, told]}
  erp: {topic: erp.events, format: json, id: number, type: {const: booked}, time: booked_at, data: line}
defaults: {timezone: Europe/Amsterdam, key: order_id, settle: 0s}
promises:
- {id: told, when: {event: paid}, due: {within: 1h}, expect: {event: told}}
- {id: booked, key: customer_id, when: {event: paid, again: true}, due: {within: 2h}, expect: {event: booked}}
"""


def line(**fields: Any) -> str:
    return json.dumps(fields) + "\n"


SHOP = [
    line(id="1", type="paid", at="2026-05-04T10:00:00+02:00", order_id="A", customer_id="C"),
    line(id="2", type="paid", at="2026-05-04T11:00:00+02:00", order_id="B", customer_id="C"),
    line(id="3", type="told", at="2026-05-04T10:30:00+02:00", order_id="A"),
    line(id="4", type="paid", at="2026-05-04T12:00:00+02:00", customer_id="D"),
    line(id="5", type="paid", at="2026-05-04T12:00:00+02:00"),
]
ERP = [line(number=7, booked_at="2026-05-04T11:59:00+02:00", line={"customer_id": "C"})]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the book and a recording of each source."""
    (tmp_path / "book.yaml").write_text(TWO)
    (tmp_path / "shop.jsonl").write_text("".join(SHOP))
    (tmp_path / "erp.jsonl").write_text("".join(ERP))
    return tmp_path


def test_an_event_is_a_fact_about_each_subject_that_it_names(place: Path) -> None:
    """The ERP's booking keeps the customer's first promise; a payment without an order is about the customer alone."""
    recordings = [f"shop={place / 'shop.jsonl'}", f"erp={place / 'erp.jsonl'}"]
    found = promisewatch(
        "backtest", "--book", place / "book.yaml", "--as-of", "2026-05-05T00:00:00Z", "--output", "json", *recordings
    )
    verdicts = {(row["promise"], row["subject"], row["cycle"]): row["status"] for row in found.rows()}
    assert verdicts == {
        ("told", "A", "1"): "kept", ("told", "B", "2"): "breached",
        ("booked", "C", "1"): "kept", ("booked", "C", "2"): "breached", ("booked", "D", "4"): "breached",
    }  # fmt: skip
    assert found.code == ExitCode.DATA
    assert f"{place / 'shop.jsonl'}:5: missing_key: key 'customer_id' is missing" in found.err


def test_a_promise_is_explained_by_its_own_key(place: Path) -> None:
    """Of one event, and of all facts of a subject."""
    about = [place / "book.yaml", "--output", "json"]
    found = promisewatch("explain", *about, "--source", "shop", "--promise", "booked", "--event", SHOP[0])
    assert json.loads(found.out)["subject"] == {"key": "customer_id", "value": "C"}
    recordings = [f"--facts=shop={place / 'shop.jsonl'}", f"--facts=erp={place / 'erp.jsonl'}"]
    found = promisewatch("explain", *about, *recordings, "--subject", "C")
    told = json.loads(found.out)
    assert told["subject"] == {"key": "customer_id", "value": "C"}
    assert [one["promise"] for one in told["promises"]] == ["booked"]


def test_a_worker_that_is_to_read_one_topic_refuses_such_a_book(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads one topic, keyed by one key: anything else would silently not be watched."""
    monkeypatch.chdir(place)
    options = ["--book", "book.yaml", "--bootstrap-server", "127.0.0.1:1", "--input", "direct", "--http-port", "off"]
    found = promisewatch("worker", *options)
    assert found.code == ExitCode.CONFIG
    assert "book.yaml: found 2 sources (shop, erp), expected one: in direct mode a worker reads one topic" in found.err
    one = TWO.split("  erp:", maxsplit=1)[0] + TWO[TWO.index("defaults:") :].replace("event: booked", "event: told")
    (place / "book.yaml").write_text(one)
    found = promisewatch("worker", *options)
    assert found.code == ExitCode.CONFIG
    assert "book.yaml: found 2 keys (order_id, customer_id), expected one" in found.err


def test_the_worker_reads_facts_where_it_has_to_or_is_told_to() -> None:
    """Whatever one worker can read by itself needs no ingest."""
    two = parse_book(TWO, "book.yaml")
    one = parse_book(TWO.split("  erp:", maxsplit=1)[0] + TWO[TWO.index("defaults:") : TWO.index("- {id: booked")])
    found = [reads_facts(book, mode) for book in (one, two) for mode in (InputKind.AUTO, InputKind.FACTS)]
    assert found == [False, True, True, True]
    assert not reads_facts(one, InputKind.DIRECT)


def test_all_worked_examples_are_one_book(tmp_path: Path) -> None:
    """As written, promises about orders, customers, invoices, cases and subscriptions together."""
    path = tmp_path / "book.yaml"
    path.write_text(books.whole())
    found = promisewatch("lint", path)
    assert (found.code, found.err) == (0, "")
