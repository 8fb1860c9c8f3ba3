"""The output of `mocksed plan`: the needs of a run, and their comparison with a finished run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mocksed import realisations
from mocksed.errors import UserError, no_file
from mocksed.galaxies import count
from mocksed.run import cost, laws
from mocksed.run.usage import Usage
from mocksed.search import KINDS

MEMORY_RATIO = (1.1, 2.0)
"""Requested over measured memory, lowest and highest, beyond which the check marks a rule."""
TIME_RATIO = (0.5, 2.0)
"""Expected over measured time, likewise."""

_WAVELENGTHS = 1936  # of the shipped SSP table


def table(config: Mapping[str, Any], reference_s: float | None = None) -> str:
    """Return the plan of a run: its size, a line for each rule, and the assumptions.

    Parameters
    ----------
    config : mapping
        The complete configuration of the run.
    reference_s : float, optional
        Time of the reference kernel here (`mocksed.run.kernel`), by which times are scaled; by default they are
        those of the machine that the laws were measured on.

    """
    needs = cost.plan(config, _n_wavelengths(config))
    slower = 1.0 if reference_s is None else reference_s / laws.REFERENCE_S
    lines = [_size(config), f"{'rule':12s}{'jobs':>7s}{'memory':>9s}{'minutes':>9s}{'core-hours':>12s}{'disk':>9s}"]
    lines.append(f"{'':12s}{'':7s}{'of a job':>9s}{'of a job':>9s}{'of all jobs':>12s}{'of all':>9s}")
    jobs, hours, disk = (sum(getattr(n, name) for n in needs.values()) for name in ("jobs", "core_hours", "disk_gb"))
    most = max(need.memory_mb for need in needs.values()), max(need.seconds for need in needs.values())
    rows = [(rule, *need) for rule, need in needs.items()]
    for rule, n, memory_mb, seconds, core_hours, disk_gb in [*rows, ("all", jobs, *most, hours, disk)]:
        times = f"{slower * seconds / 60.0:9.1f}{slower * core_hours:12.2f}"
        cells = f"{memory_mb / 1e3:6.1f} GB{times}{disk_gb:6.1f} GB"
        lines.append(f"{rule:12s}{n:7d}{cells}")
    space = cost.disk(config, needs)
    lines.append(
        f"Disk: {space.kept:.1f} GB once it is done, while it runs {space.per_shard:.2f} GB more for each job at a "
        "time; all with --notemp."
    )
    return "\n".join([*lines, _time_note(reference_s, hours), *_assumptions(config, jobs, slower)]) + "\n"


def _size(config: Mapping[str, Any]) -> str:
    galaxies, parent = count.of_config(config), config["parent"]
    n = len(realisations.indices(config["realisations"]))
    shards, parent_shards = config["galaxies"]["shards"], parent["shards"]
    trees = sum(laws.tree_shards(config, kind) for kind in KINDS)
    ranks = config["mpi"]["tasks"]
    return (
        f"{galaxies.n:.3g} galaxies ({galaxies.how})" + (f" in {n} realisations" if n > 1 else "")
        + f", {parent['star_forming']['n']:.3g} star-forming and {parent['quiescent']['n']:.3g} quiescent parents;\n"
        f"galaxies.shards {shards}, parent.shards {parent_shards}, tree shards {trees}"
        + (f", {ranks} ranks of MPI" if ranks > 1 else "")
    )  # fmt: skip


def _time_note(reference_s: float | None, hours: float) -> str:
    """Return on which machine times are those of the plan, and how long all takes on the one that was measured."""
    measured = f"the machine that the laws were measured on (reference kernel: {laws.REFERENCE_S:.2f} s)"
    if reference_s is None:
        return f"Time is that of a core of {measured}."
    return (
        f"Time is that of a core of this machine now: the reference kernel takes {reference_s:.2f} s, "
        f"{reference_s / laws.REFERENCE_S:.2f} times as long\nas where the laws were measured; there all jobs "
        f"would take {hours:.2f} core-hours (--as-measured)."
    )


def _assumptions(config: Mapping[str, Any], n_jobs: int, slower: float) -> list[str]:
    start_s, export = slower * laws.SNAKEMAKE_S, cost.need("export", 1, config)
    return [
        "Memory is what is requested; time is that of the longest job of a rule; all ranks of MPI and "
        f"{config['neighbours']['threads']} threads of",
        "tree and neighbours are counted.",
        "Assumed: 3 % of the galaxies quiescent, the default methods, a table of ten columns, a disk that keeps up.",
        f"Not counted: Snakemake's start of each job on a cluster ({start_s:.2g} s, "
        f"{n_jobs * start_s / 3600.0:.2g} core-hours in all), a report,",
        "a comparison with the presets of 2021, an SSP table that is made (up to half an hour), and a file for another",
        f"program (export: {export.memory_mb / 1e3:.1f} GB, {slower * export.seconds / 60.0:.1f} minutes).",
    ]


def comparison(config: Mapping[str, Any], jobs: Mapping[str, Sequence[Usage]]) -> str:
    """Return how the jobs of a run compare with its plan.

    Parameters
    ----------
    config : mapping
        The complete configuration of the run.
    jobs : mapping
        The finished jobs of each rule (`mocksed.run.usage.of_run`).

    """
    planned = cost.plan(config)
    if made := len(jobs.get("export", ())):  # on demand
        export = cost.need("export", 1, config)
        planned["export"] = export._replace(jobs=made, core_hours=made * export.core_hours)
    lines = [
        f"{'rule':12s}{'jobs':>11s}{'memory [MB]':>21s}{'':8s}{'time of a job [s]':>20s}",
        f"{'':12s}{'of planned':>11s}{'requested':>11s}{'measured':>10s}{'ratio':>8s}"
        f"{'expected':>10s}{'measured':>10s}{'ratio':>8s}",
    ]
    for rule, need in planned.items():
        finished = jobs.get(rule, ())
        if not finished:
            lines.append(f"{rule:12s}{f'0/{need.jobs}':>11s}  has no benchmark files")
            continue
        memory = max(job.memory_mb for job in finished) + laws.SNAKEMAKE_MB
        spent = sum(job.cpu_seconds for job in finished) / len(finished)
        expected = 3600.0 * need.core_hours / need.jobs
        ratios = need.memory_mb / memory, expected / max(spent, 1e-3)
        limits = {"memory": (ratios[0], MEMORY_RATIO), "time": (ratios[1], TIME_RATIO)}
        outside = [name for name, (ratio, (low, high)) in limits.items() if not low <= ratio <= high]
        lines.append(
            f"{rule:12s}{f'{len(finished)}/{need.jobs}':>11s}{need.memory_mb:11d}{memory:10.0f}{ratios[0]:8.2f}"
            f"{expected:10.1f}{spent:10.1f}{ratios[1]:8.2f}" + (f"  <- {' and '.join(outside)}" if outside else "")
        )
    return "\n".join(lines) + (
        "\nMemory: the largest of the rule's jobs, its script as measured and "
        f"{laws.SNAKEMAKE_MB} MB for Snakemake on a cluster. Time: CPU\ntime of the rule's jobs on average. "
        f"Marked: memory requested less than {MEMORY_RATIO[0]:g} or more than {MEMORY_RATIO[1]:g} times the measured, "
        f"time\nexpected less than {TIME_RATIO[0]:g} or more than {TIME_RATIO[1]:g} times.\n"
    )


def config_of(run: str, folder: Path = Path("config")) -> Path:
    """Return the config file of a run: the one in a folder that names it.

    Raises
    ------
    UserError
        If there is not exactly one, or a file in the folder is no valid YAML.

    """
    from mocksed import yamlfile

    paths = []
    for path in sorted(folder.glob("**/*.yaml")):
        content = yamlfile.read(path)
        if isinstance(content, dict) and content.get("run") == run:
            paths.append(path)
    if len(paths) != 1:
        several = (
            f"{' and '.join(map(str, paths))} have that name" if paths else f"no config in {folder}/ has that name"
        )
        raise UserError(f"which config describes the run '{run}'? {several}. Name it with --configfile.")
    return paths[0]


def _n_wavelengths(config: Mapping[str, Any]) -> int:
    """Return at how many wavelengths spectra are stored; as many as the shipped table has where it is not known."""
    from mocksed.sps.table import read_wavelength

    path, (low, high) = Path(config["sps"]["table"]), config["spectra"]["wavelength"]
    if config["sps"]["engine"] != "table" or no_file(path):
        return _WAVELENGTHS
    return sum(low <= wavelength <= high for wavelength in read_wavelength(path))
