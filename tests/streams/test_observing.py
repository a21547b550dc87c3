"""Looking at logs from outside, on Apache Kafka: the newest record of a kind, and how many records there are."""

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from confluent_kafka import IsolationLevel, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from promisewatch.brokers import ApacheKafka
from streams import observing
from streams.observing import Counting, Group, LogReader, Newest, read_group

pytestmark = pytest.mark.kafka


@pytest.fixture
async def reader(kafka: ApacheKafka) -> AsyncIterator[LogReader]:
    """Connected."""
    found = LogReader({"bootstrap_servers": kafka.bootstrap_server})
    await found.start()
    yield found
    await found.stop()


class Topic:
    """A topic of two partitions, written to in transactions that are committed or not."""

    def __init__(self, broker: ApacheKafka, name: str) -> None:
        self.name = name
        self._server = broker.bootstrap_server
        self._admin = AdminClient({"bootstrap.servers": self._server})
        self._admin.create_topics([NewTopic(name, 2, 1)])[name].result(30)
        self.transactions = Producer({"bootstrap.servers": self._server, "transactional.id": name})
        self.transactions.init_transactions()

    def write(self, *values: bytes, commit: bool = True, partition: int = 0) -> None:
        """One transaction."""
        self.transactions.begin_transaction()
        for value in values:
            self.transactions.produce(self.name, value, partition=partition)
        if commit:
            self.transactions.commit_transaction()
        else:
            self.transactions.flush()
            self.transactions.abort_transaction()
        deadline, real = time.monotonic() + 30, self._end(partition, IsolationLevel.READ_UNCOMMITTED)
        while self._end(partition, IsolationLevel.READ_COMMITTED) < real:
            assert time.monotonic() < deadline, "the transaction does not end"
            real = self._end(partition, IsolationLevel.READ_UNCOMMITTED)

    def _end(self, partition: int, level: IsolationLevel) -> int:
        """A transaction's marker is written a little after its end has been accepted."""
        asked = TopicPartition(self.name, partition)
        offsets = self._admin.list_offsets({asked: OffsetSpec.latest()}, isolation_level=level)
        return int(offsets[asked].result(30).offset)


@pytest.fixture
def topic(kafka: ApacheKafka, unique: Callable[[str], str]) -> Topic:
    return Topic(kafka, unique("looked"))


def wanted(record: Any) -> bytes | None:
    return record.value if record.value.startswith(b"wanted") else None


async def test_the_newest_is_found_behind_many_others_and_what_was_never_committed(
    reader: LogReader, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Going back in steps that grow; a transaction that was given up does not count, whichever step it lies in."""
    monkeypatch.setattr(observing, "FIRST_STEP", 4)
    topic.write(b"wanted 1", b"wanted 2")
    for _ in range(10):
        topic.write(b"wanted but given up", commit=False)
        topic.write(b"other", b"other")
    newest = Newest(topic.name, wanted)
    assert await newest.look(reader, [0, 1]) == {0: b"wanted 2"}


async def test_asked_again_only_what_is_new_is_read(reader: LogReader, topic: Topic) -> None:
    """What was found stays until there is something newer."""
    read = []

    def note(record: Any) -> bytes | None:
        read.append(record.offset)
        return wanted(record)

    newest = Newest(topic.name, note)
    topic.write(b"wanted 1", b"other")
    assert await newest.look(reader, [0, 1]) == {0: b"wanted 1"}
    topic.write(b"other")
    assert await newest.look(reader, [0, 1]) == {0: b"wanted 1"}
    topic.write(b"wanted 2", partition=1)
    assert await newest.look(reader, [0, 1]) == {0: b"wanted 1", 1: b"wanted 2"}
    assert read == [0, 1, 3, 0]


async def test_the_depth_bounds_how_far_back_is_looked(reader: LogReader, topic: Topic) -> None:
    """A log without such a record must not be read to its beginning."""
    topic.write(b"wanted")
    topic.write(*[b"other"] * 20)
    assert await Newest(topic.name, wanted, depth=10).look(reader, [0]) == {}
    assert await Newest(topic.name, wanted, depth=100).look(reader, [0]) == {0: b"wanted"}


async def test_records_are_counted_without_what_transactions_leave_between_them(
    reader: LogReader, topic: Topic
) -> None:
    """Exactly while there are few, and anew with what comes."""
    counting = Counting(topic.name, depth=100)
    assert await counting.look(reader, [0, 1]) == {}
    topic.write(b"one")
    topic.write(b"given up", commit=False)
    topic.write(b"two", b"three")
    (found,) = (await counting.look(reader, [0, 1])).values()
    assert (found.records, found.exact, found.newest.value) == (3, True, b"three")
    topic.write(b"four")
    found = (await counting.look(reader, [0, 1]))[0]
    assert (found.records, found.exact, found.newest.value) == (4, True, b"four")


async def test_of_many_records_it_is_told_how_many_there_are_at_most(reader: LogReader, topic: Topic) -> None:
    """They are not all read, and a commit marker is an offset too."""
    topic.write(*[b"old"] * 30)
    topic.write(b"new")
    found = (await Counting(topic.name, depth=10).look(reader, [0]))[0]
    assert found.exact is False
    assert 31 <= found.records <= 33
    assert found.newest.value == b"new"


async def test_a_group_that_never_was_has_no_members(kafka: ApacheKafka, topic: Topic) -> None:
    """Kafka calls it dead."""
    found = await read_group({"bootstrap_servers": kafka.bootstrap_server}, topic.name, topic.name)
    assert found == Group("Dead", (), {})
