"""Which topic it is: Kafka gives each an id, so that one deleted and made again under its name is another one.

Offsets alone do not tell: a topic made again that has grown past the offset we read up to looks like one that went on.
aiokafka 0.14 speaks versions of the metadata request that have no ids yet; here is the one that has (Apache Kafka 3.1).
"""

import uuid
from collections.abc import Sequence
from io import BytesIO
from typing import Any, NamedTuple

from aiokafka.errors import IncompatibleBrokerVersion, UnknownTopicOrPartitionError
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Schema, TaggedFields

NO_ID = uuid.UUID(int=0)


class Identity(NamedTuple):
    """A topic as the cluster knows it now. `topic_id` is None where the broker does not tell."""

    partitions: int
    topic_id: str | None


class _Uuid(AbstractType[uuid.UUID]):  # type: ignore[misc]
    """Sixteen bytes."""

    @classmethod
    def encode(cls, value: uuid.UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> uuid.UUID:
        return uuid.UUID(bytes=data.read(16))


class _Answer(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _Question(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 12
    RESPONSE_TYPE = _Answer
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _IdentityRequest(Request[_Question]):  # type: ignore[misc]
    """Asks about topics by name."""

    API_KEY = 3

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_Question]) -> _Question:
        return request_struct_class([(NO_ID, topic, {}) for topic in self._topics], False, False, {})


async def identify_topics(client: Any, topics: Sequence[str]) -> dict[str, Identity]:
    """Ask any broker about topics, through a started AIOKafkaClient. 0 partitions: it says there is no such topic.

    Those are left out of which it cannot say just now (or may not, to us).
    """
    node = client.get_random_node()
    try:
        answer = await client.send(node, _IdentityRequest(topics))
    except (IncompatibleBrokerVersion, NotImplementedError):  # an older broker
        answer = await client.send(node, MetadataRequest(list(topics), allow_auto_topic_creation=False))
    identities = {}
    for found in answer.to_object()["topics"]:
        name = found.get("name") or found["topic"]
        topic_id = found.get("topic_id", NO_ID)
        if found["error_code"] == UnknownTopicOrPartitionError.errno:
            identities[name] = Identity(0, None)
        elif not found["error_code"] and found["partitions"]:
            identities[name] = Identity(len(found["partitions"]), None if topic_id == NO_ID else str(topic_id))
    return identities
