# `make help` says what there is. On Windows, or without make, README.md has the same steps.
.DEFAULT_GOAL := help
PYTHON ?= python3
STUDY ?= phantom
BIN := .venv/bin

.PHONY: help study choices looks lab-results verify keep test test-browser test-folders lab book wheels bench lint clean audit test-slurm kill-points

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

study: .venv/ready ## run a study from its exams to Table I (STUDY=phantom)
	$(BIN)/python -m mrnetlib study $(STUDY)

choices: .venv/ready ## after a study: train its variants again, notebook 06 (STUDY=phantom)
	$(BIN)/python -m mrnetlib study $(STUDY) --choices

looks: .venv/ready ## after a study: what the networks look at, held against the lesions, notebook 07
	$(BIN)/python -m mrnetlib study $(STUDY) --looks

lab-results: .venv/ready ## after a study: try ways to transfer, notebook 09 (STUDY=phantom)
	$(BIN)/python -m mrnetlib study $(STUDY) --lab

test: .venv/ready lint ## lint, then run the tests
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

test-folders: .venv/ready ## run whole small studies in folders of odd names; takes long
	$(BIN)/python -m pytest -m whole tests/test_odd_folders.py

verify: .venv/ready ## after a study: does it agree with results/? (STUDY=phantom)
	$(BIN)/python -m mrnetlib verify $(STUDY)

keep: .venv/ready ## after a study: keep its results in results/ (STUDY=phantom)
	$(BIN)/python -m mrnetlib keep $(STUDY)

test-browser: .venv/ready ## run all notebooks in JupyterLab, in a headless Chromium (Debian's)
	@command -v chromium chromium-browser google-chrome >/dev/null \
		|| apt-get install --yes --no-install-recommends chromium \
		|| (apt-get update && apt-get install --yes --no-install-recommends chromium)
	MRNETLIB_BROWSER=all $(BIN)/python -m pytest tests/test_browser.py

lab: .venv/ready ## open JupyterLab on the project, at its notebooks
	$(BIN)/python -m jupyterlab --notebook-dir . --LabApp.default_url=/lab/tree/notebooks

book: .venv/ready ## after a study: a book of its notebooks, data/<study>/book/ (STUDY=phantom)
	$(BIN)/python docs/book.py $(STUDY)

wheels: .venv/ready ## gather what a class needs to install without a network, in data/wheels/
	$(BIN)/python docs/wheels.py

bench: .venv/ready ## measure speed and what settings bring, after a study; results/benchmarks/
	$(BIN)/python -m benchmarks.training --json results/benchmarks/training.json
	$(BIN)/python -m benchmarks.step --json results/benchmarks/step.json
	$(BIN)/python -m benchmarks.scaling --json results/benchmarks/scaling.json
	$(BIN)/python -m benchmarks.inference --json results/benchmarks/inference.json
	$(BIN)/python -m benchmarks.preprocessing --json results/benchmarks/preprocessing.json
	$(BIN)/python -m benchmarks.reading --json results/benchmarks/reading.json
	$(BIN)/python -m benchmarks.backbones --study $(STUDY) --json results/benchmarks/backbones.json
	$(BIN)/python -m benchmarks.study --study $(STUDY) --json results/benchmarks/study.json
	$(BIN)/python -m benchmarks.recipe --study $(STUDY) --json results/benchmarks/recipe.json
	$(BIN)/python -m benchmarks.flip --study $(STUDY) --json results/benchmarks/flip.json
	$(BIN)/python -m benchmarks.starting_weights --study $(STUDY)

audit: .venv/ready ## ask which pinned versions have known vulnerabilities (needs a network)
	$(BIN)/python docs/audit.py

test-slurm: .venv/ready ## try a chain on a Slurm of two nodes on this machine (Debian: slurm-wlm, munge)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[slurm]'
	MRNETLIB_SLURM=1 $(BIN)/python -m pytest -s tests/test_slurm.py

kill-points: .venv/ready ## kill studies and trainings at seeded moments; compare bytes
	$(BIN)/python -m benchmarks.kill_points --json results/benchmarks/kill_points.json

lint: .venv/ready ## check style and the notebooks' format
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

clean: ## remove the environment and caches; never exams or results
	rm -rf .venv .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
