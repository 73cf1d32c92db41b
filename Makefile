.PHONY: run test check
run:  ; exec .venv/bin/arcanum $(ARGS)
test: ; .venv/bin/python -m pytest -q $(ARGS)
check:
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
