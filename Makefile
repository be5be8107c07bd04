# `make app` opens the dashboard, `make test` runs every test, `make docs` builds the site. All set up first, once.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: setup app test check docs

setup: $(VENV)/.setup-done

$(VENV)/.setup-done: requirements.txt requirements-data.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -r requirements.txt
	$(BIN)/metapt setup
	touch $@

app: setup
	$(BIN)/streamlit run app.py

test: setup
	$(BIN)/python -m pytest
	$(BIN)/python -m pytest --nbmake --nbmake-timeout=300 notebooks/

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: setup
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build
	@echo "docs/_build/index.html"
