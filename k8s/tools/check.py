"""Renders kustomizations as kubectl does and validates every object strictly.

usage: python k8s/tools/check.py DIRECTORY...

A kind of the Kubernetes API is validated against the schemas of the oldest and the newest release this project is
meant for, another kind against k8s/schemas. What has no schema is an error, as is a field that no schema names.
Ends with 0, or with 1 and a line for each problem on standard error. Runs in the environment of
k8s/tools/requirements.txt.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

KUBERNETES_OLDEST = "1.32"  # the first that always honours persistentVolumeClaimRetentionPolicy
KUBERNETES_NEWEST = "1.37"
SCHEMAS = Path(__file__).resolve().parent.parent / "schemas"


class RenderError(Exception):
    """A kustomization that kubectl cannot render, with kubectl's own words."""


def render(directory: Path) -> list[dict[str, Any]]:
    """The objects of a kustomization, in kubectl's order. Raises RenderError."""
    kubectl = Path(sys.executable).parent / "kubectl"
    done = subprocess.run([kubectl, "kustomize", directory], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RenderError(f"{directory}: kubectl kustomize: {done.stderr.strip()}")
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def own_schema(document: dict[str, Any]) -> Path:
    """Where the schema of a kind lies that Kubernetes itself does not have: KIND-GROUP-VERSION.json in k8s/schemas."""
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", document["apiVersion"])
    return SCHEMAS / f"{document['kind'].lower()}-{group}.json"


def problems(document: dict[str, Any]) -> Iterator[str]:
    """What is wrong with one object: nothing, or one line for each schema it does not fit."""
    name = f"{document['kind']} {document['metadata']['name']}"
    schema = own_schema(document)
    if schema.is_file():
        validator = jsonschema.Draft202012Validator(json.loads(schema.read_text()))
        for error in sorted(validator.iter_errors(document), key=lambda error: error.json_path):
            yield f"{name}: {schema.name}: {error.json_path}: {error.message}"
        return
    for version in (KUBERNETES_OLDEST, KUBERNETES_NEWEST):
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            path = ".".join(str(step) for step in error.path) or "(top)"
            yield f"{name}: Kubernetes {version}: {path}: {error.message}"
        except kubernetes_validate.SchemaNotFoundError:
            yield f"{name}: {document['apiVersion']} has no schema in Kubernetes {version}, nor is there {schema}"


def main(directories: list[str]) -> int:
    """Check every directory; print what was found."""
    if not directories:
        print(__doc__, file=sys.stderr)
        return 1
    failed = False
    for directory in map(Path, directories):
        try:
            documents = render(directory)
        except RenderError as error:
            print(error, file=sys.stderr)
            failed = True
            continue
        found = [line for document in documents for line in problems(document)]
        for line in found:
            print(f"{directory}: {line}", file=sys.stderr)
        failed |= bool(found)
        versions = f"Kubernetes {KUBERNETES_OLDEST} and {KUBERNETES_NEWEST}"
        print(f"{directory}: {len(documents)} objects, {len(found)} problems ({versions}, strict)")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
