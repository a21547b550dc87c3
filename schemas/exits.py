"""Exit codes of every command: sysexits where one fits, so that shells and orchestrators can tell the cases apart."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process says when it ends.

    A supervisor restarts on `RESTART`, gives up on `CONFIG`, and on `INTERNAL` restarts (nothing is lost) and reports.
    """

    OK = 0
    DIFFERENT = 1
    """What was asked to be checked is not in order: a book has errors, books or topics differ, sums disagree. Of a
    subject: nothing is kept about it.
    """
    USAGE = 2
    """The command line itself is wrong (as typer and click use it)."""
    DATA = 65
    """An input file was read but its content cannot be used."""
    NO_INPUT = 66
    """An input file is not there or cannot be opened."""
    UNAVAILABLE = 69
    """A one-shot command reached no broker, or no worker."""
    INTERNAL = 70
    """A bug: an invariant of this program does not hold, or something failed in a way nobody foresaw."""
    RESTART = 75
    """Start me again, nothing is lost: the broker went away, or another worker took over the partition."""
    CONFIG = 78
    """Settings, topics or stored state do not fit this program; a restart alone will not help."""
