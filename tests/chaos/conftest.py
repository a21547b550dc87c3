"""A broker of its own for these tests: they stop it, and the topics that all workers share have their partitions."""

from collections.abc import Iterator

import pytest

from promisewatch.brokers import ApacheKafka
from tests.brokers import apache_kafka


@pytest.fixture(scope="session")
def broker() -> Iterator[ApacheKafka]:
    """Apache Kafka for all tests here. Who stops it starts it again."""
    with apache_kafka() as broker:
        yield broker
