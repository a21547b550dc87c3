"""How far the worker is behind: what was acknowledged to the shop, minus what the worker has durably processed."""

from collections import defaultdict
from typing import Any

from aiokafka import AIOKafkaConsumer

from promises.partition import CHECKPOINT_KEY
from schemas.records import decode_checkpoint
from streams.stopping import stop_consumer


class Lag:
    """Follows the worker's checkpoints on its changelog topic until it is cancelled."""

    def __init__(self, bootstrap_server: str, changelog: str, *, committed: bool) -> None:
        self._ends: defaultdict[int, int] = defaultdict(int)
        self._processed: defaultdict[int, int] = defaultdict(int)
        self._consumer = AIOKafkaConsumer(
            changelog,
            bootstrap_servers=bootstrap_server,
            auto_offset_reset="earliest",
            isolation_level="read_committed" if committed else "read_uncommitted",
            fetch_max_wait_ms=10,
        )

    def acknowledged(self, partition: int, offset: int) -> None:
        """One record of the source topic is known to be in the log."""
        self._ends[partition] = max(self._ends[partition], offset + 1)

    def ends(self) -> dict[int, int]:
        """The next offset per partition, as far as acknowledged."""
        return dict(self._ends)

    def behind(self, ends: dict[int, int] | None = None) -> int:
        """How many records below `ends` (default: all acknowledged) the worker has not processed."""
        wanted = self._ends if ends is None else ends
        return sum(max(0, end - self._processed[partition]) for partition, end in wanted.items())

    @property
    def processed(self) -> int:
        """How many records the worker has durably processed, of all partitions."""
        return sum(self._processed.values())

    def partitions_processed(self) -> int:
        """On how many partitions the worker has durably processed anything."""
        return sum(1 for processed in self._processed.values() if processed)

    async def run(self) -> None:
        await self._consumer.start()
        try:
            while True:
                for tp, records in (await self._consumer.getmany(timeout_ms=20)).items():
                    for record in records:
                        self._take(tp.partition, record)
        finally:
            await stop_consumer(self._consumer)

    def _take(self, partition: int, record: Any) -> None:
        if record.key == CHECKPOINT_KEY and record.value is not None:
            self._processed[partition] = decode_checkpoint(record.value, f"{record.topic}/{partition}").next_offset
