"""Several sources in one facts partition: which comes first, crashes and borders of batches must not matter."""

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.facts import Fact
from schemas.publications import Publication
from schemas.records import decode_checkpoint
from schemas.vectors import KNOWN_FOR_EVER, SourceMark
from tests.promises.builders import ALWAYS, MINUTE, OPENED, Partition, start
from tests.promises.facts_partitions import FactsPartition, Verdict, final
from tests.promises.three_systems import BOOK, COUNTS, END, ONE, SENDER

Known = tuple[str, Fact]


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
