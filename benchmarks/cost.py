"""Measure what the jobs of each rule take and fit the laws of `mocksed.resources` to it: benchmarks/cost.json.

    python -m benchmarks.cost --folder /tmp/cost             # run what is not there yet (half an hour), measure and fit
    python -m benchmarks.cost --folder /tmp/cost --runs 2e4  # these alone; the measurements of others are kept

Runs are made on one core. Times are CPU times, which other work on the machine changes little; memory is the peak of the
resident set of a job's script. numba compiles a function when it is first called and keeps it: the folder's first run,
``warm``, is there for that and not measured. The fit is printed beside the constants of `mocksed.resources`, to be
carried over by hand: tests/test_resources.py holds these against the measurements.
"""

import argparse
import json
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.optimize import nnls

from benchmarks.scale import ROOT, execute
from mocksed import __version__, measured, resources
from mocksed import config as configuration

RESULTS = Path(__file__).parent / "cost.json"
SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"
TABLE = "resources/ssp_padova_kurucz_chabrier.h5"
FEW_FILTERS = [
    *(f"roman_wfi_f{name}" for name in ("062", "087", "106", "129", "158", "184", "213")),
    *(f"jwst_f{name}" for name in ("277w", "356w", "444w")),
]


def source(galaxies: int, parents: int, shards: int, **others: Any) -> dict[str, Any]:
    """Return what a config says of the size of a run."""
    return {
        "galaxies": {"shards": shards, "lightcone": {"n_galaxies": galaxies}},
        "parent": {"shards": shards, "star_forming": {"n": parents}},
        "photometry": {"filters": FEW_FILTERS},
        **others,
    }


def from_table(galaxies: int) -> dict[str, Any]:
    """Return the config of a run on a user's table of ten columns, in the run's folder."""
    return source(galaxies, 100_000, 4) | {
        "galaxies": {"source": "table", "shards": 4, "table": {"path": f"table{galaxies}.parquet"}}
    }


RUNS: dict[str, dict[str, Any]] = {
    "warm": source(1000, 5000, 1, realisations=2),
    "2e4": source(20_000, 100_000, 4) | {"photometry": {}},  # the default, 57 filters
    "2e4x8": source(20_000, 100_000, 4, realisations=8),
    "2e5": source(200_000, 1_000_000, 4),
    "2e5trees": source(200_000, 1_000_000, 4, neighbours={"max_memory_gb": 1.0}),
    "2e6": source(2_000_000, 10_000_000, 2, spectra={"write": False}),
    "2e5table": from_table(200_000),
    "2e6table": from_table(2_000_000),
}
"""Configs of the runs, beside their names."""

COMPARED = ("warm", "2e4", "2e5")
"""Runs that are compared with the presets of 2021."""

FOLDERS = {
    "lightcone": "galaxies",
    "input_table": "galaxies",
    "parent": "parent",
    "tree": "tree",
    "propose": "proposals",
    "neighbours": "neighbours",
    "merge": "neighbours",
    "assign": "assign",
    "quiescent": "quiescent",
    "catalog": "catalog",
    "spectra": "spectra",
    "plot": "plots",
    "compare": "comparison",
}
"""Where the rules write, in the folder of a run; a summary is but a page."""


def complete(name: str, others: Mapping[str, Any]) -> dict[str, Any]:
    """Return the complete configuration of a run."""
    return configuration.load({"run": name, "sps": {"table": str(ROOT / TABLE)}, **others}, SCHEMA)


def targets(name: str, config: Mapping[str, Any]) -> list[str]:
    """Return the files or rules that a run makes."""
    results = f"results/{name}"
    if name.endswith("table"):
        return [f"{results}/galaxies/report.json"]
    if name.endswith("trees"):
        return [f"{results}/neighbours/{shard:04d}.parquet" for shard in range(config["galaxies"]["shards"])]
    return ["comparison"] if name in COMPARED else []


def write_table(path: Path, n: int) -> None:
    """Write a table of galaxies with ten columns, unless it is there."""
    if path.is_file():
        return
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {"redshift": rng.uniform(0.1, 6.0, n), "log_mstar": rng.uniform(8.0, 11.5, n)}
    columns |= {f"other_{i}": rng.normal(size=n) for i in range(8)}
    pq.write_table(pa.table(columns), path)


def disk(folder: Path, rule: str) -> int:
    """Return the bytes that the rule has left in the folder of a run."""
    where = folder / FOLDERS[rule] if rule in FOLDERS else folder / "none"
    return sum(path.stat().st_size for path in where.rglob("*") if path.is_file())


def measurements(folder: Path, name: str, config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what the jobs of each rule of a run took: means and the most over its jobs, and the bytes of all."""
    found = []
    for rule, jobs in measured.of_run(name, folder).items():
        found.append(
            {
                "run": name,
                "rule": rule,
                "jobs": len(jobs),
                "rows": resources.rows(rule, config),
                "points": resources.points(rule, config),
                "seconds": round(float(np.mean([job.seconds for job in jobs])), 2),
                "cpu_seconds": round(float(np.mean([job.cpu_seconds for job in jobs])), 2),
                "longest_cpu_seconds": round(max(job.cpu_seconds for job in jobs), 2),
                "memory_mb": round(max(job.memory_mb for job in jobs)),
                "disk_bytes": disk(folder / "results" / name, rule),
            }
        )
    return found


def main() -> None:
    """Run, measure and fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where to run; kept, and gone on with if it is there")
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=list(RUNS), metavar="RUN")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in args.runs:
        if name.endswith("table"):
            write_table(args.folder / RUNS[name]["galaxies"]["table"]["path"], int(float(name.removesuffix("table"))))
        config = {"run": name, "sps": {"table": str(ROOT / TABLE)}, **RUNS[name]}
        execute(args.folder, config, targets(name, config), cores=1)


if __name__ == "__main__":
    main()
