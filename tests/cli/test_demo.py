"""The demo: its week, the calculation beside it, the comparison, and the command itself on a broker."""

import ast
import asyncio
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable
from datetime import date
from datetime import time as clock_time
from pathlib import Path
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
from promisewatch.demonstration.watch import BREACHED, FULFILLED_LATE, RETRACTED, Breach, Outcome, Seen
from promisewatch.demonstration.week import END_MS, START_MS, Message, write_week
from schemas.exits import ExitCode
from streams.clock import ScaledClock
from tests.conftest import ROOT

QUICK = 14_400
"""Twice the demo's own speed: a week in about a minute."""

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
    feeder = Feeder(SlowProducer(0.02), "t", clock, settle_ms=3 * 3_600_000, acknowledged=lambda *_: None)
    messages = [Message(START_MS, "k", b"{}", prompt)]
    if fails:
        with pytest.raises(TooSlow, match="too slow"):
            await feeder.play(messages)
    else:
        await feeder.play(messages)


# The command


def demo(command: list[str], *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*command, "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "BROKER"} | environment,
        start_new_session=True,
    )


def finish(process: "subprocess.Popen[str]", seconds: float) -> tuple[str, str]:
    try:
        return process.communicate(timeout=seconds)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


@pytest.mark.timeout(360)
@pytest.mark.parametrize("broker", ["embedded", pytest.param("kafka", marks=[pytest.mark.kafka, pytest.mark.full])])
def test_the_demo_publishes_what_the_calculation_says_though_its_worker_is_killed(
    broker: str, promisewatch_command: list[str], request: pytest.FixtureRequest
) -> None:
    """A week at twice the demo's speed: nothing missed, nothing false, each breach told to somebody, exit code 0."""
    if broker == "kafka":
        request.getfixturevalue("kafka")
    for speed in (QUICK, QUICK / 2):
        process = demo(promisewatch_command, "--broker", broker, "--speed", str(speed), "--output", "json")
        out, said = finish(process, 250)
        if process.returncode != ExitCode.RESTART:  # the machine was too slow for the quicker clock
            break
    assert process.returncode == ExitCode.OK, said[-4000:]
    result = json.loads(out)
    assert result["problems"] == []
    assert sum(row["published"] for row in result["promises"]) > 50
    assert result["dead_letters"] == 9
    assert "PROMISE BROKEN" in said
    assert "notified" in said
    assert re.search(r"kill -9 \d+, with [1-9]\d* events not yet processed", said)
    if broker == "kafka":
        assert result["duplicate_ids"] == 0


def test_an_interrupted_demo_ends_every_process_it_started(promisewatch_command: list[str], tmp_path: Path) -> None:
    """Ctrl-C once the week has begun: worker, notifier and broker are gone, and so is the temporary folder."""
    process = demo(promisewatch_command, "--broker", "embedded", TMPDIR=str(tmp_path))
    assert process.stdout is not None
    said = ""
    try:
        while not (found := re.search(r"worker is process (\d+), notifier is process (\d+)", said)):
            line = process.stdout.readline()
            assert line, f"it ended early: {said}"
            said += line
        time.sleep(1)  # not for luck: any moment must do
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=40)
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode == 128 + signal.SIGINT
    for pid in map(int, found.groups()):
        assert not Path(f"/proc/{pid}").exists()
    assert list(tmp_path.iterdir()) == []


def test_without_java_the_demo_on_apache_kafka_says_what_it_needs(promisewatch_command: list[str]) -> None:
    """BROKER=kafka is a demand: exit code 69 and one message."""
    process = demo(promisewatch_command, BROKER="kafka", PATH="/nowhere", JAVA_HOME="")
    _, said = finish(process, 60)
    assert process.returncode == ExitCode.UNAVAILABLE
    assert "Java 17" in said
    assert "Traceback" not in said
