"""The notifier as a process on Apache Kafka, killed under load, with a real receiver that counts."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from random import Random

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from agents.notify import WINDOW_RECORDS
from promisewatch.brokers import ApacheKafka
from promisewatch.demonstration.processes import Child
from promisewatch.redriving import Request, redrive
from schemas import topics
from schemas.exits import ExitCode
from schemas.instants import format_instant
from schemas.notifications import Notification, decode_notification
from schemas.publications import Breached
from streams.clock import SystemClock
from tests.agents.fakes import as_any
from tests.agents.notifying import encode
from tests.agents.receiver import KEYS, Receiver, receiving
from tests.agents.test_decisions import breach
from tests.brokers import apache_kafka

pytestmark = pytest.mark.kafka

PARTITIONS = 4
SUBJECTS, CYCLES = 200, 5
KILLS = 3
PATIENCE_SECONDS = 120.0


@pytest.fixture(scope="module")
def broker() -> Iterator[ApacheKafka]:
    """A broker of its own: the topics' names are fixed, and other tests give them other partitions."""
    with apache_kafka() as own:
        yield own


class Notifier:
    """A notifier that posts to a receiver, its topics, and what it recorded."""

    def __init__(self, broker: ApacheKafka, folder: Path, name: str, url: str) -> None:
        self.address, self.name = broker.bootstrap_server, name
        admin = AdminClient({"bootstrap.servers": self.address})
        there = admin.list_topics(timeout=30).topics
        wanted = [
            NewTopic(spec.name, PARTITIONS, 1, config=spec.configs)
            for spec in topics.required((), f"{name}-worker", name)
            if spec.name not in there
        ]
        for future in admin.create_topics(wanted).values():
            future.result(30)
        keys = folder / "keys"
        keys.write_text("\n".join(KEYS))
        self.child = Child(
            name,
            [
                "notifier", "--bootstrap-server", self.address, "--app-id", name, "--state-dir", str(folder / "state"),
                "--instance-id", name, "--session-timeout", "6", "--channel", "webhook", "--webhook-url", url,
                "--webhook-keys-file", str(keys), "--http-port", "off",
            ],
            folder,
        )  # fmt: skip

    async def publish(self, events: list[Breached]) -> None:
        """Put breaches on their topic as a worker does: keyed by subject."""
        producer = AIOKafkaProducer(bootstrap_servers=self.address)
        await producer.start()
        sent = [await producer.send(topics.BREACHES, encode(event), key=event.subject.encode()) for event in events]
        await asyncio.gather(*sent)
        await producer.stop()

    async def recorded(self) -> dict[str, Notification]:
        """The newest record an event id, committed."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.address, isolation_level="read_committed")
        await consumer.start()
        places = [TopicPartition(topics.NOTIFICATIONS, partition) for partition in range(PARTITIONS)]
        consumer.assign(places)
        await consumer.seek_to_beginning()
        ends, found = await consumer.end_offsets(places), {}
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    notification = decode_notification(record.value)
                    found[notification.event_id] = notification
        await consumer.stop()
        return found

    async def until(self, what: str, true: Callable[[], bool], patience: float = PATIENCE_SECONDS) -> None:
        """Wait for a condition; a notifier that ended, or no end to the waiting, fails with its last words."""
        deadline = asyncio.get_running_loop().time() + patience
        while not true():
            assert self.child.running, f"ended with {self.child.exit_code}:\n{self.child.last_words(30)}"
            assert asyncio.get_running_loop().time() < deadline, f"no {what}:\n{self.child.last_words(30)}"
            await asyncio.sleep(0.01)

    async def until_recorded(self, outcomes: dict[str, str]) -> dict[str, Notification]:
        """Wait until the records say so."""
        return await self.until_records(
            lambda found: {name: one.outcome for name, one in found.items() if name in outcomes} == outcomes
        )

    async def until_records(self, enough: Callable[[dict[str, Notification]], bool]) -> dict[str, Notification]:
        """Wait until there are the wanted records; returns all there are then."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while not enough(found := await self.recorded()):
            counted = Counter(one.outcome for one in found.values())
            assert asyncio.get_running_loop().time() < deadline, f"found {counted}:\n{self.child.last_words(30)}"
            await asyncio.sleep(0.2)
        return found


def breaches(prefix: str, subjects: int, cycles: int) -> list[Breached]:
    """Breaches of today, `cycles` a subject, all first ones before all second ones."""
    now = format_instant(SystemClock().now_ms())
    made = []
    for cycle in range(cycles):
        for number in range(subjects):
            subject = f"{prefix}-{number}"
            changes = {"subject": subject, "cycle": f"c{cycle}", "due": now, "breached_at": now}
            data = as_any(msgspec.structs.replace(breach().data, **changes))
            made.append(msgspec.structs.replace(breach(), id=f"{subject}-{cycle}", subject=subject, data=data))
    return made


async def test_a_notifier_killed_under_load_tells_everything_in_order_and_repeats_only_under_the_same_id(
    broker: ApacheKafka, tmp_path: Path, unique: Callable[[str], str], rng: Random
) -> None:
    """kill -9 three times with attempts under way: at least once each, bodies alike, a subject's order never broken."""
    name = unique("killed")
    async with receiving() as receiver:
        one = Notifier(broker, tmp_path, name, receiver.url)
        events = breaches(name, SUBJECTS, CYCLES)
        receiver.script = [503 if rng.random() < 0.01 else 204 for _ in range(len(events))]
        await one.publish(events)
        receiver.gate = asyncio.Event()
        receiver.gate.set()
        one.child.start()
        for kill in range(1, KILLS + 1):
            wanted = len(events) * kill // (KILLS + 1) - rng.randrange(50)
            await one.until("deliveries", lambda wanted=wanted: len(set(receiver.ids)) >= wanted)  # type: ignore[misc]
            receiver.gate.clear()  # attempts are under way now: received, and not answered
            await one.until("attempts under way", lambda: receiver.open_now > 0)
            one.child.kill()
            receiver.gate.set()
            one.child.start()
        found = await one.until_recorded({event.id: "sent" for event in events})
        assert one.child.stop(PATIENCE_SECONDS) == ExitCode.OK
    assert set(receiver.ids) == {event.id for event in events}
    published = {event.id: encode(event) for event in events}
    assert all(body == published[event_id] for event_id, body in zip(receiver.ids, receiver.bodies, strict=True))
    repeated = len(receiver.ids) - len(events) - sum(one.attempts - 1 for one in found.values() if one.attempts > 1)
    print(f"{len(events)} events, {len(receiver.ids)} attempts, {repeated} repeated after {KILLS} kills")
    assert repeated <= KILLS * PARTITIONS * WINDOW_RECORDS
    by_subject: dict[str, list[str]] = defaultdict(list)
    for event_id, subject in zip(receiver.ids, receiver.subjects, strict=True):
        by_subject[subject].append(event_id)
    for subject, ids in by_subject.items():
        # Only the newest of a subject is ever repeated: each is recorded before the next one begins.
        assert [event_id for event_id, _ in groupby(ids)] == [f"{subject}-{cycle}" for cycle in range(CYCLES)]


async def test_what_a_receiver_refused_is_delivered_after_a_redrive(
    broker: ApacheKafka, tmp_path: Path, unique: Callable[[str], str]
) -> None:
    """Refused: on the dead letters, with the reason; the receiver is mended; sent back: told once, and only those."""
    name = unique("refused")
    async with receiving() as receiver:
        one = Notifier(broker, tmp_path, name, receiver.url)
        await refuse(receiver, one, breaches(name, 5, 1))


async def refuse(receiver: Receiver, one: Notifier, events: list[Breached]) -> None:
    """Have three events refused, send them back, and see them told."""
    ours = {event.id for event in events}
    refused = 0

    def count() -> None:
        nonlocal refused
        if receiver.ids[-1] in ours and refused < 3:
            refused += 1
            receiver.script = [400]

    receiver.arrived = count
    await one.publish(events)
    one.child.start()
    await one.until("deliveries", lambda: ours <= set(receiver.ids))
    found = await one.until_records(lambda found: ours <= found.keys())
    failed = {name for name in ours if found[name].outcome == "failed"}
    assert len(failed) == 3
    assert {(found[name].attempts, found[name].error) for name in failed} == {(1, "rejected: HTTP 400")}
    before = Counter(event_id for event_id in receiver.ids if event_id in ours)
    result = await redrive(one.address, Request(topics.dlq(topics.NOTIFICATIONS), reasons=frozenset({"rejected"})))
    assert result.redriven == 3
    again = await redrive(one.address, Request(topics.dlq(topics.NOTIFICATIONS)))
    assert again.redriven == 0
    await one.until_recorded(dict.fromkeys(ours, "sent"))
    after = Counter(event_id for event_id in receiver.ids if event_id in ours)
    assert after - before == Counter(failed)
    assert one.child.stop(PATIENCE_SECONDS) == ExitCode.OK
