# The three commands one needs: make demo, make test, make check.
PYTHON ?= python3
PACKAGE := sub-packages/bionemo-geneformer-t
BIN := $(CURDIR)/.venv/bin
STAMP := .venv/.installed

.PHONY: install demo test bench check format clean

install: $(STAMP)

$(STAMP): $(PACKAGE)/pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '$(PACKAGE)[dev]'
	touch $@

demo: install
	$(BIN)/geneformer-t demo --output_dir outputs/demo

test: install
	cd $(PACKAGE) && $(BIN)/python -m pytest

bench: install
	$(BIN)/python benchmarks/run_all.py

check: install
	cd $(PACKAGE) && $(BIN)/ruff format --check . ../../benchmarks
	cd $(PACKAGE) && $(BIN)/ruff check . ../../benchmarks
	cd $(PACKAGE) && $(BIN)/mypy
	cd $(PACKAGE) && $(BIN)/lint-imports

format: install
	cd $(PACKAGE) && $(BIN)/ruff check --fix-only . ../../benchmarks
	cd $(PACKAGE) && $(BIN)/ruff format . ../../benchmarks

clean:
	rm -rf outputs
