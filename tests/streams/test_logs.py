"""Logs: one line an event, and no customer's data in any of them."""

import json
import logging

import pytest
import structlog

from streams.logs import REDACTED, configure_logging, redact, subject_hash, trace_id

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def _restored():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def test_a_subject_becomes_the_same_pseudonym_everywhere() -> None:
    """So that lines about one order can be found together, but not read."""
    line = redact(None, "info", {"event": "x", "subject": "A-17", "promise": "next-day", "event_id": "e"})
    assert line == {"event": "x", "subject": subject_hash("A-17"), "promise": "next-day", "event_id": "e"}
    assert subject_hash("A-17") == "#567b1aeb14c5"
    assert subject_hash("A-18") != subject_hash("A-17")


@pytest.mark.parametrize("name", ["payload", "value", "key", "headers", "password", "sasl_password", "hook_secret"])
def test_payloads_and_secrets_are_never_shown(name: str) -> None:
    """Whoever writes the line."""
    assert redact(None, "info", {"event": "x", name: "tiger-lily"})[name] == REDACTED


@pytest.mark.usefixtures("_restored")
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_every_format_is_redacted_also_lines_of_the_standard_library(
    log_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One processor for all."""
    configure_logging(log_format)
    structlog.get_logger("promisewatch.t1").warning("seen", subject="A-17", payload={"name": "Alice"})
    logging.getLogger("promisewatch.t2").warning("plain")
    structlog.get_logger("promisewatch.t3").debug("not at this level")
    said = capsys.readouterr().err
    assert "A-17" not in said
    assert "Alice" not in said
    assert subject_hash("A-17") in said
    assert "plain" in said
    assert "not at this level" not in said
    if log_format == "json":
        first = json.loads(said.splitlines()[0])
        assert {"timestamp", "level", "logger", "event", "subject"} <= first.keys()


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ([("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01".encode())], TRACE),
        ([("other", b"x"), ("Traceparent", f"00-{TRACE}-00f067aa0ba902b7-01".encode())], TRACE),
        ([("traceparent", b"00-short-1-01")], None),
        ([("traceparent", b"\xff\xfe")], None),
        ([], None),
    ],
)
def test_the_trace_of_the_producer_is_read_where_it_is_well_formed(
    headers: list[tuple[str, bytes]], found: str
) -> None:
    """A malformed one is nobody's trace."""
    assert trace_id(headers) == found
