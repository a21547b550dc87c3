"""The words of golden cases: what happened, as events; verdicts, as a case says them; the book that a case is about."""

from datetime import datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from ruamel.yaml import YAML

from schemas.book import Book, parse_book
from tests.language.books import text_of
from tests.reference.facts import Event

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
END = "2027-06-01 00:00"


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=AMSTERDAM).timestamp() * 1000)


def happened(line: str) -> Event:
    when, kind, rest = line.split("  ")
    name, *fields = rest.split(" ")
    data = {word: int(value) if value.isdigit() else value for word, value in (one.split("=") for one in fields)}
    return {"source": "shop", "id": name, "type": kind, "time": ms(when), "data": data}


def wording(status: str, due: int, fulfilled_at: int | None, breached_at: int | None, like: str) -> str:
    """A verdict in the words of a case, as far as the case says something."""
    said = status
    for word, instant in (("due", due), ("since", breached_at), ("at", fulfilled_at)):
        if f" {word} " in like:
            assert instant is not None
            local = datetime.fromtimestamp(instant / 1000, AMSTERDAM).replace(tzinfo=None)
            precise = "milliseconds" if local.microsecond else "seconds" if local.second else "minutes"
            said += f" {word} {local.isoformat(' ', precise)}"
    return said


def text(example: str) -> str:
    """The book of a case; one example is also tried without one of its keys."""
    name, without, _ = example.partition(" without match")
    return text_of(name).replace(", match: [mutation_id]", "") if without else text_of(name)


@cache
def spelled(example: str) -> Any:
    return YAML(typ="safe", pure=True).load(text(example))


@cache
def book(example: str) -> Book:
    return parse_book(text(example), f"{example}.yaml")
