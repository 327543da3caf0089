# Everything installs itself into .venv on first use; PYTHON=python3.13 picks another interpreter.
PYTHON ?= python3
PYTHON_OLDEST ?= python3.11
PYTHON_NEWEST ?= python3.13
WORKERS ?= 2
PYTEST_ARGS ?=

BIN := .venv/bin
PYTEST := -m pytest -n $(WORKERS) --dist worksteal

.PHONY: help install demo test test-slow test-install test-oldest test-newest check format bench site lock release clean
.DELETE_ON_ERROR:

help:
	@echo 'make demo         CartPole from 25 transitions: IQ-Learn beside cloning, a table and a report page'
	@echo 'make test         fast tests                 make test-slow    the others too'
	@echo 'make check        ruff, mypy, import layers  make format       let ruff rewrite'
	@echo 'make site         the documentation as pages, in build/site'
	@echo 'make bench        speed and memory           make lock         renew requirements/'
	@echo 'make test-oldest  oldest dependencies        make test-newest  newest ones'
	@echo 'make test-install the wheel by itself, in an environment of its own'
	@echo 'make release      wheel and sdist in build/release, tested where they are installed'

install: .venv/installed

# $(1) interpreter, $(2) folder, kept where it works. Debian without python3-venv has no ensurepip: the system's pip can stand in.
define make_venv
	@$(1) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one so: make PYTHON=python3.11" >&2; exit 1; }
	@if $(2)/bin/python -m pip --version >/dev/null 2>&1; then exit 0; fi; rm -rf $(2); \
	if $(1) -c 'import ensurepip' 2>/dev/null; then $(1) -m venv $(2); \
	elif $(1) -m venv --without-pip $(2) && $(1) -m pip --version >/dev/null 2>&1; then \
	  $(1) -m pip --python $(2)/bin/python install --quiet pip; \
	else \
	  rm -rf $(2); \
	  echo "$(1) can make no virtual environment. On Debian: apt-get install python3-venv" >&2; exit 1; \
	fi
endef

.venv/installed: setup.cfg pyproject.toml requirements/lock.txt
	$(call make_venv,$(PYTHON),.venv)
	@echo 'Installing into .venv (1.3 GB, a few minutes on the first run) ...'
	$(BIN)/python -m pip install --quiet --requirement requirements/lock.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

build/venv-oldest/installed: setup.cfg pyproject.toml requirements/lock-oldest.txt
	$(call make_venv,$(PYTHON_OLDEST),build/venv-oldest)
	build/venv-oldest/bin/python -m pip install --quiet --requirement requirements/lock-oldest.txt
	build/venv-oldest/bin/python -m pip install --quiet --no-deps --editable .
	@touch $@

build/venv-newest/installed: setup.cfg pyproject.toml
	$(call make_venv,$(PYTHON_NEWEST),build/venv-newest)
	build/venv-newest/bin/python -m pip install --quiet --editable '.[test,box2d,mujoco,minari]'
	@touch $@

demo: .venv/installed
	$(BIN)/python -m experiments.demo

# 34 of these tests took 136 s instead of 201; test-slow runs all as users do, fully optimised
test: .venv/installed
	JAX_DISABLE_MOST_OPTIMIZATIONS=1 $(BIN)/python $(PYTEST) -m "not slow" $(PYTEST_ARGS)

test-slow: .venv/installed
	$(BIN)/python $(PYTEST) $(PYTEST_ARGS)

test-install: .venv/installed
	$(BIN)/python -m pytest $(PYTEST_ARGS) tests/test_install.py

# what a release consists of, and the test that it works where it is installed
release: .venv/installed
	rm -rf build/release build/lib build/bdist.* && mkdir -p build/release
	$(BIN)/python -c "from setuptools import build_meta as b; b.build_sdist('build/release'); b.build_wheel('build/release')" >/dev/null
	RELEASE=build/release $(BIN)/python -m pytest $(PYTEST_ARGS) tests/test_install.py
	@ls build/release

test-oldest: build/venv-oldest/installed
	build/venv-oldest/bin/python $(PYTEST) -m "not slow" $(PYTEST_ARGS)

test-newest: build/venv-newest/installed
	build/venv-newest/bin/python $(PYTEST) -m "not slow" $(PYTEST_ARGS)

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

site: .venv/installed
	$(BIN)/python -m mkdocs build --quiet
	@echo "build/site/index.html; to look at it, with search: $(BIN)/python -m mkdocs serve"

bench: .venv/installed
	$(BIN)/python -m benchmarks.run

# One lock for Python 3.11 to 3.13, and one at the lower bounds of setup.cfg.
UV_COMPILE := $(BIN)/uv pip compile --quiet --no-header --no-annotate --upgrade pyproject.toml
lock: .venv/installed
	$(BIN)/python -m pip install --quiet uv
	$(UV_COMPILE) --universal --python-version 3.11 --extra dev -o requirements/lock.txt
	$(UV_COMPILE) --resolution lowest-direct --python-version 3.11 --extra test --extra box2d -o requirements/lock-oldest.txt

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
