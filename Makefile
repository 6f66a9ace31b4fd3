# Two commands on a fresh machine: `make run` and `make test`. Needs git, Python 3.11+ and a package index.
.DEFAULT_GOAL := help
.PHONY: help run test test-long fuzz lint bench lock clean

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUN    ?= run
FUZZ   ?= --runs 1000000 --seconds 1800 --jobs 2

help:  ## show what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Lightship needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

# What each command needs, from lock files with hashes; then the project itself, editable.
$(VENV)/.run: requirements/run.txt pyproject.toml | $(VENV)/bin/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(VENV)/bin/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.run

$(VENV)/.fuzz: requirements/fuzz.txt $(VENV)/.dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary atheris \
	  -r requirements/fuzz.txt || echo "atheris cannot be installed here: fuzzing will be skipped" >&2
	@touch $@

run: $(VENV)/.run  ## set up, run the exercise on the embedded store, then serve
	@$(BIN)/lightship run --hub $(RUN)

lint: $(VENV)/.dev  ## ruff and mypy
	@$(BIN)/ruff check --no-cache .   # a cache does not notice that a module became our own
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

test: lint  ## set up and run the tests
	@$(BIN)/pytest -q -n auto --dist loadfile -m 'not long'

test-long: $(VENV)/.dev $(VENV)/.fuzz  ## the long tests too: kill -9 in 200 rounds, larger sets, 10^6 fuzz inputs
	@$(BIN)/pytest -q -m long
	@PYTHONPATH=tests $(BIN)/python -m fuzz $(FUZZ)

fuzz: $(VENV)/.fuzz  ## fuzz posts, queries, patterns and connections (FUZZ="--runs 10000000 --seconds 7200")
	@PYTHONPATH=tests $(BIN)/python -m fuzz $(FUZZ)

bench: $(VENV)/.dev  ## measure beside the peers and write docs/performance.md (about half an hour; BENCH=--quick to try, BENCH=--resume to go on)
	@$(BIN)/python -m benchmarks $(BENCH)

lock:  ## renew the lock files (needs uv)
	uv pip compile pyproject.toml --extra build --extra exercise --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-emit-index-url -q -o requirements/run.txt
	uv pip compile pyproject.toml --extra build --extra exercise --extra dev --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-emit-index-url -q -o requirements/dev.txt
	uv pip compile pyproject.toml --extra build --extra exercise --extra dev --extra fuzz --universal \
	  --python-version 3.11 -c requirements/dev.txt \
	  --generate-hashes --no-header --no-emit-index-url -q -o requirements/fuzz.txt

clean:  ## remove the virtual environment and caches, not the data
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
