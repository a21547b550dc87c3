"""Fixtures and settings shared by all tests.

Tests marked `kafka` get a real Apache Kafka, one for the session. Where it cannot run they are skipped, visibly, unless
REQUIRE_KAFKA=1 is set: then its absence is an error.
"""

import itertools
import os
import random
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import structlog

from promisewatch.brokers import ApacheKafka
from promisewatch.brokers.jars import resolve_jars
from schemas.errors import BrokerUnavailable
from tests.brokers import apache_kafka

ROOT = Path(__file__).resolve().parent.parent

hypothesis.settings.register_profile("default", deadline=None, max_examples=100, print_blob=True)
hypothesis.settings.register_profile("full", parent=hypothesis.settings.get_profile("default"), max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


FULL_SECONDS = 1_800
"""For what hangs among the long tests."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=None, help="seed of the `rng` fixture and of hypothesis")


def pytest_configure(config: pytest.Config) -> None:
    if config.option.seed is None:
        told = getattr(config, "workerinput", {})
        config.option.seed = told.get("seed", random.SystemRandom().randrange(2**32))
    if getattr(config.option, "hypothesis_seed", None) is None:
        config.option.hypothesis_seed = str(config.option.seed)


@pytest.hookimpl(optionalhook=True)  # known where tests run side by side
def pytest_configure_node(node: Any) -> None:
    """Every process of a run has the seed that stands at its head."""
    node.workerinput["seed"] = node.config.option.seed


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed: {config.option.seed} (again with --seed={config.option.seed})"


@pytest.hookimpl(tryfirst=True)  # before the long ones are left out: a file that has such is long anyway
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with tests on Apache Kafka first: where files run side by side, the longest must not be the last. And long
    tests may take long, unless they say how long.
    """
    waiting = {item.path for item in items if item.get_closest_marker("kafka")}
    items.sort(key=lambda item: item.path not in waiting)
    for item in items:
        if item.get_closest_marker("full") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(FULL_SECONDS))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fetch Apache Kafka's jars where they will be needed: the first time, that takes longer than a test may."""
    wanted = any(item.get_closest_marker("kafka") for item in session.items)
    if wanted and not session.config.option.collectonly:
        with suppress(BrokerUnavailable):  # the fixture says what is wrong
            resolve_jars()


@pytest.fixture(autouse=True, scope="session")
def loggers_follow() -> Iterator[None]:
    """A logger that was used under one configuration follows the next one: a command's in one test, what captures logs
    in another.
    """
    configure = structlog.configure

    def without_cache(**settings: Any) -> None:
        configure(**(settings | {"cache_logger_on_first_use": False}))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structlog, "configure", without_cache)
        yield


@pytest.fixture(autouse=True)
def logs_begin_anew() -> Iterator[None]:
    """What a command in one test says about logging is not said in the next."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """This run's seed: printed at the head of the run and settable with --seed."""
    value = int(request.config.option.seed)
    print(f"seed: {value}")  # shown with a failing test's output
    return value


@pytest.fixture
def rng(seed: int) -> random.Random:
    """Random numbers that the seed repeats, the same ones for a test whatever ran before it."""
    return random.Random(seed)


@pytest.fixture(scope="session")
def kafka() -> Iterator[ApacheKafka]:
    """Apache Kafka for the whole session. Who stops it starts it again; topics are not cleared: see `unique`."""
    with apache_kafka() as broker:
        yield broker


_numbers = itertools.count(1)


@pytest.fixture
def unique(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """unique("orders") -> a topic, group or application name that no other test of the session uses."""
    test = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())[:60].strip("-")

    def name(stem: str) -> str:
        return f"{stem}-{test}-{next(_numbers)}"

    return name


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the Olist sample: PROMISEWATCH_SHARED_DATA, or shared/data beside the repository."""
    folder = Path(os.environ.get("PROMISEWATCH_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not (folder / "olist.events.jsonl.gz").is_file():
        pytest.skip(f"no Olist sample in {folder} (PROMISEWATCH_SHARED_DATA names another folder)")
    return folder


@pytest.fixture(scope="session")
def promisewatch_command() -> list[str]:
    """How tests start the command line as a process: `subprocess.run([*promisewatch_command, "lint", ...])`."""
    return [sys.executable, "-m", "promisewatch.main"]
