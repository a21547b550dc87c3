"""What a newcomer gets: the Makefile, the command line, the wheel."""

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from promisewatch import __version__
from promisewatch.demo import BOOK
from promisewatch.main import SUMMARIES
from schemas.exits import ExitCode
from tests.cli.running import promisewatch

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"agents", "promises", "promisewatch", "schemas", "streams"}
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def make(*arguments: str) -> str:
    command = ["make", "--no-print-directory", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def test_make_alone_prints_every_target_with_a_line_of_help() -> None:
    """No target is there that the help does not name."""
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    helped = dict(re.findall(r"^  (\S+) +(\S.*)$", make(), re.MULTILINE))
    assert {"help", "setup", "demo", "test", "test-full", "lint", "clean"} <= targets
    assert helped.keys() == targets


def test_the_makefile_refuses_an_old_python_in_words(tmp_path: Path) -> None:
    """The version that was found and the one that is needed."""
    old = tmp_path / "python"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
    old.chmod(0o755)
    command = ["make", "-C", str(ROOT), "-B", ".venv/.ready", f"PYTHON={old}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "found Python 3.9.2, need Python 3.11" in done.stderr


def test_the_version_is_said_once_and_the_same_everywhere(promisewatch_command: list[str]) -> None:
    """--version, the package and the project file agree."""
    said = subprocess.run([*promisewatch_command, "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout == f"promisewatch {__version__}\n"
    assert PYPROJECT["project"]["version"] == __version__


@pytest.mark.parametrize("name", SUMMARIES)
def test_every_command_has_help_with_its_exit_codes(name: str) -> None:
    """Help is there, documents the exit codes, and needs neither a book nor a broker."""
    done = promisewatch(name, "--help")
    assert done.code == ExitCode.OK, done.err
    assert re.search(r"exit codes?|ends with \d", " ".join(done.out.split()).lower())


def test_the_list_of_commands_imports_none_of_them() -> None:
    """`promisewatch --help` is fast because it loads no Kafka client and no Faust."""
    script = (
        "import sys; from promisewatch.main import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "print('loaded:', sorted({'faust', 'aiokafka', 'confluent_kafka', 'pydantic'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert all(name in done.stdout for name in SUMMARIES)
    assert "loaded: []" in done.stdout


def test_an_unknown_command_is_a_usage_error(promisewatch_command: list[str]) -> None:
    """Exit 2, and the word that was not understood."""
    done = subprocess.run([*promisewatch_command, "lnit"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == ExitCode.USAGE
    assert "lnit" in done.stderr


def test_an_error_of_ours_is_one_message_without_traceback(promisewatch_command: list[str], tmp_path: Path) -> None:
    """A missing book: its exit code and its name."""
    book = tmp_path / "absent.yaml"
    command = [*promisewatch_command, "topics", "--book", str(book), "--bootstrap-server", "127.0.0.1:1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == ExitCode.NO_INPUT
    assert str(book) in done.stderr
    assert "Traceback" not in done.stderr


def test_the_licence_is_stated_and_there() -> None:
    """Apache-2.0 in the project file, its full text beside it."""
    assert PYPROJECT["project"]["license"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_demos_book_is_the_web_shops_example_and_there_is_one_of_it() -> None:
    """The package has the file, so that the wheel has it; who looks among the examples finds the same one."""
    example = ROOT / "examples" / "webshop" / "book.yaml"
    assert example.samefile(BOOK)
    assert BOOK.is_relative_to(ROOT / "promisewatch")
    assert not BOOK.is_symlink()


@pytest.mark.full
@pytest.mark.timeout(400)
def test_the_built_wheel_works_without_the_source_tree(tmp_path: Path) -> None:
    """It holds all rooms with their data files, and its commands run from an empty folder: the demo too, all of it."""
    uv = ROOT / ".venv" / "bin" / "uv"
    subprocess.run([uv, "build", "--wheel", "--out-dir", tmp_path], cwd=ROOT, check=True, timeout=110)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "unpacked")
    tops = {path.name for path in (tmp_path / "unpacked").iterdir() if not path.name.endswith(".dist-info")}
    assert tops == PACKAGES
    package = tmp_path / "unpacked" / "promisewatch"
    assert (package / "brokers" / "kafka-jars.sha256").is_file()
    assert (package / "demonstration" / "book.yaml").read_bytes() == BOOK.read_bytes()
    script = (
        "import sys; sys.path.insert(0, 'unpacked'); import promisewatch.main, schemas, promises, streams, agents\n"
        f"assert promisewatch.main.__file__.startswith({str(tmp_path)!r}), promisewatch.main.__file__\n"
        "sys.argv = ['promisewatch', 'lint', '--help']; promisewatch.main.main()"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=60)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "unpacked")}
    demo = [sys.executable, "-m", "promisewatch.main", "demo", "--broker", "embedded", "--output", "json"]
    done = subprocess.run(demo, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == ExitCode.OK, done.stderr[-4000:]
    assert json.loads(done.stdout)["problems"] == []
