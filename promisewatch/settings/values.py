"""What the value of a setting may be, and how it is written."""

from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr

from schemas.instants import parse_duration, parse_instant
from streams.clock import parse_clock

TOKEN_LENGTH_MIN = 16
"""Characters of a token, below which it could be guessed."""


class StoreKind(StrEnum):
    """Where a worker keeps its copy of the state."""

    ROCKSDB = "rocksdb"
    MEMORY = "memory"


class InputKind(StrEnum):
    """What a worker reads."""

    AUTO = "auto"
    DIRECT = "direct"
    FACTS = "facts"


class LogFormat(StrEnum):
    """How log lines are written to standard error."""

    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    """The least important log line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class ChannelKind(StrEnum):
    """Where notifications go."""

    CONSOLE = "console"
    WEBHOOK = "webhook"


def _clock(text: str) -> str:
    parse_clock(text)
    return text


def _duration_ms(text: object) -> object:
    return parse_duration(text) if isinstance(text, str) else text


def _instant_ms(text: object) -> object:
    return parse_instant(text, None) if isinstance(text, str) else text


def _port(text: str) -> str:
    if text in {"auto", "off"} or (text.isdecimal() and 0 < int(text) < 65_536):
        return text
    raise ValueError(f"found {text!r}, expected a port number, 'auto' or 'off'")


def _tokens(secret: SecretStr) -> SecretStr:
    """Refuse what could be guessed, and what no header can carry. Says nothing about the token."""
    found = split_tokens(secret)
    if not found or any(len(token) < TOKEN_LENGTH_MIN for token in found):
        raise ValueError(f"expected a token of {TOKEN_LENGTH_MIN} characters or more")
    if any(not token.isascii() or not token.isprintable() for token in found):
        raise ValueError("expected a token of ASCII letters, digits and punctuation")
    return secret


def split_tokens(secret: SecretStr | None) -> list[str]:
    """Tokens that are separated by white space."""
    return [] if secret is None else secret.get_secret_value().split()


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        known = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise ValueError(f"found {text!r}, expected a URL such as http://10.0.0.7:6066")
    return text


def _urls(text: str) -> str:
    for url in text.split(","):
        _url(url.strip())
    return text


DurationMs = Annotated[int, BeforeValidator(_duration_ms)]
"""Milliseconds, written as 90m, 12h, 7d."""
InstantMs = Annotated[int, BeforeValidator(_instant_ms)]
"""UTC milliseconds, written as an RFC 3339 instant."""
Clock = Annotated[str, AfterValidator(_clock)]
Port = Annotated[str, AfterValidator(_port)]
HttpUrl = Annotated[str, AfterValidator(_url)]
HttpUrls = Annotated[str, AfterValidator(_urls)]
Tokens = Annotated[SecretStr, AfterValidator(_tokens)]
