"""How a worker dies: at once, with a reason and an exit code, so that the orchestrator starts it again.

A stream processor that goes on after a failed write loses events. Everything needed to go on is on Kafka, so ending
the process is always safe and never costs more than reading a little again.

Orchestrators start it again whatever the code; the code is for people. 75 says that this helps (the broker, the network
or the machine was in the way), 78 that it does not, 70 that nobody foresaw this: a bug, with its traceback in the log.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from typing import Any

import structlog
from aiokafka.errors import KafkaError
from faust.exceptions import NotReady, ProducerSendError

from schemas.errors import PromisewatchError
from schemas.exits import ExitCode
from streams.refusals import refusal

log = structlog.get_logger("promisewatch.failure")

NAMED = ("bootstrap_servers", "security_protocol", "sasl_mechanism", "sasl_plain_username")
"""The connection settings that messages may show."""

PASSING = (KafkaError, NotReady, ProducerSendError, OSError, MemoryError)
"""What may be gone after a restart: the broker's answers and silence (a TimeoutError is an OSError), the machine's."""

_client: dict[str, Any] = {}


def identify(client: Mapping[str, Any]) -> None:
    """Say with which connection settings this process talks to Kafka, for messages about what that refuses."""
    _client.update({name: client[name] for name in NAMED if name in client})


def exit_code(reason: BaseException | str) -> ExitCode:
    """Return what a process says that ends because of `reason`; one that is told in words is a reason to restart."""
    if isinstance(reason, PromisewatchError):
        return ExitCode(reason.exit_code)
    # RocksDB's troubles with the disk come as bare exceptions. What is no Exception was sent from outside (Ctrl-C).
    if isinstance(reason, (str, *PASSING)) or not isinstance(reason, Exception) or type(reason) is Exception:
        return ExitCode.RESTART
    return ExitCode.INTERNAL


def end_process(where: str, reason: BaseException | str) -> None:
    """Log why, then leave without clean-up: open transactions are aborted by the next owner of the partition.

    What Kafka refuses for good (a permission, a login) is told as what it is, with exit code 78.
    """
    if isinstance(reason, Exception) and _client:
        reason = refusal(reason, _client) or reason
    if isinstance(reason, asyncio.CancelledError):
        return
    code = exit_code(reason)
    known = isinstance(reason, str | PromisewatchError | OSError | KafkaError)
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
