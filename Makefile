# Two commands on a fresh clone: `make dev` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
POETRY := $(VENV)/poetry/bin/poetry
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help

.PHONY: help
help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1m%-13s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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
dev: $(INSTALLED) ## Run everything on this machine: Postgres, Redis-compatible server, migrations, API and worker
	@exec $(BIN)/opsconnect dev $(ARGS)

# Two at a time, each with servers of its own; one file stays together, since its tests share a process.
# Bytecode is kept whatever the environment says of it: else each of many processes would compile everything anew.
.PHONY: test
test: $(INSTALLED) lint typecheck ## Run the linters, the type checker and every test against real servers
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

.PHONY: fuzz
fuzz: $(INSTALLED) ## Try each scheme with 20,000 examples (an hour), and send 50,000 broken requests (FUZZ_SEED repeats these)
	@FUZZ_CASES=$${FUZZ_CASES:-50000} $(BIN)/python -m pytest tests/web/test_mutations.py -s $(ARGS)
	@FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-20000} $(BIN)/python -m pytest tests/unit/catalog tests/unit/test_job_life.py $(ARGS)

.PHONY: drains
drains: $(INSTALLED) ## Let twenty services leave under load, one after another, and see that no sender notices
	@DRAINS=$${DRAINS:-20} $(BIN)/python -m pytest tests/e2e/test_drains.py -s $(ARGS)

.PHONY: chaos
chaos: $(INSTALLED) ## Send 10,000 events through workers that are killed, frozen or end by themselves, fifty times (CHAOS_SEED)
	@CHAOS_EVENTS=$${CHAOS_EVENTS:-10000} CHAOS_FAULTS=$${CHAOS_FAULTS:-50} $(BIN)/python -m pytest tests/e2e/test_jobs_survive.py -s $(ARGS)

.PHONY: slow
slow: $(INSTALLED) ## Measure what 2,000 slow clients cost everybody else
	@SLOW_SOCKETS=$${SLOW_SOCKETS:-2000} $(BIN)/python -m pytest tests/web/test_slow_clients.py -m slow -s $(ARGS)

.PHONY: lint
lint: $(INSTALLED) ## Check style and the walls between the rooms
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

# Containers: Docker with its Compose plugin is all they need.
COMPOSE := docker compose --env-file .env.compose
COMPOSE_SECRETS := ADMIN_KEY DEMO_SECRET OWNER_PASSWORD POSTGRES_PASSWORD REDIS_PASSWORD SERVING_PASSWORD

# Made once and then left alone: the database in the volume knows these passwords too.
.env.compose:
	@umask 077 && { \
	echo "# Made once by 'make up': the passwords of the containers. Keep it as long as their data."; \
	for name in $(COMPOSE_SECRETS); do \
		value=$$(od -An -v -N24 -tx1 /dev/urandom | tr -d ' \n') && test $${#value} -eq 48 || exit 1; \
		echo "$$name=$$value"; \
	done; } > $@.new && mv $@.new $@

.PHONY: up
up: .env.compose ## Run everything in containers: Postgres, Valkey, Jaeger, migrations, API and worker
	@REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) $(COMPOSE) up --build --detach --wait
	@echo
	@echo "  API      http://127.0.0.1:8000/docs   the key is ADMIN_KEY in .env.compose"
	@echo "  Traces   http://127.0.0.1:16686"
	@echo "  Sources  $(COMPOSE) run --rm --no-deps -v ./opsconnect.example.yaml:/sources.yaml:ro api apply -f /sources.yaml"
	@echo "  Logs     $(COMPOSE) logs --follow api worker"

.PHONY: down
down: ## Stop the containers; their data stay in the volume
	@test -f .env.compose || { echo "nothing to stop: there is no .env.compose, which 'make up' writes"; exit 1; }
	@$(COMPOSE) down

.PHONY: image
image: ## Build the container image alone, as opsconnect:local
	@docker build --build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) --tag opsconnect:local .
# Everything it needs it starts itself; only the load generator comes from the system.
ROUNDS ?= 5
SECONDS ?= 10

.PHONY: bench
bench: $(INSTALLED) wrk ## Measure intake and jobs beside what others do (ROUNDS=5 SECONDS=10); docs/performance.md
	@$(BIN)/python -m tests.bench --rounds $(ROUNDS) --seconds $(SECONDS) --overload 10 $(ARGS)
	@$(BIN)/python -m tests.bench.verification
	@$(BIN)/python -m tests.bench.jobs

.PHONY: bench-quick
bench-quick: $(INSTALLED) wrk ## The same in two minutes at most, noise or not, without the flood
	@$(BIN)/python -m tests.bench --rounds 3 --seconds 3 --patience 5 --within 80 $(ARGS)

.PHONY: overload
overload: $(INSTALLED) wrk ## Flood one process with five times what it sustains, for a minute
	@$(BIN)/python -m tests.bench.overload $(ARGS)

.PHONY: bench-verify
bench-verify: $(INSTALLED) ## Measure what one verification costs, for ten providers
	@$(BIN)/python -m tests.bench.verification $(ARGS)

.PHONY: bench-jobs
bench-jobs: $(INSTALLED) ## Measure jobs beside Celery, procrastinate and DBOS, and how long an event waits for its step
	@$(BIN)/python -m tests.bench.jobs $(ARGS)

.PHONY: wrk
wrk:
	@command -v wrk >/dev/null || { echo "benchmarks need wrk: apt-get install wrk, or brew install wrk"; exit 1; }
