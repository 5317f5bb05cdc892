# `make demo` needs Python 3.11 or 3.12 and nothing else.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: demo test check bench soak clean install

demo: install  ## every stage for real on two CPU cores, into runs/demo
	$(BIN)/python pipelines/full.py --preset demo

test: install  ## fast and whole
	$(BIN)/python -m pytest

check: install  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy schemas stages pipelines infra

soak: install  ## kills, floods and fuzzing: hours
	$(BIN)/python -m pytest -m soak

bench: install  ## ratios against named baselines
	$(BIN)/python -m tests.bench

clean:  ## what the demo and the tools made; your own runs stay
	rm -rf runs/demo runs/tiny .pytest_cache .mypy_cache .ruff_cache .hypothesis

install: $(VENV)/.installed

# torch first and without a hash, for its CPU and CUDA builds differ; all else is pinned by content.
$(VENV)/.installed: infra/requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "torch==2.13.0"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
		-r infra/requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--no-build-isolation --editable .
	touch $@
