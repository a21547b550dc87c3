"""A book of three sources in one facts partition: shop, ERP and warehouse, with promises that wait for some of them."""

from typing import Any

from schemas.facts import Fact
from tests.promises.builders import DAY, OPENED
from tests.promises.facts_partitions import FactsPartition, book_of

SOURCES: dict[str, str | None] = {"shop": "a e", "erp": "b c", "wms": "d"}
PROMISES = """
- {id: answered, when: {event: a}, due: {within: 1h}, expect: {event: b}, release: {event: c}}
- {id: again, when: {event: a, again: true}, due: {within: 2h}, expect: {event: d, match: [m]}, warn: [-15m]}
- {id: once, when: {event: a, again: true}, forbid: {event: e, count: 2}, due: {within: 3h}}
- {id: sorry, when: {breach_of: once}, due: {within: 1h}, expect: {event: d}, release: {event: c}}
- {id: agree, when: {event: [a, b], again: true}, due: {within: 1h}, expect: {holds: "p.n == q.n", from: {p: a, q: b}}}
- {id: paused, when: {event: e}, due: {within: 1h}, expect: {event: a}, pause: {event: b, until: c, max: 45m}}
"""
BOOK = book_of(SOURCES, PROMISES)
ONE = book_of({"shop": None}, PROMISES)
"""The same promises, of one source that sends everything."""
COUNTS = {"shop": 2, "erp": 1, "wms": 2}
SENDER = {event: source for source, events in SOURCES.items() for event in (events or "").split()}
END = OPENED + 2 * DAY


def fact(event: str, time: int, name: str = "", /, **data: object) -> Fact:
    return Fact(SENDER[event], name or f"{event}{time}", event, time, dict(data))


def everything(until: int, **other: int) -> dict[str, Any]:
    """Every source partition complete before `until`, but for some."""
    return dict.fromkeys(("shop_0", "shop_1", "erp_0", "wms_0", "wms_1"), until) | other


def opened(**other: Any) -> FactsPartition:
    """A partition whose sources are known, each complete before `OPENED`."""
    partition = FactsPartition(BOOK)
    partition.mark(COUNTS, **everything(OPENED, **other))
    partition.read()
    return partition
