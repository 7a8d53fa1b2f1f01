# Two commands for a newcomer: `make demo` and `make test`. Both set everything up first.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# One more than cores: tests often wait for processes that they start.
WORKERS = $(shell python3 -c "import os; print(min(5, 1 + (os.cpu_count() or 1)))")
TOOLS := .venv-tools
# Python compiles a package when it is first imported. Where the environment forbids it to keep the
# result, as in many containers, every process compiles torch and transformers anew: 5 s and more.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo app test test-all quick check install lock docs site notebook audit sbom clean

demo: $(READY)  ## make a bot of the bundled NASA posts and let it write
	@$(BIN)/huggingtweets demo

app: $(READY)  ## open the web app
	@$(BIN)/huggingtweets app

install: $(READY)  ## only set up .venv

PYTEST = $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test: check  ## lint, types, import rules, docs, then all tests but the long ones on a Ray cluster
	$(PYTEST) -m "not cluster"

test-all: check  ## the same with those: before a release, or when fleets, sweeps or replicas change
	$(PYTEST)

quick: check  ## lint, types, import rules, docs and the fast tests
	$(BIN)/pytest -q -n $(WORKERS) -m "not slow and not browser and not gpu"

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cog --check --check-fail-msg "Run: make docs" docs/reference.md
	$(BIN)/python scripts/licences.py --check

docs: $(READY)  ## write the generated parts of docs/ anew
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cog -r docs/reference.md
	$(BIN)/python scripts/sources_table.py
	$(BIN)/python scripts/licences.py

site: $(READY)  ## build the documentation and the Python API reference into site/
	rm -rf site
	$(BIN)/python scripts/build_site.py site

notebook: $(READY)  ## run notebooks/text/huggingtweets.py and write the .ipynb, in a few minutes
	$(BIN)/python scripts/notebook.py

lock: $(TOOLS)/.ready  ## resolve the newest fitting versions into the lock files, with hashes
	TOOLS=$(TOOLS) sh scripts/lock.sh

audit: $(TOOLS)/.ready  ## look the locked versions up in PyPI's list of known vulnerabilities
	@$(TOOLS)/bin/python -m pip index versions pip >/dev/null 2>&1 || { echo "PyPI can't be reached, so nothing was audited; run it where a network is."; exit 2; }
	$(TOOLS)/bin/pip-audit --strict --require-hashes --disable-pip -r requirements.lock
	$(TOOLS)/bin/pip-audit --strict --require-hashes --disable-pip -r requirements-tools.lock

sbom: $(READY) $(TOOLS)/.ready  ## write dist/sbom.json, the installed packages as CycloneDX
	@mkdir -p dist
	$(TOOLS)/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
		--output-file dist/sbom.json $(BIN)/python

$(TOOLS)/.ready: requirements-tools.lock
	python3 -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r $<
	@touch $@

$(READY): requirements.lock requirements-cuda.lock requirements-base.lock pyproject.toml packages/huggingtweets-base/pyproject.toml scripts/install.sh
	@sh scripts/install.sh $(VENV)
	@touch $@

clean:  ## remove what can be made again; runs/ stays
	rm -rf $(VENV) $(TOOLS) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
