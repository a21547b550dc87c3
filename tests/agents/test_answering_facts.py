"""Questions about a subject to a worker that reads facts: its groups of promises keep records of their own."""

from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from promises.subjects import home_of
from schemas.facts import Subject
from schemas.topics import FACTS
from streams.partitions import Lane, Partitions
from tests.agents.asked import Answer, fake_app, served
from tests.agents.factsworker import NOW, FactsWorker
from tests.agents.fakes import as_any
from tests.agents.test_detect_facts import MINUTE, two

COUNT = 4


def worker_of(facts: FactsWorker, partition: int) -> Any:
    """A worker whose one partition of the facts topic has this number."""
    app = fake_app(facts.clock)
    app.settings.topic, app.settings.partitions = FACTS, COUNT
    app.partitions = Partitions([FACTS], as_any(None), lambda _: None)
    app.partitions.lanes[TP(FACTS, partition)] = Lane(facts.handler)
    app.partitions.opened = True
    app.store = SimpleNamespace(reader=lambda _: facts.store.reader(0))
    return app


async def ask(facts: FactsWorker, key: str, value: str, *, elsewhere: bool = False) -> Answer:
    home = home_of(Subject(key, value), COUNT, from_facts=True)
    partition = (home + 1) % COUNT if elsewhere else home
    async with served(worker_of(facts, partition), facts.book, from_facts=True) as asked:
        return await asked.get(key=key, id=value)


@pytest.fixture
async def worker() -> FactsWorker:
    """An order was paid two hours ago. The shop is complete, the ERP for all but the last 89 minutes."""
    one = FactsWorker()
    await one.open(two())
    one.event("shop", "paid", NOW - 120 * MINUTE, event_id="e1", order_id="A", customer_id="C")
    one.vector({"shop": NOW, "erp": NOW - 89 * MINUTE})
    await one.run()
    return one


async def test_what_all_groups_keep_is_told_as_one_and_each_promise_once(worker: FactsWorker) -> None:
    """The group of the remedy follows the cause too; each promise says up to when its own sources are known."""
    told = (await ask(worker, "order_id", "A")).body
    assert [(one["promise"], one["status"], one["known_until"][11:16]) for one in told["promises"]] == [
        ("made-good", "open", "10:31"), ("told", "breached", "12:00"),
    ]  # fmt: skip
    assert told["promises"][0]["breach_of"] == "told"
    assert [fact["id"] for fact in told["facts"]] == ["e1"], "kept by two groups, and one fact"
    assert (told["topic"], told["not_judged_yet"]) == (FACTS, [])
    customer = (await ask(worker, "customer_id", "C")).body
    assert [(one["promise"], one["status"]) for one in customer["promises"]] == [("booked", "breached")]


async def test_ids_are_those_of_the_published_events(worker: FactsWorker) -> None:
    """Silent copies have published nothing."""
    promises = (await ask(worker, "order_id", "A")).body["promises"]
    told = {event["id"] for one in promises for event in one["published"]}
    written = b"".join(record.value or b"" for topic in ("promisewatch.breaches", "promisewatch.outcomes")
                       for record in worker.published(topic))  # fmt: skip
    assert told
    assert all(one.encode() in written for one in told)


async def test_events_that_cannot_be_judged_yet_are_told_as_such() -> None:
    """Until it is known since when the ERP is known, what waits for it is put aside."""
    one = FactsWorker()
    await one.open(two())
    one.event("shop", "paid", NOW - 120 * MINUTE, event_id="e1", order_id="A", customer_id="C")
    one.vector({"shop": NOW})
    await one.run()
    told = (await ask(one, "customer_id", "C")).body
    assert (told["promises"], told["not_judged_yet"]) == ([], ["booked"])
    assert [fact["id"] for fact in told["facts"]] == ["e1"]


async def test_facts_are_where_the_ingest_puts_them(worker: FactsWorker) -> None:
    """By name and value of the subject, not by the value alone; the answer says where that is."""
    answer = await ask(worker, "order_id", "B", elsewhere=True)
    assert (answer.status, answer.body["partition"]) == (409, home_of(Subject("order_id", "B"), COUNT, from_facts=True))
