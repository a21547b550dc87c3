"""Every error that is a message to a person rather than a bug.

PromisewatchError            message and exit code; printed as one line, never as a traceback
├── InputError               a file is missing or cannot be opened                      (NO_INPUT)
├── BookError                the promise book has problems, all of them listed          (DATA)
├── EventError               one event cannot be used; it goes to the dead letters      (DATA)
├── StateError               stored state does not fit this program or this book        (CONFIG)
├── SettingsError            a setting is wrong, unknown, missing, or refused by Kafka  (CONFIG)
├── TopicsError              topics are missing or differ from what is required         (CONFIG)
├── BrokerUnavailable        no broker answers                                          (UNAVAILABLE)
└── RestartNeeded            this process must stop and be started again                (RESTART)
"""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.exits import ExitCode


class PromisewatchError(Exception):
    """Something a person has to know. `exit_code` is what the process ends with if nobody handles it."""

    exit_code: ExitCode = ExitCode.INTERNAL

    def __init__(self, message: str, exit_code: ExitCode | None = None) -> None:
        super().__init__(message)
        self.message = message
        if exit_code is not None:
            self.exit_code = exit_code


class InputError(PromisewatchError):
    """An input file is missing or cannot be opened."""

    exit_code = ExitCode.NO_INPUT


@dataclass(frozen=True, slots=True, order=True)
class BookProblem:
    """One thing that is wrong in a promise book, at a place a person can jump to (line and column count from 1)."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class BookError(PromisewatchError):
    """A promise book that cannot be used, with every problem found in it, in the order of the file."""

    exit_code = ExitCode.DATA

    def __init__(self, problems: Sequence[BookProblem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class EventError(PromisewatchError):
    """One event that cannot be used. `reason` is a short fixed word (a metric label), `message` is for a person."""

    exit_code = ExitCode.DATA

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type["EventError"], tuple[str, str]]:
        return (type(self), (self.reason, self.message))


class StateError(PromisewatchError):
    """Stored state of another format, or state that needs a promise version the book no longer has."""

    exit_code = ExitCode.CONFIG


class SettingsError(PromisewatchError):
    """A setting is wrong, unknown or missing, or Kafka refuses who we say we are."""

    exit_code = ExitCode.CONFIG


class TopicsError(PromisewatchError):
    """A topic is missing, or its partitions or settings are not the required ones."""

    exit_code = ExitCode.CONFIG


class BrokerUnavailable(PromisewatchError):
    """No broker answers at the given address."""

    exit_code = ExitCode.UNAVAILABLE


class RestartNeeded(PromisewatchError):
    """The process cannot go on safely; what it had not committed is done again by whoever starts next."""

    exit_code = ExitCode.RESTART
