"""librdkafka's mock cluster as a broker: Python alone suffices, for a demo and quick tests on one worker.

It speaks the real protocol but keeps nothing on disk, honours no transactions, compacts nothing, creates no topics on
request, cannot be restarted, fails when two members of one group rebalance under load, and silently drops the oldest
records of a partition beyond 5 MiB or 100,000 batches: see `dropped`.
"""

import re
import sys
from collections.abc import Mapping

from promisewatch.brokers.folders import TemporaryFolder
from promisewatch.brokers.local import LocalBroker
from promisewatch.brokers.processes import ChildProcess

PARTITIONS_MIN = 16
"""What a topic needs so that a recording of tens of megabytes stays below the limit per partition."""
START_TIMEOUT_S = 20.0
END_PATIENCE_S = 5.0
ANSWER_TIMEOUT_S = 10.0


class EmbeddedBroker(LocalBroker):
    """A broker with the given topics (name -> partitions), which are all it will ever have on purpose."""

    name = "embedded broker"
    transactional = False

    def __init__(self, topics: Mapping[str, int]) -> None:
        self._topics = dict(topics)
        self._home = TemporaryFolder("embedded")
        self._bootstrap_server: str | None = None

    @property
    def bootstrap_server(self) -> str:
        """HOST:PORT, once started."""
        assert self._bootstrap_server is not None, "the broker has not been started"
        return self._bootstrap_server

    def start(self) -> None:
        """Start, and return once the topics are there. Raises BrokerUnavailable with the reason."""
        topics = [f"{name}:{partitions}" for name, partitions in self._topics.items()]
        command = [sys.executable, "-m", "promisewatch.brokers.embedded_server", *topics]
        self._process = ChildProcess(command, self._home.path / "broker.log")
        self._process.wait_until(self._has_announced, self.name, START_TIMEOUT_S)

    def close(self) -> None:
        """End the broker; everything in it is gone."""
        self._end(END_PATIENCE_S)
        self._home.remove()

    def dropped(self) -> dict[tuple[str, int], int]:
        """(topic, partition) -> how many of its oldest records were dropped; empty if none were.

        Offsets start at 0 and only dropping moves a partition's first one, so the first offset is the number.
        """
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer({"bootstrap.servers": self.bootstrap_server, "group.id": "promisewatch-dropped"})
        try:
            firsts = {
                (topic, partition): consumer.get_watermark_offsets(
                    TopicPartition(topic, partition), timeout=ANSWER_TIMEOUT_S
                )[0]
                for topic, partitions in self._topics.items()
                for partition in range(partitions)
            }
        finally:
            consumer.close()
        return {place: first for place, first in firsts.items() if first > 0}

    def _has_announced(self) -> bool:
        assert self._process is not None
        found = re.search(r"^bootstrap server: (\S+)$", self._process.last_words(), re.MULTILINE)
        if found:
            self._bootstrap_server = found[1]
        return found is not None
