"""Logging: structlog over the standard library, to standard error, for people or for machines.

Logs go to many places and stay there; customers' data do not belong in them. A value under `subject` (an order, an
invoice, a customer) is replaced by a short hash, the same in every process, so that lines about one subject can be
found together: a pseudonym, not a secret. Payloads, keys of records and secrets are replaced by a word. This is done
here, for every line, whoever writes it. `trace_id` is the producer's, from the `traceparent` header where there is one.
"""

import hashlib
import logging
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any

import orjson
import structlog

LIBRARIES = ("faust", "aiokafka", "mode", "kafka", "streams", "agents", "aiohttp", "asyncio")

REDACTED = "[redacted]"
SECRET_KEYS = frozenset({"payload", "data", "value", "key", "body", "headers", "password", "secret", "token"})
"""Names under which a log line never shows what it is given."""
SUBJECT_KEYS = frozenset({"subject"})


def subject_hash(subject: str) -> str:
    """Return the pseudonym of a subject: 12 hexadecimal digits of a SHA-256."""
    return "#" + hashlib.sha256(b"promisewatch\x00" + subject.encode()).hexdigest()[:12]


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace what says something about a customer."""
    for key in event.keys() & SUBJECT_KEYS:
        event[key] = subject_hash(str(event[key]))
    for key in event:
        if key in SECRET_KEYS or key.endswith(("password", "_secret", "_token")):
            event[key] = REDACTED
    return event


def trace_id(headers: Iterable[tuple[str, bytes]]) -> str | None:
    """Return the trace id of a W3C `traceparent` header, None where there is none or it is malformed."""
    for name, value in headers:
        if name.lower() == "traceparent":
            parts = (value or b"").decode("ascii", "replace").split("-")
            if len(parts) >= 4 and len(parts[1]) == 32 and set(parts[1]) <= set("0123456789abcdef"):
                return parts[1]
    return None


def configure_logging(log_format: str = "console", level: str = "INFO") -> None:
    """Send every log record of `level` or above to standard error as "console" lines or "json" objects.

    Libraries are kept to warnings: what matters of their lives is logged by us, in our words.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    if log_format == "json":
        render: Any = structlog.processors.JSONRenderer(serializer=lambda event, **_: orjson.dumps(event).decode())
    else:
        render = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for library in LIBRARIES:
        logging.getLogger(library).setLevel(max(logging.WARNING, logging.getLogger().level))
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
