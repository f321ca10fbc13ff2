# Everything a fresh machine needs: `make demo` to see it work, `make test` to check it.

VENV   := .venv
DEMO   ?= demo_output
PYTEST ?=
NEWEST ?= napari[all]
INPUTS := setup.cfg pyproject.toml constraints.txt

ifeq ($(OS),Windows_NT)
BIN    := $(VENV)/Scripts
SCREEN :=
else ifeq ($(shell uname),Darwin)
BIN    := $(VENV)/bin
SCREEN :=
else
BIN    := $(VENV)/bin
SCREEN := xvfb-run -a
endif

PIP  = $(BIN)/python -m pip install --quiet --disable-pip-version-check
KEPT = $(PIP) -c constraints.txt
# Two processes of one thread each: faster than threads that wait for each other.
SUITE = python -m pytest -q -n 2 --dist worksteal --durations=25
QUICKLY = python -m pytest -q -n 2 --dist worksteal -m "not slow"
check test test-newest test-lowest: export OMP_NUM_THREADS = 1

# What a change is most often caught by, in about a minute or two: what trains, draws or opens a viewer is left to
# `make test`.
QUICK = tests/agreement tests/data tests/measurement tests/shape tests/test_docs.py tests/test_doctests.py tests/test_package.py

.PHONY: help venv demo check test test-long test-newest test-lowest docs dist test-dist lint clean
.DELETE_ON_ERROR:

help:
	@echo "make demo         train, detect and evaluate on the sample data (result in $(DEMO)/)"
	@echo "make check        linting and the quick tests"
	@echo "make test         linting, plugin manifest and tests, on a virtual screen"
	@echo "make test-long    kill -9, full disks and fuzzing, about an hour"
	@echo "make test-newest  the tests with the newest versions of all packages"
	@echo "make test-lowest  the tests with the lowest versions that setup.cfg allows"
	@echo "make dist         wheel and sdist in dist/; make test-dist installs both and runs them"
	@echo "make docs         the site of the documentation in site/, with strict links"
	@echo "make venv         only set up $(VENV)"
	@echo "make lint         style, contracts of imports, types"
	@echo "make clean        remove $(VENV) and everything made"

venv: $(VENV)/.installed

demo: $(VENV)/.installed
	$(BIN)/napari-landmark demo --out $(DEMO)

check: $(VENV)/.installed-test lint
	$(BIN)/$(QUICKLY) $(QUICK) $(PYTEST)

# PYTEST passes options on: make test PYTEST="-k geometry"
test: $(VENV)/.installed-test lint
	$(BIN)/npe2 validate napari-landmark
	$(SCREEN) $(BIN)/$(SUITE) $(PYTEST)

# Kills, full disks, fuzzing, large images: about an hour. NAPARI_LANDMARK_KILLS and NAPARI_LANDMARK_FUZZ_MINUTES
# (for each reader) make it shorter or longer; some parts need a user who may mount a file system.
test-long: $(VENV)/.installed-test
	$(BIN)/python -m pytest -q -s tests_long $(PYTEST)

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

# Environments of their own, so that the kept versions stay as they are.
test-newest:
	$(MAKE) VENV=.venv-newest .venv-newest/.created
	scripts/test_packages.sh
	.venv-newest/bin/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)"
	.venv-newest/bin/python -m pip install --quiet --upgrade -e ".[all,test,compare]" "$(NEWEST)"
	$(SCREEN) .venv-newest/bin/$(SUITE) $(PYTEST)

test-lowest:
	$(MAKE) VENV=.venv-lowest .venv-lowest/.created
	scripts/test_packages.sh
	.venv-lowest/bin/python scripts/lowest_versions.py > .venv-lowest/constraints.txt
	.venv-lowest/bin/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)"
	.venv-lowest/bin/python -m pip install --quiet -c .venv-lowest/constraints.txt -e ".[all,test]"
	$(SCREEN) .venv-lowest/bin/$(SUITE) $(PYTEST)

# In an environment of its own; once that is there, nothing is fetched. Links and anchors that lead nowhere are errors.
docs: .venv-docs/.installed-docs
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --quiet

.venv-docs/.installed-docs: $(INPUTS)
	$(MAKE) VENV=.venv-docs .venv-docs/.installed-base
	.venv-docs/bin/python -m pip install --quiet -e ".[docs]"
	@touch $@

$(VENV)/.installed-base: $(VENV)/.created
	$(KEPT) "$$(grep '^torch==' constraints.txt)"
	@touch $@

dist: $(VENV)/.installed-test
	rm -rf dist build
	$(BIN)/python -m build --quiet

test-dist:
	scripts/test_dist.sh dist

clean:
	rm -rf $(VENV) .venv-newest .venv-lowest .venv-docs $(DEMO) build dist site *.egg-info .pytest_cache .ruff_cache .mypy_cache \
		.import_linter_cache .hypothesis

# The stamps are newer than what they were made from, so a second call installs nothing.
$(VENV)/.created:
	python=$$(scripts/find_python.sh) && "$$python" -m venv $(VENV)
	@touch $@

# torch comes first and by its exact version: left to another package's open requirement,
# pip may choose a different build, several gigabytes larger.
$(VENV)/.installed: $(VENV)/.created $(INPUTS)
	$(KEPT) "$$(grep '^torch==' constraints.txt)"
	$(KEPT) -e .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	scripts/test_packages.sh
	$(KEPT) -e ".[all,test,compare,lint]"
	@touch $@
