"""Logging: structlog over the standard library, to standard error, for people or for machines."""

import logging
import sys
from typing import Any

import orjson
import structlog

LIBRARIES = ("faust", "aiokafka", "mode", "kafka", "streams")


def configure_logging(log_format: str = "console", level: str = "INFO") -> None:
    """Send every log record to standard error as "console" lines or "json" objects.

    Libraries are kept to warnings: what matters of their lives is logged by us, in our words.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
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
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for library in LIBRARIES:
        logging.getLogger(library).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
