"""Several topics read by one group: who reads what, from where, and what of that the group remembers."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.structs import TopicPartition
from confluent_kafka import Producer

from promisewatch.brokers import ApacheKafka, EmbeddedBroker
from schemas.exits import ExitCode
from tests.streams.sources import Reader, Readers, wait_until

Unique = Callable[[str], str]
COUNTS = {"orders": 2, "parcels": 5}


class Sources:
    """Two topics of different sizes, and what was written to them."""

    def __init__(self, bootstrap_server: str, topics: dict[str, int]) -> None:
        self.bootstrap_server = bootstrap_server
        self.topics = dict(topics)
        self.all = {(topic, partition) for topic, count in topics.items() for partition in range(count)}
        self.sent: list[str] = []
        self._client: Producer | None = None
        self._known = 0

    def send(self, count: int, *, only: tuple[str, int] | None = None) -> None:
        """Write so many records to each partition."""
        producer = self._producer()
        for topic, partition in [only] if only is not None else sorted(self.all):
            for _ in range(count):
                value = f"{topic}/{partition}: {len(self.sent)}"
                producer.produce(topic, value, partition=partition)
                self.sent.append(value)
        assert producer.flush(60) == 0

    def _producer(self) -> Producer:
        """A client that knows of the partitions there are now."""
        if self._client is None or self._known != len(self.all):
            self._client = Producer({"bootstrap.servers": self.bootstrap_server, "log_level": 0})
            self._known = len(self.all)
        return self._client

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Write one record after the other to each partition in another thread, until the block ends."""
        ended = threading.Event()

        def go_on() -> None:
            while not ended.is_set():
                self.send(1)

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def read_by(self, *readers: Reader) -> None:
        """Wait until everything that was written has been read."""

        def missing() -> set[str]:
            return set(self.sent) - {value for reader in readers for value in reader.values()}

        wait_until(lambda: not missing(), lambda: sorted(missing())[:5])

    def group(self, name: str) -> Readers:
        return Readers(self.bootstrap_server, name, self.topics)


@pytest.fixture
async def sources(kafka: ApacheKafka, unique: Unique) -> Sources:
    topics = {unique(name): count for name, count in COUNTS.items()}
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_server)
    await admin.start()
    await admin.create_topics([NewTopic(topic, count, 1) for topic, count in topics.items()])
    await admin.close()
    return Sources(kafka.bootstrap_server, topics)


@pytest.fixture
async def admin(kafka: ApacheKafka):  # type: ignore[no-untyped-def]
    client = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_server)
    await client.start()
    yield client
    await client.close()


@pytest.fixture
def embedded() -> Iterator[Sources]:
    with EmbeddedBroker(COUNTS) as broker:
        yield Sources(broker.bootstrap_server, COUNTS)


@pytest.mark.kafka
class TestOnApacheKafka:
    async def test_two_members_share_the_partitions_and_hand_them_over_where_they_stand(
        self, sources: Sources, unique: Unique
    ) -> None:
        """What a member had processed is committed before another one asks, with what it added: nothing is read twice
        in an orderly handover, and a partition without a record is handed over as well.
        """
        (empty, *_) = sorted(sources.all)
        for partition in sorted(sources.all - {empty}):
            sources.send(20, only=partition)
        with sources.group(unique("group")) as group:
            one = group.start("one")
            sources.read_by(one)
            assert one.held() == dict.fromkeys(sources.all, -1)
            two = group.start("two")
            wait_until(lambda: bool(two.held()) and set(one.held()) | set(two.held()) == sources.all)
            assert not set(one.held()) & set(two.held())
            for opened in two.told("opened"):
                assert opened.what["committed"] == [0 if (opened.topic, opened.partition) == empty else 20, "one"]
            sources.send(20)
            sources.read_by(one, two)
            one.drain()
            wait_until(lambda: set(two.held()) == sources.all)
            assert set(two.held().values()) == {20, 40}
            sources.send(1)
            sources.read_by(one, two)
            assert sorted([*one.values(), *two.values()]) == sorted(sources.sent)
            two.drain()
            three = group.start("three")
            wait_until(lambda: set(three.held()) == sources.all)
            assert {told.what["committed"][1] for told in three.told("opened")} == {"two"}
            assert not three.values()

    async def test_after_a_kill_nothing_is_left_out(self, sources: Sources, unique: Unique) -> None:
        """What was not committed is read again; the order within a partition stays."""
        with sources.group(unique("group")) as group:
            one = group.start("one")
            wait_until(lambda: set(one.held()) == sources.all)
            sources.send(50)
            wait_until(lambda: len(one.values()) > 20)
            one.kill()
            two = group.start("two")
            sources.send(5)
            sources.read_by(one, two)
            for topic, partition in sources.all:
                mine = [value for value in two.values() if value.startswith(f"{topic}/{partition}: ")]
                assert mine == sorted(mine, key=lambda value: int(value.rpartition(" ")[2]))

    async def test_members_that_come_and_go_under_load_leave_nothing_out(
        self, sources: Sources, unique: Unique
    ) -> None:
        """Fetches are under way whenever partitions change hands; drained members read nothing twice either."""
        with sources.group(unique("group")) as group:
            readers = [group.start("resident")]
            with sources.sending():
                wait_until(lambda: bool(readers[0].values()))
                for number in range(4):
                    guest = group.start(f"guest {number}")
                    readers.append(guest)
                    wait_until(lambda guest=guest: bool(guest.values()))  # type: ignore[misc]
                    guest.drain()
            sources.read_by(*readers)
        assert sorted(value for reader in readers for value in reader.values()) == sorted(sources.sent)

    async def test_partitions_that_are_added_are_read_within_seconds(
        self, sources: Sources, admin: AIOKafkaAdminClient, unique: Unique
    ) -> None:
        """From their beginning, by members that were started before there were any; the others go on."""
        small, large = sources.topics
        with sources.group(unique("group")) as group:
            one, two = group.start("one"), group.start("two")
            sources.send(3)
            sources.read_by(one, two)
            await admin.create_partitions({small: NewPartitions(4), large: NewPartitions(6)})
            sources.all |= {(small, 2), (small, 3), (large, 5)}
            sources.send(3)
            sources.read_by(one, two)
            wait_until(lambda: set(one.held()) | set(two.held()) == sources.all)
            assert sorted([*one.values(), *two.values()]) == sorted(sources.sent)
            assert one.process.poll() is two.process.poll() is None

    async def test_a_position_outside_of_its_log_ends_the_process(
        self, sources: Sources, admin: AIOKafkaAdminClient, unique: Unique
    ) -> None:
        """Reading on at the oldest record would hide that some were never read."""
        first = min(sources.all)
        sources.send(10)
        with sources.group(unique("group")) as group:
            one = group.start("one")
            sources.read_by(one)
            one.drain()
            sources.send(10)
            await admin.delete_records({TopicPartition(*first): RecordsToDelete(15)})
            two = group.start("two")
            two.ends(ExitCode.RESTART)
            assert f"cannot read on from {first[0]}/{first[1]} at offset 10: the log does not hold" in "".join(two.log)

    async def test_a_group_that_is_new_begins_where_the_logs_begin(
        self, sources: Sources, admin: AIOKafkaAdminClient, unique: Unique
    ) -> None:
        """Not where they end, and not at offset 0 when that has expired."""
        first = min(sources.all)
        sources.send(10)
        await admin.delete_records({TopicPartition(*first): RecordsToDelete(4)})
        left = [value for value in sources.sent if not value.startswith("{}/{}: ".format(*first))]
        left += [value for value in sources.sent if value.startswith("{}/{}: ".format(*first))][4:]
        with sources.group(unique("group")) as group:
            one = group.start("one")
            wait_until(lambda: len(one.values()) >= len(left))
            assert sorted(one.values()) == sorted(left)

    async def test_metadata_that_the_broker_does_not_take_is_told(self, sources: Sources, unique: Unique) -> None:
        """No restart helps: it takes 4096 by default."""
        with sources.group(unique("group")) as group:
            one = group.start("one", METADATA_LENGTH="5000")
            one.ends(ExitCode.CONFIG)
            assert "offsets with metadata of 5000 characters; expected a larger offset.metadata.max.bytes" in "".join(
                one.log
            )

    async def test_lag_is_told_by_topic_and_partition(self, sources: Sources, unique: Unique) -> None:
        """Equal numbers of two topics are two partitions."""
        sources.send(3)
        with sources.group(unique("group")) as group:
            one = group.start("one")
            wanted = {f"{topic}-{partition}" for topic, partition in sources.all}
            wait_until(lambda: any(set(beat.what["lags"]) == wanted for beat in one.told("beat")))


def test_one_member_on_the_embedded_broker_goes_on_where_it_stood(embedded: Sources) -> None:
    """Positions and what was added to them survive its restart."""
    embedded.send(10)
    with embedded.group("sources") as group:
        one = group.start("one")
        embedded.read_by(one)
        one.drain()
        two = group.start("two")
        wait_until(lambda: set(two.held()) == embedded.all)
        assert {tuple(told.what["committed"]) for told in two.told("opened")} == {(10, "one")}
        embedded.send(5)
        embedded.read_by(one, two)
        assert sorted([*one.values(), *two.values()]) == sorted(embedded.sent)
