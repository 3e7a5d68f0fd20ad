# What a person types. Everything runs from .venv, which `make setup` fills once with just what requirements.lock
# names; a file in it remembers that this was done.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
SEEDS ?= 1000
BIN := .venv/bin
STAMP := .venv/.made
LOCK_WITH := uv pip compile pyproject.toml - --extra dev --generate-hashes --universal --python-version 3.11 \
	--no-emit-index-url --no-header

.PHONY: help setup test lint demo demo-check demo-kill simulate bench lock clean

help:
	@echo 'make setup          .venv with exactly the packages of requirements.lock (done once)'
	@echo 'make test           every test'
	@echo 'make lint           format, lint, types, import rules'
	@echo 'make demo           a network of five nodes on this machine, with invented patients'
	@echo 'make demo-check     the same, walked through from end to end and judged'
	@echo 'make demo-kill      the same, while nodes are killed'
	@echo 'make simulate SEEDS=1000   many nodes in one process, faults by seed'
	@echo 'make bench          the hot paths, measured'
	@echo 'make lock           requirements.lock anew from pyproject.toml (needs uv)'
	@echo 'make clean          all that was made here, but not the source'

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'Carecord needs Python 3.11 or newer; $(PYTHON) is older (make setup PYTHON=... names another).' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo 'This Python cannot make virtual environments. On Debian: apt install python3-venv' >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $(STAMP)

test: setup
	$(BIN)/pytest -q

lint: setup
	$(BIN)/ruff format --check --quiet
	$(BIN)/ruff check --quiet
	$(BIN)/mypy
	$(BIN)/lint-imports

demo: setup
	$(BIN)/carecord demo

demo-check: setup
	$(BIN)/carecord demo --check

demo-kill: setup
	$(BIN)/carecord demo --kill

simulate: setup
	$(BIN)/python -m tests.simulation --seeds $(SEEDS)

bench: setup
	$(BIN)/carecord bench

lock:
	echo 'setuptools>=80' | $(LOCK_WITH) -o requirements.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .bench .carecord build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
