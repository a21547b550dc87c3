"""Positions that live in the consumer group: offsets with metadata, asked after each rebalance, committed as they move.

A commit that fails costs nothing but work: what was processed behind it is processed again by whoever has the partition
next. Where it goes on failing, the log says so once a minute.

Touches of Faust 0.15 and aiokafka 0.14 internals, held by tests/streams/test_faust_contract.py: `Consumer.commit`,
`._new_consumer_thread`, `.on_partitions_revoked`; `AIOKafkaConsumerThread.assignment`, `._ensure_consumer`,
`.call_thread`; `GroupCoordinator.fetch_committed_offsets`, `.generation`.
"""

import asyncio
import time
from collections.abc import Collection, Mapping
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    GroupAuthorizationFailedError,
    IllegalStateError,
    InvalidCommitOffsetSizeError,
    KafkaError,
    OffsetMetadataTooLargeError,
    TopicAuthorizationFailedError,
)
from aiokafka.structs import OffsetAndMetadata
from faust.types import TP

from schemas.errors import SettingsError
from streams.failure import end_process
from streams.intake import BatchConsumer, BatchConsumerThread, BatchTransport
from streams.partitions import Committed

log = structlog.get_logger("promisewatch.positions")

COMMIT_SECONDS = 10.0
"""A commit that takes longer has failed: aiokafka itself would go on trying, and hold back those that come later."""
TELL_SECONDS = 60.0
NO_GENERATION = -1


class GroupConsumerThread(BatchConsumerThread):
    """Commits offsets with metadata, and asks for them."""

    async def commit_positions(self, positions: Mapping[TP, Committed]) -> None:
        """Commit. Raises CommitFailedError or IllegalStateError when the partitions are not ours any more."""
        await self.call_thread(self._commit_positions, positions)

    async def _commit_positions(self, positions: Mapping[TP, Committed]) -> None:
        consumer = self._ensure_consumer()
        if consumer._coordinator.generation == NO_GENERATION:
            # A group without members takes offsets from anybody: from us too, who have been away for long.
            raise IllegalStateError("no member of the group just now")
        ours = self.assignment()
        offsets = {TopicPartition(*tp): OffsetAndMetadata(*at) for tp, at in positions.items() if tp in ours}
        await asyncio.wait_for(consumer.commit(offsets), COMMIT_SECONDS)

    async def committed_positions(self, tps: Collection[TP]) -> dict[TP, Committed]:
        """Return what the group has committed, for those partitions where it has."""
        found: dict[TP, Committed] = await self.call_thread(self._committed_positions, tps)
        return found

    async def _committed_positions(self, tps: Collection[TP]) -> dict[TP, Committed]:
        coordinator = self._ensure_consumer()._coordinator
        found = await coordinator.fetch_committed_offsets([TopicPartition(*tp) for tp in tps])
        return {TP(*tp): Committed(at.offset, at.metadata or "") for tp, at in found.items()}


class GroupConsumer(BatchConsumer):
    """A batch consumer whose committed offsets are the truth."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Start with nothing known to be committed."""
        super().__init__(*args, **kwargs)
        self._stored: dict[TP, Committed] = {}
        self._committing = asyncio.Lock()
        self._failing_since: float | None = None
        self._told_at = 0.0

    def _new_consumer_thread(self) -> GroupConsumerThread:
        return GroupConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def fetch_committed(self, tps: Collection[TP]) -> dict[TP, Committed]:
        """Return what the group has committed, for those partitions where it has."""
        self._stored = await self._group_thread.committed_positions(tps)
        return dict(self._stored)

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit what has moved, the metadata included. Faust calls it on a timer, on revocation and at the end."""
        async with self._committing:  # one after the other: the last one before a revocation must not be left out
            reached = self.app.partitions.reached()
            moved = {tp: at for tp, at in reached.items() if self._stored.get(tp) != at}
            if not moved:
                return False
            try:
                await self._group_thread.commit_positions(moved)
            except (CommitFailedError, IllegalStateError) as error:
                log.info("positions were not committed: the partitions are being handed out anew", reason=str(error))
                return False
            except (OffsetMetadataTooLargeError, InvalidCommitOffsetSizeError) as error:
                end_process("committing positions", _too_large(moved))
                raise _too_large(moved) from error
            except (GroupAuthorizationFailedError, TopicAuthorizationFailedError) as error:
                end_process("committing positions", error)
                raise
            except (KafkaError, TimeoutError, OSError) as error:
                self._tell(error)
                return False
            self._stored.update(moved)
            if self._failing_since is not None:
                log.info("positions are committed again", failed_seconds=round(time.monotonic() - self._failing_since))
                self._failing_since = None
            return True

    def _tell(self, error: BaseException) -> None:
        """Log that commits fail: the first, then one a minute."""
        now = time.monotonic()
        if self._failing_since is None:
            self._failing_since, self._told_at = now, now - TELL_SECONDS
        if now - self._told_at >= TELL_SECONDS:
            self._told_at = now
            log.warning(
                "positions could not be committed; after a restart more would be processed again",
                failing_seconds=round(now - self._failing_since),
                reason=str(error) or type(error).__name__,
            )

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget what was committed: others may commit now."""
        await super().on_partitions_revoked(revoked)
        self._stored.clear()

    @property
    def _group_thread(self) -> GroupConsumerThread:
        assert isinstance(self._thread, GroupConsumerThread)
        return self._thread


def _too_large(positions: Mapping[TP, Committed]) -> SettingsError:
    size = max(len(at.metadata) for at in positions.values())
    return SettingsError(
        f"the broker takes no offsets with metadata of {size} characters; expected a larger offset.metadata.max.bytes"
    )


class GroupTransport(BatchTransport):
    """Faust's aiokafka transport with the group's consumer."""

    Consumer = GroupConsumer
