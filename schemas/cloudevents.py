"""CloudEvents 1.0 as the events of a source: where in a record their attributes and their data are.

In *structured mode* the value is the whole event as JSON. In *binary mode* the attributes are headers (`ce_id`) and the
value is the data; such a record is read as the structured event that says the same. The header `content-type` tells
which mode it is, as the CloudEvents binding for Kafka has it. Without headers there is structured mode only.
"""

import base64
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from schemas.errors import EventError

SPECVERSION = "1.0"
ATTRIBUTES = ("specversion", "id", "source", "type", "time")
"""The attributes that an event needs here: those the standard requires, and when it happened."""
STRUCTURED_HEADERS: tuple[tuple[str, bytes], ...] = (("content-type", b"application/cloudevents+json; charset=UTF-8"),)
"""Kafka headers of a CloudEvent in structured mode."""

MISSING_SPECVERSION = "missing_specversion"
UNKNOWN_SPECVERSION = "unknown_specversion"
UNKNOWN_FORMAT = "unknown_format"
BATCHED = "batched"
BAD_DATA = "bad_data"

SPECVERSION_PARTS = ("specversion",)
SOURCE_PARTS = ("source",)
_CONTENT_TYPE_PARTS = ("datacontenttype",)
_BASE64_PARTS = ("data_base64",)
PARTS = (SPECVERSION_PARTS, SOURCE_PARTS, _CONTENT_TYPE_PARTS, _BASE64_PARTS)
"""Paths of what is looked at in a structured event besides id, type, time and the payload."""

_ANY_FORMAT = "application/cloudevents"
_JSON_FORMAT = "application/cloudevents+json"
_BATCH = "application/cloudevents-batch"
_SHOWN_MAX = 60

_Getter = Callable[[Any], Any]


class EnvelopeReader:
    """Reads structured events, and refuses those whose data are no JSON."""

    def __init__(self, decode: Callable[[bytes], Any], getters: Mapping[tuple[str, ...], _Getter]) -> None:
        """Read with `decode`; `getters` has one for each of `PARTS`."""
        self._decode = decode
        self._get_specversion = getters[SPECVERSION_PARTS]
        self._get_content_type = getters[_CONTENT_TYPE_PARTS]
        self._get_base64 = getters[_BASE64_PARTS]

    def read(self, value: bytes) -> Any:
        """What `decode` makes of the event. Raises EventError, and what `decode` raises where it is no JSON."""
        event = self._decode(value)
        specversion = self._get_specversion(event)
        if specversion != SPECVERSION:
            raise _other_version(specversion)
        _need_json(self._get_content_type(event), "datacontenttype")
        encoded = self._get_base64(event)
        if encoded is None or encoded is msgspec.UNSET:
            return event
        return self._decode(_with_data(value, encoded))


def structured(value: bytes, headers: Iterable[tuple[str, bytes | None]]) -> bytes:
    """The event that a record's value and headers hold, in structured mode. Raises EventError."""
    found = {name.lower(): content for name, content in headers if content is not None}
    content_type = found.get("content-type", b"").decode(errors="replace")
    media_type = _media_type(content_type)
    if media_type.startswith(_BATCH):
        message = f"content-type {_shown(content_type)} is a batch of events, expected one event a record"
        raise EventError(BATCHED, message)
    if media_type == _JSON_FORMAT:
        return value
    if media_type.startswith(_ANY_FORMAT):
        raise EventError(UNKNOWN_FORMAT, f"found content-type {_shown(content_type)}, expected {_JSON_FORMAT}")
    attributes: dict[str, Any] = {name: _attribute(found, name) for name in ATTRIBUTES}
    if attributes["specversion"] != SPECVERSION:
        raise _other_version(attributes["specversion"])
    _need_json(content_type, "content-type")
    return msgspec.json.encode({**attributes, "data": _json(value, "the value")})


def _attribute(headers: Mapping[str, bytes], name: str) -> str:
    content = headers.get(f"ce_{name}")
    if content is None and name == "specversion":
        message = f"found neither a header ce_specversion nor content-type {_JSON_FORMAT}, expected a CloudEvent"
        raise EventError(MISSING_SPECVERSION, message)
    if content is None:
        raise EventError(f"missing_{name}", f"header ce_{name} is missing, expected the event's {name}")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise EventError(f"unreadable_{name}", f"header ce_{name}: found {_shown(content)}, expected UTF-8") from None


def _other_version(found: Any) -> EventError:
    if found is None or found is msgspec.UNSET:
        expected = f"{SPECVERSION!r} of an event in structured mode, the only one that recordings have"
        return EventError(MISSING_SPECVERSION, f"specversion is missing, expected {expected}")
    return EventError(UNKNOWN_SPECVERSION, f"found specversion {_shown(found)}, expected {SPECVERSION!r}")


def _need_json(content_type: Any, where: str) -> None:
    """Refuse data that say to be something else; those that say nothing are taken for JSON."""
    if content_type is None or content_type is msgspec.UNSET or content_type == "":
        return
    if type(content_type) is not str or not _is_json(content_type):
        raise EventError(BAD_DATA, f"found data of {where} {_shown(content_type)}, expected JSON")


@lru_cache(maxsize=64)
def _is_json(content_type: str) -> bool:
    return _media_type(content_type).endswith(("/json", "+json"))


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _with_data(value: bytes, encoded: Any) -> bytes:
    """The same event with its base64 data written out as JSON."""
    event = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
    if bytes(event.get("data", b"null")) != b"null":
        raise EventError(BAD_DATA, "found both data and data_base64, expected one of them")
    try:
        data = base64.b64decode(encoded, validate=True)
    except (TypeError, ValueError):  # binascii.Error is one
        raise EventError(BAD_DATA, f"data_base64: found {_shown(encoded)}, expected base64") from None
    del event["data_base64"]
    return msgspec.json.encode({**event, "data": _json(data, "data_base64")})


def _json(data: bytes, where: str) -> msgspec.Raw:
    """One JSON text as it is, so that nothing after its end can become part of the envelope."""
    try:
        return msgspec.json.decode(data, type=msgspec.Raw)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise EventError(BAD_DATA, f"{where}: found {_shown(data)}, expected JSON: {error}") from None


def _shown(found: Any) -> str:
    if isinstance(found, bytes):
        found = found[:_SHOWN_MAX].decode(errors="replace")
    text = repr(found[:_SHOWN_MAX] if isinstance(found, str) else found)
    return text if len(text) <= _SHOWN_MAX else f"{text[: _SHOWN_MAX - 3]}..."
