"""A subject's partition is the one that Kafka's own partitioner chooses."""

from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as kafkas
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.partitioning import facts_partition, murmur2


@given(st.binary(max_size=40))
@example(b"")
@example(b"\xff" * 7)
@example(b"order_id\x1fA-17")
def test_the_hash_is_kafkas(key: bytes) -> None:
    """The second opinion is aiokafka's; it counts in signed words."""
    assert murmur2(key) == kafkas(key) & 0xFFFFFFFF


@given(st.binary(max_size=40), st.integers(1, 200))
def test_the_partition_is_the_one_that_every_client_chooses(key: bytes, count: int) -> None:
    partitions = list(range(count))
    assert facts_partition(key, count) == DefaultPartitioner()(key, partitions, partitions)


def test_the_partition_of_a_subject_never_changes() -> None:
    """Records that are on the topic stay where they are: by another hash they would be looked for elsewhere."""
    kafkas_own_cases = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
    assert {key: murmur2(key) for key in kafkas_own_cases} == {
        key: signed & 0xFFFFFFFF for key, signed in kafkas_own_cases.items()
    }
    assert [facts_partition(f"order_id\x1fA-{number}".encode(), 16) for number in range(6)] == [7, 2, 5, 10, 0, 2]
