# Everything that a person or CI does with this project. `make` alone lists the targets.
PYTHON ?= python3
VENV := .venv
BENCH := .venv-bench
BIN := $(VENV)/bin
DATA := data
FROM ?= model
CASES ?= ../shared/twin/reference
SUITE ?= ../shared/sbml-test-suite
PAIRS ?= ../shared/fhir
FILES ?= ../shared/fhir
PORT := 8000

.DEFAULT_GOAL := help
.PHONY: help setup run build test check twin-cases sbml-suite fhir-pairs fhir-roundtrip fhir-shex \
  fhir-conformance bench-start bench-twin bench-cohort bench-fhir lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.run: requirements.txt pyproject.toml
	@sh scripts/venv.sh $(PYTHON) $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@sh scripts/chromium.sh
	@touch $@

setup: $(VENV)/.dev ## Set everything up, into .venv

run: $(VENV)/.run ## Set up, build the dataset with forty synthetic patients, serve it on http://127.0.0.1:8000
	@$(BIN)/pepr-kg serve --twins 40 --data "$(DATA)" --port $(PORT)

build: $(VENV)/.run ## Build and validate the dataset without serving it
	@$(BIN)/pepr-kg build --data "$(DATA)"

test: $(VENV)/.dev ## Set up and run everything that CI runs
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest --cov --cov-report=term
	@sh scripts/chromium.sh --remind

check: $(VENV)/.dev ## Check the ontology alone: syntax, labels, OWL 2 DL, HermiT
	@$(BIN)/pepr-kg check --reason

twin-cases: $(VENV)/.dev ## Evaluate the reference cases in CASES (cases.csv, expected.csv, observations); FROM=graph: from the graph
	@$(BIN)/python scripts/twin_cases.py "$(CASES)" --from $(FROM)

sbml-suite: $(VENV)/.dev ## Run the SBML Test Suite in SUITE (index.csv, cases/); the table goes to build/
	@$(BIN)/python scripts/sbml_suite.py "$(SUITE)" build/sbml-suite.csv

fhir-pairs: $(VENV)/.dev ## Compare our FHIR RDF with the JSON/TTL pairs in the folders of PAIRS; last line: passed N of M
	@$(BIN)/python scripts/fhir_pairs.py "$(PAIRS)"

fhir-roundtrip: $(VENV)/.dev ## Every FHIR JSON file in FILES to RDF and back, in each release that applies
	@$(BIN)/python scripts/fhir_roundtrip.py "$(FILES)"

fhir-shex: $(VENV)/.dev ## Check what we write of PAIRS against the R4 ShEx, entry by entry
	@$(BIN)/python scripts/fhir_shex.py "$(PAIRS)"

fhir-conformance: $(VENV)/.dev ## Validate the FHIR JSON that we write with the reference implementation (needs Java 17 and Maven)
	@sh scripts/fhir_conformance.sh

bench-start: $(VENV)/.dev ## Measure sizes, build time and start time
	@$(BIN)/python benchmarks/start.py

# leaspy pins NumPy 1 but runs on ours, so nothing here is resolved again (--no-deps): the files name everything.
$(BENCH)/.done: requirements-bench.txt benchmarks/leaspy.txt
	@sh scripts/venv.sh $(PYTHON) $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	  -r requirements-bench.txt -r benchmarks/leaspy.txt
	@touch $@

bench-twin: $(BENCH)/.done ## Measure the twin evaluator beside its peers (installs 6 GB into .venv-bench)
	@$(BENCH)/bin/python -m benchmarks.twin $(TWIN)

bench-cohort: $(VENV)/.dev ## Measure a cohort from triples to predictions in the graph, stage by stage
	@$(BIN)/python -m benchmarks.cohort $(COHORT)

bench-fhir: $(VENV)/.dev ## Measure FHIR conversion and loading beside their peers (needs Java 17 and Maven)
	@$(BIN)/python -m benchmarks.fhir $(FHIR)

lock: $(VENV)/.dev ## Pin the newest versions of all dependencies, with hashes
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-emit-trusted-host --strip-extras \
	  --allow-unsafe --no-header --no-emit-find-links --extra editable --output-file requirements.txt pyproject.toml
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-emit-trusted-host --strip-extras \
	  --allow-unsafe --no-header --no-emit-find-links --extra cluster --extra dev --extra editable --extra reasoning --extra speed --output-file requirements-dev.txt \
	  pyproject.toml
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-emit-trusted-host --strip-extras \
	  --no-header --no-emit-find-links --extra bench --constraint requirements.txt --unsafe-package triton --unsafe-package nvidia-cusolver-cu12 \
	  --unsafe-package nvidia-nvtx-cu12 --output-file requirements-bench.txt pyproject.toml

clean: ## Remove what was set up and built
	rm -rf $(VENV) $(BENCH) build data dist .coverage .mypy_cache .pytest_cache .ruff_cache
