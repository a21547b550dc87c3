"""The watch over the topics a process lives on: what ends it, what does not, and what is said."""

import pytest

from schemas.errors import StateError, TopicsError
from streams.identity import Identity
from streams.topicwatch import ABSENT_LOOKS, TopicWatch, same_topic

OURS = Identity(8, "id-1")
GONE = Identity(0, None)


@pytest.fixture
def watch() -> TopicWatch:
    """Over a topic and a changelog of eight partitions."""
    return TopicWatch(None, {"orders": 8, "app-records-changelog": 8})


def test_a_topic_that_is_still_the_same_is_nothing_to_tell(watch: TopicWatch) -> None:
    """However often it is looked at, also when the cluster cannot say at times; and its first id is remembered."""
    for identities in ({"orders": OURS}, {}, {"orders": OURS, "app-records-changelog": Identity(8, "id-2")}):
        watch.look(identities)
    with pytest.raises(StateError, match="id id-1"):
        watch.look({"orders": Identity(8, "id-2")})


def test_a_topic_with_other_partitions_ends_the_process(watch: TopicWatch) -> None:
    """Found, expected, where, and what to do."""
    watch.look({"orders": OURS})
    with pytest.raises(TopicsError, match=r"orders has 12 partitions now, and had 8 at start.*topics check"):
        watch.look({"orders": Identity(12, "id-1")})


def test_a_topic_that_was_made_again_ends_the_process(watch: TopicWatch) -> None:
    """Also where nobody saw it absent, and where it has other partitions as well."""
    watch.look({"orders": OURS})
    with pytest.raises(StateError, match=r"orders was recreated: it has the id id-9, .* id id-1"):
        watch.look({"orders": Identity(12, "id-9")})


def test_a_topic_that_stays_away_ends_the_process(watch: TopicWatch) -> None:
    """Not at once: a broker that has just come up may know less than the others."""
    for _ in range(2):
        for _ in range(ABSENT_LOOKS - 1):
            watch.look({"orders": OURS, "app-records-changelog": GONE})
        watch.look({"orders": OURS, "app-records-changelog": Identity(8, "id-2")})
    for _ in range(ABSENT_LOOKS - 1):
        watch.look({"orders": OURS, "app-records-changelog": GONE})
    with pytest.raises(TopicsError, match="there is no topic app-records-changelog any more"):
        watch.look({"orders": OURS, "app-records-changelog": GONE})


@pytest.mark.parametrize(("before", "now"), [(None, "id-1"), ("id-1", None), ("id-1", "id-1")])
def test_an_id_that_nobody_knows_says_nothing(before: str | None, now: str | None) -> None:
    """Brokers before Apache Kafka 3.1 do not tell ids to us, and state of earlier versions holds none."""
    same_topic("orders", before, now)
    with pytest.raises(StateError, match="orders was recreated"):
        same_topic("orders", "id-1", "id-2")


def test_a_source_may_grow_and_must_not_be_another_one() -> None:
    """Partitions are added to the topics of others without a word; they are told apart from topics made again, also
    where nobody tells ids.
    """
    watch = TopicWatch(None, {"facts": 4}, growing={"parcels": 2})
    for partitions in (2, 2, 5):
        watch.look({"parcels": Identity(partitions, "id-1"), "facts": Identity(4, "id-2")})
    with pytest.raises(StateError, match=r"parcels was recreated: .*remove its offsets of this topic"):
        watch.look({"parcels": Identity(5, "id-9")})
    with pytest.raises(StateError, match=r"parcels was recreated: it has 3 partitions now, and had 5"):
        watch.look({"parcels": Identity(3, None)})
    with pytest.raises(TopicsError, match="facts has 5 partitions now, and had 4 at start"):
        watch.look({"facts": Identity(5, "id-2")})


def test_a_topic_that_is_made_again_before_the_first_look_is_not_taken_for_the_one_that_was_opened() -> None:
    """Whoever opens a topic says which it was."""
    watch = TopicWatch(None, {}, growing={"events": 1})
    watch.expect("events", "one")
    with pytest.raises(StateError, match="events was recreated"):
        watch.look({"events": Identity(1, "two")})
