"""Tests of what is deployed. Its tools (kubectl, schemas, hadolint) live in .venv-tools, which `make tools` makes.

Where they are absent, tests that need them are skipped, visibly, unless REQUIRE_TOOLS=1 is set.
"""

import os
from pathlib import Path

import pytest

from tests.k8s.manifests import Manifests

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def tools() -> Path:
    """The folder with kubectl, hadolint and a Python that has the schemas."""
    folder = ROOT / ".venv-tools" / "bin"
    if not (folder / "kubectl").exists():
        message = f"no tools in {folder}: `make tools` installs them"
        if os.environ.get("REQUIRE_TOOLS") == "1":
            pytest.fail(message)
        pytest.skip(f"{message} (REQUIRE_TOOLS=1 makes this an error)")
    return folder


@pytest.fixture(scope="session")
def base(tools: Path) -> Manifests:
    """What `kubectl apply -k k8s/base` would send."""
    return Manifests.render(tools, ROOT / "k8s" / "base")


@pytest.fixture(scope="session")
def example(tools: Path) -> Manifests:
    """The example overlay, as it would be sent."""
    return Manifests.render(tools, ROOT / "k8s" / "overlays" / "example")


@pytest.fixture(scope="session")
def sources(tools: Path) -> Manifests:
    """The example with several sources: the base and the component that reads them."""
    return Manifests.render(tools, ROOT / "k8s" / "overlays" / "sources")
