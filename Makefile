# `make demo` shows the library at work, `make test` runs every check. Both do all the
# set-up by themselves; they need Python 3.10 or newer, and PyPI.

VENV := .venv
BIN := $(VENV)/bin

# The system's own Python goes before another of the same version; a CPython of pyenv's
# is not on the path by its own name.
PYTHONS := $(wildcard /usr/bin/python3 $(HOME)/.pyenv/versions/3.1[0-4].*/bin/python3)
export TOX_DISCOVER := $(subst $() ,;,$(PYTHONS))

PYTHON ?= $(shell for python in /usr/bin/python3 python3 python3.14 python3.13 \
	python3.12 python3.11 python3.10 $(PYTHONS); do \
	$$python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 10))' \
	2>/dev/null && echo $$python && break; done)

# Which tests were skipped, and why: each run of pytest adds its lines.
export WXLOGISTICS_SKIPPED := $(CURDIR)/$(VENV)/skipped

.PHONY: demo test docs soak bench mutants fresh clean

demo: $(VENV)/.ready
	@$(BIN)/wxlogistics demo

# Two environments to a core: their tests wait half of their time. The environment "own"
# stands for the Python that it runs on.
test: $(VENV)/.ready
	@own=$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	echo "Every test on $$($(BIN)/python -V), most of them on each other Python from"; \
	echo "3.10 to 3.14 that is here: some 7 minutes on two cores, the first time longer."; \
	rm -rf $(WXLOGISTICS_SKIPPED) .tox/measured; mkdir -p .tox/measured; \
	$(BIN)/tox run-parallel --parallel $$((2 * $$(getconf _NPROCESSORS_ONLN))) --parallel-no-spinner \
		--skip-env "py$$(echo $$own | tr -d .)"; status=$$?; \
	for version in 3.10 3.11 3.12 3.13 3.14; do \
		test $$version = $$own || \
		test -x .tox/py$$(echo $$version | tr -d .)/bin/python || \
		echo "Python $$version is not here: install it, or pyenv install $$version" \
		>> $(WXLOGISTICS_SKIPPED); \
	done; \
	if test -s $(WXLOGISTICS_SKIPPED); then \
		echo "Skipped, and why:"; sort -u $(WXLOGISTICS_SKIPPED) | sed "s/^/  - /"; \
	else echo "Nothing was skipped."; fi; \
	exit $$status

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

# Which changes to the core no test notices; some 15 minutes on two cores.
mutants: $(VENV)/.ready
	@$(BIN)/pip install -q --disable-pip-version-check -e '.[dev]'
	$(BIN)/python tests/mutants.py

# Both commands above on minimal systems of Debian 12, 13 and unstable. Needs root;
# SUITES and RUN choose the systems and what runs there.
fresh:
	.ci/fresh $(SUITES)

$(VENV)/.ready: setup.cfg
	@test -n "$(PYTHON)" || { echo "No Python 3.10 or newer with its module venv was" \
		"found; on Debian: apt-get install python3 python3-venv"; exit 1; }
	@echo "Setting up $(VENV) with $(PYTHON) ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/pip install -q --disable-pip-version-check -e '.[all]' 'tox>=4.21'
	@touch $@

clean:
	rm -rf $(VENV) .tox site .mypy_cache .pytest_cache build dist *.egg-info .coverage*
