"""Records that aiokafka cannot read for the name of a header."""

import struct
from collections.abc import Iterable
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.memory_records import MemoryRecords

from streams.headernames import Batches, accept_every_header_name
from tests.streams.headernames import name

COMPRESSIONS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def batch(names: Iterable[str], first: int = 0, compression: int = 0) -> bytes:
    """One batch of records, one a name."""
    builder = _DefaultRecordBatchBuilderPy(2, compression, 0, -1, -1, -1, 1 << 20)
    for number, header in enumerate(names):
        builder.append(number, 1_000 + number, b"k%d" % number, b"v" * 100, [(header, b"\xfe"), ("sound", None)])
    made = bytearray(builder.build())
    struct.pack_into(">q", made, 0, first)  # the base offset is not part of the checksum
    return bytes(made)


def read(data: bytes) -> list[tuple[int, bytes, Any]]:
    """Everything in `data` as a consumer goes through it."""
    batches = Batches(data)
    found = []
    while batches.has_next():
        one = batches.next_batch()
        assert one is not None
        assert one.validate_crc()
        found += [(record.offset, record.key, list(record.headers)) for record in one]
    assert batches.next_batch() is None
    return found


@pytest.mark.parametrize("compression", COMPRESSIONS.values(), ids=COMPRESSIONS)
def test_names_that_are_not_utf_8_are_read_with_their_bytes_written_out(compression: int) -> None:
    """The records beside them, in their batch and in others, are read as ever."""
    data = batch(["a", "é"]) + batch(["b", name(b"tr\xffce"), "c"], 2, compression) + batch(["d"], 5)
    found = read(data)
    assert [offset for offset, _, _ in found] == [0, 1, 2, 3, 4, 5]
    assert [headers[0][0] for _, _, headers in found] == ["a", "é", "b", "tr\\xffce", "c", "d"]
    assert {(headers[0][1], headers[1]) for _, _, headers in found} == {(b"\xfe", ("sound", None))}
    assert [key for _, key, _ in found] == [b"k0", b"k1", b"k0", b"k1", b"k2", b"k0"]


def test_a_batch_cut_off_at_the_end_is_left_for_the_next_fetch() -> None:
    """A broker cuts a fetch where its size ends."""
    whole = batch(["a"])
    data = whole + batch(["b"], 1)[:-3]
    assert [offset for offset, _, _ in read(data)] == [0]
    assert Batches(data).size_in_bytes() == MemoryRecords(data).size_in_bytes()


def test_stock_aiokafka_still_needs_this() -> None:
    """Goes red when aiokafka reads such names itself, so that this room can be given up."""
    stock = MemoryRecords(batch([name(b"\xff")])).next_batch()
    assert stock is not None
    with pytest.raises(UnicodeDecodeError):
        list(stock)


def test_consumers_of_the_process_read_that_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """What aiokafka makes of a fetch goes through it, transaction markers and sums included."""
    monkeypatch.setattr(fetcher, "MemoryRecords", MemoryRecords)
    accept_every_header_name()
    data = batch(["a", name(b"\xff")])
    read_committed = 1
    made = fetcher.PartitionRecords(
        TopicPartition("t", 0), fetcher.MemoryRecords(data), [], 1, None, None, True, read_committed
    )
    assert [(record.offset, record.headers[0][0]) for record in made] == [(1, "\\xff")]
    assert made.next_fetch_offset == 2
