"""Sends recorded events to the topics of their sources, and markers that tell truly how far these are complete.

A recording may be in any order. It is therefore read twice: first for the earliest time in each block of lines, then
to be sent. After a block, nothing still to come is dated before the earliest time of all later blocks, and exactly
that is what the marker says.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from itertools import zip_longest
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Producer

from promisewatch.recordings import Recording, read_lines
from schemas.decoding import Decoder
from schemas.errors import BrokerUnavailable, EventError, InputError, PromisewatchError, SettingsError, TopicsError
from schemas.exits import ExitCode
from schemas.markers import marker_headers
from streams.security import NO_SECURITY, KafkaSecurity

BLOCK_LINES_MAX = 1000
MARKER_EVERY_S = 0.25
"""How often markers are sent in played time; as fast as possible there is one after each block."""
EVENT_BYTES_MAX = 100 * 1024 * 1024
"""The producer's own limit. Above any sensible broker's, which is the one that decides."""
ANSWER_TIMEOUT_S = 5.0
DELIVERY_TIMEOUT_S = 60.0
REFUSALS = frozenset({
    KafkaError._AUTHENTICATION,  # noqa: SLF001 -- its name for an error of the library itself
    KafkaError._SSL,  # noqa: SLF001 -- likewise
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
})  # fmt: skip
"""What trying again does not change: somebody has to mend credentials, certificates or permissions."""


class Event(NamedTuple):
    """One record to be sent. `time` (UTC ms) and `key` are None for what no promise of the book can use."""

    time: int | None
    key: bytes | None
    value: bytes
    source: str


@dataclass
class Counts:
    """What became of the lines of a recording."""

    sent: int = 0
    unknown_type: int = 0
    unreadable: int = 0
    after_as_of: int = 0
    markers: int = 0
    first_unreadable: str | None = None


class Plan(NamedTuple):
    """What the first reading found: after block i, everything dated before `complete[i]` has been sent."""

    complete: list[int]
    first: int
    end: int


def read_events(
    recordings: Sequence[Recording],
    decoder: Decoder,
    as_of: int | None,
    counts: Counts,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Event]:
    """Every event of the recordings but those dated after `as_of`: those of a source in their order, and sources merged
    by time.

    What cannot be read as an event is sent too, as it is and without a key: a live topic holds such things as well,
    and the dead letters of its reader are where they belong.
    """
    read: dict[Path, int] = {}

    def report(path: Path, position: int) -> None:
        read[path] = position
        if progress is not None:
            progress(sum(read.values()))

    sources: dict[str, list[Path]] = {}
    for source, path in recordings:
        sources.setdefault(source, []).append(path)
    return by_time([
        _events_of(source, paths, decoder, as_of, counts, report) for source, paths in sources.items()
    ])  # fmt: skip


def by_time(streams: Sequence[Iterator[Event]]) -> Iterator[Event]:
    """Streams as one: each in its own order, and next always the earliest of what they have next."""
    heads: list[tuple[float, int, Event]] = []

    def pull(number: int) -> None:
        for event in streams[number]:
            heappush(heads, (-inf if event.time is None else event.time, number, event))
            return

    for number in range(len(streams)):
        pull(number)
    while heads:
        _, number, event = heappop(heads)
        yield event
        pull(number)


def _events_of(
    source: str,
    paths: Sequence[Path],
    decoder: Decoder,
    as_of: int | None,
    counts: Counts,
    report: Callable[[Path, int], None],
) -> Iterator[Event]:
    for path in paths:
        for number, value in read_lines(path, partial(report, path)):
            try:
                facts = decoder.facts(source, value)
            except EventError as error:
                counts.unreadable += 1
                counts.first_unreadable = counts.first_unreadable or f"{path}:{number}: {error.message}"
                yield Event(None, None, value, source)
                continue
            if not facts:
                counts.unknown_type += 1
                yield Event(None, None, value, source)
                continue
            subject, fact = facts[0]
            if as_of is not None and fact.time > as_of:
                counts.after_as_of += 1
            else:
                yield Event(fact.time, subject.value.encode(), value, source)


def in_blocks(events: Iterable[Event], span_ms: float) -> Iterator[list[Event]]:
    """Cut the events into blocks of bounded length that span about `span_ms` of recorded time at most."""
    block: list[Event] = []
    newest, begins = -inf, -inf
    for event in events:
        newest = newest if event.time is None else max(newest, event.time)
        if len(block) >= BLOCK_LINES_MAX or (block and newest >= begins + span_ms):
            yield block
            block = []
        if not block:
            begins = newest
        block.append(event)
    if block:
        yield block


def plan(blocks: Iterable[list[Event]], as_of: int | None) -> Plan:
    """Read the blocks once for what will be known to be complete after each.

    At the end the recording is complete up to `as_of`; without one, up to its latest event. Raises InputError if
    there is neither.
    """
    minima: list[float] = []
    latest = -inf
    for block in blocks:
        times = [event.time for event in block if event.time is not None]
        minima.append(min(times, default=inf))
        latest = max(latest, *times) if times else latest
    if latest == -inf and as_of is None:
        raise InputError("found no event that the book can use", ExitCode.DATA)
    end = int(latest) if as_of is None else as_of
    complete, earliest = [], float(end)
    for minimum in reversed(minima):
        complete.append(int(earliest))
        earliest = min(earliest, minimum)
    return Plan(complete[::-1], int(earliest), end)


class Pace:
    """Recorded time played `speed` times as fast as it passed."""

    def __init__(
        self, speed: float, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.speed = speed
        self._clock = clock
        self._sleep = sleep
        self._zero_s = 0.0
        self._zero_ms = 0

    def begin(self, first_ms: int) -> None:
        """It is `first_ms` now."""
        self._zero_s, self._zero_ms = self._clock(), first_ms

    def now_ms(self) -> int:
        return self._zero_ms + int((self._clock() - self._zero_s) * 1000 * self.speed)

    def steps_until(self, ms: int) -> Iterator[int]:
        """Wait until `ms`, yielding the played time about every MARKER_EVERY_S on the way."""
        while (now := self.now_ms()) < ms:
            yield now
            self._sleep(min((ms - now) / 1000 / self.speed, MARKER_EVERY_S))


class Topic:
    """One topic to send to. Records of one partition keep their order, and none is sent twice (idempotent producer)."""

    def __init__(
        self,
        bootstrap_server: str,
        topic: str,
        security: KafkaSecurity = NO_SECURITY,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        """Connect. `headers` are those of every event.

        Raises BrokerUnavailable, SettingsError if refused, or TopicsError if there is no such topic.
        """
        self.name = topic
        self._headers = list(headers)
        self._address = bootstrap_server
        self._failure: PromisewatchError | None = None
        self._refusal: KafkaError | None = None
        self._who = security.username
        self._producer = Producer({
            "bootstrap.servers": bootstrap_server,
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",  # as Java clients place keys
            "linger.ms": 5,
            "message.max.bytes": EVENT_BYTES_MAX,
            "delivery.timeout.ms": int(DELIVERY_TIMEOUT_S * 1000),
            "delivery.report.only.error": True,
            "log_level": 0,  # what matters is raised
            "error_cb": self._noticed,
            **security.librdkafka(),
        })  # fmt: skip
        try:
            topics = self._producer.list_topics(timeout=ANSWER_TIMEOUT_S).topics
        except KafkaException as error:
            self._producer.poll(0)  # hear why
            raise self._unavailable(error.args[0]) from error
        if topic in topics and topics[topic].error is not None:
            raise self._unavailable(topics[topic].error)
        if topic not in topics:
            raise TopicsError(
                f"there is no topic {topic} on {bootstrap_server}; `promisewatch topics create` can make it",
                ExitCode.DIFFERENT,
            )
        self.partitions = len(topics[topic].partitions)

    def send(self, event: Event) -> None:
        """Queue one event."""
        self._produce(value=event.value, key=event.key, headers=self._headers)

    def send_marker(self, ms: int) -> None:
        """Say on every partition that everything dated before `ms` is there. Waits until that is true."""
        self.settle()
        self.send_control(marker_headers(ms))

    def send_control(self, headers: list[tuple[str, bytes]]) -> None:
        """Queue a record with these headers and an empty value for every partition."""
        for partition in range(self.partitions):
            self._produce(value=b"", partition=partition, headers=headers)

    def settle(self) -> None:
        """Wait until all that was queued is acknowledged. Raises BrokerUnavailable if that takes too long."""
        if self._producer.flush(DELIVERY_TIMEOUT_S + ANSWER_TIMEOUT_S) > 0:
            raise BrokerUnavailable(f"the broker at {self._address} did not acknowledge in time")
        if self._failure is not None:
            raise self._failure

    def _produce(self, **record: Any) -> None:
        while True:
            try:
                self._producer.produce(self.name, on_delivery=self._refused, **record)
            except BufferError:  # the queue is full
                self._producer.poll(0.1)
            except KafkaException as error:
                raise self._unavailable(error.args[0]) from error
            else:
                self._producer.poll(0)
                return

    def _refused(self, error: KafkaError | None, record: Any) -> None:
        if error is None or self._failure is not None:
            return
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            size = len(record.value() or b"")
            text = (
                f"an event of {size} bytes is more than topic {self.name} takes (its max.message.bytes): {record.key()}"
            )
            self._failure = PromisewatchError(text, ExitCode.DATA)
        else:
            self._failure = self._unavailable(error)

    def _noticed(self, error: KafkaError) -> None:
        """Keep why connections fail: what is raised later only says that no broker answered in time."""
        if error.code() in REFUSALS:
            self._refusal = error

    def _unavailable(self, error: KafkaError) -> PromisewatchError:
        refused = error if error.code() in REFUSALS else self._refusal
        if refused is not None:
            who = f"sasl_username {self._who!r}" if self._who else "this client"
            return SettingsError(f"Kafka at {self._address} refuses {who}: {refused.str()}")
        return BrokerUnavailable(f"the broker at {self._address} cannot be used: {error.str()}")


class Feeder:
    """Sends blocks of events, each to the topic of its source, with the markers that go between them."""

    def __init__(
        self,
        topics: Mapping[str, Topic],
        planned: Plan,
        counts: Counts,
        *,
        marked: Collection[str],
        pace: Pace | None = None,
    ) -> None:
        """`topics` by source; those of the sources `marked` get markers."""
        self._topics = topics
        self._plan = planned
        self._counts = counts
        self._marked_topics = [topics[source] for source in marked]
        self._pace = pace
        self._marked: float = -inf

    def feed(self, blocks: Iterable[list[Event]]) -> None:
        """Send everything, wait until it is acknowledged, and end with the last marker on every partition."""
        bound = self._plan.first
        if self._pace is not None:
            self._pace.begin(bound)
        for block, complete in zip_longest(blocks, self._plan.complete):
            if block is None or complete is None:
                raise InputError("the recording changed while it was being read", ExitCode.DATA)
            for event in block:
                if event.time is not None:
                    self._await(event.time, bound)
                self._topics[event.source].send(event)
            self._counts.sent += len(block)
            bound = complete
            self._mark(bound if self._pace is None else min(bound, self._pace.now_ms()))
        self._await(self._plan.end, bound)
        self._mark(self._plan.end)
        for topic in self._topics.values():
            topic.settle()

    def _await(self, ms: int, bound: int) -> None:
        """In played time, wait for an instant and send markers on the way, never past `bound`."""
        if self._pace is not None:
            for now in self._pace.steps_until(ms):
                self._mark(min(now, bound))

    def _mark(self, ms: int) -> None:
        if self._marked_topics and ms > self._marked:
            for topic in self._marked_topics:
                topic.send_marker(ms)
            self._marked = ms
            self._counts.markers += 1
