"""A process that reads sources and tells what happens, one JSON value a line.

Arguments: bootstrap server, group, the process's name, then topic:partitions for each source. A source's handler keeps
nothing; what it adds to its position is the process's name, made as long as the environment's METADATA_LENGTH asks.
"""

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from faust.types import TP

from schemas import metrics
from streams.app import BatchApp, StreamSettings, build_sources_app
from streams.failure import identify
from streams.partitions import Committed
from streams.worker import run


def tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)


class Handler:
    """Takes note of what it is given."""

    def __init__(self, name: str, tp: TP, next_offset: int) -> None:
        self._name = name
        self._tp = tp
        self.next_offset = next_offset
        self._closed = False

    async def process(self, records: Sequence[Any], next_offset: int) -> None:
        assert not self._closed
        values = [record.value.decode() for record in records]
        self.next_offset = next_offset
        tell(at="processed", topic=self._tp.topic, partition=self._tp.partition, values=values, next=next_offset)

    async def tick(self) -> None:
        assert not self._closed

    def hurry(self) -> None:
        pass

    def commit_metadata(self) -> str:
        return self._name.ljust(int(os.environ.get("METADATA_LENGTH", "0")), "é")

    async def close(self) -> None:
        self._closed = True
        tell(at="closed", topic=self._tp.topic, partition=self._tp.partition, next=self.next_offset)


def main(bootstrap_server: str, group: str, name: str, *topics: str) -> None:
    async def open_source(app: BatchApp, tp: TP, committed: Committed | None) -> Handler:
        beginning = (await app.offsets.beginnings_of([tp]))[tp]
        tell(at="opened", topic=tp.topic, partition=tp.partition, committed=committed)
        return Handler(name, tp, beginning if committed is None else committed.offset)

    async def beat(app: BatchApp) -> None:
        await app.partitions.tick()
        lags = metrics.LAG_RECORDS.collect()[0].samples
        tell(at="beat", lags={sample.labels["partition"]: sample.value for sample in lags})

    with tempfile.TemporaryDirectory() as folder:
        settings = StreamSettings(
            bootstrap_server,
            group,
            state_dir=Path(folder),
            session_timeout=6.0,
            rebalance_timeout=10.0,
            tick_interval=0.5,
        )
        identify(settings.client)
        counts = {topic: int(count) for topic, count in (each.rsplit(":") for each in topics)}
        run(build_sources_app(settings, counts, open_source, beat))


if __name__ == "__main__":
    main(*sys.argv[1:])
