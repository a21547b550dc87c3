# The one entry to everything. `make` alone prints this help.

PYTHON ?= python3
UV_VERSION := 0.13.9
BROKER ?= auto
PYTEST_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export UV_PROJECT_ENVIRONMENT := $(CURDIR)/$(VENV)
export UV_PYTHON_DOWNLOADS := never

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-full lint format lock clean

help: ## Print this help
	@echo "usage: make TARGET [PYTHON=python3.12] [BROKER=auto|kafka|embedded]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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
	@$(BIN)/uv sync --frozen --quiet
	@touch $@

demo: $(READY) ## Play a web shop's week through the whole pipeline, in about two minutes
	@$(BIN)/promisewatch demo --broker $(BROKER)

test: $(READY) ## Run the tests but the long ones (with Java 17 and Maven, those on Apache Kafka too)
	@$(BIN)/pytest -m "not full" $(PYTEST_ARGS)

test-full: $(READY) ## Run all tests
	@$(BIN)/pytest $(PYTEST_ARGS)

lint: $(READY) ## Check style, types, generated files and the lock file
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m schemas.export --check
	@$(BIN)/uv lock --check --quiet
	@$(BIN)/promisewatch --help > /dev/null

format: $(READY) ## Format the code and mend what ruff can mend
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

lock: $(READY) ## Bring uv.lock up to pyproject.toml
	@$(BIN)/uv lock

clean: ## Remove .venv and caches of tools (downloaded Kafka jars stay in ~/.cache/promisewatch)
	@rm -rf $(VENV) dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
