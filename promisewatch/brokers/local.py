"""What the local brokers have in common: one child process, and `with ... as broker`."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from promisewatch.brokers.processes import ChildProcess


class LocalBroker(ABC):
    """A broker as a process of its own. `start` returns once it answers, `close` removes what was temporary."""

    name: str
    transactional: bool
    """Whether it honours transactions."""
    _process: ChildProcess | None = None

    @property
    @abstractmethod
    def bootstrap_server(self) -> str:
        """HOST:PORT, once started."""

    @abstractmethod
    def start(self) -> None:
        """Start, and return once the broker answers. Raises BrokerUnavailable with the reason."""

    @abstractmethod
    def close(self) -> None:
        """End the broker and remove what was temporary."""

    @property
    def pid(self) -> int:
        assert self._process is not None, "the broker is not running"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    def last_words(self) -> str:
        """The end of the broker's log."""
        return self._process.last_words() if self._process is not None else ""

    def _end(self, patience_s: float) -> None:
        """End the process, if there is one, in good order and within a bound."""
        if self._process is not None:
            self._process.end(patience_s)
            self._process = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
