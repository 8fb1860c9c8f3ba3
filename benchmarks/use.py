"""Use the catalogue of a finished run and record what each use takes: benchmarks/use_<run>.txt.

    python -m benchmarks.use config/sim2048.yaml --folder /data/scale

The folder is that of `python -m benchmarks.scale`. A plot is drawn again, the card of the sky is made, selections are
exported, one galaxy and ten are found, and spectra of ten computed, each by the command that a user would give. Last,
spectra of some shards are stored, within WINDOW, and compared with what the disk takes from `dd`.
"""

import argparse
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import yaml

from benchmarks.runs import TABLE, command, processor
from mocksed.run import configuration, kernel, usage

SEED = 18
SHARDS, WINDOW = 2, [3600.0, 7000.0]
"""Of spectra that are stored, and their wavelengths [A]."""

BRIGHT = "redshift > 2 and mag_roman_wfi_f158 < 25"
FIND = """
import sys
from pathlib import Path
import numpy as np
from mocksed import catalog
paths = sorted(Path(sys.argv[1]).glob("[0-9]*.parquet"))
print(catalog.find(paths, np.array(sys.argv[2:], int), ["redshift", "log_mstar"]))
"""


class Use(NamedTuple):
    """What a command took: wall time and CPU time of it and its children [s], and the most memory of one [MiB]."""

    wall_s: float
    cpu_s: float
    memory_mib: float


def measure(words: Iterable[object], folder: Path) -> Use:
    """Run a command in a folder.

    Raises
    ------
    subprocess.CalledProcessError
        If it fails.

    """
    start, listed = time.monotonic(), list(map(str, words))
    process = subprocess.Popen(listed, cwd=folder, stdout=sys.stderr)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise subprocess.CalledProcessError(os.waitstatus_to_exitcode(status), listed)
    return Use(time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024.0)


def uses(config: dict[str, Any], source: dict[str, Any], folder: Path, cores: int) -> dict[str, list[object]]:
    """Return the commands by what they are for."""
    run, results = config["run"], folder / "results" / config["run"]
    n = config["galaxies"]["lightcone"]["n_galaxies"]
    one, *ten = map(str, random.Random(SEED).sample(range(n), 11))
    mocksed: list[object] = [sys.executable, "-m", "mocksed.cli"]
    export = [*mocksed, "export", "--run", run, "--format"]
    find = [sys.executable, "-c", FIND, results / "catalog"]
    plot = results.relative_to(folder) / "plots/muv.png"
    return {
        "plot of M_UV, drawn again": [*command(folder, source, [str(plot)], cores, ["--force"])],
        "card of the sky": [*command(folder, source, ["sky"], cores)],
        f"FITS of {BRIGHT}": [*export, "fits", "--where", BRIGHT, "--output", "bright.fits"],
        "Parquet of three columns of all": [
            *export, "parquet", "--columns", "redshift", "log_mstar", "mag_roman_wfi_f158", "--output", "three.parquet",
        ],
        "catalog.find of one galaxy": [*find, one],
        "catalog.find of ten": [*find, *ten],
        "spectra of ten": [*mocksed, "spectra", "--run", run, "--output", "ten.parquet", "--ids", *ten],
    }  # fmt: skip


def stored(source: dict[str, Any], run: str, folder: Path, cores: int) -> str:
    """Store spectra of the first shards; return a paragraph on what it took."""
    targets = [f"results/{run}/spectra/{shard:04d}.parquet" for shard in range(SHARDS)]
    with_spectra = source | {"spectra": {"write": True, "wavelength": WINDOW}}
    took = measure(command(folder, with_spectra, targets, cores), folder)
    n = sum(pq.read_metadata(folder / path).num_rows for path in targets)
    n_bytes = sum((folder / path).stat().st_size for path in targets)
    jobs = usage.of_run(run, folder)["spectra"]
    cpu_s, longest_s = sum(job.cpu_seconds for job in jobs), max(job.seconds for job in jobs)
    n_mib = 4096
    disk = measure(["dd", "if=/dev/zero", "of=zeros", "bs=1M", f"count={n_mib}", "conv=fsync"], folder)
    (folder / "zeros").unlink()
    return (
        f"{n:,} spectra within {WINDOW[0]:.0f}-{WINDOW[1]:.0f} A: {took.wall_s:.0f} s with {cores} cores, start "
        f"included, {1e6 * cpu_s / n:.1f} us of CPU each, at most {max(job.memory_mb for job in jobs):.0f} MiB a job;\n"
        f"{n_bytes / 1e9:.1f} GB; while jobs ran, {n / longest_s:,.0f} spectra/s and "
        f"{n_bytes / longest_s / 1e6:.0f} MB/s; dd writes {n_mib * 2**20 / disk.wall_s / 1e6:.0f} MB/s, with fsync\n"
    )


def main() -> None:
    """Run all and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--folder", type=Path, required=True, help="where the run is")
    parser.add_argument("--cores", type=int, default=2)
    args = parser.parse_args()
    source = yaml.safe_load(args.config.read_text())
    source["sps"] = {"table": str(TABLE)} | source.get("sps", {})
    config = configuration.load(source)
    lines = [
        f"use of the catalogue of {config['galaxies']['lightcone']['n_galaxies']:.0e} galaxies, {config['run']}",
        f"{processor()}, {args.cores} cores; the reference kernel took {kernel.seconds():.2f} s",
        "",
        f"{'':60s}{'wall [s]':>10s}{'CPU [s]':>10s}{'memory [MiB]':>14s}",
    ]
    for name, words in uses(config, source, args.folder.absolute(), args.cores).items():
        took = measure(words, args.folder)
        lines.append(f"{name:60s}{took.wall_s:10.1f}{took.cpu_s:10.1f}{took.memory_mib:14.0f}")
        print(lines[-1], file=sys.stderr)
    text = "\n".join(lines) + "\n\n" + stored(source, config["run"], args.folder.absolute(), args.cores)
    print(text)
    (Path(__file__).parent / f"use_{config['run']}.txt").write_text(text)


if __name__ == "__main__":
    main()
