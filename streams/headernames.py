r"""Header names that are not UTF-8, which Kafka's protocol forbids and a client in C can write all the same.

aiokafka cannot read a batch with one: it raises UnicodeDecodeError at the same offset for ever. Here such a batch is
read a second time, by aiokafka's slower reader, with `\xff` written out where a name has a byte that is no UTF-8.

Touches of aiokafka 0.14 internals, held by tests/streams/test_headernames.py: `fetcher.MemoryRecords`,
`default_records._DefaultRecordBatchPy`.
"""

from collections.abc import Iterator
from typing import Any, SupportsIndex

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

LENGTH_AT = 8
"""Where in a batch the number of bytes that follow it stands, as a big-endian int32."""
BEFORE_LENGTH_ENDS = 12


def accept_every_header_name() -> None:
    """Let every consumer of this process read such batches. What it has begun to read is not affected."""
    fetcher.MemoryRecords = Batches


class Batches:
    """What one fetch brought of a partition, in place of aiokafka's `MemoryRecords`."""

    def __init__(self, data: bytes) -> None:
        """Read `data` as the broker sent it."""
        self._data = data
        self._batches = MemoryRecords(data)
        self._start = 0

    def size_in_bytes(self) -> int:
        """All of it, a batch cut off at the end included."""
        return int(self._batches.size_in_bytes())

    def has_next(self) -> bool:
        """Whether another whole batch is there."""
        return bool(self._batches.has_next())

    def next_batch(self) -> "Batch | None":
        """The next whole batch."""
        batch = self._batches.next_batch()
        if batch is None:
            return None
        length_at = self._start + LENGTH_AT
        start = self._start
        self._start += BEFORE_LENGTH_ENDS + int.from_bytes(self._data[length_at : length_at + 4], "big")
        return Batch(batch, self._data, start, self._start)


class Batch:
    """A batch of records, whatever the names of their headers are."""

    def __init__(self, batch: Any, data: bytes, start: int, end: int) -> None:
        """Read `batch`, which is `data[start:end]`."""
        self._batch = batch
        self._data = data
        self._range = slice(start, end)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        try:
            return iter(list(self._batch))
        except UnicodeDecodeError:
            return iter(_ForgivingBatch(self._data[self._range]))

    def __next__(self) -> Any:
        return next(self._batch)


class _ForgivingBatch(_DefaultRecordBatchPy):  # type: ignore[misc]  # final for type checkers, not for Python
    _buffer: bytearray

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _ForgivingBytes(self._buffer)


class _ForgivingBytes(bytearray):
    """Bytes that are decoded as far as they can be, and so are their parts."""

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        found = super().__getitem__(index)
        return found if isinstance(found, int) else _ForgivingBytes(found)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Decode, and write out each byte that is none of the encoding."""
        del errors
        return super().decode(encoding, "backslashreplace")
