"""`promisewatch topics` on one broker and one book, and what a broker then holds."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient

from tests.cli.running import promisewatch

WAIT_S = 60


def write_book(folder: Path, topic: str) -> Path:
    """A small valid book whose one source reads `topic`."""
    path = folder / "book.yaml"
    path.write_text(f"""
defaults: {{timezone: UTC, key: order_id}}
sources:
  shop: {{topic: {topic}, format: json, id: event_id, type: type, time: at}}
promises:
- {{id: confirm, when: {{event: order.placed}}, due: {{within: 15m}}, expect: {{event: message.sent}}}}
""")
    return path


def counts(admin: AdminClient) -> dict[str, int]:
    """The partitions of every topic, as brokers tell them: a little later than the change was accepted."""
    return {name: len(topic.partitions) for name, topic in admin.list_topics(timeout=WAIT_S).topics.items()}


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


class Runner:
    """Runs `promisewatch topics` on one broker and book."""

    def __init__(self, address: str, book: Path) -> None:
        self._arguments = ["--bootstrap-server", address, "--book", str(book), "--output", "json"]

    def __call__(self, *arguments: str) -> tuple[int, dict[str, Any], str]:
        """Exit code, JSON document and messages."""
        run = promisewatch("topics", *self._arguments, *arguments)
        return run.code, json.loads(run.out or "{}"), run.err
