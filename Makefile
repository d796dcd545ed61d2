# Two commands for a new user, each from a bare Python 3.11 on Linux:
#   make search   make the environment and run the main job on the bundled corpus
#   make test     make the environment and run every check
# PYTHON=/path/to/python3.11 chooses the interpreter; BUDGET=20 makes a short search.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BUDGET ?= 200
VENV := .venv
BIN := $(VENV)/bin

.PHONY: search test lint clean

search: $(VENV)/.ready
	@echo "== searching: $(BUDGET) full trainings on the bundled corpus"
	$(BIN)/nas search --space pts_snn.yaml --budget $(BUDGET)

test: lint
	@echo "== running the tests"
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

lint: $(VENV)/.ready-dev
	@echo "== checking style and types"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/bin/python:
	@echo "== making a virtual environment in $(VENV) with $(PYTHON)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "nas needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -m venv $(VENV) \
	  || { rm -rf $(VENV); echo "the venv module failed; on Debian: apt install python3-venv"; exit 2; }

$(VENV)/.ready: $(VENV)/bin/python pyproject.toml
	@echo "== installing nas (PyTorch is about 6 GB with CUDA; this takes some minutes)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	@echo "== installing the development tools"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
