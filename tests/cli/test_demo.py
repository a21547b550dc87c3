"""What the demo is made of: its week, the calculation beside it, the comparison, and who feeds it."""

import ast
import asyncio
import json
import time
from collections.abc import Iterable
from datetime import date
from datetime import time as clock_time
from types import SimpleNamespace

import pytest

from promisewatch.demonstration.expected import (
    RULES,
    Event,
    Expected,
    Verdict,
    end_of,
    expect,
    instant,
    judge,
    next_day_due,
    pickup_due,
    read,
)
from promisewatch.demonstration.feeder import Feeder, TooSlow
from promisewatch.demonstration.report import Report, compare, percentile
from promisewatch.demonstration.stage import PATIENCE_SECONDS, until_quiet
from promisewatch.demonstration.watch import BREACHED, FULFILLED_LATE, RETRACTED, Breach, Outcome, Seen
from promisewatch.demonstration.week import END_MS, START_MS, Message, write_week
from streams.clock import ScaledClock
from tests.conftest import ROOT

# The week and the calculation beside it


def test_the_same_seed_writes_the_same_week_and_another_seed_another_one() -> None:
    """A failure can be played again."""
    assert write_week(1) == write_week(1)
    assert write_week(1) != write_week(2)


def test_a_week_holds_every_verdict_of_every_promise_and_messages_that_are_no_events() -> None:
    """Whatever the table shows, there is something behind it."""
    week = write_week(7)
    expected = expect(((message.at, message.value) for message in week.messages), as_of=END_MS)
    found = {(promise, verdict.status) for (promise, _), verdict in expected.verdicts.items()}
    every = {(rule.promise, status) for rule in RULES for status in ("kept", "breached", "fulfilled_late")}
    assert found == every | {("next-day", "released")}
    assert expected.dead_letters == 9
    assert len(week.messages) > 10_000


def test_everything_the_week_promises_is_due_and_proved_before_its_end() -> None:
    """No verdict of the table is open."""
    week = write_week(7)
    expected = expect(((message.at, message.value) for message in week.messages), as_of=END_MS)
    assert max(verdict.due for verdict in expected.verdicts.values()) + 3 * 3_600_000 < END_MS


@pytest.mark.parametrize(
    ("placed", "due_day"),
    [
        ((date(2026, 4, 24), clock_time(17, 59, 59)), date(2026, 4, 25)),
        ((date(2026, 4, 24), clock_time(18, 0, 0)), date(2026, 4, 28)),
        ((date(2026, 4, 25), clock_time(17, 0, 0)), date(2026, 4, 28)),
        ((date(2026, 4, 26), clock_time(10, 0, 0)), date(2026, 4, 29)),
    ],
    ids=["before the cut-off", "at the cut-off before King's Day", "Saturday", "Sunday"],
)
def test_the_calculation_knows_the_cut_off_the_weekend_and_kings_day(
    placed: tuple[date, clock_time], due_day: date
) -> None:
    """Checked by hand against a calendar of April 2026."""
    assert next_day_due(instant(*placed)) == end_of(due_day)


def test_the_calculation_counts_pick_up_days_as_the_carrier_works() -> None:
    """Shipped on the Saturday before King's Day: Tuesday and Wednesday are the two working days."""
    assert pickup_due(instant(date(2026, 4, 25), clock_time(9))) == end_of(date(2026, 4, 29))


def test_the_last_millisecond_of_a_day_is_the_last_that_counts() -> None:
    """Kept at 23:59:59.999, late at 00:00."""
    (rule,) = (rule for rule in RULES if rule.promise == "next-day")
    placed = instant(date(2026, 4, 23), clock_time(12))
    opening = Event("1", "order.placed", placed, "A", {"speed": "next"})
    for delivered, status in ((end_of(date(2026, 4, 24)), "kept"), (end_of(date(2026, 4, 24)) + 1, "fulfilled_late")):
        verdict = judge(rule, [Event("2", "parcel.delivered", delivered, "A", {}), opening], END_MS)
        assert verdict is not None
        assert verdict.status == status


def test_times_written_in_different_ways_are_the_same_instant() -> None:
    """The shop's systems write UTC and local time, with and without milliseconds."""
    body = {"event_id": "1", "type": "order.placed", "order_id": "A"}
    written = ("2026-04-24T10:00:00Z", "2026-04-24T12:00:00+02:00", "2026-04-24T12:00:00.000+02:00")
    read_times = {event.time for text in written if (event := read(json.dumps(body | {"occurred_at": text}).encode()))}
    assert read_times == {instant(date(2026, 4, 24), clock_time(12))}


@pytest.mark.parametrize("file", ["promisewatch/demonstration/expected.py", "tests/chaos/oracle.py"])
def test_the_independent_calculations_import_nothing_of_what_they_check(file: str) -> None:
    """Otherwise they would share its mistakes."""
    tree = ast.parse((ROOT / file).read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name for name in imported if name.split(".")[0] in ("promises", "schemas", "streams", "agents")}


# The comparison

DUE = START_MS + 1_000
BROKEN = Verdict("breached", "e1", START_MS, DUE, None)
KEPT = Verdict("kept", "e2", START_MS, DUE, DUE)


def breach(kind: str = BREACHED, subject: str = "A", revision: int = 1, event_id: str = "b1") -> Breach:
    return Breach(event_id, kind, "confirm-15m", subject, "e1", revision, DUE, DUE + 2_000, "")


def outcome(
    status: str = "breached", subject: str = "A", fulfilled_at: int | None = None, revision: int = 1
) -> Outcome:
    return Outcome(f"o-{subject}-{revision}", "confirm-15m", subject, "e1", revision, status, DUE, fulfilled_at)


def report(breaches: Iterable[Breach], outcomes: Iterable[Outcome], *, exactly_once: bool = True) -> Report:
    """The report on A broken and B kept, everybody having been told."""
    seen = Seen(breaches=list(breaches), outcomes=list(outcomes))
    seen.notified.update(one.id for one in seen.breaches)
    expected = Expected({("confirm-15m", "A"): BROKEN, ("confirm-15m", "B"): KEPT}, 0)
    return compare(seen, expected, settle_ms=1_000, factor=10, outage=(0, 0), exactly_once=exactly_once)


RIGHT = (outcome(), outcome("kept", "B", DUE))


def test_what_agrees_is_reported_without_a_problem_and_with_its_delay() -> None:
    """Published 1,000 ms of simulated time after proof, at ten times the speed of life: 100 ms."""
    found = report([breach()], RIGHT)
    assert found.problems == []
    assert found.delays_ms == [100]
    assert [(row.breaches_expected, row.breaches_published, row.false, row.missed) for row in found.rows] == [
        (1, 1, 0, 0)
    ]


@pytest.mark.parametrize(
    ("breaches", "outcomes", "problem"),
    [
        ([], RIGHT, "confirm-15m A: broken, but not published"),
        ([breach(), breach(RETRACTED, revision=2, event_id="b2")], RIGHT, "confirm-15m A: broken, but not published"),
        ([breach(), breach(subject="B", event_id="b3")], RIGHT, "confirm-15m B: published, but not broken"),
        ([breach()], [outcome()], "confirm-15m B: expected kept"),
        ([breach()], [outcome(), outcome("kept", "B", DUE - 1)], "confirm-15m B: expected kept"),
        ([breach()], [*RIGHT, outcome("kept", "C", DUE)], "confirm-15m C: expected nothing"),
        ([breach()], [*RIGHT, outcome("kept", "A", DUE, revision=2)], "confirm-15m A: expected breached"),
        ([breach(), breach()], RIGHT, "1 events were published a second time"),
        ([breach(), breach(FULFILLED_LATE, subject="B", event_id="b4")], RIGHT, "without a breach before it"),
    ],
    ids=[
        "missed",
        "taken back",
        "false",
        "no outcome",
        "other instant",
        "too many",
        "newer",
        "twice",
        "no breach first",
    ],
)
def test_what_differs_is_named(breaches: list[Breach], outcomes: list[Outcome], problem: str) -> None:
    """Each kind of difference fails the demo with a sentence about it."""
    assert any(problem in one for one in report(breaches, outcomes).problems)


def test_a_second_publication_is_allowed_where_the_broker_has_no_transactions() -> None:
    """It is shown all the same."""
    found = report([breach(), breach()], RIGHT, exactly_once=False)
    assert found.problems == []
    assert found.duplicate_ids == 1


def test_a_breach_nobody_was_told_of_is_a_difference() -> None:
    """Detecting is half of the job."""
    seen = Seen(breaches=[breach()], outcomes=list(RIGHT))
    expected = Expected({("confirm-15m", "A"): BROKEN, ("confirm-15m", "B"): KEPT}, 0)
    found = compare(seen, expected, settle_ms=1_000, factor=10, outage=(0, 0), exactly_once=True)
    assert found.problems == ["1 published events of which nobody was told"]


def test_the_99th_of_a_hundred_values_is_their_p99() -> None:
    """And one value is every percentile of itself."""
    assert percentile([float(number) for number in range(100)], 0.99) == 99
    assert percentile([5.0], 0.5) == 5


# The end of the week


class Waiting:
    """Half of the demo's patience passes between two looks; more comes at each of the first `more` looks."""

    def __init__(self, more: int) -> None:
        self.looks = 0
        self.more = more

    def lacking(self) -> bool:
        self.looks += 1
        return self.looks < 10

    def come(self) -> int:
        return min(self.looks, self.more)

    def monotonic(self) -> float:
        return self.looks * PATIENCE_SECONDS / 2


@pytest.mark.parametrize(("more", "looks"), [(10, 10), (4, 6), (0, 2)], ids=["all of it", "a part", "nothing"])
async def test_as_long_as_something_comes_the_demo_waits_for_the_rest(more: int, looks: int) -> None:
    """A slow machine's delays are no difference; what still lacks when nothing comes any more is one."""
    waiting = Waiting(more)
    await until_quiet(waiting.lacking, waiting.come, waiting.monotonic, 0)
    assert waiting.looks == looks


# The feeder


class SlowProducer:
    """Acknowledges after `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def send(self, *_args: object, **_kwargs: object) -> asyncio.Future[SimpleNamespace]:
        loop = asyncio.get_running_loop()
        sent: asyncio.Future[SimpleNamespace] = loop.create_future()
        loop.call_later(self._seconds, sent.set_result, SimpleNamespace(partition=0, offset=0))
        return sent


@pytest.mark.parametrize(("prompt", "fails"), [(True, True), (False, False)], ids=["prompt", "late on purpose"])
async def test_a_machine_too_slow_for_the_clock_is_told_so_instead_of_shown_a_wrong_table(
    prompt: bool, fails: bool
) -> None:
    """An event acknowledged later than `settle` leaves room for ends the demo; one that is late on purpose does not."""
    now_ms = time.time_ns() // 1_000_000
    clock = ScaledClock(now_ms, START_MS, 1_000_000)
    feeder = Feeder(SlowProducer(0.02), lambda _: "t", clock, settle_ms=3 * 3_600_000, acknowledged=lambda *_: None)
    messages = [Message(START_MS, "k", b"{}", prompt)]
    if fails:
        with pytest.raises(TooSlow, match="too slow"):
            await feeder.play(messages)
    else:
        await feeder.play(messages)
