# `make demo` shows the product, `make test` is what CI runs. Both set up .venv by themselves.
SHELL := /bin/sh
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
STAMP := .venv/.installed-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)

.PHONY: help demo test dashboard docs lint types fix venv cassettes benchmarks regression conformance matrix clean

help:
	@echo 'make demo       record, replay offline, break on purpose: the main job, on the embedded mock server'
	@echo 'make test       lint, types, tests and coverage: what CI runs; reports/ has what came of it'
	@echo 'make dashboard  write reports/ of the last run again'
	@echo 'make docs       write what of docs/ is generated'
	@echo 'make venv       only set up .venv'
	@echo 'make fix        let ruff mend what it can'
	@echo 'make cassettes  record the cassettes of examples/ anew'
	@echo 'make benchmarks  measure the recorder beside vcrpy, the mock server beside bare aiohttp, the client beside the SDK'
	@echo 'make regression  measure ratios, and fail where one is worse than the baseline allows'
	@echo 'make matrix     let eight clients meet 25 faults, and write docs/fault-matrix.md'
	@echo 'make conformance  let the own tests of openai-python and nine clients judge the mock server'

venv: $(STAMP)

$(STAMP): pyproject.toml
	@test -n '$(PYTHON)' || { echo 'llmkit needs Python 3.11 or newer on PATH; none of python3, python3.13, python3.12, python3.11 is. Or name one: make PYTHON=/path/to/python venv'; exit 1; }
	@echo 'Setting up .venv with $(PYTHON); this takes about a minute, once.'
	@rm -rf .venv
	@if command -v uv >/dev/null 2>&1; then \
		uv venv --quiet --python $(PYTHON) .venv && uv pip install --quiet --python $(BIN)/python -e '.[dev]'; \
	else \
		$(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'; \
	fi || { echo 'The installation failed, see above. It needs a package index, once: if you are offline or behind a proxy, set PIP_INDEX_URL (or UV_INDEX_URL) and run make again.'; exit 1; }
	@touch $@

demo: venv
	@$(BIN)/python -m scripts.demo

# one more than there are cores, since many tests wait for a process or a clock
test: export PYTEST_XDIST_AUTO_NUM_WORKERS ?= $(shell $(PYTHON) -c 'import os; print(os.cpu_count() + 1)' 2>/dev/null)
test: lint types
	@rm -rf .coverage .coverage.* reports
	@# the reports are wanted most when a test has failed
	$(BIN)/coverage run -m pytest -q -n auto --junitxml=reports/junit.xml; ran=$$?; \
		$(BIN)/coverage combine -q && $(BIN)/python -m scripts.report && exit $$ran
	$(BIN)/coverage report

dashboard: venv
	@$(BIN)/python -m scripts.report

docs: venv
	@$(BIN)/python -m scripts.document_models
	@$(BIN)/python -m scripts.write_reference
	@$(BIN)/python -m scripts.map_requirements

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYTHONPATH=. $(BIN)/lint-imports

types: venv
	$(BIN)/mypy

benchmarks: venv
	@$(BIN)/python -m tests.benchmarks.recorder
	@$(BIN)/python -m tests.benchmarks.mockserver
	@$(BIN)/python -m tests.benchmarks.client

regression: venv
	@$(BIN)/python -m tests.benchmarks.regression

conformance: venv
	@$(BIN)/python -m tests.conformance all

matrix: venv
	@$(BIN)/python -m tests.matrix

cassettes: venv
	@$(BIN)/python -m scripts.record_examples

fix: venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .conformance .demo .coverage .coverage.* reports
