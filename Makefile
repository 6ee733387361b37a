# `make demo` and `make test` need Python 3.11 to 3.13 and make, nothing else.
#   PYTHON      interpreter for the virtual environment; found on the PATH when not given
#   VENV        where the virtual environment lies
#   TORCH_ARGS  options for installing torch alone. A plain install on Linux may bring CUDA libraries (several GB); name
#               PyTorch's CPU index to avoid that: make demo TORCH_ARGS="--index-url <CPU index>"
#   DEMO_ARGS   Hydra overrides of the demo, e.g. DEMO_ARGS="data=hillstrom"
#   TEST_ARGS   options of pytest, e.g. TEST_ARGS="-k journey"
#   MUTANT_ARGS what `make mutants` changes, e.g. MUTANT_ARGS="nurture_rl/ope/bounds" for all operators of one room;
#               "--estimators" for every sign of every estimator
VENV ?= .venv
DEMO_ARGS ?=
TEST_ARGS ?= -n 3 --dist worksteal
MUTANT_ARGS ?= --rooms --values --sample 120

ifndef PYTHON
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
endif

PY   = $(VENV)/bin/python
PIP  = $(PY) -m pip --disable-pip-version-check
LOCK = requirements/lock-py311.txt
export MLFLOW_DISABLE_TELEMETRY = true

.DELETE_ON_ERROR:
.PHONY: demo quick test lint mutants docs interop lock clean

demo: $(VENV)/.ok-core
	"$(VENV)/bin/nurture" pipeline $(DEMO_ARGS)

# What to run after every change: a minute or two on two cores. Slow tests are left out, see tests/quick.py.
quick: lint
	"$(PY)" -m pytest tests/unit --quick -q $(TEST_ARGS)

test: $(VENV)/.ok-dev
	"$(PY)" -m pytest $(TEST_ARGS)

lint: $(VENV)/.ok-dev
	"$(PY)" -m ruff check .
	"$(PY)" -m ruff format --check .
	"$(PY)" -m mypy

# Changes one sign or value of the code at a time, a seeded sample; fails and prints those that no test notices.
mutants: $(VENV)/.ok-dev
	"$(PY)" tools/flip_signs.py $(MUTANT_ARGS)

# The pages of docs/ that are written from the code.
docs: $(VENV)/.ok-dev
	"$(PY)" tools/make_docs.py

$(VENV)/.ok-venv:
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo 'Python 3.11 to 3.13 is needed, got "$(PYTHON)"; name one: make PYTHON=/path/to/python3.11' >&2; exit 1; }
	"$(PYTHON)" -m venv "$(VENV)"
	$(PIP) install -q pip==26.3
	@touch "$@"

# torch comes first and alone, so that no other package chooses its build. Setuptools warns at length about every
# editable install; that is no news here.
$(VENV)/.ok-core: pyproject.toml $(LOCK) $(VENV)/.ok-venv
	@echo 'Installing: about 2 GB with torch, a minute or two'
	$(PIP) install -q -c $(LOCK) $(TORCH_ARGS) torch
	PYTHONWARNINGS=ignore $(PIP) install -q -c $(LOCK) -e .
	@touch "$@"

$(VENV)/.ok-dev: $(VENV)/.ok-core
	PYTHONWARNINGS=ignore $(PIP) install -q -c $(LOCK) -e '.[dev]'
	@touch "$@"

# d3rlpy needs an older Gymnasium than ours, so it reads our files in an environment of its own.
interop: $(VENV)/.ok-dev build/d3rlpy/.ok
	NURTURE_D3RLPY_PYTHON="$(CURDIR)/build/d3rlpy/bin/python" "$(PY)" -m pytest tests/interchange $(TEST_ARGS)

build/d3rlpy/.ok:
	"$(PYTHON)" -m venv build/d3rlpy
	build/d3rlpy/bin/python -m pip install -q $(TORCH_ARGS) torch==2.13.0
	build/d3rlpy/bin/python -m pip install -q d3rlpy==2.8.1
	@touch "$@"

# Keeps the pins that still fit; delete a line of the lock first to move it.
lock:
	rm -rf build/lock && mkdir -p build/lock
	"$(PYTHON)" -m venv build/lock/venv
	build/lock/venv/bin/python -m pip install -q pip-tools==7.6.2
	cp $(LOCK) build/lock/lock.txt
	build/lock/venv/bin/python -m piptools compile -q --all-extras --strip-extras --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host -o build/lock/lock.txt pyproject.toml
	sed -E -e '/^(#.*)?$$/d' -e 's/\+cpu$$//' build/lock/lock.txt > $(LOCK)

clean:
	rm -rf "$(VENV)" build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
