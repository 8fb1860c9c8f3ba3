"""Measure the hot paths beside python-fsps and DSPS, print the table and write it to results.txt: `make bench`.

Each kind of measurement has its own process, so that cores and threads are settled before anything is imported.
"""

import os
import pickle
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from benchmarks.report import Row, Section, Spread, render
from benchmarks.runs import processor

RESULTS = Path(__file__).parent / "results.txt"
PACKAGES = ("mocksed", "numpy", "numba", "fsps", "dsps", "jax")
MEMORY = {"spectra": 100_000, "derived quantities": 1_000_000, "ten magnitudes": 1_000_000}
"""Galaxies of the processes whose memory is measured."""


def measured(module: str, *arguments: object, cores: int) -> Any:
    """Return what a module of this package measures in a process of its own on so many cores, a thread on each."""
    mine = os.sched_getaffinity(0)
    names = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = os.environ | dict.fromkeys(names, str(cores)) | {"JAX_PLATFORMS": "cpu"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "measured")
        command = [sys.executable, "-m", f"benchmarks.{module}", str(path), *map(str, arguments)]
        os.sched_setaffinity(0, sorted(mine)[-cores:])  # a child inherits it; libraries count cores when imported
        try:
            subprocess.run(command, env=environment, check=True, stdout=sys.stderr)
        finally:
            os.sched_setaffinity(0, mine)
        return pickle.loads(path.read_bytes())


def times() -> list[Section]:
    """Return the sections about the time of a galaxy."""
    tell("times")
    before = others()
    first, *rest = measured("speed", cores=1)
    return [Section(first.title, [*first.rows, crowd(before)]), *rest]


def memory(cores: int) -> Section:
    """Return the rows of peak memory: after a tenth of the galaxies, and after all."""
    rows = []
    for name, n in MEMORY.items():
        tell(f"memory: {name}")
        for count, peak in zip((n // 10, n), measured("memory", name, n // 10, n, cores=cores), strict=True):
            rows.append(Row(f"{name} of {count:,} galaxies", Spread(peak, peak, peak), at_most=1000.0))
    return Section("peak memory of a process [MB], galaxies in blocks of 50,000", rows)


def threads(cores: int) -> Section:
    """Return the rows of two threads against one."""
    title = "two threads against one: how many times quicker, each ratio within one round"
    if cores < 2:
        return Section(title, [Row("spectra", None, at_least=1.7, missing="one core")])
    tell("threads")
    before = others()
    rows = measured("threads", cores=2)
    return Section(title, [*rows, crowd(before)])


def others() -> tuple[float, float]:
    """Return the time now, and the CPU time that this machine spent on others than this process and its children."""
    machine, ours = psutil.cpu_times(), os.times()
    busy = machine.user + machine.nice + machine.system
    return ours.elapsed, busy - (ours.user + ours.system + ours.children_user + ours.children_system)


def crowd(before: tuple[float, float]) -> Row:
    """Return the row that says how busy the machine was since then: the more, the worse two threads look."""
    now = others()
    cores = max(now[1] - before[1], 0.0) / (now[0] - before[0])
    return Row("cores that other programs used meanwhile", Spread(cores, cores, cores))


def provenance(cores: int) -> str:
    """Return on what machine and with which versions this was measured."""
    found = [f"{name} {installed(name)}" for name in PACKAGES]
    return f"{processor()}, {cores} cores; python {platform.python_version()}, {', '.join(found)}\n"


def installed(package: str) -> str:
    """Return the version of a package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def tell(what: str) -> None:
    """Say what is being measured."""
    print(f"measuring {what}", file=sys.stderr, flush=True)


def main() -> None:
    """Print the table and write it."""
    cores = len(os.sched_getaffinity(0))
    sections = [*times(), memory(cores), threads(cores)]
    text = provenance(cores) + "\n" + render(sections)
    print(text)
    RESULTS.write_text(text)


if __name__ == "__main__":
    main()
