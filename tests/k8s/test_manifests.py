"""What the manifests promise a platform team, beyond being valid."""

import copy
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from promisewatch.settings import PROCESSES
from schemas.book import load_book
from tests.k8s.manifests import Manifests

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "k8s"
HANDBOOK = (ROOT / "docs" / "deployment.md").read_text()
COMMANDS = {
    "promisewatch-detect": "worker",
    "promisewatch-notifier": "notifier",
    "promisewatch-topics": "topics",
    "promisewatch-ingest": "ingest",
}
"""Every process with its command; all of them are in the overlay `sources`."""
MEMBERS = ["promisewatch-detect", "promisewatch-notifier", "promisewatch-ingest"]


def check(tools: Path, *directories: Path) -> subprocess.CompletedProcess[str]:
    command = [tools / "python", K8S / "tools" / "check.py", *directories]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)


def kustomization(folder: Path, text: str) -> Path:
    """A kustomization of one file with this text."""
    (folder / "object.yaml").write_text(text)
    (folder / "kustomization.yaml").write_text("resources: [object.yaml]\n")
    return folder


@pytest.mark.parametrize("directory", ["base", "overlays/example", "overlays/sources"])
def test_the_manifests_fit_the_schemas_strictly(tools: Path, directory: str) -> None:
    """Every object of the base and of the example overlays, against the oldest and the newest Kubernetes."""
    done = check(tools, K8S / directory)
    assert done.returncode == 0, done.stderr
    assert " 0 problems" in done.stdout


RULE = "{apiVersion: monitoring.coreos.com/v1, kind: PrometheusRule, metadata: {name: a}, spec: {groups: [%s]}}"
MONITOR = "{apiVersion: monitoring.coreos.com/v1, kind: PodMonitor, metadata: {name: a}, spec: {selector: {}, %s}}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "{apiVersion: v1, kind: ServiceAccount, metadata: {name: a}, automountToken: false}",
            "'automountToken' was unexpected",
        ),
        (
            "{apiVersion: keda.sh/v1alpha1, kind: ScaledObject, metadata: {name: a}, spec: {}}",
            "ScaledObject a: keda.sh/v1alpha1 has no schema",
        ),
        (
            RULE % "{name: g, rules: [{alert: A, expr: up, forr: 5m}]}",
            "$.spec.groups[0].rules[0]: Additional properties are not allowed ('forr' was unexpected)",
        ),
        (
            MONITOR % "podMetricsEndpoints: [{port: http, interval: 15 seconds}]",
            "$.spec.podMetricsEndpoints[0].interval",
        ),
        (
            "{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: a}, spec: {maxUnavailable: one: two}}",
            "kubectl kustomize",
        ),
    ],
    ids=["unknown field", "kind without a schema", "unknown field of a rule", "unreadable duration", "broken YAML"],
)
def test_the_check_refuses_what_does_not_fit(tools: Path, tmp_path: Path, text: str, expected: str) -> None:
    """Exit 1 and the place of the problem; a kind nobody has a schema for is a problem too."""
    done = check(tools, kustomization(tmp_path, text))
    assert done.returncode == 1
    assert expected in done.stderr


def test_every_pod_is_locked_down(sources: Manifests) -> None:
    """UID 10001, read-only root, no capability, no privilege, the default seccomp profile, no token."""
    assert sources.pods().keys() == COMMANDS.keys()
    for name, template in sources.pods().items():
        pod = template["spec"]
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["serviceAccountName"] == "promisewatch", name
        context = pod["securityContext"]
        assert (context["runAsNonRoot"], context["runAsUser"], context["runAsGroup"]) == (True, 10001, 10001), name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert sources.container(name)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
    assert sources.one("ServiceAccount", "promisewatch")["automountServiceAccountToken"] is False


def test_no_service_can_set_our_variables(sources: Manifests) -> None:
    """Kubernetes would announce a Service named promisewatch as PROMISEWATCH_PORT: service links are off."""
    assert all(template["spec"]["enableServiceLinks"] is False for template in sources.pods().values())


@pytest.mark.parametrize("owner", COMMANDS)
def test_every_variable_is_a_setting_of_its_command(
    base: Manifests, example: Manifests, sources: Manifests, owner: str
) -> None:
    """No variable without effect, in the base and in the example; a Secret's may be settings of every process."""
    command = COMMANDS[owner]
    known = {f"PROMISEWATCH_{name.upper()}" for name in PROCESSES[command].model_fields}
    for manifests in (base, example, sources):
        if owner not in manifests.pods():  # where a worker reads its source itself there is no ingest
            assert (owner, manifests is sources) == ("promisewatch-ingest", False)
            continue
        assert manifests.container(owner)["args"][0] == command
        assert manifests.environment(owner, "pod").keys() <= known


@pytest.mark.parametrize("owner", MEMBERS)
def test_a_pod_has_longer_to_end_than_its_drain_takes(sources: Manifests, owner: str) -> None:
    """Kubernetes kills only a process that has overrun its own bound."""
    drain = float(sources.environment(owner, "pod")["PROMISEWATCH_DRAIN_TIMEOUT"])
    assert sources.pods()[owner]["spec"]["terminationGracePeriodSeconds"] >= drain + 15


@pytest.mark.parametrize("owner", ["promisewatch-detect", "promisewatch-ingest"])
def test_what_has_a_name_keeps_its_partitions_while_its_pod_is_replaced(sources: Manifests, owner: str) -> None:
    """Static membership: the pod's name is the id, unique in a StatefulSet, and the session outlasts a restart."""
    assert owner in {each["metadata"]["name"] for each in sources.of_kind("StatefulSet")}
    environment = sources.environment(owner, f"{owner}-1")
    assert environment["PROMISEWATCH_INSTANCE_ID"] == f"{owner}-1"
    session, drain = (float(environment[f"PROMISEWATCH_{name}_TIMEOUT"]) for name in ("SESSION", "DRAIN"))
    assert session >= 2 * drain
    assert "PROMISEWATCH_INSTANCE_ID" not in sources.environment("promisewatch-notifier", "pod")


@pytest.mark.parametrize("owner", MEMBERS)
def test_probes_and_metrics_reach_the_port_that_is_listened_on(sources: Manifests, owner: str) -> None:
    """Containers' port, setting, probes, monitor and network policy agree; and not on loopback."""
    container = sources.container(owner)
    environment = sources.environment(owner, "pod")
    (port,) = container["ports"]
    assert environment["PROMISEWATCH_HTTP_PORT"] == str(port["containerPort"])
    assert environment["PROMISEWATCH_HTTP_HOST"] == "0.0.0.0"
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {probe["port"] for probe in probes.values()} == {port["name"]}
    assert [probe["path"] for probe in probes.values()] == ["/livez", "/livez", "/readyz"]
    (endpoint,) = sources.one("PodMonitor", "promisewatch")["spec"]["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"]) == (port["name"], "/metrics")
    ingress = sources.one("NetworkPolicy", "promisewatch")
    assert [each["port"] for rule in ingress["spec"]["ingress"] for each in rule["ports"]] == [port["name"]]


def test_detectors_may_ask_each_other_and_nobody_else(base: Manifests) -> None:
    """What `promisewatch subject` needs; for it they share a token, which none but they read."""
    policy = base.one("NetworkPolicy", "promisewatch-detect")["spec"]
    (into,), (out,) = policy["ingress"], policy["egress"]
    assert into["from"] == out["to"] == [{"podSelector": policy["podSelector"]}]
    assert into["ports"] == out["ports"] == [{"port": "http", "protocol": "TCP"}]
    secrets = {owner: {each["secretRef"]["name"] for each in base.container(owner)["envFrom"] if "secretRef" in each}
               for owner in base.pods()}  # fmt: skip
    assert [owner for owner, names in secrets.items() if "promisewatch-detect" in names] == ["promisewatch-detect"]


def test_every_selector_selects_a_pod(sources: Manifests) -> None:
    """A selector that fits no pod is valid, and protects or scrapes nothing."""
    labels = [template["metadata"]["labels"] for template in sources.pods().values()]
    selectors = [
        (each["kind"], each["metadata"]["name"], each["spec"].get("selector") or each["spec"].get("podSelector"))
        for each in sources.objects
        if each["kind"]
        in {"Service", "PodDisruptionBudget", "NetworkPolicy", "PodMonitor", "StatefulSet", "Deployment"}
    ]
    assert len(selectors) >= 8
    for kind, name, selector in selectors:
        wanted = selector if kind == "Service" else selector["matchLabels"]
        assert any(wanted.items() <= found.items() for found in labels), f"{kind} {name}"


def test_what_is_mounted_is_all_that_is_written(sources: Manifests) -> None:
    """The state folder and /tmp are mounted writable, the book is not."""
    for owner in COMMANDS:
        mounts = {mount["mountPath"]: mount for mount in sources.container(owner)["volumeMounts"]}
        environment = sources.environment(owner, "pod")
        assert "/tmp" in mounts
        if "PROMISEWATCH_STATE_DIR" in environment:
            assert environment["PROMISEWATCH_STATE_DIR"] in mounts
        if "PROMISEWATCH_BOOK" in environment:
            assert mounts[str(Path(environment["PROMISEWATCH_BOOK"]).parent)]["readOnly"] is True


def test_everything_has_requests_and_a_memory_limit(sources: Manifests) -> None:
    """No pod is first to be evicted, none can take a node's memory; a CPU limit would only delay breaches."""
    for owner in COMMANDS:
        resources = sources.container(owner)["resources"]
        assert {"cpu", "memory", "ephemeral-storage"} <= resources["requests"].keys()
        assert "memory" in resources["limits"]
        assert "cpu" not in resources["limits"]


def test_ingest_and_detectors_read_one_book(sources: Manifests) -> None:
    """Mounted from one ConfigMap: a change starts both anew, and facts are made by the book that judges them."""
    detect, ingest = (sources.pods()[f"promisewatch-{name}"] for name in ("detect", "ingest"))
    assert book_volume(detect) == book_volume(ingest)
    assert len(load_book(K8S / "overlays" / "sources" / "book.yaml").sources) > 1


def test_a_changed_book_starts_the_detectors_anew(base: Manifests, tools: Path, tmp_path: Path) -> None:
    """The book's ConfigMap is named by its content, so another book is another pod template."""
    copied = tmp_path / "base"
    copied.mkdir()
    for file in (K8S / "base").iterdir():
        (copied / file.name).write_bytes(file.read_bytes())
    (copied / "book.yaml").write_text((copied / "book.yaml").read_text().replace("within: 15m", "within: 20m"))
    changed = Manifests.render(tools, copied)
    detect = "promisewatch-detect"
    assert changed.pods()[detect] != base.pods()[detect]
    same = copy.deepcopy(changed.pods()[detect])
    volume = next(each for each in same["spec"]["volumes"] if each["name"] == "book")
    volume["configMap"] = book_volume(base.pods()[detect])
    assert same == base.pods()[detect]


def book_volume(template: dict[str, Any]) -> dict[str, Any]:
    (volume,) = (each["configMap"] for each in template["spec"]["volumes"] if each["name"] == "book")
    return volume


@pytest.mark.parametrize("owner", COMMANDS)
def test_the_settings_of_the_example_go_together(
    example: Manifests, sources: Manifests, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the Secrets that docs/deployment.md names, every process takes its settings."""
    secrets = {
        "PROMISEWATCH_SASL_USERNAME": "promisewatch",
        "PROMISEWATCH_SASL_PASSWORD": "secret",
        "PROMISEWATCH_WEBHOOK_KEYS": "whsec_" + "QUJD" * 8,
        "PROMISEWATCH_SUBJECT_TOKEN": "0123456789abcdef" * 4,
    }
    for name in [name for name in os.environ if name.startswith("PROMISEWATCH_")]:
        monkeypatch.delenv(name)
    manifests = example if owner in example.pods() else sources
    for name, value in (manifests.environment(owner, "pod-0") | secrets).items():
        assert f"    --from-literal={name}=" in HANDBOOK or name not in secrets
        monkeypatch.setenv(name, value)
    settings = PROCESSES[COMMANDS[owner]]()
    assert settings.model_dump()["bootstrap_server"].count(",") == 2


@pytest.mark.parametrize("directory", ["base", "overlays/example", "overlays/sources"])
def test_the_books_are_in_order(directory: str) -> None:
    """What is deployed as it stands starts: its book loads."""
    assert load_book(K8S / directory / "book.yaml").promises


def test_images_are_named_by_this_version(base: Manifests) -> None:
    """No `latest`: the version of the project file, in every pod."""
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    images = {base.container(owner)["image"] for owner in base.pods()}
    images |= set(re.findall(r"image: (\S+)", (K8S / "components" / "ingest" / "ingest.yaml").read_text()))
    assert images == {f"promisewatch:{version[1]}"}


def test_the_handbooks_speak_of_settings_that_exist() -> None:
    """A renamed setting is renamed there too; PROMISEWATCH_PORT is what Kubernetes would add."""
    known = {f"PROMISEWATCH_{name.upper()}" for settings in PROCESSES.values() for name in settings.model_fields}
    for page in ("deployment.md", "operations.md"):
        named = set(re.findall(r"\bPROMISEWATCH_[A-Z_]+", (ROOT / "docs" / page).read_text()))
        assert named
        assert named <= known | {"PROMISEWATCH_PORT"}
