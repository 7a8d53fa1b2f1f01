# Two commands for a newcomer: `make demo` and `make test`. Both set everything up first.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo app test quick check install lock docs site notebook clean

demo: $(READY)  ## make a bot of the bundled NASA posts and let it write
	@$(BIN)/huggingtweets demo

app: $(READY)  ## open the web app
	@$(BIN)/huggingtweets app

install: $(READY)  ## only set up .venv

test: check  ## lint, types, import rules, docs, then the tests
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

quick: check  ## lint, types, import rules, docs and the fast tests
	$(BIN)/pytest -q -n auto --maxprocesses 4 -m "not slow and not browser and not gpu"

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cog --check --check-fail-msg "Run: make docs" docs/reference.md

docs: $(READY)  ## write the generated parts of docs/ anew
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cog -r docs/reference.md
	$(BIN)/python scripts/sources_table.py

site: $(READY)  ## build the documentation and the Python API reference into site/
	rm -rf site
	$(BIN)/python scripts/build_site.py site

notebook: $(READY)  ## run notebooks/text/huggingtweets.py and write the .ipynb, in a few minutes
	$(BIN)/python scripts/notebook.py

lock:  ## resolve the newest fitting versions into requirements.lock
	sh scripts/lock.sh

$(READY): requirements.lock requirements-base.lock pyproject.toml packages/huggingtweets-base/pyproject.toml scripts/install.sh
	@sh scripts/install.sh $(VENV)
	@touch $@

clean:  ## remove what can be made again; runs/ stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
