"""What operators of a worker in facts mode are told: who holds up what, since when, and how far each source is."""

from collections.abc import Iterator

import pytest
import structlog

from agents.figures import Figures, Known
from schemas import metrics
from schemas.vectors import Hold
from tests.agents.factsworker import NOW, FactsWorker
from tests.agents.test_detect_facts import two


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Gauges are one a process: what other tests told is gone, and so is afterwards what these did."""
    forget()
    yield
    forget()


def forget() -> None:
    metrics.tell_held({}, {})
    metrics.FRONTIER_LAG.clear()


async def known(worker: FactsWorker) -> dict[int, Known]:
    await worker.run()
    return {0: Known(worker.handler.core, worker.handler.vector)}


async def test_the_lag_is_that_of_the_group_that_is_furthest_behind_and_of_each_source() -> None:
    """A partition of a source that nobody has spoken of is told apart from one that is late."""
    worker = FactsWorker()
    await worker.open(two())
    figures = Figures(worker.book)
    worker.vector({"shop": NOW - 5_000, "erp": NOW - 90_000}, counts={"shop": 2, "erp": 1})
    figures.look(NOW, await known(worker))
    lags = {sample.labels["source"]: sample.value for sample in samples(metrics.SOURCE_FRONTIER_LAG)}
    assert lags["erp"] == 90
    assert value(metrics.SOURCE_UNKNOWN, source="shop") == 1
    assert value(metrics.SOURCE_UNKNOWN, source="erp") == 0
    assert samples(metrics.FRONTIER_LAG) == [], "nothing can be judged yet"
    worker.vector({"shop/1": NOW - 5_000})
    figures.look(NOW + 1_000, await known(worker))
    assert value(metrics.SOURCE_UNKNOWN, source="shop") == 0
    assert value(metrics.SOURCE_FRONTIER_LAG, source="shop") == 6
    assert value(metrics.FRONTIER_LAG, partition="0") == 91


async def test_it_is_told_which_source_holds_which_promises_since_when_and_when_that_is_over() -> None:
    """All promises that wait for the source, those that wait for others too; the log has a line for each change."""
    worker = FactsWorker()
    await worker.open(two())
    figures = Figures(worker.book)
    worker.vector({"shop": NOW, "erp": NOW}, holds={"erp/0": Hold("silent", NOW - 30_000)})
    with structlog.testing.capture_logs() as lines:
        for second in range(4):
            figures.look(NOW + second * 1_000, await known(worker))
        worker.vector({"shop": NOW, "erp": NOW})
        assert value(metrics.SOURCE_HELD, source="erp", reason="silent") == 33
        held = {(one.labels["promise"], one.labels["source"]) for one in samples(metrics.PROMISE_HELD)}
        assert held == {("booked", "erp"), ("made-good", "erp")}
        figures.look(NOW + 5_000, await known(worker))
    assert samples(metrics.SOURCE_HELD) == samples(metrics.PROMISE_HELD) == []
    told = [(line["event"], line["source"], line.get("holds")) for line in lines if "doubt" in line["event"]]
    assert told == [("source is in doubt", "erp", ["booked", "made-good"]), ("source is in doubt no more", "erp", None)]


def samples(gauge: object) -> list[object]:
    return [sample for metric in gauge.collect() for sample in metric.samples]  # type: ignore[attr-defined]


def value(gauge: object, **labels: str) -> float:
    (found,) = [sample.value for sample in samples(gauge) if sample.labels == labels]  # type: ignore[attr-defined]
    return float(found)
