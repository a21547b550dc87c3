"""What runs beside an app's streams: its clockwork, and the connections that begin before and end after everything."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import mode
from aiokafka.errors import KafkaError

from streams.failure import end_process

if TYPE_CHECKING:
    from streams.app import BatchApp


class Ticker(mode.Service):
    """Calls `beat` again and again while partitions are open and nothing is being rebalanced."""

    def __init__(self, app: "BatchApp", beat: Callable[[], Awaitable[None]], interval: float, **kwargs: Any) -> None:
        """Call `beat` every `interval` seconds."""
        super().__init__(**kwargs)
        self._app = app
        self._beat = beat
        self._interval = interval

    @mode.Service.task
    async def _run(self) -> None:
        while not self.should_stop:
            await self.sleep(self._interval)
            if not self._app.partitions.lanes or self._app.rebalancing or self._app.in_recovery:
                continue
            try:
                await self._beat()
            except asyncio.CancelledError:
                raise
            except (KafkaError, TimeoutError, OSError) as error:
                # Nobody moves the frontier while the broker is away: late, never wrong.
                self.log.warning("tick postponed: %r", error)
            except BaseException as error:  # noqa: BLE001 -- a timer that dies silently misses breaches
                end_process("timer", error)


class Connections(mode.Service):
    """Starts what has to be there before the first rebalance, and stops it last."""

    def __init__(self, app: "BatchApp", **kwargs: Any) -> None:
        """Hold the app."""
        super().__init__(**kwargs)
        self._app = app

    async def on_first_start(self) -> None:
        """Connect the offset reader."""
        await self._app.offsets.start()

    async def on_stop(self) -> None:
        """Let go of everything."""
        await self._app.partitions.close()
        await self._app.offsets.stop()
        for partition in self._app.store.partitions():
            self._app.store.drop(partition)
