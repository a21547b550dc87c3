"""Groups: which promises are judged together, and that they stay where they are when the book changes."""

import random

import msgspec
import pytest

from schemas.book_model import Book
from schemas.editions import Editions, editions_of
from schemas.errors import StateError
from schemas.groups import (
    FROM_NEVER,
    Group,
    Grouping,
    StoredGroups,
    aside_prefix,
    awaited_sources,
    check_senders,
    checkpoint_key,
    decode_groups,
    encode_groups,
    group_promises,
    record_prefix,
    source_groups,
)
from tests.promises.facts_partitions import book_of

SOURCES: dict[str, str | None] = {"shop": "placed cancelled", "erp": "paid refunded", "wms": "shipped"}
NOW = 1_000_000
MINUTES_5 = 300_000

PAID = "- {id: paid, when: {event: placed}, due: {within: 1h}, expect: {event: paid}}\n"
SHIPPED = "- {id: shipped, when: {event: placed}, due: {within: 1d}, expect: {event: shipped}}\n"
REFUND = "- {id: refund, when: {breach_of: shipped}, due: {within: 2d}, expect: {event: refunded}}\n"
BILLED = "- {id: billed, when: {event: paid}, due: {within: 1h}, expect: {event: refunded}, release: {event: placed}}\n"


def members(groups: tuple[Group, ...]) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """By the name of each group, whom it tells of and whom it follows silently."""
    return {group.name: (group.promises, group.silent) for group in groups}


def changed(before: Book, after: Book, latest: int, stored: StoredGroups | None = None) -> Grouping:
    """The groups of a book in a partition that was worked by another one before."""
    if stored is None:
        stored = group_promises(before).stored
    return group_promises(after, editions(before, after), stored, latest)


def editions(before: Book, after: Book) -> Editions:
    return editions_of(after, editions_of(before, None, "store", 0).stored, "store", NOW)


def test_promises_that_wait_for_the_same_sources_form_a_group() -> None:
    groups = source_groups(book_of(SOURCES, PAID + SHIPPED + BILLED))
    assert members(groups) == {"shop+erp": (("paid", "billed"), ()), "shop+wms": (("shipped",), ())}
    assert [group.index for group in groups] == [0, 1]


def test_a_promise_waits_for_every_source_that_may_send_what_it_names() -> None:
    """Openings, fulfilments, releases, pauses, re-promises, aliases: whatever has a say."""
    every = "abcdefgh"
    book = book_of(
        {name: name for name in every},
        """
- {id: p, when: {event: [a, b]}, due: {field: at}, expect: {event: c}, release: {event: d},
   pause: {event: e, until: f, max: 1d}, repromise: {event: g, field: at, max: 1}}
- {id: f, when: {event: a}, due: {within: 1h}, forbid: {event: b}, until: {event: c}}
- {id: h, when: {event: a}, due: {within: 1h}, expect: {holds: "x.n == y.n", from: {x: b, y: h}}}
- {id: l, when: {event: a, field: s, enter: [1]}, due: {within: 1h}, expect: {leave: s}}
""",
    )
    by_id = {name: group.sources for group in source_groups(book) for name in group.promises}
    assert by_id == {"p": tuple("abcdefg"), "f": tuple("abc"), "h": tuple("abh"), "l": ("a",)}


def test_a_source_that_does_not_say_what_it_sends_may_send_anything() -> None:
    book = book_of(SOURCES | {"legacy": None}, PAID + SHIPPED)
    assert [group.sources for group in source_groups(book)] == [("shop", "erp", "legacy"), ("shop", "wms", "legacy")]


def test_all_versions_of_a_promise_are_in_one_group() -> None:
    """A verdict may be about a cycle of either: the group waits for what both look at."""
    later = """
- {id: paid, version: 2, effective_from: "2026-05-04T00:00:00Z", when: {event: placed}, due: {within: 1h},
   expect: {event: shipped}}
"""
    assert members(source_groups(book_of(SOURCES, PAID + later))) == {"shop+erp+wms": (("paid",), ())}


def test_a_remedy_waits_for_what_its_cause_waits_for_and_follows_it_silently() -> None:
    groups = source_groups(book_of(SOURCES, SHIPPED + REFUND))
    assert members(groups) == {"shop+wms": (("shipped",), ()), "shop+erp+wms": (("refund",), ("shipped",))}


def test_a_remedy_that_waits_for_no_other_source_is_beside_its_cause() -> None:
    sorry = "- {id: sorry, when: {breach_of: shipped}, due: {within: 2d}, expect: {event: cancelled}}\n"
    assert members(source_groups(book_of(SOURCES, sorry + SHIPPED))) == {"shop+wms": (("sorry", "shipped"), ())}


def test_a_remedy_of_a_remedy_brings_all_causes_along() -> None:
    late = "- {id: late, when: {breach_of: refund}, due: {within: 2d}, expect: {event: cancelled}}\n"
    groups = source_groups(book_of(SOURCES, SHIPPED + REFUND + late))
    assert members(groups) == {"shop+wms": (("shipped",), ()), "shop+erp+wms": (("refund", "late"), ("shipped",))}


def test_a_book_that_has_lost_the_source_of_what_still_runs_is_refused() -> None:
    """Nothing would come from it any more, and everything that waits for it would count as broken."""
    before, after = book_of(SOURCES, PAID + SHIPPED), book_of({"shop": "placed", "erp": "paid"}, PAID)
    with pytest.raises(StateError, match="facts/0: promise 'shipped' version 1 runs on and looks at 'shipped'"):
        check_senders(after, editions(before, after), "facts/0")
    other = book_of({"shop": "placed", "erp": "paid", "depot": "shipped"}, PAID)
    check_senders(other, editions(before, other), "facts/0")
    assert awaited_sources(other, before.promises) == ("shop", "erp", "depot")


def test_the_groups_of_a_book_do_not_depend_on_chance() -> None:
    """All partitions and processes have to agree."""
    texts = [PAID, SHIPPED, REFUND, BILLED]
    chance = random.Random(1)
    first = source_groups(book_of(SOURCES, "".join(texts)))
    for _ in range(5):
        chance.shuffle(texts)
        again = source_groups(book_of(SOURCES, "".join(texts)))
        assert source_groups(book_of(SOURCES, "".join(texts))) == again
        assert {(group.sources, frozenset(group.promises), group.silent) for group in again} == {
            (group.sources, frozenset(group.promises), group.silent) for group in first
        }


# --- the book changes ---


def test_the_same_book_has_the_same_groups_again() -> None:
    book = book_of(SOURCES, PAID + SHIPPED + REFUND)
    first = group_promises(book)
    again = group_promises(book, stored=decode_groups(encode_groups(first.stored), "store"), latest=NOW)
    assert again == first


def test_a_promise_stays_in_its_group_when_it_waits_for_more() -> None:
    """Its running cycles are there; the others of its group wait with it."""
    before = book_of(SOURCES, PAID + BILLED)
    after = book_of(SOURCES, PAID.replace("expect: {event: paid}", "expect: {event: [paid, shipped]}") + BILLED)
    grouping = changed(before, after, NOW)
    assert members(grouping.groups) == {"shop+erp+wms": (("paid", "billed"), ())}
    assert grouping.groups[0].index == 0


def test_a_new_promise_joins_the_group_that_waits_for_the_same_sources() -> None:
    grouping = changed(book_of(SOURCES, PAID), book_of(SOURCES, BILLED + PAID), NOW)
    assert members(grouping.groups) == {"shop+erp": (("billed", "paid"), ())}


def test_a_new_promise_that_waits_for_others_has_a_group_of_its_own() -> None:
    grouping = changed(book_of(SOURCES, SHIPPED), book_of(SOURCES, PAID + SHIPPED), NOW)
    assert [(group.index, group.promises) for group in grouping.groups] == [(0, ("shipped",)), (1, ("paid",))]


def test_a_new_remedy_joins_no_group_that_has_not_followed_its_cause() -> None:
    """What the cause went through before is known in its own group alone."""
    before = book_of(SOURCES, SHIPPED + PAID.replace("expect: {event: paid}", "expect: {event: [paid, shipped]}"))
    after = book_of(
        SOURCES, SHIPPED + PAID.replace("expect: {event: paid}", "expect: {event: [paid, shipped]}") + REFUND
    )
    grouping = changed(before, after, NOW)
    assert [(group.promises, group.silent) for group in grouping.groups] == [
        (("shipped",), ()),
        (("paid",), ()),
        (("refund",), ("shipped",)),
    ]


def test_what_still_runs_under_a_closed_text_stays_in_its_group_and_is_waited_for() -> None:
    before, after = book_of(SOURCES, PAID + SHIPPED), book_of(SOURCES, PAID)
    grouping = changed(before, after, NOW)
    assert members(grouping.groups) == {"shop+erp": (("paid",), ()), "shop+wms": (("shipped",), ())}
    assert grouping.dropped == ()


def test_a_group_without_any_promise_is_dropped_and_its_index_never_used_again() -> None:
    before, after = group_promises(book_of(SOURCES, PAID + SHIPPED)), book_of(SOURCES, PAID)
    grouping = group_promises(after, stored=before.stored, latest=NOW)
    assert (members(grouping.groups), grouping.dropped) == ({"shop+erp": (("paid",), ())}, (1,))
    later = group_promises(book_of(SOURCES, PAID + SHIPPED), stored=grouping.stored, latest=NOW)
    assert [group.index for group in later.groups] == [0, 2]


def test_a_cause_is_followed_on_when_its_remedy_has_left_the_book() -> None:
    """The records of the group still hold cycles of it."""
    before, after = group_promises(book_of(SOURCES, SHIPPED + PAID + REFUND)), book_of(SOURCES, SHIPPED + PAID)
    joined = group_promises(book_of(SOURCES, SHIPPED + PAID + REFUND), stored=before.stored, latest=NOW)
    assert joined.groups == before.groups
    grouping = changed(book_of(SOURCES, SHIPPED + PAID + REFUND), after, NOW, before.stored)
    assert [group.silent for group in grouping.groups if "refund" in group.promises] == [("shipped",)]


# --- from when on new texts open anything ---


def test_in_a_new_partition_every_text_opens_from_the_start() -> None:
    grouping = group_promises(book_of(SOURCES, PAID + SHIPPED))
    assert [group.opens_from for group in grouping.groups] == [{}, {}]
    assert not grouping.waits


def test_a_new_promise_opens_nothing_from_before_its_facts_were_sent() -> None:
    grouping = changed(book_of(SOURCES, PAID), book_of(SOURCES, PAID + SHIPPED), NOW)
    assert [group.opens_from for group in grouping.groups] == [{}, {("shipped", 1): NOW}]


def test_until_it_is_known_that_its_facts_are_sent_a_new_promise_opens_nothing() -> None:
    before, after = book_of(SOURCES, PAID), book_of(SOURCES, PAID + SHIPPED)
    grouping = changed(before, after, FROM_NEVER)
    assert grouping.waits
    assert grouping.groups[1].opens_from == {("shipped", 1): FROM_NEVER}
    again = changed(before, after, FROM_NEVER, grouping.stored)
    assert again == grouping
    later = changed(before, after, NOW, grouping.stored)
    assert later.groups[1].opens_from == {("shipped", 1): NOW}
    assert not later.waits
    assert changed(before, after, NOW + 1, later.stored) == later


def test_a_text_that_looks_at_nothing_new_opens_at_once() -> None:
    """Twenty minutes instead of fifteen: no order may fall between the two."""
    after = book_of(SOURCES, PAID.replace("1h", "2h"))
    assert changed(book_of(SOURCES, PAID), after, FROM_NEVER).groups[0].opens_from == {}


@pytest.mark.parametrize(
    "text",
    [
        PAID.replace("expect: {event: paid}", "expect: {event: [paid, refunded]}"),
        PAID.replace("expect: {event: paid}", "expect: {event: paid, where: {kind: card}}"),
    ],
    ids=["another event", "another field"],
)
def test_a_text_that_looks_at_something_new_opens_nothing_until_that_is_sent(text: str) -> None:
    grouping = changed(book_of(SOURCES, PAID), book_of(SOURCES, text), NOW)
    pins = editions(book_of(SOURCES, PAID), book_of(SOURCES, text)).pins
    assert grouping.groups[0].opens_from == {("paid", pins["paid", 1]): NOW}


def test_a_text_that_looks_at_what_another_promise_looked_at_before_opens_at_once() -> None:
    """Its facts were sent, whoever asked for them; those of another key are none of its own."""
    wider = PAID.replace("expect: {event: paid}", "expect: {event: [paid, refunded]}")
    before, after = book_of(SOURCES, PAID + BILLED), book_of(SOURCES, wider + BILLED)
    assert changed(before, after, NOW).groups[0].opens_from == {}
    keyed = BILLED.replace("id: billed", "id: billed, key: invoice_id")
    before, after = book_of(SOURCES, PAID + keyed), book_of(SOURCES, wider + keyed)
    assert changed(before, after, NOW).groups[0].opens_from


# --- what is stored ---


def test_the_form_of_what_is_stored_never_changes() -> None:
    """It is on changelogs: a reader of another version would have to be told by another format."""
    stored = group_promises(book_of(SOURCES, SHIPPED + REFUND)).stored
    assert encode_groups(stored) == (
        b'[1,2,[[0,["shipped"],[],{"shipped@1":null}],[1,["refund"],["shipped"],{"shipped@1":null,"refund@1":null}]]]'
    )
    assert (record_prefix(12), aside_prefix(12), checkpoint_key(12)) == (b"\x0112:", b"\x0212:", b"\x00checkpoint/12")


@pytest.mark.parametrize("stored", [b"[2,0,[]]", b"nothing", b"[1]", b"{}"])
def test_stored_groups_of_another_format_are_refused_where_they_were_found(stored: bytes) -> None:
    with pytest.raises(StateError, match="facts/0: found groups of format .*, expected format 1"):
        decode_groups(stored, "facts/0")


def test_what_is_stored_comes_back() -> None:
    stored = group_promises(book_of(SOURCES, PAID + SHIPPED + REFUND)).stored
    assert decode_groups(encode_groups(stored), "store") == stored
    assert msgspec.json.decode(encode_groups(stored))[0] == 1
