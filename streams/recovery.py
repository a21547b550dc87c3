"""Recovery in Faust's life cycle, done our way: fence, restore in batches, open, seek, and only then resume.

Faust's stock recovery reads record by record, ends only when the last *record* has the last offset (a commit marker
has it), and turns failures into warnings. What stays of it is when recovery happens and what happens after.

Touches of Faust 0.15 internals, held by tests/streams/test_faust_contract.py: `Recovery._build_highwaters`,
`._build_offsets`, `._seek_offsets`, `.on_recovery_completed`, `._resume_streams`, `._wait`; `TableManager.recovery`.
"""

from typing import Any

import faust
from faust.stores import base
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.types import TP


class BatchRecovery(Recovery):
    """Opens the owned partitions through `app.partitions` instead of slurping changelog events."""

    app: Any

    async def _build_highwaters(self, consumer: Any, tps: set[TP], destination: Any, title: str) -> None:
        destination.clear()  # nothing for the stock reader to do

    async def _build_offsets(self, consumer: Any, tps: set[TP], destination: Any, title: str) -> None:
        destination.clear()

    async def _seek_offsets(self, consumer: Any, tps: set[TP], offsets: Any, title: str) -> None:
        return None

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Open what is ours and seek before the source partitions are resumed."""
        (topic,) = self.app.partitions.topics
        owned = {TP(topic, tp.partition) for tp in self.active_tps}
        await self._wait(self.app.partitions.open(owned))
        await self._wait(self.app.consumer.perform_seek())
        await super().on_recovery_completed(generation_id)

    async def _resume_streams(self, generation_id: int = 0) -> None:
        """Open what is ours in an app without tables: Faust then has nothing to recover, and comes here at once."""
        if self.app.consumer_generation_id == generation_id:
            await self._wait(self.app.partitions.open(set(self.app.consumer.assignment())))
        await super()._resume_streams(generation_id)


class BatchTableManager(TableManager):
    """Faust's table manager with batch recovery."""

    @property
    def recovery(self) -> Recovery:
        """The recovery service."""
        if self._recovery is None:
            self._recovery = BatchRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery


class ChangelogStore(base.Store[Any, Any]):
    """Tells Faust that nothing is to be recovered its way; the data live in `streams.store`."""

    def persisted_offset(self, tp: TP) -> int | None:
        """Return None: offsets are kept by the partition store."""
        return None

    def apply_changelog_batch(self, batch: Any, to_key: Any, to_value: Any) -> None:
        """Refuse: Faust must never fill this store."""
        if list(batch):
            raise RuntimeError("Faust's own recovery ran; BatchRecovery should have replaced it")

    def reset_state(self) -> None:
        """Keep the state: `streams.restore` decides what is wiped."""

    async def backup_partition(self, tp: Any, flush: bool = True, purge: bool = False, keep: int = 1) -> None:
        """Refuse: the changelog topic is the backup."""
        raise RuntimeError("state is backed up by its changelog topic, not by files")

    def restore_backup(self, tp: Any, latest: bool = True, backup_id: int = 0) -> None:
        """Refuse: the changelog topic is the backup."""
        raise RuntimeError("state is restored from its changelog topic, not from files")


class PartitionTable(faust.Table[Any, Any]):
    """Only the name, the changelog topic and the co-partitioning of a Faust table; its mapping is not used."""

    def __init__(self, app: Any, *, changelog: str, **options: Any) -> None:
        """Name the changelog topic instead of deriving it: durable names live in `schemas.topics`."""
        self._changelog = changelog
        super().__init__(app, **options)

    def _changelog_topic_name(self) -> str:
        return self._changelog

    def _new_store(self) -> Any:
        return ChangelogStore("memory://", self.app, self, table_name=self.name)
