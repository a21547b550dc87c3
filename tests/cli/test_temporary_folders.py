"""What a killed process leaves in the temporary folder goes with the next start; what somebody uses or keeps stays."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from promisewatch.brokers import EmbeddedBroker
from promisewatch.brokers.folders import TemporaryFolder, claim, claim_to_keep, remove_left_behind
from schemas.errors import BrokerUnavailable

START_S = 60


@pytest.fixture(autouse=True)
def temporary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A temporary folder of this test's own, for this process and its children."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@contextmanager
def another_process(script: str) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """A process that makes a temporary folder, says where it is, and waits."""
    script = f"{script}; print(path, flush=True); import time; time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


BROKER = (
    "from promisewatch.brokers import EmbeddedBroker; broker = EmbeddedBroker({'events': 1}); broker.start();"
    "path = broker._home.path"
)
FOLDER = "from promisewatch.brokers.folders import TemporaryFolder; path = (folder := TemporaryFolder('demo')).path"


def left_behind(kind: str) -> Path:
    """A folder as kill -9 leaves it: marked, claimed once, and by nobody any more."""
    folder = TemporaryFolder(kind)
    (folder.path / "state").mkdir()
    (folder.path / "state" / "log").write_text("much")
    folder._claimed.close()
    return folder.path


def test_a_broker_that_was_killed_leaves_a_folder_and_the_next_one_removes_it(temporary: Path) -> None:
    """Whole: its log too."""
    with another_process(BROKER) as (process, folder):
        assert (folder / "broker.log").is_file()
        process.send_signal(signal.SIGKILL)
        process.wait(START_S)
    assert folder.is_dir()
    with EmbeddedBroker({"events": 1}) as broker:
        assert list(temporary.iterdir()) == [broker._home.path]
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("kind", ["kafka", "demo", "embedded"])
def test_what_is_left_behind_is_removed_whatever_starts_next(kind: str) -> None:
    """A demo removes the folders of brokers, and the other way round."""
    folder = left_behind(kind)
    TemporaryFolder("demo").remove()
    assert not folder.exists()


def test_a_folder_that_another_process_uses_stays() -> None:
    """However many start beside it."""
    with another_process(FOLDER) as (_, folder):
        for _ in range(3):
            TemporaryFolder("kafka").remove()
        assert folder.is_dir()


def test_our_own_folders_stay() -> None:
    """A demo has two: one is made after the other."""
    first, second = TemporaryFolder("demo"), TemporaryFolder("kafka")
    remove_left_behind()
    assert first.path.is_dir()
    assert second.path.is_dir()
    first.remove()
    second.remove()


def test_a_folder_that_was_kept_for_a_person_stays() -> None:
    """The logs of a demo that failed."""
    folder = TemporaryFolder("demo")
    folder.keep()
    remove_left_behind()
    assert folder.path.is_dir()


def test_a_folder_left_behind_that_became_a_data_folder_stays() -> None:
    """`--data-dir` may point at it, to look at what is in it: from then on it is not temporary."""
    folder = left_behind("kafka")
    claimed = claim_to_keep(folder)
    remove_left_behind()
    claimed.close()
    remove_left_behind()
    assert (folder / "state" / "log").read_text() == "much"


def test_what_is_not_marked_or_not_ours_stays(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders that happen to be called like ours, another user's, and what a link points at."""
    named = temporary / "promisewatch-kafka-mine"
    named.mkdir()
    claim(named).close()
    elsewhere = left_behind("demo").rename(temporary / "elsewhere")
    (temporary / "promisewatch-demo-link").symlink_to(elsewhere)
    remove_left_behind()
    assert named.is_dir()
    assert (elsewhere / "state").is_dir()
    others = left_behind("demo")
    own = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: own + 1)
    remove_left_behind()
    assert others.is_dir()


def test_a_claim_holds_against_everybody_and_names_who_has_it(temporary: Path) -> None:
    """Until it is let go of."""
    claimed = claim(temporary)
    with pytest.raises(BrokerUnavailable, match=f"{temporary} is in use by process {os.getpid()}; choose another"):
        claim(temporary)
    claimed.close()
    claim(temporary).close()
