# Athanor. Every target sets up what it needs in .venv, from plain python3 (3.11 or newer) and make.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUN    := $(VENV)/.ready-to-run
DEV    := $(VENV)/.ready-to-develop
ROOMS  := core domains models messaging blocks tasks flows agent api simulators entrypoints deployments
# With make -s, or when the output is no terminal, installers stay quiet too.
QUIET  := --quiet

.DEFAULT_GOAL := help
.PHONY: help demo up test test-long lint format lock bench bench-throughput bench-history bench-latency bench-files bench-yield bench-measurements bench-refresh bench-lists bench-archives bench-streams bench-chaos openapi fuzz clean

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(RUN) ## Run one simulated session from files to decisions (KEEP=1 leaves it up)
	@$(BIN)/athanor demo $(if $(KEEP),--keep)

up: $(RUN) ## Run Athanor on this machine until Ctrl-C
	@$(BIN)/athanor up

# A module's tests share servers, so they go to one worker; the slow ones stand first.
test: $(DEV) ## Run the tests
	@$(BIN)/pytest -q -n 3 --dist loadfile --no-loadscope-reorder -m "not long" $(ARGS)

test-long: $(DEV) ## Run the tests that kill, restart and rehearse real processes for minutes
	@$(BIN)/pytest -q -m long $(ARGS)

fuzz: $(DEV) ## Ask the API for whatever a machine can think of, for at most 8 minutes
	@$(BIN)/pytest -q -m long $(ARGS) tests/integration/api/test_fuzzed.py

lint: $(DEV) ## Check style, types and layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-cache | tail -n 12
	@$(BIN)/pyright

format: $(DEV) ## Rewrite the code in our style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(DEV) ## Measure the figures of benchmarks/README.md
	@$(BIN)/python -m benchmarks

bench-throughput: $(DEV) ## Measure messages a second, from RabbitMQ to current predictions
	@$(BIN)/python -m benchmarks.throughput --multi
	@$(BIN)/python -m benchmarks.throughput

bench-history: $(DEV) ## Measure what a message costs with two million behind it
	@$(BIN)/python -m benchmarks.history

bench-latency: $(DEV) ## Measure the way from a published prediction to Athena
	@$(BIN)/python -m benchmarks.latency $(ARGS)

bench-files: $(DEV) ## Measure the way of EPU's files to rows and areas, and a rescan
	@$(BIN)/python -m benchmarks.files $(ARGS)

bench-measurements: $(DEV) ## Measure measurements a second into quality, weights and registered
	@$(BIN)/python -m benchmarks.measurements $(ARGS)

bench-refresh: $(DEV) ## Measure a refresh of a grid with 40,000 holes
	@$(BIN)/python -m benchmarks.refresh $(ARGS)

bench-lists: $(DEV) ## Measure lists: 40,000 holes at once, and pages at two million rows
	@$(BIN)/python -m benchmarks.lists $(ARGS)

bench-archives: $(DEV) ## Measure export, deletion and import of a session of 40,000 holes
	@$(BIN)/python -m benchmarks.archives $(ARGS)

bench-surface: $(DEV) ## Measure entities a second that clients write over HTTP
	@$(BIN)/python -m benchmarks.surface $(ARGS)

bench-streams: $(DEV) ## Measure news from a commit to 64 agents and 200 pages
	@$(BIN)/python -m benchmarks.streams $(ARGS)

bench-yield: $(DEV) ## Compare orders of collection in simulated sessions: good micrographs an hour
	@$(BIN)/python -m benchmarks.yields $(ARGS)

bench-chaos: $(DEV) ## Send 20,000 messages through crashes (ARGS='--sensors 2 --workers 3')
	@$(BIN)/python -m benchmarks.chaos $(ARGS)

openapi: $(DEV) ## Write docs/openapi.json
	@$(BIN)/python -m entrypoints.openapi_document

lock: | $(BIN)/uv ## Renew the lock files with the newest versions that the ranges allow
	@$(BIN)/uv pip compile $(QUIET) --upgrade --universal --generate-hashes --no-emit-index-url \
	  --no-header --extra server --extra redis pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile $(QUIET) --upgrade --universal --generate-hashes --no-emit-index-url \
	  --no-header --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean: ## Remove what was installed and what tools left behind
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .coverage .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Athanor needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up .venv (once) …"
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "Python's venv module is missing. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(BIN)/pip install $(QUIET) --disable-pip-version-check uv

$(RUN): requirements.lock pyproject.toml | $(BIN)/uv
	@echo "Installing what Athanor needs …"
	@$(BIN)/uv pip install $(QUIET) --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install $(QUIET) --python $(BIN)/python --no-deps -e .
	@touch $@

$(DEV): requirements-dev.lock $(RUN)
	@echo "Installing what its tests need …"
	@$(BIN)/uv pip install $(QUIET) --python $(BIN)/python --require-hashes -r requirements-dev.lock
	@touch $@
