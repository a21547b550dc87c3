"""What a worker tells about one subject: the answer of `GET /subject`, and of `promisewatch subject --output json`.

It holds what is kept of a customer's events, so it is given to those only who may have it (`agents/answering.py`).
"""

from typing import Annotated, Any, Literal

import msgspec

from schemas.book_model import Severity
from schemas.facts import FactRef
from schemas.publications import Instant, Kind, Status

PATH = "/subject"
"""Where a worker is asked, with `key` and `id` as query, and `app_id` to be answered by that application only."""

RefusalReason = Literal[
    "bad_request",
    "unauthenticated",
    "forbidden",
    "not_kept",
    "not_owner",
    "other_application",
    "not_ready",
    "busy",
    "failed",
]


class SubjectFact(msgspec.Struct, frozen=True, kw_only=True):
    """An event about the subject. `data` are the fields of its payload that the book names, by their dotted path.

    `withdraws` is the id of the event of its source that this one takes back, `taken_back` whether another one takes
    this one back.
    """

    type: str
    time: Instant
    source: str
    id: str
    data: dict[str, Any]
    withdraws: str | None
    taken_back: bool


class SubjectWarning(msgspec.Struct, frozen=True, kw_only=True):
    """A warning of a promise as the book spells it, and its instant; `given`: it has been published."""

    warn: str
    at: Instant | None
    given: bool


class SubjectEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event that has been published: its id, and the topic that it is on.

    `status` is what it announced (None for a retraction: the outcome published with it says that), `due` the due then
    in force, `warn` the warning where it is one.
    """

    kind: Kind
    status: Status | None
    due: Instant
    warn: str | None
    id: str
    topic: str


class SubjectPromise(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a promise on the subject, as it has been published.

    `cycle` is the id of the event that opened it (`opened_by`), `breach_of` the promise whose breach did, if one did.
    `text` says in one sentence how it stands, `awaits` what is still to come, or is not to come; None where nothing is.
    `first_due` is the due as first promised, `due` as last promised. `judged_at`: of one that is open, the instant up
    to which everything has to be known before it is said that nothing came. `known_until`: everything dated before is
    known of the sources that the promise waits for; None if nothing is known yet. While it is paused, since
    `paused_since` and until `paused_until` at most, `due` is the one that holds if the pause lasts so long.

    `revision` is that of the newest event about it, 0 if nothing has been published. `published` has each kind in the
    order in which it came first. From `kept_until` on nothing is kept of it.
    """

    promise: str
    title: str
    version: int
    severity: Severity
    timezone: str
    cycle: str
    opened_by: FactRef
    breach_of: str | None
    opened_at: Instant
    status: Status
    text: str
    awaits: str | None
    first_due: Instant
    due: Instant
    judged_at: Instant | None
    known_until: Instant | None
    paused_ms: Annotated[int, msgspec.Meta(ge=0)]
    paused_since: Instant | None
    paused_until: Instant | None
    fulfilled_at: Instant | None
    breached_at: Instant | None
    warnings: list[SubjectWarning]
    revision: Annotated[int, msgspec.Meta(ge=0)]
    published: list[SubjectEvent]
    kept_until: Instant


class SubjectTold(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is kept about a subject: its events in their order, and what was promised, what runs first.

    `told_at` is the worker's clock, `partition` the one of `topic` in which the subject was found. `not_judged_yet` are
    promises for which events are put aside, until it is known since when their sources are known.
    """

    key: str
    id: str
    app_id: str
    topic: str
    partition: int
    told_at: Instant
    facts: list[SubjectFact]
    promises: list[SubjectPromise]
    not_judged_yet: list[str]


class SubjectRefusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a worker tells nothing. `partition` is where the subject belongs, where that is known."""

    reason: RefusalReason
    message: str
    partition: int | None = None


_told = msgspec.json.Decoder(SubjectTold)
_refusal = msgspec.json.Decoder(SubjectRefusal)


def decode_told(value: bytes) -> SubjectTold:
    """Read a worker's answer. Raises msgspec.MsgspecError on anything else."""
    return _told.decode(value)


def decode_refusal(value: bytes) -> SubjectRefusal:
    """Read why a worker tells nothing. Raises msgspec.MsgspecError on anything else."""
    return _refusal.decode(value)
