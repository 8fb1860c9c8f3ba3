# The configuration, checked before anything runs, and what all rules share.
from pathlib import Path

from snakemake.exceptions import WorkflowError

from mocksed import config as configuration
from mocksed import provenance
from mocksed import resources as cost
from mocksed.errors import UserError

try:
    cfg = configuration.load(config, Path(workflow.basedir, "workflow/schemas/config.schema.yaml"))
    if cfg["galaxies"]["source"] == "table":
        from mocksed.galaxies.table import TableSpec, check_header

        check_header(TableSpec.from_config(cfg["galaxies"]["table"]))
except UserError as error:
    raise WorkflowError(str(error)) from None

R = f"{cfg['results']}/{cfg['run']}"
LOGS = f"logs/{cfg['run']}"
BENCHMARKS = f"benchmarks/{cfg['run']}"
SSP_TABLE = cfg["sps"]["table"]
GALAXY_SHARDS = [f"{i:04d}" for i in range(cfg["galaxies"]["shards"])]
PARENT_SHARDS = [f"{i:04d}" for i in range(cfg["parent"]["shards"])]

# What every file says of the run.
ABOUT = provenance.of_run(cfg)

# What every stage that draws random numbers or ages is told.
SHARED = {key: cfg[key] for key in ("seed", "cosmology")} | {"scatter": cfg["relations"]["scatter"], "about": ABOUT}


wildcard_constraints:
    shard=r"\d{4}",


def shards_of(stage):
    """Return the files of a stage, one for each galaxy shard."""
    return expand(f"{R}/{stage}/{{shard}}.parquet", shard=GALAXY_SHARDS)


def parents_of(kind):
    """Return the shards of a parent catalogue, "star_forming" or "quiescent"."""
    return expand(f"{R}/parent/{kind}/{{shard}}.parquet", shard=PARENT_SHARDS)


def resources_of(rule):
    """Return memory [MB] and run time [min] of a job of the rule; more of both on every further attempt."""
    need = cost.job(rule, cfg)
    return {
        "mem_mb": lambda wildcards, attempt: need.memory_mb * attempt,
        "runtime": lambda wildcards, attempt: need.minutes * attempt,
    }
