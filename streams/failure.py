"""How a worker dies: at once, with a reason and an exit code, so that the orchestrator starts it again.

A stream processor that goes on after a failed write loses events. Everything needed to go on is on Kafka, so ending
the process is always safe and never costs more than reading a little again.
"""

import asyncio
import os
import sys

import structlog

from schemas.errors import PromisewatchError
from schemas.exits import ExitCode

log = structlog.get_logger("promisewatch.failure")


def end_process(where: str, reason: BaseException | str, code: ExitCode = ExitCode.RESTART) -> None:
    """Log why, then leave without clean-up: open transactions are aborted by the next owner of the partition."""
    if isinstance(reason, PromisewatchError):
        code = ExitCode(reason.exit_code)
    if isinstance(reason, asyncio.CancelledError):
        return
    known = isinstance(reason, str | PromisewatchError | OSError) or type(reason).__module__.startswith("aiokafka")
    log.critical(
        "worker ends",
        where=where,
        reason=str(reason) or type(reason).__name__,
        kind=type(reason).__name__,
        exit_code=int(code),
        exc_info=None if known else reason,
    )
    sys.stderr.flush()
    sys.stdout.flush()
    os._exit(int(code))
