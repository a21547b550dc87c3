"""`promisewatch demo` itself on a broker: played to its end, interrupted, and without what it needs."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from schemas.exits import ExitCode

QUICK = 14_400
"""Twice the demo's own speed: a week in about a minute."""
WEEK_SECONDS = 10 * 86_400
"""What is played, in the time of life: the week, and how long after it the last promise is due."""


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


@pytest.mark.timeout(900)  # three speeds one after the other
@pytest.mark.parametrize("broker", ["embedded", pytest.param("kafka", marks=[pytest.mark.kafka, pytest.mark.full])])
def test_the_demo_publishes_what_the_calculation_says_though_its_worker_is_killed(
    broker: str, promisewatch_command: list[str], request: pytest.FixtureRequest
) -> None:
    """A week at twice the demo's speed: nothing missed, nothing false, each breach told to somebody, exit code 0."""
    if broker == "kafka":
        request.getfixturevalue("kafka")
    for speed in (QUICK, QUICK / 2, QUICK / 4):
        process = demo(promisewatch_command, "--broker", broker, "--speed", str(speed), "--output", "json")
        out, said = finish(process, WEEK_SECONDS / speed + 120)
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
        process.communicate(timeout=120)
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
