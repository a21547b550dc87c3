"""The AsyncAPI document is what the program does: its topics, its headers, its messages, its examples."""

import json
from pathlib import Path
from urllib.parse import unquote

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from ruamel.yaml import YAML

from schemas import asyncapi, export, topics
from schemas.book import load_book
from schemas.decoding import Decoder
from schemas.errors import EventError
from schemas.factrecords import decode_fact, encode_fact
from schemas.markers import marker_headers, read_marker
from schemas.publications import EVENT_HEADERS, decode_event
from schemas.vectors import encode_vector, read_vector
from streams.deadletters import dead_letter
from tests.agents.fakes import Record

ROOT = Path(__file__).resolve().parents[2]
SHOP = ROOT / "examples" / "webshop" / "book.yaml"
DOCUMENT = YAML(typ="safe", pure=True).load(export.ASYNCAPI.read_text(encoding="utf-8"))
MESSAGES = DOCUMENT["components"]["messages"]
RULES = {
    "document": ({"asyncapi", "info", "channels", "operations"}, {"id", "defaultContentType", "servers", "components"}),
    "info": ({"title", "version"}, {"description", "license"}),
    "servers": ({"host", "protocol"}, {"description", "variables", "security", "bindings"}),
    "channels": ({"address", "description", "messages"}, {"title", "parameters", "bindings"}),
    "operations": ({"action", "channel", "summary", "messages"}, set()),
    "messages": ({"name", "title", "summary", "contentType", "payload", "examples"}, {"headers", "bindings"}),
}
"""Members that an object of the standard has here, and those that it may have."""


def references(part):
    """Every reference within a part of the document."""
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def resolved(reference):
    """What a reference leads to. Raises KeyError or FileNotFoundError if it leads nowhere."""
    file, _, pointer = reference.partition("#")
    found = json.loads((export.ASYNCAPI.parent / file).read_text(encoding="utf-8")) if file else DOCUMENT
    for step in filter(None, pointer.split("/")):
        found = found[unquote(step).replace("~1", "/").replace("~0", "~")]
    return found


def schema_errors(schema, value):
    """Where a value is not what a schema says, or a reference to one."""
    registry = Registry(retrieve=lambda uri: Resource.from_contents(resolved(uri)))
    checker = Draft202012Validator.FORMAT_CHECKER
    return [
        error.json_path
        for error in Draft202012Validator(schema, registry=registry, format_checker=checker).iter_errors(value)
    ]


def test_every_reference_leads_somewhere():
    """In the document and to the JSON Schemas beside it."""
    found = list(references(DOCUMENT))
    assert "./json/promise.breached.v1.json" in found
    for reference in found:
        assert resolved(reference)
    with pytest.raises(FileNotFoundError):
        resolved("./json/promise.kept.v1.json")


def test_its_objects_have_the_members_of_the_standard():
    """A misspelt member is none that a tool would look for."""
    objects = [("document", DOCUMENT), ("info", DOCUMENT["info"])]
    for name in ("servers", "channels", "operations"):
        objects += [(name, one) for one in DOCUMENT[name].values()]
    objects += [("messages", one) for one in MESSAGES.values()]
    for kind, one in objects:
        required, optional = RULES[kind]
        assert required <= one.keys() <= required | optional, one
    assert DOCUMENT["asyncapi"] == "3.1.0"
    assert {operation["action"] for operation in DOCUMENT["operations"].values()} == {"send", "receive"}
    assert {binding for one in objects for binding in one[1].get("bindings", {})} == {"kafka"}


def test_an_operation_sends_what_its_channel_holds():
    """Each message of each channel, by the way of that channel; no channel is without an operation."""
    held = {f"#/channels/{name}": channel["messages"] for name, channel in DOCUMENT["channels"].items()}
    for operation in DOCUMENT["operations"].values():
        channel = operation["channel"]["$ref"]
        assert [one["$ref"] for one in operation["messages"]] == [
            f"{channel}/messages/{name}" for name in held.pop(channel)
        ]
    assert held == {}


@pytest.mark.parametrize("name", MESSAGES)
def test_every_example_matches_its_schemas(name):
    """Headers and payload; an example without any of its headers or members does not."""
    message = MESSAGES[name]
    (example,) = message["examples"]
    headers = message.get("headers", {"type": "object"})
    assert schema_errors(headers, example.get("headers", {})) == []
    assert schema_errors(message["payload"], example["payload"]) == []
    for header in example.get("headers", {}):
        assert schema_errors(headers, {key: value for key, value in example["headers"].items() if key != header})
    if isinstance(example["payload"], dict):
        for member in example["payload"]:
            less = {key: value for key, value in example["payload"].items() if key != member}
            assert schema_errors(message["payload"], less), member


def test_what_is_published_is_described_by_its_type():
    """The name of a message is the type of its event, and the notifier reads the examples."""
    for channel in ("breaches", "outcomes"):
        for name in DOCUMENT["channels"][channel]["messages"]:
            (example,) = MESSAGES[name]["examples"]
            event = decode_event(json.dumps(example["payload"]).encode())
            assert MESSAGES[name]["name"] == example["payload"]["type"]
            assert MESSAGES[name]["payload"]["$ref"] == f"./json/{event.dataschema.rpartition(':')[2]}.json"
            assert [(name, text.encode()) for name, text in example["headers"].items()] == list(EVENT_HEADERS)


def test_channels_have_the_names_and_settings_that_are_required_of_topics():
    """Of every topic that others read; changelogs are nobody's business."""
    written = {}
    for channel in DOCUMENT["channels"].values():
        for topic in channel.get("parameters", {"topic": {"examples": ["-"]}})["topic"]["examples"]:
            configuration = channel.get("bindings", {}).get("kafka", {}).get("topicConfiguration")
            written[channel["address"].replace("{topic}", topic)] = configuration
    assert written.pop("shop.events") is None, "somebody else's topic"
    required = topics.required_with_facts({"shop.events": 1}, "app", "app", "app")
    assert written.keys() == {spec.name for spec in required if not spec.name.endswith("-changelog")}
    letters = topics.dlq(topics.FACTS)
    for spec in required:
        for name, value in spec.configs.items() if spec.name in written else ():
            if (spec.name, name) == (letters, topics.LARGEST):  # said in words: larger than its own topic takes
                continue
            found = written[spec.name][name]
            assert (",".join(found) if isinstance(found, list) else str(found)) == value


def test_a_dead_letter_and_a_marker_are_what_the_program_makes_of_them():
    """The example of a dead letter is one: the web shop's source refuses it for the reason given."""
    (example,) = MESSAGES["deadLetter"]["examples"]
    said = example["headers"]
    with pytest.raises(EventError) as refusal:
        Decoder(load_book(SHOP)).source("shop").decode(example["payload"].encode())
    where = said["dlq-original-topic"], int(said["dlq-original-partition"]), int(said["dlq-original-offset"])
    record = Record(*where, b"A-17", example["payload"].encode(), (), int(said["dlq-original-timestamp"]))
    letter = dead_letter(record, refusal.value.reason, refusal.value.message)
    assert {name: content.decode() for name, content in letter.headers} == said
    (example,) = MESSAGES["marker"]["examples"]
    headers = [(name, text.encode()) for name, text in example["headers"].items()]
    assert marker_headers(read_marker(example["payload"].encode(), headers)) == headers


def test_facts_and_vectors_are_what_the_program_reads():
    """The examples go through the readers of a detector, and through their schemas."""
    (example,) = MESSAGES["fact"]["examples"]
    fact = decode_fact(json.dumps(example["payload"]).encode())
    assert json.loads(encode_fact(fact)) == example["payload"]
    (example,) = MESSAGES["vector"]["examples"]
    ((name, text),) = example["headers"].items()
    vector = read_vector(b"", [(name, text.encode())])
    assert encode_vector(vector) == [(name, text.encode())]
    schema = MESSAGES["vector"]["headers"]["properties"][name]["contentSchema"]
    assert schema_errors(schema, json.loads(text)) == []
    for member in json.loads(text):
        assert schema_errors(schema, {key: value for key, value in json.loads(text).items() if key != member}), member


def test_a_document_that_is_missing_or_changed_is_told(tmp_path):
    """As `make lint` does."""
    path = tmp_path / "asyncapi.yaml"
    assert export.asyncapi_drift(path) == ["asyncapi.yaml is missing"]
    path.write_text(asyncapi.text(), encoding="utf-8")
    assert export.asyncapi_drift(path) == []
    path.write_text(asyncapi.text().replace("promisewatch.breaches", "breaches"), encoding="utf-8")
    assert export.asyncapi_drift(path) == ["asyncapi.yaml differs from the topics and types"]
    assert export.asyncapi_drift(export.ASYNCAPI) == []
