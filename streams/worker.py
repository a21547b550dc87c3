"""Running an app as a process: Faust's worker without its banner, its logging set-up and its traceback."""

from typing import Any, NoReturn

import faust

from streams.app import BatchApp
from streams.failure import end_process


class QuietWorker(faust.Worker):
    """A Faust worker that leaves logging to us."""

    def _setup_logging(self) -> None:
        """Keep the logging that is configured already."""

    def _on_startup_end_spinner(self) -> None:
        """Show no spinner: it would write terminal codes to standard output."""


def run(app: BatchApp) -> NoReturn:
    """Run until a signal asks to stop; a crash ends the process with a reason and the code that asks for a restart."""
    worker: Any = QuietWorker(app, loglevel=None, quiet=True, redirect_stdouts=False)
    try:
        worker.execute_from_commandline()
    except SystemExit:
        raise
    except BaseException as error:  # whatever it was, the orchestrator starts the worker again
        end_process("worker", error)
        raise
    raise SystemExit(0)
