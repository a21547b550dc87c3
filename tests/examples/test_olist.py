"""The Olist example against SQL over the same events. Without the shared data these tests are skipped, visibly."""

import gzip
import json
import random
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import duckdb
import pytest

from tests.cli.running import ROOT, promisewatch

EVENTS, TRUTH = "olist.events.jsonl.gz", "olist.truth.csv.gz"
BOOK = ROOT / "examples" / "olist" / "book.yaml"
AS_OF = "2018-10-31T00:00:00-03:00"
STATUS = {"met": "kept", "late": "fulfilled_late", "overdue_open": "breached", "pending": "open"}

EARLIER = [
    "2016-10-13T13:36:59-03:00",  # a parcel is handed over at this very instant, which is its due
    "2017-11-24T23:59:59-03:00",  # the busiest day
    "2018-02-06T00:00:00-03:00",  # the due of parcels that never came
    "2018-02-06T00:00:00.001-03:00",  # a millisecond later they are proved missing
    "2018-08-24T12:00:00-03:00",
]
TIE, AFTER_TIE = EARLIER[2], EARLIER[3]
HANDED_OVER_WHEN_DUE = 1_476_376_619_000


class Verdict(NamedTuple):
    """One cycle's verdict, instants in UTC milliseconds."""

    due: int
    status: str
    fulfilled_at: int | None


Verdicts = dict[tuple[str, str], Verdict]


def milliseconds(text: str | None) -> int | None:
    return None if text is None else round(datetime.fromisoformat(text).timestamp() * 1000)


def backtest(events: Path, as_of: str) -> Verdicts:
    """What promisewatch says, by (promise, order)."""
    run = promisewatch("backtest", "--book", BOOK, "--as-of", as_of, "--output", "json", f"olist={events}")
    assert run.code == 0, run.err
    rows = run.rows()
    verdicts = {
        (row["promise"], row["subject"]): Verdict(
            milliseconds(row["due"]), row["status"], milliseconds(row["fulfilled_at"])
        )
        for row in rows
    }
    assert len(verdicts) == len(rows)
    return verdicts


VERDICTS_SQL = """
with known as (select * from events where occurred_at <= $as_of::timestamptz),
opened as (
    select 'approve_24h' as promise, order_id, occurred_at, occurred_at + interval 24 hour as due,
           'payment_approved' as awaited, occurred_at - interval 5 minute as since
    from known where type = 'order_placed'
    union all
    select 'ship_by', order_id, occurred_at, ship_by_at, 'handed_to_carrier', '-infinity'::timestamptz
    from known where type = 'payment_approved' and ship_by_at is not null
    union all
    select 'deliver_by', order_id, occurred_at, promised_delivery_at, 'delivered', occurred_at - interval 5 minute
    from known where type = 'order_placed' and promised_delivery_at is not null),
judged as (
    select promise, opened.order_id, due, min(known.occurred_at) as fulfilled_at
    from opened left join known
      on known.order_id = opened.order_id and known.type = awaited and known.occurred_at >= since
    group by promise, opened.order_id, due)
select promise, order_id, epoch_ms(due),
       case when fulfilled_at <= due then 'kept'
            when fulfilled_at is not null then 'fulfilled_late'
            when due < $as_of::timestamptz then 'breached'
            else 'open' end,
       epoch_ms(fulfilled_at)
from judged
"""


@pytest.fixture(scope="module")
def database(shared_data: Path) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    columns = "event_id: 'VARCHAR', order_id: 'VARCHAR', type: 'VARCHAR', occurred_at: 'TIMESTAMPTZ', "
    columns += "ship_by_at: 'TIMESTAMPTZ', promised_delivery_at: 'TIMESTAMPTZ'"
    reader = f"read_json('{shared_data / EVENTS}', format = 'newline_delimited', columns = {{{columns}}})"
    connection.execute(f"create table events as from {reader}")
    return connection


def truth(database: duckdb.DuckDBPyConnection, as_of: str) -> Verdicts:
    """What SQL says, by (promise, order)."""
    rows = database.execute(VERDICTS_SQL, {"as_of": as_of}).fetchall()
    return {(promise, order): Verdict(*rest) for promise, order, *rest in rows}


@pytest.fixture(scope="module")
def in_order(shared_data: Path) -> Verdicts:
    return backtest(shared_data / EVENTS, AS_OF)


def test_every_row_of_the_published_truth_is_matched(in_order: Verdicts, shared_data: Path) -> None:
    """All 23,630 dues, statuses and fulfilments are those that were computed from the source tables."""
    columns = "promise, order_id, epoch_ms(deadline::timestamptz), status, epoch_ms(fulfilled_at::timestamptz)"
    rows = duckdb.sql(f"select {columns} from read_csv('{shared_data / TRUTH}')").fetchall()
    published = {(promise, order): Verdict(due, STATUS[status], at) for promise, order, due, status, at in rows}
    assert len(published) == 23_630
    assert in_order == published


@pytest.mark.parametrize("as_of", EARLIER)
def test_an_earlier_instant_gives_what_was_known_then(
    database: duckdb.DuckDBPyConnection, shared_data: Path, as_of: str
) -> None:
    """As of any instant the verdicts are those of SQL over the events up to it."""
    expected = truth(database, as_of)
    assert backtest(shared_data / EVENTS, as_of) == expected


def test_a_due_equal_to_the_instant_is_still_open(database: duckdb.DuckDBPyConnection) -> None:
    """The instants above do contain the tie: open when due, proved breached a millisecond later."""
    tie = milliseconds(TIE)
    before, after = truth(database, TIE), truth(database, AFTER_TIE)
    tied = [cycle for cycle, verdict in before.items() if verdict.due == tie and verdict.status == "open"]
    assert len(tied) >= 15
    assert {after[cycle].status for cycle in tied} == {"breached"}
    assert Verdict(HANDED_OVER_WHEN_DUE, "kept", HANDED_OVER_WHEN_DUE) in truth(database, EARLIER[0]).values()


def shuffle(recording: Path, folder: Path, rng: random.Random) -> tuple[Path, int]:
    """The recording with every event up to an hour late and every tenth one twice, and how many lines that gives."""
    arrivals = []
    with gzip.open(recording, "rt") as file:
        for line in file:
            at = datetime.fromisoformat(json.loads(line)["occurred_at"]).timestamp()
            copies = 2 if rng.random() < 0.1 else 1
            arrivals += [(at + rng.uniform(0, 3600), line) for _ in range(copies)]
    arrivals.sort()
    shuffled = folder / "shuffled.jsonl"
    shuffled.write_text("".join(line for _, line in arrivals))
    return shuffled, len(arrivals)


def test_order_and_duplicates_change_no_verdict(
    in_order: Verdicts, shared_data: Path, tmp_path: Path, rng: random.Random
) -> None:
    """Shuffled within an hour and with every tenth event sent twice, the verdicts are the same."""
    shuffled, count = shuffle(shared_data / EVENTS, tmp_path, rng)
    assert count > 48_000
    assert backtest(shuffled, AS_OF) == in_order


def test_the_counts_are_those_of_the_readme(in_order: Verdicts) -> None:
    """As many of each status as the data's own description says."""
    counts = Counter((promise, verdict.status) for (promise, _), verdict in in_order.items())
    assert counts == {
        ("approve_24h", "kept"): 6528,
        ("approve_24h", "fulfilled_late"): 1461,
        ("approve_24h", "breached"): 146,
        ("ship_by", "kept"): 5746,
        ("ship_by", "fulfilled_late"): 606,
        ("ship_by", "breached"): 1007,
        ("ship_by", "open"): 1,
        ("deliver_by", "kept"): 4755,
        ("deliver_by", "fulfilled_late"): 415,
        ("deliver_by", "breached"): 2964,
        ("deliver_by", "open"): 1,
    }
