"""How a worker dies: at once, with a reason and an exit code, so that the orchestrator starts it again.

A stream processor that goes on after a failed write loses events. Everything needed to go on is on Kafka, so ending
the process is always safe and never costs more than reading a little again.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from typing import Any

import structlog

from schemas.errors import PromisewatchError
from schemas.exits import ExitCode
from streams.refusals import refusal

log = structlog.get_logger("promisewatch.failure")

NAMED = ("bootstrap_servers", "security_protocol", "sasl_mechanism", "sasl_plain_username")
"""The connection settings that messages may show."""


_client: dict[str, Any] = {}


def identify(client: Mapping[str, Any]) -> None:
    """Say with which connection settings this process talks to Kafka, for messages about what that refuses."""
    _client.update({name: client[name] for name in NAMED if name in client})


def end_process(where: str, reason: BaseException | str, code: ExitCode = ExitCode.RESTART) -> None:
    """Log why, then leave without clean-up: open transactions are aborted by the next owner of the partition.

    What Kafka refuses for good (a permission, a login) is told as what it is, with exit code 78.
    """
    if isinstance(reason, Exception) and _client:
        reason = refusal(reason, _client) or reason
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
