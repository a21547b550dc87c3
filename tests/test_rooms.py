"""The rooms: who may import whom. Imports go down the table only, and the decision stays pure."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ["schemas", "promises", "streams", "agents", "promisewatch"]
MAY_IMPORT = {
    "schemas": set(),
    "promises": {"schemas"},
    "streams": {"schemas"},
    "agents": {"schemas", "promises", "streams"},
    "promisewatch": {"schemas", "promises", "streams", "agents"},
}
PURE_LIBRARIES = {"holidays", "msgspec"}
IMPURE_STANDARD = {
    "asyncio", "concurrent", "logging", "multiprocessing", "os", "pathlib", "random", "secrets", "select", "shutil",
    "socket", "sqlite3", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib",
}  # fmt: skip
CLOCK_CALLS = {"now", "today", "utcnow", "uuid1", "uuid4"}


def modules(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """(line, top-level name) of every import, also those inside functions."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import hides which room it is from"
            yield node.lineno, str(node.module).partition(".")[0]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_below_it(room: str) -> None:
    """The import direction is the architecture."""
    assert modules(room), f"found no modules in {room}, expected some"
    forbidden = set(ROOMS) | {"tests"}
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules(room)
        for line, name in imported(path)
        if name in forbidden - MAY_IMPORT[room] - {room}
    ]
    assert not wrong


def test_the_decision_imports_nothing_that_has_effects() -> None:
    """No Faust, no Kafka, no asyncio, no clock, no chance: only pure libraries."""
    allowed = (set(sys.stdlib_module_names) - IMPURE_STANDARD) | PURE_LIBRARIES | {"schemas", "promises"}
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules("promises")
        for line, name in imported(path)
        if name not in allowed
    ]
    assert not wrong


def test_the_decision_reads_no_clock() -> None:
    """`datetime.now` and its like need no import of `time`: they are looked for by name."""
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno} calls {node.func.attr}"
        for path in modules("promises")
        for node in ast.walk(ast.parse(path.read_text(), str(path)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCK_CALLS
    ]
    assert not wrong


def test_importing_the_decision_loads_no_kafka() -> None:
    """What schemas import on the way counts too."""
    import subprocess

    code = (
        "import sys, promises.partition, promises.explaining;"
        "print([name for name in ('faust', 'aiokafka', 'mode', 'rocksdict', 'typer') if name in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
