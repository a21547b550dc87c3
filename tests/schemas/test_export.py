"""The committed JSON Schemas are what the types say."""

# ruff: noqa: E501 - a row of a table stays one line

import json
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from schemas import export
from schemas.book import parse_book
from schemas.book_text import read_yaml
from schemas.errors import BookError
from schemas.exits import ExitCode
from schemas.notifications import Notification, encode_notification
from tests.language.books import EXAMPLES, text_of

ROOT = Path(__file__).parents[2]


def test_the_committed_schemas_are_up_to_date():
    """Otherwise run: python -m schemas.export."""
    assert export.drift(export.DIRECTORY) == []


def test_drift_is_told_by_file(tmp_path):
    """A missing, a changed and a superfluous file are each named."""
    for name, text in export.texts().items():
        (tmp_path / name).write_text(text)
    assert export.drift(tmp_path) == []
    (tmp_path / "book.v1.json").unlink()
    (tmp_path / "old.json").write_text("{}")
    (tmp_path / "notification.v1.json").write_text("{}")
    assert export.drift(tmp_path) == [
        "book.v1.json is missing",
        "old.json is of no type",
        "notification.v1.json differs from its type",
    ]


def test_the_command_checks_and_refuses_other_arguments(capsys):
    """As the Makefile and a confused person call it."""
    done = subprocess.run([sys.executable, "-m", "schemas.export", "--check"], cwd=ROOT, check=False)
    assert done.returncode == ExitCode.OK
    assert export.main(["--chekc"]) is ExitCode.USAGE
    assert capsys.readouterr().err == "found '--chekc', expected nothing or --check\n"


@pytest.mark.parametrize("name", sorted(export.schemas()))
def test_every_schema_is_a_json_schema(name):
    """Of the draft it names, under an identifier of its own."""
    schema = export.schemas()[name]
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:promisewatch:schema:{name.removesuffix('.json')}"


def problems(schema, value):
    """Where a value is not what the schema says."""
    return [error.json_path for error in Draft202012Validator(export.schemas()[schema]).iter_errors(value)]


def test_a_notification_matches_its_schema():
    """What is recorded is what the schema promises; a word that is no outcome is none there either."""
    notification = Notification(
        event_id="e", promise="p", subject="s", revision=1, channel="console", outcome="sent", reason="first_breach",
        at="2026-04-24T13:59:59.123Z",
    )  # fmt: skip
    recorded = json.loads(encode_notification(notification))
    assert problems("notification.v1.json", recorded) == []
    assert problems("notification.v1.json", recorded | {"outcome": "maybe"}) == ["$.outcome"]


@pytest.mark.parametrize("book", sorted(ROOT.glob("examples/*/book.yaml")), ids=lambda path: path.parent.name)
def test_the_example_books_match_the_schema_that_editors_use(book):
    """An editor with the schema must not underline a good book, and underlines the place that is wrong in another."""
    spelled = read_yaml(book.read_text(), str(book)).data
    assert problems("book.v1.json", spelled) == []
    assert problems("book.v1.json", {**spelled, "promises": 7}) == ["$.promises"]


@pytest.mark.parametrize("promise_id", EXAMPLES)
def test_the_worked_examples_match_it_too(promise_id):
    """Every construct of the language is in the schema."""
    assert problems("book.v1.json", read_yaml(text_of(promise_id), "b").data) == []


@pytest.mark.parametrize(
    ("source", "good"),
    [
        ("format: json, id: i, type: t, time: a, data: d", True),
        ("format: cloudevents, events: [a, b]", True),
        ("format: json, id: i, type: t", False),
        ("id: i, type: t, time: a", False),
        ("format: cloudevents, time: a", False),
        ("format: cloudevents, data: d", False),
        ("format: avro, id: i, type: t, time: a", False),
    ],
)
def test_the_schema_asks_a_source_for_the_paths_that_its_format_needs(source, good):
    """As the program does."""
    text = f"""
sources: {{s: {{topic: t, {source}}}}}
defaults: {{timezone: UTC, key: k}}
promises: [{{id: p, when: {{event: a}}, due: {{within: 4h}}, expect: {{event: b}}}}]
"""
    assert Draft202012Validator(export.schemas()["book.v1.json"]).is_valid(read_yaml(text, "b").data) is good
    if good:
        assert parse_book(text)
    else:
        with pytest.raises(BookError):
            parse_book(text)


@pytest.mark.parametrize(
    "promise",
    [
        "{id: p, when: {event: a, breach_of: q}, due: {within: 4h}, expect: {event: b}}",
        "{id: p, when: {event: []}, due: {within: 4h}, expect: {event: b}}",
        "{id: p, when: {event: a, if: 5}, due: {within: 4h}, expect: {event: b}}",
        "{id: p, when: {event: a}, due: {within: 4h, plus: 1, unit: day}, expect: {event: b}}",
        "{id: p, when: {event: a}, due: {within: 4h}, expect: {event: b, leave: s}}",
        "{id: p, when: {event: a}, due: {within: 4h}, expect: {holds: x.a == 1, from: {x-y: a}}}",
        "{id: p, when: {event: a}, due: {within: 4h}, expect: {event: b}, forbid: {event: c}}",
        "{id: p, when: {event: a}, due: {within: 4h}, forbid: {event: c}, until: [d]}",
        "{id: p, when: {event: a}, due: {within: 4h}, expect: {event: b}, pause: {event: c, until: d}}",
        "{id: p, when: {event: a}, due: {within: 4h}, expect: {event: b}, warn: [6h]}",
        "{id: p, when: {event: a}, due: {within: 4h}, expect: {event: b}, warn: [100%]}",
        "{id: p, when: {event: a}, due: {within: 4h}, expect: {event: b}, breach: {audience: boss}}",
        "{id: p, when: {event: a}, due: {within: 4hours}, expect: {event: b}}",
        "{id: p, when: {event: a}, due: {within: 4h}, expect: {event: b}, tittle: x}",
        "{id: p, when: {event: a}, due: {plus: 1, unit: day, at: noon}, expect: {event: b}}",
        "{id: p, when: {event: a, where: {x: [1]}}, due: {within: 1h}, expect: {event: b}}",
        "{id: p, when: {event: a}, due: {within: 4h}}",
    ],
)
def test_the_schema_refuses_wrong_spellings_as_the_program_does(promise):
    """The two may differ in what they can see, not in how a key is spelled."""
    text = f"sources: {{s: {{topic: t, format: json, id: i, type: t, time: a}}}}\ndefaults: {{timezone: UTC, key: k}}\npromises: [{promise}]\n"
    assert not Draft202012Validator(export.schemas()["book.v1.json"]).is_valid(read_yaml(text, "b").data)
    with pytest.raises(BookError):
        parse_book(text)
