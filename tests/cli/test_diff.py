"""`promisewatch diff` as a person and a program see it."""

import json
from pathlib import Path

import pytest

from tests.cli.running import promisewatch

BOOK = """
sources: {shop: {topic: shop.events, format: json, id: id, type: type, time: at}}
defaults: {timezone: Europe/Amsterdam, key: order_id}
promises:
- {id: answer, when: {event: asked}, due: {within: 4h}, expect: {event: answered}}
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return write(tmp_path / "old.yaml", BOOK)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_books_that_mean_the_same_end_with_0(old: Path, tmp_path: Path) -> None:
    """However they are laid out."""
    new = write(tmp_path / "new.yaml", "# reviewed\n" + BOOK.replace("4h", "240m"))
    done = promisewatch("diff", old, new)
    assert (done.code, done.out, done.err) == (0, "no difference\n", "")
    assert json.loads(promisewatch("diff", old, new, "--output", "json").out)["equal"] is True


def test_a_difference_is_told_in_words_with_its_warning_and_ends_with_1(old: Path, tmp_path: Path) -> None:
    """One line a part for people, and everything for programs."""
    new = write(tmp_path / "new.yaml", BOOK.replace("4h", "2h"))
    done = promisewatch("diff", old, new)
    assert done.code == 1
    assert done.out.splitlines()[:3] == [
        "promise answer version 1: changed", "  - due: within 4h", "  + due: within 2h",
    ]  # fmt: skip
    assert "  WARNING: it was in force, and its text has changed under the same number" in done.out
    told = json.loads(promisewatch("diff", old, new, "--output", "json").out)
    (difference,) = told["differences"]
    assert (told["equal"], difference["name"], difference["change"], difference["judged"]) == (
        False, "answer", "changed", True,
    )  # fmt: skip
    assert difference["parts"] == [{"part": "due", "before": "within 4h", "after": "within 2h"}]
    assert told["warnings"] == [f"promise answer version 1: {difference['warnings'][0]}"]
    assert told["old"]["digest"] != told["new"]["digest"]


def test_a_new_version_is_headed_by_what_it_is_compared_with(old: Path, tmp_path: Path) -> None:
    """Only where it differs, and no warning: this is how it is meant to be done."""
    second = BOOK.splitlines()[-1].replace("id: answer", 'id: answer, version: 2, effective_from: "2090-01-01"')
    new = write(tmp_path / "new.yaml", BOOK + second.replace("4h", "2h"))
    done = promisewatch("diff", old, new)
    assert done.code == 1
    assert done.out.splitlines()[0] == "promise answer version 2: added; where it differs from version 1:"
    assert "WARNING" not in done.out


def test_a_book_with_errors_is_65_and_one_that_is_not_there_66(old: Path, tmp_path: Path) -> None:
    """Either side; the errors have their places."""
    wrong = write(tmp_path / "wrong.yaml", BOOK.replace("within: 4h", "within: 4 hours"))
    for arguments in ((old, wrong), (wrong, old)):
        done = promisewatch("diff", *arguments)
        assert (done.code, done.out) == (65, "")
        assert f"{wrong}:5:" in done.err
    assert promisewatch("diff", old, tmp_path / "none.yaml").code == 66
