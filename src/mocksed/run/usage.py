"""Time and memory of the jobs of a run: Snakemake's benchmark files, and the last line of each log.

Snakemake looks at a job every 0.5 s for its first 15 s and then every 30 s, and so misses peaks in between;
the log has what the system counted for the process (`mocksed.run.jobs.used`). Of the two the larger is taken.
"""

import csv
import re
from pathlib import Path
from typing import NamedTuple

from mocksed.errors import UserError

_USED = re.compile(r"done in [\d.]+ s, ([\d.]+) s of CPU time, at most (\d+) MB of memory")


class Usage(NamedTuple):
    """The usage of one job: wall time [s], CPU time [s] and the peak of its resident memory [MB of 2^20 bytes].

    It is that of the job's script, mapped files included, without the Snakemake that started it.
    """

    seconds: float
    cpu_seconds: float
    memory_mb: float


def of_run(run: str, folder: Path | str = ".") -> dict[str, list[Usage]]:
    """Return the finished jobs of each rule of a run.

    Parameters
    ----------
    run : str
        Name of the run.
    folder : path
        Where it was run: its files are in ``benchmarks/<run>`` and ``logs/<run>`` below.

    Raises
    ------
    UserError
        If there is no benchmark file, or one cannot be read.

    """
    benchmarks, logs = (Path(folder, name, run) for name in ("benchmarks", "logs"))
    jobs: dict[str, list[Usage]] = {}
    for path in sorted(benchmarks.glob("*/*.tsv")):
        jobs.setdefault(path.parent.name, []).append(_read(path, logs / path.parent.name / f"{path.stem}.log"))
    if not jobs:
        known = sorted(path.name for path in benchmarks.parent.glob("*") if any(path.glob("*/*.tsv")))
        raise UserError(
            f"there are no benchmark files of a run '{run}' ({benchmarks}/<rule>/*.tsv, which Snakemake writes when a "
            f"job ends); there are those of {', '.join(known) or 'no run'}. Check the name and the current folder."
        )
    return jobs


def _read(benchmark: Path, log: Path) -> Usage:
    try:
        with open(benchmark) as file:
            *_, row = csv.DictReader(file, delimiter="\t")  # the last one, of several attempts
        job = Usage(float(row["s"]), _number(row["cpu_time"]), _number(row["max_rss"]))
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"cannot read the benchmark file {benchmark}: {error}. Delete it or run its job again."
        ) from error
    logged = _logged(log)
    return job._replace(
        cpu_seconds=max(job.cpu_seconds, logged.cpu_seconds), memory_mb=max(job.memory_mb, logged.memory_mb)
    )


def _number(text: str) -> float:
    """Return a number of a benchmark file, 0 where the job ended before it could be measured."""
    return 0.0 if text in ("NA", "-", "") else float(text)


def _logged(log: Path) -> Usage:
    """Return CPU time and peak memory as a log states them, of its process or of its ranks of MPI together."""
    text = log.read_text(errors="replace") if log.is_file() else ""
    usages = [(float(cpu_seconds), float(memory_mb)) for cpu_seconds, memory_mb in _USED.findall(text)]
    return Usage(0.0, sum(cpu_seconds for cpu_seconds, _ in usages), sum(memory_mb for _, memory_mb in usages))
