"""`promisewatch kafka`: a local Apache Kafka in the foreground."""

import signal
import time
from pathlib import Path
from typing import Annotated

import typer

from promisewatch.brokers import ApacheKafka
from promisewatch.console import OutputFormat, OutputOption, print_json, stderr
from schemas.errors import BrokerUnavailable

LOOK_S = 0.5


def kafka(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of 127.0.0.1 for clients; 0 takes a free one.")] = 0,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Keep the data here for next time. Default: a temporary folder.", file_okay=False),
    ] = None,
    heap_mb: Annotated[int, typer.Option(min=128, help="Java heap in MiB.")] = 512,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Run a local single-node Apache Kafka in the foreground.

    Prints its address once it answers and runs until Ctrl-C or SIGTERM, then ends in good order. Needs Java 17 or
    newer, and Maven the first time. For development: it listens on this machine only, without authentication.

    Exit codes: 0 ended as asked; 69 could not be started, or ended by itself.
    """
    asked_to_end = Flag()
    signal.signal(signal.SIGTERM, asked_to_end.set)
    signal.signal(signal.SIGINT, asked_to_end.set)
    with ApacheKafka(port=port, data_dir=data_dir, heap_mb=heap_mb) as broker:
        if output is OutputFormat.JSON:
            print_json({"bootstrap_server": broker.bootstrap_server, "pid": broker.pid})
        else:
            print(f"bootstrap server: {broker.bootstrap_server}", flush=True)
            stderr.print("Ctrl-C ends it.")
        while not asked_to_end.is_set:
            if not broker.running:
                raise BrokerUnavailable(f"Apache Kafka ended by itself; it said:\n{broker.last_words()}")
            time.sleep(LOOK_S)


class Flag:
    """Set by a signal handler, looked at by the loop."""

    def __init__(self) -> None:
        self.is_set = False

    def set(self, *_: object) -> None:
        self.is_set = True
