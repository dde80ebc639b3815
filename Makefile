# Everything a person or CI runs. Each target makes .venv first, from requirements.lock, with uv when there is one.
.PHONY: demo test lint format bench bench-council bench-peers faults clean venv

PY := .venv/bin/python
STAMP := .venv/.made
UV := $(shell command -v uv 2>/dev/null)
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)

demo: $(STAMP)
	.venv/bin/witan demo

test: lint
	$(PY) -m pytest -q -m "not slow" -n auto --maxprocesses 4

lint: $(STAMP)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: $(STAMP)
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: $(STAMP)
	$(PY) -m ops.bench $(if $(ONLY),--only $(ONLY)) $(if $(SCALE),--scale $(SCALE))

bench-council: $(STAMP)
	$(PY) -m ops.bench --only council --scale $(if $(SCALE),$(SCALE),15)

bench-peers: $(STAMP)
	$(PY) -m ops.bench --peers $(if $(ONLY),--only $(ONLY)) $(if $(SCALE),--scale $(SCALE))

faults: $(STAMP)
	SEEDS=10000 $(PY) -m pytest -q tests/test_simulation.py tests/test_conversation.py tests/test_money_simulated.py --timeout 1800
	$(PY) -m pytest -q -m slow --timeout 1800

venv: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	rm -rf .venv
ifneq ($(UV),)
	uv venv --quiet .venv
	uv pip install --quiet --python $(PY) --require-hashes -r requirements.lock
	uv pip install --quiet --python $(PY) --no-deps --no-build-isolation -e .
else
	@test -n "$(PYTHON)" || { echo "Witan needs Python 3.11 or later, or uv; neither was found."; exit 1; }
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	PATH="$(CURDIR)/.venv/bin:$$PATH" $(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
endif
	touch $@

clean:
	rm -rf .venv .bench dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
