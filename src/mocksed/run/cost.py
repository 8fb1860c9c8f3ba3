"""What a run is expected to cost: the resource requests of the rules, and the plan of `mocksed plan`.

`mocksed.run.laws` has the laws behind it.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from mocksed.run.laws import (
    MB,
    RANKED,
    RULES,
    SPARE,
    Config,
    catalogue_rows,
    law_of,
    points,
    request_mb,
    rows,
    threads_of,
)
from mocksed.search import KINDS

_SAFETY = 2.0  # requested over expected run time
_MINUTES = 5  # least run time requested: slow file systems, Snakemake, compilation on the first run
_JOB_S = 900.0  # that the longest job of a shard may take, where shards are chosen here
_SHARE = 0.6  # of neighbours.max_memory_gb that its galaxies may take
_LEAST_SHARDS, _MOST_SHARDS = 4, 9999  # so that a small run, too, has work for some cores; file names have four digits


class Request(NamedTuple):
    """The request of one job."""

    memory_mb: int
    minutes: int


class Need(NamedTuple):
    """What a rule is expected to need: number of jobs, memory and time of each, core-hours and disk of all of them."""

    jobs: int
    memory_mb: int
    seconds: float
    core_hours: float
    disk_gb: float


class Disk(NamedTuple):
    """The disk that a run takes [GB]: once it is done, and while it runs for each shard of galaxies at work."""

    kept: float
    per_shard: float


_READ_US = 0.2  # of each row of the catalogue and of the parent, of which plots take samples
_PER_WAVELENGTH = 3.6  # bytes on disk, compressed


def job(rule: str, config: Config) -> Request:
    """Return what is requested for one job of a rule, on the threads that it is given.

    Parameters
    ----------
    rule : str
        Name of the rule.
    config : mapping
        The complete configuration of the run.

    """
    memory = request_mb(law_of(rule, config), rows(rule, config), points(rule, config))
    return Request(math.ceil(memory), _MINUTES + math.ceil(_SAFETY * seconds(rule, config) / 60.0))


def seconds(rule: str, config: Config) -> float:
    """Return the expected run time of a job, the longest of its rule, on the cores that it is given [s]."""
    n = RULES[rule].all_rows(config) if rule == "input_table" else rows(rule, config)  # it holds one shard at a time
    return _before_rows_s(rule, config) + 1e-6 * n * law_of(rule, config).row_us / threads_of(rule, config)


def _before_rows_s(rule: str, config: Config) -> float:
    """Return the time of a job without that of its rows [s]."""
    read = catalogue_rows(config) + int(config["parent"]["star_forming"]["n"]) if RULES[rule].samples else 0
    return law_of(rule, config).start_s + 1e-6 * read * _READ_US


def on_ranks(rule: str, config: Config) -> Request:
    """Return what is requested for the job that makes all shards of a rule with MPI: memory of a rank, time of all."""
    single, whole = job(rule, config), plan(config)[rule]
    return single._replace(minutes=max(single.minutes, _MINUTES + math.ceil(_SAFETY * whole.seconds / 60.0)))


def plan(config: Config, n_wavelengths: int = 1936) -> dict[str, Need]:
    """Return what each rule of a run is expected to need, with the memory that is requested.

    Parameters
    ----------
    config : mapping
        The complete configuration of the run.
    n_wavelengths : int
        Wavelengths at which spectra are stored.

    """
    return {rule: need(rule, n, config, n_wavelengths) for rule, entry in RULES.items() if (n := entry.jobs(config))}


def need(rule: str, n: int, config: Config, n_wavelengths: int = 1936) -> Need:
    """Return what a rule is expected to need if it is so many jobs, but for ranks of MPI; others as for `plan`."""
    law, all_rows = law_of(rule, config), RULES[rule].all_rows(config)
    disk = all_rows * (n_wavelengths * _PER_WAVELENGTH if rule == "spectra" else law.row_disk)
    ranks = config["mpi"]["tasks"] if rule in RANKED else 1
    start_s, rows_s = _before_rows_s(rule, config), 1e-6 * all_rows * law.row_us
    if ranks > 1:
        n, processes, longest_s = 1, ranks, start_s + rows_s / (ranks * threads_of(rule, config))
    else:
        processes, longest_s = n, seconds(rule, config)
    core_hours = (processes * start_s + rows_s) / 3600.0
    return Need(n, ranks * job(rule, config).memory_mb, longest_s, core_hours, disk / 1e9)


def disk(config: Config, needs: Mapping[str, Need]) -> Disk:
    """Return the disk that a run takes, of the needs of its rules (`plan`).

    Snakemake starts first what frees most disk: of a shard that is at work it finishes the catalogue before it begins
    another one, and so there are files that pass of as many shards as there are jobs at a time. With ranks of MPI the
    files of a rule that is one job are kept.
    """
    passing = [
        need.disk_gb
        for rule, need in needs.items()
        if RULES[rule].passing and not (rule in RANKED and config["mpi"]["tasks"] > 1)
    ]
    kept = sum(need.disk_gb for need in needs.values()) - sum(passing)
    return Disk(kept, sum(passing) / config["galaxies"]["shards"])


def with_shards(config: Config) -> dict[str, Any]:
    """Return the configuration with numbers of shards in place of ``auto``.

    Galaxies are cut such that the longest job of a shard takes some 15 minutes and the galaxies of none more than 60 %
    of ``neighbours.max_memory_gb``, the parent such that a job takes as long. The numbers follow from the
    configuration and, where it names a table, from its number of rows.

    Raises
    ------
    UserError
        If a light cone is empty or has impossible limits.

    """
    config = dict(config)
    if config["galaxies"]["shards"] == "auto":
        laws = [law_of(name, config) for name, rule in RULES.items() if rule.cuts and rule.jobs(config)]
        row_mb, row_s = (max(SPARE * law.row_bytes / MB for law in laws), max(1e-6 * law.row_us for law in laws))
        least = max(row_mb / (_SHARE * 1000.0 * config["neighbours"]["max_memory_gb"]), row_s / _JOB_S)
        config["galaxies"] = config["galaxies"] | {"shards": _sensible(catalogue_rows(config) * least, config)}
    if config["parent"]["shards"] == "auto":
        largest = max(config["parent"][kind]["n"] for kind in KINDS)
        needed = 1e-6 * largest * RULES["parent"].law.row_us / _JOB_S
        config["parent"] = config["parent"] | {"shards": _sensible(needed, config)}
    return config


def _sensible(shards: float, config: Config) -> int:
    """Return a number of shards that is neither too small, so that ranks of MPI have several each, nor too large."""
    return min(max(math.ceil(shards), _LEAST_SHARDS * config["mpi"]["tasks"]), _MOST_SHARDS)
