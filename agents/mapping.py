"""Events of a source to facts of the facts topic: one for each key that some promise needs and the event has."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from promises.detector import subject_key
from schemas.book_model import Book
from schemas.cloudevents import structured
from schemas.decoding import MISSING_KEY, Decoder
from schemas.errors import EventError
from schemas.factrecords import encode_fact
from schemas.facts import Decoded, Fact, Subject
from schemas.partitioning import facts_partition
from streams.emit import Outgoing


class Mapped:
    """Facts on their way: by the partition of the facts topic, in the order in which they were read.

    `first_time` is the time of the first of them, UTC milliseconds. `events` counts those that said something, `late`
    those of them dated before the instant that was asked about, `unknown` those whose type no promise names.
    """

    __slots__ = ("count", "events", "first_time", "late", "records", "unknown")

    def __init__(self) -> None:
        self.records: defaultdict[int, list[Outgoing]] = defaultdict(list)
        self.count = 0
        self.events = 0
        self.late = 0
        self.unknown = 0
        self.first_time: int | None = None


class SourceMapper:
    """Maps the records of one source; several of its partitions may share a mapper."""

    def __init__(self, book: Book, source: str, partitions: int) -> None:
        """Map to so many partitions of the facts topic what the promises of `book` look at, by each of their keys."""
        decoder = Decoder(book)
        keys = dict.fromkeys(promise.key for promise in book.promises)
        self._decoders = [decoder.source(source, key) for key in keys]
        self._in_headers = self._decoders[0].in_headers
        self.has_tombstones = self._decoders[0].has_tombstones
        """Whether a record without a value says nothing, and is no mistake."""
        self._partitions = partitions

    def take_in(
        self, records: Sequence[Any], begin: int, end: int, latest: int, late_before: int, mapped: Mapped
    ) -> tuple[int, EventError | None]:
        """Map `records[begin:end]` (each with `value` and `headers`) and add to `mapped`, up to one that is no fact.

        Returns the index of that record, and why it cannot be used (dated after `latest`, UTC ms, is one reason) or
        None if it has no value; `end` if all were mapped. Events dated before `late_before` are counted as late.
        """
        decode = self._one if len(self._decoders) == 1 else self._several
        count, by_partition = self._partitions, mapped.records
        for index in range(begin, end):
            record = records[index]
            if not record.value:
                return index, None
            try:
                found = decode(record)
            except EventError as error:
                return index, error
            if not found:
                mapped.unknown += 1
                continue
            time = found[0][1].time
            if time > latest:
                message = f"time {time} lies more than the skew ahead of the clock: after {latest}"
                return index, EventError("future", message)
            if mapped.first_time is None:
                mapped.first_time = time
            for subject, fact in found:
                key = subject_key(subject)
                by_partition[facts_partition(key, count)].append(Outgoing(key, encode_fact(fact)))
            mapped.count += len(found)
            mapped.events += 1
            mapped.late += time < late_before
        return end, None

    def _one(self, record: Any) -> tuple[tuple[Subject, Fact], ...]:
        decoder = self._decoders[0]
        if self._in_headers:
            return _said(decoder.decode_record(record.value, record.headers))
        return _said(decoder.decode(record.value))

    def _several(self, record: Any) -> tuple[tuple[Subject, Fact], ...]:
        """An event that lacks one key tells of the others; it cannot be used if it lacks all that it is needed for."""
        value = structured(record.value, record.headers) if self._in_headers else record.value
        found: tuple[tuple[Subject, Fact], ...] = ()
        missing: EventError | None = None
        for decoder in self._decoders:
            try:
                found += _said(decoder.decode(value))
            except EventError as error:
                if error.reason != MISSING_KEY:
                    raise
                missing = error
        if missing is not None and not found:
            raise missing
        return found


def _said(decoded: Decoded) -> tuple[tuple[Subject, Fact], ...]:
    """The subject and the fact, if a promise names the event's type."""
    subject, fact = decoded.subject, decoded.fact
    return () if subject is None or fact is None else ((subject, fact),)
