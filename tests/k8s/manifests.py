"""Rendered manifests, and what a kubelet makes of a container: its arguments, its environment and its files."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML


@dataclass(frozen=True)
class Manifests:
    """The objects of a kustomization in the order in which they would be applied."""

    objects: list[dict[str, Any]]

    @classmethod
    def render(cls, tools: Path, directory: Path) -> "Manifests":
        """Render as `kubectl apply -k` would."""
        done = subprocess.run(
            [tools / "kubectl", "kustomize", directory], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return cls([each for each in YAML(typ="safe", pure=True).load_all(done.stdout) if each])

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [each for each in self.objects if each["kind"] == kind]

    def one(self, kind: str, name: str) -> dict[str, Any]:
        """The one object of this kind whose name is `name`, with or without the hash that kustomize appends."""
        named = re.compile(re.escape(name) + "(-[a-z0-9]{10})?")
        found = [each for each in self.of_kind(kind) if named.fullmatch(each["metadata"]["name"])]
        assert len(found) == 1, f"found {len(found)} of {kind} {name}, expected one"
        return found[0]

    def pods(self) -> dict[str, dict[str, Any]]:
        """Every pod template by the name of what starts it."""
        return {
            each["metadata"]["name"]: each["spec"]["template"]
            for each in self.objects
            if "template" in each.get("spec", {})
        }

    def container(self, owner: str) -> dict[str, Any]:
        """The one container of the pods of `owner`."""
        (container,) = self.pods()[owner]["spec"]["containers"]
        return container

    def environment(self, owner: str, pod_name: str) -> dict[str, str]:
        """The environment of a container of `owner`, in a pod of that name, in a cluster without optional Secrets."""
        container = self.container(owner)
        environment: dict[str, str] = {}
        for source in container.get("envFrom", []):
            if "configMapRef" in source:
                environment |= self.one("ConfigMap", source["configMapRef"]["name"])["data"]
            else:
                assert source["secretRef"]["optional"] is True
        for variable in container.get("env", []):
            if "valueFrom" in variable:
                assert variable["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
                environment[variable["name"]] = pod_name
            else:
                environment[variable["name"]] = variable["value"]
        return environment

    def mount(self, owner: str, folder: Path) -> dict[str, Path]:
        """Make a folder for every mount of the container of `owner`, ConfigMaps with their files. By mount path."""
        volumes = {volume["name"]: volume for volume in self.pods()[owner]["spec"].get("volumes", [])}
        mounted = {}
        for mount in self.container(owner)["volumeMounts"]:
            place = folder / mount["name"]
            place.mkdir(parents=True)
            volume = volumes.get(mount["name"], {})  # a claim of a StatefulSet is no volume of the template
            if "configMap" in volume:
                for name, text in self.one("ConfigMap", volume["configMap"]["name"])["data"].items():
                    (place / name).write_text(text)
            mounted[mount["mountPath"]] = place
        return mounted
