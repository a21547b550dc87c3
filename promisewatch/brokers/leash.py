"""Runs a program that the kernel kills when the process that started it dies, however it dies.

`python -I -S leash.py PARENT_PID PROGRAM ARGUMENT...`: sets the parent-death signal on itself, then becomes PROGRAM,
which keeps both the signal and the process id. (Setting it between fork and exec of the parent would run Python there,
which is not safe in a process with threads.) Linux only; elsewhere the program runs without a leash.

The kernel takes the parent's *thread* for the parent: start leashed programs from a thread that lasts.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1


def leashed(command: list[str]) -> list[str]:
    """The command line that runs `command` on a leash held by this process."""
    return [sys.executable, "-I", "-S", str(Path(__file__)), str(os.getpid()), *command]


def main() -> None:
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the leash was on
            sys.exit(1)
    os.execvp(program[0], program)  # noqa: S606 -- no shell is the point


if __name__ == "__main__":
    main()
