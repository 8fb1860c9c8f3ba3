"""What jobs take: a law for each rule, as benchmarks/cost.py has measured it.

`RULES` has of each rule how many jobs a run has, of how many rows, and a `Law`: what a job takes by itself, for each of
its rows, and for each parent point that it maps. The laws describe what benchmarks/cost.py has measured
(benchmarks/cost.json; a test holds the two together).

Time is that of one core, in CPU seconds, and does not count waiting for disks. Memory is the sum of the resident sets
of all processes of a job: its script and the Snakemake that runs it on a cluster. Resident is also what a job has
mapped of files, the tree and the parent, although a node keeps one copy for all its jobs, and so are libraries that
processes share: SLURM's own accounting adds up the same, while cgroups count shared pages once. A request that holds
under the one holds under the other. MB are 2^20 bytes, as SLURM and Snakemake have them.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from mocksed import realisations
from mocksed.diagnostics import PLOTS
from mocksed.errors import UserError
from mocksed.files.columns import MORPHOLOGY
from mocksed.galaxies import count, given
from mocksed.search import KINDS
from mocksed.search.nodes import SFR_OFFSETS, grid
from mocksed.survey import bands

SNAKEMAKE_MB = 420
"""Memory of the processes around a script in a job on a cluster [MB]: two Snakemakes, one that SLURM starts and one
that this starts, of 200 MB each (130 MB with shared libraries divided among the processes that map them), and srun.
Snakemake's benchmark files see the script alone, which takes so much less."""
SNAKEMAKE_S = 7.0
"""CPU time of these, most of it before the script starts [s]. No law has it: a run on one machine does without."""
REFERENCE_S = 0.81
"""Time of the reference kernel (`mocksed.run.kernel`) on a machine on which the laws hold [s]: the median of those
taken after the runs that were measured, 0.77 to 0.89 s."""
SPARE = 1.25  # memory requested over expected
_LEAST_MB = 600  # of a job under Snakemake on a cluster
_QUERY_US, _QUERY_POWER = 4.6, 0.25  # of a search: at 1e6 points, and how it rises with their number
_LEAST_TREE = 100_000  # points of a tree shard: each more costs a search of its own


class Law(NamedTuple):
    """What a job takes: by itself, for each of its rows, and for each parent point that it maps."""

    start_mb: float  # of its script: interpreter, libraries, SSP table, a block of rows
    start_s: float
    row_bytes: float
    row_us: float
    row_disk: float  # bytes
    point_bytes: float = 0.0


_PER_BAND = Law(0, 0, row_bytes=50, row_us=0.4, row_disk=15)  # of the survey
_PER_COLUMN = Law(0, 0, row_bytes=12, row_us=0.5, row_disk=3.7)  # of magnitudes or shapes that the catalogue has
_LINES, _PER_LINE = Law(0, 0.1, row_bytes=0, row_us=10.0, row_disk=0), Law(0, 0, row_bytes=50, row_us=0.8, row_disk=29)
_IONISING = Law(0, 0, row_bytes=50, row_us=4.0, row_disk=8)
_PER_BIN = Law(0, 0, row_bytes=0, row_us=0.15, row_disk=5.1)  # of observed spectra
_OWN_WIDTH = Law(0, 0, row_bytes=0, row_us=23.0, row_disk=0)  # of their lines
_MOVED = Law(150, 1.0, row_bytes=300, row_us=35.0, row_disk=9)  # of galaxies onto what their table gives
_ALL_LINES = 166
MB = 1 << 20
Config = Mapping[str, Any]


class Rule(NamedTuple):
    """What the cost of a rule follows from; each function takes the complete configuration."""

    law: Law
    jobs: Callable[[Config], int]
    """Number of jobs of a run; 0 where it has none, and of what is made on demand."""
    rows: Callable[[Config], int]
    """Rows that one job works on, the largest one."""
    all_rows: Callable[[Config], int]
    """Rows that all jobs work on."""
    points: Callable[[Config], int] = lambda config: 0
    """Parent points that one job maps at a time: those that it searches, looks up or draws."""
    more: Callable[[Config], Law] = lambda config: Law(0, 0, 0, 0, 0)
    """What comes on top of the law."""
    threaded: bool = False
    """Whether a process has the threads of ``neighbours.threads``."""
    ranked: bool = False
    """Whether it is one job where there are several ranks of MPI."""
    samples: bool = False
    """Whether a job reads through the whole catalogue and parent, of which it takes a sample."""
    cuts: bool = False
    """Whether its cost decides in how many shards galaxies are cut."""
    passing: bool = False
    """Whether its files are deleted once the next rule has used them (Snakemake's ``temp``)."""


def _largest_tree(config: Config) -> int:
    """Return the points of the largest tree shard: one is mapped at a time."""
    return max(math.ceil(config["parent"][kind]["n"] / tree_shards(config, kind)) for kind in KINDS)


def galaxies(config: Config) -> int:
    """Return the number of galaxies (see `mocksed.galaxies.count`)."""
    return count.of_config(config).n


def catalogue_rows(config: Config) -> int:
    """Return the number of rows of the catalogue: one for each galaxy in each realisation."""
    return galaxies(config) * len(realisations.indices(config["realisations"]))


def _rows_of_shard(config: Config) -> int:
    return math.ceil(catalogue_rows(config) / config["galaxies"]["shards"])


def _sampled_rows(config: Config) -> int:
    return min(config["diagnostics"]["max_galaxies"], catalogue_rows(config))


def _nodes(config: Config) -> int:
    """Return the nodes of the balance."""
    limits = config["galaxies"][config["galaxies"]["source"]]
    redshifts, log_mstars = grid(limits["redshift"], limits["log_mstar"])
    n = len(redshifts) * len(log_mstars)
    return n * (1 + len(SFR_OFFSETS)) if "log_sfr" in given.of_config(config["galaxies"]) else n


def _points(config: Config) -> int:
    """Return the points of both parents."""
    return sum(int(config["parent"][kind]["n"]) for kind in KINDS)


def _points_searched(config: Config) -> int:
    """Return the points that are mapped in a search: both trees where each is one shard, else one shard at a time."""
    return _points(config) if max(tree_shards(config, kind) for kind in KINDS) == 1 else _largest_tree(config)


def _shard_rule(law: Law, is_made: Callable[[Config], object] = lambda config: True, **options: Any) -> Rule:
    """Return a rule that has, if the run has it, a job for each shard of galaxies."""
    return Rule(
        law,
        lambda config: config["galaxies"]["shards"] if is_made(config) else 0,
        _rows_of_shard,
        catalogue_rows,
        cuts=True,
        **options,
    )


def _sample_rule(law: Law, jobs: int = 0, with_parent: bool = False) -> Rule:
    """Return a rule whose jobs show a sample of the catalogue, and of a shard of the parent."""
    return Rule(
        law,
        lambda config: jobs,
        _sampled_rows,
        lambda config: _sampled_rows(config) * max(jobs, 1),
        points=lambda config: (
            math.ceil(config["parent"]["star_forming"]["n"] / config["parent"]["shards"]) * with_parent
        ),
        samples=True,
    )


def _search_law(config: Config) -> Law:
    """Return the cost of queries in trees that are searched one after the other.

    It is that of one tree as long as the number of shards of galaxies, on which that of trees depends, is to be chosen.
    """
    n = config["parent"]["star_forming"]["n"]
    trees = 1 if config["galaxies"]["shards"] == "auto" else tree_shards(config, "star_forming")
    return Law(0, 0, row_bytes=0, row_us=trees * search_us(n / trees), row_disk=0)


def _columns_law(config: Config) -> Law:
    """Return the cost of the magnitudes, lines and shapes of a catalogue."""
    lines, photometry = config["spectra"]["lines"], config["photometry"]
    n_lines = _ALL_LINES if lines == "all" else len(lines)
    shapes = len(MORPHOLOGY) if config["morphology"]["write"] else 0
    return _sum(
        (_PER_COLUMN, len(photometry["filters"]) + len(photometry["rest_frame"]) + shapes),
        (_LINES, n_lines > 0),
        (_PER_LINE, n_lines),
        (_IONISING, config["spectra"]["ionising"]),
    )


def _bins_law(config: Config) -> Law:
    """Return the cost of the bins of observed spectra."""
    instrument = config["spectra"]["observed"]
    if not instrument:
        return _sum()
    from mocksed.survey import instruments  # few runs have it

    n = len(instruments.from_config(instrument).wavelength)
    return _sum((_PER_BIN, n), (_OWN_WIDTH, instrument["line_width"] is not None))


def _sum(*laws: tuple[Law, int]) -> Law:
    """Return the sum of laws, each so many times."""
    return Law(*(sum(times * law[i] for law, times in laws) for i in range(len(Law._fields))))


RULES: dict[str, Rule] = {
    "lightcone": _shard_rule(
        Law(335, 1.5, row_bytes=130, row_us=1.5, row_disk=40),
        lambda config: config["galaxies"]["source"] == "lightcone",
    ),
    "input_table": Rule(
        Law(560, 2.0, row_bytes=210, row_us=2.2, row_disk=60),
        lambda config: int(config["galaxies"]["source"] == "table"),
        _rows_of_shard,
        catalogue_rows,
    ),
    "parent": Rule(
        Law(395, 1.6, row_bytes=0, row_us=5.2, row_disk=56),
        lambda config: len(KINDS) * config["parent"]["shards"],
        lambda config: math.ceil(max(config["parent"][kind]["n"] for kind in KINDS) / config["parent"]["shards"]),
        _points,
        ranked=True,
    ),
    "tree": Rule(
        Law(280, 1.0, row_bytes=40, row_us=0.9, row_disk=26),
        lambda config: sum(tree_shards(config, kind) for kind in KINDS),
        lambda config: _largest_tree(config),
        _points,
        threaded=True,
    ),
    "balance": Rule(
        Law(420, 1.5, row_bytes=0, row_us=27_000.0, row_disk=0, point_bytes=30),
        lambda config: int(config["assignment"]["method"] == "choose"),
        _nodes,
        _nodes,
        points=lambda config: math.ceil(config["parent"]["star_forming"]["n"] / tree_shards(config, "star_forming")),
        more=lambda config: Law(0, 0.4e-6 * config["parent"]["star_forming"]["n"], 0, 0, 0),  # pages of the tree
        threaded=True,
    ),
    "neighbours": _shard_rule(
        Law(390, 1.2, row_bytes=300, row_us=15.5, row_disk=44, point_bytes=36),
        points=_points_searched,
        more=_search_law,
        threaded=True,
        ranked=True,
        passing=True,
    ),
    "assign": _shard_rule(
        Law(295, 1.1, row_bytes=200, row_us=2.9, row_disk=70, point_bytes=20),
        points=lambda config: max(int(config["parent"][kind]["n"]) for kind in KINDS),
        more=lambda config: _sum((_MOVED, bool(given.of_config(config["galaxies"])))),
        passing=True,
    ),
    "catalog": _shard_rule(Law(440, 2.8, row_bytes=590, row_us=26.0, row_disk=212), more=_columns_law),
    "spectra": _shard_rule(
        Law(445, 1.6, row_bytes=150, row_us=75.0, row_disk=0), lambda config: config["spectra"]["write"], ranked=True
    ),
    "survey": _shard_rule(
        Law(245, 1.1, row_bytes=90, row_us=0.2, row_disk=4),
        bands.is_asked_for,
        more=lambda config: _sum((_PER_BAND, len(bands.of_config(config)))),
    ),
    "observed": _shard_rule(
        Law(450, 2.0, row_bytes=110, row_us=25.0, row_disk=8),
        lambda config: config["spectra"]["observed"],
        more=_bins_law,
        ranked=True,
    ),
    "export": Rule(
        Law(600, 2.2, row_bytes=0, row_us=8.0, row_disk=0), lambda config: 0, catalogue_rows, catalogue_rows
    ),
    "plot": _sample_rule(
        Law(450, 5.0, row_bytes=290, row_us=1.5, row_disk=0, point_bytes=45), len(PLOTS), with_parent=True
    ),
    "summary": _sample_rule(Law(345, 2.6, row_bytes=680, row_us=4.6, row_disk=0, point_bytes=45), 1, with_parent=True),
    "compare": _sample_rule(Law(820, 16.0, row_bytes=560, row_us=27.0, row_disk=0)),
    "sky": _sample_rule(Law(400, 20.0, row_bytes=630, row_us=8.0, row_disk=0)),
    "ssp_table": Rule(
        Law(2000, 1800, row_bytes=0, row_us=0, row_disk=0), lambda config: 0, lambda config: 0, lambda config: 0
    ),
}
"""Every rule that makes files, in the order of the data."""
RANKED = tuple(name for name, rule in RULES.items() if rule.ranked)
"""Rules that are one job each where there are several ranks of MPI."""


def search_us(n_points: float) -> float:
    """Return the time of a query with the default's k and metric on one core [us] (benchmarks/search.txt)."""
    return _QUERY_US * (n_points / 1e6) ** _QUERY_POWER


def rows(rule: str, config: Config) -> int:
    """Return the rows that one job of a rule works on, the largest one."""
    return RULES[rule].rows(config)


def points(rule: str, config: Config) -> int:
    """Return the parent points that one job of a rule maps at a time."""
    return RULES[rule].points(config)


def law_of(rule: str, config: Config) -> Law:
    """Return the law of a rule with what comes on top."""
    return _sum((RULES[rule].law, 1), (RULES[rule].more(config), 1))


def threads_of(rule: str, config: Config) -> int:
    """Return the threads of a process of the rule."""
    return int(config["neighbours"]["threads"]) if RULES[rule].threaded else 1


def tree_shards(config: Config, kind: str) -> int:
    """Return the least number of tree shards of a class with which all jobs keep to ``neighbours.max_memory_gb``.

    Raises
    ------
    UserError
        If no number does.

    """
    n, limit = config["parent"][kind]["n"], 1000.0 * config["neighbours"]["max_memory_gb"]
    tree, search, galaxies_of_job = RULES["tree"].law, RULES["neighbours"].law, _rows_of_shard(config)
    to_build = request_mb(tree), SPARE * tree.row_bytes / MB
    to_search = request_mb(search, galaxies_of_job), SPARE * search.point_bytes / MB
    smallest = min(n, _LEAST_TREE)
    needed = max(held + smallest * a_point for held, a_point in (to_build, to_search))
    if needed > limit:
        raise UserError(
            f"neighbours.max_memory_gb: {limit / 1000.0:g} is too little for even the smallest tree shard, {smallest} "
            f"points, and the {galaxies_of_job} galaxies of a job; expected at least {math.ceil(needed / 100.0) / 10}, "
            "or more galaxies.shards"
        )
    return max(math.ceil(n * a_point / (limit - held)) for held, a_point in (to_build, to_search))


def request_mb(law: Law, n_rows: int = 0, n_points: int = 0) -> float:
    """Return the memory that is requested for a job on some rows and points [MB]."""
    expected = SNAKEMAKE_MB + law.start_mb + (n_rows * law.row_bytes + n_points * law.point_bytes) / MB
    return max(SPARE * expected, _LEAST_MB)
