# `make demo` needs Python 3.11 or 3.12 and nothing else.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: help demo test check bench soak clean install

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: install  ## run every stage on two CPU cores, into runs/demo (about 20 minutes)
	$(BIN)/python pipelines/full.py --preset demo

test: install  ## run all tests but the soak (about 30 minutes)
	$(BIN)/python -m pytest

check: install  ## check format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy schemas stages pipelines infra

soak: install  ## run the long tests: kills, floods and fuzzing (hours)
	$(BIN)/python -m pytest -m soak

bench: install  ## measure speed against named baselines
	$(BIN)/python -m tests.bench

clean:  ## delete runs/demo, runs/tiny and caches; your own runs stay
	rm -rf runs/demo runs/tiny .pytest_cache .mypy_cache .ruff_cache .hypothesis

install: $(VENV)/.installed  ## make .venv with the pinned dependencies

# torch first and without a hash, for its CPU and CUDA builds differ; all else is pinned by content.
$(VENV)/.installed: infra/requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "torch==2.13.0"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
		-r infra/requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--no-build-isolation --editable .
	touch $@
