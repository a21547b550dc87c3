"""Where notifications go: one module a channel, all behind the `Channel` protocol.

A channel makes one attempt and says how it went; whether and when another one follows is `agents.delivery`'s business.
"""

from enum import StrEnum
from typing import NamedTuple, Protocol

from agents.decisions import NotifyReason
from schemas.publications import AtRisk, Breached, FulfilledLate, Retracted

BreachEvent = Breached | FulfilledLate | Retracted | AtRisk


class Message(NamedTuple):
    """What is told: the event, its bytes as they were published, and why somebody is told."""

    event: BreachEvent
    body: bytes
    reason: NotifyReason


class Failure(StrEnum):
    """Why a delivery did not succeed. The words are in dead letters, notification records and metrics."""

    REJECTED = "rejected"
    """The receiver understood and said no (HTTP 4xx): asking again changes nothing."""
    REDIRECTED = "redirected"
    """The receiver points elsewhere. Never followed: a signed message goes where the operator said, or nowhere."""
    BAD_CERTIFICATE = "bad_certificate"
    """The receiver cannot prove who it is."""
    BROKEN_OUTPUT = "broken_output"
    """A local output can no longer be written."""
    RATE_LIMITED = "rate_limited"
    """The receiver asks for patience (HTTP 408, 425, 429)."""
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    """Connected, but no answer in time."""
    CLOSED = "closed"
    """The connection ended before the answer."""
    UNREACHABLE = "unreachable"
    """No connection came about."""
    UNKNOWN_HOST = "unknown_host"
    """Its name resolves to nothing: also what a name server in trouble says, so it may pass."""

    @property
    def recoverable(self) -> bool:
        """Whether trying again may help."""
        return self not in {Failure.REJECTED, Failure.REDIRECTED, Failure.BAD_CERTIFICATE, Failure.BROKEN_OUTPUT}

    @property
    def ambiguous(self) -> bool:
        """Whether the message may have arrived all the same."""
        return self in {Failure.TIMEOUT, Failure.CLOSED, Failure.SERVER_ERROR, Failure.BROKEN_OUTPUT}


class Delivery(NamedTuple):
    """How one attempt went: `failure` is None when it arrived, `detail` says for a person what was found.

    `retry_after` is how many seconds the other side asked to be left alone, None where it said nothing.
    """

    failure: Failure | None = None
    detail: str = ""
    retry_after: float | None = None


class Channel(Protocol):
    """A way to tell somebody."""

    name: str
    idempotent: bool
    """Whether the other side recognises a repeated delivery by the event's id. If not, an intent is recorded first and
    a delivery that may have happened is not repeated."""

    async def deliver(self, message: Message) -> Delivery:
        """Make one attempt, which ends within a bounded time. Raises nothing for what the other side may do."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
