"""What jobs need: one cost model, for the resource requests of the rules.

Memory is that of the interpreter with its libraries plus what a job holds for its rows; run times are those measured on
one core of a slow machine. Both are linear in rows and are checked against the benchmark files that Snakemake writes.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

_PROCESS_MB = 600  # Snakemake in the job, interpreter, libraries, compiled kernels
_TABLE_MB = 250  # SSP table and what the engine makes of it
_MINUTES = 5  # start of a job, and of a slow file system


class Job(NamedTuple):
    """Needs of one job."""

    memory_mb: int
    minutes: int


# rule: (bytes per row, microseconds per row)
_PER_ROW: dict[str, tuple[float, float]] = {
    "lightcone": (400, 5),
    "parent": (400, 20),
    "tree": (50, 2),
    "neighbours": (800, 200),
    "assign": (1600, 20),
    "quiescent": (400, 1000),
    "catalog": (800, 200),
    "spectra": (200, 200),
}
_TREE_BYTES = 60  # per parent point: coordinates, ages, k-d tree


def job(rule: str, config: Mapping[str, Any]) -> Job:
    """Return what one job of a rule needs.

    Parameters
    ----------
    rule : str
        Name of the rule.
    config : mapping
        The complete configuration of the run.

    """
    if rule == "ssp_table":
        return Job(3000, 60)
    if rule in ("plot", "summary"):
        rows = min(config["diagnostics"]["max_galaxies"], galaxies(config))
        return Job(_PROCESS_MB + 400 + math.ceil(rows * 800 / 1e6), _MINUTES + math.ceil(galaxies(config) / 1e7))
    parents = config["parent"]["star_forming"]["n"]
    if rule == "input_table":
        return Job(_PROCESS_MB + 1500, 60)
    rows = _rows(rule, config, parents)
    row_bytes, row_us = _PER_ROW[rule]
    memory = _PROCESS_MB + rows * row_bytes / 1e6
    if rule in ("parent", "quiescent", "catalog", "spectra"):
        memory += _TABLE_MB
    if rule in ("neighbours", "assign"):
        memory += parents * _TREE_BYTES / 1e6
    return Job(math.ceil(memory), _MINUTES + math.ceil(rows * row_us / 60e6))


def _rows(rule: str, config: Mapping[str, Any], parents: int) -> int:
    """Return the rows that a job of the rule works on."""
    if rule == "tree":
        return parents
    if rule == "parent":
        return math.ceil(max(parents, config["parent"]["quiescent"]["n"]) / config["parent"]["shards"])
    return math.ceil(galaxies(config) / config["galaxies"]["shards"])


def galaxies(config: Mapping[str, Any]) -> int:
    """Return the expected number of galaxies: of the light cone if given, else a guess of 1e6."""
    n = config["galaxies"]["lightcone"]["n_galaxies"]
    return int(n) if config["galaxies"]["source"] == "lightcone" and n else 1_000_000
