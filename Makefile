# Everything a developer or a pipeline does. `make` alone lists the targets.

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
BROWSER_INSTALLED := $(VENV)/.browser-installed
TORCH_VENV := build/torch
TORCH_INSTALLED := $(TORCH_VENV)/.installed
SOURCES := enxuto app workers tests bench examples scripts

# Test processes: one more than cores, since those that measure wait for each other; at most eight.
TEST_PROCESSES ?= $(shell expr $$(nproc) + 1)
PYTEST := $(BIN)/pytest --numprocesses $(TEST_PROCESSES) --maxprocesses 8 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help

.PHONY: help
help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install: $(INSTALLED)  ## Make .venv with everything in it

# The interpreter: PYTHON where it is given, else the first one that fits (scripts/find-python says what fits).
$(INSTALLED): pyproject.toml constraints.txt scripts/find-python
	@python=$$(scripts/find-python $(PYTHON)) || exit 1; \
	if ! $(BIN)/python -c '' 2>/dev/null; then echo "Making $(VENV) with $$python"; "$$python" -m venv --clear $(VENV); fi
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

.PHONY: test
test: install  ## Run every test that needs neither browser nor PyTorch
	$(PYTEST) -m 'not browser and not torch' $(ARGS)

$(BROWSER_INSTALLED): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,browser]'
	@touch $@

.PHONY: test-browser
test-browser: $(BROWSER_INSTALLED)  ## Run the tests that need a browser (Chromium must be on the PATH)
	@command -v chromium || command -v chromium-browser || command -v google-chrome || \
	  { echo "No Chromium found. On Debian or Ubuntu: apt-get install chromium" >&2; exit 1; }
	$(BIN)/pytest -m browser $(ARGS)

# In an environment of its own: the others stay without PyTorch, which is larger than all the rest.
$(TORCH_INSTALLED): $(INSTALLED)
	$(BIN)/python -m venv $(TORCH_VENV)
	$(TORCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	  --editable '.[local,torch]' hypothesis pytest pytest-timeout
	@touch $@

.PHONY: test-torch
test-torch: $(TORCH_INSTALLED)  ## Run the tests that need PyTorch (installs it into build/torch)
	$(TORCH_VENV)/bin/python -m pytest -m torch tests/enxuto/runtimes/test_torch.py $(ARGS)

.PHONY: check
check: install  ## Lint, check types, import rules and generated files
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/mypy scripts examples/demo.py
	$(BIN)/python -m app.openapi --check
	$(BIN)/python -m app.settings_page --check
	$(BIN)/python scripts/techniques_page.py --check

.PHONY: format
format: install  ## Format the code and mend what ruff can mend
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

.PHONY: generate
generate: install  ## Write the generated files anew: openapi/openapi.json, pages in docs/
	$(BIN)/python -m app.openapi
	$(BIN)/python -m app.settings_page
	$(BIN)/python scripts/techniques_page.py

.PHONY: lock
lock: install  ## Resolve the newest packages that fit into constraints.txt (then run everything)
	rm -rf build/lock
	$(BIN)/python -m venv build/lock
	build/lock/bin/pip install --quiet --disable-pip-version-check --upgrade 'setuptools>=80' '.[dev,browser]'
	{ head -n 1 constraints.txt; build/lock/bin/pip freeze --all --exclude enxuto --exclude pip | LC_ALL=C sort -f; } > build/constraints.txt
	mv build/constraints.txt constraints.txt

.PHONY: demo
demo: install  ## Optimize a real network over HTTP; results in demo-output/
	$(BIN)/python examples/demo.py

.PHONY: clean
clean:  ## Remove the environment and everything generated that git does not keep
	rm -rf $(VENV) build dist demo-output *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find enxuto app workers tests examples scripts bench -name __pycache__ -type d -prune -exec rm -rf {} +
