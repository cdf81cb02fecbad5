# What continuous integration does, each step under its own name. Needs python3 (3.11 or newer), make and git.
#   make test PYTHON=python3.12 VENV=build/other     with another interpreter, in another place
#   make test ARGS="tests/test_runlog.py -x"         a part of the suite

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DOCS_TEST := $(wildcard tests/test_docs.py)

.PHONY: help setup demo test test-slow tools bars bench test-all identical clients check docs format lock build clean
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Tests start hundreds of processes: without compiled files each would compile the whole package.
unexport PYTHONDONTWRITEBYTECODE

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: $(READY) ## the virtual environment: dependencies by their hashes, wireproof itself editable
$(READY): requirements/dev.txt pyproject.toml .ci/venv
	@.ci/venv "$(PYTHON)" "$(VENV)"
	@touch $@

demo: $(READY) ## the whole tour on the embedded mock; ends with the path of an HTML report
	@$(BIN)/wireproof demo

test: $(READY) ## the suite, in parallel (WORKERS=2)
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow" $(ARGS)

test-slow: $(READY) ## the slower proofs: foreign hosts, whole clients, packages, pages
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "slow and not clients" $(ARGS)

bars: $(READY) ## what a truthful load test must hold, measured against hosts whose law is known (a quarter of an hour)
	@$(BIN)/python bench/load_bars.py $(ARGS)

bench: $(READY) ## our speed beside what it stands on and beside its peers, each measured in one run
	@test -x $(PEER) || { "$(PYTHON)" -m venv build/peer && $(PEER) -m pip --disable-pip-version-check install --quiet schemathesis; } \
		|| { rm -rf build/peer; echo "Schemathesis cannot be installed here: it is left out"; }
	@failed=; peer=$$(test -x $(PEER) && echo "--peer $(PEER)"); \
	for script in bench/load_speed.py bench/mock_speed.py bench/start.py "bench/check_speed.py $$peer"; do \
		echo "== $$script"; timeout $(LONGEST) $(BIN)/python $$script; code=$$?; \
		test $$code -eq 124 && echo "not over after $(LONGEST) s"; test $$code -eq 0 || failed="$$failed $${script%% *}"; \
	done; test -z "$$failed" || { echo "missed:$$failed"; exit 1; }
PEER := build/peer/bin/python
LONGEST ?= 900

test-all: ## the suite on every Python from 3.11 on that is at hand
	@failed=; for python in $$(.ci/pythons); do \
		version=$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); echo "== Python $$version"; \
		$(MAKE) test PYTHON=$$python VENV=build/venv-$$version || failed="$$failed $$version"; \
	done; test -z "$$failed" || { echo "not green on:$$failed"; exit 1; }

identical: ## the mock's answers on every Python from 3.11 on that is at hand, alone and from a store, byte for byte
	@told=; for python in $$(.ci/pythons); do \
		version=$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
		$(MAKE) setup PYTHON=$$python VENV=build/venv-$$version && \
		line=$$(build/venv-$$version/bin/python tests/mock_transcript.py --store) || exit 1; \
		echo "Python $$version: $$line"; told="$$told$$line\n"; \
	done; test "$$(printf "$$told" | sort -u | wc -l)" -eq 1 || { echo "not the same bytes"; exit 1; }

tools: ## other people's tools that read what we export (needs npm), into build/tools; `make test-slow` then runs them
	@"$(PYTHON)" -m venv build/tools
	@build/tools/bin/python -m pip --disable-pip-version-check install --quiet --quiet schemathesis openapi-python-client datamodel-code-generator
	@npm install --prefix build/tools --no-audit --no-fund --silent @stoplight/prism-cli openapi-typescript axe-core

clients: $(READY) ## the published clients against the mock, and docs/clients-published.md (WIREPROOF_CLIENTS)
	@WIREPROOF_CLIENTS=$(WIREPROOF_CLIENTS) $(BIN)/python docs/clients_table.py
WIREPROOF_CLIENTS ?= build/clients

check: $(READY) ## format, lint, types, floors (and docs): everything that runs no request
	@$(BIN)/ruff format --check --output-format concise . || { echo "make format puts this right"; exit 1; }
	@$(BIN)/ruff check --quiet --output-format concise .
	@$(BIN)/python -m mypy --no-error-summary
	@$(BIN)/python -m pytest tests/test_layers.py $(DOCS_TEST)

docs: $(READY) ## the generated pages, and the site in build/site
	@$(BIN)/python docs/generate.py
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "build/site/index.html"

score: $(READY) ## how well defects are found, and how quiet correct hosts are left: docs/score.md
	@$(BIN)/python bench/score.py --write docs/score.md $(ARGS)

money: $(READY) ## two hundred budgets, hosts that charge 30 % more, fifty workers, kill -9 (about four minutes)
	@$(BIN)/python -m pytest -m slow tests/test_budget_proof.py $(ARGS)

again: $(READY) ## every finding of the whole matrix, shown again by replay and by its curl line (many minutes)
	@$(BIN)/python -m pytest -n $(WORKERS) -m slow tests/test_again.py $(ARGS)

loop: $(READY) ## the embedded mock of every endpoint, 200 seeds: no violation in any
	@$(BIN)/python bench/score.py --loop 200

format: $(READY) ## put the format right, and the lint that can be put right safely
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .

lock: ## choose the dependencies anew (needs uv): requirements/*.txt, with hashes and without addresses
	@uv pip compile pyproject.toml --extra dev --upgrade --output-file requirements/dev.txt $(LOCK)
	@uv pip compile pyproject.toml --constraint requirements/dev.txt --output-file requirements/core.txt $(LOCK)
LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links

build: $(READY) ## the wheel and the source distribution, in dist/
	@$(BIN)/python -m hatchling build

clean: ## everything that a run, a build or a test has made
	@rm -rf $(VENV) build dist reports/runs .hypothesis .pytest_cache .mypy_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
