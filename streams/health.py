"""Whether this process lives and is ready, judged from what its event loop last wrote down.

The HTTP server that asks runs in a thread of its own (streams/http.py), so that a busy event loop is no dead one: it
is stuck only when it has written nothing for `stall_timeout`.

**Alive** fails for what a restart can mend: an owned partition has something to read and nothing has moved for
`stall_timeout`, handing out or restoring partitions has not moved for as long, or the event loop is stuck. Idleness,
a broker that does not answer, a rebalance and a restore that moves are never held against it, nor are deliveries that
are tried again as designed; one that never ends is.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import mode
from aiokafka.errors import KafkaError
from faust.types import TP

from schemas import metrics
from streams.offsets import LogOffsets

WATCH_SECONDS = 1.0
ANSWER_SECONDS = 5.0
"""A broker that says nothing for this long counts as away."""


class Answer(NamedTuple):
    """Yes or no, and why."""

    ok: bool
    reason: str


@dataclass(slots=True)
class Progress:
    """One partition: how far it is, and since when it should have been further (seconds of the monotonic clock)."""

    position: int
    moved_at: float
    lag: int


class Health:
    """What is known about this process's life. Written by the event loop, read by the HTTP thread."""

    def __init__(self, stall_timeout: float = 300.0, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Start as a process that has not begun its work."""
        self._stall_timeout = stall_timeout
        self._monotonic = monotonic
        self._not_ready: str | None = "starting"
        self._beat_at: float | None = None
        self._unsettled_since: float | None = None
        self._progress: dict[str, Progress] = {}
        self._patient_until: dict[str, float] = {}

    # -- written by the process -------------------------------------------------------------------------------------

    def phase(self, reason: str | None) -> None:
        """Say why the process is not ready (None: it is)."""
        self._not_ready = reason
        metrics.READY.set(reason is None)

    def beat(self) -> None:
        """The event loop turns."""
        self._beat_at = self._monotonic()

    def stopping(self) -> None:
        """The process ends; the bound on that is the drain's."""
        self.phase("draining")
        self._beat_at = None
        self._unsettled_since = None
        self._progress.clear()
        self._patient_until.clear()

    def progressed(self) -> None:
        """Something moved that is no partition's position: a restore, an attempt to reach the broker."""
        now = self._monotonic()
        if self._unsettled_since is not None:
            self._unsettled_since = now
        for progress in self._progress.values():
            progress.moved_at = now

    def patient(self, partition: str, seconds: float) -> None:
        """One partition's work moves although its position does not, and rests on purpose for `seconds` from now on.

        It is a matter of life only: to `promise_stalled_seconds` the partition stands still, which somebody may mend.
        """
        until = self._monotonic() + seconds
        self._patient_until[partition] = max(until, self._patient_until.get(partition, until))

    def unsettled(self) -> None:
        """Partitions are being handed out or restored."""
        if self._unsettled_since is None:
            self._unsettled_since = self._monotonic()
        self._progress.clear()
        self._patient_until.clear()

    def observe(self, positions: Mapping[str, int], ends: Mapping[str, int]) -> None:
        """Compare what is processed (next offset by partition) with what can be read (end offset by partition).

        Partitions go by the names that they have in metrics.
        """
        now = self._monotonic()
        self._unsettled_since = None
        seen = {}
        for partition, position in positions.items():
            lag = max(0, ends.get(partition, position) - position)
            before = self._progress.get(partition)
            waits = before is not None and before.position == position and lag > 0 and before.lag > 0
            seen[partition] = Progress(position, before.moved_at if before is not None and waits else now, lag)
            metrics.LAG_RECORDS.labels(partition=partition).set(lag)
            metrics.STALLED.labels(partition=partition).set(now - seen[partition].moved_at)
        self._progress = seen

    # -- read by the HTTP thread ------------------------------------------------------------------------------------

    def alive(self) -> Answer:
        """Whether the process does something, or has nothing to do."""
        now, bound, patient = self._monotonic(), self._stall_timeout, self._patient_until
        if self._beat_at is not None and now - self._beat_at > bound:
            return Answer(False, f"the event loop has been stuck for {now - self._beat_at:.0f} s")
        since = self._unsettled_since
        if since is not None and now - since > bound:
            return Answer(False, f"partitions have been on their way for {now - since:.0f} s without progress")
        stalled = [
            f"partition {partition} has {progress.lag} records to read and no progress for {still:.0f} s"
            for partition, progress in sorted(self._progress.items())
            if progress.lag and (still := now - max(progress.moved_at, patient.get(partition, 0.0))) > bound
        ]
        return Answer(False, "\n".join(stalled)) if stalled else Answer(True, "ok")

    def ready(self) -> Answer:
        """Whether the process does its work."""
        reason = self._not_ready
        return Answer(True, "ok") if reason is None else Answer(False, reason)


class HealthWatch(mode.Service):
    """Looks once a second how far the app is, and writes it down."""

    def __init__(self, app: Any, **kwargs: Any) -> None:
        """Watch a `BatchApp`; ends are asked committed, since an open transaction of a source is not our standstill."""
        super().__init__(**kwargs)
        self._app = app
        level = "read_committed" if app.settings.transactions else "read_uncommitted"
        self._offsets = LogOffsets(app.settings.client, isolation_level=level)
        self._connected = False

    async def on_stop(self) -> None:
        """Disconnect."""
        await self._offsets.stop()

    @mode.Service.task
    async def _beat(self) -> None:
        health = self._app.health
        while not self.should_stop:
            health.beat()
            health.phase(self._not_ready())
            await self.sleep(WATCH_SECONDS)

    @mode.Service.task
    async def _watch(self) -> None:
        while not self.should_stop:
            try:
                await asyncio.wait_for(self._look(), ANSWER_SECONDS)
            except (KafkaError, TimeoutError, OSError):
                self._app.health.progressed()  # waiting for the broker is all that can be done now
            await self.sleep(WATCH_SECONDS)

    async def _look(self) -> None:
        if not self._connected:
            await self._offsets.start()
            self._connected = True
        partitions = self._app.partitions
        # Asked also while there are no lanes: whether the broker answers is what is to be known.
        ends = await self._offsets.ends_of(list(partitions.lanes) or [TP(partitions.topics[0], 0)])
        if self._not_ready() is not None:
            self._app.health.unsettled()
        else:
            positions = {partitions.label(tp): lane.handler.next_offset for tp, lane in partitions.lanes.items()}
            self._app.health.observe(positions, {partitions.label(tp): end for tp, end in ends.items()})

    def _not_ready(self) -> str | None:
        app = self._app
        if app.should_stop:
            return "draining"
        if not app.partitions.opened:
            return "rebalancing or restoring" if app.partitions.openings else "joining the group"
        if app.rebalancing:
            return "rebalancing"
        return None
