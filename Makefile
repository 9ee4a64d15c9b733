# Every target that a person types; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := operator,predictor,train,dev
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
export PYTHONPATH := $(CURDIR)/operator:$(CURDIR)/predictor:$(CURDIR)/tests
CLUSTER := $(PYTHON) -m cluster

help:  ## list the targets
	@grep -hE '^[a-z][a-z0-9-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

# --- the two that the README starts with ---------------------------------------------------------------------------

demo: setup  ## the whole path on a local Kubernetes: install, serve, talk, upgrade under load; leaves it running
	$(BIN)/python -m demo up

demo-down: setup  ## take the demo away, leaving nothing behind
	$(BIN)/python -m demo down

test: setup  ## everything that this machine can test; the summary says what was left out and why
	$(BIN)/python -m support.run_tests

# --- a laptop: no cluster, no root -----------------------------------------------------------------------------------

serve: setup  ## serve the quickstart's manifest here: no cluster, no GPU, no root
	$(BIN)/dialogue serve manifests/samples/quickstart.yaml

chat: setup  ## talk in the terminal to what `make serve` serves
	$(BIN)/dialogue chat http://127.0.0.1:8080

# --- developing ------------------------------------------------------------------------------------------------------

setup: $(VENV)/.ready  ## the virtual environment with everything pinned

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "setup: $(PYTHON) must be Python 3.11 to 3.13; name another one with PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV) || { echo "setup: 'venv' is missing; on Debian: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@

lint: setup  ## ruff, mypy --strict, import contracts, forbidden package markers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@! ls operator/__init__.py predictor/__init__.py tests/__init__.py 2>/dev/null || \
	  { echo "lint: these shadow the standard library's operator; remove them"; exit 1; }

generate: setup  ## print the CRD and the reference anew from the code
	$(BIN)/python -m support.generate

verify: generate  ## fail where something generated differs from what is committed
	@git diff --exit-code --stat -- charts manifests docs || { echo "verify: run 'make generate' and commit"; exit 1; }

test-fast: setup  ## no cluster, no root: unit, contract, chart and serving tests
	$(BIN)/python -m pytest -m "not cluster and not e2e"

test-cluster: setup  ## the operator against a real API server with the real KServe controller (root)
	$(BIN)/python -m pytest -m cluster

test-e2e: setup  ## the demo, and what must hold on it: pods, traffic, upgrades (root)
	$(BIN)/python -m pytest -m e2e

test-scale: setup  ## autoscaling with KEDA on a local cluster; long, and apart from `test` (root)
	$(BIN)/python -m scale $(PARTS)

test-rollouts: setup  ## rollouts on a real cluster under load, good and bad, and what they cost; 20 minutes (root)
	$(BIN)/python -m rollouts $(PARTS)

explore: setup  ## every state that small rollouts can get into, each decision judged; minutes on one core
	$(BIN)/python -m bench.exploration

bench-operator: setup  ## what a thousand DialogueModels cost the operator; 10 minutes (root); ARGS="--models 100"
	$(BIN)/python -m bench.operator $(ARGS)

bench-gates: setup  ## how often simulated rollouts end wrongly, by our gates and by others' rules; minutes on one core
	$(BIN)/python -m bench.gates $(ARGS)

bench-decoding: $(VENV)/.bench  ## beam search beside Hugging Face, CTranslate2 and ONNX Runtime; 12 minutes; ARGS=--quick
	$(BIN)/dialogue bench decoding $(ARGS)

$(VENV)/.bench: $(VENV)/.ready
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[$(EXTRAS),bench]'
	@touch $@

chaos: setup  ## dice throw faults at rollouts: make chaos SEED=1 MINUTES=10, or EPISODE=7 to replay one (root)
	$(BIN)/python -m chaos $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(EPISODE),--episode $(EPISODE))

crash-points: setup  ## every write of every story with a crash, a lost answer, a late arrival; 10 minutes (root)
	$(BIN)/python -m chaos.crash_points $(ARGS)

train-default: setup  ## both default bundles, pretraining to cards: make train-default DATA=folder-of-corpora [MINUTES=150]
	@test -n "$(DATA)" || { echo "train-default: name the corpora: make train-default DATA=folder"; exit 1; }
	$(BIN)/dialogue train default --data $(DATA) --out $(or $(OUT),build/default) $(if $(MINUTES),--minutes $(MINUTES))

ablation: setup  ## what pretraining and the copy head are worth: make ablation DATA=folder-of-corpora [MINUTES=24]
	@test -n "$(DATA)" || { echo "ablation: name the corpora: make ablation DATA=folder"; exit 1; }
	$(BIN)/dialogue train ablation --data $(DATA) --out $(or $(OUT),build/ablation) $(if $(MINUTES),--minutes $(MINUTES))

# --- the local cluster -------------------------------------------------------------------------------------------------

cluster-up:  ## a real Kubernetes with KServe and a gateway; ARGS="--light" or ARGS="--nodes 2"
	$(CLUSTER) up $(ARGS)

cluster-status:  ## what runs, and whether it is well
	$(CLUSTER) status

cluster-env:  ## print shell exports for it: eval "$(make -s cluster-env)"
	@$(CLUSTER) env

cluster-down:  ## stop it and leave nothing behind
	$(CLUSTER) down

images:  ## build both images; a running local cluster gets them
	$(CLUSTER) image localhost/dialogue-serving/operator:$(VERSION) -f Dockerfile.operator .
	$(CLUSTER) image localhost/dialogue-serving/predictor:$(VERSION) -f Dockerfile.predictor . TORCH_VARIANT=$(TORCH_VARIANT)

TORCH_VARIANT ?= cpu

.PHONY: $(shell sed -nE 's/^([a-z][a-z0-9-]*):.*/\1/p' $(lastword $(MAKEFILE_LIST)))
