"""Books of any number of promises about the web shop's events, made of a few that are spelled here."""

import json
from collections.abc import Callable
from typing import Any

from ruamel.yaml import YAML

from bench.kafka import shop_book
from schemas.book import parse_book
from schemas.book_model import Book

Spelled = dict[str, Any]

WHOLE_LANGUAGE: list[Spelled] = [
    {"id": "confirm-each", "when": {"event": "order.placed", "again": True}, "due": {"within": "15m"},
     "expect": {"event": "message.sent", "where": {"kind": "confirmation"}, "match": ["order_id"]}},
    {"id": "picked", "when": {"event": "payment.captured", "if": "data.provider == 'ideal'"}, "due": {"within": "4h"},
     "expect": {"event": "order.picked"}, "release": {"event": "order.cancelled"}},
    {"id": "not-sent-once-cancelled", "when": {"event": "order.cancelled"}, "due": {"plus": 10, "unit": "day"},
     "forbid": {"event": "order.shipped"}},
    {"id": "pickup", "when": {"event": "order.shipped", "where": {"method": "pickup"}},
     "due": {"plus": 2, "unit": "day", "calendar": "carrier", "at": "end_of_day"},
     "expect": {"event": "parcel.at_pickup"}, "warn": ["-6h"]},
    {"id": "slot", "when": {"event": "delivery.planned"}, "due": {"field": "slot_end"},
     "expect": {"event": "parcel.delivered"}, "repromise": {"event": "delivery.moved", "field": "slot_end", "max": 2}},
]  # fmt: skip
"""Five promises that all need the whole language, about the events that the five of book.yaml are about."""


def head() -> Spelled:
    """The bench's book of five, as plain data."""
    return dict(YAML(typ="safe").load(shop_book("shop.events")))


def simple() -> list[Spelled]:
    """The five promises of book.yaml."""
    return [dict(promise) for promise in head()["promises"]]


def book_of(promises: list[Spelled], calendars: Spelled | None = None) -> Book:
    """A book of these promises under the head of book.yaml, with more calendars if they are given."""
    spelled = head()
    return parse_book(
        json.dumps(spelled | {"promises": promises, "calendars": spelled["calendars"] | (calendars or {})})
    )


def many(promises: list[Spelled], number: int, another: Callable[[Spelled, int], Spelled]) -> list[Spelled]:
    """The promises, and so many others made of them that all in all there are `number`."""
    return [
        another(promises[index % len(promises)], index // len(promises)) if index >= len(promises) else promises[index]
        for index in range(number)
    ]


def of_other_events(promise: Spelled, number: int) -> Spelled:
    """The same promise about events whose names end in that number."""
    renamed: Spelled = _renamed(promise, number)
    return renamed


def of_another_shop(promise: Spelled, number: int) -> Spelled:
    """The same promise about the same events, but of another shop than the one whose events are read."""
    when = promise["when"]
    where = {**when.get("where", {}), "shop": f"shop-{number}"}
    return promise | {"id": f"{promise['id']}.{number}", "when": when | {"where": where}}


def _renamed(part: Any, number: int) -> Any:
    if not isinstance(part, dict):
        return part
    return {
        key: f"{value}.{number}" if key in ("id", "event") else _renamed(value, number) for key, value in part.items()
    }
