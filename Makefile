# Everything a developer does. `make help` lists the targets.
# A new machine needs GNU make and Python >= 3.11, nothing else: what is installed goes into .venv.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
RUN_STAMP := $(VENV)/.installed-run
TEST_STAMP := $(VENV)/.installed-test

# The first interpreter that is new enough; PYTHON=... overrides.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
  "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)

# How much longer `make soak` makes the tests that read SOAK_FACTOR.
SOAK_FACTOR ?= 20
# How long the clients of the native transport come and go in `make soak`.
SOAK_MINUTES ?= 60
# Processes that `make test` divides the test files among: as many as there are cores. What others wait meanwhile is measured in
# tests/faults, so these run alone.
WORKERS ?= auto
# Arguments for the server (make run ARGS="--listen 127.0.0.1") or for pytest (make test ARGS="-k eureka").
ARGS ?=
BENCHES := $(sort $(wildcard bench/bench_*.py bench/config.py bench/consul.py bench/eureka.py bench/governance.py bench/migration.py bench/nacos.py bench/polaris.py bench/transport.py bench/xds.py))
COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate

.PHONY: help run test test-live bench soak lint format protos lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

run: $(RUN_STAMP) ## install what is needed and start the server on ./data
	@exec $(BIN)/polaris-bridge serve --config conf/polaris-server.yaml --data ./data $(ARGS)

test: lint ## lint, then every test that needs nothing but Python
ifeq ($(ARGS),)
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder tests/compat tests/unit tests/habits
	$(BIN)/pytest tests/faults
else
	$(BIN)/pytest $(ARGS)
endif

test-live: $(TEST_STAMP) ## real clients and real servers; what is missing is named, and an error when CI=true
	$(BIN)/pytest tests/live $(ARGS)

bench: $(TEST_STAMP) ## the benchmarks; each prints a table
	@for program in $(BENCHES); do echo "== $$program"; $(BIN)/python "$$program" $(ARGS); done

soak: $(TEST_STAMP) ## the long versions of the tests; SOAK_FACTOR says how long
	@echo "soak factor: $(SOAK_FACTOR), minutes: $(SOAK_MINUTES)"
	SOAK_FACTOR=$(SOAK_FACTOR) SOAK_MINUTES=$(SOAK_MINUTES) $(BIN)/pytest tests/faults tests/live --timeout 7200 $(ARGS)

lint: $(TEST_STAMP) ## format check, ruff, strict types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(TEST_STAMP) ## format, and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

protos: $(TEST_STAMP) ## compile protos/ into what the program loads
	$(BIN)/python protos/generate.py
	$(BIN)/ruff format --quiet polaris_bridge

lock: ## renew the lock files from pyproject.toml; needs uv
	@command -v uv >/dev/null || { echo "make lock needs uv: pip install uv" >&2; exit 1; }
	$(COMPILE) --extra build pyproject.toml -o requirements.lock
	$(COMPILE) --all-extras pyproject.toml -o requirements-test.lock

clean: ## remove what was installed and built; ./data stays
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A venv that was made for another place or Python is not noticed: `make clean` first.
$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then \
	  echo "Python >= 3.11 was not found; install it, or say where it is: make run PYTHON=/path/to/python3.12" >&2; exit 1; fi
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): requirements.lock pyproject.toml | $(BIN)/python
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-build-isolation --no-deps -e .
	@touch $@

$(TEST_STAMP): requirements-test.lock pyproject.toml | $(BIN)/python
	$(PIP) install --require-hashes -r requirements-test.lock
	$(PIP) install --no-build-isolation --no-deps -e .
	@touch $@ $(RUN_STAMP)
