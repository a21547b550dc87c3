"""A broker of its own for these tests: they stop it, and the topics that all workers share have their partitions."""

import os
from collections.abc import Iterator

import pytest

from promisewatch.brokers import ApacheKafka
from schemas.errors import BrokerUnavailable


@pytest.fixture(scope="session")
def broker() -> Iterator[ApacheKafka]:
    """Apache Kafka for all tests here. Who stops it starts it again."""
    own = ApacheKafka()
    try:
        own.start()
    except BrokerUnavailable as error:
        own.close()
        if os.environ.get("REQUIRE_KAFKA") == "1":
            raise
        pytest.skip(f"no Apache Kafka (REQUIRE_KAFKA=1 makes this an error): {error}")
    yield own
    own.close()
