PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORES ?= all
WORKERS ?= 3

.PHONY: run test test-all lint notebooks docs picture bench lock clean

run: $(VENV)/installed
	$(BIN)/snakemake --cores $(CORES)
	@echo "The sample's shards lie in results/sample/tfrecords, its report is results/sample/report/index.html"

test: $(VENV)/installed
	$(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal -m "not slow"

test-all: $(VENV)/installed
	$(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check workflow
	$(BIN)/snakemake --lint

notebooks: $(VENV)/installed
	$(BIN)/snakemake --cores $(CORES) notebooks
	@echo "The tutorials lie in results/notebooks"

docs: $(VENV)/installed
	$(BIN)/python -m segchips.config.schema > workflow/schemas/config.schema.yaml
	$(BIN)/python -m segchips.config.reference > config/REFERENCE.md
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "The documentation lies in build/docs; to read it with its search: $(BIN)/python -m http.server --directory build/docs"

picture: run
	$(BIN)/python docs/picture.py results/sample

bench: $(VENV)/installed
	for file in $$(ls tests/benchmarks/*.py | grep -v _peers); do $(BIN)/python $$file || exit 1; done

lock: $(VENV)/installed
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links --output-file requirements.lock pyproject.toml

$(VENV)/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; name one with: make PYTHON=python3.11")'
	@echo "Installing into $(VENV), which takes some minutes and 3 GB; nothing outside is changed"
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf $(VENV) .snakemake logs resources results
