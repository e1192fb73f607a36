# `make` lists the targets. Everything runs from .venv, which the first target that needs it creates.
.DEFAULT_GOAL := help
PY := .venv/bin/python
# How many tests run side by side; they mostly wait for servers, so a few more than processors is right.
# Each file stays on one worker, in the order of their names: the slow ones of acceptance come first, and the quick ones
# fill the end. What shares the Docker engine runs afterwards, by two: it mostly waits for containers; it runs after
# failures too (pytest's 1), so that one run tells everything, and not after an interrupt (2).
WORKERS ?= 3
DOCKER_WORKERS ?= 2
READY := .venv/.ready

.PHONY: help setup demo test prove check docs bench clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(READY): pyproject.toml requirements.lock scripts/setup
	@scripts/setup

setup: $(READY) ## make .venv with everything in it (python3 is all it needs)

demo: $(READY) ## the main job on this machine: branch, migrate, preview, promote, discard
	@.venv/bin/preview demo

test: $(READY) ## every test that belongs to a change (some 12 minutes on 2 cores)
	@failed=0; \
	$(PY) -m pytest -m "not prove and not docker" -n $(WORKERS) --dist loadfile --no-loadscope-reorder || failed=$$?; \
	case $$failed in 0|1) $(PY) -m pytest -m "docker and not prove" -n $(DOCKER_WORKERS) --dist loadfile \
		--no-loadscope-reorder || failed=$$?;; esac; \
	exit $$failed

prove: $(READY) ## the long proofs: kill matrices and corpora
	@$(PY) -m pytest -m prove --timeout=3600

check: $(READY) ## ruff, mypy strict, import-linter
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && .venv/bin/lint-imports

docs: $(READY) ## write the generated pages of docs/ anew
	@$(PY) -m orchestrator.cli.docs docs

bench: $(READY) ## timings, as ratios measured side by side
	@$(PY) benchmarks/branching/run.py
	@$(PY) benchmarks/locks/run.py
	@$(PY) benchmarks/generator/run.py
	@$(PY) benchmarks/rehearsal/run.py
	@$(PY) benchmarks/promotion/run.py --orders 50000
	@$(PY) benchmarks/gate/run.py
	@$(PY) benchmarks/scale/run.py

clean: ## remove .venv and caches (not $$PREVIEW_HOME: `neon-embedded stop` and delete that yourself)
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
