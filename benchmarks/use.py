"""Use the catalogue of a finished run and record what each use takes: benchmarks/use_<run>.txt.

    python -m benchmarks.use config/sim2048.yaml --folder /data/scale

The folder is that of `python -m benchmarks.scale`. A plot is drawn again, the card of the sky is made, selections are
exported, one galaxy and ten are found, and spectra of ten computed, each by the command that a user would give. Last,
spectra of a shard for each core are stored, within WINDOW, and compared with what the disk takes from `dd`.
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
from mocksed.run import configuration, kernel

SEED = 18
WINDOW = (3600.0, 7000.0)
"""Wavelengths of spectra that are stored [A]."""

DD_MIB = 4096

STORE = """
import sys
import numba
from mocksed import spectra
from mocksed.files import storage
numba.set_num_threads(1)
shard, path, *limits = sys.argv[1:]
setup = spectra.setup_of(shard)
spectra.write(path, storage.read_arrays(shard, spectra.NEEDED), setup.engine, tuple(map(float, limits)), setup.about)
"""

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


def stored(shards: list[Path], folder: Path) -> str:
    """Store spectra of shards, one in each of as many processes; return a paragraph on what it took."""
    start, n = time.monotonic(), sum(pq.read_metadata(path).num_rows for path in shards)
    paths = [folder / f"spectra_{path.name}" for path in shards]
    words = [[sys.executable, "-c", STORE, path, to, *WINDOW] for path, to in zip(shards, paths, strict=True)]
    processes = [subprocess.Popen(list(map(str, listed))) for listed in words]
    took = [os.wait4(process.pid, 0) for process in processes]
    wall_s = time.monotonic() - start
    if any(status for _, status, _ in took):
        raise RuntimeError("spectra could not be stored")
    n_bytes = sum(path.stat().st_size for path in paths)
    cpu_s = sum(usage.ru_utime + usage.ru_stime for _, _, usage in took)
    memory_mib = max(usage.ru_maxrss for _, _, usage in took) / 1024.0
    disk = measure(["dd", "if=/dev/zero", "of=zeros", "bs=1M", f"count={DD_MIB}", "conv=fsync"], folder)
    for path in (*paths, folder / "zeros"):
        path.unlink()
    return (
        f"{n:,} spectra within {WINDOW[0]:.0f}-{WINDOW[1]:.0f} A, {len(shards)} processes: {wall_s:.0f} s, "
        f"{1e6 * cpu_s / n:.1f} us of CPU each, start included, at most {memory_mib:.0f} MiB a process;\n"
        f"{n_bytes / 1e9:.1f} GB, {n / wall_s:,.0f} spectra/s, {n_bytes / wall_s / 1e6:.0f} MB/s; "
        f"dd writes {DD_MIB * 2**20 / disk.wall_s / 1e6:.0f} MB/s, with fsync\n"
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
    text = "\n".join(lines) + "\n\n"
    shards = sorted((args.folder / "results" / config["run"] / "catalog").glob("[0-9]*.parquet"))
    text += stored(shards[: args.cores], args.folder)
    print(text)
    (Path(__file__).parent / f"use_{config['run']}.txt").write_text(text)


if __name__ == "__main__":
    main()
