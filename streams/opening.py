"""How the handlers of owned partitions come about."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

from faust.types import TP

from streams.emit import PartitionProducer
from streams.partitions import Committed, PartitionHandler, SourceHandler
from streams.restore import restore

if TYPE_CHECKING:
    from streams.app import BatchApp, SourcesApp

OpenPartition: TypeAlias = Callable[["BatchApp", int, PartitionProducer], Awaitable[PartitionHandler]]
"""Makes the handler of one owned partition, its producer started and its state restored."""

OpenSource: TypeAlias = Callable[["BatchApp", TP, Committed | None], Awaitable[SourceHandler]]
"""Makes the handler of one owned source partition, processed as far as the group's committed offset says (None: nothing
was committed yet, or it has expired; begin where the log begins). Reading starts at the handler's `next_offset`, within
the log: outside of it there is nothing to read, and the process ends.
"""


class Opening:
    """Partitions with state: fenced and restored together, then opened one by one."""

    def __init__(self, app: "BatchApp", open_partition: OpenPartition) -> None:
        """Open each with `open_partition`."""
        self._app = app
        self._open_partition = open_partition

    async def handlers(self, owned: set[TP]) -> dict[TP, PartitionHandler]:
        """Return a handler for each owned partition; lets go of what is no longer owned."""
        store, ours = self._app.store, {tp.partition for tp in owned}
        for partition in store.partitions() - ours:
            store.drop(partition)
        producers = {partition: self._app.producer_for(partition) for partition in ours}
        try:
            return await self._open(producers)
        except BaseException:  # also when asked to stop while opening
            await asyncio.gather(*(producer.stop() for producer in producers.values()), return_exceptions=True)
            raise

    async def _open(self, producers: dict[int, PartitionProducer]) -> dict[TP, PartitionHandler]:
        app, settings = self._app, self._app.settings
        await asyncio.gather(*(producer.start() for producer in producers.values()))
        progressed = app.health.progressed
        await restore(settings.client, app.offsets, app.store, settings.changelog, set(producers), progressed)
        return {
            TP(settings.topic, partition): await self._open_partition(app, partition, producer)
            for partition, producer in sorted(producers.items())
        }


class SourceOpening:
    """Partitions whose position is the group's offset."""

    def __init__(self, app: "SourcesApp", open_source: OpenSource) -> None:
        """Open each with `open_source`."""
        self._app = app
        self._open_source = open_source

    async def handlers(self, owned: set[TP]) -> dict[TP, PartitionHandler]:
        """Return a handler for each partition. To be called when they are ours: no earlier owner can commit then."""
        app = self._app
        committed = await app.group_consumer.fetch_committed(owned)
        opened: dict[TP, PartitionHandler] = {}
        try:
            for tp in sorted(owned):
                opened[tp] = await self._open_source(app, tp, committed.get(tp))
                app.health.progressed()
        except BaseException:  # also when asked to stop while opening
            await asyncio.gather(*(handler.close() for handler in opened.values()), return_exceptions=True)
            raise
        return opened
