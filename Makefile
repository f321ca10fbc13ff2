# Everything a fresh machine needs: `make demo` to see it work, `make test` to check it.

VENV   := .venv
BIN    := $(VENV)/bin
PIP     = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
INPUTS := setup.cfg pyproject.toml constraints.txt
DEMO   ?= demo_output
PYTEST ?=

.PHONY: help venv demo test test-long lint clean
.DELETE_ON_ERROR:

help:
	@echo "make demo    train, detect and evaluate on the sample data (result in $(DEMO)/)"
	@echo "make test    linting, plugin manifest and tests, on a virtual screen"
	@echo "make test-long  kill -9, full disks and fuzzing, about an hour"
	@echo "make venv    only set up $(VENV)"
	@echo "make lint    only linting"
	@echo "make clean   remove $(VENV) and everything made"

venv: $(VENV)/.installed

demo: $(VENV)/.installed
	$(BIN)/napari-landmark demo --out $(DEMO)

# PYTEST passes options on: make test PYTEST="-n 2 -k geometry"
test: $(VENV)/.installed-test lint
	$(BIN)/npe2 validate napari-landmark
	xvfb-run -a $(BIN)/python -m pytest -q $(PYTEST)

# Kills, full disks, fuzzing, large images: about an hour. NAPARI_LANDMARK_KILLS and NAPARI_LANDMARK_FUZZ_MINUTES
# (for each reader) make it shorter or longer; some parts need a user who may mount a file system.
test-long: $(VENV)/.installed-test
	$(BIN)/python -m pytest -q -s tests_long $(PYTEST)

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

clean:
	rm -rf $(VENV) $(DEMO) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis

# The stamps are newer than what they were made from, so a second call installs nothing.
$(VENV)/.created:
	python=$$(scripts/find_python.sh) && "$$python" -m venv $(VENV)
	@touch $@

# torch comes first and by its exact version: left to another package's open requirement,
# pip may choose a different build, several gigabytes larger.
$(VENV)/.installed: $(VENV)/.created $(INPUTS)
	$(PIP) "$$(grep '^torch==' constraints.txt)"
	$(PIP) -e .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	scripts/test_packages.sh
	$(PIP) -e ".[all,test]"
	@touch $@
