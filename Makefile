# The entry for people: each target makes what it needs first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Each run of a flow is a process of its own: without its byte code, kept once, it would compile all of
# Prefect anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test test-long test-real lint schema reference docs show-onboard show-real show-robust show-drift \
        show-rotate show-platform show-migrate show-reality show-isolation show-lifecycle \
        show-structure show-operate show-speed mutants clean

setup: $(READY)

# uv installs exactly what the lock file says.
$(READY): pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed: make setup PYTHON=python3.12") if sys.version_info < (3, 11) else 0'
	@test -x $(BIN)/uv || $(PYTHON) -m venv --clear $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'
	$(BIN)/uv sync --quiet --locked --inexact --extra sandbox --extra keyring --python $(BIN)/python
	touch $@

demo: setup
	$(BIN)/python -m demo $(ARGS)

# Three processes on two cores: one of them mostly waits for runs of flows.
test: setup
	$(BIN)/python -m pytest -m "not real and not long" -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

test-long: setup
	$(BIN)/python -m pytest -m "long and not real" -n 2 --dist loadgroup $(ARGS)

test-real: setup
	$(BIN)/python -m tests.real.servers.prerequisites
	$(BIN)/python -m pytest tests/real tests/conformance -m "real and not long" --target real $(ARGS)

lint: setup
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --quiet --check .
	$(BIN)/mypy --no-error-summary

# Writes the JSON Schemas of the declared state and of the drift report anew; a test says when they
# are old.
schema: setup
	$(BIN)/python -m tenantry.declared.schema docs/schema
	$(BIN)/python -m tenantry.drift.reports.schema docs/schema

# Writes the tables of the documentation that are generated from the code; a test says when they are old.
reference: setup
	$(BIN)/python -m docs.site reference

# Builds the site of the documentation into .site/html. A broken link, a missing anchor, or a page that is
# not in the navigation is an error.
docs: setup
	$(BIN)/python -m docs.site

# Each prints a line for each demand of an acceptance suite; docs/testing.md describes them.
show-onboard: setup
	$(BIN)/python -m pytest --show onboard $(ARGS)

show-drift: setup
	$(BIN)/python -m pytest --show drift $(ARGS)

show-platform: setup
	$(BIN)/python -m tests.real.servers.prerequisites
	$(BIN)/python -m pytest --show platform $(ARGS)

show-real: setup
	$(BIN)/python -m pytest --show real $(ARGS)

show-rotate: setup
	$(BIN)/python -m pytest --show rotate $(ARGS)

show-robust: setup
	$(BIN)/python -m pytest --show robust $(ARGS)

show-migrate: setup
	$(BIN)/python -m tests.real.servers.prerequisites
	$(BIN)/python -m pytest --show migrate $(ARGS)

show-reality: setup
	$(BIN)/python -m pytest --show reality $(ARGS)

show-isolation: setup
	$(BIN)/python -m pytest --show isolation $(ARGS)

show-lifecycle: setup
	$(BIN)/python -m pytest --show lifecycle $(ARGS)

show-structure: setup
	$(BIN)/python -m pytest --show structure $(ARGS)

show-speed: setup
	$(BIN)/python -m pytest --show speed $(ARGS)

show-operate: setup
	$(BIN)/python -m pytest --show operate $(ARGS)

# Cosmic Ray, which makes the mutants, is installed for this only.
mutants: setup
	$(BIN)/uv sync --quiet --locked --inexact --extra sandbox --group mutants --python $(BIN)/python
	$(BIN)/python -m tests.mutants run $(ARGS)

clean:
	rm -rf $(VENV) .mutants .site .mypy_cache .pytest_cache .ruff_cache .hypothesis
