"""The week as four systems tell it: what they say, when one is silent, and the whole of it played on a broker."""

import json
from collections import Counter
from functools import cache
from itertools import pairwise

import pytest

from promisewatch.demo import SYSTEMS_BOOK
from promisewatch.demonstration.expected import expect
from promisewatch.demonstration.systems import (
    BACK_MS,
    CARRIER,
    MAILER,
    SHOP,
    SILENT_MS,
    WAREHOUSE,
    system_of,
    write_systems_week,
)
from promisewatch.demonstration.week import END_MS, Week, write_week
from schemas.book import load_book
from schemas.exits import ExitCode
from tests.cli.test_demo_played import QUICK, WEEK_SECONDS, demo, finish


@cache
def told() -> Week:
    """The week of one seed."""
    return write_systems_week(7)


def test_four_systems_tell_what_one_shop_tells_and_the_carrier_tells_it_later() -> None:
    """Only the instant of publication changes, so that the same calculation holds."""
    shop, systems = write_week(7), told()
    events = [message for message in systems.messages if b"carrier.alive" not in message.value]
    assert Counter(message.value for message in events) == Counter(message.value for message in shop.messages)
    assert Counter(system_of(message) for message in events).keys() == {SHOP, MAILER, WAREHOUSE, CARRIER}
    verdicts = [
        expect(((message.at, message.value) for message in week.messages), as_of=END_MS).verdicts
        for week in (shop, systems)
    ]
    assert verdicts[0] == verdicts[1]


def test_in_its_silence_the_carrier_sends_nothing_and_at_its_return_all_that_has_waited() -> None:
    """Otherwise the demo would show a source that is merely slow."""
    messages = told().messages
    carrier = [message.at for message in messages if system_of(message) == CARRIER]
    assert not [at for at in carrier if SILENT_MS <= at < BACK_MS]
    assert carrier.count(BACK_MS) > 100
    assert [message.at for message in messages] == sorted(message.at for message in messages)


def test_while_the_carrier_is_heard_it_is_heard_more_often_than_its_heartbeat() -> None:
    """Nights, Sundays and King's Day are no silence, and the silence is one."""
    heartbeat_ms = load_book(SYSTEMS_BOOK).sources[CARRIER].heartbeat_ms
    assert heartbeat_ms is not None
    heard = [message.at for message in told().messages if system_of(message) == CARRIER]
    silent = [(one, other) for one, other in pairwise(heard) if other - one > heartbeat_ms]
    assert len(silent) == 1
    assert silent[0][1] == BACK_MS


@pytest.mark.full
@pytest.mark.timeout(900)  # three speeds one after the other
@pytest.mark.parametrize("broker", ["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def test_the_demo_of_four_systems_publishes_what_the_calculation_says(
    broker: str, promisewatch_command: list[str], request: pytest.FixtureRequest
) -> None:
    """One falls silent and comes back, the ingest is killed: nothing missed, nothing false, nothing proved too soon."""
    if broker == "kafka":
        request.getfixturevalue("kafka")
    for speed in (QUICK / 2, QUICK / 4, QUICK / 8):
        process = demo(promisewatch_command, "--sources", "--broker", broker, "--speed", str(speed), "--output", "json")
        out, said = finish(process, WEEK_SECONDS / speed + 120)
        if process.returncode != ExitCode.RESTART:  # the machine was too slow for the quicker clock
            break
    assert process.returncode == ExitCode.OK, said[-4000:]
    result = json.loads(out)
    assert result["problems"] == []
    assert sum(row["published"] for row in result["promises"]) > 50
    assert result["dead_letters"] == 9
    assert "falls silent" in said
    assert "is in doubt: carrier is silent" in said
    assert "believes carrier again" in said
