# `make demo` shows the library at work, `make test` runs every check. Both do all the
# set-up by themselves; they need Python 3.10 or newer, and PyPI.

VENV := .venv
BIN := $(VENV)/bin

# A CPython of pyenv's is not on the path by its own name; put last, it is found too.
export PATH := $(PATH):$(subst $() ,:,$(wildcard $(HOME)/.pyenv/versions/3.1[0-3].*/bin))

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.10; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null \
	&& echo $$python && break; done)

.PHONY: demo test docs soak bench clean

demo: $(VENV)/.ready
	@$(BIN)/wxlogistics demo

test: $(VENV)/.ready
	$(BIN)/tox run-parallel --parallel 2 --parallel-no-spinner

docs: $(VENV)/.ready
	@$(BIN)/pip install -q --disable-pip-version-check -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "Open site/index.html"

soak: $(VENV)/.ready
	@$(BIN)/pip install -q --disable-pip-version-check -e '.[dev]'
	$(BIN)/python tests/soak.py --seconds 120

bench: $(VENV)/.ready
	@$(BIN)/pip install -q --disable-pip-version-check -e '.[bench]'
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.bench_bulk

$(VENV)/.ready: setup.cfg
	@test -n "$(PYTHON)" || { echo "No Python 3.10 or newer was found."; exit 1; }
	@echo "Setting up $(VENV) with $(PYTHON) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -q --disable-pip-version-check -e '.[all]' 'tox>=4.21'
	@touch $@

clean:
	rm -rf $(VENV) .tox site .mypy_cache .pytest_cache build dist *.egg-info .coverage*
