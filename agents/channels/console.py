"""The console channel: one line a notification on standard output, in an employee's words."""

import sys
from typing import TextIO

from agents.channels import Delivery, Failure, Message
from agents.decisions import NotifyReason

HEADLINES = {
    NotifyReason.FIRST_BREACH: "PROMISE BROKEN",
    NotifyReason.BROKEN_AGAIN: "BROKEN AFTER ALL",
    NotifyReason.AT_RISK: "AT RISK",
    NotifyReason.FULFILLED_LATE: "CAME LATE",
    NotifyReason.RETRACTED: "ALL WELL AFTER ALL",
}


class ConsoleChannel:
    """Prints. Nobody recognises a repeated line, so deliveries are at most once."""

    name = "console"
    idempotent = False

    def __init__(self, stream: TextIO | None = None) -> None:
        """Print to `stream` (default: standard output)."""
        self._stream = stream or sys.stdout

    async def deliver(self, message: Message) -> Delivery:
        """Print one line and flush it."""
        data = message.event.data
        try:
            self._stream.write(f"{HEADLINES[message.reason]} [{data.severity}] {data.explain}\n")
            self._stream.flush()
        except OSError as error:
            return Delivery(Failure.BROKEN_OUTPUT, str(error))
        return Delivery()

    async def close(self) -> None:
        """Nothing is held open."""
