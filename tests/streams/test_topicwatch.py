"""The watch over the topics a process lives on: what ends it, what does not, and what is said."""

from types import SimpleNamespace

import pytest

from schemas.errors import StateError, TopicsError
from streams.identity import Identity
from streams.topicwatch import ABSENT_LOOKS, TopicWatch, same_topic

OURS = Identity(8, "id-1")
GONE = Identity(0, None)


@pytest.fixture
def watch() -> TopicWatch:
    """Over a topic and a changelog of eight partitions."""
    settings = SimpleNamespace(topic="orders", changelog="app-records-changelog", partitions=8)
    return TopicWatch(SimpleNamespace(settings=settings))


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
