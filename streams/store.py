"""Partition stores: raw bytes per subject, scoped by partition, filled from the changelog.

A store is a cache of the changelog topic and is written only after the same records were committed there. It keeps,
with every write, the changelog offset it has applied, so that recovery reads no more than what is missing.
"""

import shutil
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import rocksdict
import structlog

from schemas.errors import RestartNeeded, StateError

log = structlog.get_logger("promisewatch.store")

_META = b"\x00\x00applied"
_META_FORMAT = struct.Struct(">qq")

LOCAL_STATE_MAX_AGE_MS = 24 * 3_600_000
"""Older local state is thrown away and read again: tombstones it missed may have been compacted away."""

BLOCK_CACHE_BYTES = 128 << 20
WRITE_BUFFER_BYTES = 32 << 20


def made_folder(folder: Path) -> None:
    """Make a folder for local state where there is none. Raises StateError where none can be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StateError(f"the state folder {folder} cannot be used: {error}") from error


def _is_damage(error: Exception) -> bool:
    """Whether RocksDB says that its files do not fit together, rather than that it may not or cannot use them."""
    text = str(error)
    return text.startswith(("Corruption", "Invalid argument")) or "No such file" in text


def _told(path: Path, error: Exception) -> RestartNeeded | StateError:
    """What to tell a person about local state that cannot be used, by what RocksDB said about it.

    A lock or a full disk may be gone after a restart, a missing permission not.
    """
    text = str(error)
    if "lock" in text.lower():
        return RestartNeeded(f"the local state in {path} is in use by another process: {text}")
    if "No space left" in text:
        return RestartNeeded(f"no space is left for the local state in {path}: {text}")
    return StateError(f"the local state in {path} cannot be used: {text}")


class PartitionStore(Protocol):
    """What a worker needs of its local state."""

    def applied(self, partition: int, now_ms: int) -> int | None:
        """Return the last changelog offset held, or None when there is no usable local state."""
        ...

    def reader(self, partition: int) -> Callable[[bytes], bytes | None]:
        """Return the function that gets one value."""
        ...

    def write(self, partition: int, changes: Mapping[bytes, bytes | None], offset: int, now_ms: int) -> None:
        """Apply changes (None deletes) that are on the changelog up to `offset`, atomically."""
        ...

    def scan(self, partition: int, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Iterate over all keys with a prefix, and their values."""
        ...

    def drop(self, partition: int) -> None:
        """Let go of a partition that is no longer ours; local files stay for when it comes back."""
        ...

    def wipe(self, partition: int) -> None:
        """Forget a partition, files and all."""
        ...

    def partitions(self) -> set[int]:
        """Return the partitions that are open."""
        ...


class MemoryStore:
    """Everything in dictionaries; after a restart the whole changelog is read again."""

    def __init__(self) -> None:
        """Start empty."""
        self._data: dict[int, dict[bytes, bytes]] = {}
        self._applied: dict[int, int] = {}

    def applied(self, partition: int, now_ms: int) -> int | None:  # noqa: ARG002 -- the protocol's
        """Return the last changelog offset held."""
        return self._applied.get(partition)

    def reader(self, partition: int) -> Callable[[bytes], bytes | None]:
        """Return the partition's `dict.get`."""
        return self._data.setdefault(partition, {}).get

    def write(
        self,
        partition: int,
        changes: Mapping[bytes, bytes | None],
        offset: int,
        now_ms: int,  # noqa: ARG002 -- the protocol's
    ) -> None:
        """Apply changes."""
        data = self._data.setdefault(partition, {})
        for key, value in changes.items():
            if value is None:
                data.pop(key, None)
            else:
                data[key] = value
        self._applied[partition] = offset

    def scan(self, partition: int, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Iterate over a partition."""
        for key, value in self._data.get(partition, {}).items():
            if key.startswith(prefix):
                yield key, value

    def drop(self, partition: int) -> None:
        """Forget the partition: without files there is nothing to keep."""
        self.wipe(partition)

    def wipe(self, partition: int) -> None:
        """Forget the partition."""
        self._data.pop(partition, None)
        self._applied.pop(partition, None)

    def partitions(self) -> set[int]:
        """Return the partitions held."""
        return set(self._data)


class RocksStore:
    """One RocksDB a partition under `folder`; values and applied offset share a write batch.

    What is damaged is removed: the changelog has all of it.
    """

    def __init__(self, folder: Path) -> None:
        """Use `folder` (made when missing). One block cache serves all partitions.

        Raises StateError where no folder can be made.
        """
        made_folder(folder)
        self._folder = folder
        self._open: dict[int, rocksdict.Rdict] = {}
        self._cache = rocksdict.Cache(BLOCK_CACHE_BYTES)

    def _path(self, partition: int) -> Path:
        return self._folder / f"partition-{partition}"

    def _db(self, partition: int) -> rocksdict.Rdict:
        db = self._open.get(partition)
        if db is None:
            blocks = rocksdict.BlockBasedOptions()
            blocks.set_block_cache(self._cache)
            blocks.set_bloom_filter(10, False)
            options = rocksdict.Options(raw_mode=True)
            options.create_if_missing(True)
            options.set_write_buffer_size(WRITE_BUFFER_BYTES)
            options.set_max_open_files(256)
            options.set_keep_log_file_num(1)
            options.set_block_based_table_factory(blocks)
            db = self._open[partition] = self._opened(partition, options)
        return db

    def _opened(self, partition: int, options: rocksdict.Options) -> rocksdict.Rdict:
        """Open a database. A damaged one is removed and begun anew. Raises as `_told`, and StateError."""
        path = self._path(partition)
        if path.exists() and not path.is_dir():
            raise StateError(f"found a file at {path}, expected a folder with local state: move it away")
        try:
            return rocksdict.Rdict(str(path), options=options)
        except Exception as error:
            if not _is_damage(error):
                raise _told(path, error) from error
            log.warning("local state is damaged; the changelog is read again", partition=partition, reason=str(error))
            shutil.rmtree(path)
            return rocksdict.Rdict(str(path), options=options)

    def applied(self, partition: int, now_ms: int) -> int | None:
        """Return the last changelog offset held, or None when there is none or it is too old to be caught up."""
        meta = self._db(partition).get(_META)
        if meta is None or len(meta) != _META_FORMAT.size:
            return None
        offset, written_ms = _META_FORMAT.unpack(meta)
        return offset if now_ms - written_ms <= LOCAL_STATE_MAX_AGE_MS else None

    def reader(self, partition: int) -> Callable[[bytes], bytes | None]:
        """Return the database's `get`."""
        get: Callable[[bytes], bytes | None] = self._db(partition).get
        return get

    def write(self, partition: int, changes: Mapping[bytes, bytes | None], offset: int, now_ms: int) -> None:
        """Apply changes and the offset in one RocksDB batch."""
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, value in changes.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(_META, _META_FORMAT.pack(offset, now_ms))
        try:
            self._db(partition).write(batch)
        except Exception as error:
            raise _told(self._path(partition), error) from error

    def scan(self, partition: int, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Iterate over a partition in key order. Damaged state is removed, with RestartNeeded to read it again."""
        db = self._db(partition)
        items: Iterator[tuple[Any, Any]] = db.items(from_key=prefix) if prefix else db.items()
        key = None
        for key, value in items:
            if not key.startswith(prefix):
                return
            if key != _META:
                yield key, value
        # The iterator ends without a word where it meets a damaged block: see whether that was the end.
        try:
            end = db.iter()
            end.seek_to_last()
            end.status()
            last = end.key() if end.valid() else None
            whole = last == key or (key is None and last is not None and last < prefix)
        except Exception as error:
            if not _is_damage(error):
                raise _told(self._path(partition), error) from error
            whole = False
        if not whole:
            self.wipe(partition)
            raise RestartNeeded(
                f"the local state in {self._path(partition)} was damaged (it could not be read to its end) and is "
                "removed; after a restart it is read again from the changelog"
            )

    def drop(self, partition: int) -> None:
        """Close the database, which frees its lock at once."""
        db = self._open.pop(partition, None)
        if db is not None:
            db.close()

    def wipe(self, partition: int) -> None:
        """Close and remove the database."""
        self.drop(partition)
        shutil.rmtree(self._path(partition), ignore_errors=True)

    def partitions(self) -> set[int]:
        """Return the partitions that are open."""
        return set(self._open)
