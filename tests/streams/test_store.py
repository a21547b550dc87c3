"""Partition stores: one behaviour, in memory and on disk."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.errors import RestartNeeded, StateError
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


def test_a_scan_may_be_of_the_keys_with_a_prefix(make: Make) -> None:
    """Wherever they stand among the others, and also where there are none."""
    store = make()
    store.write(3, {b"a": b"1", b"b/1": b"2", b"b/2": b"3", b"c": b"4"}, 41, 0)
    found = {prefix: dict(store.scan(3, prefix)) for prefix in (b"b/", b"c", b"a", b"d", b"aa")}
    assert found == {b"b/": {b"b/1": b"2", b"b/2": b"3"}, b"c": {b"c": b"4"}, b"a": {b"a": b"1"}, b"d": {}, b"aa": {}}


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


def filled(folder: Path) -> Path:
    """Local state of partition 0 on disk, as a worker leaves it that was stopped; its folder."""
    store = RocksStore(folder)
    store.write(0, {b"k%05d" % n: os.urandom(200) for n in range(5_000)}, 41, 0)
    store._db(0).flush()
    store.drop(0)
    return folder / "partition-0"


@pytest.mark.parametrize("how", ["cut", "empty", "gone"])
@pytest.mark.parametrize("which", ["*.sst", "MANIFEST*", "CURRENT"])
def test_a_damaged_database_is_begun_anew(tmp_path: Path, which: str, how: str) -> None:
    """It counts as no local state, so that the changelog is read again; a worker goes on as on a new disk."""
    for path in filled(tmp_path).glob(which):
        content = path.read_bytes()
        path.unlink() if how == "gone" else path.write_bytes(content[: len(content) // 2] if how == "cut" else b"")
    store = RocksStore(tmp_path)
    assert store.applied(0, 0) is None
    store.write(0, {b"a": b"1"}, 7, 0)
    assert dict(store.scan(0)) == {b"a": b"1"}


def test_a_block_that_went_bad_is_noticed_although_the_database_opens(tmp_path: Path) -> None:
    """RocksDB's iterator ends at such a block without a word: timers behind it would be missed, and their breaches."""
    for path in filled(tmp_path).glob("*.sst"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)
    store = RocksStore(tmp_path)
    assert store.applied(0, 0) == 41
    with pytest.raises(RestartNeeded, match="was damaged .* read again from the changelog"):
        list(store.scan(0))
    assert RocksStore(tmp_path).applied(0, 0) is None


def test_what_is_written_last_may_be_cut_off_with_its_offset(tmp_path: Path) -> None:
    """The log of the newest writes ends anywhere after a power failure: what is missing is read from the changelog."""
    store = RocksStore(tmp_path)
    for n in range(100):
        store.write(0, {b"k%d" % n: b"v" * 100}, n, 0)
    shutil.copytree(tmp_path / "partition-0", tmp_path / "after" / "partition-0")  # what is on disk without a good end
    for path in (tmp_path / "after" / "partition-0").glob("*.log"):
        path.write_bytes(path.read_bytes()[:-1_000])
    store = RocksStore(tmp_path / "after")
    applied = store.applied(0, 0)
    assert applied is not None
    assert 50 < applied < 99
    assert {key for key, _ in store.scan(0)} == {b"k%d" % n for n in range(applied + 1)}


def test_foreign_files_do_not_disturb_and_are_not_touched(tmp_path: Path) -> None:
    """A backup program's leavings, say."""
    folder = filled(tmp_path)
    (folder / "notes.txt").write_text("mine")
    (folder / "999999.sst").write_text("not RocksDB's")
    store = RocksStore(tmp_path)
    assert store.applied(0, 0) == 41
    assert len(list(store.scan(0))) == 5_000
    assert (folder / "notes.txt").read_text() == "mine"


def test_state_that_another_process_uses_is_left_alone(tmp_path: Path) -> None:
    """The one before may still be ending: a restart finds it gone."""
    first = RocksStore(tmp_path)
    first.write(0, {b"k": b"v"}, 5, 0)
    with pytest.raises(RestartNeeded, match=f"the local state in {tmp_path}/partition-0 is in use"):
        RocksStore(tmp_path).applied(0, 0)
    assert first.reader(0)(b"k") == b"v"


@pytest.mark.parametrize("occupied", ["state", "state/partition-0"])
def test_a_place_that_cannot_hold_state_is_told_with_its_path(tmp_path: Path, occupied: str) -> None:
    """A file where a folder has to be; nothing is removed that is not ours."""
    place = tmp_path / occupied
    place.parent.mkdir(exist_ok=True)
    place.write_text("somebody's")
    with pytest.raises(StateError, match=str(place)):
        RocksStore(tmp_path / "state").applied(0, 0)
    assert place.read_text() == "somebody's"


def test_a_full_disk_and_a_read_only_one_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room may come back, so a restart is asked for; a permission does not come back by itself."""
    store = RocksStore(tmp_path)

    class Full:
        def __init__(self, text: str) -> None:
            self.text = text

        def write(self, batch: object) -> None:
            raise Exception(self.text)  # noqa: TRY002 - as rocksdict does

    for text, kind in (("No space left on device", RestartNeeded), ("Permission denied", StateError)):
        store._open[0] = Full(f"IO error: {text}: While appending to file: {tmp_path}/partition-0/000004.log")
        with pytest.raises(kind, match=rf"partition-0.*{text}"):
            store.write(0, {b"k": b"v"}, 1, 0)
