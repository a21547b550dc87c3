"""Running an app as a process: Faust's worker without its banner, its logging set-up and its traceback.

SIGTERM (and SIGINT) drain: what is being processed is finished and committed, what only waits is left to whoever has
the partition next, the group is told that we leave (a static member stays on its list, to have its partitions back).
That takes no longer than `drain_timeout`.

Touches of mode's internals, held by tests/streams/test_faust_contract.py: `Worker._setup_logging`,
`._schedule_shutdown`, `._sentinel_task`; `faust.Worker._on_startup_end_spinner`.
"""

import asyncio
import gc
import signal
import threading
import time
from typing import Any, NoReturn

import faust
import structlog

from streams.app import BatchApp
from streams.failure import end_process

log = structlog.get_logger("promisewatch.worker")

DRAIN_SECONDS = 25.0
GC_THRESHOLDS = (100_000, 50, 100)


class QuietWorker(faust.Worker):
    """A Faust worker that leaves logging to us and stops within a bound."""

    drain_timeout = DRAIN_SECONDS
    draining_since: float | None = None

    def _setup_logging(self) -> None:
        """Keep the logging that is configured already."""

    def _on_startup_end_spinner(self) -> None:
        """Show no spinner: it would write terminal codes to standard output."""

    async def _sentinel_task(self) -> None:
        """Let the loop turn once more; stock mode lets it turn for a whole second, at each restart of each worker."""
        await asyncio.sleep(0)

    def _schedule_shutdown(self, signal: signal.Signals) -> None:
        if self.draining_since is None:
            self.draining_since = time.monotonic()
            app: Any = self.app
            app.health.stopping()
            log.info("draining", signal=signal.name, drain_timeout=self.drain_timeout)
            bound = threading.Timer(self.drain_timeout, self._too_late)
            bound.daemon = True
            bound.start()
        super()._schedule_shutdown(signal)

    def _too_late(self) -> None:
        end_process("draining", f"not done within the drain timeout of {self.drain_timeout:g} s")


def run(app: BatchApp, drain_timeout: float = DRAIN_SECONDS) -> NoReturn:
    """Run until a signal asks to stop; a crash ends the process with a reason and the code that asks for a restart."""
    worker: Any = QuietWorker(app, loglevel=None, quiet=True, redirect_stdouts=False)
    worker.drain_timeout = drain_timeout
    # Batches make many short-lived objects and timers many long-lived ones: the defaults scan both all the time.
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        worker.execute_from_commandline()
    except SystemExit as ended:
        if ended.code not in {None, 0}:
            # The reason as an exception, so that what Kafka refuses for good is told as what it is.
            end_process("worker", worker.crash_reason or app.crash_reason or ended.__context__ or "the app crashed")
        _say_drained(worker)
        raise
    except BaseException as error:  # whatever it was, the orchestrator starts the worker again
        end_process("worker", error)
        raise
    _say_drained(worker)
    raise SystemExit(0)


def _say_drained(worker: QuietWorker) -> None:
    if worker.draining_since is not None:
        log.info("drained", seconds=round(time.monotonic() - worker.draining_since, 3))
