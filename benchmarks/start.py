"""Measure what a job takes before it begins, with and without what it avoids importing: `python -m benchmarks.start`.

A job imports what its stage needs, reads the SSP table, finds the ages of the universe of some galaxies, and writes and
reads a table of them. Processes take turns, on one core.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.report import Row, Section, render, spread
from benchmarks.runs import TABLE

RESULTS = Path(__file__).parent / "start.txt"
ROUNDS = 9

JOB = f"""
import resource
import numpy as np
from mocksed.run import stages
from mocksed.files import storage
from mocksed.cosmology import Cosmology, t_univ
from mocksed.sps import table
from mocksed.sps.engine import Engine

Engine(table.read({str(TABLE)!r})).prepared()
redshift = np.linspace(0.0, 12.0, 1000)
"""
AGES = "age = t_univ(Cosmology(), redshift)\n"
AGES_OF_ASTROPY = """
from astropy.cosmology import FlatLambdaCDM
age = FlatLambdaCDM(H0=67.66, Om0=0.3111).age(redshift).value
"""
TABLES = """
storage.write_table("galaxies.parquet", {"redshift": redshift, "age": age})
storage.read_arrays("galaxies.parquet", ["redshift", "age"])
"""
TABLES_OF_ARROW = """
import pyarrow as pa, pyarrow.parquet as pq
pq.write_table(pa.table({"redshift": redshift, "age": age}), "galaxies.parquet")
[column.to_numpy() for column in pq.read_table("galaxies.parquet")]
"""
SAY = """
import psutil
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, psutil.Process().memory_full_info().uss / 2**20)
"""
JOBS = {
    "as it is": JOB + AGES + TABLES + SAY,
    "with astropy's cosmology": JOB + AGES_OF_ASTROPY + TABLES + SAY,
    "with pyarrow's arrays of numpy, which import pandas": JOB + AGES + TABLES_OF_ARROW + SAY,
    "with both": JOB + AGES_OF_ASTROPY + TABLES_OF_ARROW + SAY,
}


def start(code: str, folder: str) -> tuple[float, float]:
    """Return the CPU time [s] and the memory that is not shared [MB] of a process."""
    said = subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
    seconds, memory_mb = said.stdout.split()
    return float(seconds), float(memory_mb)


def main() -> None:
    """Measure, print and write the table."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])
    with tempfile.TemporaryDirectory() as folder:
        for code in JOBS.values():
            start(code, folder)
        # (round, job, quantity)
        found = np.array([[start(code, folder) for code in JOBS.values()] for _ in range(ROUNDS)])
    sections = [
        Section(title, [Row(name, spread(values)) for name, values in zip(JOBS, of_jobs.T, strict=True)])
        for title, of_jobs in (("CPU time [s]", found[..., 0]), ("memory of its own [MB]", found[..., 1]))
    ]
    text = "What a job takes before it begins: median, lowest and highest of processes that take turns.\n"
    text += render(sections)
    print(text)
    RESULTS.write_text(text)


if __name__ == "__main__":
    main()
