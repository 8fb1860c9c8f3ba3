"""Memory of a node with one rank of MPI and with two: `python -m benchmarks.mpi FOLDER` -> benchmarks/mpi.txt.

It is the proportional set size (PSS, which divides what processes share among them) of all ranks together, sampled from
/proc while they work: what a node must have. The runs that are measured are made first, in FOLDER: ten minutes, 10 GB.
Other Python programs on the machine would share libraries with the ranks and make them look smaller.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks.runs import ROOT, TABLE, execute
from mocksed.run import launch

RUNS = {10_000_000: ("parent", "neighbours", "spectra"), 100_000_000: ("neighbours",)}
"""Points of the star-forming parent, and the rules that are measured with them: the tree grows with the points."""
SHARDS = 4
GALAXIES = 40_000
AT_MOST = 1.2  # with two ranks over with one
_EVERY_S = 0.1


class Memory(NamedTuple):
    """Of some processes [MB]: PSS, and what of it is memory of their own, files, and memory shared on purpose."""

    pss: float
    anonymous: float
    files: float
    shared: float


def memory_of(pids: list[int]) -> Memory:
    """Return the memory of processes; of those that have ended, none."""
    total = dict.fromkeys(("Pss", "Pss_Anon", "Pss_File", "Pss_Shmem"), 0.0)
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        except (FileNotFoundError, ProcessLookupError):
            continue
        for name, kilobytes, *_ in map(str.split, lines):
            if name.rstrip(":") in total:
                total[name.rstrip(":")] += int(kilobytes) * 1024 / 1e6
    return Memory(*total.values())


def peak(work: Path, ranks: int) -> Memory:
    """Return the memory of ranks at the time when they have most."""
    command = launch.command("mpiexec", ranks, work)
    process = subprocess.Popen(command, env=launch.environment(1, ranks), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)  # fmt: skip
    largest = Memory(0.0, 0.0, 0.0, 0.0)
    while process.poll() is None:
        started = psutil.Process(process.pid).children(recursive=True)
        largest = max(largest, memory_of([child.pid for child in started]))
        time.sleep(_EVERY_S)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    return largest


def run(folder: Path, points: int) -> Path:
    """Make a run with MPI in a folder; return where the jobs say what they made."""
    config = {
        "run": "memory",
        "mpi": {"tasks": 2},
        "sps": {"table": str(TABLE)},
        "galaxies": {"lightcone": {"n_galaxies": GALAXIES}, "shards": SHARDS},
        "parent": {"shards": SHARDS, "star_forming": {"n": points}},
        "photometry": {"filters": [], "rest_frame": []},
    }
    execute(folder, config, [f"results/memory/{RUNS[points][-1]}/{i:04d}.parquet" for i in range(SHARDS)], cores=2)
    return folder / "logs/memory"


def measure(folder: Path, logs: Path, points: int, rule: str) -> list[str]:
    """Return the lines of a rule."""
    work = json.loads((logs / rule / "all.json").read_text())
    lines, whole = [], {}
    with tempfile.TemporaryDirectory(dir=folder) as elsewhere:
        for i, shard in enumerate(work["shards"]):
            shard |= {key: str(folder / value) for key, value in shard.items() if (folder / str(value)).is_file()}
            shard["output"] = f"{elsewhere}/{i}{Path(shard['output']).suffix}"
        spec = Path(elsewhere, "work.json")
        spec.write_text(json.dumps(work))
        for ranks in (1, 2):
            found = peak(spec, ranks)
            whole[ranks] = found.pss
            lines.append(f"{points:6.0e} {rule:12s} {ranks:6d} " + " ".join(f"{value:10.0f}" for value in found))
    ratio = whole[2] / whole[1]
    return [
        *lines,
        f"{'':19s} two ranks over one: {ratio:.2f} (at most {AT_MOST}: {'yes' if ratio <= AT_MOST else 'no'})",
    ]


def main(folder: Path) -> str:
    """Return the table."""
    lines = []
    for points, rules in RUNS.items():
        here = folder / f"{points:.0e}"
        logs = run(here, points)
        for rule in rules:
            lines += measure(here, logs, points, rule)
    head = (
        f"Memory of all ranks of a node at its peak [MB]: {GALAXIES} galaxies, {SHARDS} shards of each, 1 thread.\n\n"
        f"{'points':6s} {'rule':12s} {'ranks':>6s} {'PSS':>10s} {'own':>10s} {'files':>10s} {'shared':>10s}"
    )
    return "\n".join([head, *lines]) + "\n"


if __name__ == "__main__":
    table = main(Path(sys.argv[1]).absolute())
    print(table)
    (ROOT / "benchmarks/mpi.txt").write_text(table)
