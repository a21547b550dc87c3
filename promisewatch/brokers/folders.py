"""Temporary folders of local brokers and of the demo, and what killed processes have left of them.

Whoever uses a folder holds a lock on its file `claimed`; the kernel lets go of it when the process dies, however it
dies. A folder that may be removed has a file `temporary` besides. So the next process that wants a folder knows which
ones of its own user were left behind, and removes them. What else dies with a killed process: see `leash`.
"""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

from schemas.errors import BrokerUnavailable

PREFIX = "promisewatch-"
CLAIMED = "claimed"
TEMPORARY = "temporary"


def claim(folder: Path) -> IO[str]:
    """Keep others out of the folder, until the file is closed. Raises BrokerUnavailable where somebody is in it."""
    claimed = (folder / CLAIMED).open("a+")
    try:
        fcntl.flock(claimed, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        claimed.seek(0)
        found = claimed.read()
        claimed.close()
        raise BrokerUnavailable(f"{folder} is in use by process {found}; choose another folder") from None
    claimed.truncate(0)
    claimed.write(str(os.getpid()))
    claimed.flush()
    return claimed


def claim_to_keep(folder: Path) -> IO[str]:
    """Claim a folder that stays. One that was left behind is temporary no longer: somebody wants what is in it."""
    folder.mkdir(parents=True, exist_ok=True)
    claimed = claim(folder)
    (folder / TEMPORARY).unlink(missing_ok=True)
    return claimed


class TemporaryFolder:
    """A folder `promisewatch-KIND-...` of the system's temporary folder, ours until it is removed or kept."""

    def __init__(self, kind: str) -> None:
        remove_left_behind()
        self.path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{kind}-"))
        self._claimed = claim(self.path)
        (self.path / TEMPORARY).touch()  # after the claim: whoever finds this file finds the lock taken

    def remove(self) -> None:
        """Remove the folder and everything in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._claimed.close()

    def keep(self) -> None:
        """Leave the folder to a person, for good."""
        (self.path / TEMPORARY).unlink()
        self._claimed.close()


def remove_left_behind() -> None:
    """Remove the temporary folders of this user that nobody uses any more."""
    for mark in sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{TEMPORARY}")):
        folder = mark.parent
        with suppress(OSError):  # in use (BlockingIOError), or another process has just removed it
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                continue
            with (folder / CLAIMED).open("r+") as claimed:
                fcntl.flock(claimed, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
