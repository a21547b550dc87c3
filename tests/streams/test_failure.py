"""What a process says when it ends: whose matter it is, with a traceback where it is ours."""

import asyncio
import os
from collections.abc import Iterator

import faust.exceptions
import pytest
from aiokafka.errors import KafkaConnectionError, ProducerFenced, TopicAuthorizationFailedError
from structlog.testing import capture_logs

from schemas.errors import RestartNeeded, StateError
from schemas.exits import ExitCode
from streams import failure
from streams.failure import end_process, identify


class Ended(BaseException):
    """Stands for the end of the process."""


@pytest.fixture(autouse=True)
def survive(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process ends in name only, and forgets afterwards with whom it talked."""

    def leave(code: int) -> None:
        raise Ended(code)

    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(failure, "_client", {})
    return iter(())


def ended_by(reason: BaseException | str) -> tuple[int, bool]:
    """The exit code, and whether the log line has a traceback."""
    with capture_logs() as lines, pytest.raises(Ended) as end:
        end_process("here", reason)
    (line,) = lines
    assert line["exit_code"] == end.value.args[0]
    return end.value.args[0], line["exc_info"] is not None


@pytest.mark.parametrize(
    "reason",
    [
        KafkaConnectionError("no broker"), ProducerFenced(), TimeoutError(),
        ConnectionResetError(), OSError(28, "No space left on device"), RestartNeeded("no broker answers"),
        "not done within the drain timeout of 25 s",
    ],
    ids=lambda reason: type(reason).__name__,
)  # fmt: skip
def test_what_the_broker_or_the_network_did_asks_for_another_start(reason: BaseException | str) -> None:
    """75, in one line: there is nothing to read in a traceback."""
    assert ended_by(reason) == (ExitCode.RESTART, False)


@pytest.mark.parametrize(
    "reason",
    [MemoryError(), Exception("IO error: While appending to file"), faust.exceptions.ConsumerNotStarted()],
    ids=lambda reason: type(reason).__name__,
)
def test_what_the_machine_or_a_start_too_early_did_asks_for_another_start_too(reason: BaseException) -> None:
    """RocksDB's word for a bad disk is a bare exception."""
    assert ended_by(reason) == (ExitCode.RESTART, True)


@pytest.mark.parametrize(
    "reason",
    [KeyError("promise"), AttributeError("x"), TypeError("x"), AssertionError(), RuntimeError("x"), ValueError("x")],
    ids=lambda reason: type(reason).__name__,
)
def test_what_nobody_foresaw_is_a_bug_and_shows_where(reason: BaseException) -> None:
    """70, with the traceback that belongs in the report: "try again" would be a guess."""
    assert ended_by(reason) == (ExitCode.INTERNAL, True)


def test_what_an_operator_has_to_mend_is_no_bug_and_no_matter_of_trying_again() -> None:
    """78: state that does not fit, and what Kafka refuses for good."""
    assert ended_by(StateError("found format 2, expected 1")) == (ExitCode.CONFIG, False)
    identify({"bootstrap_servers": "kafka:9092"})
    assert ended_by(TopicAuthorizationFailedError({"orders"})) == (ExitCode.CONFIG, False)


def test_being_told_to_stop_is_no_failure() -> None:
    """A cancelled task goes on ending by itself: nothing is said, and the process lives."""
    with capture_logs() as lines:
        end_process("here", asyncio.CancelledError())
    assert lines == []
