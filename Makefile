# make run   from a fresh machine to the finished demo: environment, results, plots, report
# make test  style, types and the whole test suite
# Others: bench, lint, format, docs, lock, clean. Another config: make run CONFIG=config/mine.yaml CORES=8
# On a cluster: make run PROFILE=slurm CONFIG=config/mine.yaml (docs/cluster.md)

PYTHON ?= python3
CONFIG ?= config/config.yaml
CORES ?= all
PROFILE ?=
UV_VERSION := 0.13.8

BIN := .venv/bin
SNAKEMAKE := $(BIN)/snakemake $(if $(PROFILE),--profile $(PROFILE),--cores $(CORES)) --configfile $(CONFIG)
LOCK := .snakemake/make-run.lock
# Snakemake and pip want a folder for what they download, also where the home folder cannot be written.
CACHE := $(shell d=$${XDG_CACHE_HOME:-$$HOME/.cache}; mkdir -p "$$d" 2>/dev/null; test -w "$$d" && echo "$$d")
export XDG_CACHE_HOME := $(or $(CACHE),$(CURDIR)/.cache)
SNAKEFILES := Snakefile $(wildcard workflow/*.smk workflow/rules/*.smk)

.PHONY: run test bench lint format docs lock clean env
.DELETE_ON_ERROR:

# The lock is inherited by Snakemake, so whoever holds it is alive. The file is not empty while a run is unfinished:
# who gets the lock of such a file comes after a run that was killed, and clears the lock that its Snakemake left.
define RUN
mkdir -p .snakemake; \
exec 9>> $(LOCK); \
flock -n 9 || { echo "waiting for another run in this folder, or for jobs that a killed one left" >&2; flock 9; }; \
if [ -s $(LOCK) ]; then $(SNAKEMAKE) --unlock; fi; \
echo running > $(LOCK); \
$(SNAKEMAKE) --rerun-incomplete; status=$$?; \
if [ $$status -lt 128 ]; then : > $(LOCK); fi; \
exit $$status
endef

run: env
	@$(BIN)/mocksed check --configfile $(CONFIG)
	@$(RUN)
	@$(SNAKEMAKE) --report "$$($(BIN)/mocksed report-path --configfile $(CONFIG))"

# Two files of tests at a time, in the order of tests/conftest.py: many of them wait, for a cluster or for processes.
test: lint
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

bench: env .venv/.bench
	$(BIN)/python -m benchmarks

lint: env
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(if $(SNAKEFILES),$(BIN)/snakefmt --check $(SNAKEFILES))

format: env
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(if $(SNAKEFILES),$(BIN)/snakefmt $(SNAKEFILES))

docs: env
	$(BIN)/mocksed config-docs > config/README.md

env: .venv/.installed

# uv installs in 5 s what takes pip 40 s; pip is there for machines on which uv does not work, e.g. with a pip mirror.
define INSTALL
($(BIN)/pip install --quiet uv==$(UV_VERSION) && \
  VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --require-hashes -r $(1)) || \
  $(BIN)/pip install --quiet --require-hashes -r $(1)
endef

.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: Python 3.11 or newer is needed; name one: make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(call INSTALL,requirements.lock)
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $@

# Without what it compares with, the benchmark measures mocksed alone.
.venv/.bench: requirements-bench.lock .venv/.installed
	@{ $(call INSTALL,$<); } && touch $@ || echo "DSPS cannot be installed: its rows will say so" >&2

lock: env
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 pyproject.toml --group dev --generate-hashes \
	  -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --group bench --constraints requirements.lock \
	  --generate-hashes -o requirements-bench.lock

clean:
	rm -rf .venv .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src workflow tests benchmarks -name __pycache__ -prune -exec rm -r {} + # compiled code is in them
