"""`promisewatch ingest` where it cannot begin: one message that says what was found, and an exit code that means it."""

from pathlib import Path

import pytest

from schemas.exits import ExitCode
from tests.cli.running import promisewatch_process

BOOK = """
sources:
  shop: {topic: shop.events, format: json, id: id, type: type, time: at}
  erp: {topic: erp.events, format: json, id: id, type: type, time: at}
defaults: {timezone: Europe/Amsterdam, key: order_id}
promises:
- {id: told, when: {event: paid}, due: {within: 1h}, expect: {event: told}}
"""


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.yaml"
    path.write_text(BOOK)
    return path


def ingest(book: Path, *more: str) -> tuple[int, str]:
    done = promisewatch_process(
        "ingest", "--book", book, "--bootstrap-server", "127.0.0.1:1", "--http-port", "off", *more
    )  # fmt: skip
    assert "Traceback" not in done.err
    assert done.out == ""
    return done.code, done.err


def test_two_sources_on_one_topic_are_refused_before_a_broker_is_asked(book: Path) -> None:
    """Each would take the other's events for its own."""
    book.write_text(BOOK.replace("erp.events", "shop.events"))
    code, err = ingest(book)
    assert code == ExitCode.CONFIG
    assert "sources 'shop' and 'erp' are on one topic, shop.events; expected a topic each" in err


def test_a_source_on_the_facts_topic_is_refused(book: Path) -> None:
    """It would read what it writes."""
    code, err = ingest(book, "--facts-topic", "erp.events")
    assert code == ExitCode.CONFIG
    assert "source 'erp' is on erp.events, the topic that facts are put on" in err


def test_a_book_with_errors_is_refused_with_all_of_them(book: Path) -> None:
    """As every command does."""
    book.write_text(BOOK.replace("within: 1h", "within: soon"))
    code, err = ingest(book)
    assert code == ExitCode.DATA
    assert "book.yaml:7:" in err


def test_vectors_more_often_than_brokers_are_asked_are_no_setting(book: Path) -> None:
    """The message names the flag and its bound."""
    code, err = ingest(book, "--marker-interval", "0")
    assert code in {ExitCode.USAGE, ExitCode.CONFIG}
    assert "marker-interval" in err.replace("_", "-")
    assert "0.05" in err
