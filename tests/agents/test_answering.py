"""Questions about a subject: who is answered, by whom, and that nothing about a customer gets anywhere else."""

import asyncio
import socket

import pytest
from aiokafka.partitioner import murmur2
from jsonschema import Draft202012Validator
from structlog.testing import capture_logs

from agents import answering
from agents.answering import is_loopback
from promises.subjects import home_of
from schemas.export import schemas
from schemas.facts import Subject
from streams.addresses import own_url
from streams.logs import redact
from tests.agents.asked import COUNT, fake_app, served, worker_with
from tests.agents.test_detect import NOW, Partition

TOKEN = "correct horse battery".replace(" ", "-")
HOUR, MINUTE = 3_600_000, 60_000


def numbered(subject: str) -> int:
    """The partition of a subject by Kafka's default partitioner, as another library has it."""
    return (murmur2(subject.encode()) & 0x7FFFFFFF) % COUNT


async def placed(*orders: str) -> Partition:
    """A partition that knows of these orders, placed an hour ago; the first was broken 45 minutes ago."""
    partition = Partition()
    for number, order in enumerate(orders):
        partition.event(f"e{number}", order, "order.placed", NOW - HOUR + number * 50 * MINUTE)
    partition.marker(NOW - MINUTE)
    await partition.run()
    return partition


async def test_the_owner_tells_facts_promises_and_what_was_published() -> None:
    """What an employee needs, in the form that its schema promises."""
    partition = await placed("A-17")
    async with served(worker_with(partition, numbered("A-17")), partition.book) as asked:
        answer = await asked.get(key="order_id", id="A-17")
    assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
    told = answer.body
    assert (told["key"], told["id"], told["partition"], told["topic"]) == (
        "order_id",
        "A-17",
        numbered("A-17"),
        "shop.events",
    )
    assert [(fact["id"], fact["type"]) for fact in told["facts"]] == [("e0", "order.placed")]
    (promise,) = told["promises"]
    assert (promise["promise"], promise["status"], promise["revision"]) == ("confirm", "breached", 1)
    published = [record.value for topic in ("promisewatch.breaches", "promisewatch.outcomes")
                 for record in partition.producer.published(topic)]  # fmt: skip
    assert all(any(event["id"].encode() in value for value in published) for event in promise["published"])
    assert promise["known_until"] == "2026-05-01T11:59:00.000Z"
    Draft202012Validator(schemas()["subject.v1.json"]).validate(told)


async def test_what_is_not_committed_yet_is_not_told() -> None:
    """A breach that has been decided and is on its way to Kafka has not been published."""
    partition = await placed("A-17")
    core = partition.handler.core
    core.advance_to(NOW)
    partition.event("e9", "B-1", "order.placed", NOW - 20 * MINUTE)
    worker = worker_with(partition, numbered("A-17"))
    (lane,) = worker.partitions.lanes.values()
    async with served(worker, partition.book) as asked, lane.lock:
        promise = (await asked.get(key="order_id", id="A-17")).body["promises"][0]
    assert promise["known_until"] == "2026-05-01T11:59:00.000Z", "a batch is in hand: what it proves is not out yet"


async def test_another_worker_says_whose_it_is() -> None:
    """So that whoever asked can go on."""
    partition, home = await placed("A-17"), numbered("B-1")
    others = [number for number in range(COUNT) if number != home]
    async with served(worker_with(partition, *others), partition.book) as asked:
        answer = await asked.get(key="order_id", id="B-1")
    assert (answer.status, answer.body["reason"], answer.body["partition"]) == (409, "not_owner", home)
    assert str(home) in answer.body["message"]


async def test_the_owner_says_that_it_keeps_nothing() -> None:
    """Unknown is an answer: nothing was promised that anybody knows of."""
    partition = await placed("A-17")
    async with served(worker_with(partition, *range(COUNT)), partition.book) as asked:
        answer = await asked.get(key="order_id", id="B-1")
    assert (answer.status, answer.body["reason"]) == (404, "not_kept")
    assert answer.body["message"].startswith("nothing is kept about this order_id")


async def test_a_subject_is_found_where_producers_of_another_partitioner_put_it() -> None:
    """Not every client of Kafka spreads keys as the default one does; what is kept says where it is."""
    partition = await placed("A-17")
    elsewhere = (numbered("A-17") + 1) % COUNT
    async with served(worker_with(partition, elsewhere), partition.book) as asked:
        answer = await asked.get(key="order_id", id="A-17")
    assert (answer.status, answer.body["partition"]) == (200, elsewhere)


async def test_who_looks_for_another_application_is_told_so_whatever_else_is_asked() -> None:
    """A worker got the address of one that has ended: its book, its tokens and what it keeps are none of theirs."""
    partition = await placed("A-17")
    async with served(worker_with(partition, numbered("A-17")), partition.book, [TOKEN]) as asked:
        answers = [await asked.get(key=key, id="A-17", app_id="parcels") for key in ("order_id", "parcel", "")]
    assert [(answer.status, answer.body["reason"]) for answer in answers] == [(421, "other_application")] * 3


async def test_who_looks_for_this_application_is_answered() -> None:
    partition = await placed("A-17")
    worker = worker_with(partition, numbered("A-17"))
    async with served(worker, partition.book) as asked:
        answer = await asked.get(key="order_id", id="A-17", app_id=worker.settings.app_id)
    assert (answer.status, answer.body["app_id"]) == (200, worker.settings.app_id)


@pytest.mark.parametrize("odd", ["Ä 17/ü?&=+#%", "日本-1", "a" * 500, "'; --", "\U0001f4e6"])
async def test_subjects_may_have_any_characters(odd: str) -> None:
    """They are found under exactly the name they have."""
    partition = await placed(odd)
    async with served(worker_with(partition, numbered(odd)), partition.book) as asked:
        answer = await asked.get(key="order_id", id=odd)
    assert (answer.status, answer.body["id"]) == (200, odd)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, "found 0 times 'key'"),
        ({"key": "order_id"}, "found 0 times 'id'"),
        ({"key": "order_id", "id": ""}, "found 1 times 'id'"),
        ({"key": "customer_id", "id": "A"}, "found key 'customer_id', expected 'order_id'"),
        ({"key": "order_id", "id": "A\x1fB"}, "control character"),
        ({"key": "order_id", "id": "a" * 501}, "1 to 500 characters"),
        ({"key": "order_id", "id": "A", "all": "1"}, "found 'all'"),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused_with_the_reason(query: dict[str, str], found: str) -> None:
    """What was found, and what was expected."""
    partition = await placed("A-17")
    async with served(worker_with(partition, 0), partition.book) as asked:
        answer = await asked.get(**query)
    assert (answer.status, answer.body["reason"]) == (400, "bad_request")
    assert found in answer.body["message"]


async def test_a_token_is_needed_where_one_is_set_also_on_this_machine() -> None:
    """Behind a proxy of a service mesh, every connection comes from this machine."""
    partition = await placed("A-17")
    worker = worker_with(partition, numbered("A-17"))
    question = {"key": "order_id", "id": "A-17"}
    async with served(worker, partition.book, [TOKEN, "the-token-before-it"]) as asked:
        for wrong in ({}, {"Authorization": TOKEN}, {"Authorization": f"Basic {TOKEN}"}, {"Authorization": "Bearer"},
                      {"Authorization": f"Bearer {TOKEN[:-1]}"}, {"Authorization": f"Bearer {TOKEN}x"},
                      {"Authorization": "Bearer \u00e9"}):  # fmt: skip
            answer = await asked.get(wrong, **question)
            assert (answer.status, answer.body["reason"]) == (401, "unauthenticated"), wrong
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert TOKEN not in str(answer)
        for right in (TOKEN, "the-token-before-it"):
            assert (await asked.get({"Authorization": f"Bearer {right}"}, **question)).status == 200


def address_of_this_machine() -> str:
    """One that is no loopback address; the test is skipped where there is none."""
    host = own_url("0.0.0.0:1", "192.0.2.77:9092").removeprefix("http://").removesuffix(":1")
    if is_loopback(host) or host == socket.gethostname():
        pytest.skip("this machine has no address but its loopback ones")
    return host


async def test_without_a_token_only_this_machine_is_answered() -> None:
    """A connection from elsewhere gets nothing, whatever it asks for, and hears what would help."""
    partition = await placed("A-17")
    host = address_of_this_machine()
    async with served(worker_with(partition, numbered("A-17")), partition.book, host=host) as asked:
        for order in ("A-17", "unknown"):
            answer = await asked.get(key="order_id", id=order)
            assert (answer.status, answer.body["reason"]) == (403, "forbidden")
            assert "PROMISEWATCH_SUBJECT_TOKEN_FILE" in answer.body["message"]
    async with served(worker_with(partition, numbered("A-17")), partition.book, [TOKEN], host=host) as asked:
        assert (await asked.get({"Authorization": f"Bearer {TOKEN}"}, key="order_id", id="A-17")).status == 200


@pytest.mark.parametrize(
    "header",
    [{"Host": "detect-0.example"}, {"Host": "10.0.0.7:6066"}, {"Host": "[odd"}, {"X-Forwarded-For": "10.1.1.1"},
     {"Forwarded": "for=x"}, {"Via": "1.1 proxy"}, {"X-Forwarded-Proto": "http"}],
)  # fmt: skip
async def test_without_a_token_a_proxy_on_this_machine_is_not_answered(header: dict[str, str]) -> None:
    """Nobody knows for whom it asks; a name other than this machine's may be a web page's."""
    partition = await placed("A-17")
    async with served(worker_with(partition, numbered("A-17")), partition.book) as asked:
        assert (await asked.get(header, key="order_id", id="A-17")).status == 403
        assert (await asked.get({"Host": "localhost"}, key="order_id", id="A-17")).status == 200


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("::ffff:127.0.0.1", True),
     ("::ffff:10.0.0.1", False), ("10.0.0.1", False), ("0.0.0.0", False), ("fe80::1%eth0", False), ("", False),
     ("localhost.example", False), ("127.0.0.1.example", False)],
)  # fmt: skip
def test_what_counts_as_this_machine(address: str, expected: bool) -> None:
    """An address, or the one name that is never another's."""
    assert is_loopback(address) is expected


async def test_a_worker_without_its_partitions_asks_for_patience() -> None:
    """Before it has joined, and while they are handed out anew."""
    partition = await placed("A-17")
    question = {"key": "order_id", "id": "A-17"}
    async with served(None, partition.book) as asked:
        answer = await asked.get(**question)
        assert (answer.status, answer.body["reason"], answer.headers["Retry-After"]) == (503, "not_ready", "1")
    worker = worker_with(partition, numbered("A-17"))
    worker.partitions.opened = False
    async with served(worker, partition.book) as asked:
        assert (await asked.get(**question)).body["reason"] == "not_ready"
        worker.partitions.opened = worker.rebalancing = True
        assert (await asked.get(**question)).status == 503
        worker.rebalancing = False
        assert (await asked.get(**question)).status == 200


async def test_a_busy_event_loop_is_said_to_be_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits on the phone hears soon that there is nothing to hear."""
    monkeypatch.setattr(answering, "ANSWER_SECONDS", 0.2)
    partition = await placed("A-17")
    worker = worker_with(partition, numbered("A-17"))
    async with served(worker, partition.book) as asked:
        (desk,) = worker.services
        stuck = asyncio.new_event_loop()  # takes questions and never comes to them
        desk.asyncio_loop = stuck
        try:
            answer = await asked.get(key="order_id", id="A-17")
            assert (answer.status, answer.body["reason"], answer.headers["Retry-After"]) == (503, "busy", "1")
            desk.asyncio_loop = asyncio.get_running_loop()
            assert (await asked.get(key="order_id", id="A-17")).status == 200, "the next one is not held up"
        finally:
            stuck.close()
        desk.asyncio_loop = stuck
        assert (await asked.get(key="order_id", id="A-17")).body["reason"] == "not_ready"


async def test_a_failure_is_told_without_what_it_was_about() -> None:
    """Its text may hold anything of a customer's."""
    partition = await placed("A-17")
    worker = worker_with(partition, numbered("A-17"))
    worker.store.reader = lambda _: lambda key: b'["a customer\'s own words"]'
    async with served(worker, partition.book) as asked:
        with capture_logs() as lines:
            answer = await asked.get(key="order_id", id="A-17")
    assert (answer.status, answer.body["reason"]) == (500, "failed")
    assert "own words" not in str(answer.body) + str(lines)


@pytest.mark.parametrize("tokens", [[], [TOKEN]])
async def test_no_log_line_names_a_subject_or_a_token(tokens: list[str]) -> None:
    """Whether the question is answered or not; the pseudonym of a subject is the same as everywhere."""
    partition = await placed("A-17")
    with capture_logs() as lines:
        async with served(worker_with(partition, numbered("A-17")), partition.book, tokens) as asked:
            for order in ("A-17", "B-1", "A-17\x00"):
                await asked.get({"Authorization": f"Bearer {TOKEN}"}, key="order_id", id=order)
            await asked.get({"Authorization": f"Bearer {TOKEN}no"}, key="order_id", id="A-17")
    written = str([redact(None, "info", line) for line in lines])
    assert "question about a subject" in written
    assert "A-17" not in written
    assert "B-1" not in written
    assert TOKEN not in written


def test_the_partition_of_a_subject_is_the_one_that_kafka_chooses() -> None:
    """A source is keyed by the value, the facts topic by name and value."""
    subject = Subject("order_id", "A-17")
    assert home_of(subject, 7, from_facts=False) == (murmur2(b"A-17") & 0x7FFFFFFF) % 7
    assert home_of(subject, 7, from_facts=True) == (murmur2(b"order_id\x1fA-17") & 0x7FFFFFFF) % 7


async def test_the_group_is_told_where_the_worker_is_asked() -> None:
    """By its address, or by the one that was given; a worker that serves nothing tells none."""
    partition = await placed("A-17")
    app = fake_app()
    async with served(app, partition.book) as asked:
        assert (await asked.get(key="order_id", id="A-17")).status == 409
        assert str(app.conf.canonical_url) == f"http://{asked.address}"
    silent = fake_app()
    answering.SubjectPage().serve(silent, partition.book)
    assert str(silent.conf.canonical_url) == ""
    behind = fake_app()
    answering.SubjectPage().serve(behind, partition.book, advertised_url="https://detect-0.example/watch")
    assert str(behind.conf.canonical_url) == "https://detect-0.example/watch"
