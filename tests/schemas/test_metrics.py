"""The catalogue of metrics is whole, every label is explained, and no series is made for a customer, order or event."""

import ast
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

from agents.channels import Failure
from schemas import metrics
from schemas.metrics import Label
from tests.agents.notifying import Partition, RecordingChannel, encode, of
from tests.agents.test_decisions import breach

ROOT = Path(__file__).parents[2]
ROOMS = ("schemas", "promises", "streams", "agents", "promisewatch")
METRICS = {name: one for name, one in vars(metrics).items() if isinstance(one, MetricWrapperBase)}


def test_the_catalogue_has_every_metric_once() -> None:
    """What is not in it is in no reference and under no golden test."""
    assert len(metrics.CATALOGUE) == len(set(metrics.CATALOGUE))
    assert set(metrics.CATALOGUE) == set(METRICS.values())


@pytest.mark.parametrize("name", METRICS)
def test_every_label_of_a_metric_is_one_of_the_explained_ones(name: str) -> None:
    """By its type, so that a misspelt one fails before any test does."""
    assert all(type(label) is Label for label in METRICS[name]._labelnames)


def test_every_label_is_used_and_its_values_are_told_in_the_reference() -> None:
    """An explanation of nothing would mislead as much as a missing one."""
    assert {label for one in METRICS.values() for label in one._labelnames} == set(Label)
    page = (ROOT / "docs" / "metrics.md").read_text()
    assert [label for label in Label if f"\n| `{label}` | {label.bound} |\n" not in page] == []


def test_every_place_that_counts_names_the_labels_of_its_metric() -> None:
    """The client finds out only when it counts, which may be years later."""
    wrong, seen = [], 0
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        text = path.read_text()
        for node in ast.walk(ast.parse(text if ".labels(" in text else "")):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "labels":
                metric = METRICS[ast.unparse(node.func.value).removeprefix("metrics.")]
                seen += 1
                if node.args or {keyword.arg for keyword in node.keywords} != set(metric._labelnames):
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}")
    assert wrong == []
    assert seen > 10


def test_what_is_held_no_longer_is_told_no_longer() -> None:
    """Its last value would be read as today's, and alerts would never end."""
    metrics.tell_held({("shop", "silent"): 60.0, ("wms", "late"): 5.0}, {("next-day", "shop"): 60.0})
    metrics.tell_held({("shop", "silent"): 61.0}, {})
    told = {sample.name: (sample.labels, sample.value) for metric in (metrics.SOURCE_HELD, metrics.PROMISE_HELD)
            for family in metric.collect() for sample in family.samples}  # fmt: skip
    assert told == {"promise_source_held_seconds": ({"source": "shop", "reason": "silent"}, 61.0)}
    metrics.tell_held({}, {})


async def told_and_failed(first: int, count: int) -> None:
    """Breaches of that many customers: delivered, refused, unanswered, told already, unreadable."""
    partition = Partition(RecordingChannel(idempotent=True))
    for number in range(first, first + count):
        name = f"customer-{number}"
        partition.channel.answers[name] = [[Failure.REJECTED], [Failure.TIMEOUT], []][number % 3]
        event = encode(of(breach(), name, name))
        for value in (event, event, f"broken {name}".encode()):
            partition.append(value)
    await partition.run()


def series() -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    """Every series of ours that there is now."""
    samples = [sample for family in REGISTRY.collect() for sample in family.samples]
    return {
        (sample.name, tuple(sorted(sample.labels.items()))) for sample in samples if sample.name.startswith("promise_")
    }


async def test_the_notifiers_series_do_not_grow_with_its_customers() -> None:
    """Fifty times the customers, the same series, and none that names one. (The worker's: test_observability.)"""
    await told_and_failed(0, 6)
    before = series()
    await told_and_failed(6, 300)
    assert series() == before
    assert not [one for one in before if "customer" in str(one)]
    assert ("promise_dead_letters_total", (("reason", "rejected"), ("topic", "promisewatch.notifications"))) in before
