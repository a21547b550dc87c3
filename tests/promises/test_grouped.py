"""Several sources in one facts partition: what holds a promise back, what does not, and what must not matter."""

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promises.detector import subject_key
from promises.grouped import GroupedDetector, compile_groups
from schemas.editions import NO_EDITIONS
from schemas.errors import EventError, StateError
from schemas.facts import FACTS_MAX, Fact, Subject
from schemas.groups import aside_prefix, record_prefix, source_groups
from schemas.publications import Publication
from schemas.records import decode_checkpoint
from schemas.vectors import KNOWN_FOR_EVER, SourceMark
from tests.promises.builders import ALWAYS, DAY, HOUR, MINUTE, OPENED, Partition, start
from tests.promises.facts_partitions import FactsPartition, LogRecord, Verdict, book_of, breaches, final, refusal

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

Known = tuple[str, Fact]


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


def test_state_of_direct_mode_is_refused() -> None:
    partition = opened()
    partition.store[b"\x00checkpoint"] = b"anything"
    with pytest.raises(StateError, match="reads its source itself"):
        partition.crash()


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


# --- what must not matter ---


@st.composite
def stories(draw: st.DrawFn) -> list[Known]:
    """Facts about two subjects around quarters of an hour; no two have one id."""
    story = []
    for number in range(draw(st.integers(1, 9))):
        time = OPENED + draw(st.integers(-4, 14)) * 15 * MINUTE + draw(st.sampled_from([-1, 0, 0, 1]))
        data: dict[str, object] = {}
        if draw(st.booleans()):
            data["m"] = draw(st.sampled_from(["x", "y"]))
        if draw(st.booleans()):
            data["n"] = draw(st.sampled_from([1, 2]))
        event = draw(st.sampled_from("aaabcdee"))
        story.append((draw(st.sampled_from(["A", "B"])), Fact(SENDER[event], f"f{number}", event, time, data)))
    return story


class Sending:
    """The sources at work: facts from each partition in some order, markers that are true and say different things."""

    def __init__(self, chance: random.Random, story: list[Known], known_since: int) -> None:
        self.chance = chance
        self.known_since = known_since
        self.partitions = [(source, number) for source, count in COUNTS.items() for number in range(count)]
        self.unsent: dict[tuple[str, int], list[Known]] = {name: [] for name in self.partitions}
        for about, one in story:
            self.unsent[one.source, chance.randrange(COUNTS[one.source])].append((about, one))
        for waiting in self.unsent.values():
            chance.shuffle(waiting)

    def fill(self, partition: FactsPartition) -> None:
        """Put everything on the log; some facts twice, some markers old ones."""
        chance = self.chance
        while any(self.unsent.values()):
            name = chance.choice([name for name, waiting in self.unsent.items() if waiting])
            if chance.random() < 0.5:
                self.mark(partition, *chance.sample(self.partitions, chance.randint(1, 3)))
            about, one = self.unsent[name].pop()
            partition.send(*[one] * chance.choice([1, 1, 2]), about=about)
        self.mark(partition, *chance.sample(self.partitions, 2))
        self.mark(partition, *self.partitions, frontier=END - 1)
        self.mark(partition, *self.partitions, frontier=END)

    def mark(self, partition: FactsPartition, *names: tuple[str, int], frontier: int | None = None) -> None:
        marks = {}
        for name in names:
            bound = min([one.time for _, one in self.unsent[name]], default=END)
            upto = min(bound, OPENED + self.chance.randint(-60, 400) * MINUTE) if frontier is None else frontier
            marks[f"{name[0]}_{name[1]}"] = SourceMark(upto, upto, self.known_since)
        counts = COUNTS if frontier is not None else dict(self.chance.sample(list(COUNTS.items()), 2))
        partition.mark(counts, **marks)


def judged_at_once(story: list[Known], known_since: int) -> dict[tuple[str, str, str], Verdict]:
    """What one detector says that has all facts before the frontier moves."""
    partition = Partition(ONE, start(known_since, ALWAYS))
    for about, one in story:
        partition.learn(one, about=about)
    partition.frontier(END)
    return final(partition.published)


@pytest.mark.parametrize("known_since", [KNOWN_FOR_EVER, OPENED])
@settings(max_examples=150, deadline=None)
@given(story=stories(), seed=st.integers(0, 1 << 30))
def test_whichever_source_comes_first_the_verdicts_and_ids_are_those_of_a_single_stream(
    known_since: int, story: list[Known], seed: int
) -> None:
    """And no breach is told before every source of its promise is complete past it."""
    partition = FactsPartition(BOOK)
    Sending(random.Random(seed), story, known_since).fill(partition)
    expected = judged_at_once(story, known_since)
    for offset in range(1, len(partition.log) + 1):
        for one in partition.read(offset):
            if one.kind == "breached":
                frontier = partition.vector.frontier(partition.group_of(one.promise).sources)
                assert frontier is not None
                assert one.breached_at is not None
                assert one.breached_at < frontier
                assert expected[one.promise, one.subject, one.cycle][0] in ("breached", "fulfilled_late")
    assert final(partition.published) == expected


@settings(max_examples=150, deadline=None)
@given(story=stories(), seed=st.integers(0, 1 << 30))
def test_crashes_and_borders_of_batches_change_nothing(story: list[Known], seed: int) -> None:
    """The same log, with commits, slices of one and crashes anywhere: the very same events, each once."""
    chance = random.Random(seed)
    straight = FactsPartition(BOOK)
    Sending(chance, story, chance.choice([KNOWN_FOR_EVER, OPENED])).fill(straight)
    other = FactsPartition(BOOK)
    other.log = straight.log
    straight.read()
    while other.core.next_offset < len(other.log):
        other.process(chance.randint(other.core.next_offset + 1, len(other.log)), slice_size=chance.choice([1, 2, 100]))
        if chance.random() < 0.6:
            other.commit()
        if chance.random() < 0.5:
            other.crash()
    other.commit()
    assert sorted(other.published, key=_told) == sorted(straight.published, key=_told)
    assert len({(one.id, one.outcome_id) for one in other.published}) == len(other.published)
    assert _kept(other) == _kept(straight)


def _kept(partition: FactsPartition) -> tuple[int, dict[bytes, object]]:
    """The position, and all that is stored besides."""
    store: dict[bytes, object] = dict(partition.store)
    offsets = []
    for key, value in partition.store.items():
        if key.startswith(b"\x00checkpoint"):
            checkpoint = decode_checkpoint(value, "store")
            offsets.append(checkpoint.next_offset)
            store[key] = msgspec.structs.replace(checkpoint, next_offset=0)
    return max(offsets), store


def _told(one: Publication) -> tuple[str, ...]:
    return (one.promise, one.subject, one.cycle, str(one.revision), one.kind, one.id)


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
