"""Run the workflow from the parent to the assigned parameters and print what its jobs took.

    python -m benchmarks.scale --parents 1e8 --galaxies 1e6 --cores 2 --threads 2 --max-memory-gb 12

The figures are those of the benchmark files that Snakemake writes. The table goes to benchmarks/scale_<parents>.txt.
"""

import argparse
import csv
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from mocksed.run import configuration, laws
from mocksed.search import KINDS

ROOT = Path(__file__).parents[1]
RULES = ("lightcone", "parent", "tree", "balance", "neighbours", "assign")


def complete(args: argparse.Namespace) -> dict[str, Any]:
    """Return the configuration of the run."""
    source = {
        "run": "scale",
        "galaxies": {"shards": args.galaxy_shards, "lightcone": {"n_galaxies": int(args.galaxies)}},
        "parent": {"shards": args.parent_shards, "star_forming": {"n": int(args.parents)}},
        "neighbours": {
            "threads": args.threads,
            "max_memory_gb": args.max_memory_gb,
            "metric": args.metric,
            "scratch": args.scratch,
        },
        "sps": {"table": str(ROOT / "resources/ssp_padova_kurucz_chabrier.h5")},
    }
    return configuration.load(source)


def execute(
    folder: Path, config: Mapping[str, Any], targets: Iterable[str], cores: int, options: Iterable[str] = ()
) -> None:
    """Run the workflow in a folder, or go on with what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder),
        *("--configfile", folder / "config.yaml", "--cores", cores, "--quiet", *options, "--", *targets),
    ]
    subprocess.run(list(map(str, command)), check=True, stdout=sys.stderr)


def measured(folder: Path, rule: str) -> list[dict[str, float]]:
    """Return what Snakemake measured of each job of a rule: s, cpu_time, max_rss and max_pss [MB], and others."""
    found = []
    for path in sorted(folder.glob(f"benchmarks/*/{rule}/*.tsv")):
        with open(path) as file:
            (row,) = csv.DictReader(file, delimiter="\t")
        found.append({key: float(row[key]) for key in ("s", "cpu_time", "max_rss", "max_pss") if row[key] not in "NA-"})
    return found


def table(folder: Path, config: dict[str, Any]) -> str:
    """Return the table: a line for each rule. CPU times include the start of each job, some 4 s."""
    head = ("rule", "jobs", "rows", "s of a job", "core-s", "CPU s", "CPU us/row", "RSS [MB]", "PSS [MB]")
    lines = ["".join(f"{word:>12s}" for word in head)]
    rows = {"parent": config["parent"]["star_forming"]["n"], "tree": config["parent"]["star_forming"]["n"]}
    for rule in RULES:
        if not (jobs := measured(folder, rule)):
            continue
        threads = config["neighbours"]["threads"] if rule in ("tree", "neighbours") else 1
        seconds, cpu = threads * sum(job["s"] for job in jobs), sum(job["cpu_time"] for job in jobs)
        n = rows.get(rule, laws.galaxies(config))
        peak = [max(job.get(key, float("nan")) for job in jobs) for key in ("max_rss", "max_pss")]
        longest = max(job["s"] for job in jobs)
        lines.append(
            f"{rule:>12s}{len(jobs):12d}{n:12.0e}{longest:12.1f}{seconds:12.1f}{cpu:12.1f}{cpu / n * 1e6:12.2f}"
            + "".join(f"{value:12.0f}" for value in peak)
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"parents": 1e6, "galaxies": 1e5, "max-memory-gb": 8.0}.items():
        parser.add_argument(f"--{name}", type=float, default=default)
    for name, default in {"cores": 2, "threads": 1, "parent-shards": 2, "galaxy-shards": 2}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--metric", default="default")
    parser.add_argument("--scratch")
    parser.add_argument("--folder", type=Path, help="where to run; kept, and gone on with if it is there")
    args = parser.parse_args()
    config = complete(args)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        targets = [f"results/scale/assign/{shard:04d}.parquet" for shard in range(args.galaxy_shards)]
        execute(folder, config, targets, args.cores)
        trees = " and ".join(f"{laws.tree_shards(config, kind)} {kind}" for kind in KINDS)
        said = shlex.join(["python", "-m", "benchmarks.scale", *sys.argv[1:]])
        text = f"{said}\n{trees} tree shards\n\n{table(folder, config)}"
    print(text)
    (Path(__file__).parent / f"scale_{args.parents:.0e}.txt").write_text(text)


if __name__ == "__main__":
    main()
