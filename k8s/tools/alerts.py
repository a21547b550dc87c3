"""Checks and plays the alerts with promtool.

usage: python k8s/tools/alerts.py

Takes the groups out of the rendered PrometheusRule of k8s/base, so that what is tested is what is deployed, and runs
k8s/alerts-test.yaml against them. Ends with promtool's exit code, or 1 when there is no promtool or no rule.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from check import render

K8S = Path(__file__).resolve().parent.parent


def main() -> int:
    """Write the rules beside the tests and let promtool judge both."""
    promtool = shutil.which("promtool")
    if promtool is None:
        print("found no promtool, expected it on the PATH (Debian and Ubuntu: the package prometheus)", file=sys.stderr)
        return 1
    groups = [
        group
        for document in render(K8S / "base")
        if document["kind"] == "PrometheusRule"
        for group in document["spec"]["groups"]
    ]
    if not groups:
        print(f"found no PrometheusRule in {K8S / 'base'}, expected one", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}, sort_keys=False))
        shutil.copy(K8S / "alerts-test.yaml", folder)
        for command in (["check", "rules", "--lint-fatal", "rules.yaml"], ["test", "rules", "alerts-test.yaml"]):
            done = subprocess.run([promtool, *command], cwd=folder, check=False)
            if done.returncode != 0:
                return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
