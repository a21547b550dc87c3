"""Recordings: files of events, one JSON document a line, plain or compressed (.jsonl, .gz, .zst).

A recording is read as a stream and any number of times; nothing but the current block is held in memory.
"""

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import zstandard

from schemas.errors import InputError

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
BUFFER_BYTES = 1 << 18
LINE_BYTES_MAX = 64 * 1024 * 1024
"""A longer line is no event but a file of another kind; reading stops instead of filling the memory."""


class Recording(NamedTuple):
    """One file and the source of the book its events belong to."""

    source: str
    path: Path


class Line(NamedTuple):
    """One event as recorded. `number` counts from 1, as editors do."""

    number: int
    value: bytes


def parse_recording(text: str, sources: list[str]) -> Recording:
    """Understand `[SOURCE=]FILE`; with one source in the book its name may be left out.

    Raises InputError where the source is unknown or ambiguous, or the file is not there.
    """
    name, equals, rest = text.partition("=")
    if equals and name in sources:
        source, path = name, Path(rest)
    elif len(sources) == 1:
        source, path = sources[0], Path(text)
    else:
        raise InputError(f"{text}: expected SOURCE=FILE with SOURCE one of {', '.join(sources)}")
    if not path.is_file():
        hint = f"; the book's sources are {', '.join(sources)}" if equals and name not in sources else ""
        raise InputError(f"{path}: {'is no file' if path.exists() else 'no such file'}{hint}")
    return Recording(source, path)


def read_lines(path: Path, progress: Callable[[int], None] | None = None) -> Iterator[Line]:
    """The lines of a recording that are not blank, without their line ends, in file order.

    `progress` is told now and then how many bytes of the file have been read. Raises InputError, with the line
    reached, where the file cannot be read to its end (damaged or cut-off compression, no permission).
    """
    number = 0
    try:
        with path.open("rb") as raw, decompressed(raw) as stream:
            while value := stream.readline(LINE_BYTES_MAX):
                number += 1
                if len(value) >= LINE_BYTES_MAX:
                    raise InputError(f"{path}:{number}: a line of over {LINE_BYTES_MAX} bytes is no event")
                if progress is not None and number % 1000 == 0:
                    progress(raw.tell())
                stripped = value.strip()
                if stripped:
                    yield Line(number, stripped)
            if progress is not None:
                progress(raw.tell())
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise InputError(f"{path}: cannot be read after line {number}: {error}") from error


@contextmanager
def decompressed(raw: IO[bytes]) -> Iterator[IO[bytes]]:
    """The file's content. Its first bytes tell the compression, whatever its name says."""
    magic = raw.read(len(ZSTD_MAGIC))
    raw.seek(0)
    if magic.startswith(GZIP_MAGIC):
        with gzip.open(raw) as stream:
            yield io.BufferedReader(stream, BUFFER_BYTES)
    elif magic == ZSTD_MAGIC:
        yield io.BufferedReader(ZstdFrames(raw), BUFFER_BYTES)
    else:
        yield raw


class ZstdFrames(io.RawIOBase):
    """All frames of a zstd file, one after the other (parallel compressors write many).

    zstandard's own reader takes a file cut off within a frame for complete; here it raises EOFError, as gzip does.
    """

    def __init__(self, raw: IO[bytes]) -> None:
        super().__init__()
        self._raw = raw
        self._frame: Any = None
        self._input = b""
        self._output = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._output:
            if not self._input:
                self._input = self._raw.read(BUFFER_BYTES)
                if not self._input:
                    if self._frame is not None:
                        raise EOFError("compressed file ended before its end-of-frame mark was reached")
                    return 0
            if self._frame is None:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            self._output = memoryview(self._frame.decompress(self._input))
            self._input = b""
            if self._frame.eof:
                self._input = self._frame.unused_data
                self._frame = None
        taken = min(len(buffer), len(self._output))
        buffer[:taken] = self._output[:taken]
        self._output = self._output[taken:]
        return taken
