"""The commands in the READMEs run as they are written."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import ROOT

READMES = sorted([ROOT / "README.md", *(ROOT / "examples").glob("*/README.md")])
TIMEOUT_S = 110
PROGRAMS = {"promisewatch": [sys.executable, "-m", "promisewatch.main"], "python": [sys.executable]}


def commands(readme: Path) -> list[str]:
    """The lines after a prompt in its console blocks."""
    blocks = re.findall(r"^```console\n(.*?)^```", readme.read_text(), re.DOTALL | re.MULTILINE)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def test_each_example_has_a_readme_with_commands() -> None:
    """No example goes without the commands that run it."""
    with_readme = {readme.parent for readme in READMES} - {ROOT}
    assert with_readme == {book.parent for book in ROOT.glob("examples/*/book.yaml")}
    assert all(commands(readme) for readme in READMES)


@pytest.mark.parametrize("readme", READMES, ids=lambda readme: readme.parent.name)
def test_the_commands_of_a_readme_run(readme: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """One after the other, in a folder of their own that holds the examples."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if "$OLIST" in readme.read_text():
        environment["OLIST"] = str(request.getfixturevalue("shared_data") / "olist.events.jsonl.gz")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for command in commands(readme):
        program, *arguments = [part.replace("$OLIST", environment.get("OLIST", "")) for part in shlex.split(command)]
        done = subprocess.run(
            [*PROGRAMS[program], *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
        assert done.stdout.strip(), command
