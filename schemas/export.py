"""What other teams read and write, generated from the types: JSON Schemas into `schemas/json/`, and topics with their
messages into `schemas/asyncapi.yaml`.

python -m schemas.export            write the files
python -m schemas.export --check    exit 1 and say which, if a file differs from what the types say
"""

import sys
from pathlib import Path
from typing import Any

import msgspec

from schemas import asyncapi, publications
from schemas.book_keys import described
from schemas.book_spelling import BookSpelling
from schemas.exits import ExitCode
from schemas.factrecords import FactRecord
from schemas.notifications import Notification
from schemas.subjects import SubjectTold
from schemas.vectors import VectorMarker

DIRECTORY = Path(__file__).parent / "json"
ASYNCAPI = Path(__file__).parent / "asyncapi.yaml"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, dict[str, Any]]:
    """File name -> JSON Schema."""
    named: dict[str, dict[str, Any]] = {
        publications.BREACHED: _of_struct(publications.Breached),
        publications.FULFILLED_LATE: _of_struct(publications.FulfilledLate),
        publications.RETRACTED: _of_struct(publications.Retracted),
        publications.AT_RISK: _of_struct(publications.AtRisk),
        publications.OUTCOME: _of_struct(publications.Outcome),
        "notification.v1": _of_struct(Notification),
        "fact.v1": _of_struct(FactRecord),
        "vector.v1": _of_struct(VectorMarker),
        "subject.v1": _of_struct(SubjectTold),
        "book.v1": book_schema(),
    }
    return {
        f"{name}.json": {"$schema": DIALECT, "$id": publications.schema_id(name), **schema}
        for name, schema in named.items()
    }


def book_schema() -> dict[str, Any]:
    """How a promise book is spelled, with what each key means."""
    schema: dict[str, Any] = _without_null(BookSpelling.model_json_schema())
    schema["$defs"] = {name: described(name, part) for name, part in schema["$defs"].items()}
    return described(BookSpelling.__name__, schema)


def texts() -> dict[str, str]:
    """File name -> the text of the file."""
    return {
        name: msgspec.json.format(msgspec.json.encode(schema), indent=2).decode() + "\n"
        for name, schema in schemas().items()
    }


def drift(directory: Path) -> list[str]:
    """What differs between the files of a directory and the types, one sentence a file; empty if nothing does."""
    wanted = texts()
    found = {path.name: path.read_text(encoding="utf-8") for path in directory.glob("*.json")}
    sentences = [f"{name} is missing" for name in sorted(wanted.keys() - found.keys())]
    sentences += [f"{name} is of no type" for name in sorted(found.keys() - wanted.keys())]
    sentences += [
        f"{name} differs from its type" for name in sorted(wanted.keys() & found.keys()) if wanted[name] != found[name]
    ]
    return sentences


def asyncapi_drift(path: Path) -> list[str]:
    """The same of the AsyncAPI document."""
    if not path.is_file():
        return [f"{path.name} is missing"]
    same = path.read_text(encoding="utf-8") == asyncapi.text()
    return [] if same else [f"{path.name} differs from the topics and types"]


def main(arguments: list[str]) -> ExitCode:
    """Write the files, or with `--check` compare them."""
    if arguments == ["--check"]:
        sentences = [f"{DIRECTORY.name}/{sentence}" for sentence in drift(DIRECTORY)] + asyncapi_drift(ASYNCAPI)
        for sentence in sentences:
            print(f"{sentence}; run: python -m schemas.export", file=sys.stderr)
        return ExitCode.DIFFERENT if sentences else ExitCode.OK
    if arguments:
        print(f"found {' '.join(arguments)!r}, expected nothing or --check", file=sys.stderr)
        return ExitCode.USAGE
    DIRECTORY.mkdir(exist_ok=True)
    for name, text in texts().items():
        (DIRECTORY / name).write_text(text, encoding="utf-8")
    ASYNCAPI.write_text(asyncapi.text(), encoding="utf-8")
    return ExitCode.OK


def _of_struct(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """A schema whose root is the struct itself rather than a reference to it, as code generators like it."""
    (root,), definitions = msgspec.json.schema_components([struct], ref_template="#/$defs/{name}")
    del root
    for definition in definitions.values():
        # We always write every member, also those with a default: a reader may count on them.
        if "properties" in definition:
            definition["required"] = list(definition["properties"])
        else:
            definition["minItems"] = len(definition["prefixItems"])
    own = definitions.pop(struct.__name__)
    return {**own, "$defs": definitions} if definitions else own


def _without_null(schema: Any) -> Any:
    """A book's optional keys are left out, never set to nothing: pydantic's `or null` is not how a book is spelled."""
    if isinstance(schema, list):
        return [_without_null(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    # What a whole section defaults to is said by the defaults of its keys.
    members = {
        key: _without_null(value)
        for key, value in schema.items()
        if key != "default" or not (value is None or isinstance(value, dict))
    }
    choices = [choice for choice in members.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        del members["anyOf"]
        members = {**choices[0], **members}
    return members


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
