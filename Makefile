# Every target sets itself up: .venv is made from the lock, and refreshed when the lock changes.
# `make PYTHON=python3.12 setup` picks another interpreter for a .venv that does not exist yet.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

PYTHON ?= $(firstword $(foreach version,3.11 3.12 3.13,$(shell command -v python$(version))) python3)
BIN := .venv/bin
READY := .venv/.ready

# How many schedules and examples `make soak` runs for each property.
SEEDS ?= 2000

PROTOS := $(sort $(shell find proto -name '*.proto'))
SERVICES := $(filter proto/parties/rpc/%,$(PROTOS))

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: $(READY) ## Make .venv from the lock, with hashes checked

$(READY): requirements-dev.lock pyproject.toml
	@test -x $(BIN)/python || { echo "setup: .venv with $(PYTHON)"; $(PYTHON) -m venv .venv; }
	@echo "setup: installing from requirements-dev.lock"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements-dev.lock
	@PYTHONWARNINGS="ignore:Editable installation" $(BIN)/python -m pip install --quiet \
		--disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: demo
demo: $(READY) ## The joint credit check on loopback, with real data
	@$(BIN)/jointcredit demo $(ARGS)

.PHONY: test
test: lint types proto-check ## All that CI checks: lint, types, generated code, tests
	@$(BIN)/python -m pytest --quiet $(ARGS)

.PHONY: lint
lint: $(READY) ## Style, by ruff
	@$(BIN)/ruff check --quiet --output-format concise . && echo "lint: clean"

.PHONY: types
types: $(READY) ## Types, by mypy in strict mode
	@$(BIN)/mypy --no-error-summary && echo "types: clean"

.PHONY: architecture
architecture: $(READY) ## Import contracts and the other rules of the house
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m pytest --quiet tests/architecture

# $(call generate,DIR): messages for every contract, stubs for the services alone.
generate = $(BIN)/python -m grpc_tools.protoc -I proto --python_out=$(1) --pyi_out=$(1) $(PROTOS) && \
	$(BIN)/python -m grpc_tools.protoc -I proto --grpc_python_out=$(1) $(SERVICES)

.PHONY: proto
proto: $(READY) ## Regenerate the wire code from proto/
	@find mpc/wire/v1 parties/rpc/v1 -name '*_pb2*.py*' -type f -delete
	@$(call generate,.)

.PHONY: proto-check
proto-check: $(READY) ## Is the committed wire code what proto/ says?
	@fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT && $(call generate,"$$fresh") && \
	for folder in mpc/wire/v1 parties/rpc/v1; do \
		diff -r --exclude=__init__.py --exclude=__pycache__ "$$fresh/$$folder" $$folder || \
			{ echo "proto-check: run 'make proto' and commit the outcome" >&2; exit 1; }; \
	done && echo "proto-check: current"

.PHONY: soak
soak: $(READY) ## The conformance suite over thousands of seeds (SEEDS=2000)
	@JOINTCREDIT_SEEDS=$(SEEDS) $(BIN)/python -m pytest --quiet -m conformance $(ARGS)

.PHONY: bench
bench: $(READY) ## Kernels and protocols, measured (ARGS="--help" for more)
	@$(BIN)/jointcredit bench $(ARGS)

# The machine's own pip settings (mirrors, extra indexes) stay out of the locks.
COMPILE = PIP_CONFIG_FILE=/dev/null PIP_FIND_LINKS= PIP_EXTRA_INDEX_URL= \
	CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --generate-hashes --strip-extras \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links $(ARGS)

.PHONY: lock
lock: $(READY) ## Write both locks anew (ARGS=--upgrade for the newest releases)
	@$(COMPILE) --output-file requirements.lock pyproject.toml
	@$(COMPILE) --allow-unsafe --all-extras --constraint requirements.lock \
		--output-file requirements-dev.lock pyproject.toml

.PHONY: clean
clean: ## Remove .venv, caches and build products
	@rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache \
		.import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
