# The configuration, checked before anything runs, and what all rules share.
import itertools
from pathlib import Path

from snakemake.exceptions import WorkflowError

from mocksed import realisations, yamlfile
from mocksed.config.checks import check_table_header
from mocksed.errors import UserError
from mocksed.files import provenance
from mocksed.files.storage import shard_bounds
from mocksed.galaxies import given
from mocksed.galaxies.files import made_of
from mocksed.relations import ARGUMENTS, BEHIND_BALANCE, used
from mocksed.run import configuration, cost, launch, laws
from mocksed.search import KINDS
from mocksed.search.metric import carries
from mocksed.search.sampling import relations_behind

try:
    if workflow.is_main_process:
        # Snakemake has read them already, and kept of a key that is given twice the last alone.
        for path in workflow.configfiles:
            yamlfile.read(Path(path))
    cfg = configuration.load(
        config,
        further=(check_table_header,) if workflow.is_main_process else (),  # of all files there are
    )
    if cfg["mpi"]["tasks"] > 1 and workflow.is_main_process:
        launch.check(cfg["mpi"]["launcher"])
except UserError as error:
    raise WorkflowError(str(error)) from None

R = f"{cfg['results']}/{cfg['run']}"
LOGS = f"logs/{cfg['run']}"
BENCHMARKS = f"benchmarks/{cfg['run']}"
SSP_TABLE = cfg["sps"]["table"]
GALAXY_SHARDS = [f"{i:04d}" for i in range(cfg["galaxies"]["shards"])]
PARENT_SHARDS = [f"{i:04d}" for i in range(cfg["parent"]["shards"])]
TREE_SHARDS = {kind: [f"{i:04d}" for i in range(laws.tree_shards(cfg, kind))] for kind in KINDS}

REALISATIONS = realisations.indices(cfg["realisations"])

# What files with galaxies say of the run, and what those of the parent do, which all realisations share.
ABOUT = provenance.of_galaxies(cfg, made_of(cfg))
ABOUT_PARENT = provenance.of_run(cfg)

# What the user's table gives beside redshift, mass and class.
GIVEN = {"mode": cfg["galaxies"]["table"]["given"], "quantities": given.of_config(cfg["galaxies"])}

# The relations of the run, with what their tables have in them, and those that the balance and parents follow from.
RELATIONS = used(cfg["relations"], ARGUMENTS)
RELATIONS_OF_BALANCE = used(cfg["relations"], BEHIND_BALANCE)
RELATIONS_OF_PARENT = {
    kind: relations_behind(kind, cfg["parent"][kind]["sampling"], cfg["relations"]) for kind in KINDS
}

# The arguments of `mocksed.search.metric.metric_of`, except for the class.
METRIC = {key: cfg["neighbours"][key] for key in ("metric", "scales")}
METRIC["carries"] = carries(cfg["relations"], GIVEN["quantities"])


wildcard_constraints:
    shard=r"\d{4}",
    tree=r"\d{4}",
    kind="star_forming|quiescent",


def shards_of(stage):
    """Return the files of a stage, one for each galaxy shard."""
    return expand(f"{R}/{stage}/{{shard}}.parquet", shard=GALAXY_SHARDS)


def parents_of(kind):
    """Return the shards of a parent catalogue, "star_forming" or "quiescent"."""
    return expand(f"{R}/parent/{kind}/{{shard}}.h5", shard=PARENT_SHARDS)


def recipe_of(kind):
    """Return the arguments of `mocksed.search.parent.recipe`: all that a parent catalogue follows from."""
    of_kind = cfg["parent"][kind]
    return {
        "kind": kind,
        "n": of_kind["n"],
        "sampling": of_kind["sampling"],
        "seed": cfg["seed"],
        "cosmology": cfg["cosmology"],
        "relations": RELATIONS_OF_PARENT[kind],
        "sps": cfg["sps"],
        "uvj_box": cfg["quiescent"]["uvj_box"] if of_kind.get("in_box_only") else None,
    }


def tables_of(relations):
    """Return the user's tables among relations (`mocksed.relations.used`), inputs of the rules that read them."""
    return list(relations.get("tables", ()))


def trees_of(kind):
    """Return the files of the tree shards of a class."""
    return {
        "leaves": expand(f"{R}/tree/{kind}/{{tree}}.npy", tree=TREE_SHARDS[kind]),
        "about": expand(f"{R}/tree/{kind}/{{tree}}.json", tree=TREE_SHARDS[kind]),
    }


def parents_of_tree(wildcards):
    """Return the shards of the parent that hold the rows of a tree shard."""
    n, kind = cfg["parent"][wildcards.kind]["n"], wildcards.kind
    start, stop = shard_bounds(n, len(TREE_SHARDS[kind]))[int(wildcards.tree)]
    held = shard_bounds(n, len(PARENT_SHARDS))
    return [path for path, (first, last) in zip(parents_of(kind), held) if first < stop and start < last]


# What the search and what follows it are told.
SEARCH = {
    **{key: cfg[key] for key in ("seed", "cosmology", "assignment", "sps")},
    "neighbours": {key: cfg["neighbours"][key] for key in ("k", "draws", "allowed_ages_only")},
    "relations": RELATIONS,
    "metric": METRIC,
    "given": GIVEN,
    "limits": {key: cfg["galaxies"][cfg["galaxies"]["source"]][key] for key in ("redshift", "log_mstar")},
}

# What their files say beside that of the galaxies.
SEARCH["about"] = {
    **ABOUT,
    "relations": SEARCH["relations"],
    "search": {
        **{key: SEARCH[key] for key in ("assignment", "neighbours", "metric", "given", "limits")},
        "parent": {kind: {key: recipe_of(kind)[key] for key in ("n", "sampling", "uvj_box")} for kind in KINDS},
    },
}


def number_of(shard):
    """Return the number of a galaxy shard, and how many there are, as its files say it."""
    return [int(shard), len(GALAXY_SHARDS)]


def resources_of(rule):
    """Return memory [MB] and run time [min] of a job of the rule; more of both on every further attempt."""
    need = cost.job(rule, cfg)
    return {
        "mem_mb": lambda wildcards, attempt: need.memory_mb * attempt,
        "runtime": lambda wildcards, attempt: need.minutes * attempt,
    }


def is_small(rule):
    """Return whether a job of the rule may run where Snakemake does, though the others go to a cluster.

    It may where it takes less memory than a browser and about a minute: a login node is shared. The resource `here`
    counts such jobs, so that a profile can limit them.
    """
    need = cost.job(rule, cfg)
    return need.memory_mb <= 2000 and need.minutes <= 6


# Rules that may use MPI: a job makes one shard, or all of them with ranks that share them out.
RANKS = cfg["mpi"]["tasks"]


def in_job(wildcards, values):
    """Return what wildcards a job stands for, of all their values: its own, or with MPI every combination."""
    if RANKS == 1:
        return [{name: wildcards[name] for name in values}]
    return [dict(zip(values, chosen)) for chosen in itertools.product(*values.values())]


def of_job(pattern, values):
    """Return the files of a job, in the order of `in_job`."""
    return [pattern] if RANKS == 1 else [pattern.format(**chosen) for chosen in in_job(None, values)]


def name_of_job(pattern):
    """Return what a job is called: by its wildcards, or "all"."""
    return pattern if RANKS == 1 else "all"


def resources_of_ranks(rule, threads=1):
    """Return `resources_of` the rule, or what it takes to make all its shards with MPI."""
    if RANKS == 1:
        return resources_of(rule)
    need = cost.on_ranks(rule, cfg)
    return {
        "mpi": cfg["mpi"]["launcher"] or launch.launcher_here(),
        "tasks": RANKS,
        "cpus_per_task": threads,
        "mem_mb_per_cpu": lambda wildcards, attempt: need.memory_mb // threads * attempt,
        "runtime": lambda wildcards, attempt: need.minutes * attempt,
    }
