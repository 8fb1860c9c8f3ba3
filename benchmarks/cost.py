"""Measure what the jobs of each rule take and fit the laws of `mocksed.run.cost` to it: benchmarks/cost.json.

    python -m benchmarks.cost --folder /tmp/cost             # run what is not there yet (half an hour), measure and fit
    python -m benchmarks.cost --folder /tmp/cost --runs 2e4  # these alone; the measurements of others are kept

Runs are made on one core. Times are CPU times, which other work on the machine changes little; memory is the peak of
the resident set of a job's script. numba compiles a function when it is first called and keeps it: the first run,
``warm``, is there for that and not measured. The constants of `mocksed.run.cost` follow the fit that is printed, by
hand; tests/test_run_cost.py holds them against the measurements. After each run the reference kernel is timed.
"""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.optimize import nnls

from benchmarks.runs import TABLE, execute, processor
from mocksed import __version__
from mocksed.run import configuration, cost, kernel, laws, usage

RESULTS = Path(__file__).parent / "cost.json"
FEW_FILTERS = [
    *(f"roman_wfi_f{name}" for name in ("062", "087", "106", "129", "158", "184", "213")),
    *(f"jwst_f{name}" for name in ("277w", "356w", "444w")),
]


def source(galaxies: int, parents: int, shards: int, **others: Any) -> dict[str, Any]:
    """Return what a config says of the size of a run."""
    return {
        "galaxies": {"shards": shards, "lightcone": {"n_galaxies": galaxies}},
        "parent": {"shards": shards, "star_forming": {"n": parents}, "quiescent": {"n": parents // 5}},
        "photometry": {"filters": FEW_FILTERS},
        **others,
    }


GIVEN_COLUMNS = {"redshift": "redshift", "mass": "log_mstar", "log_sfr": "log_sfr"}

RUNS: dict[str, dict[str, Any]] = {
    "warm": source(1000, 5000, 1, realisations=2),
    "2e4": source(20_000, 100_000, 4) | {"photometry": {}},  # the default, 57 filters
    "2e4x8": source(20_000, 100_000, 1, realisations=8),
    "2e4x8seen": source(
        20_000,
        100_000,
        1,
        realisations=8,
        survey={"depths": dict.fromkeys(FEW_FILTERS, 27.0)},
        spectra={"observed": {"preset": "spherex"}},
    ),
    "2e5": source(200_000, 1_000_000, 4),
    "2e6": source(2_000_000, 10_000_000, 2, spectra={"write": False}),
    "2e6trees": source(2_000_000, 10_000_000, 2, spectra={"write": False}, neighbours={"max_memory_gb": 1.45}),
    "2e5table": source(200_000, 100_000, 4),
    "2e6table": source(2_000_000, 100_000, 4),
    "1e7table": source(10_000_000, 100_000, 4),
    "2e5line": source(200_000, 100_000, 1, spectra={"write": False, "lines": ["halpha_6563"], "ionising": False}),
    "2e5lines": source(200_000, 100_000, 1, spectra={"write": False, "lines": "all", "ionising": True}),
    "1e6given": source(1_000_000, 1_000_000, 2)
    | {"galaxies": {"source": "table", "shards": 2, "table": {"path": "1e6given.parquet", "columns": GIVEN_COLUMNS}}},
}
"""Configs of the runs, beside their names; those on a table write it first, in the folder of the runs.

A table that is not there counts as 1e6 rows, so that tests plan the last one without it.
"""

MEASURED = {
    "seen": ("survey", "observed", "export", "plot", "sky"),  # the plot of spectra alone
    "line": ("catalog",),
    "lines": ("catalog",),
    "given": ("balance", "neighbours", "assign"),
}
"""In runs whose names end so, only these rules are measured, since the others are those of another run."""

FOLDERS = {
    "lightcone": "galaxies",
    "input_table": "galaxies",
    "parent": "parent",
    "tree": "tree",
    "neighbours": "neighbours",
    "assign": "assign",
    "catalog": "catalog",
    "spectra": "spectra",
    "survey": "survey",
    "observed": "observed",
    "export": "export",
    "plot": "plots",
    "compare": "comparison",
    "sky": "sky",
}
"""Where the rules write, in the folder of a run; a summary is but a page."""


def complete(name: str, folder: Path) -> dict[str, Any]:
    """Return the complete configuration of a run."""
    config = configuration.load({"run": name, "sps": {"table": str(TABLE)}, **RUNS[name]}, to_plan=True)
    if name.endswith("table"):
        path = folder.absolute() / f"{name}.parquet"
        write_table(path, config["galaxies"]["lightcone"]["n_galaxies"])
        config["galaxies"] |= {"source": "table", "table": config["galaxies"]["table"] | {"path": str(path)}}
    if name.endswith("given"):
        write_table(folder / config["galaxies"]["table"]["path"], 1_000_000)
    return config


def targets(name: str) -> list[str]:
    """Return the files or rules that a run makes."""
    results = f"results/{name}"
    if name.endswith("table"):
        return [f"{results}/galaxies/report.json"]
    if name.endswith("seen"):
        last = ("survey/0000.parquet", "observed/0000.parquet", f"export/{name}.fits", "plots/spectra.png")
        return [f"{results}/{path}" for path in (*last, "sky/summary.json")]
    if name == "2e4x8" or name.endswith(("line", "lines")):  # its plots are those of any 1.6e5 rows
        return [f"{results}/catalog/0000.parquet"]
    if name.endswith("given"):
        return [f"{results}/assign/{shard:04d}.parquet" for shard in range(2)]
    if name == "2e6":  # all spectra would fill a disk
        return ["all", f"{results}/spectra/0000.parquet"]
    return ["all", "comparison"]


def search_trees(folder: Path, name: str, config: Mapping[str, Any]) -> None:
    """Search the galaxies of the run without trees in its name, with its parents cut into tree shards."""
    results = folder / "results"
    (results / name).mkdir(parents=True, exist_ok=True)
    for stage in ("galaxies", "parent"):
        if not (results / name / stage).exists():
            (results / name / stage).symlink_to(Path("..", name.removesuffix("trees"), stage))
    found = [f"results/{name}/neighbours/{shard:04d}.parquet" for shard in range(config["galaxies"]["shards"])]
    execute(folder, config, found, 1, ["--allowed-rules", "tree", "balance", "neighbours"])


def write_table(path: Path, n: int) -> None:
    """Write a table of galaxies with ten columns, unless it is there."""
    if path.is_file():
        return
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {"redshift": rng.uniform(0.1, 6.0, n), "log_mstar": rng.uniform(8.0, 11.5, n)}
    columns |= {f"other_{i}": rng.normal(size=n) for i in range(7)}
    columns["log_sfr"] = columns["log_mstar"] - 9.0 + 0.3 * columns["other_0"]
    pq.write_table(pa.table(columns), path)


def disk(folder: Path, rule: str) -> int:
    """Return the bytes that the rule has left in the folder of a run."""
    where = folder / FOLDERS[rule] if rule in FOLDERS else folder / "none"
    return sum(path.stat().st_size for path in where.rglob("*") if path.is_file())


def measurements(folder: Path, name: str, config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what the jobs of each rule of a run took: means and the most over its jobs, and the bytes of all."""
    found = []
    measured_here = next((rules for ending, rules in MEASURED.items() if name.endswith(ending)), None)
    for rule, jobs in usage.of_run(name, folder).items():
        if measured_here is not None and rule not in measured_here:
            continue
        found.append(
            {
                "run": name,
                "rule": rule,
                "jobs": len(jobs),
                "rows": laws.rows(rule, config),
                "points": laws.points(rule, config),
                "seconds": round(float(np.mean([job.seconds for job in jobs])), 2),
                "cpu_seconds": round(float(np.mean([job.cpu_seconds for job in jobs])), 2),
                "longest_cpu_seconds": round(max(job.cpu_seconds for job in jobs), 2),
                "memory_mb": round(max(job.memory_mb for job in jobs)),
                "disk_bytes": disk(folder / "results" / name, rule),
            }
        )
    return found


def fit(found: Iterable[Mapping[str, Any]]) -> str:
    """Return, for each rule, the law that fits its measurements best, relative to their size, with no negative term.

    Memory is that of the script. Magnitudes are part of `catalog` as they were measured, the search of `neighbours`.
    """
    by_rule: dict[str, list[Mapping[str, Any]]] = {}
    for measurement in found:
        by_rule.setdefault(measurement["rule"], []).append(measurement)
    heads = ("start [MB]", "of a row [bytes]", "of a point [bytes]", "start [s]", "of a row [us]")
    lines = [f"{'rule':12s}" + "".join(f"{head:>20s}" for head in heads)]
    for rule, of_rule in by_rule.items():
        one, rows, points = (np.array([float(m.get(key, 1.0)) for m in of_rule]) for key in ("", "rows", "points"))
        memory = _nonnegative([one, rows / (1 << 20), points / (1 << 20)], [m["memory_mb"] for m in of_rule])
        time = _nonnegative([one, 1e-6 * rows], [m["longest_cpu_seconds"] for m in of_rule])
        lines.append(f"{rule:12s}" + "".join(f"{value:20.1f}" for value in (*memory, *time)))
    return "\n".join(lines) + "\n"


def _nonnegative(terms: Sequence[NDArray], values: Sequence[float]) -> NDArray:
    """Return the coefficients of the terms, none negative, with the least sum of squared relative deviations."""
    of = np.array(values)
    coefficients: NDArray = nnls(np.stack(terms, axis=1) / of[:, None], np.ones(len(of)))[0]
    return coefficients


def ratios(stored: Mapping[str, Any]) -> str:
    """Return how memory requested and time expected compare with each measurement, as Markdown (docs/plan.md)."""
    heads = "run | rule | jobs | rows of a job | MB measured | requested | ratio | s measured | expected | ratio"
    lines = [heads, " | ".join(["---"] * 2 + ["---:"] * 8)]
    for m in stored["measurements"]:
        config = configuration.load({"run": m["run"], **stored["configs"][m["run"]]}, to_plan=True)
        memory, requested = m["memory_mb"] + laws.SNAKEMAKE_MB, cost.job(m["rule"], config).memory_mb
        spent, expected = m["longest_cpu_seconds"], cost.seconds(m["rule"], config)
        cells = [m["run"], m["rule"], m["jobs"], f"{m['rows']:,}", f"{memory:,}", f"{requested:,}"]
        cells += [f"{requested / memory:.2f}", f"{spent:.1f}", f"{expected:.1f}", f"{expected / spent:.2f}"]
        lines.append(" | ".join(map(str, cells)))
    return "".join(f"| {line} |\n" for line in lines)


def main() -> None:
    """Run, measure and fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where to run; kept, and gone on with")
    parser.add_argument("--runs", nargs="*", choices=RUNS, default=list(RUNS), metavar="RUN")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in args.runs:
        config = complete(name, args.folder)
        if name.endswith("trees"):
            search_trees(args.folder, name, config)
        else:
            execute(args.folder, config, targets(name), cores=1)
        if name != "warm":
            write(measurements(args.folder, name, config))
    stored = json.loads(RESULTS.read_text())
    print(fit(stored["measurements"]), ratios(stored), sep="\n")


def write(new: list[dict[str, Any]]) -> None:
    """Put measurements in the place of those of the same run in the results."""
    stored = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {"measurements": []}
    others = [m for m in stored["measurements"] if m["run"] not in {m["run"] for m in new}]
    order = list(RUNS)
    found = sorted(others + new, key=lambda m: (order.index(m["run"]), m["rule"]))
    configs = {name: RUNS[name] for name in order if name != "warm"}
    times = stored.get("reference_s", {}) | {m["run"]: round(kernel.seconds(), 3) for m in new[:1]}
    about = {"mocksed": __version__, "machine": processor(), "reference_s": times, "configs": configs}
    lines = ",\n".join(f"  {json.dumps(m)}" for m in found)
    RESULTS.write_text(f'{json.dumps(about, indent=1)[:-2]},\n "measurements": [\n{lines}\n ]\n}}\n')


if __name__ == "__main__":
    main()
