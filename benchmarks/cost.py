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
from numpy.typing import NDArray
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


RUNS: dict[str, dict[str, Any]] = {
    "warm": source(1000, 5000, 1, realisations=2),
    "2e4": source(20_000, 100_000, 4) | {"photometry": {}},  # the default, 57 filters
    "2e4x8": source(20_000, 100_000, 4, realisations=8),
    "2e5": source(200_000, 1_000_000, 4),
    "2e5trees": source(200_000, 1_000_000, 4, neighbours={"max_memory_gb": 1.0}),
    "2e6": source(2_000_000, 10_000_000, 2, spectra={"write": False}),
    "2e5table": source(200_000, 100_000, 4),
    "2e6table": source(2_000_000, 100_000, 4),
}
"""Configs of the runs, beside their names; those on a table write it first, in the folder of the runs."""

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


def complete(name: str, folder: Path) -> dict[str, Any]:
    """Return the complete configuration of a run."""
    config = configuration.load({"run": name, "sps": {"table": str(ROOT / TABLE)}, **RUNS[name]}, SCHEMA)
    if name.endswith("table"):
        path = folder.absolute() / f"{name}.parquet"
        write_table(path, config["galaxies"]["lightcone"]["n_galaxies"])
        config["galaxies"] |= {"source": "table", "table": config["galaxies"]["table"] | {"path": str(path)}}
    return config


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


def fit(found: Iterable[Mapping[str, Any]]) -> str:
    """Return, for each rule, the law that fits its measurements best, relative to their size and without negative terms.

    Memory is that of the script. Times of `neighbours` are without those of the search; magnitudes are part of `catalog`
    as they were measured, and so is its memory.
    """
    by_rule: dict[str, list[Mapping[str, Any]]] = {}
    for measurement in found:
        by_rule.setdefault(measurement["rule"], []).append(measurement)
    lines = [f"{'rule':12s}{'start':>9s}{'of a row':>10s}{'of a point':>12s}{'start':>9s}{'of a row':>10s}{'of a point':>12s}"]
    lines.append(f"{'':12s}{'[MB]':>9s}{'[bytes]':>10s}{'[bytes]':>12s}{'[s]':>9s}{'[us]':>10s}{'[us]':>12s}")
    for rule, of_rule in by_rule.items():
        rows, points = (np.array([float(m[key]) for m in of_rule]) for key in ("rows", "points"))
        design = np.stack([np.ones(len(rows)), rows * 1e-6, points * 1e-6], axis=1)
        memory = _nonnegative(design, np.array([m["memory_mb"] for m in of_rule])) * [1.0, 1.048576, 1.048576]
        searching = rows * 1e-6 * resources.search_us(points) if rule == "neighbours" else 0.0
        time = _nonnegative(design, np.array([m["longest_cpu_seconds"] for m in of_rule]) - searching)
        lines.append(f"{rule:12s}" + "".join(f"{v:{w}.{d}f}" for v, w, d in zip(
            [*memory, *time], (9, 10, 12) * 2, (0, 0, 1, 1, 1, 3), strict=True)))  # fmt: skip
    return "\n".join(lines) + "\n"


def _nonnegative(design: NDArray, measured_: NDArray) -> NDArray:
    """Return the coefficients, none negative, with the least sum of squared relative deviations."""
    coefficients: NDArray = nnls(design / measured_[:, None], np.ones(len(measured_)))[0]
    return coefficients


def main() -> None:
    """Run, measure and fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where to run; kept, and gone on with if it is there")
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=list(RUNS), metavar="RUN")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in args.runs:
        config = complete(name, args.folder)
        execute(args.folder, config, targets(name, config), cores=1)
        if name != "warm":
            write(measurements(args.folder, name, config))
    print(fit(json.loads(RESULTS.read_text())["measurements"]))


def write(new: list[dict[str, Any]]) -> None:
    """Put measurements in the place of those of the same run in the results."""
    stored = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {"measurements": []}
    others = [m for m in stored["measurements"] if m["run"] not in {m["run"] for m in new}]
    order = list(RUNS)
    found = sorted(others + new, key=lambda m: (order.index(m["run"]), m["rule"]))
    about = {"mocksed": __version__, "machine": machine(), "configs": {name: RUNS[name] for name in order if name != "warm"}}
    lines = ",\n".join(f"  {json.dumps(m)}" for m in found)
    RESULTS.write_text(f'{json.dumps(about, indent=1)[:-2]},\n "measurements": [\n{lines}\n ]\n}}\n')


def machine() -> str:
    """Return on what these were measured."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
