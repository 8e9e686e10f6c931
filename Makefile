# The ways in. Each target makes what it needs by itself; `make help` lists them.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# -qq: pip speaks only when something is wrong.
PIP    := $(BIN)/pip --disable-pip-version-check --no-input install -qq -c constraints.txt

# `git track` is found on PATH, so the environment's own bin folder comes first.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help demo test check faults frameworks husky azurite bench clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(VENV)/.demo ## a real training run, tracked and pushed, in a throw-away repository
	@git track demo

test: $(VENV)/.dev ## the quick tests
	@python -m pytest -m "not bench and not faults" $(ARGS)

check: $(VENV)/.dev ## lint, types, layers, generated docs, then the quick tests: what CI runs
	@ruff check --quiet .
	@ruff format --quiet --check .
	@mypy --no-error-summary
	@lint-imports --no-logo
	@python docs/generate.py --check
	@$(MAKE) --no-print-directory test

faults: $(VENV)/.dev ## kill, fill and race: the tests of what must survive
	@python -m pytest -m faults $(ARGS)

frameworks: $(VENV)/.frameworks ## install PyTorch, for the tests that train with it; they are skipped without

husky: $(VENV)/node/.husky ## install Husky, for the tests of hooks beside it; they are skipped without

azurite: $(VENV)/node/.azurite ## install azurite, for the tests of stores on Azure; they are skipped without

bench: $(VENV)/.dev ## measure the budgets
	@python tests/benchmarks/bench.py $(ARGS)

clean: ## remove everything that can be made again
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: '$(PYTHON)' is older than Python 3.11" >&2; \
	    echo "hint: \`make PYTHON=python3.12 ...\` names another" >&2; exit 1; }
	@echo "making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing gittrack and what the demo needs into $(VENV) ..."
	@$(PIP) -e '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing gittrack and its development tools into $(VENV) ..."
	@$(PIP) -e '.[dev]'
	@touch $@

$(VENV)/.frameworks: constraints.txt | $(VENV)/.dev
	@echo "installing PyTorch into $(VENV) ..."
	@$(PIP) torch
	@touch $@

$(VENV)/node/.husky: | $(BIN)/python
	@echo "installing Husky into $(VENV) ..."
	@npm install --silent --no-audit --no-fund --prefix $(VENV)/node husky@9
	@touch $@

$(VENV)/node/.azurite: | $(BIN)/python
	@echo "installing azurite into $(VENV) ..."
	@npm install --silent --no-audit --no-fund --prefix $(VENV)/node azurite@3
	@touch $@
