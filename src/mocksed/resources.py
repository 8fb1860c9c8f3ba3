"""What a run needs: one cost model, for the resource requests of the rules and for `mocksed plan`.

Memory is that of the interpreter with its libraries plus what a job holds for its rows, and for the parent points that
it searches or looks up; time is that of one core. Both are linear, fitted to the benchmark files that Snakemake writes.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from mocksed import realisations
from mocksed.errors import UserError

_PROCESS_MB = 600  # Snakemake in the job, interpreter, libraries, compiled kernels
_TABLE_MB = 250  # SSP table and what the engine makes of it
_START_S = 5.0  # of a job: imports, tables
_SAFETY = 2.0  # requested over expected run time
_MINUTES = 5  # least run time requested: slow file systems, compilation on the first run
_QUERY_US, _QUERY_POWER = 7.0, 0.35  # of a search: at 1e6 points, and how it rises with their number
_BLOCK_MB = 200  # of the rules that hold a block of rows at a time, beside what they keep
_LEAST_TREE = 100_000  # points of a tree shard: each more costs a search of its own


class Job(NamedTuple):
    """What is requested for one job."""

    memory_mb: int
    minutes: int


class Law(NamedTuple):
    """Cost of a rule per row: bytes of memory, microseconds on one core, bytes on disk.

    And of a job per parent point that it searches or looks up: bytes, mapped ones among them, and microseconds.
    """

    memory: float
    time_us: float
    disk: float
    point_memory: float = 0.0
    point_us: float = 0.0


class Need(NamedTuple):
    """What a rule is expected to need: number of jobs, memory of each, core-hours and disk of all of them."""

    jobs: int
    memory_mb: int
    core_hours: float
    disk_gb: float


_LAWS: dict[str, Law] = {
    "lightcone": Law(400, 3, 30),
    "input_table": Law(0, 5, 60),
    "parent": Law(0, 4, 52),
    "tree": Law(40, 1.0, 28),
    "propose": Law(600, 25, 60),
    "neighbours": Law(800, 6, 160, point_memory=30, point_us=0.03),
    "merge": Law(400, 3, 200),
    "assign": Law(1600, 70, 100, point_memory=20, point_us=0.02),
    "quiescent": Law(400, 10, 5),
    "catalog": Law(800, 150, 180),
    "spectra": Law(200, 130, 0),
    "plot": Law(800, 15, 0, point_us=0.1),
    "summary": Law(800, 15, 0, point_us=0.1),
    "compare": Law(2400, 45, 0),
    "ssp_table": Law(0, 0, 0),
}
_FLAT: dict[str, tuple[float, float]] = {
    "ssp_table": (3000, 1800.0),
    "input_table": (_PROCESS_MB + 1500, 600.0),
    "plot": (_PROCESS_MB + 400, 10.0),
}
_FLAT["summary"] = _FLAT["plot"]
_FLAT["compare"] = (_PROCESS_MB + 800, 300.0)  # three catalogues, and searches for the best models
_PLOTS = 8
_BYTES_PER_WAVELENGTH = 3.6  # compressed
_PER_COLUMN = Law(12, 0.3, 4)  # of magnitudes or lines that the catalogue has
_ALL_LINES = 166


def search_us(n_points: float) -> float:
    """Return the time of a query for ten neighbours in the default metric on one core [us] (benchmarks/search.txt)."""
    return _QUERY_US * (n_points / 1e6) ** _QUERY_POWER


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


def on_ranks(rule: str, config: Mapping[str, Any], ranks: int, threads: int) -> Job:
    """Return what is requested for a job that makes all shards of a rule with MPI: memory of a rank, time of all."""
    one, hours = job(rule, config), plan(config)[rule].core_hours / (ranks * threads)
    return one._replace(minutes=max(one.minutes, _MINUTES + math.ceil(_SAFETY * 60.0 * hours)))


def plan(config: Mapping[str, Any], n_wavelengths: int = 1936) -> dict[str, Need]:
    """Return what each rule of a run is expected to need.

    Parameters
    ----------
    config : mapping
        The complete configuration of the run.
    n_wavelengths : int
        Of the SSP table.

    """
    shards, parent_shards, trees = config["galaxies"]["shards"], 2 * config["parent"]["shards"], tree_shards(config)
    source = {"lightcone": shards} if config["galaxies"]["source"] == "lightcone" else {"input_table": 1}
    search = {"tree": trees, "neighbours": shards * trees} | ({"merge": shards} if trees > 1 else {})
    stages = dict.fromkeys(("propose", "assign", "quiescent", "catalog"), shards)
    spectra = {"spectra": shards} if config["spectra"]["write"] else {}
    jobs = source | {"parent": parent_shards} | search | stages | spectra | {"plot": _PLOTS, "summary": 1}
    needs = {}
    for rule, n in jobs.items():
        law, rows = _law(rule, config), _all_rows(rule, config)
        disk = rows * (n_wavelengths * _BYTES_PER_WAVELENGTH if rule == "spectra" else law.disk)
        seconds = n * (_START_S + _points(rule, config) * law.point_us * 1e-6) + rows * law.time_us * 1e-6
        needs[rule] = Need(n, _memory_mb(rule, config), seconds / 3600.0, disk / 1e9)
    return needs


def tree_shards(config: Mapping[str, Any]) -> int:
    """Return the least number of tree shards with which all jobs keep to ``neighbours.max_memory_gb``.

    Raises
    ------
    UserError
        If no number does.

    """
    n, limit = config["parent"]["star_forming"]["n"], 1e9 * config["neighbours"]["max_memory_gb"]
    rows, smallest = _rows("neighbours", config), min(n, _LEAST_TREE)
    to_build = (1e6 * (_PROCESS_MB + _BLOCK_MB), _LAWS["tree"].memory)
    to_search = (1e6 * _PROCESS_MB + rows * _LAWS["neighbours"].memory, _LAWS["neighbours"].point_memory)
    needed = max(held + smallest * a_point for held, a_point in (to_build, to_search))
    if needed > limit:
        raise UserError(
            f"{limit / 1e9:g} is too little for even the smallest tree shard, {smallest} points, and the {rows} "
            f"galaxies of a job; expected at least {math.ceil(needed / 1e8) / 10}, or more galaxies.shards"
        )
    return max(math.ceil(n * a_point / (limit - held)) for held, a_point in (to_build, to_search))


def galaxies(config: Mapping[str, Any]) -> int:
    """Return the number of galaxies: of the light cone if it is given, else a guess of 1e6."""
    n = config["galaxies"]["lightcone"]["n_galaxies"]
    return int(n) if config["galaxies"]["source"] == "lightcone" and n else 1_000_000


def catalogue_rows(config: Mapping[str, Any]) -> int:
    """Return the number of rows of the catalogue: one for each galaxy in each realisation."""
    return galaxies(config) * len(realisations.indices(config["realisations"]))


def _law(rule: str, config: Mapping[str, Any]) -> Law:
    """Return the cost of a rule.

    That of a search depends on the points of the tree, that of the catalogue on the magnitudes and lines that it has.
    """
    if rule == "neighbours":
        law = _LAWS[rule]
        return law._replace(time_us=law.time_us + search_us(_points(rule, config)))
    if rule != "catalog":
        return _LAWS[rule]
    lines, photometry = config["spectra"]["lines"], config["photometry"]
    n = (_ALL_LINES if lines == "all" else len(lines)) + len(photometry["filters"]) + len(photometry["rest_frame"])
    return Law(*(base + n * more for base, more in zip(_LAWS[rule], _PER_COLUMN, strict=True)))


def _rows(rule: str, config: Mapping[str, Any]) -> int:
    """Return the rows that one job of a rule works on."""
    match rule:
        case "plot" | "summary" | "compare":
            return min(config["diagnostics"]["max_galaxies"], catalogue_rows(config))
        case "parent":
            largest = max(config["parent"][kind]["n"] for kind in ("star_forming", "quiescent"))
            return math.ceil(largest / config["parent"]["shards"])
        case "tree":
            return math.ceil(config["parent"]["star_forming"]["n"] / tree_shards(config))
        case "merge":
            return math.ceil(catalogue_rows(config) / config["galaxies"]["shards"]) * tree_shards(config)
    return math.ceil(catalogue_rows(config) / config["galaxies"]["shards"])


def _all_rows(rule: str, config: Mapping[str, Any]) -> int:
    """Return the rows that all jobs of a rule work on."""
    match rule:
        case "parent":
            return int(config["parent"]["star_forming"]["n"] + config["parent"]["quiescent"]["n"])
        case "tree":
            return int(config["parent"]["star_forming"]["n"])
        case "neighbours" | "merge":
            return catalogue_rows(config) * tree_shards(config)
        case "plot":
            return catalogue_rows(config) * _PLOTS
    return catalogue_rows(config)


def _points(rule: str, config: Mapping[str, Any]) -> int:
    """Return the parent points that one job of a rule searches or looks up."""
    n = int(config["parent"]["star_forming"]["n"])
    return math.ceil(n / tree_shards(config)) if rule == "neighbours" else n


def _memory_mb(rule: str, config: Mapping[str, Any]) -> int:
    law, memory = _law(rule, config), _FLAT.get(rule, (_PROCESS_MB, 0.0))[0]
    memory += (_rows(rule, config) * law.memory + _points(rule, config) * law.point_memory) / 1e6
    if rule in ("parent", "propose", "assign", "quiescent", "catalog", "spectra"):
        memory += _TABLE_MB
    if rule in ("parent", "tree"):
        memory += _BLOCK_MB
    return math.ceil(memory)


def _seconds(rule: str, config: Mapping[str, Any]) -> float:
    """Return the expected run time of one job, on the cores that it is given."""
    # plots hold a sample, but read everything
    rows = catalogue_rows(config) if rule in ("plot", "summary", "compare", "input_table") else _rows(rule, config)
    threads = config["neighbours"]["threads"] if rule in ("tree", "neighbours") else 1
    law = _law(rule, config)
    microseconds = _points(rule, config) * law.point_us + rows * law.time_us / threads
    return _FLAT.get(rule, (0.0, _START_S))[1] + 1e-6 * microseconds
