# The commands one needs: make demo, make quick, make test, make check, make docs.
PYTHON ?= python3
PACKAGE := sub-packages/bionemo-geneformer-t
BIN := $(CURDIR)/.venv/bin
STAMP := .venv/.installed
FUZZ_SECONDS ?= 300
# all tests of a file in one process, so that what they share is made once
PARALLEL := -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder
PYTEST := $(BIN)/python $(PARALLEL)

.PHONY: install demo quick test test-lowest test-newest test-cellrank exhaustive coverage bench fuzz check format docs package notebooks clean

install: $(STAMP)

$(STAMP): $(PACKAGE)/pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '$(PACKAGE)[dev]'
	touch $@

demo: install
	$(BIN)/geneformer-t demo --output_dir outputs/demo

quick: install
	cd $(PACKAGE) && $(PYTEST) -m 'not slow and not exhaustive'

test: install
	cd $(PACKAGE) && $(PYTEST)

# environments of their own, each with its constraints; TESTS=tests/run takes some of the tests
TESTS ?= tests
test-lowest test-newest: test-%: constraints-%.txt
	test -x .venv-$*/bin/python || $(PYTHON) -m venv .venv-$*
	.venv-$*/bin/pip install --quiet --constraint $< torch
	.venv-$*/bin/pip install --quiet --constraint $< --editable '$(PACKAGE)[test]'
	cd $(PACKAGE) && $(CURDIR)/.venv-$*/bin/python $(PARALLEL) -m 'not slow and not exhaustive' $(TESTS)

test-cellrank: constraints-cellrank.txt
	test -x .venv-cellrank/bin/python || $(PYTHON) -m venv .venv-cellrank
	.venv-cellrank/bin/pip install --quiet --constraint $< torch
	.venv-cellrank/bin/pip install --quiet --constraint $< --editable '$(PACKAGE)[test,cellrank]'
	cd $(PACKAGE) && $(CURDIR)/.venv-cellrank/bin/python $(PARALLEL) tests/neighbors tests/test_pp.py

exhaustive: install
	cd $(PACKAGE) && $(PYTEST) -m exhaustive

coverage: install
	cd $(PACKAGE) && $(PYTEST) --cov

bench: install
	$(BIN)/python benchmarks/run_all.py

fuzz: install
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '$(PACKAGE)[fuzz]'
	mkdir -p outputs/fuzz
	set -e; for target in json vocab dictionary; do \
		$(BIN)/python fuzz/fuzz_$$target.py -max_total_time=$(FUZZ_SECONDS) -timeout=10 \
			-rss_limit_mb=2048 -artifact_prefix=outputs/fuzz/$$target-; \
	done

check: install
	cd $(PACKAGE) && $(BIN)/ruff format --check . ../../benchmarks ../../docs ../../fuzz
	cd $(PACKAGE) && $(BIN)/ruff check . ../../benchmarks ../../docs ../../fuzz
	cd $(PACKAGE) && $(BIN)/mypy
	cd $(PACKAGE) && $(BIN)/lint-imports

format: install
	cd $(PACKAGE) && $(BIN)/ruff check --fix-only . ../../benchmarks ../../docs ../../fuzz
	cd $(PACKAGE) && $(BIN)/ruff format . ../../benchmarks ../../docs ../../fuzz

docs: install
	$(BIN)/python -m sphinx --builder html --fresh-env --fail-on-warning --keep-going docs outputs/docs

# the wheel is built from the sdist, and tried outside the repository without the packages of the tests
package: export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
package: install
	rm -rf outputs/package .venv-package
	$(BIN)/python -m build --outdir outputs/package $(PACKAGE)
	$(PYTHON) -m venv .venv-package
	.venv-package/bin/pip install --quiet torch
	.venv-package/bin/pip install --quiet outputs/package/*.whl
	cd $$(mktemp -d) && $(CURDIR)/.venv-package/bin/python -I \
		$(CURDIR)/$(PACKAGE)/tests/helpers/try_installed.py

notebooks: install
	$(BIN)/python docs/notebooks/run.py docs/notebooks/*.ipynb

clean:
	rm -rf outputs
