"""The image: linted, and its build steps run without Docker, as the Dockerfile has them."""

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
UID = 10001


def instructions(stage: int) -> list[tuple[str, str]]:
    """(instruction, its arguments) of one stage, continued lines joined, comments left out."""
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE))
    lines = [line.split(maxsplit=1) for line in joined.splitlines() if line.strip()]
    starts = [number for number, line in enumerate(lines) if line[0] == "FROM"]
    end = (*starts, len(lines))[stage + 1]
    return [(line[0], line[1]) for line in lines[starts[stage] : end]]


def arguments(stage: int, instruction: str) -> list[str]:
    return [text for name, text in instructions(stage) if name == instruction]


def context(folder: Path) -> Path:
    """What of the working tree Docker would be sent: the files of git's tree that .dockerignore lets through."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    allowed = [line[1:] for line in lines if line.startswith("!")]
    for name in files.splitlines():
        wanted = any(name == each or name.startswith(f"{each}/") for each in allowed)
        if wanted and (ROOT / name).is_file() and not fnmatch.fnmatch(name, "*__pycache__*"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def test_the_dockerfile_has_nothing_to_object_to(tools: Path) -> None:
    """hadolint, down to matters of style."""
    command = [tools / "hadolint", "--failure-threshold", "style", ROOT / "Dockerfile"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


def test_the_linter_objects_to_what_is_wrong(tools: Path, tmp_path: Path) -> None:
    """An unpinned package is found, so silence means something."""
    (tmp_path / "Dockerfile").write_text("FROM python:latest\nRUN pip install uv\n")
    command = [tools / "hadolint", "--failure-threshold", "style", tmp_path / "Dockerfile"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert {"DL3007", "DL3013", "DL3042"} <= set(re.findall(r"DL\d+", done.stdout))


def test_image_and_makefile_use_the_same_uv() -> None:
    """One lock file, one resolver."""
    (pinned,) = re.findall(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert f"pip install --no-cache-dir uv=={pinned}" in arguments(0, "RUN")


def test_both_stages_start_from_one_pinned_python() -> None:
    """The environment of the first stage runs in the second: its interpreter is a link to that image's own."""
    images = [arguments(stage, "FROM")[0].split()[0] for stage in (0, 1)]
    assert images[0] == images[1]
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", images[0])


def test_the_image_runs_as_nobody_in_particular() -> None:
    """UID 10001 by number, which runAsNonRoot can check, and the command itself as entry point: no shell between."""
    assert arguments(1, "USER") == [f"{UID}:{UID}"]
    assert arguments(1, "ENTRYPOINT") == ['["promisewatch"]']
    assert not arguments(1, "CMD")


def interpreter() -> str:
    """A Python that another user may start as well, if there is one: this test's own may lie in a closed home."""
    system = Path(f"/usr/bin/python3.{sys.version_info.minor}")
    return str(system) if system.exists() else sys.executable


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter, unlike pytest's."""
    folder = Path(tempfile.mkdtemp(prefix="promisewatch-image-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.full
@pytest.mark.timeout(300)
def test_the_steps_of_the_image_give_a_program_without_development_packages(open_folder: Path) -> None:
    """The first stage's COPY and RUN lines in order, in an empty folder; the result runs as UID 10001."""
    sent = context(open_folder / "context")
    work, built = open_folder / "src", open_folder / "opt"
    work.mkdir()
    settings = dict(pair.split("=", 1) for text in arguments(0, "ENV") for pair in text.split())
    assert settings["UV_PROJECT_ENVIRONMENT"] == "/opt/promisewatch"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("UV_PROJECT", "VIRTUAL_"))}
    environment = inherited | settings | {"UV_PROJECT_ENVIRONMENT": str(built), "UV_PYTHON": interpreter()}
    ran = 0
    for instruction, text in instructions(0):
        if instruction == "COPY":
            *sources, target = text.split()
            for source in sources:
                place = work / target if target != "./" else work / source
                copy = shutil.copytree if (sent / source).is_dir() else shutil.copy
                copy(sent / source, place)
        elif instruction == "RUN" and text.startswith("uv "):
            command = [ROOT / ".venv" / "bin" / "uv", *text.split()[1:]]
            subprocess.run(command, cwd=work, env=environment, check=True, timeout=200)
            ran += 1
    assert ran == 2
    shutil.rmtree(work)  # the second stage has the environment only
    shutil.rmtree(sent)

    reachable = all(folder.stat().st_mode & 0o005 == 0o005 for folder in Path(interpreter()).resolve().parents)
    user = {"user": UID, "group": UID, "extra_groups": []} if os.geteuid() == 0 and reachable else {}

    def run(*command: str) -> str:
        bare = {"PATH": f"{built}/bin:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            command, cwd="/", env=bare, capture_output=True, text=True, timeout=60, check=False, **user
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "worker" in run(str(built / "bin" / "promisewatch"), "--help")
    assert "--state-dir" in run(str(built / "bin" / "promisewatch"), "worker", "--help")
    script = (
        "import importlib.util, agents.detect, agents.notify, promises.detector, promisewatch.running, rocksdict;"
        "dev = ('pytest', 'hypothesis', 'mypy', 'duckdb', 'pandas', 'ruff');"
        "print(agents.detect.__file__, promises.detector.__file__);"
        "print([name for name in dev if importlib.util.find_spec(name)])"
    )
    where, core, found = run(str(built / "bin" / "python"), "-c", script).split(maxsplit=2)
    assert Path(where).is_relative_to(built)
    assert core.endswith(".so"), "the core of the image is compiled"
    assert found.strip() == "[]"
    assert list(built.rglob("agents/__pycache__/detect*.pyc")), "compiled already: the root file system is read-only"
