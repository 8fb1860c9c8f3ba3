"""Two threads against one, in a process of two cores: run by `python -m benchmarks`."""

import pickle
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numba
from threadpoolctl import threadpool_limits

from benchmarks.report import Row, spread
from benchmarks.runs import TABLE
from benchmarks.sample import WORK, galaxies
from benchmarks.timing import Contestant, interleaved
from mocksed.sps import table
from mocksed.sps.engine import Engine

ROUNDS = 9
COUNTS = {"spectra": 8192, "derived quantities": 50_000, "ten magnitudes": 4096}


def with_threads(threads: int, work: Callable[[], object]) -> Callable[[], None]:
    """Return the work, done with so many threads as a job of the workflow would use."""

    def limited() -> None:
        numba.set_num_threads(threads)
        with threadpool_limits(threads):
            work()

    return limited


def main() -> list[Row]:
    """Return the rows."""
    engine = Engine(table.read(TABLE))
    rows = []
    for name, n in COUNTS.items():
        work = partial(WORK[name], engine, galaxies(n))
        seconds = interleaved({str(t): Contestant(with_threads(t, work), n) for t in (1, 2)}, ROUNDS)
        rows.append(Row(name, spread(seconds["1"] / seconds["2"]), at_least=1.7))
    return rows


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(pickle.dumps(main()))
