"""Several sources in one facts partition: what holds a promise back, and what does not."""

import pytest

from promises.detector import subject_key
from promises.grouped import GroupedDetector, compile_groups
from schemas.editions import NO_EDITIONS
from schemas.errors import EventError
from schemas.facts import FACTS_MAX, Fact, Subject
from schemas.groups import aside_prefix, record_prefix, source_groups
from schemas.vectors import KNOWN_FOR_EVER, SourceMark
from tests.promises.builders import DAY, HOUR, MINUTE, OPENED, start
from tests.promises.facts_partitions import FactsPartition, LogRecord, book_of, breaches, refusal
from tests.promises.three_systems import BOOK, COUNTS, END, everything, fact, opened


def test_a_promise_fires_although_a_source_it_does_not_depend_on_stands_still() -> None:
    """The warehouse is silent: who waits for the shop and the ERP only hears of it all the same."""
    partition = opened()
    partition.send(fact("a", OPENED))
    partition.mark(COUNTS, **everything(OPENED + DAY, wms_1=OPENED))
    assert sorted(breaches(partition.read())) == [("agree", "A-17"), ("answered", "A-17")]
    partition.mark(COUNTS, **everything(OPENED + DAY))
    assert breaches(partition.read()) == [("again", "A-17")]


def test_a_promise_waits_for_every_partition_of_every_source_it_names() -> None:
    """Also for one that nobody has named yet, and for one that was only just added."""
    partition = opened()
    partition.send(fact("a", OPENED))
    partition.mark(COUNTS, **everything(OPENED + DAY, erp_0=OPENED + HOUR))
    assert "answered" not in dict(breaches(partition.read()))
    partition.mark(COUNTS | {"erp": 2}, erp_0=OPENED + DAY)
    assert "answered" not in dict(breaches(partition.read()))
    partition.mark(COUNTS, erp_1=OPENED + HOUR)
    assert "answered" not in dict(breaches(partition.read()))
    partition.mark(COUNTS, erp_1=OPENED + HOUR + 1)
    assert "answered" in dict(breaches(partition.read()))


def test_a_fact_goes_to_every_group_that_names_its_type_and_to_no_other() -> None:
    partition = opened()
    partition.send(fact("a", OPENED))
    partition.read()
    kept = {key[:3] for key in partition.store if key.endswith(b"A-17")}
    assert kept == {record_prefix(group.index) for group in partition.grouping.groups}
    partition.send(fact("d", OPENED + 1), about="B")
    partition.read()
    kept = {key[:3] for key in partition.store if key.endswith(b"B")}
    assert kept == {record_prefix(group.index) for group in partition.grouping.groups if "wms" in group.sources}
    assert len(kept) == 2


def test_a_remedy_that_waits_for_more_than_its_cause_is_judged_with_a_silent_copy_of_it() -> None:
    """The cause is told once, by its own group and as soon as that can prove it; the remedy follows."""
    partition = opened()
    group = partition.group_of("sorry")
    assert "once" in group.silent
    assert partition.group_of("once").index != group.index
    partition.send(fact("a", OPENED), fact("e", OPENED + 1), fact("e", OPENED + 2))
    partition.mark(COUNTS, **everything(OPENED + 4 * HOUR, wms_0=OPENED, erp_0=OPENED))
    assert breaches(partition.read()) == [("once", "A-17")]
    partition.mark(COUNTS, **everything(OPENED + 4 * HOUR))
    told = breaches(partition.read())
    assert ("sorry", "A-17") in told
    assert ("once", "A-17") not in told


def test_a_fact_that_several_groups_know_already_counts_as_one_duplicate() -> None:
    partition = opened()
    partition.send(fact("a", OPENED, "x"), fact("a", OPENED, "x"))
    partition.read()
    assert partition.counted["duplicate"] == 1


def test_a_fact_that_one_of_its_groups_can_use_is_not_irrelevant() -> None:
    """The one promise wants another kind of message: the other one does not."""
    made = book_of(
        {"shop": "a b", "erp": "c"},
        """
- {id: first, when: {event: a}, due: {within: 1h}, expect: {event: b, where: {kind: one}}}
- {id: second, when: {event: a}, due: {within: 1h}, expect: {event: b, where: {kind: two}}, release: {event: c}}
""",
    )
    partition = FactsPartition(made)
    partition.mark({}, shop_0=OPENED, erp_0=OPENED)
    partition.send(Fact("shop", "1", "b", OPENED, {"kind": "two"}), Fact("shop", "2", "b", OPENED, {"kind": "three"}))
    partition.read()
    assert partition.counted["irrelevant"] == 1


def test_two_contents_of_one_event_count_as_one_conflict() -> None:
    partition = opened()
    partition.send(fact("a", OPENED, "x", m="1"), fact("a", OPENED, "x", m="2"))
    partition.read()
    assert partition.counted["conflict"] == 1


def test_a_type_that_no_group_names_is_counted_as_unknown() -> None:
    """A fact of an earlier book, say."""
    partition = opened()
    partition.send(Fact("shop", "1", "never.heard.of", OPENED, {}))
    partition.read()
    assert partition.counted == {"unknown_type": 1}


def test_a_fact_that_one_group_cannot_use_is_taken_in_by_none() -> None:
    """Then it can be redriven as if it had never come."""
    partition = opened()
    first, second = fact("a", OPENED, "x", m="1"), fact("d", OPENED, "y", m="1")
    crowd = [fact("d", OPENED + number, f"d{number}", m="1") for number in range(FACTS_MAX - 1)]
    partition.send(first, *crowd)
    partition.read()
    before = dict(partition.store)
    partition.send(second)
    with pytest.raises(EventError, match=f"found {FACTS_MAX} facts"):
        partition.process(len(partition.log))
    batch = partition.commit()
    assert not batch.changes
    assert {key: value for key, value in partition.store.items() if key[:1] == b"\x01"} == {
        key: value for key, value in before.items() if key[:1] == b"\x01"
    }


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (None, b'[1,["shop","1","a",0,{}]]', "found the key None, expected a subject"),
        (b"order_id", b'[1,["shop","1","a",0,{}]]', "expected a subject"),
        (b"\xff\x1fA", b'[1,["shop","1","a",0,{}]]', "expected UTF-8"),
        (b"order_id\x1fA", b"[]", "expected a fact record of format 1"),
        (b"order_id\x1fA", b'[2,["shop","1","a",0,{}]]', "found a fact record of format 2"),
    ],
)
def test_a_record_that_is_no_fact_is_refused_with_what_was_found(
    key: bytes | None, value: bytes, message: str
) -> None:  # fmt: skip
    """It goes to the dead letters of the facts topic."""
    error = refusal(opened(), LogRecord(key, value, [], 7))
    assert error is not None
    assert error.reason == "bad_fact"
    assert message in error.message


def test_a_record_without_a_value_is_handed_back() -> None:
    """It is a marker, or a migration: the shell's business."""
    partition = opened()
    assert partition.core.take_in([LogRecord(None, b"", [], 1)], 0, 1) == (0, None)


# --- since when the sources are known ---


def test_what_came_before_all_sources_were_known_is_judged_when_they_are() -> None:
    """The log of the ERP has lost its beginning: an order from before that opens nothing that the ERP has part in."""
    partition = FactsPartition(BOOK)
    others = {"shop_0": OPENED - 1, "shop_1": OPENED - 1, "wms_0": OPENED - 1, "wms_1": OPENED - 1}
    partition.mark(COUNTS, **others)
    partition.send(fact("a", OPENED - 1), about="old")
    partition.send(fact("a", OPENED), about="new")
    partition.mark(COUNTS, **dict.fromkeys(others, OPENED + DAY))
    assert sorted(breaches(partition.read())) == [("again", "new"), ("again", "old")]
    assert [key for key in partition.store if key[:1] == b"\x02"]
    partition.mark(COUNTS, erp_0=SourceMark(OPENED + DAY, OPENED, OPENED))
    assert breaches(partition.read()) == [("answered", "new")]
    assert not [key for key in partition.store if key[:1] == b"\x02"]


def test_facts_are_put_aside_once_and_survive_a_crash() -> None:
    partition = FactsPartition(BOOK)
    partition.send(fact("a", OPENED, "x"), fact("a", OPENED, "x"))
    partition.read()
    kept = [value for key, value in partition.store.items() if key[:1] == b"\x02"]
    assert kept
    assert all(value.count(b'"x"') == 1 for value in kept)
    partition.crash()
    partition.send(fact("a", OPENED, "x"), fact("b", OPENED + 1, n=1))
    partition.mark(COUNTS, **everything(OPENED + DAY))
    partition.process(len(partition.log), slice_size=1)
    partition.commit()
    assert "answered" not in dict(breaches(partition.published))
    assert [one.status for one in partition.published if one.promise == "answered"] == ["kept"]


def test_what_is_put_aside_and_turns_out_to_be_of_no_use_is_handed_out() -> None:
    """For the dead letters: by then its record has been passed."""
    made = book_of({"shop": "a b"}, "- {id: p, when: {event: a}, due: {field: at}, expect: {event: b}}")
    partition = FactsPartition(made)
    bad = Fact("shop", "1", "a", OPENED, {"at": "in a while"})
    partition.send(bad)
    partition.mark({}, shop_0=OPENED)
    partition.read()
    (refused,) = partition.refused
    assert (refused.stored_as, refused.fact) == (subject_key(Subject("order_id", "A-17")), bad)
    assert refused.error.reason == "unreadable_due"


def test_there_is_a_limit_to_what_is_put_aside_about_one_subject() -> None:
    partition = FactsPartition(BOOK)
    partition.send(*(fact("a", OPENED + number) for number in range(FACTS_MAX + 1)))
    with pytest.raises(EventError, match=f"found {FACTS_MAX} facts"):
        partition.read()


def test_a_later_known_since_refuses_what_opens_from_then_on() -> None:
    """And only where the source matters."""
    partition = opened()
    partition.mark(COUNTS, erp_0=SourceMark(OPENED, OPENED, OPENED + HOUR))
    partition.send(fact("a", OPENED + HOUR - 1))
    partition.mark(COUNTS, **everything(END))
    assert breaches(partition.read()) == [("again", "A-17")]


# --- when a due learnt late is told ---


def test_a_due_learnt_late_waits_for_what_its_own_source_had_sent_by_then() -> None:
    """The shop had sent more by the time; the ERP, which is behind, sets no later instant."""
    partition = opened()
    partition.mark(COUNTS, **everything(OPENED + HOUR, shop_0=SourceMark(OPENED, OPENED + 9 * HOUR, KNOWN_FOR_EVER)))
    partition.send(fact("a", OPENED - 2 * HOUR))
    partition.mark(COUNTS, **everything(OPENED + 9 * HOUR))
    assert "answered" not in dict(breaches(partition.read()))
    partition.mark(COUNTS, **everything(OPENED + 9 * HOUR + 1))
    assert "answered" in dict(breaches(partition.read()))


def test_a_source_that_went_ahead_holds_up_no_due_that_another_sets() -> None:
    """Recordings are fed at different speeds: what the last marker of one says must not outlive the others' last."""
    partition = opened()
    partition.mark(COUNTS, **everything(OPENED, wms_0=END, wms_1=END))
    partition.send(fact("a", OPENED))
    partition.mark(COUNTS, **everything(END))
    assert len(breaches(partition.read())) == 3


def test_a_source_that_went_ahead_holds_up_no_due_of_one_that_has_told_nothing_yet() -> None:
    """The shop is only named when its first facts come; the warehouse's recording has been read by then."""
    text = "- {id: p, when: {event: a}, due: {within: 1h}, expect: {event: b}}"
    made = book_of({"shop": "a", "wms": "b"}, text, frontier="markers")
    partition = FactsPartition(made)
    partition.mark({"shop": 1, "wms": 1}, wms_0=END, shop_0=None)
    partition.send(Fact("shop", "1", "a", OPENED, {}))
    partition.mark({"shop": 1, "wms": 1}, shop_0=END)
    assert breaches(partition.read()) == [("p", "A-17")]


def test_a_partition_that_went_ahead_holds_up_no_due_that_another_of_its_source_sets() -> None:
    """For a source that says itself how far it is complete; what its last markers prove is told with them."""
    text = "- {id: p, when: {event: a}, due: {within: 1h}, expect: {event: b}}"
    made = book_of({"shop": "a b"}, text, frontier="markers")
    partition = FactsPartition(made)
    partition.mark({"shop": 2}, shop_0=OPENED, shop_1=OPENED)
    partition.mark({"shop": 2}, shop_0=END)
    partition.send(fact("a", OPENED))
    partition.mark({"shop": 2}, shop_1=END)
    assert breaches(partition.read()) == [("p", "A-17")]


def test_a_known_since_of_the_facts_topic_itself_counts_too() -> None:
    """`--since`: the facts topic has lost its beginning."""
    partition = FactsPartition(BOOK, since=OPENED)
    partition.mark(COUNTS, **everything(OPENED))
    partition.send(fact("e", OPENED - 1))
    partition.mark(COUNTS, **everything(END))
    partition.read()
    assert not partition.published


def test_a_promise_that_runs_across_a_gap_of_a_source_it_waits_for_is_not_broken() -> None:
    """The others go on: what expired unread was no business of theirs."""
    partition = opened()
    partition.send(fact("a", OPENED))
    lost = (OPENED + MINUTE, OPENED + 2 * MINUTE)
    partition.mark(COUNTS, **everything(END) | {"erp_0": SourceMark(END, OPENED, KNOWN_FOR_EVER, lost)})
    assert breaches(partition.read()) == [("again", "A-17")]


# --- taking over ---


def test_only_what_changed_is_written() -> None:
    """A group that heard nothing new writes no checkpoint, but how far was read is always told."""
    partition = opened()
    partition.commit()
    partition.send(fact("d", OPENED + 1))
    partition.process(len(partition.log))
    batch = partition.core.take()
    named = {group.index for group in partition.grouping.groups if {"again", "sorry"} & set(group.promises)}
    assert set(batch.checkpoints) == {b"\x00checkpoint/%d" % index for index in {0, *named}}
    assert {one.next_offset for one in batch.checkpoints.values()} == {len(partition.log)}


def test_reading_goes_on_where_the_group_that_came_furthest_stopped() -> None:
    """The checkpoints of groups that heard nothing are older."""
    partition = opened()
    partition.send(fact("d", OPENED + 1))
    partition.read()
    partition.crash()
    assert partition.core.next_offset == len(partition.log)


def test_groups_that_are_compiled_once_serve_many_partitions() -> None:
    """Nothing of a partition is in them."""
    cores = compile_groups(BOOK, NO_EDITIONS, source_groups(BOOK))
    stores: list[dict[bytes, bytes]] = [{}, {}]
    first, second = (
        GroupedDetector.open(cores, store.get, lambda _: (), start(), partition=number)
        for number, store in enumerate(stores)
    )
    first.fact(subject_key(Subject("order_id", "A")), fact("a", OPENED))
    assert first.pending
    assert not second.pending
    assert all(key.startswith((b"\x01", b"\x02")) for key in first.take().changes)
    assert not second.take().changes
    assert aside_prefix(1) == b"\x021:"
