"""Peak memory of a process that works through many galaxies, block by block: run by `python -m benchmarks`."""

import pickle
import sys
from pathlib import Path

from benchmarks.runs import TABLE
from benchmarks.sample import WORK, galaxies
from mocksed.sps import table
from mocksed.sps.engine import Engine

BLOCK = 50_000
"""Galaxies of a shard."""


def peak_memory() -> float:
    """Return the largest resident memory of this process until now [MB].

    That of `resource.getrusage` counts what the process was before its program was started.
    """
    status = Path("/proc/self/status").read_text()
    kilobytes = next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]
    return int(kilobytes) * 1024 / 1e6


def measure(name: str, counts: list[int]) -> list[float]:
    """Return the peak memory [MB] after each of the increasing numbers of galaxies."""
    engine, peaks, done = Engine(table.read(TABLE)), [], 0
    for count in counts:
        while done < count:
            n = min(BLOCK, count - done)
            WORK[name](engine, galaxies(n, seed=done))
            done += n
        peaks.append(peak_memory())
    return peaks


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(pickle.dumps(measure(sys.argv[2], [int(count) for count in sys.argv[3:]])))
