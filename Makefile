# Every command of the project. Each first brings .venv to the lock files, which costs nothing when it is there.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export PYTHONUTF8 := 1
unexport PYTHONDONTWRITEBYTECODE PYTHONHOME VIRTUAL_ENV

BIN := .venv/bin
WORKERS ?= 2

.PHONY: help setup setup-dev demo dev notebook test check lint format types walls bench bench-compare lock clean

help: ## this list
	@printf '\n  \033[1mElmer Pipelines\033[0m  what customers say, traced into product decisions\n\n'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make \033[36m%-13s\033[0m %s\n", $$1, $$2}' Makefile
	@printf '\n  Start with \033[1mmake demo\033[0m, then \033[1mmake dev\033[0m. The command itself: %s --help\n\n' '$(BIN)/elmer'

setup: ## make .venv from the lock file
	@scripts/setup run

setup-dev:
	@scripts/setup dev

demo: setup ## run the whole pipeline over the sample workspace
	@$(BIN)/elmer demo

dev: setup ## Dagster's UI, daemon and code location, until Ctrl-C
	@$(BIN)/elmer dev

notebook: setup ## JupyterLab on the notebooks
	@scripts/notebook $(ARGS)

test: setup-dev ## every test
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -q $(ARGS)

check: lint types walls test ## lint, types, walls, then the tests

lint: setup-dev ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: setup-dev ## let ruff rewrite what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: setup-dev ## mypy, strict
	@$(BIN)/mypy

walls: setup-dev ## import-linter: which package may know which
	@$(BIN)/lint-imports --no-logo

bench-compare: setup-dev ## install what clusters are measured beside, in .venv-bench
	@cmp -s requirements-bench.txt .venv-bench/made || { \
	  $(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-bench && \
	  $(BIN)/uv pip install --quiet --system-certs --python .venv-bench/bin/python --require-hashes -r requirements-bench.txt && \
	  cp requirements-bench.txt .venv-bench/made; }

bench: bench-compare ## measure speed and quality, one table
	@$(BIN)/python -m benchmarks $(ARGS)

lock: setup-dev ## resolve pyproject.toml into the lock files again
	@scripts/lock $(ARGS)

clean: ## stop the embedded database and remove everything that was made here
	@scripts/clean
