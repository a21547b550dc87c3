"""Apache Kafka for fixtures."""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from promisewatch.brokers import ApacheKafka
from schemas.errors import BrokerUnavailable


@contextmanager
def apache_kafka(**settings: Any) -> Iterator[ApacheKafka]:
    """A broker of these settings, ended afterwards. Where it cannot run the test is skipped, visibly, unless
    REQUIRE_KAFKA=1 is set.
    """
    broker = ApacheKafka(**settings)
    try:
        broker.start()
    except BrokerUnavailable as error:
        broker.close()
        if os.environ.get("REQUIRE_KAFKA") == "1":
            raise
        pytest.skip(f"no Apache Kafka (REQUIRE_KAFKA=1 makes this an error): {error}")
    try:
        yield broker
    finally:
        broker.close()


def wait_until_known(admin: AdminClient, topics: Iterable[str], seconds: float = 30) -> None:
    """Return when the broker tells of these topics: it hears of them a moment after they were made."""
    wanted, deadline = set(topics), time.monotonic() + seconds
    while not wanted <= admin.list_topics(timeout=10).topics.keys():
        assert time.monotonic() < deadline, f"not known within {seconds:g} s: {wanted}"
        time.sleep(0.02)
