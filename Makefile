# The two commands: `make demo` shows the main job to a person, `make test` runs every test. Both do all their own set-up.
PYTHON ?= python3
PY     := .venv/bin/python
# Test processes side by side: more than the cores of CI, since Terraform's waits and the SDK's back-off are waited for in
# real time.
WORKERS          ?= 3
WORKFLOW_WORKERS ?= 4
export TF_CLI_CONFIG_FILE := $(CURDIR)/.build/terraformrc
# Terraform neither suggests next commands nor looks for a newer version of itself.
export TF_IN_AUTOMATION := 1
export CHECKPOINT_DISABLE := 1

.PHONY: help setup demo test lint unit workflow terraform-test bench docs lock clean

help: ## Say what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

setup: ## Virtual environments, provider, database servers: whatever is missing
	@$(PYTHON) scripts/setup.py

demo: setup ## Restore a real database end to end in the sandbox and watch it
	@$(PY) -m scripts.demo

test: lint unit terraform-test workflow ## Every test

lint: setup ## Format, lint, types, workflow definition, documents
	@$(PY) -m scripts.lint

unit: setup ## Unit and property tests of the pure core and of the sandbox's parts
	$(PY) -m pytest tests/unit -n $(WORKERS) --dist loadfile

terraform-test: setup ## The module's interface: terraform validate and terraform test with a mocked provider
	@$(PY) -m scripts.terraform_test

workflow: setup ## The applied module, the real state machine, the real zip and real databases in the sandbox
	$(PY) -m pytest tests/workflow -n $(WORKFLOW_WORKERS) --dist loadfile

bench: setup ## Benchmarks: measure again, and write the tables of docs/benchmarks.md
	$(PY) -m bench

docs: setup ## Rewrite the generated parts of README.md and docs/
	@$(PY) -m scripts.generate_docs

lock: setup ## Resolve requirements/*.in and lambda_src/requirements.in again
	@$(PY) -m scripts.lock

clean: ## Remove everything that set-up and tests made
	rm -rf .venv .venv-lambda .build sandbox/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
