# Every target makes what it needs. ARGS is passed on: make demo ARGS="--duration 30"
SHELL := /bin/bash
ARGS ?=
# Processes that run the tests; 0 runs them in pytest's own, as --pdb needs.
JOBS ?= 2
ENTER := source ./env.sh

.PHONY: help setup demo docs test test-fast test-matrix check fuzz bench-train format clean

help:
	@echo "make setup            libraries, ROS 2 and messages, in .venv"
	@echo "make demo ARGS=...    a simulated robot camera through the whole graph"
	@echo "make test ARGS=...    the tests; JOBS=0 for one process, as --pdb needs"
	@echo "make test-fast        what computes on one frame, without ROS and training (minutes)"
	@echo "make test-matrix      the ROS tests under Python 3.10, 3.12, NumPy 1.26 and 2"
	@echo "make fuzz ARGS=\"--minutes 30\"  mutated messages, recordings, images, recipes and weights through their readers"
	@echo "make bench-train ARGS=\"--data IMAGES --minutes 20\"  does each method learn, beside lightly's and open_clip's"
	@echo "make docs             the documentation as a site, in build/docs; warnings are errors"
	@echo "make check            format, lint, types, direction of imports"
	@echo "make format           puts the sources into the format that check wants"
	@echo "make clean            removes all that these made inside the repository"

setup:
	@scripts/setup

# Tests, documents and fleets need more libraries, which `setup` brings.
demo:
	@scripts/setup --without further
	@$(ENTER) && exec perception-contrast demo $(ARGS)

docs: setup
	@$(ENTER) && exec sphinx-build --fail-on-warning --keep-going -q -b html docs build/docs $(ARGS)

test: setup
	@python3 scripts/test_browser.py
	@$(ENTER) && exec python scripts/run_tests.py -n $(JOBS) --dist loadgroup --no-loadscope-reorder $(ARGS)

FAST := core images recordings models preprocessing text vocabulary segmentation tracking visualization fuzzing
test-fast: setup
	@$(ENTER) && exec python -m pytest $(FAST:%=test/unit/%) -m "not slow" $(ARGS)

test-matrix: setup
	@$(ENTER) && exec python scripts/test_matrix.py $(ARGS)

check: setup
	@$(ENTER) && ruff format --check . && ruff check . && mypy && lint-imports

fuzz: setup
	@$(ENTER) && PYTHONPATH="$(CURDIR)/test:$(CURDIR)/test/support:$$PYTHONPATH" exec python -m fuzzing $(ARGS)

bench-train: setup
	@$(ENTER) && exec python -m perception_contrast_training.bench.learning \
		--results docs/figures/proof_of_learning.json --page docs/proof_of_learning.md $(ARGS)

format: setup
	@$(ENTER) && ruff format . && ruff check --fix .

clean:
	rm -rf .venv build install log .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
