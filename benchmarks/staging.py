"""Measure reading the parent on a slow disk against a copy on scratch: `python -m benchmarks.staging`, as root.

The slow disk is an ext4 file system on a loop device that the blkio controller (cgroup v1) throttles to SPEED and
OPERATIONS for the processes that read; scratch is a folder on this machine's own disk. A job is a process that reads
what one search (the tree) and one assignment (six parameters of 1e6 rows at random) need. The page cache
is left as it is or dropped before each further job, as on a node whose memory others have filled.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from mocksed.files import memory_map, staging
from mocksed.search import parent, tree
from mocksed.search.metric import METRICS

RESULTS = Path(__file__).parent / "staging.txt"
CGROUP = Path("/sys/fs/cgroup/blkio/mocksed_benchmark")
N_POINTS = 10_000_000
SPEED, OPERATIONS = 50_000_000, 1000  # bytes and read operations a second
RECIPE, METRIC = {"n": N_POINTS}, METRICS["default"]["star_forming"]


@contextmanager
def slow_disk(folder: Path) -> Iterator[Path]:
    """Yield a folder on a throttled loop device; only processes in `CGROUP` find it slow."""
    image, mount = folder / "image", folder / "slow"
    mount.mkdir()
    with open(image, "wb") as file:
        file.truncate(100 * N_POINTS + (100 << 20))
    device = run("losetup", "--find", "--show", image)
    try:
        run("mkfs.ext4", "-q", device)
        run("mount", device, mount)
        CGROUP.mkdir(exist_ok=True)
        number = os.stat(device).st_rdev
        for key, limit in (("bps", SPEED), ("iops", OPERATIONS)):
            (CGROUP / f"blkio.throttle.read_{key}_device").write_text(f"{os.major(number)}:{os.minor(number)} {limit}")
        yield mount
    finally:
        run("umount", mount)
        run("losetup", "--detach", device)
        CGROUP.rmdir()


def run(*command: object) -> str:
    """Return what a command prints."""
    return subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def make(folder: Path) -> list[Path]:
    """Write a parent of random numbers and its tree; return their files."""
    files = [folder / name for name in ("parent.h5", "tree.npy", "tree.json")]
    rng = np.random.default_rng(0)
    with memory_map.writing(files[0], parent.COLUMNS, N_POINTS, {"recipe": RECIPE, "rows": [0, N_POINTS]}) as append:
        for _ in range(N_POINTS // 1_000_000):
            append({name: rng.uniform(0.1, 10.0, 1_000_000) for name in parent.COLUMNS})
    tree.write(parent.open_shards(files[:1], RECIPE), METRIC, 0, N_POINTS, files[1], files[2])
    os.sync()
    return files


def job(files: list[Path], scratch: str | None) -> dict[str, float]:
    """Read what a search and an assignment need; return how long each took [s]."""
    start = time.perf_counter()
    tree.read(staging.local(files[1], scratch), files[2], METRIC, 0, N_POINTS, RECIPE)
    searched = time.perf_counter()
    catalogue = parent.open_shards([staging.local(files[0], scratch)], RECIPE)
    catalogue.check(parent.FSPS)
    catalogue.take(parent.FSPS, np.random.default_rng(1).integers(0, N_POINTS, 1_000_000))
    return {"search": searched - start, "assignment": time.perf_counter() - searched}


def drop(folder: Path) -> None:
    """Drop the files of a folder from the page cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def spawn(files: list[Path], scratch: Path | None) -> subprocess.Popen:
    """Start a job in the throttled group."""
    arguments = json.dumps([list(map(str, files)), scratch and str(scratch)])
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.staging", arguments],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: (CGROUP / "cgroup.procs").write_text(str(os.getpid())),
    )


def seconds(*processes: subprocess.Popen) -> dict[str, float]:
    """Return the times of the slowest of some jobs [s]."""
    times = [json.loads(process.communicate()[0]) for process in processes]
    return {key: max(found[key] for found in times) for key in times[0]}


def main() -> None:
    """Print the table and write it."""
    with tempfile.TemporaryDirectory() as name, slow_disk(Path(name)) as slow:
        files, scratch = make(slow), Path(name, "scratch")
        rows: list[tuple[str, dict[str, float]]] = []

        def measure(what: str, copy: bool, forget: bool, n: int = 1) -> None:
            for folder in (slow, scratch) if forget else ():
                drop(folder)
            where = scratch if copy else None
            rows.append((what, seconds(*(spawn(files, where) for _ in range(n)))))
            print(what, rows[-1][1], file=sys.stderr)

        measure("in place, first job of a node", copy=False, forget=True)
        measure("in place, further job, cache kept", copy=False, forget=False)
        measure("in place, further job, cache lost", copy=False, forget=True)
        measure("in place, two jobs at once, cache lost", copy=False, forget=True, n=2)
        measure("copied, first two jobs of a node at once", copy=True, forget=True, n=2)
        measure("copied, further job, cache kept", copy=True, forget=False)
        measure("copied, further job, cache lost", copy=True, forget=True)
        measure("copied, two further jobs at once, cache lost", copy=True, forget=True, n=2)
    text = (
        f"Reading a parent of {N_POINTS:.0e} points on a disk of {SPEED / 1e6:g} MB/s and {OPERATIONS} reads/s (a\n"
        "loop device throttled by blkio) and from a copy on scratch; seconds of a job, of the slower if two run.\n\n"
        f"{'':46s}{'search':>10s}{'assignment':>12s}\n"
    )
    text += "".join(f"{what:46s}{found['search']:10.1f}{found['assignment']:12.1f}\n" for what, found in rows)
    print(text)
    RESULTS.write_text(text)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        paths, where = json.loads(sys.argv[1])
        print(json.dumps(job(list(map(Path, paths)), where)))
    else:
        main()
