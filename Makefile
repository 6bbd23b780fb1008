# `make demo` and `make test` do everything on a machine that has Python 3.11 or newer: they make .venv, install
# once, and install again when pyproject.toml changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# What OpenCV links is the system's; a sentence instead of a traceback in the middle of the work.
LIBRARIES := $(BIN)/python -c 'import sys; sys.tracebacklimit = 0; import cv2' || { echo "A library of the system is missing; on Debian: apt install libgl1 libglib2.0-0"; exit 1; }
# Machine code of audio functions, kept where librosa lies, so that the first features needn't wait for it.
COMPILE := echo "Compiling audio functions (half a minute, once) ..."; $(BIN)/python -c 'from features.audio.compiled import compile_first; compile_first()'

.PHONY: demo reproduce-smoke test test-slow test-browser test-cluster lint format types docs clean

demo: $(VENV)/.core
	$(BIN)/emofuse demo -o demo

# The experiments of the five papers at tiny sizes, on made-up corpora in the official layouts, with their tables.
# Of some of them: make reproduce-smoke PAPERS=zheng
PAPERS := kahou2015 guo2019 chao2016 huang2018 zheng
reproduce-smoke: $(VENV)/.test
	@set -e; for paper in $(PAPERS); do \
	  $(BIN)/emofuse reproduce $$paper --smoke -o reproduced/$$paper; done

test: $(VENV)/.test
	$(BIN)/pytest -n 2 --dist worksteal

test-slow: $(VENV)/.test
	$(BIN)/pytest -m "slow or real_data"

# Debian's Chromium (apt-get install chromium), driven by playwright, which downloads none.
test-browser: $(VENV)/.test
	$(BIN)/pytest -m browser

# Several hosts on this machine, built from network namespaces: needs root, iproute2 and util-linux.
test-cluster: $(VENV)/.test
	$(BIN)/pytest -m multihost tests/multihost

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.test
	$(BIN)/ruff format .

types: $(VENV)/.test
	$(BIN)/mypy

# The documentation site, in site/; a broken link or a public name without a docstring ends it.
docs: $(VENV)/.docs
	$(BIN)/mkdocs build --strict

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "emofuse needs Python 3.11 or newer; set PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "Python's venv is missing; on Debian: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml | $(BIN)/python
	@echo "Installing emofuse and what it needs into $(VENV) (some minutes, once) ..."
	$(BIN)/python -m pip install --disable-pip-version-check -e .
	@$(LIBRARIES)
	@$(COMPILE)
	@touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	@echo "Installing emofuse with its research and test extras into $(VENV) (some minutes, once) ..."
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[research,test]'
	@$(LIBRARIES)
	@$(COMPILE)
	@touch $(VENV)/.core $@

$(VENV)/.docs: pyproject.toml | $(BIN)/python
	@echo "Installing emofuse with its docs extra into $(VENV) ..."
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[docs]'
	@touch $(VENV)/.core $@

clean:
	rm -rf $(VENV) build site reproduced *.egg-info
