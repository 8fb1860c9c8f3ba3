"""Run the workflow in 32 shards and print how evenly the work of each stage is spread over its jobs.

    python -m benchmarks.balance --galaxies 3.2e6 --cores 2

The galaxies are those of one light cone, cut in three ways: drawn by each shard for itself; as a table sorted by
redshift (--sort-by for another column), whose rows the workflow deals out; and as the same table cut into stretches of
rows, for which it is given in the order that dealing turns into these. Seconds are those of Snakemake's benchmark
files, and without the start of a job (interpreter and imports), which its log knows; rows are what a job writes, of
the class that it works on. The table goes to benchmarks/balance.txt.
"""

import argparse
import re
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.runs import TABLE, execute
from mocksed.cosmology import Cosmology
from mocksed.galaxies.lightcone import LightCone
from mocksed.galaxies.table import deal
from mocksed.run import configuration, usage

RESULTS = Path(__file__).parent / "balance.txt"
STAGES = ("lightcone", "neighbours", "assign", "catalog", "spectra")
CUTS = ("light cone", "sorted, dealt out", "sorted, stretches")


def complete(args: argparse.Namespace, table: Path | None = None) -> dict[str, Any]:
    """Return the configuration of a run on the light cone or a table; spectra are kept in a narrow window."""
    columns = {"galaxy_id": "galaxy_id", "quiescent": "quiescent"}
    read = {"path": str(table), "columns": columns, "quiescent": {"from": "column"}}
    source = {
        "run": "balance",
        "galaxies": {
            "shards": args.shards,
            "lightcone": {"n_galaxies": int(args.galaxies)},
            **({"source": "table", "table": read} if table else {}),
        },
        "parent": {"shards": 2, "star_forming": {"n": int(args.parents)}},
        "photometry": {"filters": ["jwst_f200w", "jwst_f444w"]},
        "spectra": {"wavelength": [1400, 1600]},
        "sps": {"table": str(TABLE)},
    }
    return configuration.load(source)


def write_table(path: Path, config: dict[str, Any], sort_by: str, stretches: bool) -> None:
    """Write the light cone as a sorted table, or in the order that is dealt out as stretches of it."""
    cone = LightCone.from_config(config["galaxies"]["lightcone"], Cosmology(**config["cosmology"]), config["seed"])
    galaxies = pa.table(cone.draw(0, cone.n_galaxies)).sort_by(sort_by)
    rows = stretched(len(galaxies), config["galaxies"]["shards"]) if stretches else slice(None)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(galaxies.take(np.arange(len(galaxies))[rows]), path)


def stretched(n_rows: int, n_shards: int) -> NDArray[np.int64]:
    """Return the order of rows in which each shard is dealt a stretch of them."""
    rows = np.empty(n_rows, np.int64)
    rows[np.argsort(deal(0, n_rows, n_shards), kind="stable")] = np.arange(n_rows)
    return rows


def worked(folder: Path, rule: str) -> list[float]:
    """Return the seconds that each job of a rule took after its start."""
    logs = sorted(folder.glob(f"logs/*/{rule}/*.log"))
    return [float(re.findall(r"done in ([\d.]+) s", path.read_text())[-1]) for path in logs]


def written(folder: Path, rule: str) -> list[int]:
    """Return the rows that each job of a rule wrote."""
    kind = {"lightcone": "galaxies"}.get(rule, rule)
    return [pq.read_metadata(path).num_rows for path in sorted(folder.glob(f"results/*/{kind}/*.parquet"))]


def line(rule: str, *measures: Sequence[float]) -> str:
    """Return a line of the table from what was measured of each job, in several ways."""
    text = f"  {rule:10s}{len(measures[0]):6d}"
    for values in measures:
        text += f"{np.mean(values):12.5g}{np.max(values):10.5g}{np.max(values) / np.mean(values):7.2f}"
    return text


def lines(folder: Path) -> list[str]:
    """Return a line for each stage with a job for each shard."""
    jobs = usage.of_run("balance", folder)
    seconds = {rule: [job.seconds for job in jobs[rule]] for rule in STAGES if rule in jobs}
    return [line(rule, wall, worked(folder, rule), written(folder, rule)) for rule, wall in seconds.items()]


def main() -> None:
    """Run, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--galaxies", type=float, default=3.2e6)
    parser.add_argument("--parents", type=float, default=1e6)
    parser.add_argument("--shards", type=int, default=32)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--sort-by", default="redshift")
    parser.add_argument("--cuts", nargs="+", choices=CUTS, default=CUTS)
    parser.add_argument("--folder", type=Path, help="where to run; kept, and gone on with if it is there")
    parser.add_argument("--output", type=Path, default=RESULTS)
    args = parser.parse_args()
    text = (
        f"{shlex.join(['python', '-m', 'benchmarks.balance', *sys.argv[1:]])}\n\n"
        f"{'':18s}{'s of a job':>29s}{'s after its start':>29s}{'rows':>29s}\n"
        f"{'':12s}{'jobs':>6s}" + 3 * f"{'mean':>12s}{'most':>10s}{'ratio':>7s}" + "\n"
    )
    with tempfile.TemporaryDirectory() as temporary:
        for cut in args.cuts:
            folder = Path(args.folder or temporary, re.sub(r"\W+", "_", cut)).absolute()
            config = complete(args)
            if cut != "light cone":
                table = folder / "galaxies.parquet"
                if not table.exists():
                    write_table(table, config, args.sort_by, stretches=cut.endswith("stretches"))
                config = complete(args, table)
            targets = [f"results/balance/spectra/{shard:04d}.parquet" for shard in range(args.shards)]
            execute(folder, config, targets, args.cores)
            text += "\n".join([cut, *lines(folder)]) + "\n"
    print(text)
    args.output.write_text(text)


if __name__ == "__main__":
    main()
