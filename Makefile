# The only definition of how this project is installed, checked, tested, measured and shown.
.DEFAULT_GOAL := help
.PHONY: help venv demo up test check k8s-check format format-check lint type imports protos protos-check bench bench-peers chaos fuzz soak bench-accuracy node-modules clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := .demo
# How many processes test: with three on two processors, tests of clusters now and then recovered later than they are looked at.
WORKERS ?= 2

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

venv: $(STAMP) ## the virtual environment in .venv/, with everything in it

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "Python 3.11, 3.12 or 3.13 is needed; say which with: make PYTHON=python3.12 ..." >&2; exit 2; }
	@echo "Installing into $(VENV)/ (once; a few minutes on a slow line) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

demo: $(STAMP) ## real data, a build, a cluster of 3 shards x 2 replicas and a router, three users' slates
	@$(BIN)/trunkshow demo --work $(DEMO)

up: $(STAMP) ## the demo's cluster on 127.0.0.1:7450 until Ctrl-C
	@test -f $(DEMO)/store/POINTER.json || $(BIN)/trunkshow demo --work $(DEMO) --build-only
	@$(BIN)/trunkshow up --store $(DEMO)/store --shards 3 --replicas 2 --listen 127.0.0.1:7450

# Folders in their order: tests with processes of their own come first, so that none of these is what all wait for in the end.
# Byte code is kept, also where the environment says otherwise: else every process that a test starts compiles all sources anew.
test: export PYTHONDONTWRITEBYTECODE =
test: $(STAMP) node-modules ## the whole test suite
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# What the Node example needs, where there is a Node to run it; without, its test says that it is skipped.
node-modules:
	@test -d examples/node/node_modules || ! command -v npm >/dev/null || \
	  npm install --prefix examples/node --no-package-lock --no-audit --no-fund --silent || \
	  echo "npm could not install the Node example's modules; its test will be skipped" >&2

check: format-check lint type imports protos-check ## everything that can be checked without running the product

format: $(STAMP) ## rewrite the code in the house's format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix --quiet .

format-check: $(STAMP)
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format" >&2; exit 1; }

lint: $(STAMP) ## ruff
	@$(BIN)/ruff check --quiet .

type: $(STAMP) ## mypy, strict
	@$(BIN)/mypy -n 2

imports: $(STAMP) ## who may import whom
	@$(BIN)/lint-imports --no-cache

PROTOS := $(wildcard protos/trunkshow/v1/*.proto)

protos: $(STAMP) ## generated code from protos/
	@$(BIN)/python -m grpc_tools.protoc -I protos --python_out=. --pyi_out=. $(PROTOS)

protos-check: $(STAMP) ## buf lint, breaking changes since the last release, and generated code as committed
	@cd protos && ../$(BIN)/buf lint
	@BIN=$(CURDIR)/$(BIN) sh protos/breaking.sh
	@rm -rf $(VENV)/protos && mkdir -p $(VENV)/protos
	@$(BIN)/python -m grpc_tools.protoc -I protos --python_out=$(VENV)/protos --pyi_out=$(VENV)/protos $(PROTOS)
	@for made in $(VENV)/protos/trunkshow/v1/*; do \
	  cmp -s $$made trunkshow/v1/$$(basename $$made) || { echo "run: make protos ($$made differs)" >&2; exit 1; }; done

# checkov pins its own versions of half the world: it gets an environment of its own. Its test asks nobody but this machine.
K8S_VENV := .venv-k8s
K8S_OUT := $(K8S_VENV)/rendered

k8s-check: $(STAMP) ## Kubernetes manifests: schemas of three versions, strictly, and checkov (needs kubectl)
	@$(BIN)/python -m pytest tests/unit/deploy
	@test -x $(K8S_VENV)/bin/checkov || { python3 -m venv $(K8S_VENV) && $(K8S_VENV)/bin/pip install --quiet --disable-pip-version-check 'checkov>=3.2,<4'; }
	@mkdir -p $(K8S_OUT)
	@for to in development production; do \
	  { kubectl kustomize k8s/overlays/$$to; echo '---'; kubectl kustomize k8s/build-once; echo '---'; kubectl kustomize k8s/build-workers; } > $(K8S_OUT)/$$to.yaml && \
	  $(K8S_VENV)/bin/checkov --config-file k8s/checkov.yaml -f $(K8S_OUT)/$$to.yaml 2>$(K8S_OUT)/log || exit 1; done

# What other programs measured, for the table of aims: BENCH="--peers FILE --build FILE --served FILE", as JSON.
BENCH ?=

bench: $(STAMP) ## limits, recall, memory, opening and the aims in one run of ten minutes; writes bench/RESULTS.md
	@$(BIN)/python -m bench --work $(DEMO)/bench --json $(DEMO)/bench.json --markdown bench/RESULTS.md $(BENCH)

PEERS ?= $(DEMO)/peers

bench-peers: $(STAMP) ## what users would use instead, installed, loaded, and measured beside a shard (PEERS=folder to keep them in)
	@$(BIN)/python -m bench.peers.install --work $(PEERS)
	@$(BIN)/python -m bench.peers --work $(PEERS) --json $(PEERS)/peers.json

CHAOS_STORE ?= $(DEMO)/store
CHAOS_REQUESTS ?= 1000000
SOAK_MINUTES ?= 30

chaos: $(STAMP) ## every fault, again and again, until a million requests were asked; writes bench/RELIABILITY.md
	@test -d $(CHAOS_STORE) || $(BIN)/trunkshow demo --work $(DEMO) --build-only
	@$(BIN)/trunkshow chaos --store $(CHAOS_STORE) --seed 1 --requests $(CHAOS_REQUESTS) --seconds 30 $(if $(RESUME),--resume $(RESUME)) --markdown bench/RELIABILITY.md

FUZZ_SECONDS ?= 300

fuzz: $(STAMP) ## thousands of spoilt requests and files, then the coverage-guided fuzzers, FUZZ_SECONDS each
	@FUZZ_EXAMPLES=3000 $(BIN)/python -m pytest tests/fuzz
	@for target in manifest pointer; do mkdir -p $(DEMO)/fuzz/$$target && \
	  (cd $(DEMO)/fuzz && $(CURDIR)/$(BIN)/python $(CURDIR)/tests/fuzz/harness.py $$target -max_total_time=$(FUZZ_SECONDS) $$target) || exit 1; done

soak: $(STAMP) ## 30 minutes at half load, a new snapshot every minute; memory and descriptors must stay flat
	@test -d $(CHAOS_STORE) || $(BIN)/trunkshow demo --work $(DEMO) --build-only
	@$(BIN)/trunkshow chaos --store $(CHAOS_STORE) --seed 1 --soak-minutes $(SOAK_MINUTES) --markdown bench/RELIABILITY.md

bench-accuracy: $(STAMP) ## accuracy on three data sets (GOWALLA=path of the LightGCN split as Parquet)
	@$(BIN)/python -m bench.accuracy $(if $(GOWALLA),--data $(GOWALLA))

clean: ## remove what these targets made
	@rm -rf $(VENV) $(K8S_VENV) $(DEMO) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
