## make demo     from nothing to a model trained and judged on video
## make table1   trains and compares the attention schemes, as the paper's Table 1: runs/table1/table.md
## make table4   the same for the position embeddings of Table 4: runs/table4/table.md
## SEEDS=0,1,2   with these: trains each row from these seeds
## make api      the API reference, from the docstrings: docs/api/index.html
## make test     from nothing to the test suite, which CI runs
## make test-slow  the tests that make test leaves out
## make lint     ruff: rules and formatting
## make format   mends what ruff can mend
## make clean    deletes the environment; data/ and runs/ stay
## PYTHON=…      the Python to use, such as make PYTHON=python3.12 demo

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
INSTALLED := $(VENV)/installed-$(VERSION)

TABLES := table1 table4

.PHONY: demo $(TABLES) api test test-slow lint format clean help

help:
	@sed -n 's/^## //p' Makefile

demo: $(INSTALLED)
	$(BIN)/python -m vidtx.main --config=experiments/motions.py --workdir=runs/motions

# Stopped and started again, it goes on where it was.
$(TABLES): $(INSTALLED)
	$(BIN)/python -m vidtx.compare --config=experiments/$@.py --workdir=runs/$@ $(if $(SEEDS),--seeds=$(SEEDS))

api: $(INSTALLED)
	JAX_PLATFORMS=cpu $(BIN)/python docs/build_api.py docs/api

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 -m slow

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Made anew when the dependencies change, or for another version of Python.
$(INSTALLED): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(v < (3, 11) and f"vidtx needs Python 3.11 or newer; $(PYTHON) is {v[0]}.{v[1]}. Name another: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --config-settings editable_mode=compat --editable '.[test,docs]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
