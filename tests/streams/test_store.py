"""Partition stores: one behaviour, in memory and on disk."""

from collections.abc import Callable
from pathlib import Path

import pytest

from streams.store import LOCAL_STATE_MAX_AGE_MS, MemoryStore, PartitionStore, RocksStore

Make = Callable[[], PartitionStore]


@pytest.fixture(params=["memory", "rocksdb"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Make a store of each kind."""
    return MemoryStore if request.param == "memory" else lambda: RocksStore(tmp_path / "state")


def test_what_is_written_is_read_and_scanned(make: Make) -> None:
    """Values come back byte by byte; the store's own bookkeeping does not show."""
    store = make()
    store.write(3, {b"a": b"1", b"b": b"2"}, 41, 0)
    assert store.reader(3)(b"a") == b"1"
    assert dict(store.scan(3)) == {b"a": b"1", b"b": b"2"}
    assert store.applied(3, 0) == 41


def test_a_value_of_none_deletes(make: Make) -> None:
    """A tombstone on the changelog removes the key here."""
    store = make()
    store.write(0, {b"a": b"1"}, 1, 0)
    store.write(0, {b"a": None, b"never": None}, 2, 0)
    assert store.reader(0)(b"a") is None
    assert list(store.scan(0)) == []


def test_partitions_do_not_see_each_other(make: Make) -> None:
    """The same key in two partitions is two things, and a dropped partition leaves the other alone."""
    store = make()
    store.write(0, {b"k": b"zero"}, 1, 0)
    store.write(1, {b"k": b"one"}, 9, 0)
    store.wipe(0)
    assert store.reader(1)(b"k") == b"one"
    assert store.applied(0, 0) is None
    assert store.reader(0)(b"k") is None


def test_disk_state_survives_a_restart_and_memory_does_not(make: Make) -> None:
    """After a drop the disk store goes on where it was; the memory store reads everything again."""
    store = make()
    store.write(2, {b"k": b"v"}, 5, 0)
    store.drop(2)
    assert store.applied(2, 0) == (5 if isinstance(store, RocksStore) else None)


def test_local_state_that_is_too_old_is_not_used(tmp_path: Path) -> None:
    """Tombstones it missed may be compacted away, so it can no longer be caught up."""
    store = RocksStore(tmp_path)
    store.write(0, {b"k": b"v"}, 5, 1_000)
    assert store.applied(0, 1_000 + LOCAL_STATE_MAX_AGE_MS) == 5
    assert store.applied(0, 1_001 + LOCAL_STATE_MAX_AGE_MS) is None
