"""Runs commands of promisewatch as a user does: in this process for speed, or as a process of its own."""

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from promisewatch.main import main

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 110


class Run(NamedTuple):
    """What a finished command left behind."""

    code: int
    out: str
    err: str

    def rows(self) -> list[dict[str, Any]]:
        """Standard output read as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


def promisewatch(*arguments: str | Path, stdin: str = "") -> Run:
    """Run `promisewatch ARGUMENTS...` to its end, through the entry point of the console script."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    given = io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8")
    argv = ["promisewatch", *map(str, arguments)]
    code = 0
    with (
        mock.patch.object(sys, "argv", argv),
        mock.patch.object(sys, "stdin", given),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return Run(int(code), text_of(out), text_of(err))


def promisewatch_process(*arguments: str | Path) -> Run:
    """The same as a process of its own, as slow as a user sees it."""
    command = [sys.executable, "-m", "promisewatch.main", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=TIMEOUT_S, check=False
    )
    return Run(done.returncode, done.stdout, done.stderr)


def text_of(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()
