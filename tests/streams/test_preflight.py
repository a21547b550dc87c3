"""What a worker looks at before it joins its group, on Apache Kafka: topics, their partitions, and their ids."""

from collections.abc import AsyncIterator, Callable

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from promisewatch.brokers import ApacheKafka
from schemas.errors import TopicsError
from schemas.exits import ExitCode
from streams import preflight
from streams.identity import Identity
from streams.offsets import LogOffsets
from streams.preflight import check_copartitioned, connect, partition_counts

pytestmark = pytest.mark.kafka


@pytest.fixture
async def offsets(kafka: ApacheKafka) -> AsyncIterator[LogOffsets]:
    """Connected."""
    found = await connect({"bootstrap_servers": kafka.bootstrap_server})
    yield found
    await found.stop()


@pytest.fixture
def create(kafka: ApacheKafka, unique: Callable[[str], str]) -> Callable[[str, int], str]:
    """Creates a topic and returns its name."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_server, "log_level": 0})

    def do(stem: str, partitions: int) -> str:
        name = unique(stem)
        admin.create_topics([NewTopic(name, partitions, 1)])[name].result(30)
        return name

    return do


async def test_missing_topics_are_named_with_what_makes_them(
    offsets: LogOffsets,
    create: Callable[[str, int], str],
    unique: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All of them at once, and the process ends with 78."""
    there, first, second = create("there", 1), unique("a"), unique("b")
    await partition_counts(offsets, [there])
    monkeypatch.setattr(preflight, "TOPICS_WAIT_SECONDS", 0.0)
    with pytest.raises(TopicsError, match=f"missing topics: {first}, {second}; 'promisewatch topics create'") as error:
        await partition_counts(offsets, [there, second, first])
    assert error.value.exit_code == ExitCode.CONFIG


async def test_topics_of_other_partitions_than_the_source_are_named_with_their_numbers(
    offsets: LogOffsets, create: Callable[[str, int], str]
) -> None:
    """A subject's events and state share one partition number, so a worker does not start on anything else."""
    source, same, fewer, more = create("source", 3), create("same", 3), create("fewer", 2), create("more", 4)
    counts = await partition_counts(offsets, [source, same, fewer, more])
    with pytest.raises(TopicsError, match=f"{source} has 3 partitions, but {fewer} has 2, {more} has 4") as error:
        check_copartitioned(source, counts)
    assert error.value.exit_code == ExitCode.CONFIG
    assert check_copartitioned(source, {source: 3, same: 3}) == 3


async def test_a_topic_has_an_id_and_one_that_is_not_there_has_no_partitions(
    offsets: LogOffsets, create: Callable[[str, int], str], unique: Callable[[str], str]
) -> None:
    """The request that aiokafka lacks, spoken with a real broker."""
    one, other, absent = create("one", 3), create("other", 1), unique("absent")
    await partition_counts(offsets, [one, other])
    found = await offsets.identify(one, other, absent)
    assert found[absent] == Identity(0, None)
    assert (found[one].partitions, found[other].partitions) == (3, 1)
    assert found[one].topic_id != found[other].topic_id
    assert None not in {found[one].topic_id, found[other].topic_id}
    assert (await offsets.identify(one))[one] == found[one]
