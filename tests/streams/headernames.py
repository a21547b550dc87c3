"""Header names of any bytes, as a client in C can write them and no Python client can."""

from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy


class Name(str):
    """A name that a producer writes as any bytes."""

    __slots__ = ("raw",)

    raw: bytes

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """The bytes."""
        return self.raw


def name(raw: bytes) -> Name:
    made = Name(raw.decode("latin-1"))
    made.raw = raw
    return made


async def send_named(server: str, topic: str, partition: int, value: bytes, header: Name) -> None:
    """Publish one record with a header of that name."""
    async with AIOKafkaProducer(bootstrap_servers=server) as producer:
        batch = producer.create_batch()
        batch._builder = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, -1, 1 << 20)
        assert batch.append(key=None, value=value, timestamp=None, headers=[(header, b"")]) is not None
        await (await producer.send_batch(batch, topic, partition=partition))
