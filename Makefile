# Everything runs from .venv, which `make` builds by itself. Recipes name relative paths only: the checkout may lie in a
# folder with spaces. Settings: PORT, SANDBOX_PORT, MIN_FREE_MB (see .env.example and docs/development.md).
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo demo-reset stop test test-browser test-faults check format bench messages lock shell doctor clean

PY := .venv/bin/python
UV := .venv/bin/uv
VENDOR := var/vendor/.stamp
COMPILE := $(UV) pip compile --universal --generate-hashes --no-annotate -q --custom-compile-command "make lock"
# not writing bytecode doubles the time of every start
unexport PYTHONDONTWRITEBYTECODE
export PYTHONUNBUFFERED = 1

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' Makefile

demo: .venv/.ready-demo $(VENDOR) ## the whole product with demo brands on this machine; Ctrl-C stops it
	@$(PY) -m devtools.stack demo

demo-reset: .venv/.ready-demo ## stop the demo and remove its data; the next `make demo` starts over
	@$(PY) -m devtools.stack reset

stop: .venv/.ready-demo ## stop a demo that runs in another window
	@$(PY) -m devtools.stack stop

test: .venv/.ready-dev $(VENDOR) ## all tests; ARGS="tests/org -k audit" picks some
	@$(PY) -m devtools.messages compile
	@$(PY) -m pytest -n $(or $(WORKERS),2) $(ARGS)

test-faults: .venv/.ready-dev $(VENDOR) ## only the tests that kill real processes in the middle of a rush and a sync
	@$(PY) -m devtools.messages compile
	@$(PY) -m pytest tests/faults $(ARGS)

test-browser: .venv/.ready-dev $(VENDOR) ## only the tests that drive Chromium
	@$(PY) -m devtools.messages compile
	@$(PY) -m pytest -m browser $(ARGS)

check: .venv/.ready-dev $(VENDOR) ## linters, types, import layers, migrations, deploy check, messages, locks
	@$(PY) -m devtools.stack run --fresh -- $(PY) -m devtools.check $(ARGS)

format: .venv/.ready-dev ## rewrite our Python the way `make check` wants it
	@$(PY) -m ruff check --fix-only -q . && $(PY) -m ruff format .

bench: .venv/.ready-dev $(VENDOR) ## the figures, with Postgres' settings as in docker-compose.yml; SCALE=full for the big ones
	@PG_OPTIONS="shared_buffers=512MB max_wal_size=4GB checkpoint_timeout=30min jit=off" $(PY) -m devtools.stack run --at bench-$(or $(SCALE),small) -- $(PY) -m bench $(ARGS)

messages: .venv/.ready-dev ## collect the strings into locale/*.po and compile them
	@$(PY) -m devtools.messages extract
	@$(PY) -m devtools.messages compile

shell: .venv/.ready-demo ## a shell with the demo's services and settings
	@$(PY) -m devtools.stack run -- $${SHELL:-sh}

doctor: .venv/.ready-demo ## what this machine and checkout look like to the set-up
	@$(PY) -m devtools.stack doctor

lock: .venv/.ready-dev ## new locks from pyproject.toml and frontend/package.json (UPGRADE=1 takes newer versions)
	$(COMPILE) $(if $(UPGRADE),--upgrade) --group bootstrap -o requirements/bootstrap.lock
	$(COMPILE) $(if $(UPGRADE),--upgrade) pyproject.toml --group dev -o requirements/dev.lock
	$(COMPILE) pyproject.toml --group demo -c requirements/dev.lock -o requirements/demo.lock
	$(COMPILE) pyproject.toml --group build -c requirements/dev.lock -o requirements/build.lock
	$(COMPILE) pyproject.toml -c requirements/dev.lock -o requirements/prod.lock
	$(PY) -m devtools.assets lock

clean: ## remove the environment and everything under var/, demo data too
	@test ! -x $(PY) || $(PY) -m devtools.stack clean
	rm -rf .venv .boot var

# one .venv serves all locks: dev holds everything that demo does, in the same versions
.venv/.ready-%: requirements/%.lock requirements/bootstrap.lock devtools/bootstrap.sh
	@if [ $* = dev ] || ! [ .venv/.ready-dev -nt $< ]; then sh devtools/bootstrap.sh $<; fi
	@touch $@

$(VENDOR): frontend/package.json frontend/package-lock.json devtools/assets.py
	@$(PY) -m devtools.assets
	@touch $@
