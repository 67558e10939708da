# Everything a person or a CI machine runs. `make demo` and `make test` need git, make and Python ≥ 3.11.
.PHONY: demo test lint format bench soak fuzz test-servers test-clients test-extras docs lock clean help
.DEFAULT_GOAL := help

PYTHON ?= python3
SOAK ?= 10m
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.set-up

help:   ## show this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | expand -t 14

# uv lives in a small environment of its own, so that the machine needs nothing but Python.
.venv-uv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "nbest needs Python 3.11 or newer: make PYTHON=python3.12 …"; exit 2; }
	@$(PYTHON) -m venv .venv-uv || { echo "this Python cannot make environments: install its venv package (Debian: apt-get install python3-venv)"; exit 2; }
	@.venv-uv/bin/pip install --quiet --disable-pip-version-check uv

$(SETUP): pyproject.toml uv.lock | .venv-uv/bin/uv
	@UV_PROJECT_ENVIRONMENT=$(VENV) .venv-uv/bin/uv sync --quiet --frozen --python $(PYTHON)
	@touch $@

demo: $(SETUP)   ## sample real pools from the embedded model in many languages, select, print a table
	@$(BIN)/nbest demo --out demo

test: $(SETUP)   ## the whole default suite: no network, key or GPU
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

lint: $(SETUP)   ## ruff and pyright
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright

format: $(SETUP)   ## let ruff mend what it can
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format --quiet .

bench: $(SETUP)   ## the measurements of benchmarks/, side by side
	@./scripts/bench.sh

soak: $(SETUP)   ## the gateway under load with faults for ten minutes, or SOAK=8h
	@$(BIN)/python benchmarks/gateway/soak.py --seconds $(SOAK) --folder .venv-peers

fuzz: $(SETUP)   ## made-up answers and made-up requests to the gateway, ten minutes each
	@$(BIN)/python benchmarks/fuzz_answers.py --minutes 10
	@$(BIN)/python benchmarks/gateway/fuzz.py --minutes 10

test-servers: $(SETUP)   ## the engine contract against real llama.cpp and vLLM servers (installs 3.4 GB)
	@./scripts/test_servers.sh

test-clients: $(SETUP)   ## other clients and harnesses against the gateway (installs 1.3 GB)
	@./scripts/test_clients.sh

test-extras: $(SETUP)   ## what needs an extra: torch, ONNX, OpenTelemetry (installs 1.7 GB)
	@./scripts/test_extras.sh

docs: $(SETUP)   ## build the documentation into site/
	@UV_PROJECT_ENVIRONMENT=$(VENV) .venv-uv/bin/uv run --frozen --group docs mkdocs build --strict --quiet

lock: | .venv-uv/bin/uv   ## resolve the dependencies anew
	@.venv-uv/bin/uv lock

clean:   ## forget everything that was set up or built
	@rm -rf $(VENV) .venv-uv .venv-servers .venv-clients .venv-extras .venv-bench .venv-peers site demo dist .pytest_cache .ruff_cache .hypothesis
