# Works with the GNU make 3.81 of a Mac.
.DEFAULT_GOAL := help
.PHONY: help run setup mlx llama cuda metal dev test check bench fmt lock clean
MAKEFLAGS += --no-print-directory

# Without .pyc files a start takes three times as long.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin

# What fails fast and says most comes first.
FIRST := tests/architecture tests/unit tests/contract
REST  := $(filter-out $(FIRST) %/__pycache__,$(patsubst %/,%,$(wildcard tests/*/ tests/test_*.py)))
TESTS := $(wildcard $(FIRST)) $(REST)
# A process for each core, four at most; who is done takes over some of the others' tests.
AT_ONCE := -n logical --maxprocesses 4 --dist worksteal
CHECKS := check-format check-lint check-types check-imports check-docs

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z ]+:.*## / { printf "  make %-18s%s\n", $$1, $$2 }' Makefile

run:  ## Set up what is missing and open Arcanum (ARGS="status --json" for a command)
	@tools/setup run && exec $(BIN)/arcanum $(ARGS)

setup:  ## Set up what Arcanum needs, in .venv
	@tools/setup run

mlx:  ## Set up what runs MLX folders (Apple silicon)
	@tools/setup mlx

llama cuda metal:  ## Build llama-cpp-python, once: for the CPU, for NVIDIA, for a Mac's GPU
	@tools/llama $(patsubst llama,cpu,$@)

dev:  ## Set up the tools that test and check it too
	@tools/setup dev

test: dev  ## Run the tests (TESTS="tests/unit" ARGS="-k gate"; one after the other: ARGS="-n 0")
	@$(BIN)/python -m pytest -q $(AT_ONCE) $(TESTS) $(ARGS)

check: dev  ## Format, lint, types, import contracts, docs
	@$(MAKE) --keep-going $(CHECKS)

bench: dev  ## Measure ours and the peers in one run (LOCOMO=PATH: recall too)
	@$(BIN)/python -m bench $(ARGS)

fmt: dev  ## Format the code and mend what can be mended
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --custom-compile-command "make lock" $(ARGS)
LOCK = $(COMPILE) pyproject.toml --extra media --group build --group model
SAME = --constraint requirements-dev.lock

lock: setup  ## Write the locks anew from pyproject.toml (ARGS=--upgrade takes newer releases)
	@$(LOCK) --output-file requirements.lock
	@$(LOCK) --output-file requirements-dev.lock --group dev --extra mlx --constraint requirements.lock
	@$(LOCK) --output-file requirements-mlx.lock --extra mlx $(SAME)
	@$(LOCK) --output-file requirements-llama.lock --extra llama $(SAME)
	@$(COMPILE) --output-file requirements-wheel.lock --group pyproject.toml:wheel $(SAME)
	@$(COMPILE) --output-file requirements-hnswlib.lock --group pyproject.toml:hnswlib $(SAME)

clean:  ## Remove .venv, caches and what was built
	@rm -rf .venv .venv.busy .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: $(CHECKS)
check-format: ; @$(BIN)/ruff format --check .
check-lint:   ; @$(BIN)/ruff check .
check-types:  ; @$(BIN)/mypy
check-imports: ; @$(BIN)/lint-imports --no-logo
check-docs:   ; @if [ -d tests/docs ]; then $(BIN)/python -m pytest -q tests/docs; fi
