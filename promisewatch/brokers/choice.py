"""Which local broker to use, and why, in words for the person who waits for it."""

import shutil
from enum import StrEnum
from typing import NamedTuple

from promisewatch.brokers.apache import find_java
from promisewatch.brokers.jars import KAFKA_VERSION, cached, resolve_jars
from schemas.errors import BrokerUnavailable


class BrokerChoice(StrEnum):
    """What a person may ask for; `auto` is Apache Kafka where it can run, else the embedded broker."""

    AUTO = "auto"
    KAFKA = "kafka"
    EMBEDDED = "embedded"


class Chosen(NamedTuple):
    """The decision (`kafka` or `embedded`, never `auto`) and one line that says why."""

    broker: BrokerChoice
    reason: str


def choose_broker(choice: BrokerChoice) -> Chosen:
    """Decide, fetching Apache Kafka's jars where needed. Raises BrokerUnavailable if `kafka` cannot be had."""
    if choice is BrokerChoice.EMBEDDED:
        return Chosen(choice, "embedded broker (librdkafka's mock cluster): asked for with BROKER=embedded")
    try:
        java = find_java()
        source = "jars cached" if cached() else f"jars fetched with {shutil.which('mvn')}"
        resolve_jars()
    except BrokerUnavailable as error:
        if choice is BrokerChoice.KAFKA:
            raise
        why = error.message.splitlines()[0]
        return Chosen(BrokerChoice.EMBEDDED, f"embedded broker (librdkafka's mock cluster): {why}")
    asked = " (asked for with BROKER=kafka)" if choice is BrokerChoice.KAFKA else ""
    return Chosen(BrokerChoice.KAFKA, f"Apache Kafka {KAFKA_VERSION}: found {java}, {source}{asked}")
