# Two commands on a fresh clone: `make dev` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
POETRY := $(VENV)/poetry/bin/poetry
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help

.PHONY: help
help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1m%-12s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Poetry only reads the lock; pip installs, with every hash checked, from whatever index pip is set up for.
$(POETRY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "OpsConnect needs Python 3.11 or newer: make PYTHON=python3.12 …"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Preparing $(VENV) (once) …"
	@$(PYTHON) -m venv $(VENV)/poetry
	@$(VENV)/poetry/bin/pip install --quiet --disable-pip-version-check 'poetry>=2.5,<2.6' 'poetry-plugin-export>=1.10,<2'

$(INSTALLED): poetry.lock pyproject.toml | $(POETRY)
	@echo "Installing the locked dependencies …"
	@$(POETRY) check --lock --quiet || { echo "poetry.lock does not fit pyproject.toml: run 'poetry lock' and commit it"; exit 1; }
	@$(POETRY) export --quiet --extras embedded --with dev --output $(VENV)/requirements.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/requirements.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.PHONY: install
install: $(INSTALLED) ## Install into .venv, exactly what poetry.lock says

.PHONY: dev
dev: $(INSTALLED) ## Run everything on this machine: Postgres, Redis-compatible server, migrations, API
	@exec $(BIN)/opsconnect dev $(ARGS)

.PHONY: test
test: $(INSTALLED) lint typecheck ## Run the linters, the type checker and every test against real servers
	@$(BIN)/python -m pytest $(ARGS)

.PHONY: lint
lint: $(INSTALLED) ## Check style, the walls between the rooms, and file sizes
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet || { echo "not formatted: run 'make format'"; exit 1; }
	@$(BIN)/lint-imports --no-cache | tail -3

.PHONY: format
format: $(INSTALLED) ## Format the code
	@$(BIN)/ruff check --fix --quiet
	@$(BIN)/ruff format

.PHONY: typecheck
typecheck: $(INSTALLED) ## Check the types (mypy, strict)
	@$(BIN)/mypy

.PHONY: clean
clean: ## Remove what was installed and cached (never the data in .opsconnect)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Everything it needs it starts itself; only the load generator comes from the system.
ROUNDS ?= 5
SECONDS ?= 10

.PHONY: bench
bench: $(INSTALLED) wrk ## Measure intake beside bare uvicorn (ROUNDS=5 SECONDS=10); docs/performance.md
	@$(BIN)/python -m tests.bench --rounds $(ROUNDS) --seconds $(SECONDS) $(ARGS)

.PHONY: bench-quick
bench-quick: $(INSTALLED) wrk ## The same in two minutes at most, noise or not
	@$(BIN)/python -m tests.bench --rounds 3 --seconds 4 --repeats 0 --patience 3 $(ARGS)

.PHONY: wrk
wrk:
	@command -v wrk >/dev/null || { echo "benchmarks need wrk: apt-get install wrk, or brew install wrk"; exit 1; }
