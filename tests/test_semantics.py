"""docs/semantics.md: every decision names tests that hold it, and those are there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "semantics.md").read_text()
_NAME = re.compile(r"`(tests/[\w/]+\.py)::([\w:]+)`")
NAMED = sorted(set(_NAME.findall(PAGE)))


def decisions() -> list[str]:
    """The paragraphs that begin with what has been decided."""
    return [part for part in PAGE.split("\n\n") if part.startswith("**")]


def named_in(path: Path) -> set[str]:
    """Every test of a module, those in classes as `Class::test`."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            inner = (one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
            found |= {f"{node.name}::{one.name}" for one in inner}
    return found


def test_every_decision_names_what_holds_it() -> None:
    """What nothing holds is an intention."""
    assert len(decisions()) > 40
    bare = [decision.splitlines()[0] for decision in decisions() if not _NAME.search(decision)]
    assert not bare


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_test_that_is_named_is_there(path: str, name: str) -> None:
    """Renamed or dropped tests leave a decision without ground."""
    assert name in named_in(ROOT / path)
