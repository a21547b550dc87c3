"""Listens to sources that have a heartbeat: how far their logs have grown, and how long they had been silent before.

Every process listens to whole sources, whichever of their partitions it owns: one partition alone may be idle.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from faust.types import TP

from schemas.book_model import Source
from schemas.vectors import Hold
from streams.doubt import Heartbeat

HALVINGS = 4
"""At start, the last sound is found to within a heartbeat halved so often: each halving is one more request."""


class Logs(Protocol):
    """What is asked about logs (`streams/offsets.py`)."""

    async def ends_of(self, tps: Iterable[TP]) -> dict[TP, int]:
        """The end offset of each partition."""
        ...

    async def sent_since(self, tps: Iterable[TP], since: int) -> int | None:
        """The latest timestamp of each partition's first record since `since`; None: there are none."""
        ...


class Listening:
    """The heartbeats of a process's sources. Instants are UTC milliseconds."""

    def __init__(self, sources: Iterable[Source], *, real_time: bool = True) -> None:
        """Listen to those that have a heartbeat. Without `real_time` the clock is another one than that of Kafka's
        timestamps, which then say nothing: a source counts as heard at start.
        """
        self._sources = {source.topic: source for source in sources if source.heartbeat_ms is not None}
        self._heartbeats: dict[str, Heartbeat] = {}
        self._real_time = real_time

    @property
    def topics(self) -> list[str]:
        """Those listened to."""
        return list(self._sources)

    async def listen(self, clock_ms: int, counts: Mapping[str, int], logs: Logs) -> None:
        """Ask how far the logs have grown. The clock was read before; `counts` are the topics' partitions now (none: a
        topic that is gone, or not known just now, of which nothing can be said).
        """
        partitions = {topic: [TP(topic, number) for number in range(counts.get(topic, 0))] for topic in self._sources}
        asked = [tp for tps in partitions.values() for tp in tps]
        if not asked:
            return
        ends = await logs.ends_of(asked)
        for topic, tps in partitions.items():
            if not tps:
                continue
            if topic not in self._heartbeats:
                self._heartbeats[topic] = await self._begin(self._sources[topic], tps, clock_ms, logs)
            self._heartbeats[topic].beat(clock_ms, {tp.partition: ends[tp] for tp in tps})

    def hold(self, topic: str, now: int) -> Hold | None:
        """`silent`, if the source on this topic is."""
        heartbeat = self._heartbeats.get(topic)
        return None if heartbeat is None else heartbeat.holds(now)

    async def _begin(self, source: Source, tps: list[TP], clock_ms: int, logs: Logs) -> Heartbeat:
        assert source.heartbeat_ms is not None, "only such sources are listened to"
        heard = clock_ms
        if self._real_time:
            back_ms = source.heartbeat_ms
            heard = clock_ms - back_ms - 1
            for _ in range(HALVINGS + 1):
                found = await logs.sent_since(tps, clock_ms - back_ms)
                if found is None:
                    break
                heard = max(heard, min(clock_ms, found))
                back_ms //= 2
        return Heartbeat(source.heartbeat_ms, source.settle_ms, heard)
