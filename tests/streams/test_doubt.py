"""Doubt about a source: the frontier stands while too much of it is bad, late or missing, then goes on by itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.book_model import DoubtPolicy
from schemas.errors import StateError
from schemas.vectors import Hold
from streams.doubt import DEAD_LETTERS, LATE, SILENT, Doubt, Heartbeat
from streams.frontier import Marks

SECOND = 1_000
MINUTE = 60 * SECOND
POLICY = DoubtPolicy(dead_letters=5, late=5, share=10, window_ms=10 * MINUTE)
SETTLE = 2 * MINUTE
START = 1_000_000_000


class Reader:
    """One source partition, read as it comes: marks, doubt, and the frontier that is announced."""

    def __init__(self, policy: DoubtPolicy = POLICY) -> None:
        self.policy = policy
        self.doubt = Doubt(policy)
        self.marks = Marks(SETTLE)
        self.now = START
        self.end = 0
        self.announced: list[int] = []

    def later(self, ms: int, silent: Hold | None = None) -> int | None:
        """Let time pass; then a beat, with everything read."""
        self.now += ms
        self.marks.add(self.now, self.end)
        frontier = self.doubt.announce(self.now, self.marks.passed(self.end), silent)
        if frontier is not None:
            self.announced.append(frontier)
        return frontier

    def read(self, total: int, bad: int = 0, late: int = 0) -> None:
        """A batch that arrives now."""
        self.end += total
        self.doubt.read(self.now, total, bad, late)

    def fact(self, time: int) -> None:
        """A fact that is late if the doubt says so."""
        self.read(1, late=time < self.doubt.late_before)

    def restart(self) -> None:
        """All memory is lost but for what was stored and announced."""
        announced = self.announced[-1] if self.announced else None
        self.doubt = Doubt(self.policy, self.doubt.stored(), announced)
        self.marks = Marks(SETTLE)

    def hold(self) -> Hold | None:
        return self.doubt.holds(self.now)


def at_ease() -> Reader:
    """A reader that has announced a frontier."""
    reader = Reader()
    reader.later(SECOND)
    return reader


# Too many dead letters


def test_the_frontier_follows_the_marks_without_doubt() -> None:
    """Doubt costs nothing where there is none."""
    reader = at_ease()
    reader.read(100)
    assert reader.later(MINUTE) == reader.now - SETTLE
    assert reader.hold() is None
    assert reader.doubt.stored() == ""


def test_nothing_is_announced_that_nothing_proves() -> None:
    """Without a mark there is no frontier, in doubt or not."""
    doubt = Doubt(POLICY)
    assert doubt.announce(START, None) is None
    doubt.read(START, 5, 5, 0)
    assert doubt.announce(START, START - SETTLE) is None


def test_five_dead_letters_and_nothing_else_hold_the_frontier() -> None:
    """The limit's number, and all of what was read."""
    reader = at_ease()
    stood = reader.announced[-1]
    reader.read(4, bad=4)
    assert reader.hold() is None
    reader.read(1, bad=1)
    assert reader.hold() == Hold(DEAD_LETTERS, reader.now)
    assert reader.later(9 * MINUTE) == stood


def test_a_trickle_of_dead_letters_on_a_busy_source_is_no_doubt() -> None:
    """Somebody always sends rubbish: one in twenty for hours, which is many, holds nothing."""
    reader = at_ease()
    for _ in range(500):
        reader.read(20, bad=1)
        assert reader.later(10 * SECOND) == reader.now - SETTLE


def test_a_few_bad_events_in_a_row_on_a_busy_source_are_no_doubt() -> None:
    """One customer's client tries the same rubbish again and again, in a moment in which nobody else sends."""
    reader = at_ease()
    for _ in range(30):
        reader.read(1_000)
        reader.later(5 * SECOND)
        for _ in range(20):
            reader.read(1, bad=1)
        assert reader.hold() is None


def test_what_came_longer_than_a_window_ago_does_not_count() -> None:
    """Neither the bad ones of then, nor the good ones."""
    reader = at_ease()
    reader.read(4, bad=4)
    reader.later(10 * MINUTE)
    reader.read(2, bad=1)
    assert reader.hold() is None
    reader = at_ease()
    reader.read(1_000)
    reader.later(10 * MINUTE)
    for _ in range(5):
        reader.read(5, bad=1)
        reader.later(MINUTE)
    assert reader.hold() is not None


def test_exactly_the_share_is_too_many() -> None:
    """Five of fifty are a tenth, five of fifty-one are less."""
    for total, held in ((51, False), (50, True)):
        reader = at_ease()
        reader.read(total, bad=5)
        assert (reader.hold() is not None) == held


def test_good_events_before_do_not_excuse_a_source_that_has_turned_bad() -> None:
    """A hundred thousand good ones in the window: still it is noticed within two parts of it, long before `settle`."""
    reader = at_ease()
    for _ in range(60):
        reader.read(1_667)
        reader.later(10 * SECOND)
    turned = reader.now
    while reader.hold() is None:
        reader.read(2, bad=2)
        reader.later(SECOND)
    assert reader.now - turned <= 20 * SECOND
    assert reader.announced[-1] < turned


def test_a_slow_source_is_doubted_when_nothing_but_bad_events_come() -> None:
    """One in a quarter of an hour is never five within the window; five in a row are too many however slow they are.

    It is held until the next is awaited and longer, so that the frontier does not run on between two bad ones.
    """
    reader = at_ease()
    for number in range(10):
        reader.read(1, bad=1)
        assert (reader.hold() is not None) == (number >= 4)
        stood = reader.later(15 * MINUTE - SECOND)
        if number >= 4:
            assert reader.hold()
            assert reader.later(SECOND) == stood
        else:
            reader.later(SECOND)


def test_one_good_event_ends_a_row() -> None:
    """Then it is a trickle on a slow source."""
    reader = at_ease()
    for number in range(40):
        reader.read(1, bad=int(number % 5 != 4))
        reader.later(15 * MINUTE)
        assert reader.hold() is None


def test_doubt_lasts_a_window_after_the_last_event_that_made_it() -> None:
    """That long an operator has to mend the mapping and to redrive the letters; then it ends by itself."""
    reader = at_ease()
    stood = reader.announced[-1]
    for _ in range(30):
        reader.read(5, bad=5)
        reader.later(MINUTE)
    last = reader.now - MINUTE
    assert reader.later(last + 10 * MINUTE - 1 - reader.now) == stood
    assert reader.later(1) == reader.now - SETTLE
    assert reader.hold() is None
    reader.read(1)
    assert reader.doubt.stored() == ""


def test_a_doubt_is_dated_from_its_beginning() -> None:
    """The operator sees since when the frontier stands."""
    reader = at_ease()
    began = reader.now
    for _ in range(30):
        reader.read(5, bad=5)
        assert reader.hold() == Hold(DEAD_LETTERS, began)
        reader.later(MINUTE)


def test_more_bad_events_end_no_doubt_earlier() -> None:
    """A slow source is held longer than a window; that faster ones follow is no reason to hold it for less."""
    reader = at_ease()
    for _ in range(5):
        reader.later(15 * MINUTE)
        reader.read(1, bad=1)
    reader.read(1)
    reader.read(5, bad=5)
    reader.later(30 * MINUTE - 1)
    assert reader.hold() is not None


def test_good_events_do_not_end_a_doubt_at_once() -> None:
    """The mapping is mended, but the letters are not redriven yet."""
    reader = at_ease()
    reader.read(50, bad=50)
    stood = reader.later(SECOND)
    for _ in range(500):
        reader.read(10)
        assert reader.later(SECOND) == stood


def test_redriven_letters_are_not_late_while_the_frontier_stands() -> None:
    """They are dated after it. Counted as late they would prolong the doubt that they end."""
    reader = at_ease()
    sent = reader.now
    reader.read(50, bad=50)
    reader.later(5 * MINUTE)
    for number in range(50):
        reader.fact(sent + number)
    reader.later(5 * MINUTE)
    assert reader.hold() is None


def test_never_is_never() -> None:
    """A source may be known for its rubbish."""
    reader = Reader(DoubtPolicy(None, None, 10, 10 * MINUTE))
    reader.read(1_000, bad=500, late=500)
    assert reader.later(SECOND) == reader.now - SETTLE
    assert reader.doubt.stored() == ""
    held = at_ease()
    held.read(5, bad=5)
    assert Doubt(reader.policy, held.doubt.stored()).holds(held.now) is None, "not any more, since the book says so"


# Facts later than settle


def test_five_late_facts_hold_the_frontier() -> None:
    """Each could have made a false breach."""
    reader = at_ease()
    for _ in range(5):
        assert reader.hold() is None
        reader.fact(reader.announced[-1] - 1)
    assert reader.hold() == Hold(LATE, reader.now)


def test_a_fact_dated_at_the_frontier_is_in_time() -> None:
    """The frontier says that facts dated before it are known."""
    reader = at_ease()
    for _ in range(50):
        reader.fact(reader.announced[-1])
    assert reader.hold() is None


def test_a_source_that_stays_late_stays_in_doubt() -> None:
    """Its facts are late by the frontier that would be, though not by the one that stands."""
    reader = at_ease()
    for _ in range(5):
        reader.fact(reader.now - 30 * MINUTE)
    stood = reader.announced[-1]
    for _ in range(120):
        assert reader.later(MINUTE) == stood
        reader.fact(reader.now - 30 * MINUTE)
    for _ in range(10):
        reader.later(MINUTE)
        reader.fact(reader.now)
    assert reader.later(MINUTE) == reader.now - SETTLE


def test_a_backlog_of_ours_is_not_late() -> None:
    """After two hours' outage facts are old, but the frontier stood as well: lateness is not a matter of the clock."""
    reader = at_ease()
    reader.restart()
    begin = reader.now
    reader.now += 120 * MINUTE
    reader.end += 7_200
    reader.marks.add(reader.now, reader.end)
    for second in range(7_200):
        time = begin + second * SECOND
        reader.doubt.read(reader.now, 1, 0, int(time < reader.doubt.late_before), arrived=time)
        reader.doubt.announce(reader.now, reader.marks.passed(second))
    assert reader.later(SECOND) == reader.now - SETTLE
    assert reader.hold() is None


def test_a_replay_from_the_beginning_is_not_late() -> None:
    """Nothing was announced yet."""
    doubt = Doubt(POLICY)
    for year in range(50):
        doubt.read(START, 1, 0, int(year < doubt.late_before))
    assert doubt.holds(START) is None


def test_a_backlog_is_judged_by_when_it_arrived() -> None:
    """A day's good events and half an hour of bad ones after them, read in one second: by number they are few."""
    doubt = Doubt(POLICY)
    for minute in range(24 * 60):
        doubt.read(START, 100, 0 if minute < 24 * 60 - 30 else 100, 0, arrived=START - (24 * 60 - minute) * MINUTE)
    assert doubt.holds(START) is not None


def test_a_doubt_that_was_over_before_it_was_read_holds_nothing() -> None:
    """Old rubbish, and a good day since: whoever reads a log from its beginning need not wait."""
    doubt = Doubt(POLICY)
    doubt.read(START, 100, 100, 0, arrived=START - 60 * MINUTE)
    assert doubt.holds(START) is not None
    doubt.read(START, 100, 0, 0, arrived=START - 30 * MINUTE)
    assert doubt.holds(START) is None


def test_timestamps_that_go_back_or_lie_ahead_do_no_harm() -> None:
    """Producers may write into them what they like."""
    doubt = Doubt(POLICY)
    doubt.read(START, 100_000, 0, 0, arrived=START + 365 * 24 * 60 * MINUTE)
    now = START + 5 * MINUTE
    doubt.read(now, 1, 0, 0, arrived=now)
    doubt.read(now, 10, 10, 0, arrived=5)
    doubt.read(now, 10, 0, 0, arrived=now)
    assert doubt.holds(now + 10 * MINUTE - 1) is not None
    assert doubt.holds(now + 10 * MINUTE) is None


# Silence


def heartbeat(heard: int = START) -> Heartbeat:
    found = Heartbeat(30 * MINUTE, SETTLE, heard)
    found.beat(START, {0: 10, 1: 20})
    return found


def test_a_source_is_silent_past_its_heartbeat_and_not_before() -> None:
    """At exactly the heartbeat it may still come."""
    source = heartbeat()
    assert source.holds(START + 30 * MINUTE) is None
    assert source.holds(START + 30 * MINUTE + 1) == Hold(SILENT, START)


def test_any_partition_is_a_sound_of_the_source() -> None:
    """One alone may be idle for good reasons."""
    source = heartbeat()
    for minute in range(1, 120):
        source.beat(START + minute * MINUTE, {0: 10, 1: 20 + minute})
        assert source.holds(START + minute * MINUTE) is None


def test_a_new_partition_with_events_is_a_sound() -> None:
    """A source whose topic grew has sent something, if there is something in it."""
    source = heartbeat()
    source.beat(START + 29 * MINUTE, {0: 10, 1: 20, 2: 0})
    assert source.holds(START + 31 * MINUTE) is not None
    source = heartbeat()
    source.beat(START + 29 * MINUTE, {0: 10, 1: 20, 2: 1})
    assert source.holds(START + 31 * MINUTE) is None


def test_a_source_that_is_back_is_heard_for_its_settle_before_it_is_trusted() -> None:
    """What it could not send comes first. It stays silent in the books until then, since its last sound before."""
    source = heartbeat()
    source.beat(START + 40 * MINUTE, {0: 10, 1: 20})
    for second in range(120):
        now = START + 40 * MINUTE + (second + 1) * SECOND
        source.beat(now, {0: 10, 1: 21 + second})
        assert source.holds(now) == Hold(SILENT, START)
    now = START + 42 * MINUTE + SECOND
    source.beat(now, {0: 10, 1: 141})
    assert source.holds(now) is None


def test_a_sound_and_silence_again_is_silence() -> None:
    """One event is not being back."""
    source = Heartbeat(MINUTE, 5 * MINUTE, START)
    source.beat(START, {0: 1})
    source.beat(START + 2 * MINUTE, {0: 1})
    source.beat(START + 3 * MINUTE, {0: 2})
    for minute in range(4, 30):
        source.beat(START + minute * MINUTE + 1, {0: 2})
        assert source.holds(START + minute * MINUTE + 1) == Hold(SILENT, START)


def test_a_source_that_was_silent_before_the_start_is_silent_at_it() -> None:
    """A restart proves nothing about the source; the first ends that are asked are no sound either."""
    source = heartbeat(heard=START - 31 * MINUTE)
    assert source.holds(START) == Hold(SILENT, START - 31 * MINUTE)


def test_silence_holds_the_frontier_of_a_partition_and_what_then_comes_late_holds_it_on() -> None:
    """An hour's jam, whose events come when it is over: none of them may find that it was given up."""
    reader, source = at_ease(), Heartbeat(30 * MINUTE, SETTLE, START)

    def beat(ms: int) -> int | None:
        source.beat(reader.now + ms, {0: reader.end})
        return reader.later(ms, source.holds(reader.now + ms))

    beat(0)
    while source.holds(reader.now) is None:
        beat(SECOND)
    stood = reader.announced[-1]
    assert stood == reader.now - SECOND - SETTLE
    for _ in range(30):
        assert beat(MINUTE) == stood
    jammed = reader.now - 25 * MINUTE
    for number in range(200):  # for longer than `settle`, and not in the order of the jam
        reader.fact(jammed + number % 7 * SECOND)
        assert beat(SECOND) == stood
    assert source.holds(reader.now) is None
    assert reader.hold() is not None
    for _ in range(11):
        reader.fact(reader.now)
        beat(MINUTE)
    assert reader.announced[-1] == reader.now - SETTLE


# Restarts, and whatever else


def test_a_restart_forgets_no_doubt() -> None:
    """The mapping is mended, which takes a restart; the letters are redriven after it."""
    reader = at_ease()
    reader.read(5, bad=5)
    stood, began = reader.announced[-1], reader.now
    reader.restart()
    assert reader.hold() == Hold(DEAD_LETTERS, began)
    assert reader.later(10 * MINUTE - 1) == stood
    assert reader.later(1) == reader.now - SETTLE


def test_a_row_goes_on_through_restarts() -> None:
    """A slow source that has turned bad, and a process that is restarted for each of its events."""
    reader = at_ease()
    for _ in range(5):
        assert reader.hold() is None
        reader.read(1, bad=1)
        reader.restart()
        reader.later(15 * MINUTE)
    assert reader.hold() is not None


def test_what_else_is_stored_is_refused() -> None:
    """It is another program's."""
    with pytest.raises(StateError, match=r"found '\{\}', expected what a doubt about a source has stored"):
        Doubt(POLICY, "{}")


STEPS = st.lists(
    st.tuples(
        st.integers(0, 5 * MINUTE),
        st.integers(0, 60),
        st.sampled_from((0.0, 0.0, 0.05, 0.1, 0.5, 1.0)),
        st.sampled_from((0.0, 0.0, 0.05, 0.1, 0.5, 1.0)),
        st.sampled_from((False, False, False, True)),
    ),
    max_size=60,
)
"""Time that passes, records that come, the shares of them that are bad and late, whether the source is silent."""
Steps = list[tuple[int, int, float, float, bool]]


def play(steps: Steps, policy: DoubtPolicy = POLICY) -> Reader:
    reader = Reader(policy)
    for ms, total, bad, late, silent in steps:
        reader.later(ms, Hold(SILENT, reader.now) if silent else None)
        reader.read(total, int(total * bad), int(total * (1 - bad) * late))
    return reader


@given(STEPS)
def test_the_frontier_never_goes_back_and_stands_while_there_is_doubt(steps: Steps) -> None:
    """Whatever comes and whenever."""
    reader, held = Reader(), False
    before: int | None = None
    for ms, total, bad, late, silent in steps:
        frontier = reader.later(ms, Hold(SILENT, reader.now) if silent else None)
        held = reader.hold() is not None or silent
        assert before is None or (frontier is not None and frontier >= before)
        assert not held or frontier == before
        assert frontier is None or frontier <= reader.now - SETTLE
        before = frontier
        reader.read(total, int(total * bad), int(total * (1 - bad) * late))


@given(STEPS, st.integers(1, 90 * SECOND), st.integers(1, 5))
def test_a_source_that_is_altogether_bad_never_passes_its_first_bad_event(steps: Steps, gap: int, number: int) -> None:
    """Where the limit is reached within `settle`, the frontier stays before its arrival as long as bad ones come,
    whatever came before. With a limit of one it stays at its arrival less `settle`.
    """
    limit = 1 if 4 * gap > SETTLE else 5
    reader = play([(*step[:2], 0.0, 0.0, False) for step in steps], DoubtPolicy(limit, None, 10, 10 * MINUTE))
    reader.later(20 * SECOND)
    first = reader.now
    for _ in range(60):
        reader.read(number, bad=number)
        frontier = reader.later(gap)
        assert frontier is not None
        assert frontier <= first - (SETTLE if limit == 1 else 0)


@given(STEPS)
def test_doubt_ends_by_itself(steps: Steps) -> None:
    """When nothing more comes, the frontier goes on in the end."""
    reader = play(steps)
    for _ in range(30):
        reader.later(30 * MINUTE)
    assert reader.hold() is None
    assert reader.announced[-1] == reader.now - SETTLE


@given(STEPS, st.data())
def test_a_doubt_survives_a_restart_at_any_point(steps: Steps, data: st.DataObject) -> None:
    """With what it stored, it holds from the same instant until the same instant."""
    reader = play(steps)
    again = Doubt(POLICY, reader.doubt.stored(), reader.announced[-1] if reader.announced else None)
    for _ in range(3):
        moment = reader.now + data.draw(st.integers(0, 30 * MINUTE))
        assert again.holds(moment) == reader.doubt.holds(moment)
    assert again.stored() == reader.doubt.stored()
