# `make app` opens the dashboard, `make test` runs every test, `make docs` builds the site. All set up first, once.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Processes that run tests side by side: as many as there are cores.
WORKERS ?= auto

# `make soak` tries each property so many times as often as `make test` does.
METAPT_SOAK ?= 20

# Compiled modules are kept: tests start dozens of processes.
unexport PYTHONDONTWRITEBYTECODE

# Notebooks that ran, with their outputs (docs/executed.py): one folder below the root, as notebooks/ is.
RAN := .executed

.PHONY: setup app test coverage soak check notebooks docs ci

# With NO_SETUP=1 nothing is installed: BIN names the folder of a Python that has it all.
setup: $(if $(NO_SETUP),,$(VENV)/.setup-done)

$(VENV)/.setup-done: requirements.txt requirements-data.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -r requirements.txt
	$(BIN)/metapt setup
	touch $@

app: setup
	$(BIN)/streamlit run app.py

test: setup
	$(BIN)/python -m pytest -p no:nbmake -n $(WORKERS) --dist worksteal
	$(MAKE) notebooks

# The same tests, measured: how many lines do they run? Takes half as long again. Fails below the bound in pyproject.toml.
coverage: setup
	$(BIN)/python -m pytest -p no:nbmake -n $(WORKERS) --dist worksteal --cov --cov-report=term

# Every cell on the small profile. They are tests, and the site shows what they say: copies keep their outputs.
notebooks: setup
	rm -rf $(RAN) && mkdir $(RAN) && cp notebooks/*.ipynb notebooks/conftest.py $(RAN)/
	$(BIN)/python -m pytest -p no:cacheprovider --nbmake --overwrite --nbmake-timeout=300 -n $(WORKERS) --dist worksteal \
		$(RAN)
	touch $(RAN)/.done

# Run only where one is newer than its last run, or there was none.
$(RAN)/.done: $(wildcard notebooks/*.ipynb)
	$(MAKE) notebooks

# The fault harness for long: kills, also of workers and runs on an engine, damage, hostile input. Counts what it tried
# (docs/reliability.md).
soak: setup
	METAPT_SOAK=$(METAPT_SOAK) $(BIN)/python -m pytest -p no:nbmake -n $(WORKERS) --dist worksteal tests/faults \
		tests/engines/test_random_kills.py

# The hooks of .pre-commit-config.yaml, over everything.
check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell *.md app.py Makefile .github benchmarks docs metapt_explore notebooks studies tests
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# With UNEXECUTED=1 notebooks stand there as they are, without outputs, and none is run.
docs: setup $(if $(UNEXECUTED),,$(RAN)/.done)
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build
	@echo "docs/_build/index.html"

# All that must hold before a change is taken; the quickest comes first. Style and documentation take a core each; the
# tests look at the site that is built then. The last build adds what the notebooks said, and is quick.
ci: setup
	$(MAKE) -j2 check docs UNEXECUTED=1
	METAPT_SITE=$(CURDIR)/docs/_build $(MAKE) test
	$(MAKE) docs
