"""What a run needs: one cost model, for the resource requests of the rules and for `mocksed plan`.

Memory is that of the interpreter with its libraries plus what a job holds for its rows, time is that of one core; both
are linear in rows, fitted to the benchmark files that Snakemake writes.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

_PROCESS_MB = 600  # Snakemake in the job, interpreter, libraries, compiled kernels
_TABLE_MB = 250  # SSP table and what the engine makes of it
_START_S = 5.0  # of a job: imports, tables
_SAFETY = 2.0  # requested over expected run time
_MINUTES = 5  # least run time requested: slow file systems, compilation on the first run
_TREE_BYTES = 60  # held per parent point by those who search it: coordinates, ages, k-d tree


class Job(NamedTuple):
    """What is requested for one job."""

    memory_mb: int
    minutes: int


class Law(NamedTuple):
    """Cost of a rule per row: bytes of memory, microseconds on one core, bytes on disk."""

    memory: float
    time_us: float
    disk: float


class Need(NamedTuple):
    """What a rule is expected to need: number of jobs, memory of each, core-hours and disk of all of them."""

    jobs: int
    memory_mb: int
    core_hours: float
    disk_gb: float


_LAWS: dict[str, Law] = {
    "lightcone": Law(400, 3, 30),
    "input_table": Law(0, 5, 60),
    "parent": Law(400, 12, 90),
    "tree": Law(50, 2, 40),
    "neighbours": Law(800, 60, 200),
    "assign": Law(1600, 8, 90),
    "quiescent": Law(400, 50, 5),
    "catalog": Law(800, 150, 180),
    "spectra": Law(200, 130, 0),
    "plot": Law(800, 15, 0),
    "summary": Law(800, 15, 0),
    "ssp_table": Law(0, 0, 0),
}
_FLAT = {"ssp_table": (3000, 1800.0), "input_table": (_PROCESS_MB + 1500, 600.0), "plot": (_PROCESS_MB + 400, 10.0)}
_FLAT["summary"] = _FLAT["plot"]
_PLOTS = 7
_BYTES_PER_WAVELENGTH = 3.6  # compressed
_PER_COLUMN = Law(12, 0.3, 4)  # of magnitudes or lines that the catalogue has
_ALL_LINES = 166


def job(rule: str, config: Mapping[str, Any]) -> Job:
    """Return what is requested for one job of a rule.

    Parameters
    ----------
    rule : str
        Name of the rule.
    config : mapping
        The complete configuration of the run.

    """
    return Job(_memory_mb(rule, config), _MINUTES + math.ceil(_SAFETY * _seconds(rule, config) / 60.0))


def plan(config: Mapping[str, Any], n_wavelengths: int = 1936) -> dict[str, Need]:
    """Return what each rule of a run is expected to need.

    Parameters
    ----------
    config : mapping
        The complete configuration of the run.
    n_wavelengths : int
        Of the SSP table.

    """
    shards, parent_shards = config["galaxies"]["shards"], 2 * config["parent"]["shards"]
    source = {"lightcone": shards} if config["galaxies"]["source"] == "lightcone" else {"input_table": 1}
    stages = dict.fromkeys(("neighbours", "assign", "quiescent", "catalog"), shards)
    spectra = {"spectra": shards} if config["spectra"]["write"] else {}
    jobs = source | {"parent": parent_shards, "tree": 1} | stages | spectra | {"plot": _PLOTS, "summary": 1}
    needs = {}
    for rule, n in jobs.items():
        rows = {"parent": _parents(config), "tree": config["parent"]["star_forming"]["n"]}.get(rule, galaxies(config))
        disk = rows * (n_wavelengths * _BYTES_PER_WAVELENGTH if rule == "spectra" else _law(rule, config).disk)
        hours = (n * _START_S + rows * _law(rule, config).time_us * 1e-6 * (_PLOTS if rule == "plot" else 1)) / 3600.0
        needs[rule] = Need(n, _memory_mb(rule, config), hours, disk / 1e9)
    return needs


def galaxies(config: Mapping[str, Any]) -> int:
    """Return the number of galaxies: of the light cone if it is given, else a guess of 1e6."""
    n = config["galaxies"]["lightcone"]["n_galaxies"]
    return int(n) if config["galaxies"]["source"] == "lightcone" and n else 1_000_000


def _law(rule: str, config: Mapping[str, Any]) -> Law:
    """Return the cost of a rule, which for the catalogue depends on the magnitudes and lines that it has."""
    if rule != "catalog":
        return _LAWS[rule]
    lines, photometry = config["spectra"]["lines"], config["photometry"]
    n = (_ALL_LINES if lines == "all" else len(lines)) + len(photometry["filters"]) + len(photometry["rest_frame"])
    return Law(*(base + n * more for base, more in zip(_LAWS[rule], _PER_COLUMN, strict=True)))


def _parents(config: Mapping[str, Any]) -> int:
    return int(config["parent"]["star_forming"]["n"] + config["parent"]["quiescent"]["n"])


def _rows(rule: str, config: Mapping[str, Any]) -> int:
    """Return the rows that one job of a rule holds."""
    if rule in ("plot", "summary"):
        return min(config["diagnostics"]["max_galaxies"], galaxies(config))
    if rule == "tree":
        return int(config["parent"]["star_forming"]["n"])
    if rule == "parent":
        largest = max(config["parent"][kind]["n"] for kind in ("star_forming", "quiescent"))
        return math.ceil(largest / config["parent"]["shards"])
    return math.ceil(galaxies(config) / config["galaxies"]["shards"])


def _memory_mb(rule: str, config: Mapping[str, Any]) -> int:
    memory = _FLAT.get(rule, (_PROCESS_MB,))[0] + _rows(rule, config) * _law(rule, config).memory / 1e6
    if rule in ("parent", "quiescent", "catalog", "spectra"):
        memory += _TABLE_MB
    if rule in ("neighbours", "assign"):
        memory += config["parent"]["star_forming"]["n"] * _TREE_BYTES / 1e6
    return math.ceil(memory)


def _seconds(rule: str, config: Mapping[str, Any]) -> float:
    """Return the expected run time of one job on one core."""
    # plots hold a sample, but read everything
    rows = galaxies(config) if rule in ("plot", "summary", "input_table") else _rows(rule, config)
    return _FLAT.get(rule, (0, _START_S))[1] + rows * _law(rule, config).time_us * 1e-6
