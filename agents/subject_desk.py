"""What a worker knows of a subject, looked up in its event loop, from the committed state of the partitions it owns.

So whatever is told has been published, and what has been published is told.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import mode
import msgspec

from agents.committing import CommittingPartition
from promises.aside import Aside
from promises.detector import Detector, subject_key
from promises.grouped import GroupedDetector
from promises.judged import JudgedGroup
from promises.partition import CHECKPOINT_KEY, PartitionDetector
from promises.rules import ALWAYS
from promises.subjects import Kept, SubjectTeller, Topics, facts_told, home_of, in_order
from schemas.book_model import Book
from schemas.errors import StateError
from schemas.facts import Subject
from schemas.groups import aside_prefix, checkpoint_key
from schemas.instants import format_instant
from schemas.records import RECORD_FORMAT, Checkpoint, Record, decode_checkpoint
from schemas.subjects import RefusalReason, SubjectRefusal, SubjectTold
from schemas.topics import BREACHES, OUTCOMES
from streams.app import BatchApp
from streams.partitions import Lane

TELLERS_REMEMBERED_MAX = 100
"""Compiled books, of which what is needed to tell by them is kept; past it the memory starts anew."""

Read = Callable[[bytes], bytes | None]

_decode_record = msgspec.json.Decoder(Record).decode


class Refused(Exception):
    """A question that is not answered."""

    def __init__(self, reason: RefusalReason, message: str, partition: int | None = None) -> None:
        super().__init__(message)
        self.refusal = SubjectRefusal(reason=reason, message=message, partition=partition)


class Found(NamedTuple):
    """What one group of promises keeps of a subject, and by which texts it is told. `silent` are told by others,
    `waiting` those that cannot be judged yet.
    """

    detector: Detector
    kept: Kept
    silent: frozenset[str] = frozenset()
    waiting: tuple[str, ...] = ()


class Desk(mode.Service):
    """Answers in the event loop of the app, from the committed state of the partitions that it owns."""

    def __init__(self, app: BatchApp, book: Book, *, from_facts: bool, **kwargs: Any) -> None:
        """Answer for this app and book."""
        super().__init__(**kwargs)
        self.asyncio_loop: asyncio.AbstractEventLoop | None = None
        self._app = app
        self._from_facts = from_facts
        self._keys = list(dict.fromkeys(promise.key for promise in book.promises))
        self._tellers: dict[int, tuple[Detector, SubjectTeller]] = {}

    @property
    def app_id(self) -> str:
        """Of which application this is a worker."""
        return self._app.settings.app_id

    async def on_start(self) -> None:
        """Be there."""
        self.asyncio_loop = asyncio.get_running_loop()

    def answer(self, subject: Subject) -> SubjectTold:
        """Tell what is kept of a subject. Raises Refused if that is nothing, or not for this worker to know."""
        app = self._app
        if subject.key not in self._keys:
            expected = " or ".join(map(repr, self._keys))
            raise Refused("bad_request", f"found key {subject.key!r}, expected {expected}")
        if not app.partitions.opened or app.rebalancing or app.should_stop:
            raise Refused("not_ready", "this worker is being given its partitions, or is stopping; ask again")
        topic, lanes = app.settings.topic, app.partitions.of_topic(app.settings.topic)
        home = home_of(subject, app.settings.partitions, from_facts=self._from_facts)
        # Producers may choose partitions by another rule than Kafka's default one: what is kept says where it is.
        for partition in sorted(lanes, key=lambda one: (one != home, one)):
            found = _found(lanes[partition], app.store.reader(partition), subject)
            if found:
                return self._tell(subject, topic, partition, found)
        if home not in lanes:
            message = f"partition {home} of {topic}, to which this subject belongs, is another worker's"
            raise Refused("not_owner", message, home)
        message = (
            f"nothing is kept about this {subject.key} (partition {home} of {topic}): no event about it that a promise "
            "needs has come, or it is so long ago that it has been forgotten"
        )
        raise Refused("not_kept", message, home)

    def _tell(self, subject: Subject, topic: str, partition: int, found: Sequence[Found]) -> SubjectTold:
        promises = [
            promise for one in found for promise in self._teller(one.detector).promises(subject, one.kept, one.silent)
        ]
        return SubjectTold(
            key=subject.key,
            id=subject.value,
            app_id=self._app.settings.app_id,
            topic=topic,
            partition=partition,
            told_at=format_instant(self._app.clock.now_ms()),
            facts=facts_told(one.kept.record for one in found),
            promises=in_order(promises),
            not_judged_yet=[promise for one in found for promise in one.waiting],
        )

    def _teller(self, detector: Detector) -> SubjectTeller:
        known = self._tellers.get(id(detector))
        if known is None:
            if len(self._tellers) >= TELLERS_REMEMBERED_MAX:
                self._tellers.clear()
            # The detector is kept with it, so that no other one ever gets its id.
            known = self._tellers[id(detector)] = (detector, SubjectTeller(detector, Topics(BREACHES, OUTCOMES)))
        return known[1]


def _found(lane: Lane, read: Read, subject: Subject) -> list[Found]:
    """What the partition of a lane keeps of a subject, as last committed."""
    handler = lane.handler
    if not isinstance(handler, CommittingPartition):
        return []
    # While a batch is in hand, the frontier may have passed what is not published yet.
    core, stored_as, at_rest = handler.core, subject_key(subject), not lane.lock.locked()
    if isinstance(core, GroupedDetector):
        return [found for group in core.groups for found in _found_in(group, read, subject, at_rest=at_rest)]
    kept = _kept(core, read(CHECKPOINT_KEY), read(stored_as), at_rest=at_rest)
    return [] if kept is None else [Found(core.detector, kept)]


def _found_in(group: JudgedGroup, read: Read, subject: Subject, *, at_rest: bool) -> Iterator[Found]:
    """What one group of a facts partition keeps: what it has judged, and what it has put aside."""
    detector, stored_as = group.core.detector, subject_key(subject)
    checkpoint = read(checkpoint_key(group.index))
    kept = _kept(group.core, checkpoint, read(group.prefix + stored_as), at_rest=at_rest)
    if kept is not None:
        yield Found(detector, kept, frozenset(group.group.silent))
    prefix = aside_prefix(group.index)
    aside = Aside(read, prefix)
    aside.rebuild([prefix + stored_as])
    if waiting := aside.fetch(stored_as):
        facts = [fact for _, fact in waiting]
        untouched = Kept(Record(RECORD_FORMAT, facts, []), (ALWAYS, b""), ALWAYS, ALWAYS)
        told = [promise.id for promise in detector.book.promises if promise.key == subject.key]
        yield Found(detector, untouched, waiting=tuple(name for name in group.group.promises if name in told))


def _kept(core: PartitionDetector, checkpoint: bytes | None, value: bytes | None, *, at_rest: bool) -> Kept | None:
    if checkpoint is None or value is None:
        return None
    stored: Checkpoint = decode_checkpoint(checkpoint, "the checkpoint")
    record = _decode_record(value)
    if record.format != RECORD_FORMAT:
        raise StateError(f"found a record of format {record.format}, expected format {RECORD_FORMAT}")
    frontier = max(stored.fire, core.frontier) if at_rest else stored.fire
    return Kept(record, (stored.fire, stored.subject), frontier, stored.known_since, stored.gaps)
