"""The alerts: each speaks of metrics that exist, is played, and has somebody told what to do."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.metrics import MetricWrapperBase
from ruamel.yaml import YAML

from schemas import metrics

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "k8s" / "base" / "prometheusrule.yaml"
PROMETHEUS_OWN = {"up"}
"""Series that Prometheus makes itself."""
PROMQL_WORDS = {"and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "offset", "bool"}


def rules() -> dict[str, dict[str, Any]]:
    groups = YAML(typ="safe", pure=True).load(RULES.read_text())["spec"]["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def played() -> dict[str, list[bool]]:
    """By alert, for every moment it is looked at: whether it is to fire."""
    tests = YAML(typ="safe", pure=True).load((ROOT / "k8s" / "alerts-test.yaml").read_text())["tests"]
    found: dict[str, list[bool]] = {}
    for moment in (moment for test in tests for moment in test["alert_rule_test"]):
        found.setdefault(moment["alertname"], []).append(bool(moment.get("exp_alerts")))
    return found


def series() -> dict[str, set[str]]:
    """Every series of the catalogue with the labels it has."""
    found: dict[str, set[str]] = {}
    for metric in metrics.CATALOGUE:
        assert isinstance(metric, MetricWrapperBase)
        labels = set(metric._labelnames)
        endings = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(metric._type, [""])
        found |= {f"{metric._name}{ending}": labels for ending in endings}
    return found


def selectors(expression: str) -> list[tuple[str, set[str]]]:
    """Every series an expression selects, with the labels it matches on. Enough PromQL for the rules above."""
    bare = re.sub(r"\b(by|without|on|ignoring)\s*\([^)]*\)", " ", expression)
    found = re.findall(
        r"([a-zA-Z_:][\w:]*)\b(?!\s*\()\s*(\{[^}]*\})?", re.sub(r"\[[^\]]*\]|\b\d+[smhdwy]\b", " ", bare)
    )
    texts = [(name, set(re.findall(r"(\w+)\s*[=!]~?", matchers))) for name, matchers in found]
    return [(name, labels) for name, labels in texts if name not in PROMQL_WORDS]


@pytest.mark.parametrize("name", rules())
def test_an_alert_asks_only_for_metrics_that_exist(name: str) -> None:
    """Every series is in the catalogue, and has the labels that are asked of it."""
    wanted = selectors(rules()[name]["expr"])
    assert wanted
    known = series()
    scraped = {"job", "namespace", "pod", "instance"}
    for metric, labels in wanted:
        if metric not in PROMETHEUS_OWN:
            assert metric in known, f"{name} asks for {metric}"
            assert labels <= known[metric] | scraped, f"{name} asks {metric} for {labels}"


def test_a_metric_that_does_not_exist_would_be_noticed() -> None:
    """The reading of expressions finds names inside functions, beside matchers and after operators."""
    expression = 'sum by (topic) (rate(a_total{b="c_d"}[5m])) > 2 unless e_seconds offset 15m and absent(f == 1)'
    assert selectors(expression) == [("a_total", {"b"}), ("e_seconds", set()), ("f", set())]


def test_series_are_named_as_prometheus_reads_them() -> None:
    """A counter gets its ending when it is written out; the test's own catalogue must say so."""
    written = {name for line in generate_latest().decode().splitlines() for name in re.findall(r"^# TYPE (\S+)", line)}
    names = series()
    assert {metric._name for metric in metrics.CATALOGUE if metric._type == "gauge"} <= written & names.keys()
    assert {
        f"{metric._name}_total" for metric in metrics.CATALOGUE if metric._type == "counter"
    } <= written & names.keys()
    assert "promise_detection_delay_seconds_bucket" in names


@pytest.mark.parametrize("name", rules())
def test_an_alert_is_played_both_ways(name: str) -> None:
    """Some moment at which it must fire, and one at which it must not though it is near."""
    assert set(played()[name]) == {True, False}


@pytest.mark.parametrize("name", rules())
def test_an_alert_says_what_is_the_matter_and_where_to_read_on(name: str) -> None:
    """Summary, description, severity, and a section of its own in the operator's handbook."""
    rule = rules()[name]
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook"}
    assert rule["annotations"]["runbook"] == f"docs/operations.md, {name}"
    handbook = (ROOT / "docs" / "operations.md").read_text()
    section = re.search(rf"^### {name}\n+((?:(?!^#).*\n)+)", handbook, re.MULTILINE)
    assert section, f"docs/operations.md has no section {name}"
    assert len(section[1].split()) >= 40, "a runbook says what to look at and what to do"


def test_the_handbook_has_no_section_on_an_alert_that_is_gone() -> None:
    """Renaming an alert renames its section."""
    handbook = (ROOT / "docs" / "operations.md").read_text()
    assert set(re.findall(r"^### (Promisewatch\w+)$", handbook, re.MULTILINE)) == rules().keys()


def test_the_handbook_speaks_of_metrics_that_exist() -> None:
    """A renamed metric is renamed here too."""
    named = set(re.findall(r"`(promise_[a-z_]+)`", (ROOT / "docs" / "operations.md").read_text()))
    assert named
    assert named <= series().keys()


def play(tools: Path) -> subprocess.CompletedProcess[str]:
    command = [tools / "python", ROOT / "k8s" / "tools" / "alerts.py"]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)


@pytest.mark.full
def test_the_alerts_fire_as_played(tools: Path) -> None:
    """promtool plays every alert (a skip where it is not installed: `make alerts-test` installs it)."""
    if shutil.which("promtool") is None:
        pytest.skip("no promtool: `make alerts-test` installs it")
    done = play(tools)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout
