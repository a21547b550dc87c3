"""docs/promise-language.md: its examples are good books, the wrong ones are refused so, and its stories end so."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from promisewatch import reference, reference_book
from schemas.book import parse_book
from schemas.book_keys import MEANINGS
from schemas.book_model import Book
from schemas.book_spelling import BookSpelling
from schemas.errors import BookError
from schemas.export import book_schema
from schemas.facts import Subject
from tests.cli.running import ROOT
from tests.language.books import EXAMPLES
from tests.language.golden_words import END, happened, ms, wording
from tests.promises.builders import Partition
from tests.reference.playing import as_fact

PAGE = ROOT / "docs" / "promise-language.md"
TEXT = PAGE.read_text()
_FENCE = re.compile(r"^```(yaml wrong|yaml|text)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Example(NamedTuple):
    """A book as the page shows it, the line at which that begins, and the blocks of text that follow it."""

    line: int
    kind: str
    book: str
    texts: list[str]


def examples() -> list[Example]:
    found: list[Example] = []
    for fence in _FENCE.finditer(TEXT):
        if fence[1] == "text":
            found[-1].texts.append(fence[2])
        else:
            found.append(Example(TEXT.count("\n", 0, fence.start()) + 2, fence[1], fence[2], []))
    return found


ALL = examples()
HEAD = ALL[0].book.partition("promises:\n")[0] + "promises:\n"
GOOD = [one for one in ALL if one.kind == "yaml"]
WRONG = [one for one in ALL if one.kind == "yaml wrong"]
STORIES = [(one, story) for one in GOOD for story in one.texts]


def whole(example: Example) -> str:
    """An example that shows promises only stands in the page's first book."""
    return example.book if example.book.startswith("sources:") else HEAD + example.book


def at_line(example: Example) -> str:
    return f"line-{example.line}"


@pytest.mark.parametrize("example", GOOD, ids=at_line)
def test_an_example_is_a_good_book(example: Example) -> None:
    """Lint finds nothing in it."""
    assert parse_book(whole(example), "book.yaml").promises


@pytest.mark.parametrize("example", WRONG, ids=at_line)
def test_a_wrong_example_is_refused_in_these_words(example: Example) -> None:
    """Every problem, with line and column in what is shown."""
    with pytest.raises(BookError) as refusal:
        parse_book(whole(example), "book.yaml")
    before = 0 if whole(example) == example.book else HEAD.count("\n")
    found = [
        f"{one.line - before}:{one.column}: "
        + re.sub(r"in line (\d+)", lambda place: f"in line {int(place[1]) - before}", one.message)
        for one in refusal.value.problems
    ]
    assert found == "".join(example.texts).splitlines()


@pytest.mark.parametrize(
    ("example", "story"), STORIES, ids=lambda one: at_line(one) if isinstance(one, Example) else ""
)
def test_a_story_ends_as_the_page_says(example: Example, story: str) -> None:
    """Through the core: known as it happens, and all of it before any time passes."""
    events = [line for line in story.splitlines() if not line.startswith("=> ")]
    told = [line.removeprefix("=> ") for line in story.splitlines() if line.startswith("=> ")]
    assert events, "a story has events"
    assert told, "a story has an end"
    made = parse_book(whole(example), "book.yaml")
    expected = {} if told == ["nothing opens"] else dict(one.split(": ", 1) for one in told)
    named = {name if " " in name else f"{made.promises[0].id} {name}": end for name, end in expected.items()}
    for keep_up in (True, False):
        assert ends(made, events, named, keep_up=keep_up) == named


def ends(made: Book, story: list[str], like: dict[str, str], *, keep_up: bool) -> dict[str, str]:
    """What each cycle comes to, in the words of the page."""
    partition = Partition(made)
    for event in sorted(map(happened, story), key=lambda one: one["time"]):
        if keep_up:
            partition.frontier(event["time"])
        fact = as_fact(event, set(event["data"]))
        partition.core.fact(Subject(made.promises[0].key, "A-17"), fact, partition.core.next_offset)
        partition.commit()
    partition.frontier(ms(END))
    newest = {
        f"{one.promise} {one.cycle}": one
        for one in sorted(partition.published, key=lambda one: one.revision)
        if one.kind != "at_risk"
    }
    return {
        name: wording(one.status, one.due, one.fulfilled_at, one.breached_at, like.get(name, ""))
        for name, one in newest.items()
        if one.status not in ("void", "open")
    }


def test_the_worked_examples_are_those_of_the_language() -> None:
    """As they are written, every one of them."""
    shown = [one.book for one in GOOD]
    assert [name for name, text in EXAMPLES.items() if not any(text.rstrip() in book for book in shown)] == []


def test_every_construct_has_its_table() -> None:
    """One each, and what stands in them is what the spelling models say."""
    tables = re.findall(r"<!-- keys: (\w+) -->", TEXT)
    assert sorted(tables) == sorted(reference_book.constructs())
    assert reference_book.filled(TEXT) == TEXT, "run: python -m promisewatch.reference"


def test_every_key_has_a_meaning_and_no_meaning_is_left_over() -> None:
    """A key added to the language is explained, or this fails."""
    schema = book_schema()
    constructs = {BookSpelling.__name__: schema, **schema["$defs"]}
    assert {name: set(keys) for name, keys in MEANINGS.items()} == {
        name: set(construct["properties"]) for name, construct in constructs.items()
    }


def test_every_key_of_a_promise_is_used_in_an_example() -> None:
    """What is not shown is not understood; what only names things needs no example."""
    names = {"owner", "journey", "step", "retention", "orphan_ttl", "timezone"}
    books = "".join(one.book for one in GOOD)
    for construct, keys in MEANINGS.items():
        if construct in ("BookSpelling", "DefaultsSpelling", "SourceSpelling"):
            continue
        missing = {key for key in keys.keys() - names if not re.search(rf"\b{key}:", books)}
        assert not missing, construct


def test_a_table_that_differs_is_told_and_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `make lint` and whoever is told by it call it."""
    monkeypatch.setattr(reference, "DOCS", tmp_path)
    monkeypatch.setattr(reference, "PAGES", {"promise-language.md": reference.language_page})
    page = tmp_path / "promise-language.md"
    page.write_text(TEXT.replace("What opens it.", "What?"))
    monkeypatch.setattr("sys.argv", ["reference", "--check"])
    assert reference.main() == 1
    assert "-| `when` | when | required | What? |" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["reference"])
    assert reference.main() == 0
    assert page.read_text() == TEXT
