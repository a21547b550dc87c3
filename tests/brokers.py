"""Apache Kafka for fixtures."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

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
