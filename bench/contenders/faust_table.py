"""The same decoder and core in an idiomatic Faust agent: one event at a time, a table, sends. Faust's defaults.

`python -m bench.contenders.faust_table BOOK SERVER APP_ID FOLDER RECORDS`; RECORDS 0 recovers the table and ends.
"""

import json
import os
import sys
import time
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

import faust
import msgspec

from agents.takeover import BEGINNING
from bench.kafka import PARTITIONS
from promises.detector import Detector, subject_key, subject_of
from promises.steps import Bounds
from schemas.book import load_book
from schemas.book_model import Book
from schemas.decoding import Decoder
from schemas.encoding import encode_event, encode_outcome
from schemas.publications import Publication
from schemas.records import Record
from schemas.topics import BREACHES, OUTCOMES

encode = msgspec.json.Encoder().encode
decode_record = msgspec.json.Decoder(Record).decode


def changelog(app_id: str) -> str:
    """The name Faust gives the table's changelog topic."""
    return f"{app_id}-records-changelog"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class App(faust.App):
    """An app that ends when its agent fails; Faust would acknowledge the event and go on."""

    async def _on_agent_error(self, agent: Any, exc: BaseException) -> None:  # noqa: ARG002 -- Faust's signature
        print(repr(exc), file=sys.__stdout__, flush=True)
        os._exit(1)


class Detecting:
    """What the agent and the timer share: the table, the core, the topics and the fire times."""

    def __init__(self, app: Any, book: Book) -> None:
        self.source = next(iter(book.sources.values()))
        self._decoder, self._detector = Decoder(book).source(self.source.name), Detector(book)
        raw: dict[str, Any] = {
            "key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw",
        }  # fmt: skip
        self.events, self._breaches, self._outcomes = (
            app.topic(name, **raw) for name in (self.source.topic, BREACHES, OUTCOMES)
        )
        # Faust's default block cache of 2 GiB a partition would only cost memory.
        options = {"driver": "rocksdict", "block_cache_size": 16 << 20, "block_cache_compressed_size": 16 << 20}
        self.table = app.Table("records", partitions=PARTITIONS, key_type=bytes, value_type=bytes, options=options)
        self._timers: list[tuple[int, bytes]] = []
        self._fired = (BEGINNING, b"")

    async def event(self, value: bytes) -> None:
        """Bring one order up to date and publish what that changes."""
        decoded = self._decoder.decode(value)
        if decoded.fact is None or decoded.subject is None:
            return
        stored_as = subject_key(decoded.subject)
        held = self.table.get(stored_as)
        record = None if held is None else decode_record(held)
        bounds = Bounds(self._fired[0], self._fired[0], BEGINNING, self._fired)
        step = self._detector.apply(decoded.subject, stored_as, record, decoded.fact, bounds)
        if not step.changed:
            return
        self.table[stored_as] = encode(step.record)
        await self._publish(step.publications)
        if step.wake is not None:
            heappush(self._timers, (step.wake, stored_as))

    async def fire(self) -> None:
        """Publish what is due by the clock."""
        frontier = now_ms() - self.source.settle_ms
        while self._timers and self._timers[0][0] < frontier:
            instant, stored_as = heappop(self._timers)
            held = self.table.get(stored_as)
            if held is not None:
                record = decode_record(held)
                step = self._detector.fire(subject_of(stored_as), stored_as, record, self._fired, instant)
                await self._publish(step.publications)
            self._fired = max(self._fired, (instant, stored_as))

    async def _publish(self, publications: list[Publication]) -> None:
        for publication in publications:
            key = publication.subject.encode()
            if publication.kind != "outcome":
                await self._breaches.send(key=key, value=encode_event(publication, now_ms(), "live"))
            await self._outcomes.send(key=key, value=encode_outcome(publication, now_ms(), "live"))


def build(book_file: Path, server: str, app_id: str, folder: Path, wanted: int) -> Any:
    """Return the app; it ends the process after `wanted` events, or with 0 once the table is recovered."""
    app: Any = App(
        app_id, broker=f"kafka://{server}", store="rocksdb://", datadir=folder, topic_partitions=PARTITIONS,
        consumer_auto_offset_reset="earliest", web_enabled=False,
    )  # fmt: skip
    detecting = Detecting(app, load_book(book_file))

    @app.agent(detecting.events, name="detect")  # type: ignore[untyped-decorator]
    async def detect(stream: Any) -> None:
        count, started = 0, 0.0
        async for value in stream:
            started = started or time.time()
            await detecting.event(value)
            count += 1
            if count == wanted:
                await app.producer.flush()
                end_with(wanted - 1, started)

    @app.timer(1.0)  # type: ignore[untyped-decorator]
    async def tick() -> None:
        await detecting.fire()

    if not wanted:
        watch_recovery(app, detecting.table)
    return app


def watch_recovery(app: Any, table: Any) -> None:
    """Print how long recovery took, from partitions assigned to table recovered, and end the process."""
    assigned: list[float] = []

    @app.on_partitions_assigned.connect(weak=False)  # type: ignore[untyped-decorator]
    async def begin(*_: Any, **__: Any) -> None:
        assigned.append(time.time())

    @table.on_recover  # type: ignore[untyped-decorator]
    async def end() -> None:
        end_with(0, assigned[0])


def end_with(records: int, started: float) -> None:
    """Say what was done and since when, and end."""
    said = {"records": records, "started": started, "ended": time.time()}
    print(json.dumps(said), file=sys.__stdout__, flush=True)
    os._exit(0)


if __name__ == "__main__":
    book_name, broker, name, where, number = sys.argv[1:]
    made = build(Path(book_name), broker, name, Path(where), int(number))
    faust.Worker(made, loglevel="WARNING", quiet=True).execute_from_commandline()
